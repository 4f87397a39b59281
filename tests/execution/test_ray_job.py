"""Inside a Ray job: folders that are deleted with Ray's session are no storage; code that the job sends is enough."""

import json
from pathlib import Path

import pytest

from sweeps.errors import StorageError
from sweeps.execution.ray_job import JOB_SETTINGS, check_stays, is_package, sends_code

UNPACKED = Path("/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_0a1b/runs")


def test_a_storage_in_the_folder_of_a_job_is_refused() -> None:
    with pytest.raises(StorageError, match=r"_ray_pkg_0a1b/runs, in the folder of a Ray job, .*give --storage FOLDER"):
        check_stays(UNPACKED)


def test_a_storage_elsewhere_is_fine(tmp_path: Path) -> None:
    check_stays(tmp_path)
    assert not is_package(tmp_path)


def test_code_that_was_unpacked_for_a_job_travels_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not sends_code()
    monkeypatch.setattr("sweeps.execution.ray_job.ROOT", UNPACKED.parent)
    assert sends_code()


def test_modules_that_a_job_sends_are_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_SETTINGS, json.dumps({"runtime_env": {"py_modules": ["gcs://_ray_pkg_1.zip"]}}))
    assert sends_code()


@pytest.mark.parametrize("text", ["{", "[]", '{"runtime_env": 3}', "null"])
def test_damaged_settings_of_a_job_count_as_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_SETTINGS, text)
    assert not sends_code()
