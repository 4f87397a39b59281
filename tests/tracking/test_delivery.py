"""Outbox -> MLflow on real sqlite stores."""

import json
import logging
import math
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recording import REFUSED, SWEEP, artifact, delivered, end, epoch, history, rejects, runs, start, until

from sweeps.storage.attempts import take_number
from sweeps.storage.events import Event
from sweeps.storage.outbox import Outbox
from sweeps.storage.trial_history import read_histories
from sweeps.tracking.client import open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.reader import Store
from sweeps.tracking.sweep_runs import save_ids
from sweeps.tracking.writer import PATIENCE

# ------------------------------------------------------------------------------------------------------------- events


def test_a_trial_is_a_child_run_of_the_sweep(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), start("a"), start("b"))
    recorded = runs(uri)
    parents = {trial: run.data.tags.get("mlflow.parentRunId") for trial, run in recorded.items()}
    assert parents == {"": None, "a": recorded[""].info.run_id, "b": recorded[""].info.run_id}


def test_the_parent_run_appears_with_its_start(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start("", params={"space": "smoke"}))
    parent = runs(uri)[""]
    assert (parent.info.run_name, parent.info.status, parent.data.params) == (
        "the sweep",
        "RUNNING",
        {"space": "smoke"},
    )


def test_a_run_carries_name_params_tags_and_start_time(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start("a", time_ms=1234, params={"optim.lr": 1e-4, "train.epochs": 3}))
    run = runs(uri)["a"]
    assert (run.info.run_name, run.info.start_time) == ("trial a", 1234)
    assert run.data.params == {"optim.lr": "0.0001", "train.epochs": "3"}
    assert run.data.tags.items() >= {"sweep.id": SWEEP, "sweep.trial_id": "a", "code.version": "abc"}.items()


def test_epochs_arrive_with_their_own_step_and_time(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), epoch(1, 0.25), epoch(2, 0.5))
    assert history(uri) == [(1, 1001, 0.25), (2, 1002, 0.5)]


def test_none_arrives_as_nan(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), epoch(1, None))
    assert math.isnan(history(uri)[0][2])


@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
def test_an_ended_run_has_status_end_time_reason_and_best_figures(outbox: Outbox, uri: str, status: str) -> None:
    delivered(outbox, uri, start(), epoch(1), end(status, metrics={"best/miou": 0.5}))
    run = runs(uri)["a"]
    assert (run.info.status, run.info.end_time, run.data.metrics["best/miou"]) == (status, 9000, 0.5)
    assert run.data.tags["sweep.stop_reason"] == "max_epochs"


def test_the_note_of_an_end_is_the_runs_description(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), end(trial="", note="| trial | mIoU |"))
    assert runs(uri)[""].data.tags["mlflow.note.content"] == "| trial | mIoU |"


def test_a_long_note_is_shortened_not_refused(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), end(trial="", note="x" * 20_000))
    assert len(runs(uri)[""].data.tags["mlflow.note.content"]) == 8000


def test_an_artifact_is_uploaded_into_its_folder(outbox: Outbox, uri: str, tmp_path: Path) -> None:
    (tmp_path / "evidence-val.npz").write_bytes(b"counts")
    delivered(outbox, uri, start(), artifact(tmp_path / "evidence-val.npz", folder="evidence"))
    files = open_client(uri).list_artifacts(runs(uri)["a"].info.run_id, "evidence")
    assert [item.path for item in files] == ["evidence/evidence-val.npz"]


