"""Several sweeps' reports -> their leaders side by side, on the same images where they were measured on the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.errors import ComparisonError
from sweeps.report.gather import Entry, Report
from sweeps.report.latency import Latency
from sweeps.report.wording import write_when
from sweeps.sections.classes import Column, score_images
from sweeps.statistics.findings import Candidate, Rival, Verdict
from sweeps.verdict import screen


@dataclass(frozen=True)
class Contender:
    """The leader or winner of one sweep."""

    report: Report
    title: str
    """How the sweep is called: as no other one here."""
    entry: Entry
    column: Column
    """Its figures on the validation part."""
    rival: Rival | None
    """What the comparison says; None where its images are others."""
    left_out: str
    """Why it is not compared with the others, where it is not."""
    latency: Latency


@dataclass(frozen=True)
class Comparison:
    """Sweeps side by side."""

    contenders: tuple[Contender, ...]
    """The highest validation mIoU first."""
    verdict: Verdict | None
    """Over those measured on the same images; None where there are fewer than two."""
    made: str

    @property
    def title(self) -> str:
        """Return the names of all; of sweeps of one space, how many there are."""
        spaces = list(dict.fromkeys(str(it.report.facts["space"]) or it.title for it in self.contenders))
        return ", ".join(spaces) if len(spaces) > 1 else f"{spaces[0]}, {len(self.contenders)} sweeps"


def build_comparison(reports: Sequence[Report]) -> Comparison:
    """Return the comparison of at least two sweeps on the same data.

    Raises:
        ComparisonError: when they used different data; each is named with its fingerprint.
    """
    check_data(reports)
    titles = name_sweeps(reports)
    known = {report.sweep_id: report for report in reports if report.leader.trial_id in report.evidence}
    verdict = _compare(list(known.values()), titles) if len(known) > 1 else None
    rivals = {rival.trial_id: rival for rival in verdict.rivals} if verdict else {}
    left_out = dict(verdict.left_out) if verdict else {}
    if len(rivals) < 2:
        verdict, rivals = None, {}
    found = [_contender(report, titles, rivals, left_out) for report in reports]
    ordered = sorted(found, key=lambda it: -(it.entry.scores.miou or -math.inf))
    return Comparison(tuple(ordered), verdict, max(report.made for report in reports))


def name_sweeps(reports: Sequence[Report]) -> dict[str, str]:
    """Return what each sweep is called, by its id: its space; if others are called so too, with its start or its id."""
    spaces = {report.sweep_id: _space(report) for report in reports}
    started = {report.sweep_id: write_when(report.facts["started"]).removesuffix(" UTC") for report in reports}
    dated = {name: f"{space} of {started[name]}" if started[name] else name for name, space in spaces.items()}
    named = dict(spaces)
    for names in (dated, {name: name for name in spaces}):
        taken = list(named.values())
        named = {name: names[name] if taken.count(title) > 1 else title for name, title in named.items()}
    return named


def check_data(reports: Sequence[Report]) -> None:
    """Refuse sweeps on different data.

    Raises:
        ComparisonError: with each sweep, the root of its data and their fingerprint.
    """
    prints: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        data = report.facts["data"]
        prints.setdefault((str(data["fingerprint"]), str(data["root"])), []).append(report.sweep_id)
    if len({print_ for print_, _ in prints}) > 1:
        named = "; ".join(
            f"{', '.join(ids)} on {root} ({print_ or 'no fingerprint'})" for (print_, root), ids in prints.items()
        )
        raise ComparisonError(f"these sweeps used different data, so their figures do not compare: {named}")


def _space(report: Report) -> str:
    space = str(report.facts["space"]) or report.sweep_id
    return f"{space}, confirmed" if report.is_confirmation else space


def _compare(reports: Sequence[Report], titles: Mapping[str, str]) -> Verdict:
    """Return the verdict over the leaders, by the margins of their reports."""
    margins = reports[0].margins
    candidates = [_candidate(report, titles) for report in reports]
    return screen(candidates, margin=margins.score, scene_margin=margins.scenes)


def _candidate(report: Report, titles: Mapping[str, str]) -> Candidate:
    leader = report.leader
    latency = report.speed.of(leader.trial_id)
    return Candidate(
        trial_id=report.sweep_id,
        evidence=report.evidence[leader.trial_id],
        latency_ms=latency.batch_1_ms,
        parameters=latency.parameters,
        name=f"{leader.name} ({titles[report.sweep_id]})",
    )


def _contender(
    report: Report, titles: Mapping[str, str], rivals: Mapping[str, Rival], left_out: Mapping[str, str]
) -> Contender:
    leader = report.leader
    evidence = report.evidence.get(leader.trial_id)
    column = Column(leader.name, None, leader.scores.miou, leader.scores.iou)
    return Contender(
        report=report,
        title=titles[report.sweep_id],
        entry=leader,
        column=score_images(evidence, None, leader.name) if evidence is not None else column,
        rival=rivals.get(report.sweep_id),
        left_out=left_out.get(report.sweep_id, "" if evidence is not None else "it has no evidence"),
        latency=report.speed.of(leader.trial_id),
    )
