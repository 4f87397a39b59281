"""How a sweep ends that could not begin, or go on: its runs are closed, and one line says how to go on."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from notes_heard import listening
from recording import end, start

import tune_main
from sweeps.cli.draft import draft_resume
from sweeps.cli.prepare import Destination, find_destination, prepare
from sweeps.errors import PassError, StorageError
from sweeps.execution.finalize import end_open_trials
from sweeps.execution.runner import resume_sweep
from sweeps.execution.signals import Interrupted
from sweeps.execution.spec import SweepSpec
from sweeps.execution.sweep import SweepRun
from sweeps.planning.dataset import Source
from sweeps.planning.experiment import load_experiment
from sweeps.planning.manifest import build_manifest
from sweeps.planning.optuna_study import FILE
from sweeps.planning.planner import build_plan
from sweeps.planning.sampling import Sampling
from sweeps.storage.events import PARENT, Event
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import read_manifest, save_manifest
from sweeps.storage.sweeps import is_unfinished

EXPERIMENT = replace(load_experiment("smoke", profile="quick"), sampling=Sampling("optuna", 4))
PLAN = build_plan(EXPERIMENT, precision="fp32")


@pytest.fixture
def order(tmp_path: Path) -> SweepSpec:
    """A spec that resumes a recorded sweep, offline."""
    folder = tmp_path / "smoke-1"
    folder.mkdir()
    save_manifest(folder, build_manifest("smoke-1", EXPERIMENT, PLAN, {"fingerprint": "f"}, {"terms": {}}))
    Outbox(folder / "outbox").append(start(PARENT))
    material: Any = SimpleNamespace(frames=SimpleNamespace(fingerprint="f"))
    return SweepSpec(
        EXPERIMENT,
        PLAN,
        material,
        tmp_path,
        f"sqlite:///{tmp_path}/mlflow.db",
        {"CPU": 1.0, "GPU": 0.0},
        is_offline=True,
    )


def last_event(order: SweepSpec) -> Event:
    return list(Outbox(order.storage / "smoke-1" / "outbox").events())[-1]


def kill_this_process(note: str) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_study_that_cannot_be_read_is_one_line_with_the_command_that_goes_on(order: SweepSpec) -> None:
    journal = order.storage / "smoke-1" / FILE
    journal.mkdir()
    with pytest.raises(StorageError) as raised:
        resume_sweep(order, "smoke-1")
    again = "once this is fixed, resume with: python tune_main.py --resume smoke-1"
    assert str(raised.value) == f"{journal} cannot be read or written: Is a directory; {again}"
    assert (last_event(order).trial, last_event(order).status) == (PARENT, "FAILED")


def test_a_signal_before_ray_starts_closes_the_sweep(order: SweepSpec) -> None:
    with pytest.raises(Interrupted) as raised, listening(kill_this_process):
        resume_sweep(order, "smoke-1")
    assert raised.value.resume_command == "python tune_main.py --resume smoke-1"
    assert (last_event(order).trial, last_event(order).status) == (PARENT, "KILLED")


def test_what_was_to_go_on_from_another_sweep_is_closed_too(order: SweepSpec) -> None:
    first = PLAN.trials[0].trial_id
    Outbox(order.storage / "smoke-1" / "outbox").append(start(first))
    with pytest.raises(Interrupted), listening(kill_this_process):
        resume_sweep(order, "smoke-1")
    (event,) = [event for event in Outbox(order.storage / "smoke-1" / "outbox").events({first}) if event.kind == "end"]
    assert (event.status, event.tags["sweep.stop_reason"]) == ("KILLED", "user")


def test_a_trial_whose_driver_was_lost_is_closed_when_an_interrupt_comes_before_its_turn(order: SweepSpec) -> None:
    first, folder = PLAN.trials[0].trial_id, order.storage / "smoke-1"
    lost = replace(end("KILLED", first), tags={"sweep.stop_reason": "driver_lost"})
    Outbox(folder / "outbox").extend([start(first), lost])
    run = SweepRun(order, "smoke-1", folder, read_manifest(folder))
    run.begin_again()
    run.board.queue([first])
    end_open_trials(run)
    assert [event.kind for event in run.outbox.events({first})] == ["start", "end", "start", "end"]
    assert last_event(order).tags["sweep.stop_reason"] == "user"


def test_a_sweep_that_was_begun_offline_goes_on_offline(order: SweepSpec) -> None:
    options = ["--resume", "smoke-1", "--storage", str(order.storage), "--quiet", "--gpus-per-trial", "0"]
    arguments, manifest = tune_main.build_parser().parse(options), read_manifest(order.storage / "smoke-1")
    for is_offline in (True, False):
        noted = manifest.changed(terms={"is_offline": is_offline})
        where = find_destination(arguments, order.storage / "smoke-1", noted)
        again = prepare(arguments, draft_resume(arguments, EXPERIMENT, Source("quick", None), noted), where)
        assert again.is_offline is is_offline


@pytest.mark.parametrize(("recorded", "expected"), [({"on_bad_sample": "fail"}, "fail"), ({}, "skip")])
def test_a_resumed_sweep_does_with_bad_samples_what_it_did(
    recorded: dict[str, str], expected: str, order: SweepSpec
) -> None:
    arguments = tune_main.build_parser().parse(["--resume", "smoke-1", "--quiet", "--gpus-per-trial", "0"])
    manifest = read_manifest(order.storage / "smoke-1").changed(terms=recorded)
    where = Destination(order.storage, order.tracking_uri, "bdd100k-unet", None, is_offline=True)
    again = prepare(arguments, draft_resume(arguments, EXPERIMENT, Source("quick", None), manifest), where)
    assert again.on_bad_sample == again.terms()["on_bad_sample"] == expected


def test_a_resume_goes_where_the_sweep_was_recorded(order: SweepSpec, tmp_path: Path) -> None:
    folder, options = order.storage / "smoke-1", ["--resume", "--storage", str(order.storage)]
    noted = read_manifest(folder).changed(tracking_uri=f"sqlite:///{tmp_path}/elsewhere/m.db")
    save_manifest(folder, noted)
    parse = tune_main.build_parser().parse
    assert find_destination(parse(options), folder, noted).tracking_uri == noted.tracking_uri
    typed = [*options, "--tracking-uri", f"sqlite:///{tmp_path}/typed.db"]
    assert find_destination(parse(typed), folder, noted).tracking_uri == f"sqlite:///{tmp_path}/typed.db"


def test_a_pass_that_failed_says_how_to_go_on(order: SweepSpec) -> None:
    def fail(sentence: str) -> None:
        raise PassError("no further trial could be suggested")

    message = r"suggested; once this is fixed, resume with: .* --resume smoke-1$"
    with pytest.raises(PassError, match=message), listening(fail):
        resume_sweep(order, "smoke-1")
    assert is_unfinished(order.storage / "smoke-1")
