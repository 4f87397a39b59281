"""Report failed trials by reason, with what they have in common and where their logs are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bddseg.words import count
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Section

MOST_SHOWN = 5
"""Trials listed per failure; the others can be unfolded."""


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed for the same reason."""

    reason: str
    detail: str
    """Of the first of them."""
    entries: tuple[Entry, ...]
    shared: Mapping[str, Any]
    """Values of varying settings that all of these trials have, and no other trial."""

    @property
    def shown(self) -> tuple[Entry, ...]:
        return self.entries[:MOST_SHOWN]

    @property
    def rest(self) -> tuple[Entry, ...]:
        return self.entries[MOST_SHOWN:]


def build_section(report: Report) -> Section | None:
    """Return the trials that failed, by reason; None when none did."""
    faults = build_faults(report)
    return Section("failures", "Failures", _say(report, faults), data=faults) if faults else None


def build_faults(report: Report) -> tuple[FailureGroup, ...]:
    """Return the failures by reason, the most frequent first; numbers and quoted names in details are ignored."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in report.trials:
        if entry.state == "failed":
            groups.setdefault((entry.stop_words, _kind(entry.stop_detail)), []).append(entry)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return tuple(FailureGroup(key[0], same[0].stop_detail, tuple(same), _shared(report, same)) for key, same in ordered)


def _kind(detail: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|-?\d+(\.\d+)?(e[+-]?\d+)?", "#", detail)


def _shared(report: Report, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the settings that only these trials have; none for a single trial, where it could be chance."""
    if len(entries) < 2:
        return {}
    ids = {entry.trial_id for entry in entries}
    remaining = [entry for entry in report.trials if entry.trial_id not in ids]
    alike = {key: entries[0].settings.get(key) for key in report.varying}
    return {
        key: value
        for key, value in alike.items()
        if all(entry.settings.get(key) == value for entry in entries)
        and all(entry.settings.get(key) != value for entry in remaining)
    }


def _say(report: Report, faults: Sequence[FailureGroup]) -> str:
    reasons = ", ".join(f"{len(fault.entries)} {fault.reason}" for fault in faults)
    failed = sum(len(fault.entries) for fault in faults)
    return f"{count(failed, 'trial')} of {len(report.trials)} failed and cannot lead: {reasons}."
