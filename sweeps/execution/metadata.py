"""What a sweep says of itself before anything is trained: facts for its manifest, settings and tags for its run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bddseg.device import describe, resolve_device
from sweeps.execution.callback import source_tags
from sweeps.execution.spec import SweepSpec
from sweeps.planning.axes import Axis, Range
from sweeps.storage.heartbeat import this_pulse
from sweeps.storage.tags import CODE_VERSION, CONFIRMS, DRIVER, FINGERPRINT, FOLDER, PROFILE, SPACE
from sweeps.tracking.uri import portable_uri

SHOWN = ("space", "profile", "question", "seed", "metric", "reference", "device", "precision")
"""Of the manifest, among the settings of the sweep's run."""


def facts(order: SweepSpec) -> dict[str, Any]:
    """Return where and how the sweep runs and how it is repeated; a password in an address is not in it."""
    return {
        "device": describe(resolve_device(order.device)) if not order.address else f"cluster {order.address}",
        "precision": order.plan.trials[0].config.train.precision,
        "tracking_uri": portable_uri(order.tracking_uri, order.storage),
        "command": order.command,
        "report_command": order.report_command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "terms": order.terms(),
        **({"confirmation": order.confirmation.to_dict()} if order.confirmation else {}),
    }


def params(order: SweepSpec, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the sweep's run: what is searched, how, and how far."""
    schedule = {f"scheduler.{key}": str(value) for key, value in manifest["scheduler"].items()}
    search = {f"search.{key}": str(value) for key, value in manifest["search"].items()}
    axes = {f"axis.{key}": _axis_words(axis) for key, axis in order.experiment.axes}
    trials = {"trials": len(order.plan.trials) + order.plan.to_follow}
    return {key: manifest[key] for key in SHOWN} | schedule | search | axes | trials


def run_tags(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that the sweep's run and every trial's run carry."""
    version = manifest["code_version"]
    commit = {} if version == "unknown" else {"mlflow.source.git.commit": version}
    return {FINGERPRINT: manifest["data"]["fingerprint"], CODE_VERSION: version, **commit}


def sweep_tags(order: SweepSpec, manifest: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the tags of the sweep's run."""
    data = manifest["data"]
    return {
        **source_tags(),
        **run_tags(manifest),
        **({CONFIRMS: order.confirmation.screening} if order.confirmation else {}),
        SPACE: order.experiment.name,
        PROFILE: order.experiment.profile,
        FOLDER: str(folder),
        DRIVER: this_pulse().driver,
        "data.root": data["root"],
        "data.embedded": str(data["embedded"]).lower(),
    }


def _axis_words(axis: Axis) -> str:
    return str(axis if isinstance(axis, Range) else list(axis))
