"""Hyperparameter sweeps: plan, schedule, track, compare and report trials.

From Python:

    import sweeps

    sweep = sweeps.run("grid_lr_loss", profile="quick", set={"train.epochs": 5})
    sweep.trials.frame()
    sweep.report()
    sweeps.load("@champion").predict("photo.jpg")

The names are looked up when they are first used, so that `import sweeps` loads neither torch, Ray nor MLflow. None of
them is the name of a module: `sweeps.report` and `sweeps.predict` are the packages and commands that they always were,
and a report is made by a sweep, a prediction by a model.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.api.model import Model as Model
    from sweeps.api.model import Prediction as Prediction
    from sweeps.api.model import load as load
    from sweeps.api.running import open_sweep as open  # noqa: A004 - it opens a sweep as the built-in one opens a file
    from sweeps.api.running import run as run
    from sweeps.api.sweep import Sweep as Sweep
    from sweeps.api.sweep import Trials as Trials
    from sweeps.cli.status import Trial as Trial

NAMES = {
    "run": ("sweeps.api.running", "run"),
    "open": ("sweeps.api.running", "open_sweep"),
    "load": ("sweeps.api.model", "load"),
    "Sweep": ("sweeps.api.sweep", "Sweep"),
    "Trials": ("sweeps.api.sweep", "Trials"),
    "Trial": ("sweeps.cli.status", "Trial"),
    "Model": ("sweeps.api.model", "Model"),
    "Prediction": ("sweeps.api.model", "Prediction"),
}
"""Name -> the module and the name in it."""

__all__ = ["Model", "Prediction", "Sweep", "Trial", "Trials", "load", "open", "run"]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module 'sweeps' has no attribute {name!r}; it has {', '.join(NAMES)}")
    module, inner = NAMES[name]
    return getattr(importlib.import_module(module), inner)


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})
