"""Experiment and plan <-> sweep.json, which is written before Ray starts."""

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.result import OBJECTIVE
from sweeps.errors import StorageError
from sweeps.planning.axes import record_axis, recorded_axis
from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.sampling import recorded_sampling
from sweeps.schedulers.rungs import Schedule
from sweeps.statistics.rounds import Rounds
from sweeps.storage.sweep_json import Manifest, TrialRecord
from sweeps.version import code_version

PACKAGES = ("ray", "torch", "torchvision", "torchmetrics", "mlflow", "optuna", "numpy", "pillow")


def build_manifest(
    sweep_id: str, experiment: Experiment, plan: Plan, data: Mapping[str, Any], facts: Mapping[str, Any]
) -> Manifest:
    """Return the content of sweep.json.

    Args:
        sweep_id: of the sweep.
        experiment: the space under its profile.
        plan: its trials.
        data: facts about the dataset.
        facts: device, commands and time of the start.
    """
    reference = next((trial.trial_id for trial in plan.trials if trial.is_reference), "")
    return Manifest(
        sweep_id=sweep_id,
        space=experiment.name,
        question=experiment.question,
        profile=experiment.profile,
        seed=experiment.base.train.seed,
        metric=OBJECTIVE,
        scheduler={
            "name": experiment.schedule.name,
            "grace": plan.rungs[0] if plan.rungs else plan.epochs,
            "reduction": experiment.schedule.reduction,
            "max_epochs": plan.epochs,
            "rungs": list(plan.rungs),
        },
        axes={key: record_axis(axis) for key, axis in experiment.axes},
        search=experiment.sampling.to_dict() | ({"samples": plan.samples} if plan.samples else {}),
        base=experiment.base.to_dict(),
        grace_share=experiment.schedule.grace,
        grid_points=plan.grid_points,
        replicates=plan.replicates,
        reference=reference,
        trials=tuple(map(record_trial, plan.trials)),
        data=dict(data),
        versions=versions(),
        code_version=code_version(),
        **facts,
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    package_versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            package_versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return package_versions


def record_trial(trial: PlannedTrial) -> TrialRecord:
    """Return a trial as the manifest records it."""
    return TrialRecord(
        trial_id=trial.trial_id,
        name=trial.name,
        digest=trial.trial_id,
        settings=trial.settings,
        point=dict(trial.point),
        reference=trial.is_reference,
        tags=dict(trial.tags) or None,
    )


def recorded_experiment(manifest: Manifest) -> Experiment:
    """Return the experiment of a sweep as it was recorded.

    Raises:
        StorageError: when this version of the project has other settings.
    """
    try:
        base = TrainConfig.from_record(manifest.base)
    except ConfigError as error:
        raise _other_version(manifest, str(error)) from error
    axes = tuple((key, recorded_axis(axis)) for key, axis in manifest.axes.items())
    if unknown := [key for key, _ in axes if key not in base.flat()]:
        raise _other_version(manifest, f"it varies {unknown[0]!r}, which is not a setting")
    schedule = Schedule(manifest.scheduler["name"], manifest.grace_share, manifest.scheduler["reduction"])
    points = {trial.trial_id: trial.point for trial in manifest.trials}
    return Experiment(
        name=manifest.space,
        question=manifest.question,
        profile=manifest.profile,
        base=base,
        axes=axes,
        reference=points.get(manifest.reference, {}),
        schedule=schedule,
        sampling=recorded_sampling(manifest.search or {}),
        task=manifest.task,
    )


def recorded_plan(manifest: Manifest) -> Plan:
    """Return the plan of a sweep as it was recorded, in its order.

    Raises:
        StorageError: when this version would train a trial differently, so its scores would not be comparable.
    """
    schedule = manifest.scheduler
    return Plan(
        trials=tuple(_trial(trial, manifest) for trial in manifest.trials),
        rungs=tuple(schedule["rungs"]),
        epochs=schedule["max_epochs"],
        grid_points=manifest.grid_points,
        reduction=schedule["reduction"],
        samples=recorded_sampling(manifest.search or {}).samples if manifest.is_open else 0,
        replicates=manifest.replicates,
        rounds=Rounds.recorded(manifest.confirmation),
        task=manifest.task,
    )


def _trial(recorded: TrialRecord, manifest: Manifest) -> PlannedTrial:
    try:
        config = TrainConfig.from_record(recorded.settings)
    except ConfigError as error:
        raise _other_version(manifest, str(error)) from error
    if config.digest() != recorded.digest:
        raise _other_version(manifest, f"trial {recorded.digest} would be {config.digest()} today")
    tags = recorded.tags or {}
    return PlannedTrial(recorded.trial_id, recorded.name, config, recorded.point, recorded.reference, tags)


def _other_version(manifest: Manifest, why: str) -> StorageError:
    return StorageError(
        f"sweep {manifest.sweep_id} was started by another version ({manifest.code_version}) and cannot be resumed: "
        f"{why}"
    )
