"""Report -> learning curves: bands of runs, cut-offs at rungs, many trials in little room."""

from functools import partial

import pytest
from entries import make_entry, make_sweep
from svg import texts

from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.sections.curves import build_bands, build_rungs, build_section, draw_curves, draw_fit
from sweeps.report.theme import render_svg
from sweeps.schedulers.rungs import Stop


def stopped(name: str, value: float, cutoff: float, compared: int = 3) -> Entry:
    detail = Stop(2, value, cutoff, compared).sentence()
    return make_entry(name, value, {"optim.lr": value}, reason="asha", curve=((1, 0.0), (2, value)), stop_detail=detail)


def make_stopped_sweep() -> Report:
    entries = [make_entry("a", 0.9, {"optim.lr": 0.9}), make_entry("b", 0.8, {"optim.lr": 0.8})]
    return make_sweep([*entries, stopped("c", 0.1, 0.4), stopped("d", 0.3, 0.35)], ("optim.lr",), rungs=(2, 6))


def seeds(*scores: float) -> list[Entry]:
    return [make_entry(f"s{n}", score, {"optim.lr": 1e-3, "train.seed": n}) for n, score in enumerate(scores)]


def svg_of(report: Report, *, wide: bool = True) -> str:
    draw = partial(draw_curves, report, build_bands(report), build_rungs(report), wide=wide)
    return render_svg(draw, "curves", "words")


def test_runs_that_differ_in_their_seed_only_are_one_band() -> None:
    other = make_entry("x", 0.5, {"optim.lr": 1e-4, "train.seed": 0})
    bands = build_bands(make_sweep([*seeds(0.4, 0.6, 0.5), other], ("optim.lr", "train.seed")))
    assert [[entry.trial_id for entry in band.runs] for band in bands] == [["s1", "s2", "s0"]]


def test_a_band_has_lowest_median_and_highest_of_its_runs() -> None:
    band = build_bands(make_sweep(seeds(0.4, 0.6, 0.5), ("train.seed",)))[0]
    assert band.spread()[-1] == (10, 0.4, 0.5, 0.6)
    assert band.end() == (10, 0.5)


def test_a_band_goes_as_far_as_every_run() -> None:
    short = make_entry("short", 0.2, {"optim.lr": 1e-3, "train.seed": 9}, curve=((1, 0.1), (2, 0.2)))
    band = build_bands(make_sweep([*seeds(0.4), short], ("train.seed",)))[0]
    assert [epoch for epoch, *_ in band.spread()] == [1, 2]


def test_runs_without_a_shared_epoch_are_drawn_without_a_band() -> None:
    late = make_entry("late", 0.2, {"optim.lr": 1e-3, "train.seed": 9}, curve=((11, 0.2),))
    assert "leader" in texts(svg_of(make_sweep([*seeds(0.4), late], ("train.seed",))))


def test_a_rung_has_its_stops_and_who_missed_it_by_the_least() -> None:
    first, second = build_rungs(make_stopped_sweep())
    assert (first.epoch, first.reached, first.cutoffs) == (2, 4, (0.35, 0.4))
    assert first.closest is not None
    assert first.closest[0].trial_id == "d"
    assert (second.epoch, second.reached, second.cutoffs, second.closest) == (6, 2, None, None)


def test_stops_at_an_epoch_that_the_plan_does_not_have_are_shown_too() -> None:
    report = make_sweep([make_entry("a", 0.9, {}), stopped("c", 0.1, 0.4)], ("optim.lr",))
    assert [rung.epoch for rung in build_rungs(report)] == [2]


def test_curves_name_rungs_and_lines() -> None:
    found = texts(svg_of(make_stopped_sweep()))
    assert {"rung 2", "rung 6", "leader", "runner-up"} <= set(found)


def test_the_sentence_counts_the_stops() -> None:
    section = build_section(make_stopped_sweep())
    assert "at the rungs (epochs 2, 6) trials were compared, and 2 of 4 trials were stopped there" in section.sentence


def test_the_sentence_speaks_of_a_single_rung() -> None:
    section = build_section(make_sweep([make_entry("a", 0.9, {}), stopped("c", 0.1, 0.4)], ("optim.lr",)))
    assert "at the rung (epoch 2) trials were compared" in section.sentence


def test_a_band_is_named_by_the_best_of_its_runs() -> None:
    found = texts(svg_of(make_sweep(seeds(0.4, 0.6, 0.5), ("train.seed",))))
    assert "leader" in found
    assert "runner-up" not in found


def test_a_thousand_trials_stay_small() -> None:
    curve = tuple((epoch, (epoch * 7919 % 50) / 50) for epoch in range(1, 51))
    entries = [make_entry(f"t{n}", 0.98, {"x": n}, curve=curve) for n in range(1000)]
    assert len(svg_of(make_sweep(entries, ("x",), budget=50))) < 400_000


@pytest.mark.parametrize("wide", [True, False])
def test_the_leader_s_fit_names_both_lines(wide: bool) -> None:
    found = texts(render_svg(partial(draw_fit, make_stopped_sweep(), wide=wide), "fit", "words"))
    assert {"training", "validation"} <= set(found)


def test_a_trial_without_an_epoch_is_no_line() -> None:
    waiting = make_entry("w", None, {"optim.lr": 1.0}, reason="", curve=())
    report = make_sweep([make_entry("a", 0.9, {"optim.lr": 0.9}), waiting], ("optim.lr",))
    assert "leader" in texts(svg_of(report))


def test_a_curve_says_its_trial_where_the_pointer_rests_on_it() -> None:
    svg = svg_of(make_stopped_sweep())
    assert [f"<title>{name}</title>" in svg for name in "abcd"] == [True] * 4
    band = svg_of(make_sweep(seeds(0.4, 0.6), ("train.seed",)))
    assert "<title>s1, 2 runs</title>" in band


def test_a_hostile_name_of_a_curve_is_text() -> None:
    svg = svg_of(
        make_sweep([make_entry('<script>"&', 0.5, {"optim.lr": 1}), make_entry("b", 0.4, {"optim.lr": 2})], ())
    )
    assert "<script" not in svg and '<title>&lt;script&gt;"&amp;</title>' in svg


def test_a_table_says_which_curve_is_which_trial_unless_there_are_very_many() -> None:
    named = build_section(make_stopped_sweep()).data["named"]
    assert [entry.name for entry in named] == ["a", "b", "d", "c"]
    many = make_sweep([make_entry(f"t{n}", n / 100, {"optim.lr": n}) for n in range(1, 62)], ("optim.lr",))
    assert build_section(many).data["named"] == ()
    assert "<title>t1</title>" not in svg_of(many)
