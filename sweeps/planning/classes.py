"""The classes of a sweep: `data.classes` resolved against the description of its dataset, before trials are hashed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bddseg.config import TrainConfig
from bddseg.data.description import ALL, MOST_CLASSES, TOP, Description, Merged, write_selection
from bddseg.data.drives import BDD100K
from bddseg.errors import DataError
from bddseg.words import count
from sweeps.planning.experiment import Experiment

CLASSES, DRIVES = "data.classes", "data.drive_pattern"

LEAST = 2
"""Classes that a network needs to tell apart."""

PixelCounts = Callable[[TrainConfig], np.ndarray]
"""Returns the training pixels of each class of the description, split as the settings say."""


def follow_description(experiment: Experiment, description: Description, count_pixels: PixelCounts) -> Experiment:
    """Return the experiment with the task of a dataset: classes, groups, and the rule that finds drives.

    Args:
        experiment: a space under its profile.
        description: of the dataset.
        count_pixels: called where the most frequent classes are asked for.

    Raises:
        DataError: when a class is unknown, or there are fewer than two or too many.
    """
    if not experiment.base.data.drive_pattern and description.drive not in ("", BDD100K):
        experiment = replace(experiment, base=experiment.base.with_overrides({DRIVES: description.drive}))
    selection = resolve_selection(experiment.base, description, count_pixels)
    task = description.task(selection)
    if len(task.classes) < LEAST:
        named = f", {task.classes[0]}" if task.classes else ""
        number = f"{count(len(task.classes), 'class', 'classes')}{named}"
        if not selection:
            raise DataError(f"dataset {description.name} has {number}, but must have {LEAST} or more")
        raise DataError(
            f"{CLASSES} {selection!r} gives {number} of dataset {description.name}, but must give {LEAST} or more"
        )
    if len(task.classes) > MOST_CLASSES:
        raise DataError(
            f"dataset {description.name} has {len(task.classes)} classes, but at most {MOST_CLASSES} can be trained: "
            f"choose some, such as {CLASSES}=top:20"
        )
    return replace(experiment, base=experiment.base.with_overrides({CLASSES: selection}), task=task)


def resolve_selection(base: TrainConfig, description: Description, count_pixels: PixelCounts) -> str:
    """Return the selection of settings as it is recorded: the classes by name, or "" where they are the default.

    Raises:
        DataError: for an unknown class.
    """
    selection = base.data.classes
    top = TOP.fullmatch(selection)
    if top:
        return _written(most_frequent(description, count_pixels(base), int(top.group(1))), description)
    return _written(description.chosen(selection), description)


def most_frequent(description: Description, pixels: np.ndarray, number: int) -> tuple[Merged, ...]:
    """Return the classes with the most pixels, in the order of the description.

    Shape:
        pixels: (classes of the description,).

    Raises:
        DataError: when the description has fewer classes.
    """
    classes = description.chosen(ALL)
    if number > len(classes):
        raise DataError(f"{CLASSES} 'top:{number}': dataset {description.name} has {len(classes)} classes only")
    chosen = sorted(np.argsort(-pixels, kind="stable")[:number])
    return tuple(classes[index] for index in chosen)


def _written(chosen: tuple[Merged, ...], description: Description) -> str:
    if chosen == description.chosen():
        return ""
    return write_selection(chosen)
