"""The command line -> the order for a sweep: data read, plan made, device known, price told."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.errors import DataError, UserError
from sweeps.cli.parsing import AUTO
from sweeps.notes import notes
from sweeps.paths import ROOT, command

if TYPE_CHECKING:
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.confirmation import Confirmation
    from sweeps.planning.dataset import Dataset, Source
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.machine import Machine
    from sweeps.planning.plan import Plan

CHECKPOINT_SECONDS = 30
HOUR_SECONDS = 3600

PLACES = ("--data", "--storage", "--tracking-uri")
"""Options that say where something lies."""


def find_source(arguments: argparse.Namespace) -> "Source | None":
    """Return what to train on; None, said in words, for a dry run without data.

    Raises:
        DataError: when there is none, or no such folder.
    """
    from bddseg.data.bdd100k import check_root
    from sweeps.planning.dataset import choose_source
    from sweeps.planning.experiments_file import read_book

    if arguments.data is not None:
        check_root(arguments.data)
    try:
        return choose_source(read_book().profile_sections(), arguments.profile, arguments.data)
    except DataError as error:
        if not arguments.dry_run:
            raise
        notes.info(str(error))
        return None


def make_plan(arguments: argparse.Namespace, experiment: "Experiment") -> "Plan":
    """Return the plan for the device that will train."""
    from bddseg.device import resolve_precision
    from sweeps.planning.plan import build_plan

    precision = resolve_precision("auto", local_machine(arguments).device)
    return build_plan(experiment, precision=precision, limit=arguments.limit)


def local_machine(arguments: argparse.Namespace, terms: "dict[str, Any] | None" = None) -> "Machine":
    """Return this machine for trials as the command line asks for them, or else as a sweep's own terms do."""
    from sweeps.planning.machine import find_machine

    recorded = (terms or {}).get("resources", {})
    cpus = arguments.cpus_per_trial or int(recorded.get("CPU", 1))
    gpus = None if arguments.gpus_per_trial == AUTO else arguments.gpus_per_trial
    is_cluster = address_of(arguments, terms) is not None
    return find_machine(cpus, recorded.get("GPU") if arguments.gpus_per_trial is None else gpus, is_cluster=is_cluster)


def address_of(arguments: argparse.Namespace, terms: "dict[str, Any] | None" = None) -> str | None:
    """Return the Ray to join, by the command line, the environment, or a sweep's own terms; None: one of our own."""
    address = arguments.address or os.environ.get("RAY_ADDRESS") or (terms or {}).get("address")
    return None if address == "local" else address


@dataclass(frozen=True)
class Destination:
    """Where a sweep is kept, recorded and run; all of it was reached a moment ago."""

    storage: Path
    tracking_uri: str
    address: str | None
    """Of the Ray to join; None for one of our own."""
    is_offline: bool


def find_destination(
    arguments: argparse.Namespace, folder: Path | None = None, manifest: "dict[str, Any] | None" = None
) -> Destination:
    """Return where a sweep goes, by the command line, the environment, or a recorded sweep's folder and manifest.

    Whatever can be refused without reading data is refused here: reading them takes minutes.

    Raises:
        UserError: when the storage cannot be written, or no tracking server or no Ray answers.
    """
    from sweeps.execution.ray_variables import set_ray_variables
    from sweeps.storage.folder import check_storage
    from sweeps.tracking.probe import check_database
    from sweeps.tracking.store import check_experiment
    from sweeps.tracking.sync import recorded_at
    from sweeps.tracking.uri import check_server, resolve_tracking_uri

    terms = manifest["terms"] if manifest else {}
    storage, is_offline = check_storage(arguments.storage), arguments.offline or terms.get("is_offline", False)
    if folder is None:
        tracking_uri = resolve_tracking_uri(arguments.tracking_uri, storage)
    else:
        tracking_uri = recorded_at(folder, arguments.tracking_uri, is_offline=is_offline)
    if not is_offline:
        check_server(tracking_uri)
        check_database(tracking_uri)
        check_experiment(tracking_uri)
    address = address_of(arguments, terms)
    if sentence := set_ray_variables(is_joining=address is not None):  # before Ray is imported
        notes.info(sentence)
    if address:
        from sweeps.execution.cluster import check_address  # imports Ray

        check_address(address)
    return Destination(storage, tracking_uri, address, is_offline)


