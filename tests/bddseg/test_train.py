"""fit(): bitwise repetition and resume, learning, stop reasons, and counts as torchmetrics has them."""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames, make_split
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.checkpoint import load_training, save_training
from bddseg.config import TrainConfig
from bddseg.confusion import iou, miou, pool
from bddseg.data.bdd100k_labels import SCENES
from bddseg.data.split import Split, split_of
from bddseg.engine import Engine
from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE, EpochResult, metric_directions
from bddseg.schedule import learning_rate_factor
from bddseg.task import FIVE_CLASSES, IGNORE, Group
from bddseg.train import _metrics, fit

CPU = torch.device("cpu")
FRAMES, SPLIT = make_frames(), make_split()
COSTS = ("time/", "throughput/", "system/")
DROPOUT = make_config(model_name="attention_unet", model_dropout=0.2)


def start(config: TrainConfig, resume: Mapping[str, Any] | None = None) -> Iterator[EpochResult]:
    return fit(config, FRAMES, SPLIT, CPU, resume)


def figures(results: list[EpochResult]) -> str:
    """Return all that was measured, to the last bit, without what depends on the clock."""
    return repr([{k: v for k, v in result.metrics.items() if not k.startswith(COSTS)} for result in results])


def run(config: TrainConfig) -> tuple[str, dict[str, torch.Tensor]]:
    """Return the figures of all epochs and the last weights."""
    results = list(start(config))
    return figures(results), results[-1].state()["model"]


def are_equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def scripted(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the epochs' val/miou be the given values, whatever was learnt."""
    series = iter(values)

    def measure(*arguments: Any) -> dict[str, float]:
        return {**_metrics(*arguments), OBJECTIVE: next(series)}

    monkeypatch.setattr("bddseg.train._metrics", measure)


@pytest.fixture(scope="module")
def learnt() -> list[EpochResult]:
    """Return the epochs of a run that is long enough to learn the shapes."""
    return list(start(make_config(train_epochs=25)))


# Repeating and going on


@pytest.mark.parametrize("config", [DROPOUT, make_config(loss_name="focal")], ids=["dropout", "focal"])
def test_the_same_configuration_gives_the_same_figures_and_weights(config: TrainConfig) -> None:
    (first, weights), (second, again) = run(config), run(config)
    assert first == second
    assert are_equal(weights, again)


def test_what_was_drawn_before_does_not_matter() -> None:
    first, _ = run(DROPOUT)
    torch.manual_seed(99)
    np.random.seed(99)
    torch.rand(7)
    assert run(DROPOUT)[0] == first


def test_two_runs_side_by_side_do_not_disturb_each_other() -> None:
    alone, _ = run(DROPOUT)
    other = start(make_config(train_seed=3))
    together = [(result, next(other))[0] for result in start(DROPOUT)]
    assert figures(together) == alone


def test_another_seed_gives_other_figures() -> None:
    assert run(make_config())[0] != run(make_config(train_seed=3))[0]


def test_the_epoch_budget_does_not_change_the_epochs() -> None:
    assert figures(list(start(make_config(train_epochs=2)))) == figures(list(start(make_config(train_epochs=3)))[:2])


RESUMED = {
    "adam": DROPOUT,
    "adamw": make_config(loss_name="focal", optim_name="adamw"),
    "sgd": make_config(loss_name="ce_dice", optim_name="sgd", optim_schedule="cosine", optim_warmup=0.2),
    "poly": make_config(loss_name="dice", optim_schedule="poly"),
    "average": make_config(train_average=0.99, train_keep="last"),
}


@pytest.mark.parametrize("config", RESUMED.values(), ids=RESUMED)
def test_going_on_from_files_equals_never_having_stopped(config: TrainConfig, tmp_path: Path) -> None:
    whole, weights = run(config)
    interrupted = start(config)
    before = [next(interrupted)]
    save_training(tmp_path, before[0].state())
    after = list(start(config, resume=load_training(tmp_path)))
    assert figures(before + after) == whole
    assert are_equal(after[-1].state()["model"], weights)


def test_going_on_keeps_the_best_epoch_and_its_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.2])
    interrupted = start(make_config())
    before = [next(interrupted), next(interrupted)][-1]
    save_training(tmp_path, before.state())
    after = next(start(make_config(), resume=load_training(tmp_path)))
    assert (after.epoch, after.best_epoch, after.best_miou) == (3, 1, 0.9)
    assert (after.best_evidence("val").counts == before.best_evidence("val").counts).all()
    assert (after.best_evidence("test").counts == before.best_evidence("test").counts).all()


