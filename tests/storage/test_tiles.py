"""Pictures whose values have a meaning."""

import io

import numpy as np
from albums import SIDE, make_album
from PIL import Image

from bddseg.task import FIVE_CLASSES, IGNORE
from sweeps.storage.tiles import NOT_JUDGED, RIGHT, WRONG, decode, draw_maps, draw_panel, encode


def test_values_of_a_panel_are_classes_and_verdicts() -> None:
    truth = np.array([[0, 1], [IGNORE, 3]], dtype=np.uint8)
    predicted = np.array([[0, 2], [2, 3]])
    pairs = [(predicted, np.array([[0, 1], [2, 0]]))]
    sheet = draw_panel(np.zeros((2, 2, 3), np.uint8), truth, pairs, FIVE_CLASSES.palette)
    ignored, right, wrong = 5 + NOT_JUDGED, 5 + RIGHT, 5 + WRONG
    assert sheet.tile(1).tolist() == [[0, 1], [ignored, 3]] and sheet.tile(2).tolist() == [[0, 2], [2, 3]]
    assert sheet.tile(3).tolist() == [[right, wrong], [ignored, right]]


def test_more_classes_leave_fewer_colours_for_the_photograph() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    palette = tuple((number, 0, 0) for number in range(200))
    sheet = draw_panel(noise, np.full((64, 64), 199, np.uint8), [], palette)
    assert set(np.unique(sheet.tile(1))) == {199} and sheet.tile(0).min() >= 203
    assert sheet.palette[3 * 199] == 199


def test_a_tile_is_a_png_of_the_colours_of_its_classes() -> None:
    sheet = make_album().sheets["panel-001.png"]
    with Image.open(io.BytesIO(sheet.picture(2))) as image:
        assert image.size == (SIDE, SIDE)
        assert image.convert("RGB").getpixel((0, 0)) == tuple(sheet.palette[3 * sheet.tile(2)[0, 0] :][:3])


def test_maps_go_from_the_lowest_to_the_highest_value() -> None:
    sheet = draw_maps(np.array([[[0.2, 0.6], [0.4, 0.2]]]), [(0.2, 0.6)])
    assert sheet.tile(0).tolist() == [[0, 255], [130, 0]]  # in 64 steps


def test_large_frames_are_shown_reduced_and_classes_stay_classes() -> None:
    truth = np.kron(np.array([[0, 4]], dtype=np.uint8), np.ones((512, 256), np.uint8))
    sheet = draw_panel(np.zeros((512, 512, 3), np.uint8), truth, [], FIVE_CLASSES.palette)
    assert sheet.values.shape == (256, 512) and set(np.unique(sheet.tile(1))) == {0, 4}


def test_a_sheet_comes_back_from_its_png() -> None:
    sheet = make_album().sheets["panel-001.png"]
    decoded = decode(encode(sheet.values, sheet.palette), SIDE, 6)
    assert decoded is not None and np.array_equal(decoded.values, sheet.values)
