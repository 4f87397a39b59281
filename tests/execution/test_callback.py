"""Ray's hooks -> outbox events, on light stand-ins for Ray's trials."""

import logging
import math
import os
import pickle
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Checkpoint

from bddseg.config import TrainConfig
from bddseg.result import metric_directions
from bddseg.task import FIVE_CLASSES
from sweeps.errors import StorageError
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.trial_recorder import TrialRecorder
from sweeps.planning.plan import PlannedTrial
from sweeps.schedulers.scheduler import RunAll, Stop
from sweeps.storage.events import Line, TrialEvent
from sweeps.storage.object_store import open_object_store
from sweeps.storage.outbox import Outbox
from sweeps.storage.trial_history import read_histories

TRIAL_ID = "0123456789ab"
PLANNED = PlannedTrial(TRIAL_ID, "vanilla-f8 lr=1e-3", TrainConfig(), {"optim.lr": 1e-3}, is_reference=True)


@dataclass
class FakeTrial:
    """The part of Ray's trial that hooks look at."""

    checkpoint: Checkpoint | None = None
    error_file: str | None = None
    has_lost_node: bool = False
    config: dict[str, Any] = field(default_factory=lambda: {"trial": TRIAL_ID, "optim.lr": 1e-3})


@pytest.fixture
def tracker(tmp_path: Path) -> OutboxCallback:
    tags = {"code.version": "abc", "data.fingerprint": "f00d"}
    return track(tmp_path, logs=tmp_path / "logs", tags=tags)


def track(folder: Path, planned: PlannedTrial = PLANNED, **more: Any) -> OutboxCallback:
    """Return a callback that records one trial in the outbox of a folder."""
    return OutboxCallback(TrialRecorder(folder / "outbox", "sweep-1", {TRIAL_ID: planned}, **more), RunAll())


def started(tracker: OutboxCallback, trial: FakeTrial) -> None:
    tracker.on_trial_start(iteration=0, trials=[trial], trial=trial)


def reported(tracker: OutboxCallback, trial: FakeTrial, epoch: int, miou: float | None = 0.5, **more: Any) -> None:
    result = {"val/miou": miou, "epoch": epoch, "done": False, "pid": 7, **more}
    tracker.on_trial_result(iteration=0, trials=[trial], trial=trial, result=result)


def completed(tracker: OutboxCallback, trial: FakeTrial) -> None:
    tracker.on_trial_complete(iteration=0, trials=[trial], trial=trial)


def failed(tracker: OutboxCallback, trial: FakeTrial, folder: Path, *texts: str) -> None:
    lines = [f"Failure # {number} (occurred at 2026-11-23_03-45-01)\n{text}" for number, text in enumerate(texts, 1)]
    (folder / "ray-error.txt").write_text("\n".join(lines))
    trial.error_file = str(folder / "ray-error.txt")
    tracker.on_trial_error(iteration=0, trials=[trial], trial=trial)


def events(folder: Path, kind: str = "") -> list[Line]:
    recorded, _ = Outbox(folder / "outbox").read(1000)
    return [event for event in recorded if kind in ("", event.kind)]


def test_a_start_carries_identity_settings_and_source(tracker: OutboxCallback, tmp_path: Path) -> None:
    started(tracker, FakeTrial())
    (event,) = events(tmp_path)
    assert (event.kind, event.trial, event.name) == ("start", TRIAL_ID, PLANNED.name)
    assert event.params == PLANNED.settings
    expected = {
        "sweep.id": "sweep-1",
        "sweep.trial_id": TRIAL_ID,
        "sweep.config_digest": TRIAL_ID,
        "sweep.setting": PLANNED.config.setting_digest(),
        "sweep.reference": "true",
        "code.version": "abc",
        "data.fingerprint": "f00d",
    }
    assert event.tags.items() >= expected.items()


