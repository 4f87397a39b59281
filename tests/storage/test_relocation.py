"""A storage folder that was moved or copied is whole where it is now; the old place is neither needed nor touched."""

import json
import shlex
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from recording import SWEEP, artifact, delivered, end, runs, start
from storages import as_earlier_versions_wrote, make_storage, tree

import report
import tune_main
from sweeps import predict
from sweeps.errors import TrackingError
from sweeps.storage.heartbeat import this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.relocation import portable_path, present_path
from sweeps.tracking.artifact_root import COLUMNS
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.reader import Store
from sweeps.tracking.report_upload import ReportUpload
from sweeps.tracking.store import prepare_store
from sweeps.tracking.sync import sync
from sweeps.tracking.uri import default_tracking_uri, folder_of

NAME = "100% %41 a?b#c&token=x ü@:+'q'"
"""Of a folder above the storage: with everything that has a meaning in an address or in a shell."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_storage(tmp_path_factory.mktemp("original") / NAME)


@pytest.fixture(params=["today's records", "records of earlier versions"])
def moved(original: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The storage folder after `mv`: the place where it was is a file now, so that nothing can be written there."""
    before = tmp_path / "before"
    shutil.copytree(original, before / "runs")
    move_addresses(original, before / "runs")
    if request.param != "today's records":
        as_earlier_versions_wrote(before / "runs")
    after = tmp_path / f"after {original.parent.name}"
    before.rename(after)
    before.write_text("a file")
    return after / "runs"


def recorded_folders(storage: Path) -> list[Path]:
    """Return the folders that a database says that files lie in."""
    with closing(sqlite3.connect(storage / "mlflow.db")) as connection:
        rows = [row for table, column in COLUMNS for row in connection.execute(f"SELECT {column} FROM {table}")]
    folders = [folder_of(address) for (address,) in rows if address.startswith("file:")]
    return [folder for folder in folders if folder]


def move_addresses(old: Path, new: Path) -> None:
    """Let everything in a copy of a storage folder say that it was recorded there."""
    with closing(sqlite3.connect(new / "mlflow.db")) as connection, connection:
        for table, column in COLUMNS:
            statement = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            connection.execute(statement, (old.as_uri(), new.as_uri()))
        connection.execute("UPDATE tags SET value = replace(value, ?, ?)", (str(old), str(new)))
    path = new / SWEEP / "outbox" / "outbox.jsonl"
    path.write_text(path.read_text().replace(json.dumps(str(old))[1:-1], json.dumps(str(new))[1:-1]))
    (path.parent / "outbox.cursor").write_text(str(path.stat().st_size))
    (path.parent / "outbox.files.json").write_text(json.dumps({"offset": path.stat().st_size, "waiting": []}))


def call_report(storage: Path, out: Path, *options: str) -> int:
    return report.main([SWEEP, "--tracking-uri", default_tracking_uri(storage), "--out", str(out), *options])


