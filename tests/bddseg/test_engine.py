"""One pass over tiny frames: batches, losses, and weights that can be swapped."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames, make_split
from torch import nn

from bddseg.batches import Placed
from bddseg.boundary import count_boundaries
from bddseg.counting import PassCounts
from bddseg.data.frames import Frames
from bddseg.engine import Engine
from bddseg.losses import build_loss
from bddseg.task import IGNORE

CPU = torch.device("cpu")
FRAMES, SPLIT = make_frames(), make_split()


def make_engine(frames: Frames = FRAMES, **changes: Any) -> Engine:
    return Engine(make_config(**changes), frames, SPLIT.train, CPU)


def batches_of_an_epoch(engine: Engine, epoch: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return the frames that each step of an epoch loads."""
    placed: list[list[int]] = []
    original_placed = engine.network.pixels.placed

    def listen(batches: Sequence[np.ndarray]) -> Iterator[Placed]:
        placed.extend(batch.tolist() for batch in batches)
        return original_placed(batches)

    monkeypatch.setattr(engine.network.pixels, "placed", listen)
    engine.train_epoch(epoch)
    return placed


def load(engine: Engine, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalised images and masks as one batch."""
    return engine.network.pixels.load(next(engine.network.pixels.placed([np.array(indices)])))


def one_image() -> tuple[torch.Tensor, torch.Tensor]:
    """Return random logits and the mask of the first frame."""
    logits = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    return logits, torch.from_numpy(FRAMES.masks[:1].copy()).long()


def trained(**changes: Any) -> Engine:
    engine = make_engine(**changes)
    engine.train_epoch(1)
    return engine


def test_normalised_training_pixels_have_mean_zero_and_deviation_one() -> None:
    pixels, _ = load(make_engine(), SPLIT.train)
    assert pixels.mean((0, 2, 3)).abs().max() < 1e-4
    assert (pixels.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4


def test_loading_leaves_the_frames_alone() -> None:
    frames = make_frames()
    make_engine(frames).train_epoch(1)
    assert (frames.images == make_frames().images).all()


def test_an_epoch_trains_on_every_training_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = batches_of_an_epoch(make_engine(), 2, monkeypatch)
    assert sorted(index for batch in loaded for index in batch) == list(SPLIT.train)


def test_the_statistics_of_batchnorm_begin_at_those_of_the_first_batch() -> None:
    engine = make_engine(train_batch_size=99, optim_lr=1e-9, train_precision="fp32")
    engine.train_epoch(1)
    images, _ = load(engine, SPLIT.train)
    first = next(module for module in engine.network.model.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        engine.network.model(images)
    assert torch.allclose(first.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5)


def test_every_epoch_has_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine()
    assert batches_of_an_epoch(engine, 1, monkeypatch) != batches_of_an_epoch(engine, 2, monkeypatch)


def test_the_order_depends_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = batches_of_an_epoch(make_engine(train_seed=1), 1, monkeypatch)
    assert first != batches_of_an_epoch(make_engine(train_seed=2), 1, monkeypatch)


@pytest.mark.parametrize(
    ("size", "expected"), [(4, [4] * 4), (5, [5, 5, 6]), (6, [6, 6, 4]), (15, [16]), (16, [16]), (99, [16])]
)
def test_a_tail_of_one_joins_the_batch_before(size: int, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = batches_of_an_epoch(make_engine(train_batch_size=size), 2, monkeypatch)
    assert [len(batch) for batch in loaded] == expected


def test_a_training_pass_pools_its_counts() -> None:
    counts = make_engine().train_epoch(1)
    assert counts.counts.shape == (1, 5, 5) and counts.ignored.shape == (1, 5)
    assert counts.counts.sum() + counts.ignored.sum() == len(SPLIT.train) * 16 * 16


def test_an_evaluation_counts_every_image_in_the_order_given() -> None:
    engine = trained()
    forward, backward = engine.evaluate(SPLIT.val), engine.evaluate(SPLIT.val[::-1])
    assert forward.counts.shape == (len(SPLIT.val), 5, 5)
    assert (forward.counts[::-1] == backward.counts).all() and (forward.ignored[::-1] == backward.ignored).all()


def test_evaluation_counts_do_not_depend_on_the_batch_size() -> None:
    engine, small = trained(train_batch_size=8), make_engine(train_batch_size=2)
    small.load_state(engine.state())
    assert (small.evaluate(SPLIT.train).counts == engine.evaluate(SPLIT.train).counts).all()


def test_boundaries_are_counted_on_the_same_predictions_as_pixels() -> None:
    engine = trained()
    scored, boundaries = engine.evaluate_boundaries(SPLIT.val)
    assert (scored.counts == engine.evaluate(SPLIT.val).counts).all() and boundaries.shape == (len(SPLIT.val), 5, 2)
    images, masks = load(engine, SPLIT.val)
    with torch.no_grad():
        predicted = engine.network.model.eval()(images).argmax(1)
    assert (boundaries == count_boundaries(masks, predicted, 5).numpy()).all()


def test_boundaries_cost_no_second_pass() -> None:
    engine = trained()
    seen: list[int] = []
    engine.network.model.register_forward_hook(lambda model, inputs, logits: seen.append(len(logits)))
    engine.evaluate_boundaries(SPLIT.test)
    assert sum(seen) == len(SPLIT.test)


def test_an_evaluation_changes_no_weights() -> None:
    engine = trained()
    before = engine.weights()
    engine.evaluate(SPLIT.val)
    assert all(torch.equal(before[name], tensor) for name, tensor in engine.weights().items())


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_the_loss_of_a_pass_is_divided_once(name: str) -> None:
    engine = trained(loss_name=name, train_batch_size=2)  # two batches of eight
    images, masks = load(engine, SPLIT.train)
    with torch.no_grad():
        total, weight = engine.network.loss(engine.network.model.eval()(images), masks)
    assert engine.evaluate(SPLIT.train).loss == pytest.approx(float(total / weight), rel=1e-5)


def test_a_pass_without_a_valid_pixel_has_no_loss() -> None:
    ignored = replace(FRAMES, masks=np.full_like(FRAMES.masks, IGNORE))
    engine = make_engine(ignored, loss_weighting="none")
    assert np.isnan(engine.evaluate(SPLIT.val).loss)


def test_class_weights_come_from_the_training_part_alone() -> None:
    masks = FRAMES.masks.copy()
    masks[list(SPLIT.val)] = 0
    first, second = (
        make_engine(frames).network.loss(*one_image())[1] for frames in (FRAMES, replace(FRAMES, masks=masks))
    )
    assert torch.equal(first, second)


def test_weighting_none_weighs_every_valid_pixel_with_one() -> None:
    _, weight = make_engine(loss_weighting="none").network.loss(*one_image())
    assert weight == (FRAMES.masks[0] != IGNORE).sum()


def test_gamma_reaches_the_focal_loss() -> None:
    logits, target = one_image()
    total, _ = make_engine(loss_name="focal", loss_gamma=3.0, loss_weighting="none").network.loss(logits, target)
    assert torch.equal(total, build_loss("focal", weight=None, gamma=3.0)(logits, target)[0])


def test_weights_are_copies_that_training_leaves_alone() -> None:
    engine = make_engine()
    copies = engine.weights()
    before = {name: tensor.clone() for name, tensor in copies.items()}
    engine.train_epoch(1)
    assert all(torch.equal(before[name], copies[name]) for name in copies)
    assert not all(torch.equal(tensor, copies[name]) for name, tensor in engine.weights().items())


def test_weights_include_the_running_statistics() -> None:
    assert any(name.endswith("running_mean") for name in make_engine().weights())


def test_other_weights_are_used_for_a_while_only() -> None:
    engine = make_engine()
    first = engine.weights()
    engine.train_epoch(1)
    second, before = engine.weights(), engine.evaluate(SPLIT.val)
    with engine.with_weights(first):
        assert all(torch.equal(first[name], tensor) for name, tensor in engine.weights().items())
        assert engine.evaluate(SPLIT.val).loss != before.loss
    assert all(torch.equal(second[name], tensor) for name, tensor in engine.weights().items())


def test_the_old_weights_come_back_after_an_error() -> None:
    engine = trained()
    before, zeros = engine.weights(), {name: torch.zeros_like(tensor) for name, tensor in engine.weights().items()}
    with pytest.raises(RuntimeError, match="halt"), engine.with_weights(zeros):
        raise RuntimeError("halt")
    assert all(torch.equal(before[name], tensor) for name, tensor in engine.weights().items())


def test_the_same_seed_gives_the_same_weights_before_the_first_step() -> None:
    first, second = make_engine().weights(), make_engine().weights()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_another_seed_gives_other_weights() -> None:
    first, second = make_engine(train_seed=1).weights(), make_engine(train_seed=2).weights()
    assert not torch.equal(first["head.weight"], second["head.weight"])


def test_bf16_computes_close_to_fp32() -> None:
    fp32, bf16 = trained(), make_engine(train_precision="bf16")
    bf16.load_state(fp32.state())
    scores: list[PassCounts] = [engine.evaluate(SPLIT.val) for engine in (fp32, bf16)]
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=0.05)


def test_an_epoch_at_once_is_training_and_then_evaluation() -> None:
    together, apart = make_engine(), make_engine()
    trained_, scored = together.run_epoch(1, SPLIT.val)
    assert trained_.loss == apart.train_epoch(1).loss
    assert (scored.counts == apart.evaluate(SPLIT.val).counts).all()


def test_an_engine_that_goes_on_from_another_leaves_it_alone() -> None:
    first, undisturbed, second = make_engine(), make_engine(), make_engine(train_seed=7)
    for engine in (first, undisturbed):
        engine.train_epoch(1)
    second.load_state(first.state())
    second.train_epoch(2)
    assert first.train_epoch(2).loss == undisturbed.train_epoch(2).loss


def test_without_cuda_no_step_is_captured() -> None:
    engine = make_engine(train_batch_size=2)
    engine.train_epoch(1)
    assert engine.captured_sizes == ((), ())


CUDA = torch.device("cuda", 0)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def on_cuda(**changes: Any) -> Engine:
    settings = {"train_batch_size": 3, "data_augment": "standard", "model_name": "attention_unet", "model_dropout": 0.2}
    return Engine(make_config(**settings | changes), FRAMES, SPLIT.train, CUDA)  # five batches of three, one of one


@needs_cuda
def test_captured_steps_agree_with_eager_ones() -> None:
    captured, eager = on_cuda(), on_cuda()
    eager.stay_eager()
    losses = [[engine.train_epoch(epoch).loss for epoch in (1, 2, 3, 4, 5)] for engine in (captured, eager)]
    assert captured.captured_sizes[0] and eager.captured_sizes == ((), ())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@needs_cuda
def test_a_step_that_cannot_be_captured_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = on_cuda()
    count = engine.network.loss

    def reading(logits: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert float(logits.sum()) is not None  # reads from the device
        return count(logits, masks)

    monkeypatch.setattr(engine.network, "loss", reading)
    losses = [engine.train_epoch(epoch).loss for epoch in (1, 2, 3)]
    assert engine.captured_sizes == ((), ()) and losses[2] < losses[0]


@needs_cuda
def test_after_going_on_from_a_state_captured_steps_use_the_new_moments() -> None:
    first = on_cuda()
    for epoch in (1, 2):
        first.train_epoch(epoch)
    second = on_cuda(train_seed=7)
    second.train_epoch(1)
    second.load_state(first.state())
    second.config = first.config
    assert second.train_epoch(3).loss == pytest.approx(first.train_epoch(3).loss, rel=1e-3)


@needs_cuda
def test_frames_that_do_not_fit_stay_in_the_hosts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = on_cuda().run_epoch(1, SPLIT.val)
    monkeypatch.setattr("bddseg.batches.RESIDENT_SHARE", 0.0)
    hosted = on_cuda().run_epoch(1, SPLIT.val)
    assert hosted[0].loss == pytest.approx(resident[0].loss, rel=1e-3)
    assert hosted[1].counts.sum() == resident[1].counts.sum()
