"""The data of a run as MLflow's dataset inputs: its train, validation and test part, each by name and fingerprint."""

from collections.abc import Iterator, Mapping
from typing import Any

from bddseg.config import DataSettings
from bddseg.data.split import Split, split_of
from sweeps.planning.dataset import Dataset


def describe_inputs(
    material: Dataset, split: Split | None = None, settings: DataSettings | None = None
) -> list[dict[str, Any]]:
    """Return the parts of the data that a run uses, as plain values for its first event.

    MLflow identifies a dataset by name and digest. The digest is the fingerprint of all frames, so that one search
    finds every run on them; the name says which part it is.

    Args:
        material: the data of the sweep.
        split: of the run; None for the usual one.
        settings: of the run, where it may use folds.
    """
    split, dataset = split or material.split, material.description.name
    fold = _fold(settings) if settings else ""
    names = {
        "train": f"{dataset} without {fold}" if fold else f"{dataset} train",
        "validation": f"{dataset} {fold}" if fold else f"{dataset} validation",
        "test": f"{dataset} test",
    }
    images = {"train": len(split.train), "validation": len(split.val), "test": len(split.test)}
    return [
        {
            "context": context,
            "name": names[context],
            "digest": material.frames.fingerprint,
            "source": str(material.root),
            "images": count,
            "size_px": material.frames.size_px,
        }
        for context, count in images.items()
        if count
    ]


def inputs_by_trial(
    material: Dataset, settings: Mapping[str, DataSettings]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each trial with the inputs of its run; `settings` has those of the data by trial."""
    frames = material.frames
    strata = frames.strata(material.split.balance)
    splits: dict[tuple[int, int, int], Split] = {}
    for trial_id, own in settings.items():
        key = (own.folds, own.fold, own.cut)
        if key not in splits:  # a cut into folds takes a while, and a confirmation has few
            splits[key] = split_of(own, material.split, frames.names, strata)
        yield trial_id, describe_inputs(material, splits[key], own)


def _fold(settings: DataSettings) -> str:
    """Return the name of the fold that validates; "" without folds."""
    if settings.folds < 2:
        return ""
    cut = f" of cut {settings.cut + 1}" if settings.cut else ""
    return f"fold {settings.fold + 1} of {settings.folds}{cut}"
