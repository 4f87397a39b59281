"""Which trials are shown when a sweep has ended."""

from collections.abc import Mapping
from pathlib import Path

from confirmations import ROWS, planned
from plans import growing
from trial_events import end, epoch, start

from sweeps.execution.predictions import choose_trials
from sweeps.execution.progress import TrialTable
from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan
from sweeps.storage.tags import FINALIST, RUN

PLAN = build_plan(load_experiment("grid_lr_loss", profile="quick"), limit=4)
REFERENCE, B, C, D = (trial.trial_id for trial in PLAN.trials)
MIXED = build_plan(load_experiment("full_grid", profile="quick"))
GATED = [trial.trial_id for trial in MIXED.trials if trial.config.model.name == "attention_unet"]
PLAIN = [trial.trial_id for trial in MIXED.trials if trial.config.model.name != "attention_unet"]


def board_of(plan: Plan, scores: Mapping[str, float], status: str = "FINISHED") -> TrialTable:
    board = TrialTable(growing(plan))
    for trial_id, score in scores.items():
        for event in (start(trial_id), epoch(trial_id, 1, score), end(trial_id, status=status)):
            board.apply(event)
    return board


def roles(plan: Plan, scores: Mapping[str, float], *without: str, status: str = "FINISHED") -> dict[str, str]:
    folders = {trial_id: Path(trial_id) for trial_id in scores if trial_id not in without}
    shown = choose_trials(plan, board_of(plan, scores, status), folders)
    return {entry.label.trial_id: entry.label.role for entry in shown.trials}


def test_leader_runner_up_and_reference_are_shown() -> None:
    scores = {REFERENCE: 0.1, B: 0.5, C: 0.4, D: 0.3}
    assert roles(PLAN, scores) == {B: "leader", C: "runner-up", REFERENCE: "reference"}


def test_a_reference_that_leads_is_shown_once() -> None:
    assert roles(PLAN, {REFERENCE: 0.6, B: 0.5, C: 0.4}) == {REFERENCE: "leader", B: "runner-up"}


def test_a_sweep_of_stopped_trials_is_shown_too() -> None:
    assert roles(PLAN, {B: 0.5, C: 0.4}, status="KILLED") == {B: "leader", C: "runner-up"}


def test_a_trial_without_weights_leaves_its_role_empty() -> None:
    assert roles(PLAN, {REFERENCE: 0.1, B: 0.5, C: 0.4}, B) == {C: "runner-up", REFERENCE: "reference"}


def test_a_sweep_in_which_everything_failed_shows_nothing() -> None:
    assert not roles(PLAN, {B: 0.5}, status="FAILED")


def test_the_best_attention_net_is_shown_where_no_other_one_is() -> None:
    scores = {PLAIN[0]: 0.9, PLAIN[1]: 0.8, GATED[0]: 0.2, GATED[1]: 0.3}
    assert roles(MIXED, scores)[GATED[1]] == "best attention net" and GATED[0] not in roles(MIXED, scores)


def test_an_attention_net_that_leads_needs_no_second_one() -> None:
    scores = {GATED[0]: 0.9, PLAIN[1]: 0.8, GATED[1]: 0.3}
    assert "best attention net" not in roles(MIXED, scores).values()


def test_finalists_are_shown_by_runs_on_the_same_fold() -> None:
    plan = planned(*ROWS[:3]).plan
    means = {"id-first": 0.5, "id-second": 0.6, "id-reference": 0.1}
    scores = {trial.trial_id: means[trial.tags[FINALIST]] for trial in plan.trials}
    best = max(plan.trials, key=lambda trial: (trial.tags[FINALIST] == "id-first", trial.tags[RUN]))
    shown = choose_trials(
        plan, board_of(plan, {**scores, best.trial_id: 0.7}), {entry: Path(entry) for entry in scores}
    )
    tags = {trial.trial_id: trial.tags for trial in plan.trials}
    assert [tags[entry.label.trial_id][FINALIST] for entry in shown.trials] == ["id-second", "id-first", "id-reference"]
    assert {tags[entry.label.trial_id][RUN] for entry in shown.trials} == {"1"} and shown.part == "the fold of run 1"
