"""Report whether the leader survives without the images whose labels are most suspect."""

from dataclasses import dataclass

from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.without_suspects import describe_survival
from sweeps.sanitize import clean
from sweeps.statistics.results import Verdict
from sweeps.storage.suspects import RecordedSuspect

SHOWN = 5
"""Suspect images that are listed."""

MOST_RIVALS = 5


@dataclass(frozen=True)
class RivalRow:
    """One setting, on all images and without the most suspect ones; differences are to the leader of each."""

    name: str
    everywhere: float | None
    remaining: float | None
    everywhere_behind: float | None
    remaining_behind: float | None


@dataclass(frozen=True)
class Survival:
    """The data of the section's template."""

    basis: str
    share: float
    images: int
    """Images that remained."""
    sentence: str
    """The verdict without the suspect images."""
    rows: tuple[RivalRow, ...]
    suspects: tuple[RecordedSuspect, ...]
    more: int
    """Further images that were left out."""


def build_section(report: Report) -> Section | None:
    """Return how the verdict changes; None where no suspects are recorded with the sweep."""
    without = report.without_suspects
    if without is None or report.verdict is None:
        return None
    names = {entry.trial_id: entry.name for entry in report.settings}
    basis = "images that the models did not train on" if without.basis == "out of fold" else "the validation part"
    survival = Survival(
        basis=basis,
        share=without.share,
        images=without.images,
        sentence=describe_survival(without, names),
        rows=_rows(report.verdict, without.verdict, names),
        suspects=tuple(_cleaned(suspect) for suspect in without.suspects[:SHOWN]),
        more=max(0, len(without.suspects) - SHOWN),
    )
    title = "Without suspect labels"
    return Section("suspects", title, survival.sentence, data=survival, is_alarm=not without.is_same_leader)


def _rows(everywhere: Verdict, remaining: Verdict, names: dict[str, str]) -> tuple[RivalRow, ...]:
    """Return the best settings of either verdict, in the order of the verdict on all images."""
    first, second = ({rival.trial_id: rival for rival in verdict.rivals} for verdict in (everywhere, remaining))
    best = {*list(first)[:MOST_RIVALS], *list(second)[:MOST_RIVALS]}
    return tuple(
        RivalRow(
            name=names.get(trial_id, trial_id),
            everywhere=first[trial_id].score.estimate,
            remaining=second[trial_id].score.estimate if trial_id in second else None,
            everywhere_behind=first[trial_id].difference.estimate,
            remaining_behind=second[trial_id].difference.estimate if trial_id in second else None,
        )
        for trial_id in first
        if trial_id in best
    )


def _cleaned(suspect: RecordedSuspect) -> RecordedSuspect:
    return RecordedSuspect(clean(suspect.name), suspect.score, suspect.reason)
