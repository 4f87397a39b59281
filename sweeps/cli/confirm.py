"""tune_main.py --confirm: a confirmation is planned from a recorded sweep, described and run."""

import argparse
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from bddseg.words import count
from sweeps.cli.draft import draft_confirmation
from sweeps.cli.dry_run import dry_run
from sweeps.cli.named_sweep import is_recorded
from sweeps.cli.prepare import find_destination, open_store, prepare
from sweeps.cli.resume import go_on
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.execution.spec import SweepResult
    from sweeps.planning.confirmation import Confirmation
    from sweeps.planning.dataset import ImageCounts
    from sweeps.storage.records import SweepRecord


def train_confirmation(arguments: argparse.Namespace) -> "SweepResult | int | None":
    """Retrain the finalists of a recorded sweep on folds, with its recorded settings and data; None for a dry run."""
    from bddseg.result import OBJECTIVE
    from sweeps.planning.confirmation import plan_confirmation, screened_sd
    from sweeps.planning.dataset import cache_folder, count_images, load_catalog, recorded_source
    from sweeps.statistics.rounds import CONFIRMING_RUNS

    if arguments.until_decided and arguments.runs:
        raise UserError("--runs fixes the number that --until-decided decides: give one of the two")
    if arguments.budget and not arguments.until_decided:
        raise UserError("--budget goes with --until-decided only")
    store = open_store(arguments)
    record = store.read_sweep(arguments.confirm)
    first = plan_confirmation(record, top=arguments.top, runs=arguments.runs or CONFIRMING_RUNS)
    source = recorded_source(first.experiment.profile, first.data, arguments.data)
    catalog = load_catalog(source, cache_folder())
    counted = count_images(
        catalog, first.experiment.base.with_overrides({"data.folds": 0, "data.fold": 0}), source.description
    )
    if arguments.until_decided:
        confirmation = plan_rounds(record, arguments, counted.open_units)
    elif not arguments.runs and counted.open_units < CONFIRMING_RUNS:
        confirmation = plan_confirmation(record, top=arguments.top, runs=max(2, counted.open_units))
    else:
        confirmation = first
    histories = store.histories(record, [OBJECTIVE])
    completed = [row.trial_id for row in record.trials if row.is_completed]
    curves = [[value for _, value in histories[trial_id].get(OBJECTIVE, [])] for trial_id in completed]
    run_sd, is_measured = screened_sd(record, curves)
    for note in confirmation.notes:
        notes.info(f"note: {note}")
    notes.info(f"{confirmation.screening}: {source.sentence()}")
    for finalist in confirmation.finalists:
        epochs = count(finalist.epochs, "epoch")
        notes.info(f"finalist {finalist.name} ({finalist.why}): {epochs}")
    describe_detectable_lead(confirmation, counted, run_sd, is_measured=is_measured)
    if arguments.sweep and is_recorded(arguments):
        return go_on(arguments, confirmation.experiment, lambda precision: confirmation.plan)
    if arguments.dry_run:
        dry_run(arguments, draft_confirmation(arguments, confirmation, source, catalog), run_sd=run_sd)
        return None
    checkpoints, recorded = confirmation.terms.get("checkpoints", ""), record.manifest.get("mlflow_experiment")
    mlflow_experiment = recorded if isinstance(recorded, str) else None
    destination = find_destination(arguments, checkpoints=checkpoints, mlflow_experiment=mlflow_experiment)
    draft = draft_confirmation(arguments, confirmation, source, catalog, destination.survey)
    spec = prepare(arguments, draft, destination)
    from sweeps.execution.runner import run_sweep

    return run_sweep(spec, arguments.sweep)


def plan_rounds(record: "SweepRecord", arguments: argparse.Namespace, units: int) -> "Confirmation":
    """Return a confirmation to which runs are added until it is decided.

    Raises:
        ExperimentError: when there is nothing to decide between.
    """
    from sweeps.errors import ExperimentError
    from sweeps.planning.confirmation import plan_confirmation
    from sweeps.statistics.rounds import FOLDS, Rounds

    rounds = Rounds(folds=min(FOLDS, max(2, units)), hours=arguments.budget or 0.0)
    confirmation = plan_confirmation(record, top=arguments.top, rounds=rounds)
    if len(confirmation.finalists) < 2:
        name = confirmation.finalists[0].name
        raise ExperimentError(f"--until-decided: {name} is the only finalist, so there is nothing to decide")
    return confirmation


def describe_detectable_lead(
    confirmation: "Confirmation",
    counted: "ImageCounts",
    run_sd: float | None,
    *,
    is_measured: bool,
) -> None:
    """Print the smallest lead that the runs can detect, and refuse too few runs.

    Raises:
        ExperimentError: with the number of runs that is enough.
    """
    from sweeps.planning.detectable_lead import check_runs, describe, design_of

    if len(confirmation.finalists) < 2:
        return
    rounds, finalists, units = confirmation.rounds, len(confirmation.finalists), counted.open_units
    runs = rounds.folds if rounds else confirmation.runs
    if sentence := check_runs(design_of(finalists, runs, units, run_sd if is_measured else None)):
        notes.info(f"note: {sentence}")
    design, unit = design_of(finalists, runs, units, run_sd), counted.unit.removesuffix("s")
    smallest, how = describe(design, count(units, unit), run_sd, knows_drives=counted.unit == "drives")
    notes.info(f"smallest detectable lead: {smallest}, {how}")
    if rounds:
        notes.info(f"runs are added until it is decided, at most {rounds.most} of each; smaller leads need more")
