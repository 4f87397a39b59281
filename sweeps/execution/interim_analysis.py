"""Interim analysis after each round of a confirmation: the finalists in question, by the sweep's own evidence."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence
from bddseg.words import count
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.reuse import EVIDENCE
from sweeps.statistics.results import Finalist
from sweeps.statistics.rounds import Rounds
from sweeps.statistics.verdict import confirm
from sweeps.storage.events import Artifact, Event
from sweeps.storage.records import finalist_name
from sweeps.storage.tags import FINALIST
from sweeps.storage.trial_history import TrialHistory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InterimResult:
    """The result of an interim analysis."""

    runs: int
    """Number of runs of each finalist."""
    remaining: tuple[str, ...]
    """Finalists that are not excluded, the best first."""
    ending: str
    """Why no round follows: decided, close, runs or budget; "" when one does."""

    def sentence(self, names: Mapping[str, str]) -> str:
        """Return the result as a sentence."""
        after = f"after {count(self.runs, 'run')} of each"
        first, rivals = names[self.remaining[0]], len(self.remaining) - 1
        undecided = f"{rivals + 1} finalists cannot be distinguished"
        endings = {
            "decided": f"decided {after}: {first}",
            "close": f"decided {after}: {count(rivals, 'finalist')} surely within the margin of {first}",
            "runs": f"not decided {after}, {undecided}; more runs would hardly help",
            "budget": f"not decided {after}, {undecided}; another round would exceed the budget",
            "": f"{after}: {undecided}; another run of each",
        }
        return endings[self.ending]


def look(finalists: Sequence[Finalist], rounds: Rounds, *, draws: int = 10_000, seed: int = 0) -> InterimResult:
    """Return which finalists are still in question, by the report's own test; all must have the same number of runs.

    `draws` and `seed` are those of `sweeps.statistics.verdict.confirm`.

    Raises:
        NothingFinishedError: when no finalist has usable evidence.
    """
    level = rounds.level(max(len(finalist.runs) for finalist in finalists))
    verdict = confirm(finalists, margin=rounds.margin, folds=rounds.folds, alpha=level, draws=draws, seed=seed)
    rivals = [rival for rival in verdict.rivals if rival.trial_id in verdict.tied[1:]]
    ending = ""
    if not rivals:
        ending = "decided"
    elif all(rival.is_surely_close for rival in rivals):
        ending = "close"
    elif verdict.runs >= rounds.most:
        ending = "runs"
    return InterimResult(verdict.runs, verdict.tied, ending)


def finalists_so_far(plan: Plan, events: Iterable[Event], past: Mapping[str, TrialHistory]) -> list[Finalist]:
    """Return the finalists with the most runs, each with the evidence of every run; one that lacks some is left out.

    Finalists that were excluded after an earlier round have fewer runs.
    """
    artifacts = [event for event in events if isinstance(event, Artifact)]
    paths = {artifact.trial: artifact.path for artifact in artifacts if artifact.path.name == EVIDENCE}
    runs: dict[str, list[PlannedTrial]] = {}
    for trial in plan.trials:
        runs.setdefault(trial.tags[FINALIST], []).append(trial)
    most = max(map(len, runs.values()))
    return [
        Finalist(
            finalist_id=finalist_id,
            runs=evidence,
            is_reference=finalist_runs[0].is_reference,
            name=finalist_name(finalist_runs[0].name),
            curves=tuple(_curve(past.get(run.trial_id, TrialHistory()), run.epochs) for run in finalist_runs),
        )
        for finalist_id, finalist_runs in runs.items()
        if len(finalist_runs) == most and len(evidence := tuple(_read(finalist_runs, paths))) == most
    ]


def _read(runs: Sequence[PlannedTrial], paths: Mapping[str, Path]) -> Iterable[Evidence]:
    for run in runs:
        try:
            if run.trial_id in paths:
                yield load_evidence(paths[run.trial_id])
        except DataError as error:
            log.warning("%s is not compared: %s", run.name, error)


def _curve(past: TrialHistory, epochs: int) -> tuple[float, ...]:
    values = past.usable()
    return tuple(values.get(epoch, math.nan) for epoch in range(1, epochs + 1))
