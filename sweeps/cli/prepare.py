"""Options of the command line -> SweepSpec: machine, plan, destination and data, all checked before Ray starts."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.errors import UserError
from sweeps.cli.draft import Draft, address_of, trial_share
from sweeps.cli.parsing import AUTO
from sweeps.notes import notes
from sweeps.paths import REPORT, TUNE, command, default_folder, is_shipped, short_command

if TYPE_CHECKING:
    from bddseg.data.split import Split
    from sweeps.execution.cluster_survey import ClusterSurvey
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.dataset import Dataset
    from sweeps.planning.machine import Machine
    from sweeps.planning.plan import Plan
    from sweeps.storage.object_store import ObjectStoreCheckpoints
    from sweeps.storage.sweep_json import Manifest
    from sweeps.tracking.reader import Store

CHECKPOINT_SECONDS = 30
HOUR_SECONDS = 3600

PATH_OPTIONS = ("--data", "--storage", "--tracking-uri", "--experiments")


@dataclass(frozen=True)
class Destination:
    """Where a sweep is stored, tracked and run; all of it was reachable a moment ago."""

    storage: Path
    tracking_uri: str
    mlflow_experiment: str
    address: str | None
    """Of the Ray cluster to join; None to start one here."""
    is_offline: bool
    survey: "ClusterSurvey | None" = None
    """What that cluster offers."""
    checkpoints: str = ""
    """Address in an object store; "" for the storage folder."""


def find_destination(
    arguments: argparse.Namespace,
    folder: Path | None = None,
    manifest: "Manifest | None" = None,
    *,
    checkpoints: str = "",
    mlflow_experiment: str | None = None,
) -> Destination:
    """Return the destination, by the command line, the environment, or a recorded sweep's folder and manifest.

    A resumed sweep stays in its MLflow experiment, and a confirmation goes into that of its screening unless another is
    named.

    Everything that can be refused without reading data is refused here: reading them takes minutes.

    Args:
        arguments: of the command line.
        folder: of a recorded sweep that is resumed.
        manifest: the content of its sweep.json.
        checkpoints: where a screening that is confirmed has its checkpoints.
        mlflow_experiment: in which that screening is recorded.

    Raises:
        UserError: when the storage or the object store cannot be written, or no tracking server or no Ray answers.
    """
    from sweeps.execution.ray_job import check_stays
    from sweeps.execution.ray_variables import set_ray_variables
    from sweeps.storage.folder import check_storage
    from sweeps.storage.object_store import check_object_store
    from sweeps.tracking.artifact_root import ARTIFACTS
    from sweeps.tracking.client import EXPERIMENT
    from sweeps.tracking.experiment import named_experiment
    from sweeps.tracking.network_folders import describe_risk
    from sweeps.tracking.preflight import check_recording
    from sweeps.tracking.sync import recorded_at
    from sweeps.tracking.uri import database_file, resolve_tracking_uri

    terms = manifest.terms if manifest else {}
    address = address_of(arguments, terms)
    if arguments.wait_for_nodes and not address:
        raise UserError("--wait-for-nodes waits for nodes of a cluster: give its --address too")
    check_stays(arguments.storage)
    storage, is_offline = check_storage(arguments.storage), arguments.offline or terms.get("is_offline", False)
    checkpoints = arguments.checkpoints or terms.get("checkpoints", checkpoints)
    store = check_object_store(checkpoints) if checkpoints else None
    if folder is None:
        tracking_uri = resolve_tracking_uri(arguments.tracking_uri, storage)
    else:
        tracking_uri = recorded_at(folder, arguments.tracking_uri, is_offline=is_offline)
    recorded = manifest.mlflow_experiment if manifest else named_experiment(arguments.experiment) or mlflow_experiment
    experiment = recorded or EXPERIMENT
    if not is_offline:
        check_recording(tracking_uri, storage / ARTIFACTS, experiment)
        if (database := database_file(tracking_uri)) and (sentence := describe_risk(database)):
            notes.info(sentence)
    if sentence := set_ray_variables(is_joining=address is not None):  # before Ray is imported
        notes.info(sentence)
    survey = _survey(arguments, address, storage, terms, store) if address else None
    return Destination(storage, tracking_uri, experiment, address, is_offline, survey, checkpoints)


def _survey(
    arguments: argparse.Namespace,
    address: str,
    storage: Path,
    terms: Mapping[str, Any],
    store: "ObjectStoreCheckpoints | None",
) -> "ClusterSurvey":
    """Return what a cluster offers, and print it: its nodes decide the device and the precision of the plan."""
    from sweeps.execution.cluster_address import check_address  # imports Ray
    from sweeps.execution.cluster_survey import survey_cluster
    from sweeps.planning.dataset import cache_folder

    check_address(address)
    cpus, gpus = trial_share(arguments, terms)
    waits = arguments.wait_for_nodes or 0
    survey = survey_cluster(address, cache_folder(), storage, cpus=cpus, gpus=gpus, wait_seconds=waits, store=store)
    notes.info(survey.sentence)
    if arguments.gpus_per_trial == AUTO:
        notes.info("--gpus-per-trial auto measures GPUs of this machine only: on a cluster give a share, such as 0.5")
    return survey


def prepare(arguments: argparse.Namespace, draft: Draft, destination: Destination) -> "SweepSpec":
    """Return the specification of a sweep; a resumed one takes what is not given from the terms of its manifest.

    Raises:
        UserError: when something is missing, unknown or too large, before anything is written.
    """
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.dataset import check_trials
    from sweeps.tracking.uri import hide_password

    is_packed = arguments.gpus_per_trial == AUTO and draft.machine.device.type == "cuda" and not destination.address
    if is_packed and draft.plan.samples:
        raise UserError("--gpus-per-trial auto measures trials beforehand, so it does not go with --search optuna")
    draft.check(is_cluster=destination.address is not None)
    on_bad_sample = _on_bad_sample(arguments, draft)
    material = _read_dataset(arguments, draft, on_bad_sample)
    if draft.confirmation:
        draft.confirmation.check_data(material.frames.fingerprint, material.root)
    check_trials(material, [trial.config for trial in draft.imagined.trials])
    for line in material.summary:
        notes.info(line)
    terms, every, weights = draft.terms or {}, arguments.checkpoint_every, arguments.keep_weights
    spec = SweepSpec(
        experiment=draft.experiment,
        plan=draft.plan,
        material=material,
        storage=destination.storage,
        tracking_uri=destination.tracking_uri,
        mlflow_experiment=destination.mlflow_experiment,
        address=destination.address,
        wait_seconds=arguments.wait_for_nodes or 0,
        device_name=destination.survey.device_name if destination.survey else "",
        resources=draft.machine.resources,
        gpu_shares=_pack(draft, material) if is_packed else terms.get("gpu_shares", {}),
        max_failures=terms.get("max_failures", 1) if arguments.max_failures is None else arguments.max_failures,
        reopens_failed=bool(arguments.failed),
        max_concurrent=arguments.max_concurrent or terms.get("max_concurrent", 0),
        device=draft.machine.device.type,
        keep_all_weights=weights == "all" if weights else terms.get("keep_all_weights", False),
        checkpoint_seconds=terms.get("checkpoint_seconds", CHECKPOINT_SECONDS) if every is None else every,
        on_bad_sample=on_bad_sample,
        checkpoints=destination.checkpoints,
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        is_offline=destination.is_offline,
        is_fresh=arguments.fresh or terms.get("is_fresh", False),
        command=hide_password(shlex.join([*short_command(TUNE), *absolute_words(arguments)])),
        report_command=report_command(destination.tracking_uri),
        tune_command=tune_command(arguments),
        confirmation=draft.confirmation,
    )
    if draft.terms is None and not spec.address:  # a cluster's speed is not this machine's
        warn_if_slow(draft.imagined, material.split, draft.machine, spec.max_concurrent)
    return spec


def _on_bad_sample(arguments: argparse.Namespace, draft: Draft) -> str:
    """Return what to do with a damaged image: as given, or as the recorded sweep did.

    A sweep that did not record it skips them: frames that differ from its own are refused by their fingerprint.
    """
    recorded = draft.confirmation.terms if draft.confirmation else draft.terms
    default = "fail" if recorded is None else recorded.get("on_bad_sample", "skip")
    return str(arguments.on_bad_sample or default)


def _read_dataset(arguments: argparse.Namespace, draft: Draft, on_bad_sample: str) -> "Dataset":
    from sweeps.planning.dataset import cache_folder, load_dataset

    assert draft.source is not None
    return load_dataset(
        draft.source,
        draft.experiment.base,
        cache_folder(),
        on_bad_sample=on_bad_sample,
        progress=not arguments.quiet and sys.stderr.isatty(),
        catalog=draft.catalog,
    )


def absolute_words(arguments: argparse.Namespace) -> list[str]:
    """Return the words of the command line with absolute paths: the recorded command works in every folder."""
    paths = {name: str(getattr(arguments, name.removeprefix("--").replace("-", "_"))) for name in PATH_OPTIONS}
    words: list[str] = []
    for word in without_notify(arguments.words):
        name, equals, _ = word.partition("=")
        if words and words[-1] in paths:
            words.append(paths[words[-1]])
        else:
            words.append(f"{name}={paths[name]}" if equals and name in paths else word)
    if arguments.experiments and "--experiments" not in {word.partition("=")[0] for word in words}:
        words += [] if is_shipped(arguments.experiments) else ["--experiments", paths["--experiments"]]
    return words


def without_notify(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without --notify, whose value may have a token in it."""
    flag = "--notify"
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if flag not in (before, word) and not word.startswith(f"{flag}=")]


