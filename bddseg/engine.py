"""Training epochs and evaluation passes of one trial, as fast as the device allows."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bddseg.augment import build_augmentation
from bddseg.batches import Placed, cut_batches
from bddseg.config import TrainConfig
from bddseg.counting import PassCounts, PassSums, count_pixels_on_device, read
from bddseg.cuda_graph import GraphedStep, Outputs, SideStream
from bddseg.data.frames import Frames
from bddseg.device import seed_everything
from bddseg.evaluation import Evaluator
from bddseg.losses import mean
from bddseg.network import Network
from bddseg.optim import build_optimizer, set_learning_rate
from bddseg.schedule import learning_rate_factor
from bddseg.weight_average import WeightAverage


class Engine:
    """Network, optimiser and evaluator of one trial on one device.

    On CUDA everything runs on a stream of the engine's own; from the fourth batch of a size on, a step is a CUDA
    graph. The host reads from the device once per epoch.

    Args:
        config: the settings of the trial.
        frames: every image of the dataset.
        train: indices of the training images.
        device: where the trial is computed.
    """

    def __init__(self, config: TrainConfig, frames: Frames, train: Sequence[int], device: torch.device) -> None:
        seed_everything(config.train.seed)  # before the model exists: its initial weights are part of the trial
        self.config = config
        self.train_indices = np.asarray(train)
        self.network = Network(config, frames, train, device)
        self.optimizer = build_optimizer(
            config.optim.name,
            self.network.model.parameters(),
            lr=config.optim.lr,
            weight_decay=config.optim.weight_decay,
            momentum=config.optim.momentum,
            device=device,
        )
        self._average = WeightAverage()
        self._augment = build_augmentation(config.data.augment)
        torch.backends.cudnn.benchmark = device.type == "cuda"  # batches have few sizes: the search pays off
        self._stream = SideStream(device)
        self.evaluator = Evaluator(self.network, config.train.batch_size, self._stream.capture)
        self._train_step = GraphedStep(self._train_batch, self._stream.capture)

    def run_epoch(self, epoch: int, validation: Sequence[int]) -> tuple[PassCounts, PassCounts]:
        """Train for an epoch, then evaluate the validation part; return the counts of both.

        In the last epochs, whose weights are averaged, the mean so far is evaluated.
        """
        with self._stream.use():
            sums = self._train(epoch)
            if not self.config.averages(epoch):
                trained, scored = read(sums, self.evaluator.evaluate(validation))
                return trained, scored
            self._average.add(self.network.model.state_dict())
            with self.with_weights(self._average.mean()):
                trained, scored = read(sums, self.evaluator.evaluate(validation))
        return trained, scored

    def train_epoch(self, epoch: int) -> PassCounts:
        """Train once on every training image, in an order that depends on the seed and the epoch alone."""
        with self._stream.use():
            return read(self._train(epoch))[0]

    def evaluate(self, indices: Sequence[int]) -> PassCounts:
        """Return the counts of every image of a part with the current weights."""
        with self._stream.use():
            return read(self.evaluator.evaluate(indices))[0]

    def evaluate_boundaries(self, indices: Sequence[int]) -> tuple[PassCounts, np.ndarray]:
        """Return the counts and the boundary counts of every image of a part with the current weights.

        Shape:
            returns: counts, and (N, C, 2), int64.
        """
        with self._stream.use():
            sums, boundaries = self.evaluator.evaluate_boundaries(indices)
            return read(sums)[0], boundaries.cpu().numpy()

    def _train(self, epoch: int) -> PassSums:
        seed = _epoch_seed(self.config.train.seed, epoch)
        seed_everything(seed)
        order = np.random.default_rng(seed).permutation(self.train_indices)
        sums = PassSums(self.network.device, self.network.classes, pooled=True)
        self.network.model.train()
        batches = cut_batches(order, self.config.train.batch_size)
        if epoch == 1 and batches:
            for placed in self.network.pixels.placed(batches[:1]):
                self.network.initialise_statistics(placed)
        for number, placed in enumerate(self.network.pixels.placed(batches), start=(epoch - 1) * len(batches)):
            self._follow_schedule(number, steps=self.config.train.epochs * len(batches))
            sums.add(*self._train_step(placed))
        return sums

    def _follow_schedule(self, step: int, steps: int) -> None:
        """Set the learning rate of a step; a constant one stays as the optimiser has it."""
        optim = self.config.optim
        if optim.follows_budget:
            factor = learning_rate_factor(optim.schedule, step, steps, optim.warmup)
            set_learning_rate(self.optimizer, optim.lr * factor)

    def _train_batch(self, placed: Placed) -> Outputs:
        logits, masks = self.network.forward(placed, self._augment)
        terms = self.network.loss(logits, masks)
        self.optimizer.zero_grad(set_to_none=True)
        mean(terms).backward()
        self.optimizer.step()
        counts = count_pixels_on_device(masks, logits.detach().max(1)[1], self.network.classes)
        return torch.stack(terms).detach(), counts.sum(0, keepdim=True)

    @property
    def captured_sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the batch sizes whose training steps, and whose evaluation steps, are replayed as CUDA graphs."""
        return self._train_step.captured_sizes, self.evaluator.step.captured_sizes

    def stay_eager(self) -> None:
        """Capture nothing from now on; for comparisons and for a debugger."""
        for step in (self._train_step, self.evaluator.step):
            step.stay_eager()

    def scored_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights that the last epoch was validated with: the current ones, or their mean."""
        with self._stream.use():
            return self.network.weights() if self._average.is_empty else self._average.mean()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the current weights, on the device."""
        with self._stream.use():
            return self.network.weights()

    @contextlib.contextmanager
    def with_weights(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Use other weights within the context, then restore the current ones."""
        current = self.weights()
        self.network.model.load_state_dict(weights)
        try:
            yield
        finally:
            self.network.model.load_state_dict(current)

    def state(self) -> dict[str, Any]:
        """Return the state that a resumed training needs, apart from the epoch."""
        average = {} if self._average.is_empty else {"average": self._average.state()}
        return {"model": self.network.model.state_dict(), "optimizer": self.optimizer.state_dict(), **average}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        with self._stream.use():
            self.network.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # torch would share the moments
        if "average" in state:
            self._average.load_state(state["average"], self.network.device)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(self.network.device)  # the state may have been read to another device
        self._train_step.forget()  # its recordings would continue with the former moments


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