def test_an_epoch_carries_the_known_metrics_and_nothing_else(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    reported(tracker, trial, 3, 0.25, **dict.fromkeys(metric_directions(FIVE_CLASSES), 0.25), training_iteration=9)
    (event,) = events(tmp_path, "epoch")
    assert (event.step, event.metrics) == (3, dict.fromkeys(metric_directions(FIVE_CLASSES), 0.25))


def test_times_are_milliseconds_of_now(tracker: OutboxCallback, tmp_path: Path) -> None:
    started(tracker, FakeTrial())
    assert abs(events(tmp_path)[0].time_ms / 1000 - time.time()) < 60


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_none(tracker: OutboxCallback, tmp_path: Path, value: float | None) -> None:
    reported(tracker, FakeTrial(), 1, value)
    assert events(tmp_path, "epoch")[0].metrics == {"val/miou": None}


def test_a_result_without_an_epoch_is_no_event(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    tracker.on_trial_result(iteration=0, trials=[trial], trial=trial, result={"done": True})
    assert events(tmp_path) == []


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("max_epochs", "FINISHED", "all 2 epochs done"),
        ("plateau", "FINISHED", "no better val/miou since epoch 1, stopped after epoch 2"),
        ("diverged", "FAILED", "the loss was not finite in epoch 2"),
        ("oom", "FAILED", "out of memory after epoch 2"),
    ],
)
def test_a_trial_that_ends_by_itself_says_why(
    tracker: OutboxCallback, tmp_path: Path, reason: str, status: str, detail: str
) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    reported(tracker, trial, 1, 0.6)
    reported(tracker, trial, 2, 0.5, stop_reason=reason)
    completed(tracker, trial)
    end = events(tmp_path)[-1]
    recorded = end.tags["sweep.stop_reason"], end.status, end.tags["sweep.stop_detail"]
    assert recorded == (reason, status, detail)


def test_a_trial_that_the_scheduler_stopped_is_finished_with_the_schedulers_words(
    tracker: OutboxCallback, tmp_path: Path
) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    reported(tracker, trial, 3, 0.2, done=True)
    tracker.scheduler.stops[TRIAL_ID] = Stop(rung=3, value=0.2, cutoff=0.4, compared=5)
    completed(tracker, trial)
    end = events(tmp_path)[-1]
    assert (end.status, end.tags["sweep.stop_reason"]) == ("FINISHED", "asha")
    assert (
        end.tags["sweep.stop_detail"]
        == "the best val/miou up to epoch 3, 0.2000, was below the cut-off 0.4000 of 5 earlier trials"
    )


