"""Tables and closing sentences of the command line."""

from dataclasses import replace
from pathlib import Path

from trial_events import A, B, epoch, make_board, start
from trial_events import end as ended

from sweeps.cli.tables import aligned, closing_sentences, front_of, interruption
from sweeps.execution.spec import SweepResult

CUT = {"sweep.stop_reason": "user", "sweep.stop_detail": "cut off"}


def test_every_trial_of_an_interrupted_sweep_is_counted_once() -> None:
    """Of four trials one has ended, one was cut off, one was cut off before its first epoch, one never started."""
    board = make_board(start(A), epoch(A, 1, 0.25), ended(A), start(B), epoch(B, 1, 0.2))
    ids = list(board.rows)
    third = next(trial_id for trial_id in ids if trial_id not in (A, B))
    for event in (start(third), *(replace(ended(trial, "user", "KILLED"), tags=CUT) for trial in (B, third))):
        board.apply(event)
    words = interruption(board)
    assert words.endswith("of 4 trials 1 ended, 1 interrupted, 2 not started")


def test_columns_are_aligned_and_a_row_is_one_line() -> None:
    text = aligned(("a", "long title", ""), [("wide cell", "x" * 500, ""), ("中", "y", "z")])
    first, second, third = text.splitlines()
    assert first == "a          long title" and second == f"wide cell  {'x' * 500}"
    assert third == f"中         y{' ' * 499}  z"


def test_only_completed_trials_are_on_the_front() -> None:
    board = make_board(start(A), epoch(A, 1, 0.25), ended(A), start(B), epoch(B, 1, 0.9), ended(B, "asha", "KILLED"))
    ((row, gflops),) = front_of(board)
    assert (row.trial_id, row.best_miou) == (A, 0.25) and gflops > 0


def test_the_last_sentence_is_the_address_of_the_runs_where_mlflow_has_pages() -> None:
    result = SweepResult("s", Path("runs/s"), make_board(start(A), epoch(A, 1, 0.25)), 0, 0, "report.py s", "tune")
    assert list(closing_sentences(result)) == ["report: report.py s"]
    there = replace(result, runs_page="http://there/#/experiments/7/runs")
    assert list(closing_sentences(there)) == ["report: report.py s", "MLflow: http://there/#/experiments/7/runs"]
