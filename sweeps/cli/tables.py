"""Tables of trials and closing sentences of tune_main.py: results to stdout, sentences to stderr."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bddseg.errors import printable
from bddseg.words import count
from sweeps.execution.signals import ignore_further
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.execution.progress import TrialProgress, TrialTable
    from sweeps.execution.spec import SweepResult
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.plan import Plan

MOST_WRAPPED = 500
"""Rows up to which long cells of a table wrap on a terminal; wrapping 10,000 rows takes seconds."""

MOST_SCORES = 10
"""Scores of runs in the row of a finalist."""


def close(summary: "SweepResult") -> int:
    """Print the leaderboard and what to do next; return the exit code."""
    from sweeps.storage.tags import FINALIST

    ignore_further()
    if is_confirmation := all(FINALIST in trial.tags for trial in summary.board.plan.trials):
        print_standings(summary.board)
        notes.info("no verdict yet: report.py pools the images of all runs and may rank close finalists differently")
    else:
        print_leaderboard(summary.board, is_interrupted=summary.is_interrupted)
    if summary.weighs_cost:
        print_front(summary.board)
    failed = [row for row in summary.board.rows.values() if row.state == "failed"]
    for row in failed:
        notes.info(f"failed: {row.name}: {row.stop_detail}; see {row.log_file}")
    for sentence in closing_sentences(summary):
        print(sentence, file=sys.stderr)
    if not is_confirmation and not summary.is_interrupted and summary.board.counts()["finished"] > 1:
        print(f"confirm: {summary.confirm_command}", file=sys.stderr)
    return summary.exit_code


def closing_sentences(summary: "SweepResult") -> Iterator[str]:
    """Yield what MLflow lacks of a sweep, the progress of an interrupted one, and the next commands."""
    from sweeps.tracking.sync import reject_sentences

    if summary.undelivered:
        events = count(summary.undelivered, "event")
        yield f"warning: {events} did not reach MLflow, but {summary.folder / 'outbox'} has them"
        yield f"deliver them with: {summary.sync_command}"
    yield from reject_sentences(summary.rejects)
    if summary.is_interrupted:
        yield f"interrupted: {interruption(summary.board)}"
        yield f"resume with: {summary.resume_command}"
    if summary.board.best():
        yield f"report{', once it is delivered' if summary.undelivered else ''}: {summary.report_command}"
    if summary.runs_page:
        yield f"MLflow: {summary.runs_page}"


def interruption(board: "TrialTable") -> str:
    """Return the progress of an interrupted sweep; every trial is counted once."""
    endings = Counter(row.ending for row in board.rows.values())
    cut, waiting = endings["interrupted"], endings["not started"] + endings["waiting"] + board.plan.to_follow
    total = len(board.rows) + board.plan.to_follow
    return (
        f"{board.epochs_done():,} of {count(board.plan.epochs_in_all, 'epoch')} done; of {count(total, 'trial')} "
        f"{total - cut - waiting:,} ended, {cut:,} interrupted, {waiting:,} not started"
    )


def print_plan(plan: "Plan", experiment: "Experiment") -> None:
    """Print the trials of a plan; of those that will be suggested, their number and axes."""
    from sweeps.planning.axes import name_axis

    rows = [
        (str(number), trial.name, trial.trial_id, str(trial.epochs), "reference" if trial.is_reference else "")
        for number, trial in enumerate(plan.trials, 1)
    ]
    print_table(("", "trial", "digest", "epochs", ""), rows)
    rungs = ", ".join(map(str, plan.rungs)) or "none"
    if plan.to_replicate:
        print(f"\nand {plan.replicates} extra seeds of each of the best {plan.to_replicate // plan.replicates}, "
              "when these have ended")  # fmt: skip
    if not plan.to_come:
        print(f"\n{plan.size_words()}; search space: {count(plan.grid_points, 'point')}; rungs: {rungs}")
        return
    sampling = experiment.sampling
    print(f"\nand {plan.to_come} suggested while others run ({sampling.sampler}, by "
          f"{' and '.join(sampling.objectives)}), from:\n")  # fmt: skip
    print_table(("setting", "from"), [(key, name_axis(axis)) for key, axis in experiment.axes])
    print(f"\n{plan.size_words()}; rungs: {rungs}")


def print_leaderboard(board: "TrialTable", *, is_interrupted: bool = False) -> None:
    """Print all trials, best first."""
    rows = [
        (
            str(rank),
            row.name + ("  (reference)" if row.is_reference else ""),
            write_score(row.best_miou),
            str(row.best_epoch or "-"),
            str(row.epochs),
            "not started" if is_interrupted and row.state == "waiting" else row.ending,
        )
        for rank, row in enumerate(board.ranked(), 1)
    ]
    print_table(("", "trial", "best val/miou", "at epoch", "epochs", "ended by"), rows)


def print_front(board: "TrialTable") -> None:
    """Print the Pareto front of accuracy and cost, the cheapest trial first."""
    rows = [(row.name, write_score(row.best_miou), f"{gflops:.4g}") for row, gflops in front_of(board)]
    print()
    print_table(("Pareto front", "best val/miou", "gflops per image"), rows)


def front_of(board: "TrialTable") -> "list[tuple[TrialProgress, float]]":
    """Return the completed trials on the Pareto front, the cheapest first, with the GFLOPs of a forward pass."""
    from bddseg.flops import count_forward
    from sweeps.statistics.scores import pareto_front
    from sweeps.storage.outcomes import TrialState

    configs = {trial.trial_id: trial.config for trial in board.plan.trials}
    points = [
        (row, count_forward(configs[row.trial_id], board.plan.classes).flops / 1e9)
        for row in board.rows.values()
        if row.is_scored and row.state == TrialState.FINISHED
    ]
    return pareto_front(points, cost=lambda point: point[1], value=lambda point: point[0].best_miou)


def print_standings(board: "TrialTable") -> None:
    """Print the finalists, the best mean of their runs first; this is not the verdict."""
    from sweeps.planning.confirmation import standings

    scores = {row.trial_id: row.best_miou for row in board.rows.values() if row.state == "finished"}
    finalists = standings(board.plan, scores)
    rows = [
        (
            str(rank),
            finalist.name + ("  (reference)" if finalist.is_reference else ""),
            write_score(finalist.mean),
            write_score(finalist.spread),
            write_score(finalist.ahead_of(finalists[0])) if rank > 1 else "",
            _latest(finalist.scores),
            str(finalist.epochs),
        )
        for rank, finalist in enumerate(finalists, 1)
    ]
    print_table(("", "finalist", "mean of the runs", "sd over runs", "vs. the first", "each run", "epochs"), rows)


def _latest(scores: Sequence[float]) -> str:
    """Return the scores of the runs; of many, the latest."""
    more = len(scores) - MOST_SCORES
    return " ".join([*([f"({more} more)"] if more > 0 else []), *map(write_score, scores[-MOST_SCORES:])])


def print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns; on a terminal long cells wrap, elsewhere a row is one line."""
    from rich.console import Console
    from rich.table import Table

    cells = [tuple(map(printable, row)) for row in rows]
    console = Console(highlight=False, markup=False)
    if not console.is_terminal or len(cells) > MOST_WRAPPED:
        print(aligned(titles, cells))
        return
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*row)
    with console.capture() as text:
        console.print(table)
    print(text.get(), end="")


def aligned(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows in aligned columns, each on one line."""
    from rich.cells import cell_len

    table = [titles, *rows]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(titles))]
    lines = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "\n".join(lines)


def write_score(value: float | None) -> str:
    """Return a score with four decimals, - where there is none."""
    return "-" if value is None or value != value else f"{value:.4f}"
