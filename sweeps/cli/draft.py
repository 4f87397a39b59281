"""Draft of a sweep: its data, machine, plan and the plan imagined in full, before any data are read."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.errors import DataError
from sweeps.cli.parsing import AUTO
from sweeps.notes import notes

if TYPE_CHECKING:
    import numpy as np

    from bddseg.config import TrainConfig
    from bddseg.data.catalog import Catalog
    from sweeps.execution.cluster_survey import ClusterSurvey
    from sweeps.planning.confirmation import Confirmation
    from sweeps.planning.dataset import Source
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.machine import Machine
    from sweeps.planning.plan import Plan
    from sweeps.storage.sweep_json import Manifest


def find_source(arguments: argparse.Namespace) -> "Source | None":
    """Return the profile and the data to train on; None, with a note, for a dry run without data.

    Raises:
        DataError: when there are no data, or the given folder is none.
    """
    from bddseg.data.catalog import check_root
    from sweeps.planning.dataset import cache_folder, choose_source, complete_source
    from sweeps.planning.datasets_file import is_datasets_file
    from sweeps.planning.experiments_file import read_book

    if arguments.data is not None and not is_datasets_file(arguments.data):
        check_root(arguments.data)
    try:
        book = read_book(arguments.experiments)
        source = choose_source(
            book.profile_sections(), arguments.profile, arguments.data, arguments.dataset, file=book.path.name
        )
    except DataError as error:
        if not arguments.dry_run or arguments.data is not None:  # only data that are nowhere may be missing
            raise
        notes.info(str(error))
        return None
    return complete_source(source, cache_folder())


def skip_images(experiment: "Experiment", source: "Source | None") -> "Source | None":
    """Return the data without the images that the setting data.skip names.

    Raises:
        DataError: when its file is missing or cannot be used.
    """
    from bddseg.data.skip_list import read_skip_list

    path = experiment.base.data.skip
    return replace(source, skip=read_skip_list(Path(path))) if source and path else source


def follow_source(arguments: argparse.Namespace, experiment: "Experiment", source: "Source | None") -> "Experiment":
    """Return the experiment with the classes, groups and drives of its data; `top:N` reads the masks for that.

    Raises:
        DataError: for classes that the dataset does not have, or when the masks cannot be read.
    """
    from sweeps.planning.classes import follow_description
    from sweeps.planning.dataset import cache_folder, count_class_pixels
    from sweeps.planning.datasets_file import read_datasets

    def count_pixels(base: "TrainConfig") -> "np.ndarray":
        if source is None:
            raise DataError(f"data.classes {base.data.classes!r} needs the data: their pixels are counted")
        bad = arguments.on_bad_sample or "fail"
        return count_class_pixels(source, base, cache_folder(), on_bad_sample=bad)

    description = source.description if source else read_datasets().describe(arguments.dataset or "bdd100k")
    return follow_description(experiment, description, count_pixels)


def trial_share(arguments: argparse.Namespace, terms: Mapping[str, Any] | None = None) -> tuple[int, float | None]:
    """Return CPUs and GPUs per trial, by the command line or a sweep's terms; None is 1 GPU where there is one.

    "auto" is None too: it starts from one trial per GPU.
    """
    recorded = (terms or {}).get("resources", {})
    cpus = arguments.cpus_per_trial or int(recorded.get("CPU", 1))
    gpus = None if arguments.gpus_per_trial == AUTO else arguments.gpus_per_trial
    return cpus, recorded.get("GPU") if arguments.gpus_per_trial is None else gpus


def trial_machine(
    arguments: argparse.Namespace, survey: "ClusterSurvey | None", terms: Mapping[str, Any] | None = None
) -> "Machine":
    """Return the machine that trains, with the resources per trial: this one, or what a cluster was found to have."""
    from sweeps.planning.machine import cluster_machine, find_machine

    if survey:
        return cluster_machine(survey.device, survey.resources)
    cpus, gpus = trial_share(arguments, terms)
    return find_machine(cpus, gpus, is_cluster=address_of(arguments, terms) is not None)


def address_of(arguments: argparse.Namespace, terms: Mapping[str, Any] | None = None) -> str | None:
    """Return the Ray cluster to join, by the command line, the environment or a sweep's terms; None to start one."""
    address = arguments.address or os.environ.get("RAY_ADDRESS") or (terms or {}).get("address")
    return None if address == "local" else address


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
    terms: Mapping[str, Any] | None = None
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
                check_own(config, self.plan.classes)
        if not is_cluster:
            self.machine.check_memory(self.imagined)


def draft_space(
    arguments: argparse.Namespace,
    experiment: "Experiment",
    source: "Source | None",
    survey: "ClusterSurvey | None" = None,
) -> Draft:
    """Return the draft of a new sweep, for the device that will train."""
    from bddseg.device import resolve_precision
    from sweeps.planning.planner import build_plan, imagine_plan

    machine = trial_machine(arguments, survey)
    precision = survey.precision if survey else resolve_precision("auto", machine.device)
    plan = build_plan(experiment, precision=precision, limit=arguments.limit)
    return Draft(experiment, source, plan, imagine_plan(plan, experiment), machine)


def draft_confirmation(
    arguments: argparse.Namespace,
    confirmation: "Confirmation",
    source: "Source",
    catalog: "Catalog",
    survey: "ClusterSurvey | None" = None,
) -> Draft:
    """Return the draft of a confirmation: its plan follows from the record of the screening."""
    plan, machine = confirmation.plan, trial_machine(arguments, survey)
    return Draft(confirmation.experiment, source, plan, plan, machine, confirmation, catalog=catalog)


def draft_resume(
    arguments: argparse.Namespace,
    experiment: "Experiment",
    source: "Source",
    manifest: "Manifest",
    survey: "ClusterSurvey | None" = None,
) -> Draft:
    """Return the draft of a sweep that is resumed, from its manifest."""
    from sweeps.planning.manifest import recorded_plan
    from sweeps.planning.planner import imagine_plan

    plan, terms = recorded_plan(manifest), manifest.terms
    machine = trial_machine(arguments, survey, terms)
    return Draft(experiment, source, plan, imagine_plan(plan, experiment), machine, terms=terms)
