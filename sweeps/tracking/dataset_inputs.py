"""Dataset inputs of a run: which part of which data it used, as MLflow's pages and searches show it."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

CONTEXT, IMAGES = "mlflow.data.context", "images"
"""Tags of an input: its part, as MLflow calls it, and how many images it has in this run."""

DIGEST_CHARS, NAME_CHARS = 36, 500
"""MLflow's limits."""

TEXTS = ("context", "name", "digest", "source")
COUNTS = ("images", "size_px")


def check_input(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an input of an event.

    Raises:
        KeyError, TypeError, ValueError: when it is malformed.
    """
    for key in TEXTS:
        if not isinstance(entry[key], str):
            raise TypeError(f"{key} of an input is {entry[key]!r}, but must be a text")
    for key in COUNTS:
        if type(entry[key]) is not int or entry[key] < 0:
            raise ValueError(f"{key} of an input is {entry[key]!r}, but must be a whole number >= 0")
    if not 0 < len(entry["name"]) <= NAME_CHARS or not 0 < len(entry["digest"]) <= DIGEST_CHARS:
        raise ValueError(f"name or digest of an input is empty or too long for MLflow: {entry['name'][:80]!r}")
    return entry


def build_inputs(entries: Iterable[Mapping[str, Any]]) -> "list[DatasetInput]":
    """Return inputs as MLflow's client takes them. MLflow keeps one of two equal ones, so they can be sent again."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                name=entry["name"],
                digest=entry["digest"],
                source_type="local",
                source=json.dumps({"uri": entry["source"]}),
                schema=_schema(entry["size_px"]),
            ),
            tags=[InputTag(CONTEXT, entry["context"]), InputTag(IMAGES, str(entry["images"]))],
        )
        for entry in entries
    ]


def _schema(size_px: int) -> str:
    """Return the schema of frames and masks, as `mlflow.types.Schema` writes it."""
    image = _tensor([-1, size_px, size_px, 3])
    mask = _tensor([-1, size_px, size_px])
    return json.dumps({"mlflow_tensorspec": {"features": json.dumps([image]), "targets": json.dumps([mask])}})


def _tensor(shape: list[int]) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": shape}}
