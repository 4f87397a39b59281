"""Which models of a recorded sweep can review which images: those that they did not train on, test part excluded.

A confirmation has runs on folds, so that every image of train and validation is reviewed; a screening has its
validation part only. The test part stays sealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.task import Task
from bddseg.words import count
from sweeps.errors import ExperimentError, ModelError
from sweeps.planning.dataset import Dataset
from sweeps.registry.weights import WEIGHTS
from sweeps.sanitize import clean
from sweeps.statistics.scores import rank, score
from sweeps.storage.records import SweepRecord, TrialRow, finalist_name
from sweeps.storage.tags import CONFIRMS

OUT_OF_FOLD, VALIDATION = "out of fold", "validation"


class WeightsIndex(Protocol):
    """The method that is needed of the tracking store."""

    def has_artifact(self, row: TrialRow, name: str) -> bool: ...


@dataclass(frozen=True)
class Reviewer:
    """A model and the images that it reviews."""

    row: TrialRow
    config: TrainConfig
    images: tuple[int, ...]
    """Positions in the frames; the model did not train on them."""


@dataclass(frozen=True)
class Reviewers:
    """The models of a sweep that review its labels."""

    reviewers: tuple[Reviewer, ...]
    basis: str
    """OUT_OF_FOLD or VALIDATION."""
    open_images: int
    """Images of train and validation."""
    task: Task
    """The classes of the models, in the order of their outputs."""
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.task.classes

    @property
    def images(self) -> tuple[int, ...]:
        """Return the positions of all images that are reviewed, in order."""
        return tuple(sorted({image for reviewer in self.reviewers for image in reviewer.images}))

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the names of the settings or finalists, the best first."""
        names = (clean(finalist_name(reviewer.row.name)) for reviewer in self.reviewers)
        return tuple(dict.fromkeys(names))

    def sentence(self) -> str:
        """Return who reviews what."""
        models = f"{count(len(self.reviewers), 'model')} of {count(len(self.settings), 'setting')}"
        if self.basis == OUT_OF_FOLD:
            return f"{models}, each on the fold that it did not see: {len(self.images)} of {self.open_images} images"
        return (
            f"{models} on the validation part only, {len(self.images)} of {self.open_images} images: a confirmation "
            "reviews all of them"
        )


def choose_rows(record: SweepRecord, store: WeightsIndex, top: int) -> tuple[TrialRow, ...]:
    """Return the trials that review, those of the best setting first.

    Args:
        record: the sweep.
        store: knows which weights are kept.
        top: how many settings, or finalists, review at most.

    Raises:
        ModelError: when no weights are kept.
    """
    completed = [row for row in rank(record.trials) if row.is_completed]
    groups = _by_setting(completed)
    kept = {row.trial_id for row in completed if store.has_artifact(row, WEIGHTS)}
    chosen = [rows for rows in groups if kept & {row.trial_id for row in rows}][:top]
    rows = tuple(row for rows in chosen for row in rows if row.trial_id in kept)
    if not rows:
        raise ModelError(
            f"{record.sweep_id} keeps the weights of none of its {count(len(completed), 'completed trial')}, so that "
            "nothing can review its labels: run it again, --keep-weights all keeps every trial's"
        )
    return rows


def assign_images(record: SweepRecord, rows: Sequence[TrialRow], material: Dataset) -> Reviewers:
    """Return each model with the images of its validation part, or fold.

    Raises:
        ExperimentError: when settings are not of this version.
    """
    configs = [read_config(record, row) for row in rows]
    reviewers = tuple(
        Reviewer(row, config, images)
        for row, config in zip(rows, configs, strict=True)
        if (images := material.split_for(config.data).val)
    )
    is_confirmation = CONFIRMS in record.tags or bool(record.manifest.get("confirmation"))
    basis = OUT_OF_FOLD if is_confirmation else VALIDATION
    open_images = len(material.split.train) + len(material.split.val)
    assigned = Reviewers(reviewers, basis, open_images, material.task)
    missing = open_images - len(assigned.images)
    if not is_confirmation or not missing:
        return assigned
    note = (
        f"{count(missing, 'image')} of {open_images} are in folds of which no weights are kept, and are not reviewed: "
        "confirm again with --keep-weights all"
    )
    return replace(assigned, notes=(note,))


def _by_setting(rows: Sequence[TrialRow]) -> list[list[TrialRow]]:
    """Return the runs of each setting or finalist, the best mean first."""
    groups: dict[str, list[TrialRow]] = {}
    for row in rows:
        groups.setdefault(row.finalist or row.setting or row.trial_id, []).append(row)
    return sorted(groups.values(), key=lambda group: -fmean(map(score, group)))


def read_config(record: SweepRecord, row: TrialRow) -> TrainConfig:
    """Return the settings of a trial.

    Raises:
        ExperimentError: when they are not of this version.
    """
    try:
        return TrainConfig.from_record(row.settings)
    except ConfigError as error:
        raise ExperimentError(f"{record.sweep_id}, trial {clean(row.name)}: {error}") from error
