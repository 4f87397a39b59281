"""Run a sweep from Python, or open a recorded one; the options are those of the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bddseg.errors import UserError
from sweeps.api.options import option_words, start
from sweeps.api.sweep import Sweep
from sweeps.cli.tune_options import RUNNING, build_parser
from sweeps.notes import notes

Option = str | int | float | bool | Path | None


def run(space: str = "", *, set: Mapping[str, Any] | None = None, **options: Option) -> Sweep:  # noqa: A002
    """Run a sweep to its end, and return it; it is recorded as by `python tune_main.py`.

    Ctrl-C, or the interruption of a notebook's cell, ends the sweep gracefully: its running trials are saved, and what
    is returned has the status "interrupted". Outside the main thread signals go to the main thread.

    Args:
        space: a space of experiments.yaml; leave it out with `confirm=` or `resume=`.
        set: settings to fix, or to vary over a list or a range: `{"optim.lr": [1e-4, 1e-3], "train.epochs": 5}`.
        options: any further option of the command, with `_` for `-`: `profile="quick"`, `storage="runs"`, `limit=4`.

    Raises:
        UserError: what the command refuses, with its sentence.
    """
    from sweeps.cli.prepare import tracking_uri_of
    from sweeps.cli.tables import closing_sentences
    from sweeps.cli.tune import TRAINERS

    start(is_quiet=bool(options.get("quiet")))
    settings = [word for key, value in (set or {}).items() for word in ("--set", f"{key}={json.dumps(value)}")]
    words = [*(["--space", space] if space else []), *settings, *option_words(options)]
    arguments = build_parser().parse(words, is_raising=True)
    if arguments.verb not in RUNNING.split():
        raise UserError(f"sweeps.run trains, so it does not take --{arguments.verb}; sweeps.open reads a sweep")
    if arguments.dry_run:
        raise UserError("sweeps.run trains, so it does not take dry_run; use python tune_main.py --dry-run --json")
    result = TRAINERS[arguments.verb](arguments)
    if result is None or isinstance(result, int):  # `sweep=` names one that was finished before
        return Sweep(arguments.sweep, arguments.storage, tracking_uri_of(arguments))
    for sentence in closing_sentences(result):
        notes.info(sentence)
    return Sweep(result.sweep_id, arguments.storage, tracking_uri_of(arguments))


def open_sweep(name: str | None = None, *, storage: str | Path | None = None, tracking_uri: str | None = None) -> Sweep:
    """Return a recorded sweep, by its id; without one, the latest.

    Args:
        name: id of the sweep.
        storage: folder of the sweeps; None for the default one.
        tracking_uri: MLflow's store; None for MLFLOW_TRACKING_URI, else the database in the storage folder.

    Raises:
        NoSweepError: when it is not recorded; names the known ones.
    """
    from sweeps.cli.prepare import open_store, tracking_uri_of
    from sweeps.cli.status import find_sweep_id

    start(is_quiet=True)
    given = {"storage": storage, "tracking_uri": tracking_uri}
    arguments = build_parser().parse(["--status", *([name] if name else []), *option_words(given)], is_raising=True)
    uri = tracking_uri_of(arguments)
    sweep = Sweep(
        find_sweep_id(arguments.status, arguments.storage, lambda: open_store(arguments)), arguments.storage, uri
    )
    _ = sweep.status  # refuses a sweep that is not recorded
    return sweep
