"""What the tests of sections share: trials and reports made by hand, without a store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweeps.report.entries import Entry, read_facts
from sweeps.report.gather import Report
from sweeps.statistics.scores import Scores
from sweeps.storage.outcomes import words_of

STATES = {"max_epochs": "finished", "plateau": "finished", "asha": "stopped", "": "running"}


def make_entry(
    name: str, score: float | None, settings: Mapping[str, Any], *, reason: str = "max_epochs", **changes: Any
) -> Entry:
    """A trial that rose to its score in ten epochs, unless a curve is given."""
    curve = changes.pop("curve", tuple((epoch, (score or 0.0) * epoch / 10) for epoch in range(1, 11)))
    usual: dict[str, Any] = {
        "rank": None,
        "trial_id": name,
        "run_id": f"run-{name}",
        "name": name,
        "digest": f"digest-{name}",
        "is_reference": False,
        "state": STATES.get(reason, "failed"),
        "settings": dict(settings),
        "scores": Scores(score, {}, {}, {}),
        "best_epoch": max((epoch for epoch, _ in curve), default=None),
        "epochs": max((epoch for epoch, _ in curve), default=0),
        "seconds": 6.0 * len(curve),
        "stop_reason": reason,
        "stop_words": words_of(reason) or reason or "running",
        "stop_detail": "",
        "log_file": f"logs/{name}.log",
        "curve": curve,
        "train_curve": curve,
    }
    return Entry(**{**usual, **changes})


def make_sweep(entries: Sequence[Entry], axes: Mapping[str, Any] | Sequence[str], **changes: Any) -> Report:
    """A report of the trials, ranked by their score; failed ones have no rank."""
    usable = [entry for entry in entries if entry.scores.miou is not None and entry.state != "failed"]
    best = sorted(usable, key=lambda entry: -(entry.scores.miou or 0.0))
    ranked = [replace(entry, rank=rank) for rank, entry in enumerate(best, 1)]
    trials = (*ranked, *(entry for entry in entries if entry not in usable))
    keys = list(dict.fromkeys([*axes, *(key for entry in trials for key in entry.settings)]))
    varying = [key for key in keys if len({repr(entry.settings.get(key)) for entry in trials}) > 1]
    facts = {"axes": axes if isinstance(axes, Mapping) else {key: [] for key in axes}, "command": "python tune_main.py"}
    usual: dict[str, Any] = {
        "sweep_id": "made-up",
        "run_id": "parent",
        "state": "finished",
        "facts": read_facts({**facts, **changes.pop("facts", {})}),
        "budget": 10,
        "rungs": (),
        "made": "",
        "trials": trials,
        "settings": (),
        "planned": len(trials),
        "varying": tuple(varying),
        "leader": ranked[0],
        "runner_up": ranked[1] if len(ranked) > 1 else None,
        "reference": next((entry for entry in trials if entry.is_reference), None),
        "gap": None,
        "check": None,
    }
    return Report(**{**usual, **changes})
