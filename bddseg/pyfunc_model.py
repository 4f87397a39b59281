"""A saved model as MLflow's pyfunc loads it: images in, classes out. Nothing of MLflow is imported."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.device import resolve_device
from bddseg.overlays import BATCH, score_images
from bddseg.predictor import Predictor, load_trained
from bddseg.upsampling import enlarge_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PyfuncModel:
    """A network whose `predict` takes arrays."""

    def __init__(self, trained: Predictor) -> None:
        self._trained = trained

    def predict(self, images: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """Return the class of every pixel, as `python -m sweeps.predict` does: resized, scored, enlarged, compared.

        Shape:
            images: (N, H, W, 3), uint8, RGB, upright, any size.  returns: (N, H, W), uint8.
        """
        classes = np.empty(images.shape[:3], dtype=np.uint8)
        height_px, width_px = images.shape[1:3]
        for first in range(0, len(images), BATCH):
            pictures = [Image.fromarray(image) for image in images[first : first + BATCH]]
            for index, scores in enumerate(score_images(self._trained, pictures), start=first):
                classes[index] = enlarge_classes(scores, width_px, height_px)
        return classes


def _load_pyfunc(path: str) -> PyfuncModel:
    """Return the model in a folder; MLflow calls this function by its name.

    Raises:
        DataError: when its weights cannot be used.
    """
    return PyfuncModel(load_trained(load_checkpoint(Path(path) / BEST), resolve_device()))
