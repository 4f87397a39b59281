"""Pictures, attention and ignored regions on a page."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from counts import make_evidence
from panels import panel, shown_album
from PIL import Image
from reports import LEADER, make_report

from bddseg.task import FIVE_CLASSES
from sweeps.report.formats import render_json
from sweeps.report.gather import Report
from sweeps.report.page import render_html, render_markdown
from sweeps.report.section import Section
from sweeps.report.sections.predictions import Gallery, build_attention, build_predictions
from sweeps.report.sections.scenes import build_ignored, count_ignored

HOSTILE = "<script>alert(1)</script>"


def shown_report(**changes: Any) -> Report:
    return replace(make_report(), **{"evidence": {}, **changes})


def gallery(**changes: Any) -> Gallery:
    section = build_predictions(shown_report(album=shown_album(**changes)))
    assert section is not None and isinstance(section.data, Gallery)
    return section.data


@pytest.mark.parametrize("build", [build_predictions, build_attention, build_ignored])
def test_a_sweep_without_pictures_or_evidence_has_no_such_section(build: Callable[[Report], Section | None]) -> None:
    assert build(shown_report()) is None


def test_an_image_has_photograph_truth_and_two_tiles_for_each_trial() -> None:
    labels = [tile.label for tile in gallery().groups[0].rows[0].tiles]
    assert labels == ["image", "truth", "leader 0.500", "agreement", "runner-up –", "agreement"]


def test_trials_are_named_as_on_the_leaderboard_and_unknown_ones_by_their_id() -> None:
    assert gallery().trials == (("leader", "vanilla-f8 cross_entropy lr=0.001"), ("runner-up", "b"))


def test_what_stands_for_a_picture_says_how_much_of_what_it_shows() -> None:
    tiles = gallery().groups[0].rows[0].tiles
    shares = [int(number) for number in re.findall(r"(\d+) %", tiles[1].alt_text)]
    assert sum(shares) == pytest.approx(100, abs=5) and "not judged 12 %" in tiles[1].alt_text
    assert re.search(r"leader is right: \d+ % of the pixels judged", tiles[3].alt_text)


def test_a_tile_holds_the_colours_of_the_classes() -> None:
    source = gallery().groups[0].rows[0].tiles[2].source
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        colours = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert colours <= set(FIVE_CLASSES.palette)


def test_groups_come_in_the_order_of_their_reasons() -> None:
    kinds = ("worst", "behind", "ahead", "fixed")
    found = gallery(
        panels=tuple(panel(kind=kind, against="b" if kind in ("ahead", "behind") else "") for kind in kinds)
    )
    assert [group.title for group in found.groups] == [
        "1 fixed image, city streets first",
        "1 image on which the leader is furthest ahead of the runner-up",
        "1 image on which the leader is furthest behind the runner-up",
        "1 image on which the leader is worst",
    ]


def test_a_sentence_says_of_which_fold_the_images_are() -> None:
    section = build_predictions(shown_report(album=shown_album(part="the fold of run 1")))
    assert section is not None and "on 1 image of the fold of run 1" in section.sentence


def test_gates_are_named_by_their_size_the_deepest_first() -> None:
    section = build_attention(shown_report(album=shown_album()))
    assert section is not None
    assert [gate.label for gate in section.data.trials[0].gates] == ["1/8 size", "1/4 size", "1/2 size", "full size"]
    assert [tile.label.partition(",")[0] for tile in section.data.trials[0].rows[0].tiles][:2] == ["image", "1/8 size"]


def test_ignored_pixels_are_counted_by_scene() -> None:
    evidence = make_evidence("city street", "highway", "city street")
    painted = np.zeros_like(evidence.ignored)
    painted[:, 0], painted[1, 3] = (2, 1, 2), 3
    every, city, highway = count_ignored(replace(evidence, ignored=painted))
    assert (every.images, city.scene, city.images, highway.scene) == (3, "city street", 2, "highway")
    assert every.painted["road"] == 5 / 8 and city.painted["road"] == 1 and highway.painted["sky"] == 3 / 4
    judged = int(evidence.counts[1].sum())
    assert highway.ignored == 4 / (4 + judged)


def test_the_page_shows_all_three_and_fetches_nothing() -> None:
    evidence = make_evidence("city street", "highway")
    evidence = replace(evidence, ignored=np.ones_like(evidence.ignored))
    html = render_html(shown_report(album=shown_album(), evidence={LEADER: evidence}))
    assert all(f'<section id="{name}"' in html for name in ("predictions", "attention", "ignored"))
    sources = re.findall(r'<img[^>]* src="([^"]*)"', html)
    assert len(sources) > 10 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", html))


def test_hostile_names_of_images_come_out_as_text() -> None:
    album = shown_album(panels=(panel(name=HOSTILE, scene=f'"{HOSTILE}'),))
    report = shown_report(album=album)
    html = render_html(report)
    assert HOSTILE not in html and HOSTILE in unescape(html)
    assert HOSTILE not in render_markdown(report)


def test_json_holds_no_pictures() -> None:
    assert "album" not in render_json([shown_report(album=shown_album())])
