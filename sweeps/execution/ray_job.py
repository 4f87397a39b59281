"""Inside a job of `ray job submit`: which folders are deleted with Ray's session, and what the job sends by itself."""

import json
import os
from pathlib import Path
from typing import Any

from sweeps.errors import StorageError
from sweeps.paths import ROOT

JOB_SETTINGS = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Variable in which Ray hands the job's own runtime environment to its driver."""

PACKAGE = "_ray_pkg_"
"""Start of the name of a folder into which Ray unpacks what a job sends."""


def is_package(folder: Path) -> bool:
    """Return whether a folder is within one that Ray unpacked for a job, and deletes with its session."""
    return any(part.startswith(PACKAGE) for part in folder.absolute().parts)


def check_stays(storage: Path) -> None:
    """Refuse a storage folder that Ray deletes with its session.

    Raises:
        StorageError: saying what to give instead.
    """
    if is_package(storage):
        raise StorageError(
            f"--storage is {storage}, in the folder of a Ray job, which is deleted with Ray's session: give "
            "--storage FOLDER, a folder that all nodes see and that stays"
        )


def sends_code() -> bool:
    """Return whether the job that this runs in sends the project's code to the nodes itself."""
    return is_package(ROOT) or "py_modules" in job_environment()


def job_environment() -> dict[str, Any]:
    """Return the runtime environment of the job that this runs in; empty outside a job."""
    try:
        content = json.loads(os.environ.get(JOB_SETTINGS, "{}")).get("runtime_env") or {}
    except (ValueError, AttributeError):
        return {}
    return content if isinstance(content, dict) else {}
