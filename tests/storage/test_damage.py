"""Files of a sweep that are JSON, and not what they should be: one line that names file and place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording import start

import tune_main
from bddseg.data.streets.dataset import SETTINGS_FILE, write_streets
from bddseg.files import read_json
from sweeps.errors import StorageError
from sweeps.planning.experiment import load_experiment
from sweeps.planning.manifest import build_manifest
from sweeps.planning.planner import build_plan
from sweeps.planning.resources import PEAKS_FILE, read_peaks
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.schedulers.state_file import load_memory
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import PARENT
from sweeps.storage.finished_trials import find_finished
from sweeps.storage.heartbeat import read_pulse, this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import FILE, save_manifest
from sweeps.tracking.sweep_runs import load_ids
from sweeps.tracking.uri import default_tracking_uri

EXPERIMENT = load_experiment("smoke", profile="quick")
PLAN = build_plan(EXPERIMENT, precision="fp32", limit=2)
DATA = {"root": "/nowhere", "embedded": True, "fingerprint": "0123456789abcdef"}
DEEP = "[" * 100_000
SWEEP = "smoke-20261123-034501-3f2a"

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of two trials that was started."""
    path = tmp_path / SWEEP
    path.mkdir()
    save_manifest(path, build_manifest(SWEEP, EXPERIMENT, PLAN, DATA, {"terms": {}}))
    Outbox(path / "outbox").append(start(PARENT))
    return path


def damage(folder: Path, change: Change) -> None:
    content = json.loads((folder / FILE).read_text())
    changed = change(content)
    (folder / FILE).write_text(json.dumps(content if changed is None else changed))


def ask(folder: Path, *options: str) -> int:
    return tune_main.main([*options, "--storage", str(folder.parent)])


DAMAGE: list[tuple[Change, str]] = [
    (lambda content: content.update(trials=[5]), "trials[0] is 5, but must be an object"),
    (lambda content: content.update(trials={}), "trials is an object, but must be a list"),
    (lambda content: content["trials"][1].pop("settings") and None, "trials[1].settings is missing"),
    (lambda content: content["trials"][0].update(name=None), "trials[0].name is null, but must be text"),
    (lambda content: content["trials"][0].update(trial_id=7), "trials[0].trial_id is 7, but must be text"),
    (lambda content: content["trials"][0].update(trial_id="../../x"), "no trial can be called '../../x'"),
    (lambda content: content.update(data=[]), "data is a list, but must be an object"),
    (lambda content: content.update(terms=None), "terms is null, but must be an object"),
    (lambda content: [content], "its content is a list, but must be an object"),
]


@pytest.mark.parametrize(("change", "complaint"), DAMAGE)
@pytest.mark.parametrize("verb", [("--status", SWEEP), ("--resume", SWEEP, "--dry-run"), ("--cancel", SWEEP, "smoke")])
def test_a_damaged_manifest_is_one_line_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...], change: Change, complaint: str
) -> None:
    damage(folder, change)
    assert ask(folder, *verb) == 2
    assert f"{folder / FILE} cannot be read: it is damaged ({complaint})" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["profile", "data", "base", "trials", "scheduler", "terms"])
def test_a_key_that_a_resume_needs_and_the_manifest_lacks_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    damage(folder, lambda content: {name: value for name, value in content.items() if name != key})
    assert ask(folder, "--resume", SWEEP) == 2
    assert capsys.readouterr().err.startswith(f"error: {folder / FILE}: {key} is missing: the file is damaged, or")


def test_a_manifest_that_is_nested_too_deeply_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / FILE).write_text(DEEP)
    assert ask(folder, "--status", SWEEP) == 2
    assert "sweep.json cannot be read: it is damaged (it is nested too deeply)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"pid": -1}, {"pid": "a"}, {"pid": 10**30}, {"time": "x"}, {"time": None}, {"host": 5}]
)
def test_a_heartbeat_with_wrong_values_is_a_dead_one(folder: Path, change: dict[str, Any]) -> None:
    write_pulse(folder, this_pulse())
    (folder / "heartbeat.json").write_text(json.dumps(read_json(folder / "heartbeat.json") | change))
    pulse = read_pulse(folder)
    assert pulse is not None and not pulse.is_alive()
    assert ask(folder, "--status", SWEEP) == 0


def test_what_only_saves_time_counts_as_missing_when_it_is_nested_too_deeply(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "outbox" / "runs.json", folder / "outbox" / "outbox.files.json", tmp_path / PEAKS_FILE):
        path.write_text(DEEP)
    events = EventFile(folder / "outbox")
    assert (load_ids(events), events.uploads().offset, read_peaks(tmp_path)) == (("", {}), 0, {})


def test_streets_whose_note_is_nested_too_deeply_are_made_again(tmp_path: Path) -> None:
    settings = {"images": 4, "width": 32, "height": 18}
    write_streets(tmp_path / "streets", **settings)
    (tmp_path / "streets" / SETTINGS_FILE).write_text(DEEP)
    write_streets(tmp_path / "streets", **settings)
    assert read_json(tmp_path / "streets" / SETTINGS_FILE)["images"] == 4


def test_a_state_of_the_scheduler_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / MEMORY).write_text(DEEP)
    with pytest.raises(StorageError, match=r"scheduler\.json cannot be read: it is nested too deeply"):
        load_memory(tmp_path / MEMORY)


@pytest.mark.parametrize(
    "event", ['{"kind":"epoch","trial":"%s"}', '{"kind":"end","trial":"%s","step":1}', '{"kind":[]}']
)
def test_an_event_that_lacks_what_its_kind_has_is_passed_over(folder: Path, event: str) -> None:
    line = event.replace("%s", PLAN.trials[0].trial_id)
    with (folder / "outbox" / "outbox.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert list(EventFile(folder / "outbox").events()) == [start(PARENT)]
    assert (ask(folder, "--status", SWEEP), ask(folder, "--resume", SWEEP, "--dry-run")) == (0, 0)


def test_a_damaged_sweep_is_named_and_the_others_are_reused(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / FILE).write_text("[]")
    assert find_finished(tmp_path) == []
    assert f"the trials of {SWEEP} are not reused: " in caplog.text


def test_the_default_store_is_meant_where_a_manifest_names_none(folder: Path) -> None:
    from sweeps.tracking.sync import recorded_at

    damage(folder, lambda content: content.update(tracking_uri=5))
    assert recorded_at(folder, None, is_offline=True) == default_tracking_uri(folder.parent)
