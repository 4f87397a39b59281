"""Errors that a user can correct; the message says how.

UserError
├── DataError      files are missing, damaged or do not fit together
│   └── AccessError   the system refuses to read a file, whose content may be sound
├── ConfigError    a setting has the wrong name, type or value
├── DeviceError    the device has too little memory, or fails
└── ExportError    an exported network computes something else than the original
"""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

BLANK = "Zs"
"""Unicode's category of blanks; Python counts only one of them as printable."""


def nearest(word: str, names: Iterable[str]) -> str:
    """Return `did you mean NAME? ` with the most similar name; "" if none is similar."""
    near = get_close_matches(word, list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""


def one_line(error: Exception) -> str:
    """Return the message of an error in one line; its type if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    r"""Return the text as it is safe to print: one line, with control characters as `\x1b`.

    File names and label texts can hold anything, such as sequences that move the cursor or hide a line. Invisible
    marks of writing direction count as control characters; bytes that are no valid text become `\udcdf`.
    """
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == BLANK else _escaped(char) for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


class UserError(Exception):
    """An error that the user can correct; the message is one line: value, rule, location, known names."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class DataError(UserError):
    """A folder, image, mask or label file is missing, damaged or does not fit the others."""


class AccessError(DataError):
    """The system refuses to read a file, whose content may be sound: no permission, a failing disk, no memory."""


class DeviceError(UserError):
    """The device has too little memory, or fails."""


class ExportError(UserError):
    """An exported network computes something else than the original."""

    exit_code = 1


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""
