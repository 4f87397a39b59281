"""Images ranked by their probable label faults, from counts made by hand: 100 pixels each, road and sky."""

from dataclasses import replace

import numpy as np
import pytest

from sweeps.statistics.label_faults import LabelCounts, missing_shares, rank_suspects, usual_labels

CLASSES = ("road", "sky")
IMAGES = 8


def make_counts(units: tuple[str, ...] = ("a",) * IMAGES) -> LabelCounts:
    """Return images that all have 40 % road, 30 % sky and 30 % ignored, a third of which looks like road."""
    labels = np.tile([40, 30, 30], (IMAGES, 1))
    joint = np.tile(np.diag([40, 30]), (IMAGES, 1, 1))
    ignored = np.tile([10.0, 0.0], (IMAGES, 1))
    names = tuple(f"image{number}" for number in range(IMAGES))
    return LabelCounts(names, units, CLASSES, joint, np.zeros((IMAGES, 2, 2)), labels, ignored, np.zeros((IMAGES, 2)))


def without_road(counts: LabelCounts, image: int, looks_like_road: float = 50.0) -> LabelCounts:
    """Return the counts with a mask whose road is ignored."""
    labels, ignored = counts.labels.copy(), counts.ignored.copy()
    labels[image], ignored[image, 0] = [0, 30, 70], looks_like_road
    return replace(counts, labels=labels, ignored=ignored)


def with_wrong_sky(counts: LabelCounts, image: int, pixels: int = 20) -> LabelCounts:
    """Return the counts with road pixels that are labelled sky, of which the models are certain."""
    joint, margins = counts.joint.copy(), counts.margins.copy()
    joint[image, 1, 0], margins[image, 1, 0] = pixels, pixels
    return replace(counts, joint=joint, margins=margins)


def test_images_alike_are_not_suspect() -> None:
    assert {suspect.score for suspect in rank_suspects(make_counts())} == {0.0}


def test_a_mask_without_its_road_comes_first() -> None:
    first = rank_suspects(without_road(make_counts(), 5))[0]
    assert first.name == "image5" and first.faults[0].is_missing and first.faults[0].predicted == "road"


def test_no_more_is_missing_than_masks_usually_have() -> None:
    counts = without_road(make_counts(), 5, looks_like_road=70.0)
    usual = usual_labels(counts)[5, 0]
    assert usual == pytest.approx(0.4, abs=0.01) and missing_shares(counts)[5, 0] == pytest.approx(usual, abs=0.02)


def test_no_more_is_missing_than_ignored_pixels_show() -> None:
    assert missing_shares(without_road(make_counts(), 5, looks_like_road=20.0))[5, 0] <= 0.2


def test_a_scene_without_road_is_not_suspect_where_nothing_looks_like_road() -> None:
    assert rank_suspects(without_road(make_counts(), 5, looks_like_road=0.0))[0].score == 0


def test_an_ignored_pavement_that_looks_like_road_is_usual_where_the_drive_has_it_everywhere() -> None:
    counts = make_counts()
    wide = replace(counts, ignored=np.tile([25.0, 0.0], (IMAGES, 1)))
    assert missing_shares(wide).max() == 0


def test_a_class_that_many_images_lack_is_missing_in_none() -> None:
    counts = make_counts()
    labels = counts.labels.copy()
    labels[:4] = [40, 0, 60]
    ignored = np.tile([10.0, 20.0], (IMAGES, 1))
    assert missing_shares(replace(counts, labels=labels, ignored=ignored))[:, 1].max() < 0.01


def test_labels_that_models_contradict_count_by_their_margin() -> None:
    first = rank_suspects(with_wrong_sky(make_counts(), 2))[0]
    assert (first.name, first.score) == ("image2", pytest.approx(0.2))
    assert first.reason == "labelled sky, probably road: 20 % of the image"


def test_what_models_get_wrong_in_every_image_of_a_drive_is_usual() -> None:
    counts = make_counts()
    for image in range(IMAGES):
        counts = with_wrong_sky(counts, image, 10)
    assert {suspect.score for suspect in rank_suspects(counts)} == {0.0}


def test_an_image_is_compared_with_its_own_drive_first() -> None:
    counts = make_counts(units=("a",) * 4 + ("b",) * 4)
    labels = counts.labels.copy()
    labels[4:] = [0, 30, 70]  # a drive through a tunnel: no road in any mask
    ignored = np.tile([10.0, 0.0], (IMAGES, 1))
    ignored[4:, 0] = 50.0
    in_tunnel = missing_shares(replace(counts, labels=labels, ignored=ignored))[4:, 0].max()
    assert in_tunnel < missing_shares(without_road(make_counts(), 5))[5, 0] / 10


def test_a_sole_image_of_its_drive_is_compared_with_all() -> None:
    units = tuple(f"drive {number}" for number in range(IMAGES))
    assert rank_suspects(without_road(make_counts(units), 5))[0].name == "image5"


def test_equal_scores_are_ordered_by_name() -> None:
    assert [suspect.name for suspect in rank_suspects(make_counts())] == [f"image{n}" for n in range(IMAGES)]


def test_the_reason_of_a_missing_class_says_what_is_usual() -> None:
    reason = rank_suspects(without_road(make_counts(), 5))[0].reason
    assert reason == (
        "road is missing: the mask has 0 %, usually at least 40 %, and 50 % of the image is ignored and looks like it"
    )
