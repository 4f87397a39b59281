"""An evaluation pass over images: the network's loss, confusion counts and boundary counts, image by image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bddseg.batches import Placed, cut_batches
from bddseg.boundary import count_boundaries
from bddseg.counting import PassSums, count_pixels_on_device
from bddseg.cuda_graph import Capture, GraphedStep, Outputs
from bddseg.network import Network

EVALUATION_BATCHES = 4
"""An evaluation batch has so many times the images of a training batch, since no activations are kept."""


class Evaluator:
    """Evaluates a network with its current weights.

    Args:
        network: what is evaluated.
        batch_size: images of a training batch.
        capture: records a step as a CUDA graph; None on the CPU.
    """

    def __init__(self, network: Network, batch_size: int, capture: Capture | None) -> None:
        self._network, self._batch_size = network, EVALUATION_BATCHES * batch_size
        self.step = GraphedStep(self.score_batch, capture)

    def evaluate(self, indices: Sequence[int]) -> PassSums:
        """Return the sums over the images, in this order."""
        return self._evaluate(indices, None)

    def evaluate_boundaries(self, indices: Sequence[int]) -> tuple[PassSums, Tensor]:
        """Return the sums over the images and the boundary counts of each; predictions are computed once for both.

        Shape:
            returns: sums, and (N, C, 2), int64.
        """
        counts = [torch.zeros(0, self._network.classes, 2, dtype=torch.int64, device=self._network.device)]
        sums = self._evaluate(indices, counts)
        return sums, torch.cat(counts)

    @torch.no_grad()
    def _evaluate(self, indices: Sequence[int], boundaries: list[Tensor] | None) -> PassSums:
        sums = PassSums(self._network.device, self._network.classes, pooled=False)
        self._network.model.eval()
        for placed in self._network.pixels.placed(cut_batches(np.asarray(indices), self._batch_size)):
            terms, counts, masks, predictions = self.step(placed)
            sums.add(terms, counts)
            if boundaries is not None:
                boundaries.append(count_boundaries(masks, predictions, self._network.classes))
        return sums

    def score_batch(self, placed: Placed) -> Outputs:
        """Return loss terms, pixel counts, masks and predicted classes of a batch."""
        logits, masks = self._network.forward(placed)
        terms, predictions = torch.stack(self._network.loss(logits, masks)), logits.max(1)[1]
        counts = count_pixels_on_device(masks, predictions, self._network.classes)
        return terms, counts, masks, predictions
