"""What a user can mend, each with its cure in the message.

UserError
├── DataError      files are missing, damaged or do not fit together
│   └── AccessError   the system does not give a file, whose content may be sound
├── ConfigError    a setting has the wrong name, type or value
├── DeviceError    the device is too small, or does not do what is asked of it
└── ExportError    an exported network does not do what the original does
"""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

BLANK = "Zs"
"""Unicode's category of blanks, of which Python calls only one printable."""


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the question `did you mean NAME? ` with the known name that is most like a word; "" where none is."""
    near = get_close_matches(word, list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""


def one_line(error: Exception) -> str:
    """Return what an error says in one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    r"""Return the text as a terminal may show it: one line, with control characters as `\x1b`.

    Names of files and words from labels can hold anything, also what moves the cursor or hides a line. Invisible
    marks that turn the direction of writing count as control characters; what is no valid text becomes `\udcdf`.
    """
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == BLANK else _escaped(char) for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


class UserError(Exception):
    """Something the user can mend; the message is one line: value, rule, place, known names."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class DataError(UserError):
    """A folder, image, mask or label file is missing, damaged or does not fit the others."""


class AccessError(DataError):
    """The system does not give a file, whose content may be sound: no permission, a failing disk, no memory."""


class DeviceError(UserError):
    """The device has too little memory, or fails."""


class ExportError(UserError):
    """An exported network does not do what the original does."""

    exit_code = 1


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""
