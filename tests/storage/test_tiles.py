"""Pictures whose values have a meaning."""

import io

import numpy as np
from albums import SIDE, make_album
from bddseg.labels import IGNORE
from PIL import Image

from sweeps.storage.tiles import IGNORED, RIGHT, WRONG, decode, draw_maps, draw_panel, encode


def test_values_of_a_panel_are_classes_and_verdicts() -> None:
    truth = np.array([[0, 1], [IGNORE, 3]], dtype=np.uint8)
    predicted = np.array([[0, 2], [2, 3]])
    sheet = draw_panel(np.zeros((2, 2, 3), np.uint8), truth, [(predicted, np.array([[0, 1], [2, 0]]))])
    assert sheet.tile(1).tolist() == [[0, 1], [IGNORED, 3]] and sheet.tile(2).tolist() == [[0, 2], [2, 3]]
    assert sheet.tile(3).tolist() == [[RIGHT, WRONG], [IGNORED, RIGHT]]


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
    sheet = draw_panel(np.zeros((512, 512, 3), np.uint8), truth, [])
    assert sheet.values.shape == (256, 512) and set(np.unique(sheet.tile(1))) == {0, 4}


def test_a_sheet_comes_back_from_its_png() -> None:
    sheet = make_album().sheets["panel-001.png"]
    decoded = decode(encode(sheet.values, sheet.palette), SIDE, 6)
    assert decoded is not None and np.array_equal(decoded.values, sheet.values)
