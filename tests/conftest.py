"""One thread, no telemetry, no display: the same everywhere."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeps.address import default_tracking_uri
from sweeps.outbox import Outbox

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
for variable in ("BDD100K_ROOT", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
    os.environ.pop(variable, None)


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
    from sweeps.mlflow_store import prepare_store

    folder = tmp_path_factory.mktemp("template")
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


@pytest.fixture
def uri(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "mlflow.db")
    return default_tracking_uri(tmp_path)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")
