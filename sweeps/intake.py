"""The command line -> the order for a sweep: data read, plan made, device known, price told."""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.errors import DataError, UserError
from sweeps.tables import say

if TYPE_CHECKING:
    from sweeps.confirm import Confirmation
    from sweeps.experiment import Experiment
    from sweeps.machine import Machine
    from sweeps.order import Order
    from sweeps.plan import Plan
    from sweeps.source import Material, Source

ROOT = Path(__file__).resolve().parent.parent

CHECKPOINT_SECONDS = 30
HOUR_SECONDS = 3600

AUTO = "auto"
"""Of --gpus-per-trial: as many trials on a GPU as were measured to fit."""


def find_source(arguments: argparse.Namespace) -> "Source | None":
    """Return what to train on; None, said in words, for a dry run without data.

    Raises:
        DataError: when there is none, or no such folder.
    """
    from bddseg.catalog import check_root
    from sweeps.experiment import read_book
    from sweeps.source import choose_source

    if arguments.data is not None:
        check_root(arguments.data)
    try:
        return choose_source(read_book()["profiles"], arguments.profile, arguments.data)
    except DataError as error:
        if not arguments.dry_run:
            raise
        say(arguments, str(error))
        return None


def make_plan(arguments: argparse.Namespace, experiment: "Experiment") -> "Plan":
    """Return the plan for the device that will train."""
    from bddseg.device import resolve_precision
    from sweeps.plan import build_plan

    precision = resolve_precision("auto", here(arguments).device)
    return build_plan(experiment, precision=precision, limit=arguments.limit)


def here(arguments: argparse.Namespace, terms: "dict[str, Any] | None" = None) -> "Machine":
    """Return this machine for trials as the command line asks for them, or else as a sweep's own terms do."""
    from sweeps.machine import find_machine

    recorded = (terms or {}).get("resources", {})
    cpus = arguments.cpus_per_trial or int(recorded.get("CPU", 1))
    gpus = None if arguments.gpus_per_trial == AUTO else arguments.gpus_per_trial
    is_cluster = address_of(arguments, terms) is not None
    return find_machine(cpus, recorded.get("GPU") if arguments.gpus_per_trial is None else gpus, is_cluster=is_cluster)


def address_of(arguments: argparse.Namespace, terms: "dict[str, Any] | None" = None) -> str | None:
    """Return the Ray to join, by the command line, the environment, or a sweep's own terms; None: one of our own."""
    address = arguments.address or os.environ.get("RAY_ADDRESS") or (terms or {}).get("address")
    return None if address == "local" else address


