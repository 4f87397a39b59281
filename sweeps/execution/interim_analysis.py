"""After each round of a confirmation: who is still in question, by the evidence in the sweep's own folder."""

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
from sweeps.storage.events import Event
from sweeps.storage.records import finalist_name
from sweeps.storage.tags import FINALIST
from sweeps.storage.trial_history import TrialHistory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InterimResult:
    """What was seen after a round."""

    runs: int
    """Of each finalist that was looked at."""
    remaining: tuple[str, ...]
    """Finalists that are not excluded, the best first."""
    ending: str
    """Why no round follows: decided, close, runs or budget; empty where one does."""

    def sentence(self, names: Mapping[str, str]) -> str:
        """Return it in words."""
        after = f"after {count(self.runs, 'run')} of each"
        first, others = names[self.remaining[0]], len(self.remaining) - 1
        together = f"{others + 1} are not told apart"
        endings = {
            "decided": f"decided {after}: {first}",
            "close": f"decided {after}: {count(others, 'finalist')} surely within the margin of {first}",
            "runs": f"not decided {after}, {together}; more runs would hardly help",
            "budget": f"not decided {after}, {together}; another round would go beyond the budget",
            "": f"{after}: {together}; another run of each",
        }
        return endings[self.ending]


def look(finalists: Sequence[Finalist], rounds: Rounds, *, draws: int = 10_000, seed: int = 0) -> InterimResult:
    """Return who is still in question, all finalists having as many runs, as the report judges it.

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
    """Return the finalists that have the most runs, each with evidence of all of them; who lacks one is left out.

    Of who was excluded after an earlier round there are fewer runs.
    """
    paths = {event["trial"]: Path(event["path"]) for event in events if _is_evidence(event)}
    runs: dict[str, list[PlannedTrial]] = {}
    for trial in plan.trials:
        runs.setdefault(trial.tags[FINALIST], []).append(trial)
    most = max(map(len, runs.values()))
    return [
        Finalist(
            finalist_id=finalist_id,
            runs=evidence,
            is_reference=its[0].is_reference,
            name=finalist_name(its[0].name),
            curves=tuple(_curve(past.get(run.trial_id, TrialHistory()), run.epochs) for run in its),
        )
        for finalist_id, its in runs.items()
        if len(its) == most and len(evidence := tuple(_read(its, paths))) == most
    ]


def _is_evidence(event: Event) -> bool:
    return event.get("kind") == "artifact" and Path(event["path"]).name == EVIDENCE


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
