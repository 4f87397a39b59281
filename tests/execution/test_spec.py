"""The result of a sweep as an exit code, and the tags of its runs."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sweeps.execution.progress import TrialTable
from sweeps.execution.spec import SweepResult, run_tags
from sweeps.storage.events import Start
from sweeps.storage.sweep_json import Manifest

BOARD = cast("TrialTable", SimpleNamespace(best=lambda: "a trial"))
FINE = SweepResult("s", Path("runs/s"), BOARD, 0, 0, "python report.py", "python tune_main.py")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"undelivered": 3}, 1),
        ({"rejects": [(Start("a"), "too long")]}, 1),
        ({"undelivered": 300, "is_offline": True}, 0),
        ({"undelivered": 3, "signal_number": 15}, 143),
        ({"board": SimpleNamespace(best=lambda: None)}, 1),
    ],
)
def test_a_sweep_of_which_mlflow_lacks_something_is_not_fine(changes: dict[str, Any], code: int) -> None:
    assert replace(FINE, **changes).exit_code == code


def test_a_digest_of_the_code_is_no_commit() -> None:
    tags = run_tags(Manifest.read({"data": {"fingerprint": "f00d"}, "code_version": "files-0a1b2c3d4e5f"}))
    assert "mlflow.source.git.commit" not in tags


def test_every_run_has_the_tags_of_data_code_and_program() -> None:
    tags = run_tags(Manifest.read({"data": {"fingerprint": "f00d"}, "code_version": "79c2454e0a1b"}))
    assert (tags["data.fingerprint"], tags["code.version"]) == ("f00d", "79c2454e0a1b")
    assert tags["mlflow.source.git.commit"] == "79c2454e0a1b"
    assert tags["mlflow.source.type"] == "LOCAL"
