"""The file in which Prometheus finds the metrics of this user's Rays: `prometheus.json` in the user's folder of Rays.

It has the format of Prometheus' file_sd_configs. Its path never changes, while every Ray has ports of its own.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from bddseg.file_locks import locked
from bddseg.files import write_file
from sweeps.execution.ray_session import user_folder

FILE = "prometheus.json"
OWNER = "__pid"
"""Label with the process that started a Ray. Prometheus drops labels with two underscores before it stores metrics."""


def discovery_file(cache: Path) -> Path:
    """Return the path of the file."""
    return user_folder(cache) / FILE


@contextlib.contextmanager
def announced(cache: Path, target: str) -> Iterator[None]:
    """Keep the metrics at `target` (host:port) in the file for the duration of the context."""
    own = {"targets": [target], "labels": {OWNER: str(os.getpid())}}
    _rewrite(cache, own, is_up=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the next Ray drops what a full disk leaves here
            _rewrite(cache, own, is_up=False)


def _rewrite(cache: Path, own: dict[str, Any], *, is_up: bool) -> None:
    """Write the file without Rays whose process has ended, and with or without our own."""
    path = discovery_file(cache)
    with locked(path.with_name("lock")):
        others = [entry for entry in _read(path) if entry != own and _is_alive(entry)]
        content = [*others, own] if is_up else others
        write_file(path, json.dumps(content, indent=1).encode())


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the entries of the file; none where it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _is_alive(entry: dict[str, Any]) -> bool:
    owner = (entry.get("labels") or {}).get(OWNER, "")
    return str(owner).isdigit() and psutil.pid_exists(int(owner))
