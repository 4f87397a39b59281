"""A saved model as MLflow loads it: arrays in, the classes that `predict` paints out."""

from pathlib import Path

import numpy as np
from models import write_model
from PIL import Image

from bddseg.checkpoint import load_checkpoint
from bddseg.overlays import paint_images
from bddseg.predictor import load_trained
from bddseg.pyfunc_model import _load_pyfunc

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 30, 50, 3), dtype=np.uint8)


def test_classes_are_those_of_the_painted_mask(tmp_path: Path) -> None:
    trained = load_trained(load_checkpoint(write_model(tmp_path / "model")))
    Image.fromarray(IMAGES[8]).save(tmp_path / "last.png")
    list(paint_images(trained, [tmp_path / "last.png"], tmp_path, ["mask"]))
    classes = _load_pyfunc(str(tmp_path / "model")).predict(IMAGES)
    assert (classes.shape, classes.dtype) == ((9, 30, 50), np.uint8)
    assert np.array_equal(classes[8], np.asarray(Image.open(tmp_path / "last.mask.png")))


def test_no_images_have_no_classes(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert _load_pyfunc(str(tmp_path)).predict(IMAGES[:0]).shape == (0, 30, 50)
