"""P2, the careful baseline: images decoded and resized once, fp32 tensors in memory, a DataLoader, no needless sync.

A batch is one indexing of the tensors, not sixteen. On CUDA it computes in bf16 autocast, channels last, and copies
from page-locked memory while the device computes.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from bddseg.cores import usable_cores
from bddseg.data.catalog import Sample
from bddseg.device import seed_everything
from bddseg.models import build_model
from bddseg.task import FIVE_CLASSES, IGNORE
from benchmarks.baseline_plain import Files
from benchmarks.contender_inputs import ContenderInputs

EVALUATION_BATCHES = 4
"""Evaluation batches are larger than training batches, since no activations are kept."""


def decode_all(samples: Sequence[Sample], inputs: ContenderInputs) -> tuple[Tensor, Tensor]:
    """Return all images, normalised, and masks, decoded by all cores.

    Shape:
        returns: (N, 3, S, S), float32, and (N, S, S), int64.
    """
    files = Files(samples, inputs)
    with ThreadPoolExecutor(usable_cores()) as pool:
        items = list(pool.map(files.__getitem__, range(len(files))))
    return torch.stack([image for image, _ in items]), torch.stack([mask for _, mask in items])


def tensors(images: np.ndarray, masks: np.ndarray, inputs: ContenderInputs) -> tuple[Tensor, Tensor]:
    """Return resized uint8 frames as `decode_all` returns files.

    Shape:
        images: (N, S, S, 3), uint8.  masks: (N, S, S), uint8.
    """
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (inputs.mean, inputs.deviation))
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous().float()
    return pixels.div_(255).sub_(mean).div_(deviation), torch.from_numpy(np.array(masks)).long()


class Careful:
    """One run over tensors in memory."""

    def __init__(
        self,
        inputs: ContenderInputs,
        images: Tensor,
        masks: Tensor,
        train: Sequence[int],
        val: Sequence[int],
        device: torch.device,
    ) -> None:
        config = inputs.config
        seed_everything(config.train.seed)
        self._device, self._is_cuda = device, device.type == "cuda"
        size = config.train.batch_size
        self._train = self._loader(images[list(train)], masks[list(train)], size, shuffle=True)
        self._val = self._loader(images[list(val)], masks[list(val)], EVALUATION_BATCHES * size, shuffle=False)
        self.model = build_model(
            config.model.name,
            classes=len(FIVE_CLASSES.classes),
            base_filters=config.model.base_filters,
            dropout=config.model.dropout,
        ).to(device)
        if self._is_cuda:
            self.model = self.model.to(memory_format=torch.channels_last)
            torch.backends.cudnn.benchmark = True
        self._loss = nn.CrossEntropyLoss(torch.tensor(inputs.weights, device=device), ignore_index=IGNORE)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=True
        )

    def train_epoch(self) -> np.ndarray:
        """Train once on every image and return the pooled counts."""
        self.model.train()
        cells, total = self._no_cells(), torch.zeros((), device=self._device)
        for images, masks in self._train:
            images, masks = self._moved(images, masks)
            with self._autocast():
                logits = self.model(images)
                loss = self._loss(logits.float(), masks)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
            cells += _cells(logits.detach(), masks)
        return _counts(cells)

    @torch.no_grad()
    def evaluate(self) -> np.ndarray:
        """Count the validation images and return the pooled counts."""
        self.model.eval()
        cells, total = self._no_cells(), torch.zeros((), device=self._device)
        for images, masks in self._val:
            images, masks = self._moved(images, masks)
            with self._autocast():
                logits = self.model(images)
                total += self._loss(logits.float(), masks)
            cells += _cells(logits, masks)
        return _counts(cells)

    def _loader(self, images: Tensor, masks: Tensor, size: int, *, shuffle: bool) -> "DataLoader[tuple[Tensor, ...]]":
        dataset = TensorDataset(images, masks)
        order = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        batches = BatchSampler(order, size, drop_last=False)
        return DataLoader(dataset, sampler=batches, batch_size=None, pin_memory=self._is_cuda)

    def _moved(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        if not self._is_cuda:
            return images, masks
        moved = images.to(self._device, non_blocking=True, memory_format=torch.channels_last)
        return moved, masks.to(self._device, non_blocking=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_cuda)

    def _no_cells(self) -> Tensor:
        return torch.zeros(len(FIVE_CLASSES.classes) ** 2, dtype=torch.int64, device=self._device)


def _cells(logits: Tensor, masks: Tensor) -> Tensor:
    """Count the pairs (truth, prediction) of a batch; what is IGNORE falls behind the last cell."""
    classes = len(FIVE_CLASSES.classes)
    pairs = torch.where(masks == IGNORE, classes**2, masks * classes + logits.argmax(1))
    return torch.bincount(pairs.flatten(), minlength=classes**2 + 1)[: classes**2]


def _counts(cells: Tensor) -> np.ndarray:
    return np.asarray(cells.view(len(FIVE_CLASSES.classes), len(FIVE_CLASSES.classes)).cpu().numpy())