def prepare(
    arguments: argparse.Namespace,
    experiment: "Experiment",
    source: "Source",
    where: Destination,
    *,
    confirmation: "Confirmation | None" = None,
    manifest: dict[str, Any] | None = None,
) -> "SweepSpec":
    """Return the order for a sweep; one that is resumed has its plan, and terms that are not given, from its manifest.

    Raises:
        UserError: when something is missing, unknown or too large, before anything is written.
    """
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.dataset import check_trials
    from sweeps.planning.manifest import recorded_plan
    from sweeps.planning.plan import imagine_plan
    from sweeps.tracking.uri import hide_password

    terms = manifest["terms"] if manifest else {}
    machine = local_machine(arguments, terms)
    if manifest:
        plan = recorded_plan(manifest)
    else:
        plan = confirmation.plan if confirmation else make_plan(arguments, experiment)
    is_packed = arguments.gpus_per_trial == AUTO and machine.device.type == "cuda"
    if is_packed and plan.samples:
        raise UserError("--gpus-per-trial auto measures trials beforehand, so it does not go with --search optuna")
    imagined = imagine_plan(plan, experiment)
    try_own_parts(imagined)
    if not where.address:  # a cluster's memory is not this machine's
        machine.check_memory(imagined)
    on_bad_sample = _on_bad_sample(arguments, confirmation.terms if confirmation else terms if manifest else None)
    material = read_material(arguments, experiment, source, on_bad_sample)
    if confirmation:
        confirmation.check_data(material.frames.fingerprint, material.root)
    check_trials(material, [trial.config for trial in imagined.trials])
    for line in material.summary:
        notes.info(line)
    every, keep_weights = arguments.checkpoint_every, arguments.keep_weights
    order = SweepSpec(
        experiment=experiment,
        plan=plan,
        material=material,
        storage=where.storage,
        tracking_uri=where.tracking_uri,
        address=where.address,
        resources=machine.resources,
        gpu_shares=packed(plan, material, machine, arguments) if is_packed else terms.get("gpu_shares", {}),
        max_concurrent=arguments.max_concurrent or terms.get("max_concurrent", 0),
        device=machine.device.type,
        keep_all_weights=keep_weights == "all" if keep_weights else terms.get("keep_all_weights", False),
        checkpoint_seconds=terms.get("checkpoint_seconds", CHECKPOINT_SECONDS) if every is None else every,
        on_bad_sample=on_bad_sample,
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        is_offline=where.is_offline,
        is_fresh=arguments.fresh or terms.get("is_fresh", False),
        command=hide_password(shlex.join(["python", "tune_main.py", *absolute_words(arguments)])),
        report_command=report_command(where.tracking_uri),
        tune_command=tune_command(arguments),
        confirmation=confirmation,
    )
    if not manifest:
        tell_price(order, arguments)
    return order


def try_own_parts(plan: "Plan") -> None:
    """Take one step with each model and loss of the user's own; nothing, and no import of torch, where there is none.

    Raises:
        ConfigError: when one cannot be imported, built or trained.
    """
    configs = (trial.config for trial in plan.trials)
    own = {(config.model, config.loss, config.data.size): config for config in configs if config.own_names()}
    if own:
        from bddseg.plugin_check import check_own

        for config in own.values():
            check_own(config)


def _on_bad_sample(arguments: argparse.Namespace, recorded: "Mapping[str, Any] | None") -> str:
    """Return what is done with a damaged image: as it is typed, or as a recorded sweep did.

    One that did not record it skips them: other frames than it had are refused by their fingerprint.
    """
    usual = "fail" if recorded is None else recorded.get("on_bad_sample", "skip")
    return str(arguments.on_bad_sample or usual)


