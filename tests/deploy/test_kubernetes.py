"""The manifests of deploy/kubernetes: by the schemas of Kubernetes, by the fields of KubeRay, and by their commands."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from sweeps.cli.tune_options import build_parser

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
KUBERAY = yaml.safe_load((ROOT / "tests" / "assets" / "kuberay" / "rayjob-fields.yaml").read_text())
VERSIONS = ("1.34", "1.37")


def objects() -> list[dict[str, Any]]:
    """Return every object of the manifests."""
    return [entry for path in sorted(FOLDER.glob("*.yaml")) for entry in yaml.safe_load_all(path.read_text())]


def rayjob() -> dict[str, Any]:
    (job,) = yaml.safe_load_all((FOLDER / "rayjob.yaml").read_text())
    return dict(job)


def groups() -> list[dict[str, Any]]:
    """Return the head and the groups of workers."""
    cluster = rayjob()["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def pods() -> Iterator[dict[str, Any]]:
    """Yield a pod of each template in the RayJob, as Kubernetes gets it."""
    for group in groups():
        template = group["template"]
        yield {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "pod", **template["metadata"]}}


def templates() -> list[dict[str, Any]]:
    """Return the pod templates of all manifests."""
    others = [entry["spec"]["template"] for entry in objects() if entry["kind"] in ("Deployment", "StatefulSet")]
    return [group["template"] for group in groups()] + others


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_follows_the_schema_of_kubernetes(version: str) -> None:
    core = [entry for entry in objects() if entry["kind"] != "RayJob"]
    assert len(core) > 8
    for entry in [*core, *pods()]:
        kubernetes_validate.validate(entry, version, strict=True)


def test_the_rayjob_has_fields_of_kuberay_only() -> None:
    jsonschema.validate(rayjob(), KUBERAY, cls=jsonschema.Draft202012Validator)


def test_a_field_that_kuberay_does_not_know_is_refused() -> None:
    job = rayjob()
    job["spec"]["rayClusterSpec"]["authOptions"]["token"] = "abc"
    with pytest.raises(jsonschema.ValidationError, match="'token' was unexpected"):
        jsonschema.validate(job, KUBERAY, cls=jsonschema.Draft202012Validator)


def test_the_command_of_the_job_is_one_that_the_project_takes() -> None:
    program, script, *options = shlex.split(rayjob()["spec"]["entrypoint"])
    arguments = build_parser().parse_args(options)
    assert (program, script, arguments.sweep) == ("python", "/app/tune_main.py", rayjob()["metadata"]["name"])


def test_the_options_of_ray_start_exist() -> None:
    command = [str(Path(sys.executable).with_name("ray")), "start", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    options = [f"--{name}" for group in groups() for name in group["rayStartParams"]]
    assert options
    assert [option for option in options if option not in help_text] == []


def test_the_environment_of_the_job_is_the_one_that_ray_job_submit_gets() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "ray" / "runtime_env.yaml").read_text())
    assert yaml.safe_load(rayjob()["spec"]["runtimeEnvYAML"])["env_vars"] == shipped["env_vars"]


def test_every_volume_is_there_and_every_claim_is_made() -> None:
    claims = {entry["metadata"]["name"] for entry in objects() if entry["kind"] == "PersistentVolumeClaim"}
    for template in templates():
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        mounts = {mount["name"] for box in template["spec"]["containers"] for mount in box["volumeMounts"]}
        claimed = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if len(volume) > 1
                   and "persistentVolumeClaim" in volume}  # fmt: skip
        assert mounts - set(volumes) <= {"data"}  # made by the StatefulSet
        assert claimed <= claims


def test_every_container_has_fixed_resources_and_no_privileges() -> None:
    for box in (box for template in templates() for box in template["spec"]["containers"]):
        assert box["resources"]["requests"] == box["resources"]["limits"], box["name"]
        assert box["securityContext"]["allowPrivilegeEscalation"] is False
        assert box["image"].rpartition(":")[2] not in ("", "latest")


def test_the_ray_of_the_job_is_the_pinned_one() -> None:
    assert f"ray=={rayjob()['spec']['rayClusterSpec']['rayVersion']}" in (ROOT / "constraints.txt").read_text().split()


def test_no_manifest_holds_a_password() -> None:
    assert [entry for entry in objects() if entry["kind"] == "Secret"] == []
    variables = [
        variable
        for template in templates()
        for box in template["spec"]["containers"]
        for variable in box.get("env", [])
    ]
    secret = [variable for variable in variables if "PASSWORD" in variable["name"] or "TOKEN" in variable["name"]]
    assert secret
    assert all("secretKeyRef" in variable["valueFrom"] for variable in secret)


def test_the_policies_let_sweeps_reach_mlflow_and_mlflow_its_database() -> None:
    labels = [template["metadata"]["labels"] for template in templates()]
    policies = [entry["spec"] for entry in objects() if entry["kind"] == "NetworkPolicy"]
    selectors = [policy["podSelector"]["matchLabels"] for policy in policies]
    selectors += [
        source["podSelector"]["matchLabels"] for policy in policies for source in policy["ingress"][0]["from"]
    ]
    assert [selector for selector in selectors if not any(selector.items() <= label.items() for label in labels)] == []
