"""Drill: a sweep as a job of a Ray with a token and the shipped environment: stopped, and submitted again as it was."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from drills import CACHE, ROOT, SMALL, Site, site, survived
from recording import until

pytestmark = pytest.mark.drill

RAY = str(Path(sys.executable).with_name("ray"))
SWEEP = (*SMALL, "--set", "data.max_images=180", "--set", "train.epochs=10", "--limit", "2", "--scheduler", "none")


def free_ports(number: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@contextmanager
def head() -> Iterator[dict[str, str]]:
    """Run a head on loopback for as long as the context lasts; give the variables with which it is reached."""
    folder = tempfile.mkdtemp(prefix="j-")  # short: sockets lie below it
    port, dashboard, agent, client = free_ports(4)
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BDDSEG_CACHE": str(CACHE),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [RAY, "start", "--head", "--block", "--temp-dir", folder, "--node-ip-address", "127.0.0.1"]
    command += ["--port", str(port), "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)]
    command += ["--dashboard-agent-listen-port", str(agent), "--ray-client-server-port", str(client)]
    command += ["--min-worker-port", "0", "--max-worker-port", "0", "--num-cpus", "2"]
    command += ["--object-store-memory", str(200 * 2**20)]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: job(variables, "list").returncode == 0, 400)
        yield variables
    finally:
        daemons = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *daemons], timeout=30)
        for daemon in alive:
            daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


def job(variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `ray job`."""
    return subprocess.run([RAY, "job", *arguments], env=variables, capture_output=True, text=True, check=False)


def submit(place: Site, variables: dict[str, str], name: str) -> None:
    """Submit the sweep and follow its output, as a user does."""
    command = [RAY, "job", "submit", "--submission-id", name, "--working-dir", str(ROOT)]
    command += ["--runtime-env", str(ROOT / "deploy" / "ray" / "runtime_env.yaml"), "--"]
    command += [
        "python",
        "tune_main.py",
        *SWEEP,
        "--sweep",
        "drill",
        "--storage",
        str(place.storage),
        "--address",
        "auto",
    ]
    with (place.storage / "driver.log").open("ab") as log:
        place.processes.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True))


def test_a_job_that_is_stopped_and_submitted_again_loses_no_trial(tmp_path: Path, template: Path) -> None:
    with site(tmp_path, template) as place, head() as variables:
        submit(place, variables, "first")
        place.await_epochs(2)
        assert job(variables, "stop", "first").returncode == 0
        assert "interrupted:" in place.said()  # it ended by itself: Ray did not kill it after 3 s
        assert "was stopped" in job(variables, "status", "first").stdout
        submit(place, variables, "second")
        assert place.processes[-1].wait(900) == 0, place.said()[-4000:]
        assert "succeeded" in job(variables, "status", "second").stdout
        survived("ray_job_stopped_and_submitted_again", place, 1)