def test_everything_new_about_a_run_goes_out_in_one_batch(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    calls: list[str] = []
    log_batch = MlflowClient.log_batch

    def count(client: MlflowClient, run_id: str, **content: Any) -> None:
        calls.append(run_id)
        log_batch(client, run_id, **content)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    delivered(outbox, uri, start("a"), *(epoch(step) for step in range(1, 30)), start("b"), end())
    assert len(calls) == len(set(calls)) == 2


# ----------------------------------------------------------------------------------------------------- again and again


def test_delivering_everything_again_changes_nothing(outbox: Outbox, uri: str) -> None:
    delivered(
        outbox, uri, start(""), start(params={"optim.lr": 1}), epoch(1, None), epoch(2), end(metrics={"best/miou": 0.5})
    )
    before = (history(uri), runs(uri)["a"].data.tags)
    (outbox.folder / "outbox.cursor").unlink()
    (outbox.folder / "runs.json").unlink()
    delivered(outbox, uri)
    assert rejects(outbox) == []
    assert str((history(uri), runs(uri)["a"].data.tags)) == str(before)


def counted(uri: str, key: str = "val/miou") -> list[tuple[int, float]]:
    store = Store(uri)
    return store.histories(store.read_sweep(SWEEP), [key])["a"][key]


def test_of_an_epoch_that_is_reported_again_the_last_report_counts(outbox: Outbox, uri: str) -> None:
    again = [start(time_ms=2000), epoch(2, 0.7, time_ms=3002), epoch(3, 0.8, time_ms=3003)]
    delivered(outbox, uri, start(""), start(), epoch(1, 0.1), epoch(2, 0.2), *again)
    assert counted(uri) == [(1, 0.1), (2, 0.7), (3, 0.8)]


def test_an_epoch_that_is_reported_again_drops_the_epochs_after_it(outbox: Outbox, uri: str) -> None:
    again = [start(time_ms=2000), epoch(2, 0.7, time_ms=3002)]
    delivered(outbox, uri, start(""), start(), epoch(1, 0.1), epoch(2, 0.2), epoch(3, 0.3), epoch(4, 0.4), *again)
    assert counted(uri) == [(1, 0.1), (2, 0.7)] == list(read_histories(outbox.events())["a"].values.items())


def test_the_last_report_counts_whichever_process_delivered_the_first(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), start(), epoch(1, 0.1))
    (outbox.folder / "runs.json").unlink()
    delivered(outbox, uri, start(time_ms=2000), epoch(1, 0.9, time_ms=3001))
    assert counted(uri) == [(1, 0.9)]


def test_the_figures_of_the_last_end_count(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), end("KILLED", metrics={"best/miou": 0.5}))
    delivered(outbox, uri, start(time_ms=9500), replace(end(metrics={"best/miou": 0.4}), time_ms=9999))
    run = runs(uri)["a"]
    assert (run.info.status, run.data.metrics["best/miou"]) == ("FINISHED", 0.4)


def test_what_was_sent_before_a_kill_and_not_committed_is_sent_again_without_doubling(
    outbox: Outbox, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self: Outbox, offset: int) -> None:
        raise Killed

    (tmp_path / "file").write_text("content")
    monkeypatch.setattr(Outbox, "commit", die)
    with pytest.raises(Killed):
        delivered(outbox, uri, start(""), start(params={"optim.lr": 1}), epoch(1), artifact(tmp_path / "file"), end())
    monkeypatch.undo()
    assert (outbox.pending(), len(history(uri))) == (5, 1)
    delivered(outbox, uri)
    run = runs(uri)["a"]
    assert (history(uri), run.info.status, rejects(outbox)) == ([(1, 1001, 0.5)], "FINISHED", [])
    assert len(open_client(uri).list_artifacts(run.info.run_id)) == 1


def test_a_retried_run_is_running_again(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), end("FAILED"))
    assert runs(uri)["a"].info.status == "FAILED"
    delivered(outbox, uri, start(time_ms=9500))
    assert runs(uri)["a"].info.status == "RUNNING"


def test_the_same_params_again_are_no_news(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(params={"optim.lr": 0.1}))
    delivered(outbox, uri, start(time_ms=2000, params={"optim.lr": 0.1}))
    assert (runs(uri)["a"].data.params, rejects(outbox)) == ({"optim.lr": "0.1"}, [])


def test_a_changed_param_becomes_a_tag(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(params={"optim.lr": 0.1}))
    delivered(outbox, uri, start(time_ms=2000, params={"optim.lr": 0.2}))
    run = runs(uri)["a"]
    assert (run.data.params["optim.lr"], run.data.tags["changed.optim.lr"]) == ("0.1", "0.2")


