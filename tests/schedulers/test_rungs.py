"""Rungs, brackets and quantiles by numbers that can be checked by hand."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from sweeps.schedulers.hyperband import brackets
from sweeps.schedulers.median import RunningMean
from sweeps.schedulers.rungs import Rungs, Stop, quantile, read_stop

VALUES = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}


# Rungs, in the stopping form


def test_the_first_at_a_rung_passes() -> None:
    assert Rungs(3).judge(1, "a", 0.0) is None


def test_below_the_cutoff_stops_with_the_reason() -> None:
    rungs = Rungs(3)
    rungs.judge(5, "a", 0.6)
    assert rungs.judge(5, "b", 0.5) == Stop(rung=5, value=0.5, cutoff=0.6, compared=1)


def test_a_tie_with_the_cutoff_passes() -> None:
    rungs = Rungs(3)
    rungs.judge(5, "a", 0.6)
    assert rungs.judge(5, "b", 0.6) is None


def test_the_cutoff_leaves_the_best_third_of_those_before() -> None:
    rungs = Rungs(3, {1: dict(VALUES)})  # two thirds of the way from 0.1 to 0.7: 0.3
    stop = rungs.judge(1, "e", 0.29)
    assert stop is not None and stop.cutoff == pytest.approx(0.3)
    assert (stop.compared, rungs.judge(1, "f", 0.31)) == (4, None)


def test_a_reduction_of_two_cuts_at_the_median() -> None:
    stop = Rungs(2, {1: {"a": 0.1, "b": 0.5, "c": 0.6}}).judge(1, "d", 0.4)
    assert stop is not None and stop.cutoff == 0.5


def test_a_stopped_trial_still_counts_for_those_after_it() -> None:
    rungs = Rungs(3, {1: {"a": 0.6}})
    rungs.judge(1, "b", 0.5)
    stop = rungs.judge(1, "c", 0.1)
    assert stop is not None and stop.compared == 2


def test_a_value_reported_again_changes_nothing() -> None:
    rungs = Rungs(3, {1: {"a": 0.6, "b": 0.7}})
    assert rungs.judge(1, "b", 0.1) is None
    assert rungs.values == {1: {"a": 0.6, "b": 0.7}}


def test_rungs_are_apart() -> None:
    assert Rungs(3, {1: {"a": 0.9}}).judge(3, "b", 0.1) is None


def test_the_best_of_a_family_leads_it() -> None:
    rungs = Rungs(3, {1: {"a": 0.3, "b": 0.2, "x": 0.9}})
    assert rungs.leads(1, "a", {"a", "b"}) and not rungs.leads(1, "b", {"a", "b"})


def test_equals_lead_together() -> None:
    assert Rungs(3, {1: {"a": 0.3, "b": 0.3}}).leads(1, "b", {"a", "b"})


# Rungs, in the promotion form


@pytest.mark.parametrize(("count", "expected"), [(2, math.inf), (3, 8), (5, 8), (6, 7), (9, 6)])
def test_the_best_third_is_rounded_down(count: int, expected: float) -> None:
    values = {str(number): 9.0 - number for number in range(1, count + 1)}  # 8, 7, 6, ...
    assert Rungs(3, {1: values}).cutoff(1) == expected


# Memory


def test_values_survive_json_in_their_order() -> None:
    rungs, again = Rungs(3, {1: dict(VALUES), 3: {"d": 0.8}}), Rungs(3, {1: {}, 3: {}})
    again.load(json.loads(json.dumps(rungs.to_dict())))
    assert again == rungs and list(again.values[1]) == list(VALUES)


def test_values_of_other_rungs_are_refused() -> None:
    with pytest.raises(ValueError, match="the rungs recorded are 1, 3, but must be 2, 6"):
        Rungs(3, {2: {}, 6: {}}).load({"1": {}, "3": {}})


def test_a_stop_survives_json() -> None:
    stop = Stop(rung=6, value=0.5, cutoff=0.6, compared=4, rule="median")
    assert Stop(**json.loads(json.dumps(asdict(stop)))) == stop


# Reasons


@pytest.mark.parametrize(
    ("rule", "reason", "words"),
    [
        ("asha", "asha", "the cut-off 0.6000 of 2 earlier trials"),
        ("asha_promote", "asha", "0.6000, the lowest value of the 2 trials promoted there"),
        ("hyperband", "hyperband", "the cut-off 0.6000 of 2 earlier trials of its bracket"),
        ("median", "median", "0.6000, the median of the running averages of 2 others"),
    ],
)
def test_each_rule_says_why_in_words(rule: str, reason: str, words: str) -> None:
    stop = Stop(rung=3, value=0.5, cutoff=0.6, compared=2, rule=rule)
    assert stop.reason == reason
    assert stop.sentence() == f"the best val/miou up to epoch 3, 0.5000, was below {words}"


def test_one_trial_is_said_in_the_singular() -> None:
    sentence = Stop(rung=3, value=0.5, cutoff=0.6, compared=1).sentence()
    assert sentence.endswith("below the cut-off 0.6000 of 1 earlier trial")


# Quantiles, courses, brackets


@pytest.mark.parametrize("share", [0.0, 1 / 3, 0.5, 2 / 3, 1.0])
def test_a_quantile_is_numpys(share: float) -> None:
    values = [0.31, 0.7, 0.2, 0.55, 0.1]
    assert quantile(values, share) == pytest.approx(np.percentile(values, 100 * share), abs=1e-15)


def test_a_quantile_of_equals_is_exactly_theirs() -> None:
    assert quantile([0.1, 0.1, 0.1], 2 / 3) == 0.1


def test_a_course_takes_every_epoch_once() -> None:
    course = RunningMean()
    for epoch, value in ((1, 0.2), (2, 0.4), (2, 0.9), (1, 0.9), (4, 0.3)):  # epoch 3 had no figure
        course.take(epoch, value)
    assert (course.epoch, course.epochs, course.best, course.average) == (4, 3, 0.4, pytest.approx(0.3))


def test_every_bracket_begins_a_rung_later() -> None:
    bracket_rungs, _ = brackets((18, 2, 6), 3, "a")
    assert bracket_rungs == [(2, 6, 18), (6, 18), (18,), ()]


def test_trials_are_dealt_out_by_hyperbands_shares() -> None:
    _, turns = brackets((2, 6, 18), 3, [str(number) for number in range(49)])
    assert [turns.count(bracket) for bracket in range(4)] == [27, 12, 6, 4]  # 27/4 : 9/3 : 3/2 : 1


def test_every_prefix_of_a_plan_has_the_shares() -> None:
    _, turns = brackets((2, 6, 18), 3, [str(number) for number in range(25)])
    assert [turns.count(bracket) for bracket in range(4)] == [14, 6, 3, 2]


@pytest.mark.parametrize("rule", ["asha", "asha_promote", "hyperband", "median"])
@pytest.mark.parametrize("compared", [1, 7])
def test_a_sentence_is_read_back_as_the_stop_that_made_it(rule: str, compared: int) -> None:
    stop = Stop(6, 0.25, 0.375, compared, rule)
    assert read_stop(stop.sentence()) == stop


@pytest.mark.parametrize("text", ["", "train/loss is nan", "the best val/miou up to epoch x, 0.1, was below"])
def test_any_other_text_is_no_stop(text: str) -> None:
    assert read_stop(text) is None


def test_a_promotion_sentence_of_an_earlier_version_is_read() -> None:
    cutoff = "0.6000, where those of the 2 trials there begin that went on"
    assert read_stop(f"the best val/miou up to epoch 3, 0.5000, was below {cutoff}") == Stop(
        3, 0.5, 0.6, 2, "asha_promote"
    )
