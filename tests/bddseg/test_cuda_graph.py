"""When a step is captured, what is replayed, and what happens when it cannot be: with a recorder in CUDA's place."""

from collections.abc import Callable

import pytest
import torch

from bddseg.batches import Placed
from bddseg.cuda_graph import WARM_UP, GraphedStep, Outputs


class Recorder:
    """Captures as CUDA does: nothing runs while it records, a replay computes from the inputs' present values."""

    def __init__(self) -> None:
        self.captures, self.replays = 0, 0

    def __call__(self, function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        self.captures += 1
        outputs = (torch.full((1,), torch.nan),)

        def replay() -> None:
            self.replays += 1
            outputs[0].copy_(function()[0])

        return replay, outputs


def total(placed: Placed) -> Outputs:
    return (placed[0].sum().reshape(1).float(),)


def index(*values: int) -> Placed:
    return (torch.tensor(values),)


def test_without_a_capture_the_step_just_runs() -> None:
    step = GraphedStep(total, None)
    assert [float(step(index(1, 2))[0]) for _ in range(WARM_UP + 2)] == [3.0] * (WARM_UP + 2)
    assert step.captured_sizes == ()


def test_the_first_steps_run_eagerly() -> None:
    recorder = Recorder()
    step = GraphedStep(total, recorder)
    for _ in range(WARM_UP):
        step(index(1, 2))
    assert (recorder.captures, recorder.replays) == (0, 0)


def test_a_size_is_captured_once_and_replayed_from_then_on() -> None:
    recorder = Recorder()
    step = GraphedStep(total, recorder)
    for _ in range(WARM_UP + 4):
        step(index(1, 2))
    assert (recorder.captures, recorder.replays) == (1, 4)


def test_a_replay_computes_from_the_batch_given() -> None:
    step = GraphedStep(total, Recorder())
    outputs = [float(step(index(number, 1))[0]) for number in range(WARM_UP + 3)]
    assert outputs == [number + 1.0 for number in range(WARM_UP + 3)]


def test_every_batch_size_has_a_recording_of_its_own() -> None:
    step = GraphedStep(total, Recorder())
    for _ in range(WARM_UP + 1):
        step(index(1, 2))
        step(index(5))
    assert step.captured_sizes == (2, 1)
    assert (float(step(index(1, 2))[0]), float(step(index(5))[0])) == (3.0, 5.0)


def test_the_batch_given_is_left_alone() -> None:
    step, batch = GraphedStep(total, Recorder()), index(1, 2)
    for _ in range(WARM_UP + 1):
        step(index(7, 8))
    step(batch)
    assert batch[0].tolist() == [1, 2]


def failing(function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    raise RuntimeError("operation not permitted when stream is capturing\nmore words")


def test_a_step_that_cannot_be_captured_runs_eagerly_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    step = GraphedStep(total, failing)
    outputs = [float(step(index(1, 2))[0]) for _ in range(WARM_UP + 3)]
    assert outputs == [3.0] * (WARM_UP + 3)
    [record] = caplog.records
    assert record.message.startswith("a step of 2 images cannot be captured as a CUDA graph, all steps run eagerly: ")
    assert record.message.endswith("operation not permitted when stream is capturing")


def test_an_error_of_the_step_itself_is_not_hidden() -> None:
    def broken(placed: Placed) -> Outputs:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        GraphedStep(broken, Recorder())(index(1))


def test_after_forgetting_a_size_is_warmed_up_and_captured_anew() -> None:
    recorder = Recorder()
    step = GraphedStep(total, recorder)
    for _ in range(WARM_UP + 1):
        step(index(1))
    step.forget()
    for _ in range(WARM_UP + 1):
        step(index(1))
    assert (recorder.captures, recorder.replays) == (2, 2)
