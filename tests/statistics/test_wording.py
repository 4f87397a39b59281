"""Sentences of a verdict: who, by how much, and what would decide."""

from dataclasses import replace
from typing import Any

import pytest

from sweeps.statistics.results import Interval, NoiseFigures, Rival, SampleSizeNeeded, StoppedTrial
from sweeps.statistics.wording import (
    describe_caveats,
    describe_gap,
    describe_noise,
    describe_sample_size,
    describe_verdict,
    interval_words,
)

ITSELF = Interval(0.0, 0.0, 0.0)
BOUNDED = NoiseFigures("bounded", 0.065, 8.0, 0, 0, 0.065)
MEASURED = NoiseFigures("measured", 0.012, 6.0, 4, 0, 0.03)
UNKNOWN = NoiseFigures("unknown", None, 0.0, 0, 0, None)


def rival(name: str, score: float, difference: Interval = ITSELF, *, is_tied: bool = True) -> Rival:
    own = Interval(score, score - 0.01, score + 0.01)
    return Rival(name, own, difference, 0.5, is_tied, False, False, None, None)


BEST = rival("a", 0.5)
BEHIND = rival("b", 0.45, Interval(-0.05, -0.07, -0.03), is_tied=False)
OPEN = rival("c", 0.49, Interval(-0.01, -0.03, 0.01))


def caveats(**changes: Any) -> tuple[str, ...]:
    """Return the caveats of a screening with nothing to note but its noise, and what the changes add."""
    plain = {"noise": MEASURED, "stage": "screening", "units": 50, "drives": 50, "without_drive": 0, "absent": []}
    return describe_caveats(**{**plain, "rare": {}, "stopped": (), "bearable_sd": None, **changes})


def test_bounds_have_signs() -> None:
    assert interval_words(Interval(0.0, -0.01, 0.02)) == "−1.00 to +2.00"


def test_a_leader_leads_by_at_least() -> None:
    sentence = describe_verdict("leader", [BEST, BEHIND], 0.005, {"a": "wide"}, MEASURED)
    assert sentence == "wide leads, at least 3.00 points ahead of its only rival."


def test_a_winner_wins() -> None:
    sentence = describe_verdict("winner", [BEST, BEHIND, BEHIND], 0.005, {}, MEASURED)
    assert sentence == "a wins, at least 3.00 points ahead of both rivals."


def test_a_tie_names_the_margin() -> None:
    assert (
        describe_verdict("tie", [BEST, OPEN], 0.005, {}, MEASURED)
        == "A tie: a and 1 rival do not differ by more than 0.50 points."
    )


def test_what_is_undecided_has_the_highest_score_at_most() -> None:
    sentence = describe_verdict("undecided", [BEST, OPEN, BEHIND], 0.005, {}, BOUNDED)
    assert sentence == (
        "Undecided: a has the highest score, but 1 of 2 rivals could be better with another seed or other images."
    )


@pytest.mark.parametrize(("rivals", "words"), [(1, "its only rival"), (2, "both rivals"), (3, "all 3 rivals")])
def test_where_any_rival_could_be_better_the_headline_says_all_of_them(rivals: int, words: str) -> None:
    assert f"but {words} could be better" in describe_verdict("undecided", [BEST, *[OPEN] * rivals], 0.005, {}, BOUNDED)


def test_where_noise_is_not_known_nothing_is_decided() -> None:
    assert "the noise between seeds is unknown" in describe_verdict("undecided", [BEST, OPEN], 0.005, {}, UNKNOWN)


def test_a_single_setting_is_compared_with_nothing() -> None:
    assert "nothing to compare it with" in describe_verdict("leader", [BEST], 0.005, {}, UNKNOWN)


@pytest.mark.parametrize("outcome", ["leader", "winner", "tie", "undecided"])
def test_a_headline_has_at_most_20_words_beside_the_name_and_two_figures(outcome: str) -> None:
    words = describe_verdict(outcome, [BEST, OPEN, BEHIND], 0.005, {}, BOUNDED).split()
    assert len(words) <= 20
    assert sum(any(letter.isdigit() for letter in word) for word in words) <= 2


