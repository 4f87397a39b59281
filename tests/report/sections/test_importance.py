"""Report -> importance: what Optuna makes of trials, what it cannot, settings without effect."""

import itertools
import re
import warnings
from dataclasses import replace
from functools import partial

import pytest
from entries import make_entry, make_sweep
from matplotlib.patches import Rectangle
from svg import texts

from bddseg.config import TrainConfig
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.sections.fanova import FinishedPoint, build_sample, build_study, measure_importance
from sweeps.report.sections.importance import build_section, draw_importance, draw_parallel, draw_slice
from sweeps.report.theme import render_svg

RATES = (1e-4, 1e-3, 1e-2)
AXES = ("optim.lr", "loss.name", "loss.gamma")


def make_searched_sweep() -> Report:
    """24 trials: all that counts is the learning rate; gamma changes nothing under cross-entropy."""
    kinds = itertools.product(RATES, ("cross_entropy", "focal"), (1.0, 2.0), (1, 2))
    points = [TrainConfig().flat() | dict(zip((*AXES, "train.seed"), kind, strict=True)) for kind in kinds]
    entries = [make_entry(f"t{n}", 0.2 + 0.2 * RATES.index(point["optim.lr"]), point) for n, point in enumerate(points)]
    return make_sweep(entries, AXES)


def section_of(report: Report) -> Section:
    section = build_section(report)
    assert section is not None
    return section


def sample_of() -> FinishedPoint:
    return build_sample(make_searched_sweep())


def test_the_setting_that_counts_alone_has_all_the_importance() -> None:
    assert measure_importance(sample_of()) == {"lr": pytest.approx(1.0), "loss": pytest.approx(0.0)}


def test_importance_is_the_same_every_time() -> None:
    assert measure_importance(sample_of()) == measure_importance(sample_of())


def test_a_setting_without_effect_in_some_trials_is_known_as_such() -> None:
    sample = sample_of()
    assert len(sample.inert["loss.gamma"]) == 12
    assert sample.everywhere == ("optim.lr", "loss.name")


def test_what_has_no_effect_is_no_parameter_of_the_study() -> None:
    study = build_study(sample_of())
    assert sum("gamma" in trial.params for trial in study.trials) == 12
    assert study.best_value == pytest.approx(0.6)


def test_the_section_says_what_fanova_left_out() -> None:
    section = section_of(make_searched_sweep())
    assert section.data["dropped"] == {"loss.gamma": 12}
    assert section.sentence.startswith("Of what differs between 24 completed trials, optim.lr explains 100 % by itself")


def test_too_few_trials_are_refused_in_words() -> None:
    entries = [make_entry(f"t{n}", 0.1 * n, {"optim.lr": n, "loss.name": str(n % 2)}) for n in range(4)]
    section = section_of(make_sweep(entries, AXES))
    assert section.sentence == "Hyperparameter importance needs at least 10 completed trials; this sweep has 4."
    assert not section.drawings


def test_a_single_axis_is_refused_in_words() -> None:
    entries = [make_entry(f"t{n}", 0.01 * n, {"optim.lr": n}) for n in range(12)]
    assert "Only optim.lr varies" in section_of(make_sweep(entries, AXES)).sentence


def test_without_axes_there_is_no_section() -> None:
    assert build_section(make_sweep([make_entry("a", 0.5, {})], ())) is None


def test_equal_figures_leave_nothing_to_explain() -> None:
    entries = [make_entry(f"t{n}", 0.5, {"optim.lr": n, "loss.name": str(n % 2)}) for n in range(12)]
    section = section_of(make_sweep(entries, AXES))
    assert "nothing to explain" in section.sentence


def test_a_trial_that_was_stopped_early_changes_no_importance() -> None:
    report, point = make_searched_sweep(), TrainConfig().flat() | {"optim.lr": 1e-2, "loss.name": "cross_entropy"}
    stopped = [make_entry(f"s{n}", 0.01, point, reason="asha", curve=((1, 0.01),)) for n in range(12)]
    mixed = make_sweep([*report.trials, *stopped], AXES)
    assert measure_importance(build_sample(mixed)) == measure_importance(build_sample(report))


