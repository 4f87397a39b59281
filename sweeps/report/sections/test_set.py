"""Report test figures, and how often the sealed test set was opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from bddseg.words import count
from sweeps.formatting import write_when
from sweeps.report.gather import Entry, Report
from sweeps.report.holdout import HoldoutScores
from sweeps.report.section import Section


@dataclass(frozen=True)
class HoldoutRow:
    """One trial on the test set."""

    holdout: HoldoutScores
    entry: Entry | None
    """As the report lists it; None for a trial of the screening that is no finalist."""


@dataclass(frozen=True)
class HoldoutTable:
    """The trials with test figures, the best on validation first."""

    rows: tuple[HoldoutRow, ...]
    images: Mapping[str, int]


def build_section(report: Report) -> Section:
    """Return the figures of the trials that the test set was opened for."""
    opened = report.test.opened
    rows = tuple(
        HoldoutRow(holdout, report.trial(holdout.trial_id) or report.find(holdout.trial_id)) for holdout in opened
    )
    images = rows[0].holdout.scores.images if rows else dict.fromkeys(report.task.group_names, 0)
    is_alarm = report.test.is_all or any("NOT be recorded" in note for note in report.test.notes)
    return Section("test_set", "Test set", _say(report), data=HoldoutTable(rows, images), is_alarm=is_alarm)


def _say(report: Report) -> str:
    times = _say_times(report)
    if not report.test.opened:
        return f"No test figures are shown. {times}".strip()
    if report.test.is_all:
        return (
            "The test set was opened for all trials, as --reveal-test all asked, to reproduce earlier figures: "
            f"a choice based on them leaves no unseen test set. {times}"
        )
    whose = " of the screened weights" if report.is_confirmation else ""
    return (
        f"The test set was opened after the verdict was final, only for the leader, settings tied with it, the "
        f"recommended setting and the reference; these figures{whose} do not affect the verdict. {times}"
    )


def _say_times(report: Report) -> str:
    openings = report.test.openings
    if not openings:
        return "The test set of this sweep has never been opened." if not report.test.opened else ""
    widest = max(opening.trials for opening in openings)
    if len(openings) == 1:
        return f"It was opened once, on {write_when(openings[0].when)}, for {count(widest, 'trial')}."
    times = count(len(openings), "time")
    first = write_when(openings[0].when)
    return f"It was opened {times}, first on {first}, for at most {count(widest, 'trial')} at a time."