def test_going_on_before_any_usable_epoch_has_no_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [math.nan, 0.2, 0.1])
    save_training(tmp_path, next(start(make_config())).state())
    after = next(start(make_config(), resume=load_training(tmp_path)))
    assert after.best_epoch == 2


def test_a_larger_budget_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    save_training(tmp_path, list(start(make_config(train_epochs=2)))[-1].state())
    more = list(start(make_config(train_epochs=4), resume=load_training(tmp_path)))
    assert [result.epoch for result in more] == [3, 4]


def test_a_trial_that_had_ended_by_plateau_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.3, 0.2])
    config = make_config(train_epochs=9, train_patience=2)
    save_training(tmp_path, list(start(config))[-1].state())
    assert list(start(config, resume=load_training(tmp_path))) == []


def test_a_checkpoint_of_another_trial_is_refused() -> None:
    state = next(start(make_config())).state()
    with pytest.raises(DataError, match=f"is of trial {make_config().digest()}, but must be of"):
        next(start(make_config(train_seed=3), resume=state))


# Ending


def test_a_run_ends_with_its_budget() -> None:
    results = list(start(make_config(train_epochs=2)))
    assert [(result.epoch, result.stop_reason) for result in results] == [(1, None), (2, "max_epochs")]


def test_a_plateau_ends_a_run_after_patience_epochs_without_a_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.1, 0.3, 0.2, 0.3, 0.9])
    results = list(start(make_config(train_epochs=9, train_patience=2)))
    assert [result.stop_reason for result in results] == [None, None, None, "plateau"]


def test_a_better_epoch_gives_new_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.3, 0.2, 0.4, 0.3, 0.3])
    results = list(start(make_config(train_epochs=9, train_patience=2)))
    assert (len(results), results[-1].best_epoch) == (5, 3)


def test_patience_0_never_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.3, 0.2, 0.1, 0.0])
    assert list(start(make_config(train_epochs=4)))[-1].stop_reason == "max_epochs"


def test_the_first_of_equal_epochs_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.3, 0.3, 0.3])
    assert [result.best_epoch for result in start(make_config())] == [1, 1, 1]


def test_where_the_last_epoch_counts_a_better_one_before_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.2])
    results = list(start(make_config(train_keep="last", train_patience=1)))
    last = results[-1]
    assert [result.best_epoch for result in results] == [1, 2, 3]
    assert (last.best_epoch, last.best_miou, last.best_evidence("val").epoch) == (3, 0.2, 3)
    assert are_equal(last.state()["best"]["weights"], last.state()["model"])


def test_where_the_last_epoch_counts_it_does_after_going_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.9, 0.1])
    config = make_config(train_keep="last", train_epochs=2)
    save_training(tmp_path, next(start(config)).state())
    (last,) = start(config, resume=load_training(tmp_path))
    assert (last.best_epoch, last.best_miou) == (2, 0.1)


def whole(**changes: Any) -> Iterator[EpochResult]:
    """Train on train and validation together."""
    config = make_config(train_keep="last", **changes).with_overrides({"data.folds": 1})
    return fit(config, FRAMES, split_of(config.data, SPLIT, FRAMES.names, FRAMES.strata()), CPU)


def test_without_validation_a_run_goes_to_its_end_and_keeps_the_last_weights() -> None:
    results = list(whole())
    assert [result.stop_reason for result in results] == [None, None, "max_epochs"]
    assert results[-1].best_epoch == 3 and math.isnan(results[-1].metrics["val/miou"])
    assert are_equal(results[-1].state()["best"]["weights"], results[-1].state()["model"])


def test_without_validation_there_is_still_test_evidence() -> None:
    last = list(whole())[-1]
    assert len(last.best_evidence("test").counts) == len(SPLIT.test) and len(last.best_evidence("val").counts) == 0


def test_without_validation_a_run_may_still_diverge() -> None:
    assert [result.stop_reason for result in whole(optim_lr=1e30)][-1] == "diverged"


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged() -> None:
    results = list(start(make_config(optim_lr=1e30, train_epochs=5)))
    last = results[-1]
    assert len(results) < 5 and last.stop_reason == "diverged"
    assert all(result.stop_reason is None for result in results[:-1])