def _pack(draft: Draft, material: "Dataset") -> dict[str, float]:
    """Return the share of a GPU for each trial, from peaks of memory; those that are not known are measured now."""
    from bddseg.device import describe, total_memory_mb
    from bddseg.memory import measure_peak_mb
    from sweeps.planning.dataset import cache_folder
    from sweeps.planning.resources import gpu_shares

    device, frames = draft.machine.device, material.frames
    name = describe(device)
    notes.info(f"measuring the memory of a trial on {name}")
    shares = gpu_shares(
        draft.plan,
        (frames.images.nbytes + frames.masks.nbytes) / 1e6,
        total_memory_mb(device),
        name,
        cache_folder(),
        lambda config: measure_peak_mb(config, draft.plan.classes, str(device)),
    )
    most, fewest = max(shares.values()), min(shares.values())
    notes.info(f"trials on one GPU: {1 / most:.0f}" + (f" to {1 / fewest:.0f}" if fewest < most else ""))
    return shares


def warn_if_slow(plan: "Plan", split: "Split", machine: "Machine", max_concurrent: int) -> None:
    """Warn before a plan that this machine needs more than an hour for."""
    from sweeps.formatting import duration
    from sweeps.planning.cost import SLOWEST, estimate_seconds, plan_flops

    images = {"train_images": len(split.train), "val_images": len(split.val)}
    if plan_flops(plan, **images) < HOUR_SECONDS * SLOWEST:
        return  # even a very slow core needs less than an hour: nothing has to be timed
    seconds = estimate_seconds(plan, **images, slots=machine.slots(max_concurrent), device=machine.device)
    if seconds > HOUR_SECONDS:
        notes.info(
            f"this machine would need about {duration(seconds)} without early stopping; to make the sweep smaller: "
            "--profile quick, --limit N, --set train.epochs=N, --set data.size=64, --set model.base_filters=8"
        )


