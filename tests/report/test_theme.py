"""The canvas: a figure -> SVG of the page; scales, short names, numbers."""

import re

import pytest
from matplotlib.figure import Figure
from svg import texts

from sweeps.report.theme import (
    COLOUR,
    INK,
    THEME,
    are_logarithmic,
    are_numbers,
    build_canvas,
    label_ends,
    order_values,
    plain_name,
    render_svg,
    scale_axis,
    short_keys,
)


def draw_line(words: str = "words", values: tuple[float, ...] = (0.1, 0.123456789)) -> Figure:
    figure, axes = build_canvas(352, 100, left=4, right=4, top=4, bottom=4)
    axes.plot(range(len(values)), values, color=COLOUR["leader"])
    axes.text(0, 0.1, words, color=INK)
    return figure


def test_every_colour_is_the_page_s() -> None:
    svg = render_svg(draw_line, "x", "words")
    assert not any(colour in svg for colour in THEME)
    assert "var(--leader)" in svg


def test_ids_of_two_figures_never_meet() -> None:
    one, two = (set(re.findall(r'\bid="([^"]+)"', render_svg(draw_line, name, "words"))) for name in ("one", "two"))
    assert one
    assert not one & two


def test_the_same_figure_is_the_same_text() -> None:
    assert render_svg(draw_line, "x", "words") == render_svg(draw_line, "x", "words")


def test_tags_and_formulas_stay_text() -> None:
    hostile = '<script>"$\\frac{'
    svg = render_svg(lambda: draw_line(hostile), "x", "words")
    assert "<script" not in svg
    assert hostile in texts(svg)


def test_a_letter_that_no_font_has_is_drawn_without_a_warning() -> None:
    assert "\U0001f600" in render_svg(lambda: draw_line("\U0001f600"), "x", "words")


def test_the_text_alternative_is_escaped() -> None:
    svg = render_svg(draw_line, "x", 'a "quoted" <word>')
    assert 'aria-label="a &quot;quoted&quot; &lt;word&gt;"' in svg


def test_places_have_two_decimals_and_texts_keep_theirs() -> None:
    svg = render_svg(lambda: draw_line("0.123456789"), "x", "words")
    assert not re.search(r' d="[^"]*\d\.\d{3}', svg)
    assert "0.123456789" in texts(svg)


def test_numbers_are_ordered_by_size_and_names_by_letter() -> None:
    assert order_values([10, 9.5, 10]) == (9.5, 10)
    assert order_values(["b", "a", "b"]) == ("a", "b")


def test_true_is_a_name_and_no_number() -> None:
    assert are_numbers([1, 2.5])
    assert not are_numbers([1, True])


@pytest.mark.parametrize(("values", "expected"), [([1e-4, 1e-2], True), ([0.0, 1.0], False), ([1, 10], False)])
def test_positive_numbers_far_apart_are_logarithmic(values: list[float], expected: bool) -> None:
    assert are_logarithmic(values) is expected


def test_a_logarithmic_axis_has_ticks_at_powers_of_ten() -> None:
    _, axes = build_canvas(100, 100, left=4, right=4, top=4, bottom=4)
    places = scale_axis(axes, "x", (2e-4, 1e-2))
    assert places == {2e-4: 2e-4, 1e-2: 1e-2}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-4", "1e-3", "0.01"]


def test_names_stand_beside_each_other() -> None:
    _, axes = build_canvas(100, 100, left=4, right=4, top=4, bottom=4)
    assert scale_axis(axes, "y", ("focal", "cross_entropy")) == {"focal": 0, "cross_entropy": 1}


def test_settings_have_short_names_unless_two_are_alike() -> None:
    assert short_keys(["optim.lr", "loss.name"]) == {"optim.lr": "lr", "loss.name": "loss"}
    assert short_keys(["a.size", "b.size"]) == {"a.size": "a.size", "b.size": "b.size"}


def test_names_at_the_ends_of_lines_never_overlap() -> None:
    _, axes = build_canvas(300, 200, left=4, right=60, top=4, bottom=4)
    axes.set_ylim(0, 1)
    label_ends(axes, [("a", (1, 0.5)), ("b", (1, 0.501))])
    heights = [text.xy[1] * axes.get_window_extent().height for text in axes.texts if hasattr(text, "xy")]
    assert heights[1] - heights[0] >= 15


def test_a_hostile_name_becomes_no_path_and_no_markup() -> None:
    assert plain_name("optim.lr-loss.name") == "optim.lr-loss.name"
    assert re.fullmatch(r"\.\._x_-[0-9a-f]{8}", plain_name('../x">'))
    assert plain_name("a/b") != plain_name("a b")
