"""Cleaning of text and numbers that were read from a store."""

import math
from collections.abc import Mapping
from typing import Any

DECIMALS = 6
"""Decimals to which every score is rounded once; a page prints it with fewer decimals."""


def figure(value: Any) -> float | None:
    """Return a number rounded to DECIMALS; None for anything but a finite number."""
    number = finite_number(value)
    return None if number is None else round(number, DECIMALS)


def finite_number(value: Any) -> float | None:
    """Return a number as a float; None for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def clean(value: Any) -> str:
    """Return text without line breaks, control and direction characters, which a store may hold."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())


def clean_all(value: Any) -> Any:
    """Return the value with all its text cleaned, and None in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {clean(key): clean_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_all(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return clean(value) if isinstance(value, str) else value


def whole(value: Any) -> int:
    """Return a positive whole number; 0 for anything else."""
    return value if type(value) is int and value > 0 else 0
