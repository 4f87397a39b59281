"""A plan of two trials."""

from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import build_plan

EXPERIMENT = load_experiment("smoke", profile="quick")
PLAN = build_plan(EXPERIMENT, precision="fp32", limit=2)
FIRST, SECOND = (trial.trial_id for trial in PLAN.trials)
