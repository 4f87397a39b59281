"""The leaderboard and the verdict box: bars that go on beyond the scale, boundary IoU, nothing that contradicts."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from pages import NoFigures, Page
from reports import FakeStore, make_record, make_report, measured

from sweeps.report.formats import render_csv, render_verdict
from sweeps.report.next_step import next_step
from sweeps.report.page import render_html, render_markdown
from sweeps.report.sections.leaderboard import _bar, build_board
from sweeps.report.sections.verdict import agrees_with_chance, build_verdict
from sweeps.statistics.results import Interval, SampleSizeNeeded, Verdict

CHANCE = "Probability of being best"


@pytest.mark.parametrize(
    ("interval", "low", "high", "ends"),
    [
        (Interval(-0.5, -0.75, -0.25), 25.0, 75.0, (False, False, False)),
        (Interval(-0.5, -2.0, -0.25), 0.0, 75.0, (True, False, False)),
        (Interval(-0.5, -0.75, 0.5), 25.0, 100.0, (False, True, False)),
        (Interval(-3.0, -4.0, -2.0), 0.0, 0.0, (True, False, True)),
    ],
)
def test_a_bar_is_cut_where_the_scale_ends_and_says_so(
    interval: Interval, low: float, high: float, ends: tuple[bool, bool, bool]
) -> None:
    bar = _bar(interval, (-1.0, 0.0))
    assert (bar.low, bar.high) == (low, high)
    assert (bar.is_cut_low, bar.is_cut_high, bar.is_beyond) == ends


def with_boundaries() -> FakeStore:
    """Of every trial half of the pixels near outlines are right, those of cars never."""
    store = FakeStore()
    for row in make_record().trials:
        evidence = measured(row)
        boundary = np.full((len(evidence.names), len(evidence.classes), 2), [1, 2])
        boundary[:, evidence.classes.index("car"), 0] = 0
        store.val_evidence[row.trial_id] = replace(evidence, boundary=boundary)
    return store


def test_boundary_iou_is_shown_on_the_leaderboard_and_by_class() -> None:
    report = make_report(with_boundaries())
    assert report.leader.scores.boundary_iou == pytest.approx(0.4)  # four classes with a half, one with none
    page, text = Page(render_html(report, figures=NoFigures())).text, render_markdown(report)
    assert "Boundary IoU To the leader" in page and "a band of 2 % of the image's diagonal" in page
    assert "| car | 0.863 | 0.863 | 0.863 | 0.863 | 0.000 |" in text


def test_boundary_iou_decides_nothing_and_is_left_out_where_it_was_not_counted() -> None:
    counted, plain = make_report(with_boundaries()), make_report()
    assert counted.verdict == plain.verdict
    assert "oundary IoU" not in Page(render_html(plain, figures=NoFigures())).text
    assert not build_board(plain).has_boundary


def verdict(**changes: object) -> Verdict:
    found = make_report().verdict
    assert found is not None
    return replace(found, **changes)  # type: ignore[arg-type]


def test_a_probability_near_one_is_not_shown_beside_undecided() -> None:
    first, *others = verdict().rivals
    sure = verdict(rivals=(replace(first, p_best=0.99), *others))
    assert not agrees_with_chance(sure)
    assert agrees_with_chance(replace(sure, outcome="leader"))
    assert agrees_with_chance(verdict(rivals=(replace(first, p_best=0.62), *others)))


def chance_of(found: Verdict) -> tuple[str, str]:
    """Return what the verdict box says of the probability of being best."""
    report = replace(make_report(), verdict=found)
    return {what: (figure, words) for what, figure, words in build_verdict(report).data.rows}[CHANCE]


def undecided(*chances: float | None) -> Verdict:
    found = verdict()
    rivals = [replace(it, p_best=chance) for it, chance in zip(found.rivals, chances, strict=False)]
    return replace(found, outcome="undecided", rivals=tuple(rivals))


@pytest.mark.parametrize(("chances", "words"), [
    ((0.5, 0.5), "no higher than that of the other setting"),
    ((0.4, 0.4, 0.2), "no higher than that of another setting"),
    ((0.49, 0.51), "not clearly different from the 51 % of another setting"),
    ((0.6, 0.4), "ahead, but not surely"),
])  # fmt: skip
def test_only_who_is_clearly_more_probable_is_called_ahead(chances: tuple[float, ...], words: str) -> None:
    assert chance_of(undecided(*chances))[1].startswith(f"{words}; ")


def test_where_nothing_can_be_said_the_page_has_no_probability() -> None:
    blind = undecided(None, None)
    assert chance_of(blind) == ("cannot tell", chance_of(blind)[1])
    assert "a single drive" in chance_of(blind)[1] or "a single block" in chance_of(blind)[1]
    report = replace(make_report(), verdict=blind)
    assert "P(best)" not in render_markdown(report) and "Probability of being best: **cannot tell**" in render_markdown(
        report
    )


def test_where_nothing_can_be_said_json_and_csv_have_no_probability() -> None:
    report = replace(make_report(), verdict=undecided(None, None))
    assert {rival["p_best"] for rival in json.loads(render_verdict(report))["verdict"]["rivals"]} == {None}
    assert {row["p_best"] for row in csv.DictReader(io.StringIO(render_csv([report])))} == {""}


def test_where_no_number_of_runs_decides_the_page_names_no_command() -> None:
    noise = replace(verdict().noise, basis="measured")
    report = replace(make_report(), verdict=verdict(needed=SampleSizeNeeded(0.05, 0.01, 3, None), noise=noise))
    assert next_step(report) == (
        "No confirmation of up to 100 runs of each would decide: use the recommended setting.",
        "",
    )


def test_many_runs_are_added_where_they_decide_most() -> None:
    report = replace(make_report(), verdict=verdict(needed=SampleSizeNeeded(0.05, 0.02, 3, 12)))
    words, command = next_step(report)
    assert words == "A confirmation would decide; it adds runs where they decide most, up to 30 of each:"
    assert command == "python tune_main.py --confirm grid-1 --until-decided"
    few = replace(report, verdict=verdict(needed=SampleSizeNeeded(0.05, 0.02, 3, 4)))
    assert next_step(few)[1] == "python tune_main.py --confirm grid-1"


def test_the_headline_has_at_most_twenty_words_and_two_figures() -> None:
    words = verdict().sentence.replace("lr=0.001", "").split()
    assert len(words) <= 20 and sum(word.strip(".,").isdigit() for word in words) <= 2


def test_no_score_stands_beside_two_intervals() -> None:
    text = Page(render_html(make_report(), figures=NoFigures())).text.split("Leaderboard")[0]
    score = "0.843 ("
    assert text.count(score) == 1
