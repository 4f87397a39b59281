"""Batches of frames on the device: stored as uint8, normalised with the statistics of the training part."""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bddseg.augment import nothing
from bddseg.data.frames import Frames
from bddseg.data.pixel_statistics import channel_statistics, class_pixels
from bddseg.device import free_memory_bytes

RESIDENT_SHARE = 0.4
"""Frames that need at most this share of the GPU's free memory are kept on it, larger ones in host memory."""

Placed = tuple[Tensor, ...]
"""A batch on the device: (indices,) where the frames are kept there, otherwise (images, masks)."""

log = logging.getLogger(__name__)


class Pixels:
    """The frames of one trial, in batches.

    On a GPU they are kept in its memory as uint8 and a batch is a few indices. Where they would need too much of it, a
    batch is copied from page-locked host memory while the previous step computes. On the CPU a batch is a copy from the
    memory-mapped cache.

    Args:
        frames: every image of the dataset.
        train: indices of the training images, whose channel statistics and class counts are computed.
        device: where batches are needed.
    """

    def __init__(self, frames: Frames, train: np.ndarray, device: torch.device) -> None:
        self._arrays, self._device = (frames.images, frames.masks), device
        average, deviation = channel_statistics(frames.images, train)
        self.mean = torch.from_numpy(average).to(device).view(1, 3, 1, 1)
        self.deviation = torch.from_numpy(deviation).to(device).view(1, 3, 1, 1)
        self.class_pixels = class_pixels(frames.masks, train, len(frames.task.classes))
        self._resident: Placed = ()
        if device.type == "cuda":
            needed = frames.images.nbytes + frames.masks.nbytes
            if fits(needed, free_memory_bytes(device)):
                self._resident = tuple(torch.from_numpy(np.array(array)).to(device) for array in self._arrays)
            else:
                log.info("the frames (%d MB) stay in host memory: the GPU has too little free", needed / 1e6)

    def placed(self, batches: Sequence[np.ndarray]) -> Iterator[Placed]:
        """Yield the batches, each an array of indices, on the device; resident frames need one copy for all batches."""
        if self._resident:
            order = torch.from_numpy(np.concatenate(batches)).to(self._device)
            yield from ((index,) for index in order.split([len(batch) for batch in batches]))
            return
        for batch in batches:
            yield tuple(self._moved(array[batch]) for array in self._arrays)

    def load(
        self, placed: Placed, augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = nothing
    ) -> tuple[Tensor, Tensor]:
        """Return augmented, then normalised images (N, 3, H, W), channels last, and masks (N, H, W), int64."""
        images, masks = (array.index_select(0, placed[0]) for array in self._resident) if self._resident else placed
        pixels = images.permute(0, 3, 1, 2).float()  # (N, 3, H, W), a view in channels-last order
        pixels, masks = augment(pixels.div_(255), masks.long())
        return pixels.sub_(self.mean).div_(self.deviation), masks

    def _moved(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self._device.type == "cpu" else tensor.pin_memory().to(self._device, non_blocking=True)


def cut_batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Return an order cut into batches, none empty; a last one of one image joins the previous: BatchNorm needs two."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts) if len(order) else []


def fits(needed_bytes: int, free_bytes: int) -> bool:
    """Return whether frames fit on a device with so much free memory."""
    return needed_bytes <= RESIDENT_SHARE * free_bytes
