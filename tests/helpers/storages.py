"""A storage folder with a recorded and registered sweep, as it is after `mv`, after `cp -a`, or on a read-only disk."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from models import record_sweep, write_model
from recording import SWEEP

from sweeps.registry.registration import register
from sweeps.storage.event_file import EVENTS
from sweeps.tracking.store import prepare_store, tidy_store
from sweeps.tracking.uri import default_tracking_uri

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFEST = {"version": 1, "sweep_id": SWEEP, "axes": {}, "search": {}, "report_command": "python report.py --old"}


def make_storage(folder: Path) -> Path:
    """Record and register a sweep in a storage folder of its own; return the folder."""
    storage, uri = folder / "runs", default_tracking_uri(folder / "runs")
    prepare_store(uri, storage / "artifacts")
    sweep = storage / SWEEP
    sweep.mkdir()
    noted = {**MANIFEST, "tracking_uri": "sqlite:///mlflow.db"}
    registration = record_sweep(sweep, uri, weights=write_model(sweep / "model"), manifest=noted)
    shutil.copy(sweep / "record" / "sweep.json", sweep)
    (sweep / "logs").mkdir()
    (sweep / "logs" / "a.log").write_text("on a machine\n")
    register(registration)
    tidy_store(uri)
    return storage


def as_earlier_versions_wrote(storage: Path) -> None:
    """Write absolute paths into the records of a sweep, in place of relative ones."""
    sweep, uri = storage / SWEEP, default_tracking_uri(storage)
    events = [json.loads(line) for line in (sweep / "outbox" / EVENTS).read_text().splitlines()]
    absolute = [event | ({"path": str(sweep / event["path"])} if "path" in event else {}) for event in events]
    text = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in absolute)
    (sweep / "outbox" / EVENTS).write_text(text)
    (sweep / "outbox" / "outbox.cursor").write_text(str(len(text.encode())))
    (sweep / "outbox" / "outbox.files.json").unlink()
    for path, key in ((sweep / "outbox" / "runs.json", "store"), (sweep / "sweep.json", "tracking_uri")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: uri}))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content, but for what SQLite keeps beside a database."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def run_read_only(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python script in a process for which a folder is read-only; skip the test where that cannot be done."""
    command = [sys.executable, "-c", script, *arguments]
    if os.geteuid() != 0:
        return _without_leave(folder, command)
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    inside = ["unshare", "-m", "sh", "-c", mount, str(folder)]
    if not shutil.which("unshare") or run_command([*inside, "true"]).returncode:
        pytest.skip("a folder cannot be mounted read-only here")
    return run_command([*inside, *command])


def _without_leave(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    paths = [folder, *folder.rglob("*")]
    try:
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        return run_command(command)
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
