"""Rules that the value of a setting must obey, and the check of one value. Needs no torch."""

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import field
from typing import Any

from bddseg.errors import ConfigError
from bddseg.plugins import is_own

Value = str | int | float | bool
Rule = tuple[str, Callable[[Any], bool]]

POSITIVE: Rule = ("must be > 0", lambda x: x > 0)
NOT_NEGATIVE: Rule = ("must be >= 0", lambda x: x >= 0)
SHARE: Rule = ("must be > 0 and < 1", lambda x: 0 < x < 1)
PROBABILITY: Rule = ("must be >= 0 and < 1", lambda x: 0 <= x < 1)
FLOAT32: Rule = ("must be < 3.4e38, the largest number of 32 bits", lambda x: x < 3.4e38)

PATTERN: Rule = ("must be a regular expression", lambda x: _is_pattern(x))

LARGEST_INTEGER = 2**63 - 1
"""Seeds, records and arrays take 64 bits."""


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def at_most(most: int) -> Rule:
    """Return the rule that a value is not larger: beyond, no machine could do it, and sizes overflow in torch."""
    return (f"must be <= {most}", lambda x: x <= most)


def at_most_chars(most: int) -> Rule:
    """Return the rule that a text is not longer, and prints in one line."""
    return (f"must be one line of at most {most} characters", lambda x: len(x) <= most and (x.isprintable() or not x))


def one_of(*names: str) -> Rule:
    """Return the rule that a value is one of the names."""
    return (f"must be one of {', '.join(names)}", lambda x: x in names)


def one_of_or_own(kind: str, *names: str) -> Rule:
    """Return the rule that a value is one of the names, or names a class or function of the user's own."""
    return (f"must be one of {', '.join(names)}, or package.module:{kind}", lambda x: x in names or is_own(x))


def setting(default: Value, *rules: Rule) -> Any:
    """Return a dataclass field with its default and the rules its value must obey."""
    return field(default=default, metadata={"rules": rules})


def convert_value(value: Any, spec: dataclasses.Field[Any]) -> Any:
    """Return the value as its field holds it: a whole number as a float where that is meant, an empty value as text."""
    if value is None and spec.type is str:  # YAML reads an empty value as None: `--set data.drive_pattern=`
        return ""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if spec.type is float and is_whole else value


def check_value(key: str, value: Any, spec: dataclasses.Field[Any]) -> None:
    """Refuse a value of the wrong type, or one that breaks a rule of its field.

    Raises:
        ConfigError: with key, value and rule.
    """
    if type(value) is not spec.type:
        raise ConfigError(f"{key} is {value!r}, but must be {_kind(spec)}{_hint(value, spec)}")
    if isinstance(value, int) and value > LARGEST_INTEGER:
        raise ConfigError(f"{key} is a number of {value.bit_length()} bits, but must be <= {LARGEST_INTEGER}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value!r}, but must be finite")
    for text, holds in spec.metadata["rules"]:
        if not holds(value):
            raise ConfigError(f"{key} is {value!r}, but {text}")


def _kind(spec: dataclasses.Field[Any]) -> str:
    return {int: "a whole number", float: "a number", str: "text"}[spec.type]  # type: ignore[index]


def _hint(value: Any, spec: dataclasses.Field[Any]) -> str:
    """Return how to write a number that YAML took for text: it reads 1e-4 as text, 1.0e-4 as a number."""
    if spec.type is str or not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    if spec.type is int or "e" not in value.lower():
        return f"; write {number:g} without quotes" if spec.type is float else f"; write {number:.0f}"
    mantissa, _, exponent = f"{number:e}".partition("e")
    shortest = mantissa.rstrip("0")
    return f"; write {shortest}{'0' if shortest.endswith('.') else ''}e{int(exponent)}"
