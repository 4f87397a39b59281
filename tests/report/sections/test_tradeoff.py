"""Report -> accuracy against size and speed: the front, and what is not known."""

from functools import partial
from typing import Any

import pytest
from entries import make_entry, make_sweep
from svg import texts

from sweeps.report.gather import Report
from sweeps.report.sections.tradeoff import build_points, build_section, draw_tradeoff, find_front
from sweeps.report.theme import render_svg
from sweeps.storage.latency import NetworkTimings, TrialLatency

SIZES = {"a": (4e6, 4.0, 40.0), "b": (2e6, 2.0, 21.0), "c": (1e6, 3.0, 33.0), "d": (3e6, 5.0, None)}
SCORES = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}


def make_measured_sweep(**changes: Any) -> Report:
    entries = [make_entry(name, score, {"x": name}) for name, score in SCORES.items()]
    trials = {name: TrialLatency(int(size), one, many) for name, (size, one, many) in SIZES.items()}
    return make_sweep(entries, ("x",), **{"speed": NetworkTimings("one GPU", "bf16", trials), **changes})


def front_of(measure: str) -> list[str]:
    return [point.entry.trial_id for point in find_front(build_points(make_measured_sweep()), measure)]


def test_the_front_has_whom_no_other_one_beats_in_both() -> None:
    assert front_of("batch_1_ms") == ["b", "a"]
    assert front_of("parameters") == ["c", "b", "a"]


def test_of_equally_cheap_ones_the_better_is_on_the_front() -> None:
    entries = [make_entry(name, score, {"x": name}) for name, score in (("a", 0.5), ("b", 0.6))]
    speed = NetworkTimings(trials={name: TrialLatency(10, None, None) for name in "ab"})
    points = build_points(make_sweep(entries, ("x",), speed=speed))
    assert [point.entry.trial_id for point in find_front(points, "parameters")] == ["b"]


def test_a_trial_that_was_not_measured_is_left_out() -> None:
    assert "d" not in front_of("batch_16_ms")


def test_without_latency_only_the_size_is_shown() -> None:
    speed = NetworkTimings(trials={name: TrialLatency(int(size), None, None) for name, (size, _, _) in SIZES.items()})
    section = build_section(make_measured_sweep(speed=speed))
    assert section is not None
    assert list(section.drawings) == ["parameters"]


def test_what_was_not_measured_is_said_once_the_sweep_is_over() -> None:
    section = build_section(make_measured_sweep(speed=NetworkTimings()))
    assert section is not None
    assert "were not measured" in section.sentence
    assert build_section(make_measured_sweep(speed=NetworkTimings(), state="running")) is None


def test_networks_that_are_all_alike_are_one_sentence() -> None:
    speed = NetworkTimings(trials=dict.fromkeys(SIZES, TrialLatency(4000, 2.0, None)))
    section = build_section(make_measured_sweep(speed=speed))
    assert section is not None
    assert "the same size and speed (2 milliseconds for one image, 4,000 weights of the network)" in section.sentence
    assert not section.drawings


def test_the_sentence_names_both_ends_of_the_front() -> None:
    section = build_section(make_measured_sweep())
    assert section is not None
    assert "from b (2 ms) to a (4 ms), which is 10.00 points better" in section.sentence
    assert section.data["device"] == "one GPU, bf16"


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("measure", ["batch_1_ms", "parameters"])
def test_the_drawing_names_leader_and_axis(measure: str, wide: bool) -> None:
    report = make_measured_sweep()
    draw = partial(draw_tradeoff, report, build_points(report), measure, wide=wide)
    found = texts(render_svg(draw, measure, "words"))
    assert {"leader", "runner-up"} <= set(found)
    assert any("validation mIoU up" in text for text in found)
