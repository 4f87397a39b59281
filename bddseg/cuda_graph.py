"""CUDA graphs of training and evaluation steps: one launch in place of some hundreds."""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bddseg.batches import Placed

WARM_UP = 3
"""Steps of a batch size that run eagerly first, while cuDNN tries its algorithms and the optimiser makes its state.

Source: PyTorch, CUDA semantics, "Whole-network capture".
"""

Outputs = tuple[Tensor, ...]
Step = Callable[[Placed], Outputs]
Capture = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
"""Records the work of a function on the device; returns its replay and the tensors that hold its outputs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Recording:
    """A captured step; its inputs and outputs keep their memory, and each replay overwrites them."""

    inputs: Placed
    outputs: Outputs
    replay: Callable[[], None]


class GraphedStep:
    """A step that is captured once per batch size and replayed from then on.

    The step must not read from the device, and everything that outlives it (weights, moments, statistics) must keep its
    memory address. Its outputs are valid until the next call. A step that cannot be captured runs eagerly.

    Args:
        step: computes the outputs of one batch.
        capture: records a step; without it every step runs eagerly.
    """

    def __init__(self, step: Step, capture: Capture | None) -> None:
        self._step, self._capture = step, capture
        self._runs: Counter[int] = Counter()
        self._recordings: dict[int, _Recording] = {}

    def __call__(self, placed: Placed) -> Outputs:
        """Return the outputs of the step for one batch."""
        if self._capture is None:
            return self._step(placed)
        size = len(placed[0])
        if self._runs[size] >= WARM_UP and size not in self._recordings:
            self._record(size, placed, self._capture)
        recording = self._recordings.get(size)
        if recording is None:
            self._runs[size] += 1
            return self._step(placed)
        for recorded, tensor in zip(recording.inputs, placed, strict=True):
            recorded.copy_(tensor)
        recording.replay()
        return recording.outputs

    @property
    def captured_sizes(self) -> tuple[int, ...]:
        """Return the batch sizes that are replayed."""
        return tuple(self._recordings)

    def forget(self) -> None:
        """Drop the recordings after weights or moments have moved in memory."""
        self._runs.clear()
        self._recordings.clear()

    def stay_eager(self) -> None:
        """Capture nothing from now on."""
        self.forget()
        self._capture = None

    def _record(self, size: int, placed: Placed, capture: Capture) -> None:
        inputs = tuple(tensor.clone() for tensor in placed)
        try:
            replay, outputs = capture(lambda: self._step(inputs))
        except RuntimeError as error:  # raised for every failed capture, lack of memory included
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning(
                "a step of %d images cannot be captured as a CUDA graph, all steps run eagerly: %s", size, reason
            )
            self.stay_eager()
            return
        self._recordings[size] = _Recording(inputs, outputs, replay)


class SideStream:
    """The CUDA stream on which an engine computes and captures its steps; on the CPU it does nothing.

    A capture is not allowed on the default stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.capture: Capture | None = capture_on(self._stream) if self._stream else None

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Compute on the stream within the context, in order with the work queued before and after it."""
        if self._stream is None:
            yield
            return
        ambient = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(ambient)
        with torch.cuda.stream(self._stream):
            yield
        ambient.wait_stream(self._stream)


def capture_on(stream: torch.cuda.Stream) -> Capture:
    """Return a capture that records on a stream; all recordings share one memory pool, since they never overlap.

    Dropout and augmentation draw from the device's default generator, which torch registers with every graph; after a
    failed capture its former state is restored, because it would otherwise still expect the end of the capture.
    """
    pool = torch.cuda.graph_pool_handle()
    generator = torch.cuda.default_generators[stream.device.index or 0]

    def capture(function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        graph = torch.cuda.CUDAGraph()
        before = generator.clone_state()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                outputs = function()
        except RuntimeError:
            generator.graphsafe_set_state(before)
            raise
        return graph.replay, outputs

    return capture
