"""Short sentences of sections: which rivals are beaten, which group has no image."""

from dataclasses import replace

import pytest
from entries import make_entry, make_sweep
from reports import make_report

from sweeps.report.gather import Report
from sweeps.report.page import render_markdown
from sweeps.report.sections.classes import _say_groups
from sweeps.report.sections.intervals import build_section
from sweeps.statistics.results import Rival, SampleSizeNeeded
from sweeps.statistics.scores import Scores


def with_groups(groups: dict[str, float | None]) -> Report:
    entry = make_entry("a", 0.5, {})
    return make_sweep([replace(entry, scores=Scores(0.5, {}, groups, {}))], ())


@pytest.mark.parametrize(("groups", "words"), [
    ({"city": 0.5, "non_city": None}, "validation has no labelled non-city image."),
    ({"city": None, "non_city": 0.5}, "validation has no labelled city image."),
    ({}, "the leader has no figure of either."),
])  # fmt: skip
def test_the_group_without_an_image_is_named(groups: dict[str, float | None], words: str) -> None:
    assert _say_groups(with_groups(groups)) == f"City and non-city cannot be compared: {words}"


def intervals_of(tied: int, others: int) -> str:
    """Return what the section says where so many of the other settings reach zero."""
    report = make_report()
    assert report.verdict is not None
    leader, rival, *_ = report.verdict.rivals
    rivals: list[Rival] = [replace(rival, trial_id=f"r{n}", is_tied=n < tied) for n in range(others)]
    section = build_section(replace(report, verdict=replace(report.verdict, rivals=(leader, *rivals))))
    assert section is not None
    return section.sentence


@pytest.mark.parametrize(("tied", "others", "words"), [
    (0, 1, "The leader is significantly better than the other setting: no interval reaches zero."),
    (0, 2, "The leader is significantly better than both other settings: no interval reaches zero."),
    (1, 2, "The leader is significantly better than 1 of 2 other settings; 1 has an interval that reaches zero."),
    (1, 1, "The leader is not significantly better than any other setting: its interval reaches zero."),
    (3, 3, "The leader is not significantly better than any other setting: all intervals reach zero."),
])  # fmt: skip
def test_who_is_surely_worse_than_the_leader_is_said_in_words(tied: int, others: int, words: str) -> None:
    assert intervals_of(tied, others) == words


@pytest.mark.parametrize(
    "needed",
    [SampleSizeNeeded(1.0, 0.01, 2, None), SampleSizeNeeded(0.05, 0.01, 2, None), SampleSizeNeeded(0.05, 0.01, 2, 7)],
)
def test_no_comma_stands_before_a_sentence_in_markdown(needed: SampleSizeNeeded) -> None:
    report = make_report()
    assert report.verdict is not None
    text = render_markdown(replace(report, verdict=replace(report.verdict, outcome="undecided", needed=needed)))
    line = next(line for line in text.splitlines() if line.startswith("- What would decide"))
    assert "**. With these images" in line