def test_runs_that_would_decide_are_named_with_the_lead_they_find() -> None:
    sentence = describe_sample_size(SampleSizeNeeded(0.03, 0.012, 3, 9), "screening")
    assert sentence.endswith(
        "A confirmation with 9 runs of each would detect a lead of 1.20 points among 3 settings in 80 of 100 cases."
    )


def test_what_no_design_decides_is_said() -> None:
    assert describe_sample_size(SampleSizeNeeded(1.0, 0.005, 2, None), "screening").endswith(
        "this design cannot decide."
    )


def test_a_bound_is_called_a_bound() -> None:
    sentence = describe_noise(BOUNDED, 0.0091)
    assert (
        "rose by 6.50 points in the last third" in sentence
        and "The lead holds for noise up to 0.91 points." in sentence
    )


def test_noise_from_repeats_and_curves_together_names_both() -> None:
    both = NoiseFigures("measured", 0.03, 7.0, 2, 0, 0.03)
    assert describe_noise(both, None) == (
        "Run-to-run noise was estimated from 2 repeats and the learning curves together: a standard deviation of 3.00 "
        "points (7 degrees of freedom, 2 of them from repeats). Every interval includes it."
    )


def test_noise_from_repeats_alone_is_called_measured() -> None:
    alone = NoiseFigures("measured", 0.03, 2.0, 2, 0, None)
    assert "was measured on 2 repeats: a standard deviation of 3.00 points (2 degrees" in describe_noise(alone, None)


def test_repeats_of_other_sweeps_are_named() -> None:
    assert "from 4 repeats (3 of them from other sweeps on the same data) and" in describe_noise(
        replace(MEASURED, outside=3), None
    )


def test_few_drives_are_named_with_how_many_would_tell() -> None:
    why = describe_gap("cannot tell", ITSELF, 0.02, {"city": 30, "non_city": 9}, 10, 1400)
    assert (
        why == "Non-city images come from 9 drives; at least 10 of each are needed. About 1,400 drives would be enough."
    )


def test_caveats_name_what_is_missing() -> None:
    first_words = [text.split(" ")[0] for text in caveats(units=3, drives=0, without_drive=3, absent=["car"])]
    assert first_words == ["Run-to-run", "Names", "There", "No"]


@pytest.mark.parametrize(("drives", "words"), [
    (1, "There is only one drive: nothing can be concluded about other drives."),
    (2, "There are only 2 drives: intervals are rough."),
])  # fmt: skip
def test_few_drives_are_a_caveat(drives: int, words: str) -> None:
    assert words in caveats(units=drives, drives=drives)


def test_one_block_of_names_is_named_in_the_singular() -> None:
    found = " ".join(caveats(units=1, drives=0))
    assert (
        "1 block of neighbouring names is resampled" in found
        and "There is only one block: nothing can be concluded about" in found
    )


def test_a_rare_class_is_named() -> None:
    assert caveats(rare={"car": 3, "sky": 1})[1].startswith("Car occurs in only 3 drives, sky occurs in only 1 drive:")


def test_stopped_trials_are_counted_and_not_judged() -> None:
    stopped = (StoppedTrial("d", 6, 0.3, 0.4, 0.0),)
    assert caveats(stopped=stopped)[1].startswith("1 trial was stopped early and not judged")


def test_a_confirmation_has_a_caveat_of_its_own() -> None:
    assert "Nadeau and Bengio" in caveats(stage="confirmation")[1]


def test_a_class_that_a_seed_may_not_have_learned_is_a_caveat() -> None:
    known = NoiseFigures("known", 0.01, None, 0, 0, None, ())
    usual = {"bearable_sd": None, "stage": "screening", "units": 20, "drives": 20, "without_drive": 0}
    caveats = describe_caveats(noise=known, **usual, absent=[], rare={}, stopped=[], unlearned=2)
    assert "2 settings with a single seed would be excluded but for one class" in " ".join(caveats)
