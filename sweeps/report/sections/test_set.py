"""Report -> the figures of the sealed test part, and how often it was opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from bddseg.labels import GROUPS
from bddseg.words import count
from sweeps.formatting import write_when
from sweeps.report.gather import Entry, Report
from sweeps.report.holdout import HoldoutScores
from sweeps.report.section import Section


@dataclass(frozen=True)
class HoldoutRow:
    """One trial on the test part."""

    found: HoldoutScores
    entry: Entry | None
    """As the report lists it; None for a trial of the screening that is no finalist."""


@dataclass(frozen=True)
class HoldoutTable:
    """Who was opened, the best on validation first."""

    rows: tuple[HoldoutRow, ...]
    images: Mapping[str, int]


def build_section(report: Report) -> Section:
    """Return the test figures of those for whom the test part was opened."""
    opened = report.test.opened
    rows = tuple(HoldoutRow(found, report.trial(found.trial_id) or report.find(found.trial_id)) for found in opened)
    images = rows[0].found.scores.images if rows else dict.fromkeys(GROUPS, 0)
    is_alarm = report.test.is_all or any("NOT be recorded" in note for note in report.test.notes)
    return Section("test_set", "Test figures", _say(report), data=HoldoutTable(rows, images), is_alarm=is_alarm)


def _say(report: Report) -> str:
    times = _say_times(report)
    if not report.test.opened:
        return f"No test figures are shown. {times}".strip()
    if report.test.is_all:
        return (
            "All trials were revealed on the test part, as --reveal-test all asked, to reproduce earlier figures: "
            f"whoever chooses by them has no test part left. {times}"
        )
    whose = " of the screened weights" if report.is_confirmation else ""
    return (
        f"Opened last, after the verdict was settled, for the leader, those tied with it, the recommended setting and "
        f"the reference only; these figures{whose} choose nothing. {times}"
    )


def _say_times(report: Report) -> str:
    openings = report.test.openings
    if not openings:
        return "The test part of this sweep was never opened." if not report.test.opened else ""
    times = "once" if len(openings) == 1 else count(len(openings), "time")
    widest = max(opening.trials for opening in openings)
    return (
        f"So far it was opened {times}, first on {write_when(openings[0].when)}, for at most {count(widest, 'trial')}."
    )
