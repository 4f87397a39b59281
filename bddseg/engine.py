"""One training pass, one evaluation pass and their counting, as fast as the device allows."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bddseg.augment import build_augmentation, nothing
from bddseg.config import TrainConfig
from bddseg.device import resolve_precision, seed_everything
from bddseg.frames import Frames
from bddseg.labels import CLASSES, IGNORE
from bddseg.losses import balanced_weights, build_loss, mean
from bddseg.models import build_model
from bddseg.optim import build_optimizer

EVALUATION_BATCHES = 4
"""Evaluation keeps no activations: its batches are so many times a training batch."""


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass over some images gave.

    Shape:
        counts: (N, C, C), int64, rows truth.  ignored: (N, C), int64, predictions where the truth is IGNORE.
        A training pass pools them: N is 1.
    """

    loss: float
    """Weighted sum over all valid pixels divided by the sum of their weights."""
    counts: np.ndarray
    ignored: np.ndarray


class Engine:
    """Model, optimiser and frames of one trial on one device."""

    def __init__(self, config: TrainConfig, frames: Frames, train: Sequence[int], device: torch.device) -> None:
        seed_everything(config.train.seed)  # before the model exists: its initial weights are part of the trial
        self.config, self.device = config, device
        self.train_indices = np.asarray(train)
        self.precision = resolve_precision(config.train.precision, device)
        self._store = _Pixels(frames, self.train_indices, device)
        self.model = build_model(
            config.model.name,
            classes=len(CLASSES),
            base_filters=config.model.base_filters,
            dropout=config.model.dropout,
        )
        self.model.to(device).to(memory_format=torch.channels_last)
        self.optimizer = build_optimizer(
            config.optim.name,
            self.model.parameters(),
            lr=config.optim.lr,
            weight_decay=config.optim.weight_decay,
            device=device,
        )
        self.augment = build_augmentation(config.data.augment)
        self.loss = build_loss(config.loss.name, weight=self._class_weights(), gamma=config.loss.gamma)

    def train_epoch(self, epoch: int) -> Pass:
        """Train once on every training image, in an order that depends on the seed and the epoch alone."""
        seed = _epoch_seed(self.config.train.seed, epoch)
        seed_everything(seed)
        order = np.random.default_rng(seed).permutation(self.train_indices)
        tally = _Tally(self.device)
        self.model.train()
        for batch in _batches(order, self.config.train.batch_size):
            images, masks = self._store.load(batch, self.augment)
            with self._autocast():
                logits = self.model(images)  # (N, C, H, W)
            terms = self.loss(logits, masks)
            self.optimizer.zero_grad(set_to_none=True)
            mean(terms).backward()
            self.optimizer.step()
            tally.add(terms, count_pixels(masks, logits.detach().max(1)[1]).sum(0, keepdim=True), pooled=True)
        return tally.read()

    @torch.no_grad()
    def evaluate(self, indices: Sequence[int]) -> Pass:
        """Count every image of a part with the present weights."""
        tally = _Tally(self.device)
        self.model.eval()
        for batch in _batches(np.asarray(indices), EVALUATION_BATCHES * self.config.train.batch_size):
            images, masks = self._store.load(batch)
            with self._autocast():
                logits = self.model(images)
            tally.add(self.loss(logits, masks), count_pixels(masks, logits.max(1)[1]), pooled=False)
        return tally.read()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the present weights, on the device."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    @property
    def normalisation(self) -> dict[str, Tensor]:
        """Mean and standard deviation of each channel, which the weights expect their images to be scaled by."""
        return {"mean": self._store.mean.flatten(), "deviation": self._store.deviation.flatten()}

    @contextlib.contextmanager
    def with_weights(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Use other weights for a while, then go back to the present ones."""
        present = self.weights()
        self.model.load_state_dict(weights)
        try:
            yield
        finally:
            self.model.load_state_dict(present)

    def state(self) -> dict[str, Any]:
        """Return what training needs to go on, apart from the epoch."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _class_weights(self) -> Tensor | None:
        if self.config.loss.weighting == "none":
            return None
        return torch.from_numpy(balanced_weights(self._store.class_pixels)).to(self.device)


def count_pixels(truth: Tensor, prediction: Tensor) -> Tensor:
    """Count, per image, the pixels of each (true class or IGNORE, predicted class) pair, on the device.

    `torch.bincount` reads back to the host twice on CUDA; there one-hot products count, exactly, without a stop.

    Shape:
        truth, prediction: (N, H, W), int64.  returns: (N, C + 1, C), int64; the last row is what lies on IGNORE.
    """
    classes = len(CLASSES)
    rows = truth.clamp(max=classes).flatten(1)  # IGNORE becomes the last row
    columns = prediction.flatten(1)
    if truth.device.type == "cuda":
        is_row = nn.functional.one_hot(rows, classes + 1).float()  # (N, H*W, C+1)
        is_column = nn.functional.one_hot(columns, classes).float()
        return torch.bmm(is_row.transpose(1, 2), is_column).round().long()
    image = torch.arange(len(truth)).unsqueeze(1)
    cells = (image * (classes + 1) + rows) * classes + columns
    return torch.bincount(cells.flatten(), minlength=len(truth) * (classes + 1) * classes).view(
        -1, classes + 1, classes
    )


class _Tally:
    """Sums of a pass, kept on the device and read once at its end."""

    def __init__(self, device: torch.device) -> None:
        self._terms = torch.zeros(2, device=device, dtype=torch.float64)
        self._counts: list[Tensor] = []

    def add(self, terms: tuple[Tensor, Tensor], counts: Tensor, *, pooled: bool) -> None:
        self._terms += torch.stack(terms).detach()
        if pooled and self._counts:
            self._counts[0] = self._counts[0] + counts
        else:
            self._counts.append(counts)

    def read(self) -> Pass:
        total, weight = self._terms.tolist()
        counts = torch.cat(self._counts).cpu().numpy()  # (N, C + 1, C)
        return Pass(total / weight if weight else float("nan"), counts[:, :-1], counts[:, -1])


class _Pixels:
    """Frames as batches on the device: uint8 in memory, normalised by the training part's mean and deviation."""

    def __init__(self, frames: Frames, train: np.ndarray, device: torch.device) -> None:
        self._images, self._masks, self._device = frames.images, frames.masks, device
        mean_, deviation = channel_statistics(frames.images, train)
        self.mean = torch.from_numpy(mean_).to(device).view(1, 3, 1, 1)
        self.deviation = torch.from_numpy(deviation).to(device).view(1, 3, 1, 1)
        self.class_pixels = class_pixels(frames.masks, train)
        self._on_device: tuple[Tensor, Tensor] | None = None
        if device.type == "cuda":
            self._on_device = _to_device(frames.images, device), _to_device(frames.masks, device)

    def load(
        self, batch: np.ndarray, augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = nothing
    ) -> tuple[Tensor, Tensor]:
        """Return augmented, then normalised images (N, 3, H, W), channels last, and masks (N, H, W), int64."""
        if self._on_device is not None:
            index = torch.from_numpy(batch).to(self._device)
            images, masks = self._on_device[0][index], self._on_device[1][index]
        else:
            images, masks = torch.from_numpy(self._images[batch]), torch.from_numpy(self._masks[batch])
        pixels = images.permute(0, 3, 1, 2).float()  # (N, 3, H, W), a view in channels-last order
        pixels, masks = augment(pixels.div_(255), masks.long())
        return pixels.sub_(self.mean).div_(self.deviation), masks


def channel_statistics(images: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each colour channel, of values scaled to 0..1.

    Shape:
        images: (N, H, W, 3), uint8.  returns: two of (3,), float32.
    """
    histogram = np.zeros((3, 256), dtype=np.int64)
    for index in indices:
        for channel in range(3):
            histogram[channel] += np.bincount(images[index, :, :, channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    pixels = histogram.sum(axis=1)
    average = histogram @ levels / pixels
    variance = histogram @ levels**2 / pixels - average**2
    deviation = np.sqrt(np.maximum(variance, 1e-12))  # a channel of one value: no division by zero
    return average.astype(np.float32), deviation.astype(np.float32)


def class_pixels(masks: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return how many pixels of each class the images have; IGNORE does not count.

    Shape:
        masks: (N, H, W), uint8.  returns: (C,), int64.
    """
    total = np.zeros(256, dtype=np.int64)
    for index in indices:
        total += np.bincount(masks[index].ravel(), minlength=256)
    assert len(CLASSES) <= IGNORE
    return total[: len(CLASSES)]


def _to_device(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an order into batches; a last batch of one image joins the one before: BatchNorm needs two values."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
