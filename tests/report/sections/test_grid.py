"""Report -> the grid: every pair of settings, best and mean, what is in a cell."""

import re
from functools import partial

import pytest
from entries import make_entry, make_sweep
from svg import texts

from bddseg.config import TrainConfig
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.sections.grid import build_section, draw_grid
from sweeps.report.sections.pivot import build_grid, list_axes, list_pairs
from sweeps.report.theme import render_svg

RATES, LOSSES = (1e-4, 1e-3, 1e-2), ("cross_entropy", "focal")
AXES = ("optim.weight_decay", "optim.lr", "loss.name")


def make_grid_sweep() -> Report:
    """Twelve trials: higher rates and focal are better, weight decay 0 by 0.1 better than 0.1."""
    points = [(decay, lr, loss) for decay in (0.0, 0.1) for lr in RATES for loss in LOSSES]
    scores = [0.2 + 0.1 * RATES.index(lr) + 0.05 * (loss == "focal") - decay for decay, lr, loss in points]
    settings = [dict(zip(AXES, point, strict=True)) for point in points]
    entries = [make_entry(f"t{n}", score, settings[n]) for n, score in enumerate(scores)]
    return make_sweep(entries, AXES)


def section_of(report: Report) -> Section:
    section = build_section(report)
    assert section is not None
    return section


def svg_of(report: Report, keys: tuple[str, ...], *, wide: bool = True) -> str:
    return render_svg(partial(draw_grid, report, build_grid(report, keys), wide=wide), "grid", "words")


def test_learning_rate_and_loss_come_first() -> None:
    assert list_pairs(AXES) == [("optim.lr", "loss.name"), AXES[:2], (AXES[0], AXES[2])]


def test_values_that_look_alike_are_labelled_apart() -> None:
    entries = [make_entry(f"t{lr!r}", 0.5, {"optim.lr": lr}) for lr in (0.3, 0.1 + 0.2)]
    svg = svg_of(make_sweep(entries, ("optim.lr",)), ("optim.lr",))
    assert {"0.3", "0.30000000000000004"} <= set(texts(svg))


def test_of_seven_axes_fifteen_pairs_are_shown() -> None:
    assert len(list_pairs(tuple("abcdefg"))) == 15


def test_a_single_axis_is_shown_alone() -> None:
    assert list_pairs(("optim.lr",)) == [("optim.lr",)]


def test_seeds_are_no_axis() -> None:
    entries = [make_entry(f"t{seed}", 0.5, {"optim.lr": lr, "train.seed": seed}) for lr in RATES for seed in (1, 2)]
    assert list_axes(make_sweep(entries, ("optim.lr", "train.seed"))) == ("optim.lr",)


def test_a_cell_has_the_best_trial_and_the_mean_of_all() -> None:
    grid = build_grid(make_grid_sweep(), ("optim.lr", "loss.name"))
    assert grid.score((1e-2, "focal")) == pytest.approx(0.45)
    assert grid.means[1e-2, "focal"] == (pytest.approx(0.4), 2)
    assert grid.other_axes == ("optim.weight_decay",)


def test_a_sweep_without_axes_has_no_grid() -> None:
    assert build_section(make_sweep([make_entry("a", 0.5, {})], ())) is None


def test_the_section_has_a_drawing_for_each_pair() -> None:
    section = section_of(make_grid_sweep())
    assert list(section.drawings) == [
        "optim.lr-loss.name",
        "optim.weight_decay-optim.lr",
        "optim.weight_decay-loss.name",
    ]
    assert "optim.lr 0.01 and loss.name focal" in section.sentence


def test_cells_say_figure_mean_and_axes() -> None:
    found = texts(svg_of(make_grid_sweep(), ("optim.lr", "loss.name")))
    assert {"0.450", "mean 0.400 of 2", "optim.lr across, loss.name down"} <= set(found)


def test_the_longer_axis_lies_along_the_longer_side() -> None:
    found = texts(svg_of(make_grid_sweep(), ("optim.lr", "loss.name"), wide=False))
    assert "loss.name across, optim.lr down" in found