def test_every_command_works_after_a_move(moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--status", SWEEP, "--storage", str(moved)]) == 0
    assert f"{moved / SWEEP / 'logs' / 'a.log'}" in capsys.readouterr().out
    assert tune_main.main(["--sync", SWEEP, "--storage", str(moved)]) == 0
    assert capsys.readouterr().out == f"{SWEEP}: 0 events delivered\n"
    assert call_report(moved, tmp_path / "out", "--register", "--model-name", "streets") == 0
    printed = capsys.readouterr()
    assert "no validation evidence" not in printed.out and "already registered" in printed.err
    image = Path(__file__).parent.parent.parent / "docs" / "augment.jpg"
    options = ["streets@champion", str(image), "--tracking-uri", default_tracking_uri(moved)]
    code = predict.main([*options, "--out", str(tmp_path / "painted")])
    assert (code, (tmp_path / "before").read_text()) == (0, "a file")


def test_what_is_recorded_after_a_move_is_recorded_there(moved: Path) -> None:
    outbox, uri = Outbox(moved / SWEEP / "outbox"), default_tracking_uri(moved)
    file = moved / SWEEP / "late.txt"
    file.write_text("late")
    for event in (start("b"), artifact(file, "b"), end(trial="b")):
        outbox.append(event)
    assert (sync(moved / SWEEP, None).delivered, sorted(runs(uri))) == (3, ["", "a", "b"])
    root = folder_of(runs(uri)["b"].info.artifact_uri)
    assert root and root.is_relative_to(moved) and (root / "late.txt").read_text() == "late"


def test_mlflows_own_pages_find_the_files_after_a_move(moved: Path) -> None:
    uri = default_tracking_uri(moved)
    ReportUpload(uri).write_tag(runs(uri)[""].info.run_id, "test.opened.1", "{}")
    folders = recorded_folders(moved)
    assert len(folders) == 5 and all(folder.is_dir() and moved in folder.parents for folder in folders)


def test_whoever_only_reads_leaves_a_moved_database_as_it_is(moved: Path) -> None:
    before = (moved / "mlflow.db").read_bytes()
    store = Store(default_tracking_uri(moved))
    assert all(store.read_evidence(store.read_sweep(SWEEP).trials, "val").values())
    assert (moved / "mlflow.db").read_bytes() == before


def test_a_sweep_that_runs_under_another_path_keeps_its_addresses(moved: Path) -> None:
    elsewhere = replace(this_pulse(), machine="a container")
    write_pulse(moved / SWEEP, elsewhere)
    before, uri = recorded_folders(moved), default_tracking_uri(moved)
    with pytest.raises(
        TrackingError, match=rf"sweep {SWEEP} \(.*\) records into .* under another path: wait for its end"
    ):
        ReportUpload(uri).write_tag(runs(uri)[""].info.run_id, "test.opened.1", "{}")
    assert recorded_folders(moved) == before
    assert all(Store(uri).read_evidence(Store(uri).read_sweep(SWEEP).trials, "val").values())


def test_a_second_name_of_the_same_folder_is_no_other_place(original: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(original)
    before = recorded_folders(original)
    prepare_store(default_tracking_uri(tmp_path / "link"), tmp_path / "link" / "artifacts")
    assert recorded_folders(original) == before


def test_the_command_for_a_report_is_that_of_the_new_place(moved: Path) -> None:
    command = Store(default_tracking_uri(moved)).read_sweep(SWEEP).manifest["report_command"]
    assert shlex.split(command)[-2:] == [default_tracking_uri(moved), SWEEP]


def test_a_copy_leaves_the_original_alone(original: Path, tmp_path: Path) -> None:
    before = tree(original)
    shutil.copytree(original, tmp_path / "copy")
    outbox = Outbox(tmp_path / "copy" / SWEEP / "outbox")
    outbox.append(start("b"))
    assert sync(tmp_path / "copy" / SWEEP, None).delivered == 1
    uri = default_tracking_uri(tmp_path / "copy")
    ReportUpload(uri).upload_report(runs(uri)[""].info.run_id, Path(__file__).parent.parent.parent / "docs")
    assert tree(original) == before


def test_a_folder_that_was_moved_before_any_file_was_uploaded_gets_its_files(tmp_path: Path) -> None:
    storage = tmp_path / "before"
    prepare_store(default_tracking_uri(storage), storage / "artifacts")
    first = start("")
    first = replace(first, tags={**first.tags, "sweep.folder": str(storage / SWEEP)})
    delivered(Outbox(storage / SWEEP / "outbox"), default_tracking_uri(storage), first, start("a"))
    shutil.rmtree(storage / "artifacts")
    storage.rename(tmp_path / "after")
    (tmp_path / "after" / SWEEP / "late.txt").write_text("late")
    Outbox(tmp_path / "after" / SWEEP / "outbox").append(artifact(tmp_path / "after" / SWEEP / "late.txt"))
    assert sync(tmp_path / "after" / SWEEP, None).undelivered == 0
    assert len([*(tmp_path / "after" / "artifacts").rglob("late.txt")]) == 1 and not storage.exists()


def test_a_database_elsewhere_keeps_the_addresses_of_its_files(template: Path, tmp_path: Path) -> None:
    shutil.copy(template, tmp_path / "all.db")
    (tmp_path / "artifacts").mkdir()
    uri = f"sqlite:///{tmp_path}/all.db"
    Delivery(Outbox(tmp_path / "s" / SWEEP / "outbox"), uri, SWEEP)
    prepare_store(uri, tmp_path / "s" / "artifacts")
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        (location,) = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 1").fetchone()
    assert location == (template.parent / "artifacts").as_uri()


# --------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("recorded", "leads_to"),
    [
        ("logs/a.log", "/new/sweep-1/logs/a.log"),
        ("/old/runs/sweep-1/logs/a.log", "/new/sweep-1/logs/a.log"),
        ("/elsewhere/file", "/elsewhere/file"),
    ],
)
def test_a_recorded_path_leads_into_the_folder_as_it_is_now(recorded: str, leads_to: str) -> None:
    assert present_path(recorded, Path("/new/sweep-1")) == leads_to


def test_a_path_into_the_folder_of_another_sweep_beside_it_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "sweep-2" / "outbox").mkdir(parents=True)
    assert present_path("/old/sweep-2/logs/a.log", tmp_path / "sweep-1") == f"{tmp_path}/sweep-2/logs/a.log"


def test_only_paths_in_the_folder_are_written_relative() -> None:
    folder = Path("/runs/sweep-1")
    paths = [portable_path(path, folder) for path in ("/runs/sweep-1/a/b", "/runs/sweep-12/a", "/x")]
    assert paths == ["a/b", "/runs/sweep-12/a", "/x"]
