"""A trained network from Python: images in, classes out."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from bddseg.data.image_io import read_picture
from bddseg.errors import DataError
from bddseg.overlays import BATCH, paint_overlay, score_images
from bddseg.predictor import Predictor
from bddseg.task import Task
from bddseg.upsampling import enlarge_classes
from sweeps.api.options import start
from sweeps.paths import default_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """The classes of one image, at its own size."""

    image: Image.Image
    classes: "NDArray[np.uint8]"
    """(H, W): numbers of the classes, in the order of `task.classes`."""
    task: Task
    """The classes, with their colours."""

    def overlay(self) -> Image.Image:
        """Return the image, blended with the colour of each pixel's class."""
        return paint_overlay(self.image, self.classes, self.task)

    def shares(self) -> dict[str, float]:
        """Return the share of the image's pixels of each class."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.task.classes))
        return {name: float(count) / self.classes.size for name, count in zip(self.task.classes, counts, strict=False)}

    def _repr_html_(self) -> str:
        from sweeps.report.sections.predictions import picture_source

        file = io.BytesIO()
        self.overlay().save(file, format="JPEG", quality=90)
        source = picture_source(file.getvalue(), "jpeg")
        shares = ", ".join(f"{escape(name)} {share:.0%}" for name, share in self.shares().items())
        return f'<img src="{source}" alt="predicted classes"><p>{shares}</p>'


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network, ready to predict."""

    name: str
    predictor: Predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that it predicts."""
        return tuple(self.predictor.task.classes)

    def predict(self, images: Any) -> "list[Prediction] | Prediction":
        """Return the classes of an image, or of each of several, as `python -m sweeps.predict` does.

        Args:
            images: one image or a sequence: paths, pictures of Pillow, or arrays (H, W, 3) of uint8.

        Raises:
            DataError: when an image cannot be read.
        """
        if is_picture(images):
            return next(self._predict([images]))
        return list(self._predict(list(images)))

    def _predict(self, images: Sequence[Any]) -> Iterator[Prediction]:
        for start_at in range(0, len(images), BATCH):
            batch = [open_picture(image) for image in images[start_at : start_at + BATCH]]
            for image, scores in zip(batch, score_images(self.predictor, batch), strict=True):
                yield Prediction(image, enlarge_classes(scores, *image.size), self.predictor.task)

    def __repr__(self) -> str:
        return f"Model({self.name!r}, classes={self.classes})"


def load(
    model: str = "@champion",
    *,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    device: str = "auto",
) -> Model:
    """Return a trained network by its name: `@champion`, `NAME@ALIAS`, `@SWEEP`, the id of a run, a file or folder.

    Args:
        model: its name.
        storage: folder of the sweeps, whose database is read; None for the default one.
        tracking_uri: MLflow's store; None for MLFLOW_TRACKING_URI, else the database in the storage folder.
        device: auto, cpu or cuda.

    Raises:
        ModelError: when nothing has that name.
        DataError: when its weights cannot be used.
    """
    from bddseg.checkpoint import load_checkpoint
    from bddseg.device import resolve_device
    from bddseg.predictor import load_trained
    from sweeps.registry.weights import open_weights
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    start(is_quiet=True)
    folder = Path(storage).absolute() if storage else default_folder("runs")
    store = Store(resolve_tracking_uri(tracking_uri, folder))
    with open_weights(model, store) as path:
        return Model(model, load_trained(load_checkpoint(path), resolve_device(device)))


def is_picture(image: Any) -> bool:
    """Return whether this is one image rather than several."""
    return isinstance(image, str | Path | Image.Image) or (isinstance(image, np.ndarray) and image.ndim == 3)


def open_picture(image: Any) -> Image.Image:
    """Return an image in RGB, upright.

    Raises:
        DataError: when it cannot be read, or is none.
    """
    if isinstance(image, str | Path):
        return read_picture(Path(image)).image
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return Image.fromarray(image)
    kind = f"an array of {image.dtype}, {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise DataError(f"an image must be a path, a picture of Pillow or an array (H, W, 3) of uint8, but is {kind}")
