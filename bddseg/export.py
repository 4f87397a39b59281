"""A trained network -> a file that runs without this project, checked against the network before it is handed over."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bddseg.errors import ExportError
from bddseg.labels import CLASSES, PALETTE
from bddseg.trained import Trained

BATCHES = (1, 2, 5)
"""Sizes that the file is tried with; the example it is traced with has the second."""

TOLERANCE = 1e-4
"""Largest difference of logits, as a share of the largest logit."""

AGREEMENT = 0.999
"""Smallest share of pixels of the same class: where two logits are nearly equal, rounding may choose."""

INPUT, OUTPUT = "pixels", "logits"
PREPROCESSING = "RGB, resized to size_px x size_px (bilinear), values 0 to 255 as float32, shape (N, 3, H, W)"
"""What the file's input is; mean and deviation are applied inside."""

METADATA = "model.json"
"""Name under which a torch.export file holds what it says of itself."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Agreement:
    """How far an exported file does what the network does, on generated images."""

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
        """Return the figures in words."""
        return (
            f"logits differ by at most {self.max_difference:.1e} (the largest is {self.largest:.3g}), "
            f"{self.same_class:.4%} of pixels have the same class ({self.images} images)"
        )


class Raw(nn.Module):
    """A network with its normalisation in front: takes pixels from 0 to 255."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.model = copy.deepcopy(trained.model).to(memory_format=torch.contiguous_format)  # as the writers expect
        self.register_buffer("mean", trained.mean)
        self.register_buffer("deviation", trained.deviation)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits.

        Shape:
            pixels: (N, 3, H, W), float32, 0 to 255.  returns: (N, C, H, W).
        """
        logits: Tensor = self.model((pixels / 255 - self.mean) / self.deviation)
        return logits


def export_model(trained: Trained, path: Path, kind: str) -> Agreement:
    """Write the network to a file of a kind in KINDS, with what it must be fed in its metadata; return how it agrees.

    In fp32, for batches of any size. The file appears whole, and only when it agrees.

    Raises:
        ExportError: with the figures, when the file does not do what the network does.
    """
    _, write, load = KINDS[kind]
    network, size = Raw(trained).eval(), trained.config.data.size
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        part = Path(folder) / path.name
        write(network, sample_pixels(BATCHES[1], size), part, describe(trained))
        found = compare(network, load(part), size)
        if not found.is_good:
            raise ExportError(f"the {kind} file does not do what the network does: {found.sentence()}")
        part.replace(path)
    return found


def describe(trained: Trained) -> dict[str, str]:
    """Return what an exported file says of itself: what goes in, what comes out, and what it was trained with."""
    config = trained.config
    return {
        "preprocessing": PREPROCESSING,
        "size_px": str(config.data.size),
        "output": "logits, shape (N, classes, H, W); a pixel's class is the largest",
        "classes": json.dumps(CLASSES),
        "palette": json.dumps(PALETTE),
        "digest": config.digest(),
        "settings": json.dumps(config.flat()),
    }


@torch.no_grad()
def compare(network: Run, exported: Run, size_px: int) -> Agreement:
    """Return how far two functions of pixels agree, over batches of several sizes."""
    pairs = [(network(pixels), exported(pixels)) for pixels in (sample_pixels(n, size_px) for n in BATCHES)]
    same = torch.cat([(ours.argmax(1) == theirs.argmax(1)).flatten() for ours, theirs in pairs])
    return Agreement(
        images=sum(BATCHES),
        max_difference=max(float((ours - theirs).abs().max()) for ours, theirs in pairs),
        largest=max(float(ours.abs().max()) for ours, _ in pairs),
        same_class=float(same.double().mean()),
    )


def sample_pixels(images: int, size_px: int) -> Tensor:
    """Return images of soft blotches with fine noise, the same ones every time.

    Shape:
        returns: (images, 3, size_px, size_px), float32, 0 to 255.
    """
    rng = np.random.default_rng(images)
    coarse = torch.from_numpy(rng.uniform(0, 255, (images, 3, 5, 5)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, (size_px, size_px), mode="bilinear")
    noise = torch.from_numpy(rng.normal(0, 10, tuple(smooth.shape)).astype(np.float32))
    return (smooth + noise).clamp(0, 255).round()


def _write_onnx(network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=_any_batch(),
        external_data=False,  # one file
        verbose=False,
    )
    assert program is not None  # it is without `dynamo` that nothing is returned
    program.model.metadata_props.update(metadata)
    program.save(path)


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: pixels.numpy()})[0])

    return run


def _write_torch(network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    program = torch.export.export(network, (example,), dynamic_shapes=_any_batch())
    torch.export.save(program, path, extra_files={METADATA: json.dumps(metadata, indent=1)})


def _load_torch(path: Path) -> Run:
    return torch.export.load(path).module()  # written by this process a moment ago: such files are not safe to load


def _any_batch() -> dict[str, Any]:
    return {INPUT: {0: torch.export.Dim("batch", min=1)}}


KINDS: dict[str, tuple[str, Callable[[nn.Module, Tensor, Path, Mapping[str, str]], None], Callable[[Path], Run]]] = {
    "onnx": ("onnx", _write_onnx, _load_onnx),
    "torch": ("pt2", _write_torch, _load_torch),
}
"""Kind of file -> how its name ends, what writes it and what loads it."""
