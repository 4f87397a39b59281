"""The files in deploy/monitoring, and a real Prometheus that uses them."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import requests
import yaml
from recording import until

FOLDER = Path(__file__).resolve().parent.parent.parent / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "sweep.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def needs(program: str) -> str:
    """Return the path of a program; skip the test without it."""
    if not (path := shutil.which(program)):
        pytest.skip(f"{program} is not installed (Debian's package prometheus has it)")
    return path


def queries() -> dict[str, str]:
    """Return every query of the dashboard and the alerts, by panel or alert."""
    panels = {
        f"{panel['title']} {panel['id']}{target['refId']}": str(target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }
    return panels | {rule["alert"]: str(rule["expr"]) for rule in RULES}


def metrics_of(query: str) -> set[str]:
    """Return the names of the metrics that a query reads."""
    names: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(str(node.name))
        return True

    promql_parser.walk(promql_parser.parse(query.replace("$sweep", ".+")), visit)
    return names


@dataclass
class Prometheus:
    """A running Prometheus."""

    address: str

    def ask(self, query: str) -> list[Any]:
        """Return the samples that a query has now."""
        answer = requests.get(f"{self.address}/api/v1/query", {"query": query.replace("$sweep", ".+")}, timeout=10)
        assert answer.ok, answer.text
        return list(answer.json()["data"]["result"])

    def targets(self) -> list[Any]:
        """Return the targets that are scraped."""
        answer = requests.get(f"{self.address}/api/v1/targets", timeout=10)
        return list(answer.json()["data"]["activeTargets"])

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            return bool(requests.get(f"{self.address}/-/ready", timeout=2).ok)
        except requests.exceptions.RequestException:
            return False


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with the shipped configuration, copied into a folder, on a port of loopback."""
    program = needs("prometheus")
    shutil.copytree(FOLDER, folder / "monitoring")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [program, "--config.file", str(folder / "monitoring" / "prometheus.yml")]
    command += ["--storage.tsdb.path", str(folder / "tsdb"), "--web.listen-address", address, "--log.level", "warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    running = Prometheus(f"http://{address}")
    try:
        assert until(running.is_ready, 60), (folder / "prometheus.log").read_text()
        yield running
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