def test_a_trial_that_ended_by_itself_at_a_rung_was_not_stopped(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    reported(tracker, trial, 3, 0.2, stop_reason="max_epochs")
    tracker.scheduler.stops[TRIAL_ID] = Stop(rung=3, value=0.2, cutoff=0.4, compared=5)
    completed(tracker, trial)
    assert events(tmp_path)[-1].tags["sweep.stop_reason"] == "max_epochs"


def test_a_trial_that_was_cut_off_is_closed_when_the_sweep_ends(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    reported(tracker, trial, 4)
    tracker.on_experiment_end(trials=[trial])
    end = events(tmp_path)[-1]
    assert (end.status, end.tags["sweep.stop_reason"]) == ("KILLED", "user")
    assert end.tags["sweep.stop_detail"] == "cut off after epoch 4"


def test_a_trial_that_ended_or_never_started_is_left_alone_when_the_sweep_ends(
    tracker: OutboxCallback, tmp_path: Path
) -> None:
    trial, waiting = FakeTrial(), FakeTrial(config={"trial": "waiting"})
    started(tracker, trial)
    reported(tracker, trial, 1, stop_reason="max_epochs")
    completed(tracker, trial)
    tracker.on_experiment_end(trials=[trial, waiting])
    assert [event.kind for event in events(tmp_path)] == ["start", "epoch", "end"]


def test_an_error_is_recorded_with_its_last_line_and_log(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    failed(tracker, trial, tmp_path, "Traceback:\n  line 3\nValueError: 3 channels expected")
    end, log_file = events(tmp_path)[-1], tmp_path / "logs" / f"{TRIAL_ID}.log"
    assert (end.status, end.tags["sweep.stop_reason"]) == ("FAILED", "error")
    assert end.tags["sweep.stop_detail"] == "ValueError: 3 channels expected"
    assert (end.tags["sweep.log_file"], "line 3" in log_file.read_text()) == (str(log_file), True)


def test_the_log_of_a_failed_trial_is_kept_as_an_artifact(tracker: OutboxCallback, tmp_path: Path) -> None:
    failed(tracker, FakeTrial(), tmp_path, "ValueError: 3")
    assert [event.kind for event in events(tmp_path)] == ["start", "artifact", "end"]
    assert events(tmp_path, "artifact")[0].path == tmp_path / "logs" / f"{TRIAL_ID}.log"


def test_a_traceback_that_the_log_has_is_not_written_twice(tracker: OutboxCallback, tmp_path: Path) -> None:
    log_file = tmp_path / "logs" / f"{TRIAL_ID}.log"
    log_file.parent.mkdir()
    log_file.write_text("epoch 1\nValueError: 3\n")
    failed(tracker, FakeTrial(), tmp_path, "ValueError: 3")
    assert log_file.read_text() == "epoch 1\nValueError: 3\n"


@pytest.mark.parametrize(
    "text",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: not enough: Cannot allocate memory",
        "MemoryError",
    ],
)
def test_an_error_for_want_of_memory_is_told_apart(tracker: OutboxCallback, tmp_path: Path, text: str) -> None:
    failed(tracker, FakeTrial(), tmp_path, text)
    assert events(tmp_path, "end")[0].tags["sweep.stop_reason"] == "oom"


def test_only_the_last_failure_decides(tracker: OutboxCallback, tmp_path: Path) -> None:
    failed(tracker, FakeTrial(), tmp_path, "MemoryError", "ValueError: 3")
    tags = events(tmp_path, "end")[0].tags
    assert (tags["sweep.stop_reason"], tags["sweep.stop_detail"]) == ("error", "ValueError: 3")


def test_an_error_without_a_file_is_still_recorded(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    tracker.on_trial_error(iteration=0, trials=[trial], trial=trial)
    assert [event.kind for event in events(tmp_path)] == ["start", "end"]
    assert events(tmp_path)[-1].tags["sweep.stop_detail"] == "no traceback was left"


def test_retries_are_counted(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    started(tracker, trial)
    completed(tracker, trial)
    assert [event.tags["sweep.retries"] for event in events(tmp_path)] == ["0", "1", "1"]


def test_the_loss_of_a_node_is_no_retry_and_is_one_line(
    tracker: OutboxCallback, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    trial.has_lost_node = True
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    started(tracker, trial)
    assert [event.tags["sweep.retries"] for event in events(tmp_path)] == ["0", "0"]
    (record,) = caplog.records
    assert " continues on another node: its own was lost or cannot be reached; see " in record.getMessage()


DIED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR ..."


def test_a_retry_is_one_line_and_its_cause_is_in_the_log(
    tracker: OutboxCallback, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = FakeTrial(error_file=str(tmp_path / "ray-error.txt"))
    (tmp_path / "ray-error.txt").write_text(f"Failure # 1 (occurred at ...)\n{DIED}\n")
    with caplog.at_level(logging.WARNING):
        tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    log_file = tracker.recorder.log_file(TRIAL_ID)
    assert caplog.messages == [f"{PLANNED.name} is retried: its process was killed, or it crashed; see {log_file}"]
    assert DIED in log_file.read_text()


@pytest.mark.parametrize(("kills", "reason"), [(0, "error"), (1, "oom")])
def test_a_process_that_the_kernel_killed_ran_out_of_memory(
    tracker: OutboxCallback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, reason: str
) -> None:
    monkeypatch.setattr("sweeps.execution.trial_failures.kernel_kills", lambda: tracker._causes._kernel_kills + kills)
    failed(tracker, FakeTrial(), tmp_path, DIED)
    assert events(tmp_path)[-1].tags["sweep.stop_reason"] == reason


def test_who_listens_hears_of_retries(tmp_path: Path) -> None:
    heard: list[TrialEvent] = []
    tracker = track(tmp_path, listeners=(heard.append,))
    trial = FakeTrial()
    started(tracker, trial)
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    assert [event.kind for event in heard] == ["start", "retry"] and len(events(tmp_path)) == 1


def test_the_end_carries_the_figures_of_the_best_epoch(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    for epoch, miou in enumerate((0.2, 0.6, 0.6, 0.4), start=1):
        reported(tracker, trial, epoch, miou, **{"val/iou/car": miou / 2, "train/loss": 1.0})
    completed(tracker, trial)
    end = events(tmp_path)[-1]
    assert (end.step, end.metrics) == (4, {"best/epoch": 2, "best/miou": 0.6, "best/iou/car": 0.3})


def test_where_the_last_epoch_counts_the_end_carries_its_figures(tmp_path: Path) -> None:
    config = TrainConfig().with_overrides({"train.keep": "last"})
    planned, trial = replace(PLANNED, config=config, tags={"sweep.fold": "1"}), FakeTrial()
    tracker = track(tmp_path, planned)
    started(tracker, trial)
    for number, miou in enumerate([0.6, 0.3], 1):
        reported(tracker, trial, number, miou)
    completed(tracker, trial)
    (begun,), (ended,) = events(tmp_path, "start"), events(tmp_path, "end")
    assert begun.tags["sweep.fold"] == "1"
    assert (ended.metrics["best/miou"], ended.metrics["best/epoch"]) == (0.3, 2)


def test_a_trial_without_a_usable_epoch_has_no_best(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    reported(tracker, trial, 1, math.nan, stop_reason="diverged")
    completed(tracker, trial)
    assert events(tmp_path)[-1].metrics == {}


def test_an_epoch_that_is_trained_again_takes_back_what_came_after_it(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    for epoch, miou in ((1, 0.3), (2, 0.9), (3, 0.95), (2, 0.2), (3, 0.25)):
        reported(tracker, trial, epoch, miou)
    completed(tracker, trial)
    assert events(tmp_path)[-1].metrics == {"best/epoch": 1, "best/miou": 0.3}


def checkpoint(folder: Path, *names: str) -> Checkpoint:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return Checkpoint.from_directory(folder)


def test_evidence_is_spooled_before_the_end(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial(checkpoint(tmp_path / "last", "evidence-val.npz", "evidence-test.npz", "best.pt"))
    reported(tracker, trial, 1, stop_reason="max_epochs")
    completed(tracker, trial)
    recorded = [(event.path, event.folder) for event in events(tmp_path, "artifact")]
    spool = tmp_path / "outbox" / "spool" / TRIAL_ID
    assert recorded == [(spool / "evidence-val.npz", "evidence"), (spool / "evidence-test.npz", "evidence")]
    assert (spool / "evidence-val.npz").read_bytes() == b"evidence-val.npz"
    assert events(tmp_path)[-1].kind == "end"


def test_evidence_that_a_checkpoint_has_not_is_no_event(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial(checkpoint(tmp_path / "last", "evidence-val.npz"))
    completed(tracker, trial)
    assert len(events(tmp_path, "artifact")) == 1


def test_a_spool_that_cannot_be_written_does_not_cost_the_end(
    tracker: OutboxCallback, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = FakeTrial(checkpoint(tmp_path / "last", "evidence-val.npz"))
    started(tracker, trial)
    (tmp_path / "outbox" / "spool").write_text("in the way")
    completed(tracker, trial)
    assert [event.kind for event in events(tmp_path)] == ["start", "end"]
    assert "_spool_evidence failed; the sweep continues" in caplog.text


@pytest.mark.parametrize("hook", ["on_trial_start", "on_trial_complete", "on_trial_recover", "on_trial_error"])
def test_no_hook_raises_but_what_went_wrong_is_logged(
    tracker: OutboxCallback, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    with caplog.at_level(logging.WARNING):
        getattr(tracker, hook)(iteration=0, trials=[], trial=FakeTrial(config={}))
    assert f"{hook} failed; the sweep continues" in caplog.text
    assert "KeyError" in caplog.text


def test_a_full_disk_does_not_raise_into_ray(tracker: OutboxCallback, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Outbox, "append", no_room)
    started(tracker, FakeTrial())
    reported(tracker, FakeTrial(), 1)


def test_what_a_full_disk_did_not_take_is_written_when_there_is_room(
    tracker: OutboxCallback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Outbox, "append", no_room)
        started(tracker, FakeTrial())
        reported(tracker, FakeTrial(), 1)
        with pytest.raises(StorageError, match="2 events could not be written"):
            tracker.recorder.writer.flush(0)
    tracker.recorder.writer.flush(0)
    assert [event.kind for event in events(tmp_path)] == ["start", "epoch"]


def test_listeners_hear_every_event(tmp_path: Path) -> None:
    heard: list[TrialEvent] = []
    tracker = track(tmp_path, listeners=(heard.append,))
    started(tracker, FakeTrial())
    reported(tracker, FakeTrial(), 1)
    assert heard == events(tmp_path)


def test_a_pickled_copy_goes_on_where_the_first_one_stood(tmp_path: Path) -> None:
    unpicklable = SimpleNamespace(hear=lambda event: None).hear
    tracker = track(tmp_path, listeners=(unpicklable,))
    trial = FakeTrial()
    started(tracker, trial)
    reported(tracker, trial, 1, 0.7)
    copy = pickle.loads(pickle.dumps(tracker))
    reported(copy, trial, 2, 0.6, stop_reason="max_epochs")
    completed(copy, trial)
    assert events(tmp_path)[-1].metrics == {"best/epoch": 1, "best/miou": 0.7}


def test_a_pickled_copy_shares_the_scheduler_that_is_pickled_with_it(tracker: OutboxCallback) -> None:
    copy, scheduler = pickle.loads(pickle.dumps((tracker, tracker.scheduler)))
    assert copy.scheduler is scheduler


def test_best_epoch_and_retries_are_recalled_from_the_events(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    reported(tracker, trial, 1, 0.7)
    tracker.on_experiment_end(trials=[trial])
    completed(track(tmp_path, histories=read_histories(events(tmp_path))), trial)
    end = events(tmp_path)[-1]
    assert (end.metrics["best/miou"], end.tags["sweep.retries"]) == (0.7, "1")


def test_an_epoch_costs_the_disk_one_write_and_at_most_one_sync(
    tracker: OutboxCallback, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    write, sync, trial = os.write, os.fdatasync, FakeTrial()
    started(tracker, trial)
    monkeypatch.setattr(os, "write", lambda *words: (asked.append("write"), write(*words))[1])
    monkeypatch.setattr(os, "fdatasync", lambda handle: (asked.append("sync"), sync(handle))[1])
    for epoch in range(1, 31):
        reported(tracker, trial, epoch, epoch / 1000, **dict.fromkeys(metric_directions(FIVE_CLASSES), 0.5))
    assert asked.count("write") == 30 and asked.count("sync") <= 31  # on a slow disk fewer: they rest in between


# A trial that waits at a rung


def paused(tracker: OutboxCallback, trial: FakeTrial, epoch: int) -> None:
    """Report an epoch at whose rung the scheduler lets the trial wait."""
    tracker.scheduler.paused[TRIAL_ID] = epoch
    reported(tracker, trial, epoch)


def test_a_pause_is_no_end(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    paused(tracker, trial, 1)
    assert [event.kind for event in events(tmp_path)] == ["start", "epoch"]


def test_going_on_after_a_pause_is_no_second_start(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    paused(tracker, trial, 1)
    tracker.scheduler.paused.clear()
    started(tracker, trial)
    reported(tracker, trial, 2)
    assert [event.kind for event in events(tmp_path)] == ["start", "epoch", "epoch"]


def test_a_retry_after_a_pause_is_a_start(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    for _ in range(2):
        started(tracker, trial)
        paused(tracker, trial, 1)
        tracker.scheduler.paused.clear()
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    started(tracker, trial)  # from the pause
    tracker.on_trial_recover(iteration=0, trials=[trial], trial=trial)
    started(tracker, trial)  # from the failure
    assert [event.tags["sweep.retries"] for event in events(tmp_path, "start")] == ["0", "2"]


def test_who_listens_hears_of_pauses(tmp_path: Path) -> None:
    heard: list[TrialEvent] = []
    tracker = track(tmp_path, listeners=(heard.append,))
    trial = FakeTrial()
    started(tracker, trial)
    paused(tracker, trial, 1)
    tracker.scheduler.paused.clear()
    started(tracker, trial)
    assert [event.kind for event in heard] == ["start", "epoch", "pause", "start"]


def test_a_trial_stopped_while_it_waits_ends_once_with_the_reason(tracker: OutboxCallback, tmp_path: Path) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    paused(tracker, trial, 1)
    tracker.scheduler.stops[TRIAL_ID] = Stop(1, 0.2, 0.4, 5, "asha_promote")
    completed(tracker, trial)
    (end,) = events(tmp_path, "end")
    assert (end.status, end.tags["sweep.stop_reason"], end.step) == ("FINISHED", "asha", 1)


@pytest.mark.parametrize(("rule", "reason"), [("hyperband", "hyperband"), ("median", "median")])
def test_the_rule_that_stopped_a_trial_is_its_reason(
    rule: str, reason: str, tracker: OutboxCallback, tmp_path: Path
) -> None:
    trial = FakeTrial()
    started(tracker, trial)
    tracker.scheduler.stops[TRIAL_ID] = Stop(3, 0.2, 0.4, 5, rule)
    completed(tracker, trial)
    (end,) = events(tmp_path, "end")
    assert (end.status, end.tags["sweep.stop_reason"]) == ("FINISHED", reason)


def test_evidence_in_a_store_that_does_not_answer_costs_one_line(
    tracker: OutboxCallback, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = open_object_store("s3://bucket/x", "sweep")
    trial = FakeTrial(Checkpoint(f"{store.root}/pass-1/trial/checkpoint_000000", store.filesystem))
    tracker.on_trial_complete(0, [], trial)  # type: ignore[arg-type]
    (line,) = [record for record in caplog.records if "fetched after the pass" in record.message]
    assert line.exc_info is None and "it does not answer" in line.message
