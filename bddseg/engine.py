"""One training pass and one evaluation pass, as fast as the device allows."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bddseg.augment import build_augmentation
from bddseg.batches import Pixels, Placed
from bddseg.boundary import count_boundaries
from bddseg.config import TrainConfig
from bddseg.counting import PassCounts, PassSums, count_pixels_on_device, read
from bddseg.cuda_graph import GraphedStep, Outputs, capture_on
from bddseg.data.frames import Frames
from bddseg.device import resolve_precision, seed_everything
from bddseg.labels import CLASSES
from bddseg.losses import balanced_weights, build_loss, mean
from bddseg.models import model_of
from bddseg.optim import build_optimizer, set_learning_rate
from bddseg.schedule import learning_rate_factor
from bddseg.weight_average import WeightAverage

EVALUATION_BATCHES = 4
"""Evaluation keeps no activations: its batches are so many times a training batch."""


class Engine:
    """Model, optimiser and frames of one trial on one device.

    On CUDA everything runs on one stream of the engine's own; from the fourth batch of a size on, a step is a CUDA
    graph. The host reads from the device once per epoch.
    """

    def __init__(self, config: TrainConfig, frames: Frames, train: Sequence[int], device: torch.device) -> None:
        seed_everything(config.train.seed)  # before the model exists: its initial weights are part of the trial
        self.config, self.device = config, device
        self.train_indices = np.asarray(train)
        self.precision = resolve_precision(config.train.precision, device)
        self.pixels = Pixels(frames, self.train_indices, device)
        self.model = model_of(config.model)
        self.model.to(device).to(memory_format=torch.channels_last)
        self.optimizer = build_optimizer(
            config.optim.name,
            self.model.parameters(),
            lr=config.optim.lr,
            weight_decay=config.optim.weight_decay,
            momentum=config.optim.momentum,
            device=device,
        )
        self._average = WeightAverage()
        self.augment = build_augmentation(config.data.augment)
        self.loss = build_loss(config.loss.name, weight=self._class_weights(), gamma=config.loss.gamma)
        torch.backends.cudnn.benchmark = device.type == "cuda"  # batches have few sizes: the search pays off
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        capture = capture_on(self._stream) if self._stream else None
        self._train_step, self._score_step = (
            GraphedStep(self._train_batch, capture),
            GraphedStep(self._score_batch, capture),
        )

    def run_epoch(self, epoch: int, validation: Sequence[int]) -> tuple[PassCounts, PassCounts]:
        """Train for an epoch, then count every image of the validation part.

        Towards the end, where weights are averaged, it is counted with the mean so far.
        """
        with self._running():
            tally = self._train(epoch)
            if not self.config.averages(epoch):
                trained, scored = read(tally, self._score(validation))
                return trained, scored
            self._average.add(self.model.state_dict())
            with self.with_weights(self._average.mean()):
                trained, scored = read(tally, self._score(validation))
        return trained, scored

    def train_epoch(self, epoch: int) -> PassCounts:
        """Train once on every training image, in an order that depends on the seed and the epoch alone."""
        with self._running():
            return read(self._train(epoch))[0]

    def evaluate(self, indices: Sequence[int]) -> PassCounts:
        """Count every image of a part with the present weights."""
        with self._running():
            return read(self._score(indices))[0]

    def _train(self, epoch: int) -> PassSums:
        seed = _epoch_seed(self.config.train.seed, epoch)
        seed_everything(seed)
        order = np.random.default_rng(seed).permutation(self.train_indices)
        tally = PassSums(self.device, pooled=True)
        self.model.train()
        batches = _batches(order, self.config.train.batch_size)
        if epoch == 1 and batches:
            self._begin_statistics(batches[0])
        for number, placed in enumerate(self.pixels.placed(batches), start=(epoch - 1) * len(batches)):
            self._follow_schedule(number, steps=self.config.train.epochs * len(batches))
            tally.add(*self._train_step(placed))
        return tally

    @torch.no_grad()
    def _begin_statistics(self, batch: np.ndarray) -> None:
        """Set BatchNorm's running statistics to those of the first batch.

        They begin at mean 0 and variance 1 and take in a tenth of each batch: after few steps, or with activations far
        from variance 1, a validation would see the beginning rather than the data.
        """
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        for placed in self.pixels.placed([batch]):
            images, _ = self.pixels.load(placed)
            with self._autocast():
                self.model(images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _follow_schedule(self, step: int, steps: int) -> None:
        """Set the learning rate of a step; a constant one is left as the optimiser has it."""
        optim = self.config.optim
        if optim.follows_budget:
            factor = learning_rate_factor(optim.schedule, step, steps, optim.warmup)
            set_learning_rate(self.optimizer, optim.lr * factor)

    def _train_batch(self, placed: Placed) -> Outputs:
        images, masks = self.pixels.load(placed, self.augment)
        with self._autocast():
            logits = self.model(images)  # (N, C, H, W)
        terms = self.loss(logits, masks)
        self.optimizer.zero_grad(set_to_none=True)
        mean(terms).backward()
        self.optimizer.step()
        return torch.stack(terms).detach(), count_pixels_on_device(masks, logits.detach().max(1)[1]).sum(
            0, keepdim=True
        )

    @torch.no_grad()
    def _score(self, indices: Sequence[int]) -> PassSums:
        tally = PassSums(self.device, pooled=False)
        self.model.eval()
        for placed in self.pixels.placed(_batches(np.asarray(indices), self._evaluation_batch)):
            tally.add(*self._score_step(placed))
        return tally

    def _score_batch(self, placed: Placed) -> Outputs:
        images, masks = self.pixels.load(placed)
        with self._autocast():
            logits = self.model(images)
        return torch.stack(self.loss(logits, masks)), count_pixels_on_device(masks, logits.max(1)[1])

    @torch.no_grad()
    def count_boundaries(self, indices: Sequence[int]) -> np.ndarray:
        """Return the boundary counts of every image of a part with the present weights.

        Shape:
            returns: (N, C, 2), int64.
        """
        self.model.eval()
        counts = [torch.zeros(0, len(CLASSES), 2, dtype=torch.int64, device=self.device)]
        with self._running():
            for placed in self.pixels.placed(_batches(np.asarray(indices), self._evaluation_batch)):
                images, masks = self.pixels.load(placed)
                with self._autocast():
                    logits = self.model(images)
                counts.append(count_boundaries(masks, logits.max(1)[1], len(CLASSES)))
        return torch.cat(counts).cpu().numpy()

    @property
    def _evaluation_batch(self) -> int:
        return EVALUATION_BATCHES * self.config.train.batch_size

    @property
    def captured_sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the batch sizes whose training steps, and whose evaluation steps, are replayed as CUDA graphs."""
        return self._train_step.captured_sizes, self._score_step.captured_sizes

    def stay_eager(self) -> None:
        """Capture nothing from here on; for comparisons and for a debugger."""
        for step in (self._train_step, self._score_step):
            step.stay_eager()

    def scored_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights that the last epoch was validated with: the present ones, or their mean."""
        with self._running():
            return self.weights() if self._average.is_empty else self._average.mean()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the present weights, on the device."""
        with self._running():
            return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    @property
    def normalisation(self) -> dict[str, Tensor]:
        """Mean and standard deviation of each channel, which the weights expect their images to be scaled by."""
        return {"mean": self.pixels.mean.flatten(), "deviation": self.pixels.deviation.flatten()}

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
        average = {} if self._average.is_empty else {"average": self._average.state()}
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), **average}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        with self._running():
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # torch would share the moments
        if "average" in state:
            self._average.load_state(state["average"], self.device)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(self.device)  # it comes from wherever the state was read to
        self._train_step.forget()  # its recordings would go on with the former moments

    def _autocast(self) -> torch.autocast:
        is_bf16 = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16, cache_enabled=False)

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Work on the engine's own stream, after what was begun before and before what follows."""
        if self._stream is None:
            yield
            return
        ambient = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(ambient)
        with torch.cuda.stream(self._stream):
            yield
        ambient.wait_stream(self._stream)

    def _class_weights(self) -> Tensor | None:
        if self.config.loss.weighting == "none":
            return None
        return torch.from_numpy(balanced_weights(self.pixels.class_pixels)).to(self.device)


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an order into batches, none empty; a last one of one image joins the one before: BatchNorm needs two."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts) if len(order) else []


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
