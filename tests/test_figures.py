"""Report -> figures and SVG: what is in a cell, that text stays text, that the same figure is the same file."""

import re
from dataclasses import replace
from functools import partial
from typing import Any
from xml.etree import ElementTree

import pytest
from test_gather import LEADER, LOSSES, RATES, make_record, make_report

from sweeps.figures import (
    THEME,
    build_grid,
    draw_classes,
    draw_curves,
    draw_fit,
    draw_grid,
    draw_groups,
    render_svg,
)
from sweeps.gather import Report


def svg_of(report: Report, *, wide: bool = True) -> str:
    grid = build_grid(report)
    assert grid is not None
    return render_svg(partial(draw_grid, report, grid, wide=wide), "grid", "words")


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


def test_the_grid_has_a_cell_for_each_pair_in_ascending_order() -> None:
    grid = build_grid(make_report())
    assert grid is not None
    assert (grid.keys, grid.values) == (("optim.lr", "loss.name"), (RATES, LOSSES))
    assert len(grid.cells) == 8


def test_over_more_axes_the_best_trial_stands_for_the_rest() -> None:
    rows = make_record().trials
    decays = (0.0, *[1e-4] * 7)
    rows = tuple(
        replace(row, settings={**row.settings, "loss.name": "focal", "optim.weight_decay": decay})
        for row, decay in zip(rows, decays, strict=True)
    )
    axes: dict[str, list[float]] = {"optim.lr": [], "optim.weight_decay": [], "loss.name": []}
    grid = build_grid(make_report(trials=rows, manifest={"axes": axes}))
    assert grid is not None
    assert grid.cells[1e-3, 1e-4].trial_id == LEADER


def test_axes_beyond_the_second_are_named() -> None:
    rows = tuple(replace(row, settings={**row.settings, "x": n % 2}) for n, row in enumerate(make_record().trials))
    grid = build_grid(make_report(trials=rows, manifest={"axes": {"optim.lr": [], "loss.name": [], "x": [0, 1]}}))
    assert grid is not None
    assert grid.others == ("x",)


def test_a_sweep_without_axes_has_no_grid() -> None:
    assert build_grid(make_report(manifest={"axes": {}})) is None


def test_a_single_axis_is_drawn_as_bars_with_their_figures() -> None:
    rows = tuple(row for row in make_record().trials if row.settings["loss.name"] == "focal")
    found = texts(svg_of(make_report(trials=rows)))
    assert "0.812 · leader" in found
    assert "– · diverged" in found


def test_the_heat_map_says_how_trials_ended() -> None:
    found = texts(svg_of(make_report()))
    assert {"0.843", "0.741", "reference", "stopped at 6", "diverged"} <= set(found)


@pytest.mark.parametrize(
    ("wide", "label"), [(True, "optim.lr across, loss.name down"), (False, "loss.name across, optim.lr down")]
)
def test_the_longer_axis_lies_along_the_longer_side(wide: bool, label: str) -> None:
    assert label in texts(svg_of(make_report(), wide=wide))


def test_bars_carry_the_figure_of_each_class_for_each_trial() -> None:
    found = texts(render_svg(partial(draw_classes, make_report(), wide=True), "classes", "words"))
    assert found.count("0.823") == 1  # road of the leader: 0.8434 - 0.02
    assert len([text for text in found if re.fullmatch(r"0\.\d{3}", text)]) == 15


def test_curves_draw_every_rung_and_name_the_lines() -> None:
    found = texts(render_svg(partial(draw_curves, make_report(), wide=True), "curves", "words"))
    assert {"rung 2", "rung 6", "rung 18", "leader", "runner-up", "reference"} <= set(found)


@pytest.mark.parametrize("draw", [draw_classes, draw_groups, draw_curves, draw_fit])
@pytest.mark.parametrize("wide", [True, False])
def test_no_figure_is_wider_than_its_column(draw: Any, wide: bool) -> None:
    svg = render_svg(partial(draw, make_report(), wide=wide), "x", "words")
    box = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert box is not None
    assert float(box[1]) <= (1080 if wide else 352)


def test_every_colour_is_the_page_s() -> None:
    svg = render_svg(partial(draw_curves, make_report(), wide=True), "curves", "words")
    assert not any(colour in svg for colour in THEME)
    assert "var(--leader)" in svg


def test_ids_of_two_figures_never_meet() -> None:
    draw = partial(draw_curves, make_report(), wide=True)
    one, two = (set(re.findall(r'\bid="([^"]+)"', render_svg(draw, name, "words"))) for name in ("one", "two"))
    assert one
    assert not one & two


def test_the_same_figure_is_the_same_text() -> None:
    assert svg_of(make_report()) == svg_of(make_report())


def test_names_with_tags_and_formulas_stay_text() -> None:
    hostile = '<script>"$\\frac{'
    rows = tuple(
        replace(row, settings={**row.settings, "loss.name": f"{row.settings['loss.name']}{hostile}"})
        for row in make_record().trials
    )
    svg = svg_of(make_report(trials=rows))
    assert "<script" not in svg
    assert f"focal{hostile}" in texts(svg)


def test_a_letter_that_no_font_has_is_drawn_without_a_warning() -> None:
    rows = tuple(
        replace(row, settings={**row.settings, "loss.name": f"{row.settings['loss.name']}\U0001f600"})
        for row in make_record().trials
    )
    assert "\U0001f600" in svg_of(make_report(trials=rows))


def test_the_text_alternative_is_escaped() -> None:
    svg = render_svg(partial(draw_groups, make_report(), wide=True), "groups", 'a "quoted" <word>')
    assert 'aria-label="a &quot;quoted&quot; &lt;word&gt;"' in svg
