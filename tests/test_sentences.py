"""Sentences of a verdict: who, by how much, and what would decide."""

from dataclasses import replace
from typing import Any

import pytest

from sweeps.statistics.findings import Interval, Needed, Rival
from sweeps.statistics.noise import Noise
from sweeps.statistics.sentences import interval_words, points, say_caveats, say_gap, say_needed, say_verdict

ITSELF = Interval(0.0, 0.0, 0.0)


def rival(name: str, score: float, difference: Interval = ITSELF, *, is_tied: bool = True) -> Rival:
    own = Interval(score, score - 0.01, score + 0.01)
    return Rival(name, own, difference, 0.5, is_tied, False, None, None)


BEST = rival("a", 0.5)
BEHIND = rival("b", 0.45, Interval(-0.05, -0.07, -0.03), is_tied=False)
OPEN = rival("b", 0.49, Interval(-0.01, -0.03, 0.01))


def caveats(**changes: Any) -> tuple[str, ...]:
    """What is said where there is nothing to say but that noise is assumed, and what the changes add."""
    plain = {
        "noise": Noise(0.006),
        "runs": 1,
        "units": 50,
        "by_drive": True,
        "without_drive": 0,
        "absent": [],
        "rare": {},
    }
    return say_caveats(**{**plain, "rivals": [BEST, BEHIND], "bearable_sd": None, **changes})


def test_a_few_names_without_a_drive_are_counted() -> None:
    (_, said) = caveats(without_drive=3)
    assert said.startswith("3 names carry no drive: these frames count as independent of their neighbours")
    assert caveats(without_drive=1)[1].startswith("1 name carries no drive")


@pytest.mark.parametrize(("value", "text"), [(0.0123, "1.23"), (-0.00001, "0.00"), (1.0, "100.00")])
def test_fractions_are_said_in_points(value: float, text: str) -> None:
    assert points(value) == text


def test_bounds_have_signs() -> None:
    assert interval_words(Interval(0.0, -0.01, 0.02)) == "−1.00 to +2.00"


def test_a_leader_leads_by_at_least() -> None:
    assert say_verdict("leader", [BEST, BEHIND], "a", None, 0.005, {"a": "wide"}) == (
        "wide has 0.500 mIoU (0.490 to 0.510) and leads: the nearest of 1 rival, b, is 5.00 points behind "
        "(at least 3.00)."
    )


def test_a_winner_wins() -> None:
    assert " and wins: " in say_verdict("winner", [BEST, BEHIND], "a", None, 0.005, {})


def test_a_tie_recommends_what_is_cheaper() -> None:
    said = say_verdict("tie", [BEST, OPEN], "b", None, 0.005, {"b": "narrow"})
    assert said.endswith("Recommended: narrow, the cheapest that is surely less than 0.50 points behind.")


def test_what_is_undecided_says_what_would_decide() -> None:
    said = say_verdict("undecided", [BEST, OPEN], "a", Needed(None, 12, 0.03), 0.005, {})
    assert "differs by −1.00 points (−3.00 to +1.00)" in said
    assert said.endswith("12 runs of each, in all, would decide.")


@pytest.mark.parametrize(
    ("needed", "end"),
    [
        (Needed(1400, 9, 0.02), "9 runs of each or 1,400 validation images, in all, would decide."),
        (Needed(None, None, 0.02, (900, 80)), "80 runs of each on 900 validation images, in all, would decide."),
        (Needed(None, None, 0.02), "It takes more than 100 runs of each."),
        (Needed(None, None, 1.0), "no lead could be found. It takes more runs and images."),
    ],
)
def test_ways_to_decide_are_named(needed: Needed, end: str) -> None:
    assert say_needed(needed).endswith(end)


def test_few_drives_are_named() -> None:
    why = say_gap("cannot tell", ITSELF, 0.02, {"city": 30, "non_city": 9}, 10)
    assert why == "Non-city images come from 9 drives; it takes at least 10 to tell."


def test_caveats_name_what_is_missing() -> None:
    said = caveats(units=3, by_drive=False, absent=["car"])
    assert [text.split(" ")[0] for text in said] == ["One", "Names", "Only", "No"]


def test_a_rare_class_is_named() -> None:
    assert caveats(rare={"car": 3, "sky": 1})[1].startswith("Car occurs in 3 drives only, sky occurs in 1 drive only:")


def test_rivals_that_were_stopped_early_are_counted() -> None:
    early = replace(BEHIND, is_stopped=True)
    assert caveats(rivals=[BEST, early, OPEN])[1] == (
        "1 of 2 rivals was stopped early and is compared as it stood then."
    )
    said = say_verdict("leader", [BEST, early], "a", None, 0.005, {})
    assert said.endswith("But every rival was stopped early.")


def test_it_is_said_up_to_which_noise_a_lead_holds() -> None:
    assert "Above 0.91 points the lead would no longer hold." in caveats(bearable_sd=0.0091)[0]


def test_a_confirmation_has_caveats_of_its_own() -> None:
    (said,) = caveats(noise=None, runs=5)
    assert said.startswith("5 runs of each")
