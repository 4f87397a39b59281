"""The trials of a running sweep, and the ways in which trials join it: suggested, following from others, or reused."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bddseg.words import count
from sweeps.errors import StorageError
from sweeps.execution.follow_up import FollowUps
from sweeps.execution.progress import TrialTable
from sweeps.execution.spec import SweepSpec
from sweeps.notes import notes
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.reuse import Reused, is_same_budget, reuse_sentences, take_over
from sweeps.schedulers.scheduler import Scheduler
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.events import PARENT, Artifact, End, TrialEvent
from sweeps.storage.finished_trials import FinishedTrial, find_finished
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox
from sweeps.storage.trial_history import TrialHistory

if TYPE_CHECKING:
    from sweeps.planning.suggestions import Suggestions


@dataclass
class SweepTrials:
    """The plan, trial table and histories of a sweep, which all learn of a new trial together."""

    spec: SweepSpec
    sweep_id: str
    folder: SweepFolder
    plan: GrowingPlan
    outbox: Outbox
    checkpoints: Checkpoints
    past: dict[str, TrialHistory] = field(default_factory=dict)
    suggestions: "Suggestions | None" = None
    """The source of trials that are suggested while others run."""
    scheduler: Scheduler | None = None
    """The scheduler of the current pass."""

    def __post_init__(self) -> None:
        self.board = TrialTable(self.plan)
        self.follow_ups = FollowUps(self.plan, self.board, self.past, self.outbox)

    def recall(self, trials: Iterable[PlannedTrial] | None = None) -> None:
        """Restore table and histories of all trials, or of some, from the sweep's events."""
        trial_ids = self.plan.trials if trials is None else {trial.trial_id for trial in trials}
        histories: dict[str, TrialHistory] = {}
        for event in self.outbox.events(trial_ids):
            keep = self.plan.trials[event.trial].config.train.keep
            histories.setdefault(event.trial, TrialHistory(keep=keep)).add(event)
            self.board.apply(event)
        self.past.update(histories)

    def update_study(self, event: TrialEvent) -> None:
        """Record the end of a trial in the study."""
        if self.suggestions and isinstance(event, End):
            self.suggestions.catch_up()

    def add(self, trials: Sequence[PlannedTrial], **changes: Any) -> None:
        """Add trials to the sweep, and reuse those that other sweeps have trained; `changes` are of sweep.json.

        Raises:
            OSError: when sweep.json cannot be written; then nothing has changed.
        """
        path = self.plan.add(trials, **changes)
        for trial in trials:
            self.board.add(trial)
        if not self.spec.is_fresh:
            self._take_over(replace(self.plan.current, trials=tuple(trials)), whole_only=True)
        self.outbox.append(Artifact(PARENT, path))

    def add_follow_ups(self) -> bool:
        """Add the trials that follow from how the others ended; return whether there are any.

        Raises:
            OSError: when sweep.json cannot be written.
        """
        trials, changes = self.follow_ups.choose()
        if trials or changes:
            self.add(trials, **changes)
        return bool(trials)

    def reuse(self) -> None:
        """Take over the plan's trials that other sweeps in the storage folder have trained."""
        plan = self.plan.current
        for sentence in reuse_sentences(self._take_over(plan), len(plan.trials) + plan.to_follow):
            notes.info(sentence)

    @functools.cached_property
    def _finished_elsewhere(self) -> list[FinishedTrial]:
        return find_finished(self.spec.storage, but=self.folder.path)

    def _take_over(self, plan: Plan, *, whole_only: bool = False) -> list[Reused]:
        """Take over the trials of a plan that other sweeps have trained; return which they are."""
        finished = [trial for trial in self._finished_elsewhere if not whole_only or is_same_budget(trial, plan.epochs)]
        fingerprint = self.spec.material.frames.fingerprint
        reused = take_over(plan, finished, fingerprint, self.sweep_id, self.folder, self.checkpoints, self.outbox)
        if reused:
            self.recall(entry.trial for entry in reused)
        return reused

    def open_suggestions(self) -> None:
        """Start or continue suggesting trials, where the plan does not have all of them yet.

        Raises:
            StorageError: when the study's file cannot be read or written.
        """
        if not self.plan.current.samples:
            return
        from sweeps.planning.suggestions import Suggestions  # imports Optuna

        self.suggestions = Suggestions(self.spec.experiment, self.folder, self.plan, self.past)
        try:
            self.suggestions.catch_up()
        except OSError as error:
            path = error.filename or self.folder.path
            raise StorageError(f"{path} cannot be read or written: {error.strerror}") from error

    def next_suggestion(self) -> PlannedTrial | None:
        """Return a suggested trial that is to be trained, as a trial of the sweep; None when there are no more.

        The order makes an interrupt harmless: a suggestion is in the study's file, then in sweep.json, then the study
        records which trial it is. A resumed sweep continues from any of these states.

        Raises:
            OSError: when the sweep's folder cannot be written; the next call continues where this one failed.
        """
        while self.suggestions and (trial := self.suggestions.next()):
            self.add([trial])
            if self.scheduler:
                self.scheduler.add_trial(trial.trial_id, trial.config.model.name)
            self.suggestions.catch_up()
            if not self.suggestions.is_settled(trial.trial_id):
                return trial
        return None

    def close_plan(self) -> None:
        """Expect no further suggestions when the space has no more points."""
        plan = self.plan.current
        if self.suggestions and self.suggestions.is_exhausted and plan.to_come:
            notes.info(f"the space has no more points: {count(len(plan.trials), 'trial')} instead of {plan.samples}")
            self.plan.current = replace(plan, samples=len(plan.trials))
