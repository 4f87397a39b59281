"""Experiment -> plan: folding by hand-counted grids, order, names, limit and rungs."""

from dataclasses import replace
from typing import Any

import pytest

from bddseg.config import TrainConfig
from sweeps.errors import ExperimentError
from sweeps.formatting import compact, longer_words, trial_name
from sweeps.planning.axes import Range
from sweeps.planning.experiment import Experiment, load_experiment
from sweeps.planning.experiments_file import read_book
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan, count_points, plan_trial
from sweeps.planning.sampling import MOST_POINTS
from sweeps.schedulers.rungs import Schedule
from sweeps.statistics.seed_noise import setting_of

PROFILES = tuple(read_book().profiles)
PLANS = {
    (space, profile): build_plan(load_experiment(space, profile=profile))
    for space in read_book().spaces
    for profile in PROFILES
}


def make_experiment(*, seed: int = 1337, **axes: Any) -> Experiment:
    """Return an experiment over axes given as `optim_lr=[...]`; the reference is their first point."""
    grid = {key.replace("_", ".", 1): tuple(values) for key, values in axes.items()}
    return Experiment(
        name="made",
        question="Which?",
        profile="full",
        base=TrainConfig().with_overrides({"train.seed": seed}),
        axes=tuple(grid.items()),
        reference={key: values[0] for key, values in grid.items()},
        schedule=Schedule("asha", 0.1, 3),
    )


def ids(plan: Plan) -> list[str]:
    return [trial.trial_id for trial in plan.trials]


GRID = make_experiment(optim_lr=[1e-5, 1e-4, 5e-4, 1e-3], loss_name=["cross_entropy", "focal"])


# What ships


@pytest.mark.parametrize(("space", "profile"), PLANS)
def test_every_shipped_space_is_planned_under_every_profile(space: str, profile: str) -> None:
    plan = PLANS[space, profile]
    assert plan.trials and plan.trials[0].is_reference
    assert sum(trial.is_reference for trial in plan.trials) == 1


@pytest.mark.parametrize(("space", "profile"), PLANS)
def test_trial_names_are_unique_in_every_shipped_plan(space: str, profile: str) -> None:
    names = [trial.name for trial in PLANS[space, profile].trials]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("space", "profile"), PLANS)
def test_rungs_of_every_shipped_plan_leave_a_tenth_and_end_early(space: str, profile: str) -> None:
    plan = PLANS[space, profile]
    assert all(0.1 * plan.epochs <= rung < plan.epochs for rung in plan.rungs)
    assert plan.rungs == tuple(sorted(set(plan.rungs)))


