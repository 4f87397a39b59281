"""Types of command-line options, for argparse, and the options that several commands share."""

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bddseg.errors import UserError, printable
from sweeps.storage.store_address import why_no_store
from sweeps.tracking.uri import check_uri, hide_password

if TYPE_CHECKING:
    from sweeps.cli.console import Parser

AUTO = "auto"
"""Value of --gpus-per-trial: as many trials on a GPU as fit by measurement."""

LONGEST_NUMBER = 18
"""Digits of a whole number: longer ones have no use, and Python refuses to parse very long ones."""

LONGEST_NAME = 100
NEW_NAME = re.compile(rf"[A-Za-z0-9][\w.-]{{0,{LONGEST_NAME - 1}}}", re.ASCII)
"""The id of a sweep that its user names."""

URI = re.compile(r"\s*([a-z][a-z0-9+.-]*://|file:/)", re.IGNORECASE)
"""The start of an address: `Path` drops one of its slashes, and a local folder named `s3:` would be made."""

FILE_URI = re.compile(r"\s*file:(?://(?:localhost)?)?(/[^/].*)", re.IGNORECASE | re.DOTALL)
"""The address of a file on this machine, and its path."""


def path(text: str) -> Path:
    """Return a path as it is given.

    Raises:
        ArgumentTypeError: when it cannot be a path, or is a URI.
    """
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path, but is {text!r}")
    if URI.match(text):
        local = FILE_URI.fullmatch(text)
        cure = f"give {unquote(local[1])}" if local else "give a folder; on a cluster, one that all nodes share"
        raise argparse.ArgumentTypeError(f"must be a path, but is the URI {hide_password(text)!r}: {cure}")
    return Path(text)


def folder(text: str) -> Path:
    """Return an absolute path; raises as `path` does, and where the working directory is gone."""
    try:
        return path(text).absolute()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is relative to a working directory that is gone") from error


def storage_folder(text: str) -> Path:
    """Return the absolute folder of the sweeps; raises as `folder` does, and names the option for an object store."""
    is_store = URI.match(text) and not FILE_URI.fullmatch(text)
    if is_store and not why_no_store(text.strip()):
        raise argparse.ArgumentTypeError(
            f"must be a path, but is the URI {text.strip()!r}: give a folder for the records, and "
            f"--checkpoints {text.strip()} for the checkpoints"
        )
    return folder(text)


def object_store(text: str) -> str:
    """Return the address of an object store.

    Raises:
        ArgumentTypeError: when it is none, or has credentials in it.
    """
    if why := why_no_store(text.strip()):
        raise argparse.ArgumentTypeError(why)
    return text.strip().rstrip("/")


def new_sweep_name(text: str) -> str:
    """Return the id of a sweep that may be new: it becomes the name of a folder.

    Raises:
        ArgumentTypeError: when it has other characters than letters, digits, dots, dashes and underscores.
    """
    if NEW_NAME.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(
        f"must be 1 to {LONGEST_NAME} letters, digits, dots, dashes or underscores, a letter or digit first, "
        f"but is {text[:LONGEST_NAME]!r}"
    )


def sweep_name(text: str) -> str:
    """Return the id of a sweep.

    Raises:
        ArgumentTypeError: when it is empty, or a path.
    """
    if text.strip("./ ") and not {"/", "\0"} & set(text):
        return text
    last = text.rstrip("/").rpartition("/")[2]
    hint = f": perhaps {printable(last)}" if last.strip("./ ") else ""
    raise argparse.ArgumentTypeError(
        f"must be the id of a sweep, but is {'a path' if '/' in text else repr(text)}{hint}"
    )


def address(text: str) -> str:
    """Return an address of MLflow, with an absolute path where it is a file.

    Raises:
        ArgumentTypeError: when MLflow cannot record there.
    """
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be an address, but is {text!r}")
    try:
        return check_uri(text.strip())
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is relative to a working directory that is gone") from error


def some_text(value: str) -> str:
    """Return a text that is not blank.

    Raises:
        ArgumentTypeError: when it is empty.
    """
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return value


def whole(text: str) -> int:
    """Return a whole number from 0.

    Raises:
        ArgumentTypeError: when it is no such number.
    """
    return _integer(text, 0)


def positive(text: str) -> int:
    """Return a whole number from 1; raises as `whole` does."""
    return _integer(text, 1)


def several(text: str) -> int:
    """Return a whole number from 2; raises as `whole` does."""
    return _integer(text, 2)


def _integer(text: str, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER and int(text) >= least):
        raise argparse.ArgumentTypeError(f"must be a whole number >= {least}, got {printable(text[:40])}")
    return int(text)


def share(text: str) -> float | str:
    """Return a number of GPUs, or AUTO.

    Raises:
        ArgumentTypeError: when it is neither.
    """
    if text == AUTO:
        return AUTO
    value = _number(text)
    if value < 0 or not math.isfinite(value) or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, a whole number or auto, got {text[:40]}")
    return value


def points(text: str) -> float:
    """Return a difference of mIoU in points.

    Raises:
        ArgumentTypeError: when it is no such number.
    """
    if not 0 < (value := _number(text)) < 100:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a number of points between 0 and 100")
    return value


def percent(text: str) -> float:
    """Return a share from a number of percent: 5 as 0.05.

    Raises:
        ArgumentTypeError: when it is no such number.
    """
    if not 0 < (value := _number(text)) <= 100:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a number of percent > 0 and <= 100")
    return value / 100


def hours(text: str) -> float:
    """Return a span of time in hours.

    Raises:
        ArgumentTypeError: when it is no such number.
    """
    if not 0 < (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a number of hours > 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def add_tracking_uri(parser: "Parser") -> None:
    """Add --tracking-uri for a command that reads the store."""
    parser.option(parser, "--tracking-uri", type=address, metavar="URI",
                  help="MLflow store (default: MLFLOW_TRACKING_URI, otherwise the database in runs)")  # fmt: skip


def add_debug(parser: "Parser") -> None:
    """Add --debug."""
    parser.option(parser, "--debug", action="store_true", default=False, help="show the traceback of an error")