def read_material(
    arguments: argparse.Namespace, experiment: "Experiment", source: "Source", on_bad_sample: str
) -> "Dataset":
    """Return the frames that all trials share."""
    from sweeps.planning.dataset import cache_folder, load_dataset

    is_shown = not arguments.quiet and sys.stderr.isatty()
    return load_dataset(source, experiment.base, cache_folder(), on_bad_sample=on_bad_sample, progress=is_shown)


def absolute_words(arguments: argparse.Namespace) -> list[str]:
    """Return the words that were typed, with whole paths: the recorded command means the same in every folder."""
    whole = {name: str(getattr(arguments, name.removeprefix("--").replace("-", "_"))) for name in PLACES}
    words: list[str] = []
    for word in arguments.words:
        name, equals, _ = word.partition("=")
        if words and words[-1] in whole:
            words.append(whole[words[-1]])
        else:
            words.append(f"{name}={whole[name]}" if equals and name in whole else word)
    return words


def packed(plan: "Plan", material: "Dataset", machine: "Machine", arguments: argparse.Namespace) -> dict[str, float]:
    """Return the share of a GPU for each trial, from peaks that are measured now where they are not remembered."""
    from bddseg.device import describe, total_memory_mb
    from bddseg.memory import measure_peak_mb
    from sweeps.planning.dataset import cache_folder
    from sweeps.planning.resources import gpu_shares

    frames_mb, name = (material.frames.images.nbytes + material.frames.masks.nbytes) / 1e6, describe(machine.device)
    notes.info(f"measuring what a trial takes of {name}")
    shares = gpu_shares(
        plan,
        frames_mb,
        total_memory_mb(machine.device),
        name,
        cache_folder(),
        lambda config: measure_peak_mb(config, str(machine.device)),
    )
    most, fewest = max(shares.values()), min(shares.values())
    notes.info(f"trials on one GPU: {1 / most:.0f}" + (f" to {1 / fewest:.0f}" if fewest < most else ""))
    return shares


def tell_price(order: "SweepSpec", arguments: argparse.Namespace) -> None:
    """Warn before a run that this machine needs more than an hour for."""
    if order.address:
        return  # a cluster's speed is not this machine's
    import torch

    from sweeps.formatting import duration
    from sweeps.planning.cost import SLOWEST, estimate, plan_flops
    from sweeps.planning.plan import imagine_plan

    plan, split = imagine_plan(order.plan, order.experiment), order.material.split
    images = {"train_images": len(split.train), "val_images": len(split.val)}
    if plan_flops(plan, **images) < HOUR_SECONDS * SLOWEST:
        return  # nothing has to be timed to know that
    slots = local_machine(arguments).slots(order.max_concurrent)
    price = estimate(plan, **images, slots=slots, device=torch.device(order.device))
    if price.seconds > HOUR_SECONDS:
        notes.info(
            f"this machine would need about {duration(price.seconds)} if no trial were stopped early; smaller: "
            "--profile quick, --limit N, --set train.epochs=N, --set data.size=64, --set model.base_filters=8",
        )


def report_command(tracking_uri: str) -> str:
    """Return the report command without the sweep's id; a password in the address is not in it."""
    from sweeps.tracking.uri import default_tracking_uri, tracking_flag

    is_default = tracking_uri == default_tracking_uri(ROOT / "runs")
    return " ".join([command("report.py"), *([] if is_default else [tracking_flag(tracking_uri)])])


def tune_command(arguments: argparse.Namespace) -> str:
    """Return this command for a later --sync or --resume of the sweep; a password in the address is not in it."""
    from sweeps.tracking.uri import check_uri, tracking_flag

    storage = arguments.storage
    where = [] if storage == ROOT / "runs" else [f"--storage {shlex.quote(str(storage))}"]
    if arguments.tracking_uri is not None:
        where.append(tracking_flag(check_uri(arguments.tracking_uri)))  # absolute: it may be used in another folder
    return " ".join([command("tune_main.py"), *where])
