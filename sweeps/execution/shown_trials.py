"""A sweep that has ended -> the trials that are shown: leader, runner-up, reference, best attention net."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sweeps.execution.progress import TrialProgress, TrialTable
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.album import PanelTrial
from sweeps.storage.tags import FINALIST, RUN

GATES = "attention_unet"
VALIDATION = "validation"


@dataclass(frozen=True)
class ShownTrial:
    """A trial that is to be shown."""

    shown: PanelTrial
    checkpoint: Path
    """Folder with its best weights and its validation evidence."""
    is_painting: bool = True
    """Its predictions are shown, not only its attention."""


@dataclass(frozen=True)
class ShownTrials:
    """The trials to be shown, the leader first, and the images they are shown on."""

    trials: tuple[ShownTrial, ...]
    part: str
    """`validation`, or in a confirmation the fold: every run was judged on another one."""


def choose_exhibits(plan: Plan, board: TrialTable, checkpoints: Mapping[str, Path]) -> ShownTrials:
    """Return what can be shown: of the trials with a checkpoint, one that was stopped early too.

    In a confirmation each finalist is shown by its run of the same number, so that all are judged on the same images.
    """
    trials = {trial.trial_id: trial for trial in plan.trials}
    scored = [row for row in board.ranked() if row.is_scored]
    ranked = _finalists(scored, trials, checkpoints) or [row.trial_id for row in scored]
    roles = dict(zip(ranked, ("leader", "runner-up"), strict=False))
    for trial_id in ranked:
        if trials[trial_id].is_reference:
            roles.setdefault(trial_id, "reference")
    found = [
        ShownTrial(PanelTrial(trial_id, role), checkpoints[trial_id])
        for trial_id, role in roles.items()
        if trial_id in checkpoints
    ]
    gated = [trial_id for trial_id in ranked if trials[trial_id].config.model.name == GATES and trial_id in checkpoints]
    if found and gated and not any(trials[it.shown.trial_id].config.model.name == GATES for it in found):
        found.append(ShownTrial(PanelTrial(gated[0], "best attention net"), checkpoints[gated[0]], is_painting=False))
    run = trials[ranked[0]].tags.get(RUN) if ranked else None
    return ShownTrials(tuple(found), f"the fold of run {run}" if run else VALIDATION)


def _finalists(
    rows: Sequence[TrialProgress], trials: Mapping[str, PlannedTrial], checkpoints: Mapping[str, Path]
) -> list[str]:
    """Return one run of each finalist, the best mean first: the leader's first run, and the others' of that number."""
    runs: dict[str, list[TrialProgress]] = {}
    for row in rows:
        if finalist := trials[row.trial_id].tags.get(FINALIST):
            runs.setdefault(finalist, []).append(row)
    order = sorted(runs.values(), key=lambda found: -fmean(row.best_miou for row in found))
    by_number = [
        {trials[row.trial_id].tags[RUN]: row.trial_id for row in found if row.trial_id in checkpoints}
        for found in order
    ]
    number = min(by_number[0], default="") if by_number else ""
    return [found[number] for found in by_number if number in found]
