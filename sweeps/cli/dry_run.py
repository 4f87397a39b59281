"""Dry runs: the trials that would run with an estimate, and what a resume would do."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.cli.console import FINE
from sweeps.cli.draft import Draft
from sweeps.cli.json_output import plan_facts, print_json
from sweeps.cli.tables import print_plan, print_table
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.planning.dataset import Source


def dry_run(arguments: argparse.Namespace, draft: Draft, *, run_sd: float | None = None) -> int:
    """Print the trials that would run and an estimate of time, memory and disk; without data, only the trials."""
    if draft.source is None:
        if arguments.json:
            print_json(plan_facts(draft.plan, draft.experiment) | {"estimate": [], "notes": []})
        else:
            print_plan(draft.plan, draft.experiment)
        notes.info("the estimate needs the dataset, because it depends on the number of images")
        return FINE
    from sweeps.planning.dataset import cache_folder, load_catalog
    from sweeps.planning.forecast import forecast

    notes.info(f"{draft.plan.size_words()}: estimating time, memory and disk")
    draft.check(is_cluster=False)
    table, sentences = forecast(
        draft.imagined,
        draft.experiment.schedule.name,
        draft.catalog or load_catalog(draft.source, cache_folder()),
        draft.source.description,
        draft.machine,
        arguments.max_concurrent,
        keeps_all=arguments.keep_weights == "all",
        run_sd=run_sd,
    )
    if arguments.json:
        estimate = [{"name": name, "value": value, "basis": basis} for name, value, basis in table]
        print_json(plan_facts(draft.plan, draft.experiment) | {"estimate": estimate, "notes": sentences})
        return FINE
    print_plan(draft.plan, draft.experiment)
    print()
    print_table(("estimate", "", ""), table)
    for sentence in sentences:
        notes.info(sentence)
    return FINE


def dry_resume(folder: Path, source: "Source", arguments: argparse.Namespace) -> int:
    """Print what a resume would do with each trial; only the sweep's folder is read."""
    from sweeps.storage.sweeps import outlook

    ahead = outlook(folder, with_failed=arguments.failed)
    if arguments.json:
        print_json({"sweep": folder.name, "trials": [asdict(trial) for trial in ahead.trials]})
    else:
        print_table(
            ("trial", "digest", "epochs", "what a resume does"),
            [
                (trial.name, trial.trial_id, f"{trial.epochs}/{trial.budget}", trial.description)
                for trial in ahead.trials
            ],
        )
    notes.info(f"{folder.name}: {source.sentence()}")
    notes.info(ahead.sentence())
    return FINE
