"""Every measurement on a GPU, in slices that fit a short loan of one. `python -m benchmarks.gpu`

Runs the steps below in order, each in a process of its own, and writes what each printed into `--out` as soon as it
ends. A step that would not fit into `--seconds` is left for the next call, one that was cut off runs again; the table
of all steps comes last. `--rehearse` runs the same commands at toy size on the CPU.

Needs bddseg, torch, and pytest for the first part. The part `sweep` needs Ray and what `tune_main.py` imports.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cli import ROOT, cache_folder, cuda_missing, machine, show
from benchmarks.s4_gpu_trial import CASES
from benchmarks.s6_packing import WAYS, WIDTHS
from benchmarks.scenes import scenes_path

CUDA_TESTS = ("tests/bddseg/test_engine.py", "tests/bddseg/test_optim.py", "tests/execution/test_warm.py")
"""Every file with tests that are skipped without CUDA; the last one needs Ray."""

SWEEP_IMAGES, REHEARSAL_IMAGES = 3426, 40
SCENE_PX = (320, 180)
"""Small files: the frames of 128 px that the sweep trains on are made from them once."""
END_SECONDS = 15
"""How long a step that is cut off may take to end."""


@dataclass(frozen=True)
class Step:
    """One command, with the seconds that it takes at most on an H200."""

    part: str
    name: str
    words: tuple[str, ...]
    seconds: int
    watches_gpu: bool = False
    """Whether nvidia-smi records how busy the GPU is meanwhile."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended; kept in `progress.json`."""

    step: str
    exit_code: int
    seconds: float
    last_line: str
    is_rehearsal: bool


def _module(name: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *words)


def steps(out: Path, *, rehearse: bool) -> list[Step]:
    """Return every step in the order in which they decide most."""
    toy = ("--rehearse",) if rehearse else ()
    tests = _module("pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", *CUDA_TESTS)
    trials = [
        Step("s4", f"s4 {name}", _module("benchmarks.s4_gpu_trial", "--networks", name, *toy), 150)
        for name in (case.name for case in CASES)
    ]
    profiles = [
        Step("profile", f"profile {model} {filters}", _profile(out, model, filters, toy), 60)
        for model, filters in (("vanilla_unet", 32), ("attention_unet", 64))
    ]
    packing = [
        Step("s6", f"s6 b{filters} {way}", _packing(filters, way, toy), 150) for filters in WIDTHS for way in WAYS
    ]
    data, drawing = _scenes(rehearse=rehearse)
    whole_sweep = _sweep(out, data, rehearse=rehearse)
    sweep = [
        Step("sweep", "scenes", drawing, 300),
        Step("sweep", "grid_lr_loss at full size", whole_sweep, 500, watches_gpu=True),
    ]
    return [Step("tests", "CUDA tests", tests, 240), *trials, *profiles, *packing, *sweep]


PARTS = ("tests", "s4", "profile", "s6", "sweep")


def _profile(out: Path, model: str, filters: int, toy: Sequence[str]) -> tuple[str, ...]:
    rows = out / f"profile-{model}-{filters}.json"
    words = ("--model", model, "--filters", str(filters), "--json", str(rows))
    return _module("benchmarks.gpu_profile", *words, *toy)


def _packing(filters: int, way: str, toy: Sequence[str]) -> tuple[str, ...]:
    return _module("benchmarks.s6_packing", "--filters", str(filters), "--way", way, *toy)


def _scenes(*, rehearse: bool) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the sweep's images, and the command that draws them."""
    images = REHEARSAL_IMAGES if rehearse else SWEEP_IMAGES
    cache, (width, height) = cache_folder(), SCENE_PX
    call = f"scenes_folder(Path({str(cache)!r}), {images}, width={width}, height={height})"
    program = f"from pathlib import Path; from benchmarks.scenes import scenes_folder; print({call})"
    return scenes_path(cache, images, width, height), (sys.executable, "-c", program)


