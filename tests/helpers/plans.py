"""A plan of two trials, and the plan of a running sweep."""

from pathlib import Path

from sweeps.planning.experiment import load_experiment
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan
from sweeps.storage.sweep_json import Manifest

EXPERIMENT = load_experiment("smoke", profile="quick")
PLAN = build_plan(EXPERIMENT, precision="fp32", limit=2)
FIRST, SECOND = (trial.trial_id for trial in PLAN.trials)


def growing(plan: Plan, folder: Path = Path("unused")) -> GrowingPlan:
    """Return the plan of a sweep that runs in a folder."""
    return GrowingPlan(plan, folder, Manifest.read({"trials": ()}))
