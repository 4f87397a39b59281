"""Options of the command line -> SweepSpec: machine, plan, destination and data, all checked before Ray starts."""

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
    from bddseg.data.bdd100k import Catalog
    from bddseg.data.split import Split
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.confirmation import Confirmation
    from sweeps.planning.dataset import Dataset, Source
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.machine import Machine
    from sweeps.planning.plan import Plan

CHECKPOINT_SECONDS = 30
HOUR_SECONDS = 3600

PATH_OPTIONS = ("--data", "--storage", "--tracking-uri")


def find_source(arguments: argparse.Namespace) -> "Source | None":
    """Return the profile and the data to train on; None, with a note, for a dry run without data.

    Raises:
        DataError: when there are no data, or the given folder is none.
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


def local_machine(arguments: argparse.Namespace, terms: "Mapping[str, Any] | None" = None) -> "Machine":
    """Return this machine, with the resources per trial of the command line, or else of a recorded sweep's terms."""
    from sweeps.planning.machine import find_machine

    recorded = (terms or {}).get("resources", {})
    cpus = arguments.cpus_per_trial or int(recorded.get("CPU", 1))
    gpus = None if arguments.gpus_per_trial == AUTO else arguments.gpus_per_trial
    is_cluster = address_of(arguments, terms) is not None
    return find_machine(cpus, recorded.get("GPU") if arguments.gpus_per_trial is None else gpus, is_cluster=is_cluster)


def address_of(arguments: argparse.Namespace, terms: "Mapping[str, Any] | None" = None) -> str | None:
    """Return the Ray cluster to join, by the command line, the environment or a sweep's terms; None to start one."""
    address = arguments.address or os.environ.get("RAY_ADDRESS") or (terms or {}).get("address")
    return None if address == "local" else address


@dataclass(frozen=True)
class Destination:
    """Where a sweep is stored, tracked and run; all of it was reachable a moment ago."""

    storage: Path
    tracking_uri: str
    address: str | None
    """Of the Ray cluster to join; None to start one here."""
    is_offline: bool


def find_destination(
    arguments: argparse.Namespace, folder: Path | None = None, manifest: "Mapping[str, Any] | None" = None
) -> Destination:
    """Return the destination, by the command line, the environment, or a recorded sweep's folder and manifest.

    Everything that can be refused without reading data is refused here: reading them takes minutes.

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


@dataclass(frozen=True)
class Draft:
    """What a command will train, as far as it is known before the data are read."""

    experiment: "Experiment"
    source: "Source | None"
    """None for a dry run without data."""
    plan: "Plan"
    imagined: "Plan"
    """The plan with random trials in place of those that will be suggested: for what is checked and estimated."""
    machine: "Machine"
    confirmation: "Confirmation | None" = None
    terms: "Mapping[str, Any] | None" = None
    """How the sweep ran that is resumed; None for a new one."""
    catalog: "Catalog | None" = None
    """The dataset's file names, where they were read already."""

    def check(self, *, is_cluster: bool) -> None:
        """Take one step with each model and loss of the user's own, and refuse trials larger than this machine.

        Raises:
            ConfigError: when a model or loss cannot be imported, built or trained.
            ExperimentError: when a trial needs more memory than there is; a cluster's memory is not checked.
        """
        configs = (trial.config for trial in self.imagined.trials)
        own = {(config.model, config.loss, config.data.size): config for config in configs if config.own_names()}
        if own:
            from bddseg.plugin_check import check_own  # imports torch

            for config in own.values():
                check_own(config)
        if not is_cluster:
            self.machine.check_memory(self.imagined)


def draft_space(arguments: argparse.Namespace, experiment: "Experiment", source: "Source | None") -> Draft:
    """Return the draft of a new sweep, for the device that will train."""
    from bddseg.device import resolve_precision
    from sweeps.planning.plan import build_plan, imagine_plan

    machine = local_machine(arguments)
    precision = resolve_precision("auto", machine.device)
    plan = build_plan(experiment, precision=precision, limit=arguments.limit)
    return Draft(experiment, source, plan, imagine_plan(plan, experiment), machine)


def draft_confirmation(
    arguments: argparse.Namespace, confirmation: "Confirmation", source: "Source", catalog: "Catalog"
) -> Draft:
    """Return the draft of a confirmation: its plan follows from the record of the screening."""
    plan, machine = confirmation.plan, local_machine(arguments)
    return Draft(confirmation.experiment, source, plan, plan, machine, confirmation, catalog=catalog)


def draft_resume(
    arguments: argparse.Namespace, experiment: "Experiment", source: "Source", manifest: Mapping[str, Any]
) -> Draft:
    """Return the draft of a sweep that is resumed, from its manifest."""
    from sweeps.planning.manifest import recorded_plan
    from sweeps.planning.plan import imagine_plan

    plan, terms = recorded_plan(manifest), manifest["terms"]
    return Draft(experiment, source, plan, imagine_plan(plan, experiment), local_machine(arguments, terms), terms=terms)


def prepare(arguments: argparse.Namespace, draft: Draft, destination: Destination) -> "SweepSpec":
    """Return the specification of a sweep; a resumed one takes what is not given from the terms of its manifest.

    Raises:
        UserError: when something is missing, unknown or too large, before anything is written.
    """
    from sweeps.execution.spec import SweepSpec
    from sweeps.planning.dataset import check_trials
    from sweeps.tracking.uri import hide_password

    is_packed = arguments.gpus_per_trial == AUTO and draft.machine.device.type == "cuda"
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
        address=destination.address,
        resources=draft.machine.resources,
        gpu_shares=_pack(draft, material) if is_packed else terms.get("gpu_shares", {}),
        max_concurrent=arguments.max_concurrent or terms.get("max_concurrent", 0),
        device=draft.machine.device.type,
        keep_all_weights=weights == "all" if weights else terms.get("keep_all_weights", False),
        checkpoint_seconds=terms.get("checkpoint_seconds", CHECKPOINT_SECONDS) if every is None else every,
        on_bad_sample=on_bad_sample,
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        is_offline=destination.is_offline,
        is_fresh=arguments.fresh or terms.get("is_fresh", False),
        command=hide_password(shlex.join(["python", "tune_main.py", *absolute_words(arguments)])),
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
    for word in arguments.words:
        name, equals, _ = word.partition("=")
        if words and words[-1] in paths:
            words.append(paths[words[-1]])
        else:
            words.append(f"{name}={paths[name]}" if equals and name in paths else word)
    return words


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
        lambda config: measure_peak_mb(config, str(device)),
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

    is_default = tracking_uri == default_tracking_uri(ROOT / "runs")
    return " ".join([command("report.py"), *([] if is_default else [tracking_flag(tracking_uri)])])


def tune_command(arguments: argparse.Namespace) -> str:
    """Return this command for a later --sync or --resume of the sweep; a password in the address is not in it."""
    from sweeps.tracking.uri import check_uri, tracking_flag

    storage = arguments.storage
    flags = [] if storage == ROOT / "runs" else [f"--storage {shlex.quote(str(storage))}"]
    if arguments.tracking_uri is not None:
        flags.append(tracking_flag(check_uri(arguments.tracking_uri)))  # absolute: it may be used in another folder
    return " ".join([command("tune_main.py"), *flags])