@pytest.mark.parametrize(
    ("space", "trials"),
    [
        ("smoke", 4),
        ("baseline", 1),
        ("overfit", 3),
        ("regularize", 3),
        ("focal", 2),
        ("grid_lr_loss", 8),
        ("attention", 4),
        ("aa", 6),
        ("full_grid", 108),  # 3 lr * 2 losses * 2 decays * 3 widths = 36 vanilla, and 36 * 2 dropouts attention
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_shipped_space_has_its_number_of_trials(space: str, trials: int, profile: str) -> None:
    assert len(PLANS[space, profile].trials) == trials


def test_the_full_grid_has_144_points_before_folding() -> None:
    assert PLANS["full_grid", "full"].grid_points == 3 * 2 * 2 * 2 * 3 * 2


# Folding


def test_dropout_folds_on_a_net_without_it() -> None:
    plan = build_plan(make_experiment(model_name=["vanilla_unet", "attention_unet"], model_dropout=[0.0, 0.1, 0.2]))
    assert (len(plan.trials), plan.grid_points) == (1 + 3, 6)


def test_gamma_folds_under_cross_entropy() -> None:
    plan = build_plan(make_experiment(loss_name=["cross_entropy", "focal"], loss_gamma=[1.0, 2.0, 5.0]))
    assert len(plan.trials) == 1 + 3


def test_a_folded_trial_has_the_settings_that_it_is_trained_with() -> None:
    plan = build_plan(make_experiment(model_dropout=[0.3, 0.2]))
    assert [trial.settings["model.dropout"] for trial in plan.trials] == [0.0]
    assert plan.trials[0].point == {"model.dropout": 0.0}


def test_a_reference_that_was_folded_is_still_the_reference() -> None:
    plan = build_plan(make_experiment(model_dropout=[0.3, 0.2], optim_lr=[1e-3, 1e-4]))
    assert plan.trials[0].is_reference and plan.trials[0].settings["optim.lr"] == 1e-3


def test_an_experiment_without_axes_is_one_trial() -> None:
    plan = build_plan(make_experiment())
    assert len(plan.trials) == plan.grid_points == 1 and plan.trials[0].is_reference


def test_a_sweep_without_validation_is_refused() -> None:
    experiment = make_experiment(optim_lr=[1e-3, 1e-4])
    whole = experiment.base.with_overrides({"train.keep": "last", "data.folds": 1})
    with pytest.raises(ExperimentError, match=r"data.folds is 1, but must be 0 or >= 2 in a sweep"):
        build_plan(replace(experiment, base=whole))


def test_a_trial_is_named_by_its_digest() -> None:
    assert all(trial.trial_id == trial.config.digest() for trial in build_plan(GRID).trials)


def test_the_precision_that_auto_means_enters_the_digest() -> None:
    fp32, bf16 = (build_plan(make_experiment(), precision=name) for name in ("fp32", "bf16"))
    assert fp32.trials[0].config.train.precision == "fp32"
    assert ids(fp32) != ids(bf16)


def test_a_precision_that_was_asked_for_stays() -> None:
    plan = build_plan(make_experiment(train_precision=["fp32"]), precision="bf16")
    assert plan.trials[0].config.train.precision == "fp32"


def test_the_same_settings_are_the_same_trial_in_two_spaces() -> None:
    wide = build_plan(make_experiment(optim_lr=[1e-3, 1e-4], model_base_filters=[32, 64]))
    assert set(ids(build_plan(make_experiment(optim_lr=[1e-4])))) < set(ids(wide))


# Order


def test_the_reference_comes_first() -> None:
    plans = [build_plan(make_experiment(seed=seed, optim_lr=[1e-3, 1e-4, 1e-5])) for seed in range(9)]
    assert all(plan.trials[0].is_reference and plan.trials[0].settings["optim.lr"] == 1e-3 for plan in plans)


def test_the_order_repeats() -> None:
    assert ids(build_plan(GRID)) == ids(build_plan(GRID))


def test_the_order_does_not_depend_on_the_order_of_the_grid() -> None:
    turned = make_experiment(loss_name=["cross_entropy", "focal"], optim_lr=[1e-5, 1e-3, 5e-4, 1e-4])
    assert ids(build_plan(turned)) == ids(build_plan(GRID))


def test_the_order_is_not_that_of_the_grid() -> None:
    rates = [trial.settings["optim.lr"] for trial in build_plan(GRID).trials]
    assert rates != sorted(rates)


def test_another_seed_shuffles_otherwise() -> None:
    rates = [10.0**-power for power in range(1, 9)]
    orders = {
        tuple(trial.settings["optim.lr"] for trial in build_plan(make_experiment(seed=seed, optim_lr=rates)).trials)
        for seed in range(3)
    }
    assert len(orders) == 3


def test_a_limit_keeps_the_first_trials() -> None:
    assert ids(build_plan(GRID, limit=3)) == ids(build_plan(GRID))[:3]


def test_a_limit_beyond_the_plan_keeps_all() -> None:
    assert ids(build_plan(GRID, limit=99)) == ids(build_plan(GRID))


# Large grids

SEEDS = list(range(200))
HUGE = make_experiment(train_seed=SEEDS, optim_lr=[n * 1e-5 for n in range(1, 201)], model_base_filters=[4, 8])


def test_a_grid_that_is_too_large_is_counted_not_planned() -> None:
    cure = r"80,000 points \(200 train\.seed x 200 optim\.lr x 2 model\.base_filters\).*at most 20,000.*--limit N"
    with pytest.raises(ExperimentError, match=cure):
        build_plan(HUGE)
    with pytest.raises(ExperimentError, match="at most 20,000"):
        build_plan(HUGE, limit=MOST_POINTS + 1)


def test_five_axes_of_sixty_values_are_a_number_not_a_list() -> None:
    rates = [n * 1e-5 for n in range(1, 61)]
    axes = {"optim_lr": rates, "optim_weight_decay": rates, "model_dropout": rates, "loss_gamma": rates}
    assert count_points(make_experiment(train_seed=list(range(60)), **axes)) == 60**5


def test_a_limit_draws_from_a_grid_that_is_too_large() -> None:
    drawn, more = build_plan(HUGE, limit=3), build_plan(HUGE, limit=5)
    assert (len(drawn.trials), drawn.grid_points) == (3, 80_000)
    assert drawn.trials[0].is_reference and ids(more)[:3] == ids(drawn)


def test_every_setting_is_checked_once_for_each_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning takes as long as configurations are made: so many in all, whatever the number of settings."""
    made: list[TrainConfig] = []
    check = TrainConfig.__post_init__
    monkeypatch.setattr(TrainConfig, "__post_init__", lambda config: (made.append(config), check(config))[1])
    build_plan(make_experiment(train_seed=SEEDS, optim_lr=[1e-3, 1e-4]), precision="fp32")
    assert len(made) <= 2 * 400 + 5


# Budget and refusals


def test_the_plan_knows_its_budget_and_rungs() -> None:
    plan = build_plan(GRID)
    assert (plan.epochs, plan.rungs) == (50, (5, 15, 45))


def test_an_axis_of_budgets_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"train\.epochs: the epoch budget must be the same for all trials"):
        build_plan(make_experiment(train_epochs=[3, 5]))


def test_a_combination_that_is_no_configuration_is_refused_before_anything_runs() -> None:
    experiment = make_experiment(model_name=["vanilla_unet", "attention_unet"], model_base_filters=[4, 5])
    with pytest.raises(ExperimentError, match=r"made: model\.base_filters is 5, but must be even"):
        build_plan(experiment)


@pytest.mark.parametrize("name", ["size", "max_images", "split_seed", "val_fraction", "test_fraction"])
def test_an_axis_that_would_change_the_data_is_refused(name: str) -> None:
    """All trials of a sweep share one set of frames and one split: such an axis would have no effect."""
    values = [0.1, 0.2] if "fraction" in name else [32, 64]
    axis: dict[str, Any] = {f"data_{name}": values}
    with pytest.raises(ExperimentError, match=f"data.{name}"):
        build_plan(make_experiment(**axis))


# Names


def test_a_name_says_what_is_always_asked() -> None:
    assert trial_name(TrainConfig()) == "vanilla-f64 cross_entropy lr=1e-4 wd=1e-4"


def test_a_name_says_every_other_axis() -> None:
    config = TrainConfig().with_overrides({"model.name": "attention_unet", "model.dropout": 0.2, "train.seed": 7})
    assert trial_name(config, ("model.dropout", "train.seed")).endswith("wd=1e-4 dropout=0.2 seed=7")


def test_a_name_is_silent_about_what_has_no_effect() -> None:
    assert "dropout" not in trial_name(TrainConfig(), ("model.dropout",))
    assert "gamma" not in trial_name(TrainConfig(), ("loss.gamma",))


@pytest.mark.parametrize(
    "axis", [{"optim_name": ["adam", "adamw"]}, {"train_seed": [1, 2]}, {"loss_weighting": ["balanced", "none"]}]
)
def test_names_tell_trials_apart_on_any_axis(axis: dict[str, Any]) -> None:
    names = {trial.name for trial in build_plan(make_experiment(**axis)).trials}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (5e-4, "5e-4"),
        (2.5e-3, "2.5e-3"),
        (0.01, "0.01"),
        (0.5, "0.5"),
        (0.0, "0"),
        (1.0, "1"),
        (1e5, "1e5"),
        (64, "64"),
        ("adam", "adam"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: Any, text: str) -> None:
    assert compact(value) == text


def test_names_tell_rates_apart_that_six_digits_do_not() -> None:
    names = {trial.name for trial in build_plan(make_experiment(optim_lr=[0.3, 0.1 + 0.2, 0.1])).trials}
    rates = {name.split("lr=")[1].split()[0] for name in names}
    assert rates == {"0.3", "0.30000000000000004", "0.1"}


def test_a_number_has_no_more_digits_than_tell_it_from_the_others() -> None:
    assert longer_words([0.12345678, 0.12345699, 0.5]) == {0.12345678: "0.1234568", 0.12345699: "0.123457"}
    assert longer_words([1.234567e-5, 1.234568e-5]) == {1.234567e-5: "1.234567e-5", 1.234568e-5: "1.234568e-5"}
    assert longer_words([1e-5, 1e-4, 0.1234567]) == {}


def test_a_suggested_trial_is_named_apart_from_the_points_that_the_sweep_has() -> None:
    experiment = replace(make_experiment(optim_lr=[1e-3]), axes=(("optim.lr", Range(0.1, 0.5)),))
    known = {"optim.lr": 0.12340000001}
    names = [plan_trial(experiment, {"optim.lr": value}, "fp32", [known]).name for value in (0.1234, 0.12340000001)]
    assert "lr=0.1234 " in names[0] and "lr=0.12340000001 " in names[1]


def test_augmentation_is_the_one_setting_of_the_data_that_may_vary() -> None:
    plan = build_plan(make_experiment(data_augment=["none", "flip", "standard"]))
    assert {trial.config.data.augment for trial in plan.trials} == {"none", "flip", "standard"}


@pytest.mark.parametrize("profile", PROFILES)
def test_copies_of_one_setting_are_trials_named_by_their_seed(profile: str) -> None:
    trials = PLANS["aa", profile].trials
    assert {trial.name.split(" ")[-1] for trial in trials} == {f"seed={seed}" for seed in range(1, 7)}
    assert len({setting_of(trial.settings) for trial in trials}) == 1


# Extra seeds of the best


def test_two_more_seeds_of_the_two_best_are_planned_where_they_cost_a_third_at_most() -> None:
    assert (build_plan(GRID).to_replicate, build_plan(GRID).size_words()) == (
        4,
        "12 trials (4 of them extra seeds of the best settings), 50 epochs each",
    )
    seven = make_experiment(optim_lr=[1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4])
    assert build_plan(seven).to_replicate == 0  # 4 of 11 trials


def test_replicates_that_are_asked_for_are_planned_whatever_they_cost() -> None:
    two = make_experiment(optim_lr=[1e-4, 1e-3])
    assert build_plan(replace(two, replicates=3)).to_replicate == 6
    assert build_plan(replace(GRID, replicates=0)).to_replicate == 0


def test_a_replicate_differs_in_its_seed_alone() -> None:
    plan = build_plan(GRID)
    best = ids(plan)[:2]
    first, second, third, fourth = plan.replicas(best)
    assert [trial.config.train.seed for trial in (first, second, third, fourth)] == [1338, 1338, 1339, 1339]
    assert setting_of(first.settings) == setting_of(third.settings) == setting_of(plan.trials[0].settings)
    assert len({first.trial_id, second.trial_id, third.trial_id, fourth.trial_id, *ids(plan)}) == 12


def test_a_plan_that_has_its_replicates_gets_no_more() -> None:
    plan = build_plan(GRID)
    grown = plan.with_trials(plan.replicas(ids(plan)[:2]))
    assert (grown.to_replicate, grown.replicas(ids(plan)), len(grown.originals)) == (0, (), 8)


def test_replicates_where_the_seed_is_an_axis_are_refused() -> None:
    seeds = make_experiment(train_seed=[1, 2, 3])
    assert build_plan(seeds).to_replicate == 0
    with pytest.raises(ExperimentError, match=r"replicates is 2, but must be 0 where train.seed is an axis"):
        build_plan(replace(seeds, replicates=2))
