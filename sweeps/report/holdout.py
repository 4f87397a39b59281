"""Open the sealed test set for chosen trials, and record every opening on the sweep that owns it.

Records are tags of the sweep's run, one each, with a key of its own: none ever replaces another.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from sweeps.errors import TrackingError
from sweeps.report.seeds import EvidenceReader
from sweeps.sanitize import clean
from sweeps.statistics.results import Verdict
from sweeps.statistics.scores import Scores, score_evidence
from sweeps.storage.records import SweepRecord, TrialRow

TAG = "test.opened."
TIED_SHOWN = 10
"""Tied settings that the test set is opened for at most; opening it for all would defeat its purpose."""

NAMED = 20
"""Trials that a record names at most; it always has their number."""


@dataclass(frozen=True)
class HoldoutAccess:
    """One opening of the test set."""

    when: str
    why: str
    """The verdict that it followed, or --reveal-test all."""
    trials: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class HoldoutScores:
    """Test figures of one trial."""

    trial_id: str
    epoch: int
    """Of the weights."""
    scores: Scores


@dataclass(frozen=True)
class Holdout:
    """What a report shows of the test set."""

    __test__ = False
    opened: tuple[HoldoutScores, ...] = ()
    notes: tuple[str, ...] = ()
    openings: tuple[HoldoutAccess, ...] = ()
    """All so far, this one included, in order of time."""
    is_all: bool = False
    """Whether the test set was opened for all trials, on request."""


class HoldoutLog(Protocol):
    """The place where openings are recorded."""

    def write_tag(self, run_id: str, key: str, value: str) -> None: ...


def choose_trials(verdict: Verdict, reference: str | None) -> list[str]:
    """Return the trials that the test set is opened for: leader or winner, tied, recommended and reference."""
    tied = verdict.tied[:TIED_SHOWN] if verdict.outcome == "tie" else ()
    return list(dict.fromkeys([verdict.leader, *tied, verdict.recommended, *([reference] if reference else [])]))


def open_test(
    record: SweepRecord,
    rows: Sequence[TrialRow],
    store: EvidenceReader,
    ledger: HoldoutLog,
    *,
    why: str,
    when: str,
    is_all: bool,
) -> Holdout:
    """Record the opening on the sweep, then open the test evidence of these trials of it.

    An opening that cannot be recorded does not happen: the test set stays sealed, and a note reports it.

    Args:
        record: the sweep that owns the test set.
        rows: its trials for which it is opened.
        store: reads the evidence.
        ledger: records the opening.
        why: the verdict that the opening follows, or the option that asked for it.
        when: the time of the report.
        is_all: whether all trials are opened.
    """
    names = tuple(clean(row.name) for row in rows)
    opening = HoldoutAccess(when, why, len(rows), names[:NAMED])
    failure = record_opening(record.run_id, opening, ledger)
    if failure:
        return Holdout(notes=(failure,), openings=read_openings(record.tags))
    notes, opened = [], []
    answers = store.read_evidence(rows, "test")
    for row, name in zip(rows, names, strict=True):
        evidence = _usable(answers.get(row.trial_id), record)
        if isinstance(evidence, str):
            notes.append(f"{name}: {evidence}")
        else:
            opened.append(HoldoutScores(clean(row.trial_id), evidence.epoch, score_evidence(evidence)))
    return Holdout(tuple(opened), tuple(notes), (*read_openings(record.tags), opening), is_all)


def record_opening(run_id: str, opening: HoldoutAccess, ledger: HoldoutLog) -> str:
    """Record an opening on the run of the sweep that owns the test set; return "" or an error message."""
    try:
        ledger.write_tag(run_id, *_tag(opening))
    except TrackingError as error:
        return f"The test set stays sealed: its opening could NOT be recorded on the sweep ({clean(error)})."
    return ""


def read_openings(tags: Mapping[str, str]) -> tuple[HoldoutAccess, ...]:
    """Return the openings that a sweep's tags record; an unreadable one still counts."""
    openings = [_read_opening(value) for key, value in sorted(tags.items()) if key.startswith(TAG)]
    return tuple(sorted(openings, key=lambda opening: opening.when))


def _tag(opening: HoldoutAccess) -> tuple[str, str]:
    value = json.dumps(
        {"when": opening.when, "why": opening.why, "trials": opening.trials, "names": list(opening.names)}
    )
    return f"{TAG}{re.sub('[^0-9A-Za-z]', '', opening.when)}-{hashlib.sha256(value.encode()).hexdigest()[:6]}", value


def _read_opening(value: str) -> HoldoutAccess:
    try:
        record = json.loads(value)
    except ValueError:
        record = None
    record = record if isinstance(record, dict) else {}
    names, number = record.get("names"), record.get("trials")
    return HoldoutAccess(
        when=clean(record.get("when", "at an unknown time")),
        why=clean(record.get("why", "unknown")),
        trials=number if type(number) is int else 0,
        names=tuple(map(clean, names)) if isinstance(names, list) else (),
    )


def _usable(evidence: Evidence | DataError | None, record: SweepRecord) -> Evidence | str:
    """Return the evidence, or the reason why there is none to show."""
    if isinstance(evidence, DataError):
        return f"its test evidence is damaged: {clean(evidence)}."
    if evidence is None:
        return "it left no test evidence, so there is no test figure."
    fingerprint = record.data.get("fingerprint")
    if fingerprint and evidence.fingerprint != fingerprint:
        return f"its test evidence is of other frames ({clean(evidence.fingerprint)}), so it is not shown."
    return evidence
