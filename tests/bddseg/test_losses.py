"""Losses: numbers checked by hand, then torch and scikit-learn as references, then invariances."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from bddseg.errors import ConfigError
from bddseg.losses import LOSSES, balanced_weights, build_loss, ce_dice, cross_entropy, dice, focal, mean
from bddseg.task import FIVE_CLASSES, IGNORE

C = len(FIVE_CLASSES.classes)
WEIGHT = torch.tensor([0.3, 0.5, 1.0, 2.0, 4.0])
SUMS_OVER_PIXELS = ("cross_entropy", "focal")
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
TWO_PIXELS = torch.tensor([math.log(4.0), 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2)  # p = 0.8 and 0.2 everywhere
ONE_OF_EACH = torch.tensor([[[0, 1]]])


def make_batch(images: int = 4, size: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits that take gradients, and a target with a quarter of its pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, C, size, size, generator=generator)
    target = torch.randint(C, (images, size, size), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.25] = IGNORE
    return logits.requires_grad_(), target


def plain_focal(logits: Tensor, target: Tensor, weight: Tensor, gamma: float) -> Tensor:
    """Return the mean focal loss of the valid pixels in float64, by probabilities and boolean masks."""
    valid = target != IGNORE
    p = logits.double().softmax(1).permute(0, 2, 3, 1)[valid]  # (valid pixels, C)
    p = p.gather(1, target[valid].unsqueeze(1)).squeeze(1)
    w = weight.double()[target[valid]]
    return -(w * (1 - p) ** gamma * p.log()).sum() / w.sum()


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


def test_cross_entropy_of_a_guess_is_the_logarithm_of_the_classes() -> None:
    total, weights = cross_entropy(torch.zeros(2, C, 3, 3), torch.zeros(2, 3, 3, dtype=torch.long), weight=None)
    assert total.item() == pytest.approx(18 * math.log(5)) and weights.item() == 18


def test_cross_entropy_terms_of_two_pixels() -> None:
    total, weights = cross_entropy(TWO_PIXELS, ONE_OF_EACH, weight=torch.tensor([1.0, 3.0]))
    assert total.item() == pytest.approx(0.22314 + 3 * 1.60944, abs=1e-4)  # -ln 0.8, -ln 0.2
    assert weights.item() == 4


def test_focal_terms_of_two_pixels() -> None:
    total, weights = focal(TWO_PIXELS, ONE_OF_EACH, weight=torch.tensor([1.0, 3.0]), gamma=2.0)
    assert total.item() == pytest.approx(0.2**2 * 0.22314 + 3 * 0.8**2 * 1.60944, abs=1e-4)
    assert weights.item() == 4  # not the focused weights: Lin's mean is over the plain ones


def test_the_gradient_of_cross_entropy_is_the_probability_less_the_truth() -> None:
    logits = TWO_PIXELS.clone().requires_grad_()
    slope = gradient(cross_entropy(logits, ONE_OF_EACH, weight=None)[0], logits)
    expected = torch.tensor([[0.8 - 1, 0.8], [0.2, 0.2 - 1]]).view(1, 2, 1, 2)
    assert torch.allclose(slope, expected, atol=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_is_that_of_torch(weight: Tensor | None) -> None:
    logits, target = make_batch()
    ours = mean(cross_entropy(logits, target, weight=weight))
    theirs = functional.cross_entropy(logits, target, weight=weight, ignore_index=IGNORE)
    assert torch.allclose(ours, theirs, rtol=1e-6)
    assert torch.allclose(gradient(ours, logits), gradient(theirs, logits), atol=1e-8)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_and_its_gradient_are_those_of_the_formula(gamma: float) -> None:
    logits, target = make_batch()
    ours = mean(focal(logits, target, weight=WEIGHT, gamma=gamma))
    expected = plain_focal(logits, target, WEIGHT, gamma)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(gradient(ours, logits), gradient(expected, logits), atol=1e-8)


def test_focal_with_gamma_0_is_cross_entropy() -> None:
    logits, target = make_batch()
    assert focal(logits, target, weight=WEIGHT, gamma=0.0) == cross_entropy(logits, target, weight=WEIGHT)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("score", [-80.0, 0.0, 8.0, 20.0, 80.0])
def test_certain_pixels_have_finite_gradients(score: float, gamma: float) -> None:
    logits = torch.zeros(1, C, 2, 2)
    logits[:, 0] = score
    logits.requires_grad_()
    loss = mean(focal(logits, torch.zeros(1, 2, 2, dtype=torch.long), weight=None, gamma=gamma))
    assert loss.isfinite() and gradient(loss, logits).isfinite().all()


def test_dice_of_two_pixels() -> None:
    total, images = dice(TWO_PIXELS, ONE_OF_EACH)
    first, second = 2 * 0.8 / (1.6 + 1), 2 * 0.2 / (0.4 + 1)  # overlap, predicted and true of each class
    assert (total.item(), images.item()) == (pytest.approx(1 - (first + second) / 2), 1)


def test_dice_of_a_perfect_prediction_is_0() -> None:
    target = torch.tensor([[[0, 1], [2, IGNORE]]])
    logits = 100 * functional.one_hot(target.clamp(max=C - 1), C).permute(0, 3, 1, 2).float()
    assert dice(logits, target)[0].item() == pytest.approx(0.0, abs=1e-6)


def test_dice_means_over_the_classes_that_the_truth_has() -> None:
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    assert dice(torch.zeros(1, C, 2, 2), target)[0].item() == pytest.approx(1 - 2 * 0.8 / (0.8 + 4))  # p = 1/5 on 4


def test_dice_weighs_a_batch_by_its_images() -> None:
    logits, target = make_batch(images=3)
    assert dice(logits, target)[1].item() == 3


def test_ce_dice_is_the_sum_of_both() -> None:
    logits, target = make_batch()
    summed_losses = mean(cross_entropy(logits, target, weight=WEIGHT)) + mean(dice(logits, target))
    assert mean(ce_dice(logits, target, weight=WEIGHT)).item() == pytest.approx(summed_losses.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say(name: str) -> None:
    logits, target = make_batch()
    loss = build_loss(name, weight=WEIGHT, gamma=2.0)
    other = torch.where((target == IGNORE).unsqueeze(1), -7 * logits, logits)
    assert loss(logits, target) == loss(other, target)
    ignored = gradient(mean(loss(logits, target)), logits).permute(0, 2, 3, 1)[target == IGNORE]
    assert len(ignored) > 0 and (ignored == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_with_nothing_valid_is_0_with_a_zero_gradient(name: str) -> None:
    logits, target = make_batch()
    loss = mean(build_loss(name, weight=WEIGHT, gamma=2.0)(logits, target.fill_(IGNORE)))
    assert loss.item() == 0 and (gradient(loss, logits) == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_images_does_not_matter(name: str) -> None:
    logits, target = make_batch(images=6)
    loss = build_loss(name, weight=WEIGHT, gamma=2.0)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    terms, permuted = loss(logits, target), loss(logits[order], target[order])
    assert torch.allclose(torch.stack(terms), torch.stack(permuted), rtol=1e-6)


@pytest.mark.parametrize("name", SUMS_OVER_PIXELS)
def test_terms_of_two_batches_add_up_to_those_of_both(name: str) -> None:
    logits, target = make_batch(images=6)
    loss = build_loss(name, weight=WEIGHT, gamma=2.0)
    parts = torch.stack(loss(logits[:2], target[:2])) + torch.stack(loss(logits[2:], target[2:]))
    assert torch.allclose(parts, torch.stack(loss(logits, target)), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_computed_in_fp32_under_autocast(name: str) -> None:
    logits, target = make_batch()
    loss = build_loss(name, weight=WEIGHT, gamma=2.0)
    rounded = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(rounded, target)
    assert [term.dtype for term in terms] == [torch.float32] * 2
    assert terms == loss(rounded.float(), target)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weight", [None, WEIGHT.to("meta")])
def test_a_loss_reads_nothing_back(name: str, weight: Tensor | None) -> None:
    logits = torch.empty(2, C, 4, 4, device="meta", requires_grad=True)  # has no values: reading one raises
    target = torch.empty(2, 4, 4, dtype=torch.long, device="meta")
    mean(build_loss(name, weight=weight, gamma=2.0)(logits, target)).backward()
    assert logits.grad is not None and logits.grad.shape == logits.shape


def test_a_loss_takes_its_gamma_only_where_it_has_one() -> None:
    logits, target = make_batch()
    assert build_loss("cross_entropy", weight=None, gamma=2.0)(logits, target) == cross_entropy(
        logits, target, weight=None
    )
    assert build_loss("focal", weight=None, gamma=2.0)(logits, target) == focal(logits, target, weight=None, gamma=2.0)


def test_an_unknown_loss_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match=r"loss\.name is 'jaccard', but must be one of cross_entropy, focal, dice"):
        build_loss("jaccard", weight=None, gamma=2.0)


def test_balanced_weights_of_three_classes() -> None:
    weights = balanced_weights(np.array([50, 30, 20, 0, 0]))
    assert weights.dtype == np.float32
    assert weights.tolist() == pytest.approx([100 / (3 * 50), 100 / (3 * 30), 100 / (3 * 20), 0, 0])


@pytest.mark.parametrize("absent", [(), (2,), (0, 4)])
def test_balanced_weights_are_those_of_scikit_learn_over_valid_pixels(absent: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).choice([0, 0, 0, 1, 2, 3, 3, 4, IGNORE], 5000)
    valid = pixels[~np.isin(pixels, (IGNORE, *absent))]
    present = np.unique(valid)
    weights = balanced_weights(np.bincount(valid, minlength=C))
    assert weights[present] == pytest.approx(compute_class_weight("balanced", classes=present, y=valid), rel=1e-6)
    assert (weights[list(absent)] == 0).all()


def test_balanced_weights_do_not_overflow_on_a_whole_data_set() -> None:
    pixels = np.array([668_329_989, 452_690_852, 384_303_219, 418_227_625, 254_085_637])  # BDD100K, full size
    assert balanced_weights(pixels)[0] == pytest.approx(2_177_637_322 / (5 * 668_329_989), rel=1e-6)


def test_balanced_weights_of_nothing_are_zero() -> None:
    assert balanced_weights(np.zeros(C, dtype=np.int64)).tolist() == [0.0] * C
