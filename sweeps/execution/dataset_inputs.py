"""The data of a run as MLflow's dataset inputs: its train, validation and test part, each by name and fingerprint."""

from typing import Any

from bddseg.config import DataSettings
from sweeps.planning.dataset import Dataset


def describe_inputs(material: Dataset, settings: DataSettings | None = None) -> list[dict[str, Any]]:
    """Return the parts of the data that a run uses, as plain values for its first event.

    MLflow identifies a dataset by name and digest. The digest is the fingerprint of all frames, so that one search
    finds every run on them; the name says which part it is.

    Args:
        material: the data of the sweep.
        settings: of the run, where it may use folds; None for the usual split.
    """
    split, dataset = material.split_for(settings) if settings else material.split, material.description.name
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


def _fold(settings: DataSettings) -> str:
    """Return the name of the fold that validates; "" without folds."""
    if settings.folds < 2:
        return ""
    cut = f" of cut {settings.cut + 1}" if settings.cut else ""
    return f"fold {settings.fold + 1} of {settings.folds}{cut}"
