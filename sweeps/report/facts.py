"""What was read back -> facts: text without control characters, finite numbers, defaults for what is missing."""

from collections.abc import Mapping
from typing import Any

from sweeps.sanitize import clean_all

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


def read_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sweep's manifest, cleaned; what it lacks is as in FACTS."""
    return _with_defaults(clean_all(manifest), FACTS)


def _with_defaults(found: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping with every default filled in; a value of another kind than its default is dropped."""
    facts = {**defaults, **found} if isinstance(found, Mapping) else dict(defaults)
    for key, default in defaults.items():
        if isinstance(default, dict) and default:
            facts[key] = _with_defaults(facts[key], default)
        elif isinstance(default, dict | list) and not isinstance(facts[key], type(default)):
            facts[key] = default
    return facts