def test_where_nearly_all_trials_were_stopped_the_section_says_how_few_completed() -> None:
    report = make_searched_sweep()
    trials = [
        replace(it, state="stopped", stop_reason="asha") if it.rank and it.rank > 9 else it for it in report.trials
    ]
    section = section_of(make_sweep(trials, AXES))
    assert "at least 10 completed trials; this sweep has 9." in section.sentence and not section.drawings


def test_two_settings_that_explain_everything_leave_no_rest() -> None:
    assert "the other" not in section_of(make_searched_sweep()).sentence


def test_what_settings_do_together_is_the_rest() -> None:
    points = itertools.product((1e-4, 1e-2), ("cross_entropy", "focal"), range(4))
    entries = [
        make_entry(f"t{n}", 0.6 if (rate > 1e-3) == (loss == "focal") else 0.2, {"optim.lr": rate, "loss.name": loss})
        for n, (rate, loss, _) in enumerate(points)
    ]
    sample = build_sample(make_sweep(entries, ("optim.lr", "loss.name")))
    assert sum(measure_importance(sample).values()) < 0.2
    assert "lies in how settings act together." in section_of(make_sweep(entries, ("optim.lr", "loss.name"))).sentence


def test_a_failed_trial_is_not_among_those_weighed() -> None:
    entries = [make_entry(f"t{n}", 0.01 * n, {"optim.lr": n, "loss.name": str(n % 2)}) for n in range(12)]
    failed = make_entry("x", None, {"optim.lr": 99, "loss.name": "1"}, reason="oom")
    assert len(build_sample(make_sweep([*entries, failed], AXES)).entries) == 12


def test_a_sample_keeps_the_best_and_the_worst() -> None:
    thinned = sample_of().thinned(5)
    assert [entry.rank for entry in thinned.entries] == [1, 6, 12, 18, 24]


@pytest.mark.parametrize("wide", [True, False])
def test_optuna_s_plots_are_drawn_in_the_page_s_colours_without_a_warning(wide: bool) -> None:
    sample, shares = sample_of(), {"lr": 0.9, "loss": 0.1}
    draws = [
        partial(draw_parallel, sample, shares, wide=wide),
        partial(draw_importance, sample, shares, wide=wide),
        partial(draw_slice, sample, "optim.lr", wide=wide),
        partial(draw_slice, sample, "loss.name", wide=wide),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [render_svg(draw, "x", "words") for draw in draws]
    assert not any("#e5e5e5" in svg.lower() or "#ffffff" in svg.lower() for svg in found)


def test_parallel_axes_are_marked_at_their_values() -> None:
    found = texts(render_svg(partial(draw_parallel, sample_of(), {}, wide=True), "x", "words"))
    assert {"1e-4", "1e-3", "0.01", "focal", "no effect", "lr"} <= set(found)


def test_bars_are_as_long_as_the_shares_that_are_written() -> None:
    figure = draw_importance(sample_of(), {"lr": 0.5, "loss": 0.1}, wide=True)
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert sorted(widths) == pytest.approx([0.1, 0.5])
    assert sorted(label.get_text() for label in axes.texts) == ["10 %", "50 %"]


def test_plots_leave_no_figure_open() -> None:
    from matplotlib import pyplot

    draw_slice(sample_of(), "optim.lr", wide=True)
    assert pyplot.get_fignums() == []


def test_a_hostile_setting_names_no_file_and_stays_text() -> None:
    hostile = '../<script>"'
    entries = [make_entry(f"t{n}", 0.01 * n, {"optim.lr": n, hostile: str(n % 2)}) for n in range(12)]
    section = section_of(make_sweep(entries, ("optim.lr", hostile)))
    assert all(re.fullmatch(r"[\w.-]+", name) for name in section.drawings)
    for name, drawing in section.drawings.items():
        assert "<script" not in render_svg(partial(drawing.draw, wide=True), name, drawing.alt_text)
