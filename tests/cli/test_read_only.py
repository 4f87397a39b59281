"""What only looks works in a folder that is read-only, and leaves nothing in it."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from recording import SWEEP, epoch
from storages import make_storage, run_read_only, tree

from sweeps.storage.outbox import Outbox
from sweeps.tracking.snapshot import copy_database
from sweeps.tracking.uri import default_tracking_uri

LOOK = """
import sys
import report, tune_main
from sweeps import predict
storage, uri, out, image = sys.argv[1:]
where = ["--tracking-uri", uri]
codes = [
    tune_main.main(["--status", "SWEEP", "--storage", storage]),
    tune_main.main(["--status", "--storage", storage]),
    tune_main.main(["--sync", "SWEEP", "--storage", storage]),
    tune_main.main(["--sync", "--storage", storage]),
    report.main(["SWEEP", *where, "--out", out]),
    predict.main(["streets@champion", image, *where, "--out", out]),
]
print("codes", codes)
""".replace("SWEEP", SWEEP)

WRITE = """
import sys
import tune_main
storage, uri = sys.argv[1:]
print("code", tune_main.main(["--sync", "SWEEP", "--storage", storage]))
""".replace("SWEEP", SWEEP)

CROWN = """
import sys
from sweeps.errors import TrackingError
from sweeps.tracking.reader import Store
from sweeps.registry.registry import Registry, Version
try:
    Registry(Store(sys.argv[2])).promote(Version("streets", "1", {}))
except TrackingError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_storage(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def storage(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "runs"))


def run(storage: Path, script: str, *words: object) -> subprocess.CompletedProcess[str]:
    return run_read_only(storage, script, str(storage), default_tracking_uri(storage), *map(str, words))


def test_every_command_that_looks_works_in_a_read_only_folder(storage: Path, tmp_path: Path) -> None:
    before = tree(storage)
    done = run(storage, LOOK, tmp_path / "out", Path(__file__).parent.parent.parent / "docs" / "augment.jpg")
    assert "codes [0, 0, 0, 0, 0, 0]" in done.stdout, done.stderr[-2000:]
    assert f"{SWEEP}: 0 events delivered" in done.stdout and "no validation evidence" not in done.stdout
    assert "stays sealed: its opening could NOT be recorded" in done.stderr and "it is read-only" in done.stderr
    assert (tmp_path / "out" / SWEEP / "index.html").is_file()
    assert tree(storage) == before


def test_what_has_to_be_written_is_refused_in_one_line(storage: Path) -> None:
    Outbox(storage / SWEEP / "outbox").append(epoch(3))
    done = run(storage, WRITE)
    assert done.stdout == "code 2\n"
    assert done.stderr.startswith(f"error: {storage / SWEEP / 'outbox'} cannot be written (")
    assert done.stderr.count("\n") == 1


def test_nothing_is_written_into_a_copy_that_is_gone_afterwards(storage: Path) -> None:
    assert "cannot be written to (it is read-only): use a copy of its folder" in run(storage, CROWN).stdout


def test_a_copy_of_a_database_has_what_is_still_in_its_log(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        with writer:
            writer.execute("INSERT INTO t VALUES (1)")
        folder = copy_database(path)
        assert path.with_name("a.db-wal").stat().st_size > 0
    with folder, closing(sqlite3.connect(Path(folder.name) / "a.db")) as reader:
        assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
