"""Drills: `make mlflow` with PostgreSQL and users; a sweep and its report find the server by what it prints."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases import postgresql
from drills import ROOT, SMALL, Site

pytestmark = pytest.mark.drill

PASSWORD = "a-long-secret-password"
USER = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
NEEDS_USERS = pytest.mark.skipif(importlib.util.find_spec("flask_wtf") is None, reason="Flask-WTF is not installed")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@contextmanager
def team_server(folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run the server; give what it prints until it answers."""
    command = [sys.executable, "-m", "sweeps.mlflow_server", "--folder", str(folder / "server")]
    environment = os.environ | {"MLFLOW_PORT": free_port()} | dict(variables)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            printed = ""
            for line in process.stdout:
                printed += line
                if line.startswith("Ctrl-C"):
                    break
            yield printed
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


@NEEDS_USERS
def test_a_sweep_and_a_report_find_the_server_by_the_address_that_it_prints(place: Site, tmp_path: Path) -> None:
    with postgresql() as database:
        variables = {"MLFLOW_BACKEND": f"{database}/mlflow", "MLFLOW_ADMIN_PASSWORD": PASSWORD}
        with team_server(tmp_path, variables) as printed:
            uri = re.search(r"--tracking-uri (http://\S+)", printed)
            assert uri and "/runs?workflowType=machine_learning" in printed and PASSWORD not in printed
            place.environment = USER
            assert place.run(*SMALL, "--experiment", "team", "--tracking-uri", uri[1]) == 0, place.said()
            command = [sys.executable, "report.py", "--tracking-uri", uri[1], "--out", str(tmp_path / "reports")]
            done = subprocess.run(command, cwd=ROOT, env=os.environ | USER, capture_output=True, text=True, check=False)
            assert (done.returncode, "leader" in done.stdout) == (0, True), done.stderr
        secrets = (PASSWORD, database.split(":")[2].split("@")[0])
        written = [path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
        assert not any(secret.encode() in content for content in written for secret in secrets)


def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "sweeps.mlflow_server", "--folder", str(tmp_path / "server"), "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, len(done.stderr.splitlines()), (tmp_path / "server").exists()) == (2, 1, False)
        assert f"port {port} cannot be used (Address already in use)" in done.stderr
