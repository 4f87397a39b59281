"""An MLflow server for a team, as a process of its own: its options, its start and its end."""

import importlib.util
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bddseg.files import make_folder, write_file
from sweeps.errors import TrackingError
from sweeps.tracking.artifact_root import ARTIFACTS
from sweeps.tracking.preflight import try_store
from sweeps.tracking.reachability import check_answers
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import database_uri, default_tracking_uri, hide_password, runs_page

HOST = "127.0.0.1"
START_SECONDS = 180
STOP_SECONDS = 15
ADMIN, PASSWORD = "admin", "MLFLOW_ADMIN_PASSWORD"
SHORTEST_PASSWORD = 12
"""MLflow's rule."""

LARGEST_PORT = 65535
REASON = re.compile(r"(?:[\w.]*(?:Error|Exception)|ERROR|CRITICAL)\b.*: .+")
"""A line of the log that says why the server has ended."""

USERS = """[mlflow]
default_permission = EDIT
database_uri = {database}
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""
"""MLflow's configuration of users: everybody with a password may record. The password itself is in no file.

Without the cache MLflow hashes the password for every request: 0.14 s of a core, 1.8 s on a busy machine of two.
"""


@dataclass(frozen=True)
class ServerPlan:
    """What a server is started with."""

    folder: Path
    backend: str | None
    """Address of the database; None for a file in the folder."""
    files: str | None
    """Where files go; None for a folder in the folder."""
    port: int
    allowed_hosts: str | None
    has_users: bool

    @property
    def uri(self) -> str:
        """Return the address of the server."""
        return f"http://{HOST}:{self.port}"

    @property
    def database(self) -> str:
        """Return the address of the database."""
        return self.backend or default_tracking_uri(self.folder)

    def command(self) -> list[str]:
        """Return the command line of the server."""
        words = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port)]
        words += ["--artifacts-destination", self.files or str(self.folder / "files")]
        words += ["--allowed-hosts", self.allowed_hosts] if self.allowed_hosts else []
        return [*words, *(["--app-name", "basic-auth"] if self.has_users else [])]

    def environment(self) -> dict[str, str]:
        """Return its variables; the database is among them, because everybody can read a command line."""
        variables = {"MLFLOW_BACKEND_STORE_URI": self.database, "MLFLOW_DISABLE_TELEMETRY": "true"}
        variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # of language models
        if self.has_users:
            variables["MLFLOW_AUTH_CONFIG_PATH"] = str(self.folder / "users.ini")
            variables["MLFLOW_AUTH_ADMIN_PASSWORD"] = os.environ[PASSWORD]
            variables["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(16)
        return os.environ | variables

    def check(self) -> None:
        """Refuse what would keep the server from starting.

        Raises:
            TrackingError: in one line, with its cure.
        """
        if self.has_users and len(os.environ.get(PASSWORD, "")) < SHORTEST_PASSWORD:
            raise TrackingError(f"--auth needs a password: set {PASSWORD} to at least {SHORTEST_PASSWORD} characters")
        if self.has_users and importlib.util.find_spec("flask_wtf") is None:
            raise TrackingError("--auth needs the package Flask-WTF: install it with `pip install Flask-WTF`")
        if self.port > LARGEST_PORT:
            raise TrackingError(f"port {self.port} cannot be used: it must be at most {LARGEST_PORT}")
        try:
            socket.create_server((HOST, self.port)).close()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)  # Python adds the address to the words
            raise TrackingError(f"port {self.port} cannot be used ({why}): choose another --port") from error
        check_answers(self.database)


class TeamServer:
    """Runs a server for as long as its context lasts.

    Raises:
        TrackingError: when it cannot be started; with the last error of its log.
    """

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._log = plan.folder / "server.log"
        self._earlier_bytes = 0
        """Size of the log of earlier servers."""
        self._process: subprocess.Popen[bytes] | None = None
        self.runs_page = ""
        """Address of the page of all runs."""

    def __enter__(self) -> Self:
        plan = self._plan
        plan.check()
        try:
            make_folder(plan.folder)
            self._log.touch()
        except OSError as error:
            why = f"--folder {plan.folder} cannot be written: {error.strerror}; choose another folder"
            raise TrackingError(why) from error
        self._earlier_bytes = self._log.stat().st_size
        if plan.has_users:
            users = database_uri(plan.folder / "users.db")
            write_file(plan.folder / "users.ini", USERS.format(database=users, admin=ADMIN))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                plan.command(), env=plan.environment(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._await_answer()
            if plan.has_users:
                os.environ |= {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": os.environ[PASSWORD]}
            prepare_store(plan.uri, plan.folder / ARTIFACTS)
            self.runs_page = runs_page(plan.uri, try_store(plan.uri))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> int:
        """Return 0 after a signal to this process; 1 when the server has ended by itself."""
        assert self._process is not None
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return 0
        raise TrackingError(self._ended())

    def _await_answer(self) -> None:
        import requests

        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise TrackingError(self._ended())
            try:
                if requests.get(f"{self._plan.uri}/health", timeout=2).ok:
                    return
            except requests.exceptions.RequestException:
                time.sleep(0.2)
        raise TrackingError(f"the server does not answer after {START_SECONDS} s: see {self._log}")

    def _ended(self) -> str:
        written = self._log.read_bytes()[self._earlier_bytes :].decode(errors="replace")
        lines = written.strip().splitlines() or ["without a word"]
        reasons = [line for line in lines if REASON.match(line)] or lines
        return f"the server has ended ({hide_password(reasons[-1])}): see {self._log}"

    def _stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(STOP_SECONDS)
                return
            except subprocess.TimeoutExpired:
                continue