def test_a_diverged_epoch_has_no_figures_to_compare() -> None:
    last = list(start(make_config(optim_lr=1e30, train_epochs=5)))[-1]
    figures_ = [last.metrics[name] for name in (OBJECTIVE, "val/iou/road", "val/group_gap", "val/group_miou/city")]
    assert all(math.isnan(value) for value in figures_) and last.best_epoch != last.epoch


def test_a_trial_that_diverged_at_once_has_no_evidence() -> None:
    only = next(start(make_config(optim_lr=1e30, train_epochs=5)))
    assert only.stop_reason == "diverged" and math.isnan(only.best_miou)
    with pytest.raises(DataError, match="there is no evidence"):
        only.best_evidence("val")


def test_evidence_has_the_boundary_counts_of_its_epoch(learnt: list[EpochResult]) -> None:
    evidence = learnt[-1].best_evidence("val")
    assert evidence.boundary is not None and evidence.boundary.shape == (len(SPLIT.val), len(FIVE_CLASSES.classes), 2)
    assert (evidence.boundary[..., 0] <= evidence.boundary[..., 1]).all() and evidence.boundary.any()


# Averaged weights


AVERAGED = make_config(train_epochs=4, train_average=0.5, train_keep="last")


def test_the_weights_that_count_are_the_mean_of_the_last_epochs() -> None:
    results, ends = [], []
    for result in start(AVERAGED):
        results.append(result)
        ends.append({name: tensor.clone() for name, tensor in result.state()["model"].items()})
    best_weights = results[-1].state()["best"]["weights"]
    expected = {
        name: (ends[2][name] + ends[3][name]) / 2 for name in best_weights if best_weights[name].is_floating_point()
    }
    assert all(torch.allclose(best_weights[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_averaging_leaves_the_training_alone() -> None:
    plain = [result.metrics["train/loss"] for result in start(make_config(train_epochs=4, train_keep="last"))]
    assert [result.metrics["train/loss"] for result in start(AVERAGED)] == plain


def test_an_averaged_epoch_is_validated_with_the_mean(tmp_path: Path) -> None:
    (*_, last) = start(AVERAGED)
    counts = last.best_evidence("val").counts
    assert last.metrics[OBJECTIVE] == float(miou(pool(counts))) == last.best_miou


def test_half_of_five_epochs_are_three() -> None:
    config = make_config(train_epochs=5, train_average=0.5)
    assert [config.averages(epoch) for epoch in range(1, 6)] == [False, False, True, True, True]


# Schedules


def rates(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the learning rate of every step."""
    engine, used = Engine(config, FRAMES, SPLIT.train, CPU), list[float]()
    train = engine._train_step
    monkeypatch.setattr(
        engine, "_train_step", lambda placed: (used.append(engine.optimizer.param_groups[0]["lr"]), train(placed))[1]
    )
    for epoch in range(1, config.train.epochs + 1):
        engine.train_epoch(epoch)
    return used


def test_the_learning_rate_follows_the_schedule_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(train_epochs=2, optim_lr=1e-2, optim_schedule="cosine", optim_warmup=0.25)
    expected = [1e-2 * learning_rate_factor("cosine", step, 8, 0.25) for step in range(8)]  # 16 images, 4 a step
    assert rates(config, monkeypatch) == pytest.approx(expected)


def test_a_constant_learning_rate_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(rates(make_config(train_epochs=2, optim_lr=1e-2), monkeypatch)) == {1e-2}


# Figures


def test_every_metric_is_reported_under_its_name(learnt: list[EpochResult]) -> None:
    assert set(learnt[0].metrics) == set(metric_directions(FRAMES.task, SCENES))


def test_every_metric_is_a_plain_float(learnt: list[EpochResult]) -> None:
    assert {type(value) for value in learnt[0].metrics.values()} == {float}


def test_coloured_shapes_are_learnt(learnt: list[EpochResult]) -> None:
    assert learnt[-1].best_miou > 0.8
    assert learnt[-1].metrics["train/loss"] < learnt[0].metrics["train/loss"] / 4


def test_the_best_figure_is_the_highest_of_all_epochs(learnt: list[EpochResult]) -> None:
    values = [result.metrics[OBJECTIVE] for result in learnt]
    assert (learnt[-1].best_miou, learnt[-1].best_epoch) == (max(values), values.index(max(values)) + 1)


def test_evidence_gives_the_figures_of_its_epoch_exactly(learnt: list[EpochResult]) -> None:
    evidence, best = learnt[-1].best_evidence("val"), learnt[learnt[-1].best_epoch - 1]
    assert evidence.epoch == best.epoch
    assert float(miou(pool(evidence.counts))) == best.metrics[OBJECTIVE] == learnt[-1].best_miou
    by_class = [best.metrics[f"val/iou/{name}"] for name in FIVE_CLASSES.classes]
    assert np.array_equal(iou(pool(evidence.counts)), by_class, equal_nan=True)


def test_evidence_names_its_images(learnt: list[EpochResult]) -> None:
    evidence = learnt[-1].best_evidence("test")
    assert evidence.names == tuple(FRAMES.names[index] for index in SPLIT.test)
    assert evidence.scenes == tuple(FRAMES.scenes[index] for index in SPLIT.test)
    assert (evidence.part, evidence.fingerprint) == ("test", FRAMES.fingerprint)


def test_evidence_counts_every_pixel_once(learnt: list[EpochResult]) -> None:
    evidence = learnt[-1].best_evidence("val")
    assert (evidence.counts.sum((1, 2)) + evidence.ignored.sum(1)).tolist() == [16 * 16] * len(SPLIT.val)
    assert evidence.ignored.sum(1).tolist() == [(FRAMES.masks[index] == IGNORE).sum() for index in SPLIT.val]


def test_the_group_gap_is_city_less_non_city(learnt: list[EpochResult]) -> None:
    metrics = learnt[-1].metrics
    assert metrics["val/group_gap"] == metrics["val/group_miou/city"] - metrics["val/group_miou/non_city"]


def test_the_number_of_classes_that_entered_the_mean_is_reported(learnt: list[EpochResult]) -> None:
    metrics = learnt[-1].metrics
    assert (
        metrics["val/classes"] == np.isfinite([metrics[f"val/iou/{name}"] for name in FIVE_CLASSES.classes]).sum() == 4
    )


def test_a_class_that_is_in_no_validation_image_has_no_figure(learnt: list[EpochResult]) -> None:
    masks = FRAMES.masks[list(SPLIT.val)]
    assert FIVE_CLASSES.classes.index("car") not in masks  # or the fact below would be another one
    assert math.isnan(learnt[-1].metrics["val/iou/car"])


# The best weights, not the last


def test_test_evidence_is_that_of_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.1])
    results = start(make_config())
    at_best = next(results).best_evidence("test")
    last = list(results)[-1]
    assert last.best_evidence("test").epoch == 1
    assert (last.best_evidence("test").counts == at_best.counts).all()
    assert (last_counts(last) != at_best.counts).any()


def last_counts(result: EpochResult) -> np.ndarray:
    """Return what the last weights, not the best ones, do on the test part."""
    engine = Engine(make_config(), FRAMES, SPLIT.train, CPU)
    engine.load_state(result.state())
    return engine.evaluate(SPLIT.test).counts


def test_validation_evidence_is_that_of_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.1])
    results = start(make_config())
    at_best = next(results).best_evidence("val")
    assert (list(results)[-1].best_evidence("val").counts == at_best.counts).all()


def test_asking_for_test_evidence_leaves_training_alone() -> None:
    asked = []
    for result in start(DROPOUT):
        result.best_evidence("test")
        asked.append(result)
    assert figures(asked) == run(DROPOUT)[0]


def test_a_saved_best_scores_what_was_recorded(tmp_path: Path, learnt: list[EpochResult]) -> None:
    save_training(tmp_path, learnt[-1].state())
    best = load_training(tmp_path)["best"]
    engine = Engine(make_config(train_epochs=25), FRAMES, SPLIT.train, CPU)
    with engine.with_weights(best["weights"]):
        scored = engine.evaluate(SPLIT.val)
    assert float(miou(pool(scored.counts))) == best["miou"] == learnt[-1].best_miou


# torchmetrics, also under the focal loss and per group


@functools.cache
def trained_under(loss: str) -> tuple[EpochResult, np.ndarray]:
    """Return the only epoch of a short run and the classes that its weights predict on the validation part."""
    config = make_config(loss_name=loss, train_epochs=1)
    result = next(start(config))
    engine = Engine(config, FRAMES, SPLIT.train, CPU)
    engine.load_state(result.state())
    images, _ = engine.network.pixels.load(next(engine.network.pixels.placed([np.array(SPLIT.val)])))
    with torch.no_grad():
        return result, engine.network.model.eval()(images).argmax(1).numpy()


def torchmetrics_iou(prediction: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return IoU by class over the validation images to keep; NaN for a class that no mask has."""
    truth = FRAMES.masks[list(SPLIT.val)][keep].astype(np.int64)
    metric = MulticlassJaccardIndex(len(FIVE_CLASSES.classes), average=None, ignore_index=IGNORE)
    metric.update(torch.from_numpy(prediction[keep]), torch.from_numpy(truth))
    is_there = np.isin(range(len(FIVE_CLASSES.classes)), truth)
    return np.where(is_there, metric.compute().double().numpy(), np.nan)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_iou_by_class_agrees_with_torchmetrics(loss: str) -> None:
    result, prediction = trained_under(loss)
    expected = torchmetrics_iou(prediction, np.full(len(SPLIT.val), True))
    values = [result.metrics[f"val/iou/{name}"] for name in FIVE_CLASSES.classes]
    assert values == pytest.approx(expected.tolist(), abs=1e-6, nan_ok=True)
    assert result.metrics[OBJECTIVE] == pytest.approx(np.nanmean(expected), abs=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
@pytest.mark.parametrize("group", ["city", "non_city"])
def test_the_miou_of_a_group_agrees_with_torchmetrics(loss: str, group: str) -> None:
    result, prediction = trained_under(loss)
    keep = np.array([FIVE_CLASSES.group_of(FRAMES.scenes[index]) == group for index in SPLIT.val])
    expected = np.nanmean(torchmetrics_iou(prediction, keep))
    assert result.metrics[f"val/group_miou/{group}"] == pytest.approx(expected, abs=1e-6)


def under_order(val: tuple[int, ...]) -> tuple[EpochResult, Evidence]:
    """Return a focal-loss epoch whose validation part is in the given order."""
    split = Split(SPLIT.train, val, SPLIT.test, by_drive=False, warning="")
    result = next(fit(make_config(loss_name="focal", train_epochs=1), FRAMES, split, CPU))
    return result, result.best_evidence("val")


def test_under_focal_loss_a_permuted_batch_gives_permuted_counts() -> None:
    (_, straight), (_, reversed_) = under_order(SPLIT.val), under_order(SPLIT.val[::-1])
    assert reversed_.names == straight.names[::-1]
    assert (reversed_.counts == straight.counts[::-1]).all()


def test_under_focal_loss_a_permuted_batch_has_the_same_figures() -> None:
    (straight, _), (reversed_, _) = under_order(SPLIT.val), under_order(SPLIT.val[::-1])
    names = [name for name in straight.metrics if name.startswith(("val/iou", "val/group", "val/scene", OBJECTIVE))]
    expected = [straight.metrics[name] for name in names]
    assert [reversed_.metrics[name] for name in names] == pytest.approx(expected, abs=0, nan_ok=True)


def test_every_class_and_value_of_another_task_has_its_metric() -> None:
    groups = (Group("day", ("d",)), Group("night", ("n",)), Group("dusk", ()))
    task = replace(
        FIVE_CLASSES, classes=("road", "traffic light", "tree", "sky", "car"), attribute="light", groups=groups
    )
    lights = ("d", "n", "k") * (len(FRAMES) // 3)
    frames = replace(FRAMES, task=task, attributes={"light": lights})
    result = next(fit(make_config(train_epochs=1), frames, SPLIT, CPU))
    assert set(result.metrics) == set(metric_directions(task, "dnk"))
    assert result.best_evidence("val").task == task and result.state()["best"]["task"] == task.to_dict()


def test_without_groups_there_are_no_metrics_of_scenes() -> None:
    frames = replace(FRAMES, task=replace(FIVE_CLASSES, attribute="", groups=()))
    result = next(fit(make_config(train_epochs=1), frames, SPLIT, CPU))
    assert not [name for name in result.metrics if "group" in name or "scene" in name]