def report_command(tracking_uri: str) -> str:
    """Return the report command without the sweep's id; a password in the address is not in it."""
    from sweeps.tracking.uri import default_tracking_uri, tracking_flag

    is_default = tracking_uri == default_tracking_uri(default_folder("runs"))
    return " ".join([command(REPORT), *([] if is_default else [tracking_flag(tracking_uri)])])


def tune_command(arguments: argparse.Namespace) -> str:
    """Return this command for a later --sync or --resume of the sweep; a password in the address is not in it."""
    from sweeps.tracking.uri import check_uri, tracking_flag

    storage = arguments.storage
    flags = [] if storage == default_folder("runs") else [f"--storage {shlex.quote(str(storage))}"]
    if arguments.tracking_uri is not None:
        flags.append(tracking_flag(check_uri(arguments.tracking_uri)))  # absolute: it may be used in another folder
    return " ".join([command(TUNE), *flags])


def open_store(arguments: argparse.Namespace) -> "Store":
    """Return the MLflow store of the command line."""
    from sweeps.tracking.reader import Store

    return Store(tracking_uri_of(arguments))


def tracking_uri_of(arguments: argparse.Namespace) -> str:
    """Return the address of the MLflow store of the command line."""
    from sweeps.tracking.uri import resolve_tracking_uri

    return resolve_tracking_uri(arguments.tracking_uri, arguments.storage)
