"""Which pixels of a suspect image are in doubt."""

import numpy as np
from tiny import make_frames

from bddseg.task import IGNORE
from sweeps.review.pictures import draw_suspects, find_doubted
from sweeps.statistics.label_faults import Fault, Suspect
from sweeps.storage.tiles import NOT_JUDGED, RIGHT, WRONG

CLASSES, BARS = ("road", "sky"), np.array([0.6, 0.6])
TRUTH = np.array([[0, 1, IGNORE, IGNORE]], dtype=np.uint8)
OF_ROAD = np.array([[0.9, 0.7, 0.4, 0.1]])
PREDICTED = np.stack([OF_ROAD, 1 - OF_ROAD])


def make_fault(label: str) -> Fault:
    return Fault(label, "road", share=0.2, seen=0.2, labelled=0.0, usual=0.4)


def test_labelled_pixels_are_in_doubt_where_the_models_are_sure_of_the_other_class() -> None:
    assert find_doubted(make_fault("sky"), TRUTH, PREDICTED, BARS, CLASSES).tolist() == [[False, True, False, False]]


def test_ignored_pixels_are_in_doubt_where_the_class_is_a_likely_one() -> None:
    assert find_doubted(make_fault(""), TRUTH, PREDICTED, BARS, CLASSES).tolist() == [[False, False, True, False]]


def test_ignored_pixels_in_doubt_are_marked_in_the_picture() -> None:
    frames = make_frames(images=1)
    probabilities = np.zeros((1, 5, 16, 16), np.float16)
    probabilities[:, 0] = 1
    suspect = Suspect(frames.names[0], 0.2, (make_fault(""),))
    (strip,) = draw_suspects([suspect], probabilities, [0], frames, np.full(5, 0.5))
    tile, ignored = strip.tile(3), np.asarray(frames.masks[0]) == IGNORE
    assert set(tile[ignored].tolist()) == {5 + WRONG} and set(tile[~ignored].tolist()) == {5 + RIGHT}
    assert set(strip.tile(1)[ignored].tolist()) == {5 + NOT_JUDGED}
