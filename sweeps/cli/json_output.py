"""--json: one JSON text on stdout, for programs; its keys are documented in docs/running.md and stay."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.plan import Plan


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def plan_facts(plan: "Plan", experiment: "Experiment") -> dict[str, Any]:
    """Return what a plan consists of, as plain values."""
    return {
        "space": experiment.name,
        "profile": experiment.profile,
        "trials": [
            {
                "name": trial.name,
                "trial_id": trial.trial_id,
                "epochs": trial.epochs,
                "is_reference": trial.is_reference,
                "settings": trial.config.flat(),
            }
            for trial in plan.trials
        ],
        "trials_to_follow": plan.to_follow,
        "rungs": list(plan.rungs),
    }
