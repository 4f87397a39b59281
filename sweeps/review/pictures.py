"""Pictures of suspect images: the image, its mask, the prediction, and where the models are sure of another class."""

from collections.abc import Sequence

import numpy as np

from bddseg.data.frames import Frames
from bddseg.task import Colour
from sweeps.statistics.confident_learning import confident_classes, look_like
from sweeps.statistics.label_faults import Fault, Suspect
from sweeps.storage.tiles import WRONG, TileStrip, draw_panel

AGREED = 0
"""Verdict of `draw_panel` for a pixel that is right."""


def draw_suspects(
    suspects: Sequence[Suspect],
    probabilities: np.ndarray,
    images: Sequence[int],
    frames: Frames,
    bars: np.ndarray,
) -> list[TileStrip]:
    """Return four tiles of each image: image, mask, prediction, and the pixels of its main fault.

    Args:
        suspects: images that have a fault; the first one is drawn.
        probabilities: mean probabilities of all reviewed images.
        images: the position in the frames of each row of the probabilities.
        frames: of the dataset.
        bars: of confident learning.

    Shape:
        probabilities: (M, C, H, W).  bars: (C,).
    """
    task, classes = frames.task, frames.task.classes
    row_of = {frames.names[image]: row for row, image in enumerate(images)}
    strips = []
    for suspect in suspects:
        row = row_of[suspect.name]
        predicted = np.asarray(probabilities[row], np.float32)
        truth = np.asarray(frames.masks[images[row]])
        doubted = find_doubted(suspect.faults[0], truth, predicted, bars, classes)
        strips.append(_strip(np.asarray(frames.images[images[row]]), truth, predicted.argmax(0), doubted, task.palette))
    return strips


def find_doubted(
    fault: Fault, truth: np.ndarray, predicted: np.ndarray, bars: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Return which pixels a fault is about: those of its label that are confidently of the other class.

    Of ignored pixels: those that look like the class.

    Shape:
        truth: (H, W).  predicted: (C, H, W), probabilities.  bars: (C,).  returns: (H, W), bool.
    """
    column = classes.index(fault.predicted)
    if fault.label:
        confident = confident_classes(predicted[None], bars)[0]
        return np.asarray((truth == classes.index(fault.label)) & (confident == column))
    return look_like(predicted[None], truth[None])[0, column]


def _strip(
    image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, doubted: np.ndarray, palette: Sequence[Colour]
) -> TileStrip:
    strip = draw_panel(image, truth, [(predicted, np.full(truth.shape, AGREED))], palette)
    marks = draw_panel(image, np.zeros_like(truth), [(predicted, doubted.astype(int))], palette)  # ignored ones too
    wrong = len(palette) + WRONG
    side = strip.values.shape[0]
    values = strip.values.copy()
    values[:, 3 * side :] = np.where(marks.tile(3) == wrong, wrong, strip.tile(3))
    return TileStrip(values, strip.palette)