def test_cells_say_how_trials_ended() -> None:
    settings = [{"optim.lr": lr, "loss.name": loss} for lr in RATES[:2] for loss in LOSSES]
    entries = [
        make_entry("a", 0.5, settings[0], is_reference=True),
        make_entry("b", 0.4, settings[1], reason="asha", curve=((1, 0.3), (2, 0.4))),
        make_entry("c", None, settings[2], reason="diverged"),
    ]
    found = texts(svg_of(make_sweep(entries, ("optim.lr", "loss.name")), ("optim.lr", "loss.name")))
    assert {"0.500", "reference", "stopped at 2", "diverged", "not run"} <= set(found)


def test_a_single_axis_is_drawn_as_bars() -> None:
    entries = [make_entry("a", 0.5, {"optim.lr": 1e-3}), make_entry("b", None, {"optim.lr": 1e-2}, reason="diverged")]
    found = texts(svg_of(make_sweep(entries, ("optim.lr",)), ("optim.lr",)))
    assert {"0.500 · leader", "– · diverged"} <= set(found)


@pytest.mark.parametrize("keys", [("optim.lr",), ("optim.lr", "loss.name"), ("optim.lr", "optim.weight_decay")])
def test_many_values_are_drawn_as_points(keys: tuple[str, ...]) -> None:
    entries = [
        make_entry(
            f"t{n}", 0.5 + n / 100, {"optim.lr": 10 ** (-n / 5), "loss.name": LOSSES[n % 2], "optim.weight_decay": n}
        )
        for n in range(20)
    ]
    report = make_sweep([*entries, make_entry("x", None, {**entries[0].settings, "optim.lr": 2.0}, reason="oom")], keys)
    assert not build_grid(report, keys).is_dense
    assert any(text.startswith("optim.lr across") for text in texts(svg_of(report, keys)))


@pytest.mark.parametrize("wide", [True, False])
def test_no_grid_is_wider_than_its_column(wide: bool) -> None:
    values = [f"a name that is long {n}" for n in range(12)]
    entries = [make_entry(f"t{n}", n / 20, {"x": value, "y": n % 3}) for n, value in enumerate(values)]
    box = re.search(r'viewBox="0 0 ([\d.]+)', svg_of(make_sweep(entries, ("x", "y")), ("x", "y"), wide=wide))
    assert box is not None
    assert float(box[1]) <= (1080 if wide else 352)


def test_hostile_values_stay_text() -> None:
    entries = [make_entry(f"t{n}", 0.5, {"x": f"<script>{n}", "y": n}) for n in range(3)]
    svg = svg_of(make_sweep(entries, ("x", "y")), ("x", "y"))
    assert "<script" not in svg
    assert "<script>1" in texts(svg)


@pytest.mark.parametrize("wide", [True, False])
def test_values_that_are_long_or_many_still_make_a_figure(wide: bool) -> None:
    entries = [make_entry(f"t{n}", n / 50, {"x": "long" * 2000 + str(n), "y": str(n)}) for n in range(40)]
    report = make_sweep(entries, ("x", "y"))
    assert not build_grid(report, ("x", "y")).is_dense
    assert len(svg_of(report, ("x", "y"), wide=wide)) < 100_000
    assert svg_of(make_sweep(entries[:2], ("x", "y")), ("x", "y"), wide=wide)


def test_a_number_without_end_is_a_name() -> None:
    entries = [make_entry(f"t{n}", 0.5, {"x": value, "y": n}) for n, value in enumerate([1.0, float("inf")])]
    assert "inf" in texts(svg_of(make_sweep(entries, ("x", "y")), ("x", "y")))


def test_a_cell_whose_setting_has_no_effect_says_so() -> None:
    points = [("attention_unet", 0.0), ("attention_unet", 0.2), ("vanilla_unet", 0.0)]
    keys = ("model.name", "model.dropout")
    settings = [TrainConfig().flat() | dict(zip(keys, point, strict=True)) for point in points]
    entries = [make_entry(f"t{n}", 0.5, settings[n]) for n in range(3)]
    assert "no effect" in texts(svg_of(make_sweep(entries, keys), keys))