def _sweep(out: Path, data: Path, *, rehearse: bool) -> tuple[str, ...]:
    """Return the command of a whole sweep without MLflow."""
    size = ("--profile", "quick", "--limit", "2", "--set", "train.epochs=1") if rehearse else ("--profile", "full")
    where = ("--data", str(data), "--storage", str(out / "sweep"), "--offline", "--fresh", "--quiet")
    return (sys.executable, "tune_main.py", "--space", "grid_lr_loss", *size, *where)


def main(argv: list[str] | None = None) -> int:
    """Run the steps that are still to be done, as far as the seconds go, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="parts to run (default: all)")
    options.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu", metavar="DIR", help="where to write")
    options.add_argument("--seconds", type=int, default=540, metavar="N", help="length of the slice (default: 540)")
    options.add_argument("--again", action="store_true", help="run steps that are done, too")
    options.add_argument("--rehearse", action="store_true", help="run the code at toy size on the CPU, without figures")
    arguments = options.parse_args(argv)
    if not arguments.rehearse and cuda_missing():
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    every = [
        step for step in steps(arguments.out.absolute(), rehearse=arguments.rehearse) if step.part in arguments.part
    ]
    outcomes = _run_slice(every, arguments)
    rows = [_row(step, outcomes.get(step.name)) for step in every]
    show("Measurements on a GPU", ("", "exit code", "seconds", "last line"), rows, (machine(),))
    return 0 if all(step.name in outcomes and not outcomes[step.name].exit_code for step in every) else 1


def _run_slice(every: Sequence[Step], arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Run what is not done yet and fits; return the outcome of every step that ended, in this slice or before."""
    deadline = time.monotonic() + arguments.seconds
    record = arguments.out / "progress.json"
    outcomes = {} if arguments.again else read_outcomes(record, is_rehearsal=arguments.rehearse)
    for step in every:
        remaining = deadline - time.monotonic()
        if step.name in outcomes or (not arguments.rehearse and step.seconds > remaining):
            continue
        outcome = run_step(step, arguments.out, remaining, is_rehearsal=arguments.rehearse)
        if outcome is None:
            break
        outcomes[step.name] = outcome
        record.write_text(json.dumps([asdict(each) for each in outcomes.values()], indent=1))
    return outcomes


def read_outcomes(record: Path, *, is_rehearsal: bool) -> dict[str, Outcome]:
    """Return the outcomes of earlier slices by step; a rehearsal's count for rehearsals alone."""
    if not record.is_file():
        return {}
    outcomes = [Outcome(**fields) for fields in json.loads(record.read_text())]
    return {outcome.step: outcome for outcome in outcomes if outcome.is_rehearsal == is_rehearsal}


def run_step(step: Step, out: Path, seconds: float, *, is_rehearsal: bool) -> Outcome | None:
    """Run a step, writing what it prints into a file of its name; return None when it was cut off."""
    print(f"== {step.name}", flush=True)
    log = out / f"{step.name.replace(' ', '-')}.txt"
    start = time.monotonic()
    with log.open("w") as sink, ExitStack() as stack:
        if step.watches_gpu:
            stack.enter_context(_Watch(out / "busy.txt"))
        process = subprocess.Popen(
            step.words, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, env=_environment()
        )
        try:
            exit_code = process.wait(max(seconds, 1.0))
        except subprocess.TimeoutExpired:
            _end(process)
            print("cut off: it runs again in the next slice", flush=True)
            return None
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    print(*lines[-30:], sep="\n", flush=True)
    return Outcome(step.name, exit_code, time.monotonic() - start, lines[-1] if lines else "", is_rehearsal)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step's whole process group, with SIGTERM first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


class _Watch:
    """Records once a second how busy the GPU is, where nvidia-smi is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        if shutil.which("nvidia-smi"):
            words = ["nvidia-smi", "dmon", "-s", "u", "-f", str(self._path)]
            self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()


def _row(step: Step, outcome: Outcome | None) -> tuple[str, ...]:
    if outcome is None:
        return (step.name, "-", "-", "not run yet")
    return (step.name, str(outcome.exit_code), f"{outcome.seconds:.0f}", outcome.last_line[:100])


if __name__ == "__main__":
    sys.exit(main())
