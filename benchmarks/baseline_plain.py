"""P0, the plain baseline: every image is decoded again in every epoch, in fp32, with a device read at every step.

As a program it trains one run from files to its last epoch:

    python -m benchmarks.baseline_plain --data DIR --given FILE
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from bddseg.confusion import miou
from bddseg.data.bdd100k_labels import MASK_COLOURS
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.image_io import FORMATS
from bddseg.data.split import usual_split
from bddseg.device import resolve_device, seed_everything, use_threads
from bddseg.models import build_model
from bddseg.task import FIVE_CLASSES, IGNORE
from benchmarks.contender_inputs import ContenderInputs

Item = tuple[Tensor, Tensor]


class Files(Dataset[Item]):
    """Image and mask files, decoded, resized and normalised when asked for.

    Shape:
        an item: (3, S, S), float32, and (S, S), int64.
    """

    def __init__(self, samples: Sequence[Sample], inputs: ContenderInputs) -> None:
        self._samples, self._side = samples, (inputs.config.data.size,) * 2
        self._mean = torch.tensor(inputs.mean).view(3, 1, 1)
        self._deviation = torch.tensor(inputs.deviation).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Item:
        sample = self._samples[index]
        image, mask = self.decoded(sample)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub(self._mean).div(self._deviation), torch.from_numpy(remapped(np.array(mask)))

    def decoded(self, sample: Sample) -> tuple[Image.Image, Image.Image]:
        """Return image and mask as Pillow resizes them."""
        with Image.open(sample.image, formats=FORMATS) as image:
            small = image.convert("RGB").resize(self._side, Image.Resampling.BILINEAR)
        with Image.open(sample.mask, formats=FORMATS) as mask:
            return small, mask.resize(self._side, Image.Resampling.NEAREST)


def remapped(mask: np.ndarray) -> np.ndarray:
    """Return the task's classes in place of BDD100K's, one class after the other.

    Shape:
        mask: (S, S), uint8.  returns: (S, S), int64.
    """
    labels = np.full(mask.shape, IGNORE, dtype=np.int64)
    for index, name in enumerate(FIVE_CLASSES.classes):
        labels[mask == list(MASK_COLOURS).index(name)] = index
    return labels


class Scores:
    """Two torchmetrics indices, fed with the pixels that count, picked by a boolean mask."""

    def __init__(self, device: torch.device) -> None:
        from torchmetrics.classification import MulticlassJaccardIndex

        self.mean = MulticlassJaccardIndex(len(FIVE_CLASSES.classes), average="macro").to(device)
        self.per_class = MulticlassJaccardIndex(len(FIVE_CLASSES.classes), average="none").to(device)

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Take in one batch."""
        predictions, valid = torch.argmax(logits, dim=1), masks != IGNORE
        self.mean.update(predictions[valid], masks[valid])
        self.per_class.update(predictions[valid], masks[valid])

    def counts(self) -> np.ndarray:
        """Return the pooled confusion counts after computing both indices.

        Shape:
            returns: (C, C), int64, rows truth.
        """
        self.mean.compute()
        self.per_class.compute()
        return np.asarray(self.per_class.confmat.cpu().numpy())


class Plain:
    """One run over files; `order` yields positions in the training part, otherwise they are shuffled."""

    def __init__(
        self,
        inputs: ContenderInputs,
        samples: Sequence[Sample],
        train: Sequence[int],
        val: Sequence[int],
        device: torch.device,
        order: Sampler[int] | None = None,
    ) -> None:
        config = inputs.config
        seed_everything(config.train.seed)
        self._device, size = device, config.train.batch_size
        self.train_files = Files([samples[index] for index in train], inputs)
        self._train = DataLoader(self.train_files, size, shuffle=order is None, sampler=order)
        self._val = DataLoader(Files([samples[index] for index in val], inputs), size)
        self.model = build_model(
            config.model.name,
            classes=len(FIVE_CLASSES.classes),
            base_filters=config.model.base_filters,
            dropout=config.model.dropout,
        ).to(device)
        self._loss = nn.CrossEntropyLoss(torch.tensor(inputs.weights, device=device), ignore_index=IGNORE)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=config.optim.lr, weight_decay=config.optim.weight_decay
        )

    def train_epoch(self, steps: int = 0) -> np.ndarray:
        """Train once on every image, or for a number of steps, repeating the images, and return the pooled counts."""
        self.model.train()
        scores, total = Scores(self._device), 0.0
        for images, masks in _some(self._train, steps):
            images, masks = images.to(self._device), masks.to(self._device)
            self._optimizer.zero_grad()
            logits = self.model(images)
            loss = self._loss(logits, masks)
            loss.backward()
            self._optimizer.step()
            total += loss.item()
            scores.add(logits, masks)
            self._tidy()
        return scores.counts()

    @torch.no_grad()
    def evaluate(self, steps: int = 0) -> np.ndarray:
        """Evaluate the validation images, or a number of batches of them, and return the pooled counts."""
        self.model.eval()
        scores, total = Scores(self._device), 0.0
        for images, masks in _some(self._val, steps):
            images, masks = images.to(self._device), masks.to(self._device)
            logits = self.model(images)
            total += self._loss(logits, masks).item()
            scores.add(logits, masks)
            self._tidy()
        return scores.counts()

    def _tidy(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _some(loader: DataLoader[Item], steps: int) -> Iterator[Item]:
    """Yield the loader's batches once, or a number of them, repeating the loader."""
    if not steps:
        return iter(loader)
    return itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), steps)


def main(argv: list[str] | None = None) -> int:
    """Train one run and print its last validation mIoU."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder in the BDD100K layout")
    options.add_argument(
        "--given", type=Path, required=True, help="settings and statistics, as benchmarks.contender_inputs saves"
    )
    options.add_argument("--lr", type=float, required=True, help="learning rate, in place of the one in the settings")
    options.add_argument("--threads", type=int, default=0, help="threads to compute with; 0 leaves it to torch")
    arguments = options.parse_args(argv)
    if arguments.threads:
        use_threads(arguments.threads)
    inputs = ContenderInputs.load(arguments.given)
    inputs = replace(inputs, config=inputs.config.with_overrides({"optim.lr": arguments.lr}))
    samples = read_catalog(arguments.data).samples
    split = usual_split(
        inputs.config.data,
        [sample.name for sample in samples],
        [(FIVE_CLASSES.group_of(sample.attributes["scene"]),) for sample in samples],
    )
    run = Plain(inputs, samples, split.train, split.val, resolve_device())
    for _ in range(inputs.config.train.epochs):
        run.train_epoch()
        counts = run.evaluate()
    print(f"lr {arguments.lr:g}: val mIoU {miou(counts):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
