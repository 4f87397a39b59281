"""Loss and pixel counts of a pass over images: summed on the device, read by the host once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 512
"""Pixels that one product counts. Products of whole images of 128 x 128 left a GPU all but idle: 0.28 ms of a step."""


@dataclass(frozen=True, eq=False)
class PassCounts:
    """Loss and pixel counts of one pass over images.

    Shape:
        counts: (N, C, C), int64, rows truth.  ignored: (N, C), int64, predictions where the truth is IGNORE.
        A training pass pools them: N is 1.
    """

    loss: float
    """Weighted sum over all valid pixels divided by the sum of their weights."""
    counts: np.ndarray
    ignored: np.ndarray


class PassSums:
    """Sums of a pass, kept on the device.

    Args:
        device: where the sums are kept.
        classes: number of classes.
        pooled: whether counts are summed over all images; otherwise they are kept image by image.
    """

    def __init__(self, device: torch.device, classes: int, *, pooled: bool) -> None:
        self.classes = classes
        self._terms = torch.zeros(2, device=device, dtype=torch.float64)
        self._pooled = torch.zeros(1, classes + 1, classes, device=device, dtype=torch.int64) if pooled else None
        self._counts: list[Tensor] = []

    def add(self, terms: Tensor, counts: Tensor) -> None:
        """Add one batch; both tensors may be overwritten afterwards.

        Shape:
            terms: (2,), the two terms of the loss.  counts: (N, C + 1, C), as `count_pixels_on_device` gives them.
        """
        self._terms += terms
        if self._pooled is None:
            self._counts.append(counts.clone())
        else:
            self._pooled += counts.sum(0)

    def flat(self) -> Tensor:
        """Return everything in one vector; float64 holds counts exactly up to 2**53."""
        counts = self._counts if self._pooled is None else [self._pooled]
        return torch.cat([self._terms, *(part.flatten().double() for part in counts)])


def read(*tallies: PassSums) -> list[PassCounts]:
    """Return the counts of the passes after a single copy from the device."""
    flat = [tally.flat() for tally in tallies]
    lengths = [len(vector) for vector in flat]
    values = torch.cat(flat).cpu().numpy()
    parts = np.split(values, np.cumsum(lengths)[:-1])
    return [_pass(part, tally.classes) for part, tally in zip(parts, tallies, strict=True)]


def _pass(values: np.ndarray, classes: int) -> PassCounts:
    total, weight = values[:2]
    counts = values[2:].astype(np.int64).reshape(-1, classes + 1, classes)
    return PassCounts(float(total / weight) if weight else float("nan"), counts[:, :-1], counts[:, -1])


def count_pixels_on_device(truth: Tensor, prediction: Tensor, classes: int) -> Tensor:
    """Count, per image, the pixels of each (true class or IGNORE, predicted class) pair, on the device.

    `torch.bincount` reads back to the host twice on CUDA; there products of one-hot rows and columns count, exactly in
    fp32 up to 2**24 pixels an image, without a stop.

    Shape:
        truth, prediction: (N, H, W), int64.  returns: (N, C + 1, C), int64; the last row counts predictions on IGNORE.
    """
    rows = truth.clamp(max=classes).flatten(1)  # IGNORE becomes the last row
    columns = prediction.flatten(1)
    if truth.device.type == "cuda":
        return count_by_products(rows, columns, classes)
    image = torch.arange(len(truth)).unsqueeze(1)
    cells = (image * (classes + 1) + rows) * classes + columns
    minlength = len(truth) * (classes + 1) * classes
    return torch.bincount(cells.flatten(), minlength=minlength).view(-1, classes + 1, classes)


def count_by_products(rows: Tensor, columns: Tensor, classes: int) -> Tensor:
    """Count the pairs (row, column) of each image by one-hot products.

    Shape:
        rows, columns: (N, pixels), int64.  returns: (N, C + 1, C), int64.
    """
    filler = -rows.shape[1] % CHUNK
    rows = pad(rows, (0, filler), value=classes + 1).unflatten(
        1, (-1, CHUNK)
    )  # (N, chunks, CHUNK); the filler is in no row
    columns = pad(columns, (0, filler)).unflatten(1, (-1, CHUNK))
    is_row = (
        rows.unsqueeze(2) == torch.arange(classes + 1, device=rows.device).view(-1, 1)
    ).float()  # (.., C+1, CHUNK)
    is_column = (columns.unsqueeze(3) == torch.arange(classes, device=rows.device)).float()  # (.., CHUNK, C)
    return (is_row @ is_column).sum(1).round().long()