def test_a_run_whose_creation_was_answered_by_a_fault_is_found_again(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create_run = MlflowClient.create_run

    def lose_the_answer(*args: Any, **options: Any) -> None:
        create_run(*args, **options)
        raise ConnectionResetError("the answer was lost")

    outbox.append(start("a"))
    delivery = Delivery(outbox, uri, SWEEP)
    monkeypatch.setattr(MlflowClient, "create_run", lose_the_answer)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            delivery.deliver_some()
    monkeypatch.undo()
    delivery.deliver_some()
    assert sorted(runs(uri)) == ["", "a"]


def test_a_run_that_was_deleted_between_two_processes_is_made_anew(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start())
    open_client(uri).delete_run(runs(uri)["a"].info.run_id)
    delivered(outbox, uri, start(time_ms=2000), epoch(1))
    assert len(history(uri)) == 1


def test_a_run_that_is_deleted_while_its_events_are_delivered_is_made_anew(outbox: Outbox, uri: str) -> None:
    delivery = delivered(outbox, uri, start())
    open_client(uri).delete_run(runs(uri)["a"].info.run_id)
    outbox.append(epoch(1))
    delivery.deliver_some()
    assert (len(history(uri)), rejects(outbox)) == (1, [])


def test_notes_about_runs_of_another_store_are_not_used(outbox: Outbox, uri: str) -> None:
    (outbox.folder / "runs.json").write_text(json.dumps({"store": "sqlite:////other.db", "runs": {"a": "0" * 32}}))
    delivered(outbox, uri, start(), epoch(1))
    assert len(history(uri)) == 1


# ------------------------------------------------------------------------------------------------------------- poison


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (epoch(2, name="mIoU%"), "Names may only contain"),
        (replace(epoch(2), metrics={"val/miou": "high"}), "val/miou is 'high', but must be a number or None"),
        (replace(epoch(2), step=2**63), "step is 9223372036854775808, but must be a whole number"),
        (replace(epoch(2), time_ms=-1), "time_ms is -1, but must be a whole number"),
        (replace(epoch(2), trial="a' or 'a' = 'a"), "but must be made of letters"),
        (replace(end(), status="DONE"), "status is 'DONE', but must be one of FINISHED, KILLED, FAILED"),
        (artifact(Path("/nowhere/file.npz")), "there is no file /nowhere/file.npz"),
        (artifact(Path("/tmp")), "/tmp cannot be read (Is a directory)"),
        (epoch(2, name="x" * 300), "exceeds"),
        (
            {"kind": "lunch", "trial": "a", "time_ms": 1},
            "kind is 'lunch', but must be one of start, epoch, end, artifact",
        ),
        ({"kind": "epoch"}, "epoch event: trial is missing"),
    ],
)
def test_a_poison_event_is_put_aside_and_delivery_goes_on(
    outbox: Outbox, uri: str, event: Event | dict[str, Any], why: str
) -> None:
    delivered(outbox, uri, start(), epoch(1), event, epoch(3), end())
    assert [step for step, _, _ in history(uri)] == [1, 3]
    assert (len(rejects(outbox)), why in rejects(outbox)[0]["why"], outbox.pending()) == (1, True, 0)
    assert runs(uri)["a"].info.status == "FINISHED"


