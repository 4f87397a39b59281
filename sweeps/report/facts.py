"""What was read back -> facts: text without control characters, finite numbers, defaults for what is missing."""

import math
from collections.abc import Mapping
from typing import Any

FACTS: dict[str, Any] = {
    **dict.fromkeys(("space", "question", "profile", "command", "report_command", "started"), ""),
    **dict.fromkeys(("device", "precision", "code_version"), "unknown"),
    "confirmation": {},
    "axes": {},
    "trials": [],
    "versions": {},
    "scheduler": {"name": "", "max_epochs": 0, "rungs": []},
    "data": {
        "root": "unknown data",
        "embedded": False,
        "fingerprint": "",
        "summary": [],
        "scenes": {},
        "split": {"train": "?", "val": "?", "test": "?", "by_drive": False, "warning": ""},
    },
}
"""What a page needs to know of a sweep, and what stands in for what its manifest does not say."""


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


def read_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sweep's manifest, cleaned; what it lacks is as in FACTS."""
    return _with_defaults(clean_all(manifest), FACTS)


def whole(value: Any) -> int:
    """Return a positive whole number; 0 for anything else."""
    return value if type(value) is int and value > 0 else 0


def _with_defaults(found: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping with every default filled in; a value of another kind than its default is dropped."""
    facts = {**defaults, **found} if isinstance(found, Mapping) else dict(defaults)
    for key, default in defaults.items():
        if isinstance(default, dict) and default:
            facts[key] = _with_defaults(facts[key], default)
        elif isinstance(default, dict | list) and not isinstance(facts[key], type(default)):
            facts[key] = default
    return facts
