"""Export of a trained network to ONNX or torch.export, checked against the network before the file appears."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL import __version__ as pillow_version
from torch import Tensor, nn

from bddseg.data.image_io import RESIZE, shrink
from bddseg.errors import ExportError
from bddseg.predictor import Predictor
from bddseg.resizing import Fit

PICTURES = ((1, 1280, 720), (2, 90, 240), (5, 64, 64))
"""Batch, width and height of the pictures that a file is checked with: of a camera, tall, and small."""

EXAMPLE = (2, 3, 60, 80)
"""Shape of the example for tracing; the file must accept any batch, height and width."""

TOLERANCE = 1e-4
"""Largest difference of logits, as a share of the largest logit."""

AGREEMENT = 0.999
"""Smallest share of pixels with the same class: where two logits are nearly equal, rounding decides."""

INPUT, OUTPUT = "pixels", "logits"
PREPROCESSING = (
    "RGB with 8 bits, upright, of any size: values 0 to 255 as float32, shape (N, 3, H, W); what follows is inside: "
    "the resize to size_px x size_px and the normalisation"
)
"""Description of the file's input."""

POSTPROCESSING = (
    "logits, shape (N, classes, size_px, size_px): enlarge them to H x W (bilinear, align_corners=False); the class of "
    "a pixel is that of its largest"
)

METADATA = "model.json"
"""Name of the metadata within a torch.export file."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Agreement:
    """Agreement of an exported file with the network, on generated images."""

    images: int
    max_difference: float
    """Of any logit."""
    largest: float
    """Absolute value of the largest logit."""
    same_class: float
    """Share of the pixels that get the same class."""

    @property
    def is_good(self) -> bool:
        return self.max_difference <= TOLERANCE * max(1.0, self.largest) and self.same_class >= AGREEMENT

    def sentence(self) -> str:
        """Return a sentence with the figures."""
        return (
            f"logits differ by at most {self.max_difference:.1e} (the largest is {self.largest:.3g}), "
            f"{self.same_class:.4%} of pixels have the same class ({self.images} images)"
        )


class Raw(nn.Module):
    """A network preceded by its preprocessing: takes pictures of any size with values from 0 to 255."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, trained: Predictor) -> None:
        super().__init__()
        self.fit = Fit(trained.config.data.size)
        self.model = copy.deepcopy(trained.model).to(memory_format=torch.contiguous_format)  # as the writers expect
        self.register_buffer("mean", trained.mean)
        self.register_buffer("deviation", trained.deviation)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits.

        Shape:
            pixels: (N, 3, H, W), float32, 0 to 255.  returns: (N, C, size, size).
        """
        return self.score(self.fit(pixels))

    def score(self, pixels: Tensor) -> Tensor:
        """Return the logits of pictures that have the network's size.

        Shape:
            pixels: (N, 3, size, size), float32, 0 to 255.  returns: (N, C, size, size).
        """
        logits: Tensor = self.model((pixels / 255 - self.mean) / self.deviation)
        return logits


def export_model(trained: Predictor, path: Path, kind: str) -> Agreement:
    """Write the network to a file of a kind in KINDS, with its input described in the metadata; return the agreement.

    In fp32, for batches of any size. The file is written atomically, and only if it agrees.

    Raises:
        ExportError: when the file cannot be written, or computes something else than the network.
    """
    _, write, load = KINDS[kind]
    network = Raw(trained).eval()
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            part = Path(folder) / path.name
            write(network, torch.zeros(EXAMPLE), part, describe(trained))
            agreement = compare(network, load(part))
            if not agreement.is_good:
                raise ExportError(f"the {kind} file computes something else than the network: {agreement.sentence()}")
            part.replace(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}; choose another --out") from error
    return agreement


def describe(trained: Predictor) -> dict[str, str]:
    """Return the metadata of an exported file: input, output and training settings."""
    config = trained.config
    return {
        "preprocessing": PREPROCESSING,
        "resize": f"inside, bit for bit that of Pillow {pillow_version}: {RESIZE}",
        "size_px": str(config.data.size),
        "output": POSTPROCESSING,
        "classes": json.dumps(trained.task.classes),
        "palette": json.dumps(trained.task.palette),
        "digest": config.digest(),
        "settings": json.dumps(config.flat()),
    }


@torch.no_grad()
def compare(network: Raw, exported: Run) -> Agreement:
    """Return the agreement of a file with the network after Pillow's own resize."""
    pairs = []
    for batch, width, height in PICTURES:
        pictures = sample_pictures(batch, width, height)
        resized = np.stack([np.asarray(shrink(Image.fromarray(picture), network.fit.size_px)) for picture in pictures])
        pairs.append((network.score(as_pixels(resized)), exported(as_pixels(pictures))))
    same = torch.cat([(ours.argmax(1) == theirs.argmax(1)).flatten() for ours, theirs in pairs])
    return Agreement(
        images=sum(batch for batch, _, _ in PICTURES),
        max_difference=max(float((ours - theirs).abs().max()) for ours, theirs in pairs),
        largest=max(float(ours.abs().max()) for ours, _ in pairs),
        same_class=float(same.double().mean()),
    )


def as_pixels(pictures: np.ndarray) -> Tensor:
    """Return pictures as the input of an exported file.

    Shape:
        pictures: (N, H, W, 3), uint8.  returns: (N, 3, H, W), float32.
    """
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().contiguous()


def sample_pictures(number: int, width: int, height: int) -> np.ndarray:
    """Return pictures of soft blotches with fine noise; equal arguments give equal pictures.

    Shape:
        returns: (number, height, width, 3), uint8.
    """
    rng = np.random.default_rng(number)
    coarse = torch.from_numpy(rng.uniform(0, 255, (number, 3, 5, 5)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear").permute(0, 2, 3, 1).numpy()
    noisy = smooth + rng.normal(0, 10, smooth.shape)
    return noisy.clip(0, 255).round().astype(np.uint8)


def _write_onnx(network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=_any_size(),
        external_data=False,  # one file
        verbose=False,
    )
    assert program is not None  # only without `dynamo` is nothing returned
    program.model.metadata_props.update(metadata)
    program.save(path)


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: pixels.numpy()})[0])

    return run


def _write_torch(network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    program = torch.export.export(network, (example,), dynamic_shapes=_any_size())
    torch.export.save(program, path, extra_files={METADATA: json.dumps(metadata, indent=1)})


def _load_torch(path: Path) -> Run:
    return torch.export.load(path).module()  # written by this process a moment ago: such files are not safe to load


def _any_size() -> dict[str, Any]:
    names = {0: "batch", 2: "height", 3: "width"}
    return {INPUT: {axis: torch.export.Dim(name, min=1) for axis, name in names.items()}}


KINDS: dict[str, tuple[str, Callable[[nn.Module, Tensor, Path, Mapping[str, str]], None], Callable[[Path], Run]]] = {
    "onnx": ("onnx", _write_onnx, _load_onnx),
    "torch": ("pt2", _write_torch, _load_torch),
}
"""Kind of file -> its suffix, its writer and its loader."""
