"""Drill: the commands that deploy/compose.yaml and deploy/kubernetes/mlflow.yaml give MLflow start a server that works.

The S3 store is a real server (moto); the database is SQLite here, where the files name PostgreSQL.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
import yaml
from recording import until

pytestmark = pytest.mark.drill

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answer(address: str, host: str = "") -> int:
    """Return the status that a server answers with; 0 if it does not."""
    try:
        return requests.get(address, headers={"Host": host} if host else {}, timeout=5).status_code
    except requests.exceptions.RequestException:
        return 0


@contextmanager
def process(folder: Path, command: Sequence[str], **environment: str) -> Iterator[None]:
    """Run a command for as long as the context lasts."""
    variables = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | environment
    with (folder / "server.log").open("ab") as log:
        started = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def at_port(command: str, port: int) -> str:
    """Return a server's command for another port, on loopback."""
    changed = command.replace("0.0.0.0", "127.0.0.1").replace(":5000", f":{port}")
    return changed.replace("--port 5000", f"--port {port}").replace("--port=5000", f"--port={port}")


def plain(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a service that need nothing from outside."""
    return {name: str(value) for name, value in variables.items() if "$" not in str(value)}


def test_the_command_of_compose_makes_its_bucket_and_serves(tmp_path: Path) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["mlflow"]
    shell, option, script = service["command"]
    port, s3 = free_port(), free_port()
    variables = plain(service["environment"]) | {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    with (
        process(tmp_path, [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(s3)]),
        process(tmp_path, [shell, option, at_port(script, port)], **variables),
    ):
        address = f"http://127.0.0.1:{port}"
        assert until(lambda: answer(f"{address}/health") == 200, 180), (tmp_path / "server.log").read_text()
        path = f"{address}/api/2.0/mlflow-artifacts/artifacts/1/a/note.txt"
        assert requests.put(path, data=b"kept", timeout=60).ok
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        store = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3}", **keys)
        stored = store.get_object(Bucket="mlflow", Key="files/1/a/note.txt")["Body"]
        assert stored.read() == b"kept"
        assert answer(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", "evil.example") == 403


def test_the_command_of_kubernetes_answers_to_the_names_of_its_service_only(tmp_path: Path) -> None:
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "mlflow.yaml").read_text())
    (deployment,) = (entry for entry in manifests if entry["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    port = free_port()
    command = at_port(shlex.join(container["args"]), port).replace("/files", f"{tmp_path}/files")
    variables = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    with process(tmp_path, shlex.split(command), **variables):
        experiment = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert until(lambda: answer(experiment, "mlflow") == 200, 180), (tmp_path / "server.log").read_text()
        assert (answer(experiment, f"mlflow:{port}"), answer(experiment, "evil.example")) == (200, 403)
        assert {probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")} == {"/health"}
