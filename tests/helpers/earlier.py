"""What earlier versions left behind, unpacked; README.md in tests/assets says how it was recorded."""

import json
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.storage.events import Unreadable, decode
from sweeps.storage.trial_history import read_histories
from sweeps.tracking.uri import default_tracking_uri

ASSETS = Path(__file__).resolve().parent.parent / "assets"
VERSIONS = sorted(path.parent.name for path in ASSETS.glob("*/arithmetic.txt"))
NOT_REPEATABLE = ("time/", "throughput/", "system/")
"""What differs each time that the same trial is trained."""

WORDS = frozenset({"sentence", "caveats", "paragraph", "why"})
"""Keys of verdict.json that hold sentences, which may be worded better in a later version."""

Epochs = dict[tuple[str, int], dict[str, float | None]]


@dataclass(frozen=True)
class Recorded:
    """A storage folder with one sweep, as an earlier version left it or as a command has changed it since."""

    storage: Path

    @property
    def expected(self) -> Path:
        """Return the folder with what the earlier version itself made of the record."""
        return self.storage.parent / "expected"

    @property
    def uri(self) -> str:
        return default_tracking_uri(self.storage)

    @property
    def folder(self) -> Path:
        (path,) = self.storage.glob("*/sweep.json")
        return path.parent

    @property
    def sweep_id(self) -> str:
        return self.folder.name

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.folder / "sweep.json").read_text())
        return manifest

    @property
    def trial_ids(self) -> list[str]:
        return [trial["trial_id"] for trial in self.manifest["trials"]]

    @property
    def command(self) -> list[str]:
        """Return the options that the sweep was started with, but for its storage folder."""
        words = shlex.split(self.manifest["command"])[2:]
        index = words.index("--storage")
        return words[:index] + words[index + 2 :]

    @property
    def events(self) -> list[dict[str, Any]]:
        return read_events(self.folder / "outbox" / "outbox.jsonl")


def unpack(version: str, state: str, folder: Path) -> Recorded:
    """Unpack what a version recorded in a state: finished, interrupted or killed."""
    with tarfile.open(ASSETS / version / f"{state}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Recorded(folder / "runs")


def read_events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def epochs_of(events: list[dict[str, Any]]) -> Epochs:
    """Return the figures of every epoch that do not differ from run to run.

    An epoch that was reported again, after a driver was lost, must have had the same figures.
    """
    epochs: Epochs = {}
    for event in events:
        if event["kind"] == "epoch":
            figures = {key: value for key, value in event["metrics"].items() if not key.startswith(NOT_REPEATABLE)}
            assert epochs.setdefault((event["trial"], event["step"]), figures) == figures
    return epochs


def reasons_of(events: list[dict[str, Any]]) -> dict[str, str]:
    """Return why each trial ended."""
    lines = [decode(event, ASSETS) for event in events]
    histories = read_histories(line for line in lines if not isinstance(line, Unreadable))
    return {trial_id: history.reason for trial_id, history in histories.items()}


def figures_of(value: Any, path: str = "") -> dict[str, Any]:
    """Return every figure, name and answer of a verdict by its path, without the sentences."""
    if not isinstance(value, Mapping | list):
        return {path: value}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    kept = [(key, item) for key, item in items if key not in WORDS]
    return {name: leaf for key, item in kept for name, leaf in figures_of(item, f"{path}/{key}").items()}