def prepare(
    arguments: argparse.Namespace,
    experiment: "Experiment",
    source: "Source",
    words: list[str],
    *,
    confirmation: "Confirmation | None" = None,
    manifest: dict[str, Any] | None = None,
) -> "Order":
    """Return the order for a sweep; one that is resumed has its plan, and terms that are not given, from its manifest.

    Raises:
        UserError: when something is missing, unknown or too large, before anything is written.
    """
    from bddseg.split import split_of
    from sweeps.address import hide_password, resolve_tracking_uri
    from sweeps.folder import check_storage
    from sweeps.order import Order
    from sweeps.plan import imagine_plan
    from sweeps.resume import recorded_plan
    from sweeps.source import cache_folder, load_material

    terms = manifest["terms"] if manifest else {}
    machine, address = here(arguments, terms), address_of(arguments, terms)
    if manifest:
        plan = recorded_plan(manifest)
    else:
        plan = confirmation.plan if confirmation else make_plan(arguments, experiment)
    if not address:  # a cluster's memory is not this machine's
        machine.check_memory(imagine_plan(plan, experiment))
    storage = check_storage(arguments.storage)
    tracking_uri = resolve_tracking_uri(arguments.tracking_uri, storage)
    material = load_material(
        source,
        experiment.base,
        cache_folder(),
        on_bad_sample=arguments.on_bad_sample,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    if confirmation:
        confirmation.check_data(material.frames.fingerprint)
        split_of(plan.trials[0].config.data, material.split, material.frames.names, material.frames.scenes)
    from sweeps.variables import settle_variables

    if sentence := settle_variables(is_joining=address_of(arguments, terms) is not None):  # before Ray is imported
        say(arguments, sentence)
    for line in material.summary:
        say(arguments, line)
    every = arguments.checkpoint_every
    is_packed = arguments.gpus_per_trial == AUTO and machine.device.type == "cuda"
    if is_packed and plan.samples:
        raise UserError("--gpus-per-trial auto measures trials beforehand, so it does not go with --search optuna")
    order = Order(
        experiment=experiment,
        plan=plan,
        material=material,
        storage=storage,
        tracking_uri=tracking_uri,
        address=address,
        resources=machine.resources,
        gpu_shares=packed(plan, material, machine, arguments) if is_packed else terms.get("gpu_shares", {}),
        max_concurrent=arguments.max_concurrent or terms.get("max_concurrent", 0),
        device=machine.device.type,
        keep_all_weights=arguments.keep_weights == "all" or terms.get("keep_all_weights", False),
        checkpoint_seconds=terms.get("checkpoint_seconds", CHECKPOINT_SECONDS) if every is None else every,
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        is_offline=arguments.offline or terms.get("is_offline", False),
        is_fresh=arguments.fresh or terms.get("is_fresh", False),
        command=hide_password(shlex.join(["python", "tune_main.py", *words])),
        report_command=report_command(arguments, tracking_uri),
        tune_command=tune_command(arguments),
        confirmation=confirmation,
    )
    if not manifest:
        tell_price(order, arguments)
    return order


def packed(plan: "Plan", material: "Material", machine: "Machine", arguments: argparse.Namespace) -> dict[str, float]:
    """Return the share of a GPU for each trial, from peaks that are measured now where they are not remembered."""
    from bddseg.device import describe, total_memory_mb
    from bddseg.footprint import measure_peak_mb
    from sweeps.shares import gpu_shares
    from sweeps.source import cache_folder

    frames_mb, name = (material.frames.images.nbytes + material.frames.masks.nbytes) / 1e6, describe(machine.device)
    say(arguments, f"measuring what a trial takes of {name}")
    shares = gpu_shares(
        plan,
        frames_mb,
        total_memory_mb(machine.device),
        name,
        cache_folder(),
        lambda config: measure_peak_mb(config, str(machine.device)),
    )
    most, fewest = max(shares.values()), min(shares.values())
    say(arguments, f"trials on one GPU: {1 / most:.0f}" + (f" to {1 / fewest:.0f}" if fewest < most else ""))
    return shares


def tell_price(order: "Order", arguments: argparse.Namespace) -> None:
    """Warn before a run that this machine needs more than an hour for."""
    if order.address:
        return  # a cluster's speed is not this machine's
    import torch

    from sweeps.monitor import duration
    from sweeps.plan import imagine_plan
    from sweeps.price import SLOWEST, estimate, plan_flops

    plan, split = imagine_plan(order.plan, order.experiment), order.material.split
    images = {"train_images": len(split.train), "val_images": len(split.val)}
    if plan_flops(plan, **images) < HOUR_SECONDS * SLOWEST:
        return  # nothing has to be timed to know that
    slots = here(arguments).slots(order.max_concurrent)
    price = estimate(plan, **images, slots=slots, device=torch.device(order.device))
    if price.seconds > HOUR_SECONDS:
        say(
            arguments,
            f"this machine would need about {duration(price.seconds)} if no trial were stopped early; smaller: "
            "--profile quick, --limit N, --set train.epochs=N, --set data.size=64, --set model.base_filters=8",
        )


def report_command(arguments: argparse.Namespace, tracking_uri: str) -> str:
    """Return the report command without the sweep's id; a password in the address is not in it."""
    from sweeps.address import tracking_flag

    is_default = arguments.tracking_uri is None and arguments.storage.absolute() == ROOT / "runs"
    return " ".join(["python report.py", *([] if is_default else [tracking_flag(tracking_uri)])])


def tune_command(arguments: argparse.Namespace) -> str:
    """Return this command for a later --sync or --resume of the sweep; a password in the address is not in it."""
    from sweeps.address import tracking_flag

    storage = arguments.storage.absolute()
    where = [] if storage == ROOT / "runs" else [f"--storage {shlex.quote(str(storage))}"]
    if arguments.tracking_uri is not None:
        where.append(tracking_flag(arguments.tracking_uri))
    return " ".join(["python tune_main.py", *where])
