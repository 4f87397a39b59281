"""Several sweeps' reports -> their leaders side by side, on the same images where they were measured on the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.errors import ComparisonError
from sweeps.report.gather import Entry, Report
from sweeps.report.latency import Latency
from sweeps.sections.classes import Column, score_images
from sweeps.statistics.findings import Candidate, Rival, Verdict
from sweeps.verdict import screen


@dataclass(frozen=True)
class Contender:
    """The leader or winner of one sweep."""

    report: Report
    entry: Entry
    column: Column
    """Its figures on the validation part."""
    rival: Rival | None
    """What the comparison says; None where its images are others."""
    left_out: str
    """Why it is not compared with the others, where it is not."""
    latency: Latency

    @property
    def title(self) -> str:
        """Return how the sweep is called: by its space, and as a confirmation where it is one."""
        space = str(self.report.facts["space"]) or self.report.sweep_id
        return f"{space}, confirmed" if self.report.is_confirmation else space


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
        """Return the names of all."""
        return ", ".join(dict.fromkeys(contender.title for contender in self.contenders))


def build_comparison(reports: Sequence[Report]) -> Comparison:
    """Return the comparison of at least two sweeps on the same data.

    Raises:
        ComparisonError: when they used different data; each is named with its fingerprint.
    """
    check_data(reports)
    known = {report.sweep_id: report for report in reports if report.leader.trial_id in report.evidence}
    verdict = _compare(list(known.values())) if len(known) > 1 else None
    rivals = {rival.trial_id: rival for rival in verdict.rivals} if verdict else {}
    left_out = dict(verdict.left_out) if verdict else {}
    if len(rivals) < 2:
        verdict, rivals = None, {}
    found = [_contender(report, rivals, left_out) for report in reports]
    ordered = sorted(found, key=lambda it: -(it.entry.scores.miou or -math.inf))
    return Comparison(tuple(ordered), verdict, max(report.made for report in reports))


def check_data(reports: Sequence[Report]) -> None:
    """Refuse sweeps on different data.

    Raises:
        ComparisonError: with each sweep and its fingerprint.
    """
    prints: dict[str, list[str]] = {}
    for report in reports:
        prints.setdefault(str(report.facts["data"]["fingerprint"]), []).append(report.sweep_id)
    if len(prints) > 1:
        named = "; ".join(f"{', '.join(ids)} on {print_ or 'unknown data'}" for print_, ids in prints.items())
        raise ComparisonError(f"these sweeps used different data, so their figures do not compare: {named}")


def _compare(reports: Sequence[Report]) -> Verdict:
    """Return the verdict over the leaders, by the margins of their reports."""
    margins = reports[0].margins
    return screen([_candidate(report) for report in reports], margin=margins.score, scene_margin=margins.scenes)


def _candidate(report: Report) -> Candidate:
    leader = report.leader
    latency = report.speed.of(leader.trial_id)
    return Candidate(
        trial_id=report.sweep_id,
        evidence=report.evidence[leader.trial_id],
        latency_ms=latency.batch_1_ms,
        parameters=latency.parameters,
        name=f"{report.facts['space'] or report.sweep_id}: {leader.name}",
    )


def _contender(report: Report, rivals: Mapping[str, Rival], left_out: Mapping[str, str]) -> Contender:
    leader = report.leader
    evidence = report.evidence.get(leader.trial_id)
    column = Column(leader.name, None, leader.scores.miou, leader.scores.iou)
    return Contender(
        report=report,
        entry=leader,
        column=score_images(evidence, None, leader.name) if evidence is not None else column,
        rival=rivals.get(report.sweep_id),
        left_out=left_out.get(report.sweep_id, "" if evidence is not None else "it has no evidence"),
        latency=report.speed.of(leader.trial_id),
    )
