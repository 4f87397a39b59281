"""How points are chosen: what YAML and the command line say, and points drawn at random into a plan."""

from itertools import islice
from typing import Any

import pytest
from spaces import AXES, REFERENCE, make

from bddseg.config import TrainConfig
from sweeps.errors import ExperimentError
from sweeps.planning.axes import Axis, Range
from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan, imagine_plan
from sweeps.planning.sampling import GRID, Sampling, build_sampling, draw_points, recorded_sampling


def ids(plan: Plan) -> list[str]:
    return [trial.trial_id for trial in plan.trials]


def test_a_setting_without_effect_is_not_drawn() -> None:
    points = list(islice(draw_points(TrainConfig(), AXES, 0), 200))
    assert all(("model.dropout" in point) == (point["model.name"] == "attention_unet") for point in points)
    assert all(("loss.gamma" in point) == (point["loss.name"] == "focal") for point in points)
    assert {point["model.name"] for point in points} == set(AXES["model.name"])  # type: ignore[arg-type]


def test_points_that_make_no_configuration_are_passed_over() -> None:
    axes: dict[str, Axis] = {"model.name": ("attention_unet", "unet"), "model.base_filters": Range(3, 4)}
    points = list(islice(draw_points(TrainConfig(), axes, 0), 100))
    assert {"model.name": "attention_unet", "model.base_filters": 3} not in points
    assert {"model.name": "unet", "model.base_filters": 3} in points


def test_a_random_plan_has_as_many_distinct_trials_as_asked_for_the_reference_first() -> None:
    plan = build_plan(make(samples=9))
    assert len(set(ids(plan))) == 9 and plan.to_come == 0
    assert [trial.is_reference for trial in plan.trials] == [True] + [False] * 8


def test_a_longer_random_plan_begins_as_a_shorter_one_does() -> None:
    short, long = build_plan(make(samples=5)), build_plan(make(samples=12))
    other = build_plan(make(samples=5, base=TrainConfig().with_overrides({"train.seed": 2})))
    assert ids(long)[:5] == ids(short) and set(ids(other)).isdisjoint(ids(short))
    assert ids(build_plan(make(samples=12), limit=5)) == ids(short)


def test_points_to_try_first_come_after_the_reference_and_count_among_the_samples() -> None:
    points = ({**REFERENCE, "optim.lr": 5e-3}, {**REFERENCE, "optim.lr": 1e-3}, {**REFERENCE, "loss.gamma": 1.0})
    plan = build_plan(make(samples=4, points=points))
    assert [trial.point["optim.lr"] for trial in plan.trials[:2]] == [1e-3, 5e-3]
    assert plan.trials[2].point["loss.gamma"] == 1.0 and len(plan.trials) == 4


def test_a_space_with_fewer_points_than_samples_ends() -> None:
    plan = build_plan(make({"model.name": ("vanilla_unet", "attention_unet"), "loss.name": ("cross_entropy", "focal")},
                           samples=50))  # fmt: skip
    assert len(plan.trials) == 4


def test_an_optuna_plan_knows_its_first_points_and_how_many_are_to_come() -> None:
    plan = build_plan(make(name="optuna", samples=10, points=({**REFERENCE, "optim.lr": 5e-3},)))
    assert (len(plan.trials), plan.to_come, plan.size_words()) == (2, 8, "10 trials, 50 epochs each")
    assert plan.epochs_in_all == 500
    assert build_plan(make(name="optuna", samples=10), limit=3).samples == 3


def test_what_is_to_come_is_imagined_at_random() -> None:
    experiment = make(name="optuna", samples=10)
    plan = build_plan(experiment)
    imagined = imagine_plan(plan, experiment)
    assert (len(imagined.trials), imagined.to_come) == (10, 0) and ids(imagined)[:1] == ids(plan)
    assert imagine_plan(imagined, experiment) == imagined


def test_without_axes_there_is_one_trial_however_it_is_searched() -> None:
    plan = build_plan(make({}, name="optuna", samples=10))
    assert (len(plan.trials), plan.to_come) == (1, 0)


@pytest.mark.parametrize(
    "sampling", [GRID, Sampling("random", 7), Sampling("optuna", 9, "nsga2", ("val/miou", "gflops"))]
)
def test_what_was_chosen_is_recorded_and_read_again(sampling: Sampling) -> None:
    assert recorded_sampling(sampling.to_dict()) == sampling


def test_the_command_line_beats_the_file() -> None:
    found = build_sampling({"name": "random", "samples": 5}, {"name": "optuna", "samples": 9}, "here")
    assert found == Sampling("optuna", 9)
    assert build_sampling("random", {"name": None, "samples": 0}, "here") == Sampling("random", 20)


@pytest.mark.parametrize(
    ("section", "given", "expected"),
    [
        ("tpe", {}, "here.name is 'tpe', but must be one of grid, random, optuna"),
        ({"samplers": "tpe"}, {}, "here has an unknown key 'samplers'; known: name, samples, sampler, objectives"),
        ({"name": "random", "samples": 0}, {}, "here.samples is 0, but must be a whole number >= 1"),
        ({"name": "random", "samples": 10**9}, {}, "here.samples is 1,000,000,000, but must be at most 20,000"),
        ({"name": "optuna", "sampler": "cma"}, {}, "here.sampler is 'cma', but must be one of tpe, gp, nsga2"),
        ({"name": "optuna", "objectives": ["gflops"]}, {}, "but must be [val/miou] or [val/miou, gflops]"),
        ({"objectives": 5}, {}, "here.objectives is 5, but must be [val/miou] or [val/miou, gflops]"),
        ({"objectives": None}, {}, "here.objectives is None, but must be [val/miou] or [val/miou, gflops]"),
        ({"objectives": "val/miou"}, {}, "here.objectives is 'val/miou', but must be [val/miou] or [val/miou, gflops]"),
        ({"name": "optuna", "sampler": "nsga2"}, {}, "which needs two objectives, but there is one: val/miou"),
        ("grid", {"samples": 4}, "--samples goes with --search random or optuna, but the search of here is grid"),
        (3, {}, "here is 3, but must be one of grid, random, optuna, or a mapping"),
    ],
)
def test_a_mistake_in_a_search_is_refused(section: Any, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        build_sampling(section, given, "here")
    assert expected in str(caught.value)


def test_a_range_typed_on_the_command_line_is_an_axis() -> None:
    words = ["optim.lr={low: 1e-5, high: 1e-2, log: true}"]
    experiment = load_experiment("smoke", profile="quick", overrides=words, search="random", samples=4)
    assert dict(experiment.axes)["optim.lr"] == Range(1e-5, 1e-2, log=True)
    with pytest.raises(ExperimentError, match=r"optim.lr is a range \(1e-05 to 0.01, log\), so there is no grid"):
        load_experiment("smoke", profile="quick", overrides=words)


def test_promotion_does_not_go_with_suggestions() -> None:
    with pytest.raises(ExperimentError, match="asha_promote needs all trials at the start"):
        load_experiment("optuna_wide", profile="quick", scheduler="asha_promote")
