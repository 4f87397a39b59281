"""Small search spaces."""

from dataclasses import replace
from typing import Any

from bddseg.config import TrainConfig
from sweeps.planning.axes import Axis, Range
from sweeps.planning.experiment import Experiment
from sweeps.planning.sampling import Sampling
from sweeps.schedulers.rungs import Schedule

AXES: dict[str, Axis] = {
    "model.dropout": Range(0.1, 0.5, step=0.1),
    "model.name": ("vanilla_unet", "attention_unet"),
    "loss.name": ("cross_entropy", "focal"),
    "loss.gamma": Range(0.5, 5.0),
    "optim.lr": Range(1e-5, 1e-2, log=True),
}
REFERENCE = {
    "model.dropout": 0.1,
    "model.name": "vanilla_unet",
    "loss.name": "focal",
    "loss.gamma": 2.0,
    "optim.lr": 1e-3,
}


def make(axes: dict[str, Axis] | None = None, name: str = "random", samples: int = 6, **changes: Any) -> Experiment:
    """Return an experiment; its reference is a point of all axes."""
    chosen = AXES if axes is None else axes
    reference = {key: REFERENCE[key] for key in chosen}
    experiment = Experiment(
        "made", "Which?", "quick", TrainConfig(), tuple(chosen.items()), reference, Schedule("asha", 0.1, 3)
    )
    return replace(experiment, sampling=Sampling(name, samples), replicates=0, **changes)
