"""Repeat the verdict without the images whose labels are most suspect: does the leader survive?"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bddseg.evidence import Evidence
from sweeps.errors import NothingFinishedError
from sweeps.statistics.results import Candidate, Finalist, Verdict
from sweeps.storage.suspects import SHARE, RecordedSuspect, read_suspects

Judge = Callable[[Sequence[Any]], Verdict]
"""The arithmetic of the verdict, with the terms of the report."""


@dataclass(frozen=True)
class WithoutSuspects:
    """The verdict without the most suspect images."""

    share: float
    basis: str
    """`out of fold` or `validation`: what the review of the labels was based on."""
    suspects: tuple[RecordedSuspect, ...]
    """The images that were left out, the most suspect first."""
    images: int
    """Images that remained."""
    verdict: Verdict
    leader: str
    """The leader of the verdict on all images."""

    @property
    def is_same_leader(self) -> bool:
        return self.verdict.leader == self.leader


def judge_without_suspects(
    record: Mapping[str, Any] | None,
    verdict: Verdict | None,
    entrants: Sequence[Candidate | Finalist],
    judge: Judge | None,
) -> WithoutSuspects | None:
    """Return the verdict without the most suspect images; None without a record of them on the same frames.

    Args:
        record: the content of `suspects.json`, as far as the sweep has it.
        verdict: on all images.
        entrants: what was compared, with its evidence.
        judge: the arithmetic that decided the verdict.
    """
    reviewed = read_suspects(record)
    if reviewed is None or verdict is None or judge is None or not entrants:
        return None
    evidence = [each for entrant in entrants for each in _evidence(entrant)]
    judged_names = {name for each in evidence for name in each.names}
    if any(each.fingerprint != reviewed.fingerprint for each in evidence):
        return None
    left_out = tuple(suspect for suspect in reviewed.most_suspect() if suspect.name in judged_names)
    names = {suspect.name for suspect in left_out}
    if not names or not judged_names - names:
        return None
    try:
        repeated = judge([_without(entrant, names) for entrant in entrants])
    except NothingFinishedError:
        return None
    return WithoutSuspects(SHARE, reviewed.basis, left_out, len(judged_names - names), repeated, verdict.leader)


def describe_survival(without: WithoutSuspects, names: Mapping[str, str]) -> str:
    """Return in one sentence whether the leader survives; `names` by id."""
    number = len(without.suspects)
    images = "most suspect image" if number == 1 else f"{number} most suspect images"
    new = names.get(without.verdict.leader, without.verdict.leader)
    ends = {
        "leader": "ahead of all others",
        "winner": "the winner",
        "tie": "in a tie",
        "undecided": "with the verdict undecided",
    }
    how = ends.get(without.verdict.outcome, without.verdict.outcome)
    if without.is_same_leader:
        return f"Without the {images} the leader stays {new}, {how}."
    old = names.get(without.leader, without.leader)
    return f"Without the {images} the leader is {new} in place of {old}, {how}."


def _evidence(entrant: Candidate | Finalist) -> tuple[Evidence, ...]:
    if isinstance(entrant, Finalist):
        return entrant.runs
    return (entrant.evidence,) if entrant.evidence else ()


def _without(entrant: Candidate | Finalist, names: Collection[str]) -> Candidate | Finalist:
    if isinstance(entrant, Finalist):
        return replace(entrant, runs=tuple(_select(run, names) for run in entrant.runs))
    return replace(entrant, evidence=_select(entrant.evidence, names) if entrant.evidence else None)


def _select(evidence: Evidence, left_out: Collection[str]) -> Evidence:
    """Return the evidence without the named images."""
    keep = np.asarray([name not in left_out for name in evidence.names], dtype=bool)
    rows = np.flatnonzero(keep).tolist()

    def words(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[row] for row in rows)

    return replace(
        evidence,
        names=words(evidence.names),
        attributes={name: words(values) for name, values in evidence.attributes.items()},
        drives=words(evidence.drives) if evidence.drives else (),
        counts=evidence.counts[keep],
        ignored=evidence.ignored[keep],
        boundary=None if evidence.boundary is None else evidence.boundary[keep],
    )
