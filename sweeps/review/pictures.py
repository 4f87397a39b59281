"""Pictures of suspect images: the image, its mask, the prediction, and where the models are sure of another class."""

from collections.abc import Sequence

import numpy as np

from bddseg.data.frames import Frames
from bddseg.task import IGNORE
from sweeps.statistics.confident_learning import confident_classes
from sweeps.statistics.label_faults import Suspect
from sweeps.storage.tiles import WRONG, TileStrip, draw_panel

AGREED = 0
"""Verdict of `draw_panel` for a pixel that is right."""


def draw_suspects(
    suspects: Sequence[Suspect],
    probabilities: np.ndarray,
    images: Sequence[int],
    frames: Frames,
    bars: np.ndarray,
    classes: Sequence[str],
) -> list[TileStrip]:
    """Return four tiles of each image: image, mask, prediction, and the pixels of its faults.

    Args:
        suspects: images, with their faults.
        probabilities: mean probabilities of all reviewed images.
        images: the position in the frames of each row of the probabilities.
        frames: of the dataset.
        bars: of confident learning.
        classes: names of the classes.

    Shape:
        probabilities: (M, C, H, W).  bars: (C,).
    """
    row_of = {frames.names[image]: row for row, image in enumerate(images)}
    strips = []
    for suspect in suspects:
        row = row_of[suspect.name]
        predicted = np.asarray(probabilities[row : row + 1], np.float32)
        frame = images[row]
        truth = np.asarray(frames.masks[frame])
        best = predicted[0].argmax(0)
        doubted = find_doubted(suspect, truth, confident_classes(predicted, bars)[0], best, classes)
        strips.append(_strip(np.asarray(frames.images[frame]), truth, best, doubted))
    return strips


def find_doubted(
    suspect: Suspect, truth: np.ndarray, confident: np.ndarray, best: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Return which pixels are those of the image's faults: labelled ones by confident class, ignored ones by the best.

    Shape:
        truth, confident, best: (H, W).  returns: (H, W), bool.
    """
    doubted = np.zeros(truth.shape, dtype=bool)
    for fault in suspect.faults:
        predicted = classes.index(fault.predicted)
        if fault.label:
            doubted |= (truth == classes.index(fault.label)) & (confident == predicted)
        else:
            doubted |= (truth == IGNORE) & (best == predicted)
    return doubted


def _strip(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, doubted: np.ndarray) -> TileStrip:
    strip = draw_panel(image, truth, [(predicted, np.full(truth.shape, AGREED))])
    marks = draw_panel(image, np.zeros_like(truth), [(predicted, doubted.astype(int))])  # of ignored pixels too
    side = strip.values.shape[0]
    values = strip.values.copy()
    values[:, 3 * side :] = np.where(marks.tile(3) == WRONG, WRONG, strip.tile(3))
    return TileStrip(values, strip.palette)
