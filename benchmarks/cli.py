"""Shared by the scripts of all scenarios: options, machine description, table, figures and exit code."""

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from bddseg.cores import usable_cores
from bddseg.device import has_native_bf16
from benchmarks.measuring import Figure, exit_code

ROOT = Path(__file__).resolve().parent.parent


def parser(text: str, *, rounds: int = 3) -> argparse.ArgumentParser:
    """Return a parser with the options of all scripts: --rounds and --cache."""
    options = argparse.ArgumentParser(
        description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    options.add_argument("--rounds", type=positive, default=rounds, metavar="N", help="measurements of every contender")
    options.add_argument(
        "--cache", type=Path, default=cache_folder(), metavar="DIR", help="folder for generated scenes"
    )
    return options


def positive(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text}")
    return int(text)


def cache_folder() -> Path:
    """Return the product's cache folder without importing sweeps, which a machine with a GPU may lack."""
    own, common = os.environ.get("BDDSEG_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    home = Path(common) if Path(common).is_absolute() else Path.home() / ".cache"
    return Path(own).absolute() if own else home / "bddseg"


def machine(device: torch.device = torch.device("cpu")) -> str:  # noqa: B008
    """Return a one-line description of the machine."""
    cores = usable_cores()
    units = "bf16 units" if has_native_bf16(torch.device("cpu")) else "no bf16 units"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    description = f"{_processor()}, {cores} cores, {units}{load}; torch {torch.__version__}"
    return f"{torch.cuda.get_device_name(device)}; {description}" if device.type == "cuda" else description


def _processor() -> str:
    """Return the processor's name and family; clouds often hide the model number."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    name, family = fields.get("model name", platform.machine()), fields.get("cpu family")
    return f"{name} (family {family})" if family else name


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Print a table in aligned columns with notes below it."""
    cells = [columns, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    print(title)
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(*notes, "", sep="\n", flush=True)


def close(figures: Sequence[Figure]) -> int:
    """Print one line per figure and return the exit code."""
    for figure in figures:
        print(figure.line(), flush=True)
    return exit_code(figures)


def cuda_missing() -> bool:
    """Return whether there is no CUDA device, after printing that nothing is measured."""
    if torch.cuda.is_available():
        return False
    print("no CUDA device: not measured")
    return True
