"""A network from saved weights predicts what the engine counted."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import BEST, load_checkpoint, save_training
from bddseg.confusion import count_pixels
from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.predictor import load_trained
from bddseg.task import FIVE_CLASSES
from bddseg.train import fit

FRAMES, SPLIT = make_frames(), make_split()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Evidence]:
    folder = tmp_path_factory.mktemp("trial")
    last = list(fit(make_config(model_name="attention_unet"), FRAMES, SPLIT, torch.device("cpu")))[-1]
    save_training(folder, last.state())
    return load_checkpoint(folder / BEST), last.best_evidence("val")


def test_predictions_are_classes_in_the_images_shape(recorded: tuple[dict[str, Any], Evidence]) -> None:
    predicted = load_trained(recorded[0]).predict(FRAMES.images[:3])
    assert predicted.shape == (3, 16, 16) and predicted.dtype == np.int64
    assert set(np.unique(predicted)) <= set(range(len(FIVE_CLASSES.classes)))


def test_predictions_are_those_that_the_evidence_counted(recorded: tuple[dict[str, Any], Evidence]) -> None:
    best, evidence = recorded
    indices = list(SPLIT.val)
    predicted = load_trained(best).predict(FRAMES.images[indices])
    counts = count_pixels(FRAMES.masks[indices], predicted, len(FIVE_CLASSES.classes))
    assert np.array_equal(counts, evidence.counts)


def test_an_image_is_predicted_alike_alone_and_in_a_batch(recorded: tuple[dict[str, Any], Evidence]) -> None:
    trained = load_trained(recorded[0])
    together = trained.predict(FRAMES.images[:4])
    assert np.array_equal(together[2:3], trained.predict(FRAMES.images[2:3]))


def test_the_network_is_in_evaluation_mode(recorded: tuple[dict[str, Any], Evidence]) -> None:
    assert not any(module.training for module in load_trained(recorded[0]).model.modules())


@pytest.mark.parametrize("lost", ["config", "weights", "normalisation"])
def test_weights_that_lack_a_part_are_refused(recorded: tuple[dict[str, Any], Evidence], lost: str) -> None:
    best = {key: value for key, value in recorded[0].items() if key != lost}
    with pytest.raises(DataError, match="weights cannot be used"):
        load_trained(best)


def test_weights_of_another_network_are_refused(recorded: tuple[dict[str, Any], Evidence]) -> None:
    best = recorded[0]
    other = {**best, "config": make_config(model_name="unet").to_dict()}
    with pytest.raises(DataError, match="of no trial of this version"):
        load_trained(other)
