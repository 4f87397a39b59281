"""A confirmation as it is planned from a record; `test_sweep.py` runs one."""

import math
from pathlib import Path

import pytest
from confirmations import ROWS, make_record, make_row, planned

from sweeps.errors import ExperimentError, NothingFinishedError
from sweeps.planning.confirmation import Confirmation, next_runs, plan_confirmation, screened_sd, standings
from sweeps.planning.experiment import MOST_REPLICATES
from sweeps.statistics.rounds import Rounds
from sweeps.storage.records import TrialRow


def names(confirmation: Confirmation) -> list[str]:
    return [finalist.name for finalist in confirmation.finalists]


# Finalists


def test_finalists_are_the_best_few_the_best_of_each_model_and_the_reference() -> None:
    assert [(it.name, it.why) for it in planned(*ROWS).finalists] == [
        ("first", "place 1"),
        ("second", "place 2"),
        ("attention", "best attention_unet"),
        ("reference", "reference"),
    ]


def test_a_trial_that_was_stopped_early_is_no_finalist() -> None:
    assert names(planned(make_row("stopped", 0.9, status="KILLED", optim_lr=0.5), *ROWS, top=1))[0] == "first"


def test_settings_that_differ_in_the_seed_alone_are_one_finalist_by_their_mean() -> None:
    lucky = make_row("second seed=5", 0.59, optim_lr=1e-3, train_seed=5)  # with 0.4: less than the first's 0.5
    assert [(it.name, it.trial_id) for it in planned(lucky, *ROWS, top=2).finalists[:2]] == [
        ("first", "id-first"),
        ("second", "id-second seed=5"),
    ]


def test_the_noise_between_seeds_is_pooled_over_the_settings_of_a_screening() -> None:
    scores = {1e-2: [0.5, 0.6], 1e-3: [0.3, 0.4]}
    seeds = [
        make_row(f"{lr} {seed}", value, optim_lr=lr, train_seed=seed)
        for lr, values in scores.items()
        for seed, value in enumerate(values)
    ]
    assert screened_sd(make_record(*seeds)) == (pytest.approx(math.sqrt((2 * 0.05**2 * 2) / 2)), True)
    assert screened_sd(make_record(*ROWS)) == (None, False)


def test_without_seeds_the_curves_of_a_screening_bound_its_noise() -> None:
    rising = [[0.1, 0.2, 0.3, 0.4, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.5]]  # by 0.1 over the last third
    assert screened_sd(make_record(*ROWS), rising) == (pytest.approx(0.1), False)


def test_a_reference_that_did_not_finish_is_named() -> None:
    confirmation = planned(make_row("reference", 0.1, status="FAILED", optim_lr=1e-1), *ROWS[1:])
    assert "reference" not in names(confirmation) and "did not finish" in confirmation.notes[0]


# The plan


def test_run_j_of_all_comes_before_run_j_plus_1_of_any() -> None:
    runs = [trial.tags["sweep.run"] for trial in planned(*ROWS).plan.trials]
    assert runs == ["1"] * 4 + ["2"] * 4 + ["3"] * 4


def test_every_finalist_has_the_same_folds_and_seeds() -> None:
    pairs: dict[str, list[tuple[int, int]]] = {}
    for trial in planned(*ROWS).plan.trials:
        pairs.setdefault(trial.tags["sweep.finalist"], []).append((trial.config.data.fold, trial.config.train.seed))
    assert len(pairs) == 4 and all(found == [(0, 1007), (1, 1008), (2, 1009)] for found in pairs.values())


def test_no_run_has_a_seed_that_the_screening_may_have_chosen_by() -> None:
    assert min(trial.config.train.seed for trial in planned(*ROWS).plan.trials) > 7 + MOST_REPLICATES


def test_every_run_trains_for_the_whole_budget_and_averages_its_last_weights() -> None:
    plan = planned(*ROWS).plan
    assert {trial.epochs for trial in plan.trials} == {50} and plan.epochs == 50
    trains = {(it.config.train.patience, it.config.train.keep, it.config.train.average) for it in plan.trials}
    assert (trains, plan.rungs) == ({(0, "last", 0.25)}, ())


