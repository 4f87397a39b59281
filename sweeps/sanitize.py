"""Text and numbers that were read back from a store, cleaned."""

import math
from collections.abc import Mapping
from typing import Any

DECIMALS = 6
"""To which every figure is rounded, once; what a page prints is this number with fewer decimals."""


def figure(value: Any) -> float | None:
    """Return a number, rounded as everywhere; None for what is no finite number."""
    number = finite_number(value)
    return None if number is None else round(number, DECIMALS)


def finite_number(value: Any) -> float | None:
    """Return a number as a float; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def clean(value: Any) -> str:
    """Return text without line breaks, control and direction characters: what was read back may hold anything."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())


def clean_all(value: Any) -> Any:
    """Return the value with every text in it cleaned, and None for numbers that are not finite."""
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
