"""What a user can mend, each with its cure in the message.

UserError
├── DataError      files are missing, damaged or do not fit together
├── ConfigError    a setting has the wrong name, type or value
├── DeviceError    the device is too small, or does not do what is asked of it
└── ExportError    an exported network does not do what the original does
"""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the question `did you mean NAME? ` with the known name that is most like a word; "" where none is."""
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""


class UserError(Exception):
    """Something the user can mend; the message is one line: value, rule, place, known names."""

    exit_code = 2


class DataError(UserError):
    """A folder, image, mask or label file is missing, damaged or does not fit the others."""


class DeviceError(UserError):
    """The device has too little memory, or fails."""


class ExportError(UserError):
    """An exported network does not do what the original does."""

    exit_code = 1


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""