def test_a_damaged_line_is_put_aside(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    with (outbox.folder / "outbox.jsonl").open("ab") as file:
        file.write(b"\x00\x00\n")
    delivered(outbox, uri, epoch(1))
    assert (len(history(uri)), rejects(outbox)[0]["event"]["text"]) == (1, "\x00\x00")


def test_text_that_no_database_takes_is_cleaned(outbox: Outbox, uri: str) -> None:
    event = replace(start(params={"optim.lr": "a\0b"}), tags={"sweep.stop_detail": "lone \ud800 half"})
    delivered(outbox, uri, event)
    run = runs(uri)["a"]
    assert (run.data.params["optim.lr"], run.data.tags["sweep.stop_detail"]) == ("ab", "lone ? half")


def test_a_fault_is_not_put_aside_while_the_store_takes_no_writes(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("database or disk is full")

    monkeypatch.setattr(MlflowClient, "log_batch", full)
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", full)
    outbox.append(start())
    delivery = Delivery(outbox, uri, SWEEP)
    for _ in range(PATIENCE + 3):
        with pytest.raises(RuntimeError, match="is full"):
            delivery.deliver_some()
    monkeypatch.undo()
    assert (delivery.deliver_some(), rejects(outbox)) == (1, [])


def test_a_locked_database_is_waited_for(outbox: Outbox, uri: str) -> None:
    delivery = delivered(outbox, uri, start())
    outbox.append(epoch(1))
    database = uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=delivery.deliver_some)
        thread.start()
        thread.join(0.3)
        assert (thread.is_alive(), outbox.pending()) == (True, 1)
        holder.execute("ROLLBACK")
        thread.join()
    assert (len(history(uri)), rejects(outbox)) == (1, [])


def test_a_fault_that_never_ends_is_put_aside_once_the_store_answers(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("the table of metrics is damaged")

    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    outbox.append(start())
    delivery = Delivery(outbox, uri, SWEEP)
    for _ in range(PATIENCE):
        with pytest.raises(RuntimeError, match="is damaged"):
            delivery.deliver_some()
    assert delivery.deliver_some() == 1
    assert [reject["why"] for reject in rejects(outbox)] == ["the table of metrics is damaged"]


# ------------------------------------------------------------------------------------------------------------- thread


def test_the_thread_delivers_while_events_arrive(outbox: Outbox, uri: str) -> None:
    delivery = Delivery(outbox, uri, SWEEP)
    delivery.start()
    outbox.append(start())
    assert until(lambda: outbox.pending() == 0)
    outbox.append(epoch(1))
    assert (delivery.close(20), len(history(uri))) == (0, 1)


def test_no_password_is_left_in_the_outbox(outbox: Outbox) -> None:
    outbox.append(start())
    Delivery(outbox, "http://me:secret@127.0.0.1:9", SWEEP).close(0.2)
    save_ids(outbox, "http://me:secret@127.0.0.1:9", {"a": "0" * 32})
    assert not [path for path in outbox.folder.iterdir() if "secret" in path.read_text()]


def test_closing_delivers_without_a_thread_having_been_started(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    assert Delivery(outbox, uri, SWEEP).close(20) == 0


def test_closing_gives_up_at_its_deadline_and_counts_what_is_left(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    for event in (start(), epoch(1)):
        outbox.append(event)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert Delivery(outbox, REFUSED, SWEEP).close(1.5) == 2
    assert time.monotonic() - began < 4
    assert [record.message.split(" fails")[0] for record in caplog.records] == [f"MLflow at {REFUSED}"]


def test_an_outage_is_made_up_for_later(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    Delivery(outbox, REFUSED, SWEEP).close(0.2)
    delivered(outbox, uri, epoch(1))
    assert len(history(uri)) == 1


def test_mlflow_says_nothing_on_its_own(outbox: Outbox, tmp_path: Path) -> None:
    outbox.append(start())
    outbox.append(end())
    code = (
        "import sys; from pathlib import Path; from sweeps.tracking.delivery import Delivery;"
        "from sweeps.tracking.store import prepare_store;"
        "from sweeps.storage.outbox import Outbox; folder, uri = Path(sys.argv[1]), sys.argv[2];"
        "prepare_store(uri, folder / 'artifacts');"
        f"assert Delivery(Outbox(folder), uri, {SWEEP!r}).close(30) == 0"
    )
    command = [sys.executable, "-c", code, str(outbox.folder), f"sqlite:///{tmp_path}/new/mlflow.db"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent.parent, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("value", [0.2, None])
def test_an_epoch_that_is_reported_again_with_the_same_value_is_one_point(
    value: float | None, outbox: Outbox, uri: str
) -> None:
    again = [start(time_ms=2000), epoch(2, value, time_ms=3002), epoch(3, 0.3, time_ms=3003)]
    delivered(outbox, uri, start(""), start(), epoch(1, 0.1), epoch(2, value))
    delivered(outbox, uri, *again)
    assert [step for step, *_ in history(uri)] == [1, 2, 3]


def test_an_earlier_attempt_delivers_neither_events_nor_files(outbox: Outbox, uri: str, tmp_path: Path) -> None:
    outbox.attempt = take_number(outbox.folder.parent)
    delivery = Delivery(outbox, uri, SWEEP)
    outbox.append(start(""))
    outbox.append(artifact(tmp_path / "file.txt"))
    take_number(outbox.folder.parent)
    delivery.start()  # an exception in one of its threads would fail this test
    assert delivery.close(1) == 2 and outbox.uploads().offset == 0
