"""Plan of a sweep: its distinct trials in their order, with rungs and replicates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bddseg.config import TrainConfig
from bddseg.task import FIVE_CLASSES, Task
from bddseg.words import count
from sweeps.statistics.rounds import Rounds
from sweeps.storage.sweep_json import SETTINGS, count_replicates
from sweeps.storage.tags import FINALIST, REPLICATE_OF

FINALISTS = 4
"""Number of best trials that are finalists, besides the reference and the best of each model."""

SEED = "train.seed"


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration to be trained."""

    trial_id: str
    """The configuration's digest: equal settings are the same trial, in every sweep."""
    name: str
    config: TrainConfig
    point: Mapping[str, Any]
    """Value on each axis."""
    is_reference: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    """Additional tags of its run."""

    @property
    def epochs(self) -> int:
        """Return the budget of the trial."""
        return self.config.train.epochs

    def replicate(self, number: int) -> "PlannedTrial":
        """Return the same setting with the seed raised by `number`."""
        seed = self.config.train.seed + number
        config = self.config.with_overrides({SEED: seed})
        name, point = f"{self.name} seed={seed}", {**self.point, SEED: seed}
        return PlannedTrial(config.digest(), name, config, point, False, {REPLICATE_OF: self.trial_id})

    @property
    def is_replicate(self) -> bool:
        """Whether it is an extra seed of a setting, added when the other trials had ended."""
        return REPLICATE_OF in self.tags

    @property
    def settings(self) -> dict[str, Any]:
        return self.config.flat()


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep in starting order: the reference first, the others shuffled by seed."""

    trials: tuple[PlannedTrial, ...]
    rungs: tuple[int, ...]
    epochs: int
    """Budget of each trial; the largest where they differ."""
    grid_points: int
    """Number of points before settings without effect were folded and `limit` was applied."""
    reduction: int = 3
    """At each rung about one in this many trials passes."""
    samples: int = 0
    """Total of trials, without replicates, where some are suggested while others run; 0 where all are known."""
    replicates: int = 0
    """Extra seeds of each of the best settings, added when all other trials have ended."""
    rounds: Rounds | None = None
    """Rounds of a confirmation to which runs are added until it is decided."""
    task: Task = FIVE_CLASSES
    """The classes that every trial predicts."""

    @property
    def classes(self) -> int:
        """Return the number of outputs of every network."""
        return len(self.task.classes)

    @property
    def epochs_in_all(self) -> int:
        """Return the epochs of all trials if none is stopped early."""
        return sum(trial.epochs for trial in self.trials) + self.to_follow * self.epochs

    @property
    def originals(self) -> tuple[PlannedTrial, ...]:
        """Return the trials without the replicates."""
        return tuple(trial for trial in self.trials if not trial.is_replicate)

    @property
    def to_come(self) -> int:
        """Return the number of trials that are still to be suggested."""
        return max(0, self.samples - len(self.originals))

    @property
    def to_replicate(self) -> int:
        """Return the number of replicates still to be added, if enough settings complete."""
        return count_replicates(
            self.replicates, len(self.trials) + self.to_come, len(self.trials) - len(self.originals)
        )

    @property
    def to_follow(self) -> int:
        """Return the number of trials that are not known yet."""
        return self.to_come + self.to_replicate

    def replicas(self, best: Sequence[str]) -> tuple[PlannedTrial, ...]:
        """Return the replicates that are still to be added: the first seed of each best setting, then the next one.

        Args:
            best: ids of the completed trials, the best first.
        """
        trials = {trial.trial_id: trial for trial in self.trials}
        rounds = range(1, self.replicates + 1) if self.to_replicate else ()
        return tuple(trials[trial_id].replicate(number) for number in rounds for trial_id in best[:SETTINGS])

    def size_words(self) -> str:
        """Return the size as text: `8 trials, 20 epochs each`."""
        least = min(trial.epochs for trial in self.trials)
        epochs = count(self.epochs, "epoch")
        each = f"{epochs} each" if least == self.epochs else f"{least} to {epochs}"
        if self.rounds:
            return f"{count(len(self.trials), 'trial')} at first, {each}, more until it is decided"
        replicates = f" ({self.to_replicate} of them extra seeds of the best settings)" if self.to_replicate else ""
        return f"{count(len(self.trials) + self.to_follow, 'trial')}{replicates}, {each}"

    def with_trials(self, trials: Iterable[PlannedTrial]) -> "Plan":
        """Return the plan with more trials at its end."""
        return replace(self, trials=(*self.trials, *trials))


def most_kept(plan: Plan) -> int:
    """Return the largest number of trials that keep their weights.

    The best, the best of each model, the reference; in a confirmation also the leader on each fold.
    """
    models = {trial.config.model.name for trial in plan.trials}
    references = sum(trial.is_reference for trial in plan.trials)
    folds = {trial.config.data.fold for trial in plan.trials if FINALIST in trial.tags}
    return min(len(plan.trials), FINALISTS + len(models) - 1 + references + len(folds))
