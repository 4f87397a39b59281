"""One thread, no telemetry, no display: the same everywhere."""

import os
from pathlib import Path

import pytest

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
