"""A real MLflow server for drills."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recording import until


class Server:
    """A real MLflow server on a port and a database of its own, which can be killed and started again.

    Args:
        folder: of its database, log and files.
        files: options that say where files go; a folder by default.
        database: its address; a file by default.
        options: further ones.
        environment: further variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        files: Sequence[str] = (),
        database: str = "",
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = int(listener.getsockname()[1])
        self._folder = folder
        self._options = [*(files or ("--artifacts-destination", str(folder / "files"))), *options]
        self._options += ["--backend-store-uri", database or f"sqlite:///{folder}/server.db"]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1", *self._options]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = os.environ | quiet | self._environment
        command = [sys.executable, "-m", "mlflow", "server", *options]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        assert until(self._answers, 90), (self._folder / "server.log").read_text()[-2000:]

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        import requests

        try:
            return bool(requests.get(f"{self.uri}/health", timeout=2).ok)
        except requests.exceptions.RequestException:
            return False


@contextmanager
def server(folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a server for as long as the context lasts; see `Server` for its settings."""
    running = Server(folder, **settings)
    try:
        running.start()
        yield running
    finally:
        running.kill()
