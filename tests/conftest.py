"""One thread, no telemetry, no display: the same everywhere."""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from drills import Site

from sweeps.storage.outbox import Outbox
from sweeps.tracking.uri import default_tracking_uri

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
for variable in ("BDD100K_ROOT", "BDDSEG_EXPERIMENTS", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
    os.environ.pop(variable, None)


def pytest_sessionfinish() -> None:
    """Remove the drills' cache."""
    if drills := sys.modules.get("drills"):
        shutil.rmtree(drills.CACHE, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of the fault drills, when there were any."""
    drills = sys.modules.get("drills")
    if drills and drills.FAULTS:
        terminalreporter.section("faults survived")
        for line in drills.table():
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def usual_signals() -> None:
    """Handle SIGINT and SIGTERM as usual: a command that ended in this process left them ignored, for children too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real driving frames in the BDD100K layout, where the machine has some."""
    folder = os.environ.get("BDDSEG_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BDDSEG_REAL_DATA names no folder with real frames")
    return Path(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database, made once: that takes seconds."""
    from sweeps.tracking.store import prepare_store

    folder = tmp_path_factory.mktemp("template")
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


@pytest.fixture
def place(tmp_path: Path, template: Path) -> "Iterator[Site]":
    """A storage folder with a prepared database, for drills."""
    from drills import CACHE, site

    CACHE.mkdir(exist_ok=True)
    with site(tmp_path, template) as drill_site:
        yield drill_site


@pytest.fixture
def storage(template: Path, tmp_path: Path) -> Path:
    """Return a storage folder with a prepared database."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(template, folder / "mlflow.db")
    return folder


@pytest.fixture
def uri(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "mlflow.db")
    return default_tracking_uri(tmp_path)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")
