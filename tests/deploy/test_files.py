"""Dockerfile, Compose file, launcher files and every YAML of deploy: by their own linters and schemas."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy"
BIN = Path(sys.executable).parent
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
LAUNCHERS = sorted(path.stem for path in (FOLDER / "ray").glob("*.yaml") if path.stem != "runtime_env")
YAMLLINT = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 0}}}"
)


def accepts(*command: str) -> None:
    """Check that a program ends with 0 and prints no complaint."""
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def launcher(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "ray" / f"{name}.yaml").read_text()))


def test_yamllint_accepts_every_file() -> None:
    accepts("yamllint", "--strict", "-d", YAMLLINT, "deploy")


def test_hadolint_accepts_the_dockerfile() -> None:
    accepts("hadolint", "deploy/Dockerfile")


def test_the_dockerfile_installs_what_setup_cfg_requires() -> None:
    command = re.search(r'RUN (python -c "[^"]+")', DOCKERFILE)
    assert command
    argv = [sys.executable, *shlex.split(command[1])[1:]]
    printed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = parser["options.extras_require"]
    expected = f"{parser['options']['install_requires']} {extras['postgres']} {extras['s3']}"
    assert printed.split() == expected.split()


def test_the_image_has_every_package_and_script_and_no_tests() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert {"bddseg", "sweeps", "tune_main.py", "report.py", "experiments.yaml", "datasets.yaml"}.isdisjoint(ignored)
    assert {".git", ".venv", "runs", "tests"} <= set(ignored)


def test_the_image_is_pinned_and_runs_without_privileges() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000"]


def test_the_compose_file_follows_its_schema() -> None:
    accepts("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def test_compose_listens_on_loopback_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_pins_every_image_and_mounts_files_that_exist() -> None:
    services = COMPOSE["services"].values()
    assert [service["image"] for service in services if not re.search(r":v?\d+\.\d+", service["image"])] == []
    mounts = [mount.split(":")[0] for service in services for mount in service.get("volumes", [])]
    assert [path for path in mounts if path.startswith(".") and not (FOLDER / path).exists()] == []


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_launcher_file_follows_the_schema_of_ray(name: str) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    errors = list(Draft202012Validator(schema).iter_errors(launcher(name)))
    assert errors == []


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_completes_and_accepts_a_launcher_file(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(launcher(name)))


def test_every_launcher_file_starts_ray_alike() -> None:
    assert LAUNCHERS == ["aws", "gcp", "local"]
    assert len({str(launcher(name)["worker_start_ray_commands"]) for name in LAUNCHERS}) == 1
