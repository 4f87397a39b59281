"""Report -> bars of classes and scenes: a figure for each trial shown, none wider than its column."""

import re
from collections.abc import Callable
from functools import partial

import pytest
from entries import make_entry, make_sweep
from matplotlib.figure import Figure
from svg import texts

from bddseg.task import FIVE_CLASSES
from sweeps.report.gather import Report
from sweeps.report.sections.classes import draw_bars, draw_classes
from sweeps.report.theme import render_svg
from sweeps.statistics.scores import Scores


def make_scored_sweep() -> Report:
    """A leader and a runner-up; the runner-up has no figure for the first class."""
    first = {name: 0.5 + place / 10 for place, name in enumerate(FIVE_CLASSES.classes)}
    second = {name: None if place == 0 else 0.4 for place, name in enumerate(FIVE_CLASSES.classes)}
    scores = {"a": Scores(0.8, first, {}, {}), "b": Scores(0.7, second, {}, {})}
    entries = [make_entry(name, found.miou, {"x": name}, scores=found) for name, found in scores.items()]
    return make_sweep(entries, ("x",))


def draw_two_scenes(report: Report, *, wide: bool) -> Figure:
    return draw_bars(report, [("city", (0.61, 0.51)), ("highway", (None, 0.41))], wide=wide)


def test_bars_carry_the_figure_of_each_class_for_each_trial() -> None:
    found = texts(render_svg(partial(draw_classes, make_scored_sweep(), wide=True), "classes", "words"))
    assert found.count("0.400") == len(FIVE_CLASSES.classes) - 1
    assert {"0.500", "–", *FIVE_CLASSES.classes} <= set(found)


def test_bars_carry_the_figure_of_each_scene() -> None:
    found = texts(render_svg(partial(draw_two_scenes, make_scored_sweep(), wide=True), "scenes", "words"))
    assert {"city", "highway", "0.610", "0.510", "–", "0.410"} <= set(found)


@pytest.mark.parametrize("draw", [draw_classes, draw_two_scenes])
@pytest.mark.parametrize("wide", [True, False])
def test_no_figure_is_wider_than_its_column(draw: Callable[..., Figure], wide: bool) -> None:
    svg = render_svg(partial(draw, make_scored_sweep(), wide=wide), "x", "words")
    box = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert box is not None
    assert float(box[1]) <= (524 if wide else 352)
