"""Dataset inputs of runs: what MLflow has of them after delivery."""

import json
from dataclasses import replace
from typing import Any

import pytest
from recording import delivered, rejects, runs, start

from sweeps.storage.events import Event
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT, open_client


def entry(context: str, **changes: Any) -> dict[str, Any]:
    usual = {"context": context, "name": f"streets {context}", "digest": "0123456789abcdef", "source": "/data/streets"}
    return usual | {"images": 18, "size_px": 64} | changes


def start_with(*entries: dict[str, Any], trial: str = "a") -> Event:
    return replace(start(trial), inputs=list(entries))


def inputs(uri: str, trial: str = "a") -> list[Any]:
    return sorted(runs(uri)[trial].inputs.dataset_inputs, key=lambda item: item.dataset.name)


def test_a_run_has_its_parts_as_dataset_inputs(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start_with(entry("train"), entry("validation"), entry("test")))
    tags = [{tag.key: tag.value for tag in item.tags} for item in inputs(uri)]
    assert [tag["mlflow.data.context"] for tag in tags] == ["test", "train", "validation"]
    assert {item.dataset.digest for item in inputs(uri)} == {"0123456789abcdef"}
    assert [item.dataset.name for item in inputs(uri)] == ["streets test", "streets train", "streets validation"]


def test_a_search_by_fingerprint_finds_every_run_on_the_frames(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start_with(entry("train"), trial=""), start_with(entry("train")), start("b"))
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    on_frames = client.search_runs([experiment.experiment_id], "dataset.digest = '0123456789abcdef'")
    assert {run.data.tags.get("sweep.trial_id", "") for run in on_frames} == {"", "a"}


def test_the_folder_and_the_shapes_come_back_through_mlflow(outbox: Outbox, uri: str) -> None:
    import mlflow
    from mlflow.types import Schema

    delivered(outbox, uri, start_with(entry("train")))
    dataset = inputs(uri)[0].dataset
    assert mlflow.data.get_source(dataset).uri == "/data/streets"  # type: ignore[attr-defined]
    shapes = json.loads(dataset.schema)["mlflow_tensorspec"]
    assert Schema.from_json(shapes["features"]).inputs[0].shape == (-1, 64, 64, 3)
    assert Schema.from_json(shapes["targets"]).inputs[0].shape == (-1, 64, 64)


def test_inputs_that_are_delivered_again_are_there_once(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start_with(entry("train"), entry("test")))
    (outbox.folder / "outbox.cursor").unlink()
    delivered(outbox, uri, start_with(entry("train"), entry("test")))
    assert len(inputs(uri)) == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"digest": "x" * 37}, "too long for MLflow"),
        ({"images": -1}, "images of an input is -1"),
        ({"source": 3}, "source of an input is 3"),
    ],
)
def test_a_malformed_input_is_put_aside(outbox: Outbox, uri: str, changes: dict[str, Any], why: str) -> None:
    delivered(outbox, uri, start_with(entry("train", **changes)), start("b"))
    assert why in rejects(outbox)[0]["why"]
    assert "b" in runs(uri)