def test_base_and_point_give_each_trial_its_settings_again() -> None:
    confirmation = planned(*ROWS)
    for trial in confirmation.plan.trials:
        assert confirmation.experiment.base.with_overrides(trial.point).digest() == trial.trial_id


def test_all_trials_are_distinct() -> None:
    assert len({trial.trial_id for trial in planned(*ROWS).plan.trials}) == 12


# Rounds


def decided(*rows: TrialRow, folds: int = 3) -> Confirmation:
    return plan_confirmation(make_record(*rows), top=2, rounds=Rounds(folds=folds))


def test_rounds_begin_with_two_runs_of_each() -> None:
    assert [trial.tags["sweep.run"] for trial in decided(*ROWS[1:3]).plan.trials] == ["1", "1", "2", "2"]


def test_the_next_run_of_who_is_in_question_takes_the_next_fold_and_the_next_seed() -> None:
    plan = decided(*ROWS).plan
    (run,) = next_runs(plan, ["id-first"])
    assert (run.config.data.fold, run.config.data.cut, run.config.train.seed) == (2, 0, 1009)
    assert (run.name, run.tags["sweep.run"], run.tags["sweep.finalist"]) == ("first run 3", "3", "id-first")


def test_after_all_folds_comes_another_cut() -> None:
    plan = decided(*ROWS).plan
    for _ in range(2):
        plan = plan.with_trials(next_runs(plan, ["id-first"]))
    assert (plan.trials[-1].config.data.fold, plan.trials[-1].config.data.cut) == (0, 1)
    assert len({trial.trial_id for trial in plan.trials}) == len(plan.trials)


def test_base_and_point_give_an_added_run_its_settings_again() -> None:
    confirmation = decided(*ROWS)
    for run in next_runs(confirmation.plan, [it.trial_id for it in confirmation.finalists]):
        assert confirmation.experiment.base.with_overrides(run.point).digest() == run.trial_id


# Refusals


def test_a_confirmation_is_not_confirmed() -> None:
    with pytest.raises(ExperimentError, match="is itself a confirmation, of made-0"):
        plan_confirmation(make_record(*ROWS, tags={"sweep.confirms": "made-0"}))


def test_a_sweep_without_a_finished_trial_is_refused() -> None:
    with pytest.raises(NothingFinishedError, match="no finished trial"):
        planned(make_row("stopped", 0.9, status="KILLED"))


def test_a_sweep_without_its_manifest_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"no sweep\.json"):
        plan_confirmation(make_record(*ROWS, manifest={}))


def test_other_frames_are_refused() -> None:
    confirmation = planned(*ROWS)
    confirmation.check_data("f00d", Path("/moved"))
    with pytest.raises(ExperimentError, match=r"frames f00d of /data, but those of /moved are beef now"):
        confirmation.check_data("beef", Path("/moved"))


# Standings


def test_standings_are_means_and_spreads_over_runs() -> None:
    confirmation = planned(*ROWS[:2], top=1)
    ids = [trial.trial_id for trial in confirmation.plan.trials]  # first and reference by turns
    best, last = standings(confirmation.plan, dict(zip(ids, [0.4, 0.1, 0.5, 0.2, 0.6, 0.6], strict=True)))
    assert (best.name, best.scores) == ("first", (0.4, 0.5, 0.6))
    assert (best.mean, best.spread) == (pytest.approx(0.5), pytest.approx(0.1))
    assert last.ahead_of(best) == pytest.approx(-0.2)


def test_a_failed_run_leaves_the_mean_of_the_others() -> None:
    confirmation = planned(ROWS[1], top=1)
    ids = [trial.trial_id for trial in confirmation.plan.trials]
    (found,) = standings(confirmation.plan, {ids[0]: 0.4, ids[2]: 0.6})
    assert found.mean == pytest.approx(0.5) and math.isnan(found.scores[1])
