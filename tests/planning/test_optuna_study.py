"""The study of a sweep: what it suggests, what it is told, and that a process that is lost costs nothing of it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from spaces import AXES, REFERENCE, make
from studies import recorded

from sweeps.planning.optuna_study import FILE, INVALID, TRIAL, Study, cut_torn_line, snap_to_axis
from sweeps.planning.plan import PlannedTrial
from sweeps.planning.planner import build_plan, plan_trial
from sweeps.planning.sampling import Sampling
from sweeps.storage.trial_history import TrialHistory

EXPERIMENT = make(name="optuna", samples=10)


def opened(folder: Path, sampler: str = "tpe", objectives: tuple[str, ...] = ("val/miou",)) -> Study:
    sampling = Sampling("optuna", 10, sampler, objectives)
    study = Study(folder / FILE, sampling, EXPERIMENT.base, AXES, rungs=(2, 6))
    study.add_planned(build_plan(EXPERIMENT, precision="fp32").trials)
    return study


def trial_of(point: Mapping[str, Any]) -> PlannedTrial:
    return plan_trial(EXPERIMENT, {key: snap_to_axis(AXES[key], value) for key, value in point.items()}, "fp32")


def accepted(study: Study) -> PlannedTrial:
    asked = study.ask()
    assert asked is not None
    trial = trial_of(asked.point)
    study.accept(asked, trial)
    return trial


REFERENCE_ID = trial_of(REFERENCE).trial_id


@pytest.mark.parametrize(
    ("reason", "state", "value"),
    [
        ("max_epochs", TrialState.COMPLETE, 0.4),
        ("plateau", TrialState.COMPLETE, 0.4),
        ("asha", TrialState.PRUNED, 0.4),
        ("error", TrialState.FAIL, None),
        ("oom", TrialState.FAIL, None),
    ],
)
def test_the_study_is_told_how_a_trial_ended(tmp_path: Path, reason: str, state: TrialState, value: float) -> None:
    opened(tmp_path).tell(REFERENCE_ID, TrialHistory({1: 0.1, 2: 0.4, 3: 0.2}, reason=reason), 0)
    (found,) = recorded(tmp_path)
    assert (found.state, found.value, found.user_attrs[TRIAL]) == (state, value, REFERENCE_ID)


def test_a_stopped_trial_is_told_with_its_best_up_to_each_rung_and_to_its_end(tmp_path: Path) -> None:
    opened(tmp_path).tell(REFERENCE_ID, TrialHistory({1: 0.1, 2: 0.3, 3: 0.2, 4: 0.5}, reason="asha"), 0)
    assert recorded(tmp_path)[0].intermediate_values == {2: 0.3, 4: 0.5}


def test_a_diverged_trial_is_told_as_one_without_a_value(tmp_path: Path) -> None:
    opened(tmp_path).tell(REFERENCE_ID, TrialHistory({1: 0.1, 2: 0.3, 3: None}, reason="diverged"), 0)
    (found,) = recorded(tmp_path)
    assert found.state == TrialState.PRUNED and found.intermediate_values[3] != found.intermediate_values[3]


def test_nothing_is_told_twice_nor_of_what_is_open(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.tell(REFERENCE_ID, TrialHistory({1: 0.1}), 0)
    assert recorded(tmp_path)[0].state == TrialState.RUNNING
    for value in (0.1, 0.9):
        study.tell(REFERENCE_ID, TrialHistory({1: value}, reason="max_epochs"), 0)
    assert recorded(tmp_path)[0].value == 0.1


def test_where_the_last_epoch_is_kept_its_value_is_told(tmp_path: Path) -> None:
    study, bests = opened(tmp_path), {1: 0.1, 2: 0.4, 3: 0.2}
    other = accepted(study)
    study.tell(REFERENCE_ID, TrialHistory(dict(bests), reason="max_epochs"), 0, "last")
    study.tell(other.trial_id, TrialHistory(dict(bests), reason="asha"), 0, "last")
    whole, stopped = recorded(tmp_path)
    assert whole.value == 0.2 and stopped.intermediate_values == {2: 0.4, 3: 0.2}


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_suggestions_that_make_no_configuration_come_to_an_end(tmp_path: Path, sampler: str) -> None:
    base = EXPERIMENT.base.with_overrides({"model.name": "attention_unet"})
    study = Study(tmp_path / FILE, Sampling("optuna", 10, sampler), base, {"model.base_filters": (31, 33)})
    assert study.ask() is None
    assert [trial.state for trial in recorded(tmp_path)] == [TrialState.FAIL] * INVALID


def test_two_objectives_are_told_together(tmp_path: Path) -> None:
    study = opened(tmp_path, "nsga2", ("val/miou", "gflops"))
    study.tell(REFERENCE_ID, TrialHistory({1: 0.4}, reason="max_epochs"), 3.5)
    other = accepted(study)
    study.tell(other.trial_id, TrialHistory({1: 0.4}, reason="asha"), 3.5)
    assert [(found.state.name, found.values) for found in recorded(tmp_path)] == [
        ("COMPLETE", [0.4, 3.5]),
        ("PRUNED", None),
    ]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_what_is_suggested_follows_from_the_seed_and_what_was_told_not_from_the_process(
    tmp_path: Path, sampler: str
) -> None:
    points: dict[str, list[Any]] = {"one": [], "many": []}
    for name, found in points.items():
        (tmp_path / name).mkdir()
        study = opened(tmp_path / name, sampler)
        for number in range(10):
            study = opened(tmp_path / name, sampler) if name == "many" else study
            asked = study.ask()
            found.append(asked.point)
            trial = trial_of(asked.point)
            study.accept(asked, trial)
            study.tell(trial.trial_id, TrialHistory({1: number / 20}, reason="max_epochs"), 0)
    assert points["one"] == points["many"]


def test_a_model_looks_where_the_figures_were_good(tmp_path: Path) -> None:
    """The value is a parabola over log10(lr) with its top at 1e-3; chance puts a fifth within a factor of two."""
    study, late = opened(tmp_path), []
    for number in range(40):
        trial = accepted(study)
        rate = trial.config.optim.lr
        study.tell(trial.trial_id, TrialHistory({1: 1 - abs(math.log10(rate) + 3)}, reason="max_epochs"), 0)
        late += [rate] if number >= 20 else []
    assert sum(5e-4 <= rate <= 2e-3 for rate in late) >= 8


def test_settings_without_effect_are_not_suggested(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for _ in range(10):
        accepted(study)
    for found in recorded(tmp_path):
        assert ("model.dropout" in found.params) == (found.params["model.name"] == "attention_unet")
        assert ("loss.gamma" in found.params) == (found.params["loss.name"] == "focal")


# A process that is lost


def test_a_suggestion_that_nobody_took_is_made_again_by_the_next_process(tmp_path: Path) -> None:
    asked = opened(tmp_path).ask()
    again = opened(tmp_path)
    assert again.ask() == asked and len(recorded(tmp_path)) == 2


def test_a_suggestion_that_was_cut_off_in_the_middle_has_failed(tmp_path: Path) -> None:
    opened(tmp_path).ask()
    lines = (tmp_path / FILE).read_text().splitlines(keepends=True)
    (tmp_path / FILE).write_text("".join(lines[:-1]))
    study = opened(tmp_path)
    study.ask()
    assert [found.state.name for found in recorded(tmp_path)] == ["RUNNING", "FAIL", "RUNNING"]


def test_a_suggestion_that_the_sweep_took_but_the_study_did_not_note_is_noted(tmp_path: Path) -> None:
    trial = trial_of(opened(tmp_path).ask().point)
    opened(tmp_path).add_planned([trial])
    assert [found.user_attrs[TRIAL] for found in recorded(tmp_path)] == [REFERENCE_ID, trial.trial_id]


def test_a_torn_line_and_a_lock_that_was_left_are_cleared_away(tmp_path: Path) -> None:
    study = opened(tmp_path)
    trial = accepted(study)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"op_code": 6, "tri')
    Path(f"{tmp_path / FILE}.lock").symlink_to(tmp_path / FILE)
    opened(tmp_path).tell(trial.trial_id, TrialHistory({1: 0.5}, reason="max_epochs"), 0)
    assert [found.state.name for found in recorded(tmp_path)] == ["RUNNING", "COMPLETE"]


def test_a_damaged_file_is_set_aside_and_filled_from_the_plan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trial = accepted(opened(tmp_path))
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(b"".join([lines[0], b"nonsense\n", *lines[2:]]))
    opened(tmp_path).add_planned([trial])
    assert [found.user_attrs[TRIAL] for found in recorded(tmp_path)] == [REFERENCE_ID, trial.trial_id]
    assert "it is set aside and written again" in caplog.text
    assert len((tmp_path / FILE).with_suffix(".damaged").read_bytes()) > 100


def test_mending_leaves_a_whole_file_alone(tmp_path: Path) -> None:
    opened(tmp_path).ask()
    before = (tmp_path / FILE).read_bytes()
    cut_torn_line(tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == before
    assert all(json.loads(line) for line in before.splitlines())
