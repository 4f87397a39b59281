"""The board of a running sweep, from the events that also go to the store."""

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from plans import growing
from rich.console import Console
from trial_events import PLAN, A, B, C, D, end, epoch, make_board, start

from sweeps.execution.progress import LiveView, TrialTable
from sweeps.formatting import duration
from sweeps.storage.events import Artifact, Pause, Retry, TrialEvent

# States


def test_all_trials_wait_at_first() -> None:
    assert make_board().counts() == {"waiting": 4}


def test_a_trial_runs_from_its_start() -> None:
    assert make_board(start(A)).counts() == {"running": 1, "waiting": 3}


def test_a_trial_that_waits_at_a_rung_is_paused_until_it_goes_on() -> None:
    events = [start(A), epoch(A, 1), Pause(A)]
    assert make_board(*events).counts() == {"paused": 1, "waiting": 3}
    assert make_board(*events, start(A)).rows[A].state == "running"


def test_a_paused_trial_may_still_use_its_budget() -> None:
    assert make_board(start(A), epoch(A, 1), Pause(A)).epochs_budget() == 40


def test_paused_trials_are_counted_in_the_sentence() -> None:
    sentence = make_board(start(A), epoch(A, 1, 0.25), Pause(A)).sentence()
    assert sentence.startswith("3 waiting, 1 paused; epochs 1 of at most 40")


@pytest.mark.parametrize(
    ("reason", "status", "state"),
    [
        ("max_epochs", "FINISHED", "finished"),
        ("plateau", "FINISHED", "finished"),
        ("asha", "FINISHED", "stopped"),
        ("asha", "KILLED", "stopped"),
        ("user", "KILLED", "stopped"),
        ("diverged", "FAILED", "failed"),
        ("error", "FAILED", "failed"),
    ],
)
def test_a_trial_ends_in_the_state_of_its_status(reason: str, status: str, state: str) -> None:
    row = make_board(start(A), epoch(A, 1), end(A, reason, status)).rows[A]
    assert (row.state, row.stop_reason) == (state, reason)


def test_a_row_says_why_and_where_the_log_is() -> None:
    row = make_board(start(A), end(A, "error", "FAILED")).rows[A]
    assert (row.stop_detail, row.log_file) == ("because of error", f"/logs/{A}.log")


def test_a_retried_trial_runs_again() -> None:
    assert make_board(start(A), end(A, "error", "FAILED"), start(A)).rows[A].state == "running"


def test_a_trial_that_will_be_tried_again_waits() -> None:
    board = make_board(start(A), epoch(A, 1), Retry(A))
    assert (board.counts(), board.rows[A].epochs) == ({"waiting": 4}, 1)


def test_trials_wait_for_their_turn_in_a_later_pass() -> None:
    board = make_board(start(A), epoch(A, 1), start(B), end(B, "user", "KILLED"), start(C), end(C))
    board.queue([A, B])
    assert (board.counts(), board.rows[B].stop_reason) == ({"waiting": 3, "finished": 1}, "")


def test_a_retried_trial_has_not_stopped() -> None:
    assert make_board(start(A), end(A, "error", "FAILED"), start(A)).rows[A].stop_reason == ""


def test_events_of_the_sweep_itself_change_no_row() -> None:
    assert make_board(start(""), epoch("", 1), end("")).rows == make_board().rows


def test_an_artifact_changes_no_row() -> None:
    assert make_board(Artifact(A, Path("/x"))).rows == make_board().rows


# The best


def test_nothing_is_best_before_the_first_figure() -> None:
    assert make_board(start(A)).best() is None


def test_the_best_is_the_highest_of_all_epochs() -> None:
    best = make_board(epoch(A, 1, 0.3), epoch(B, 1, 0.6), epoch(B, 2, 0.2), epoch(C, 1, 0.5)).best()
    assert best is not None and (best.trial_id, best.best_miou, best.best_epoch) == (B, 0.6, 1)


def test_the_first_of_equal_epochs_is_the_best() -> None:
    assert make_board(epoch(A, 1, 0.3), epoch(A, 2, 0.3)).rows[A].best_epoch == 1


def test_where_the_last_epoch_counts_the_board_shows_it() -> None:
    planned = PLAN.trials[0]
    last = replace(planned, config=planned.config.with_overrides({"train.keep": "last", "train.epochs": 2}))
    board = TrialTable(growing(replace(PLAN, trials=(last,))))
    for event in (start(A), epoch(A, 1, 0.6), epoch(A, 2, 0.3)):
        board.apply(event)
    assert (board.rows[A].best_miou, board.rows[A].best_epoch, board.rows[A].budget) == (0.3, 2, 2)


def test_an_epoch_without_a_figure_keeps_the_best() -> None:
    row = make_board(epoch(A, 1, 0.3), epoch(A, 2, None)).rows[A]
    assert (row.best_miou, row.best_epoch, row.epochs) == (0.3, 1, 2)


def test_a_failed_trial_is_never_the_best() -> None:
    board = make_board(start(A), epoch(A, 1, 0.9), end(A, "diverged", "FAILED"), start(B), epoch(B, 1, 0.2))
    best = board.best()
    assert best is not None and best.trial_id == B


def test_when_all_trials_failed_nothing_is_best() -> None:
    assert make_board(start(A), epoch(A, 1, 0.9), end(A, "diverged", "FAILED")).best() is None


def test_rows_without_a_figure_rank_last() -> None:
    board = make_board(epoch(C, 1, 0.0), epoch(B, 1, 0.4), epoch(A, 1, None))
    assert [row.trial_id for row in board.ranked()] == [B, C, A, D]


# Epochs and time


def test_the_budget_is_all_epochs_of_all_trials_at_first() -> None:
    assert (make_board().epochs_done(), make_board().epochs_budget()) == (0, 4 * 10)


def test_a_stopped_trial_gives_back_what_it_did_not_use() -> None:
    board = make_board(start(A), epoch(A, 1), epoch(A, 2), end(A, "asha", "FINISHED"))
    assert (board.epochs_done(), board.epochs_budget()) == (2, 2 + 3 * 10)


def test_an_epoch_that_a_retry_trains_again_counts_once() -> None:
    board = make_board(start(A), epoch(A, 1), epoch(A, 2), start(A), epoch(A, 1), epoch(A, 2), epoch(A, 3))
    assert (board.epochs_done(), board.rows[A].seconds) == (3, 6.0)


def test_the_time_left_is_unknown_before_the_first_epoch() -> None:
    assert make_board(start(A)).seconds_left() is None


def test_the_time_left_is_what_is_left_at_the_pace_so_far() -> None:
    board = make_board(start(A), epoch(A, 1, seconds=2.0), epoch(A, 2, seconds=4.0))
    assert board.seconds_left() == (4 * 10 - 2) * 3.0


def test_slots_share_the_time_left() -> None:
    board = make_board(start(A), epoch(A, 1, seconds=2.0), slots=3)
    assert board.seconds_left() == (4 * 10 - 1) * 2.0 / 3


def test_the_last_open_trial_has_no_one_to_share_with() -> None:
    ended = [event for trial in (A, B, C) for event in (start(trial), epoch(trial, 1), end(trial, "asha", "FINISHED"))]
    assert make_board(*ended, start(D), slots=8).seconds_left() == 10 * 2.0


def test_a_finished_sweep_has_no_time_left() -> None:
    board = make_board(*(event for trial in (A, B, C, D) for event in (start(trial), epoch(trial, 1), end(trial))))
    assert board.seconds_left() == 0


# In words


def test_the_sentence_says_states_epochs_best_and_time() -> None:
    sentence = make_board(start(A), epoch(A, 1, 0.25), start(B), epoch(B, 1), end(B, "asha", "KILLED")).sentence()
    assert sentence.startswith("2 waiting, 1 running, 1 stopped; epochs 2 of at most 31; best 0.500 ")
    assert sentence.endswith("at most 58 s left")


def test_the_leaderboard_marks_the_reference() -> None:
    lines = make_board(epoch(A, 1, 0.25), end(A)).markdown().splitlines()
    assert lines[2] == f"| 1 | {PLAN.trials[0].name} (reference) | 0.2500 | 1 | 1 | max_epochs |"


def test_the_leaderboard_is_a_table_for_mlflows_page() -> None:
    header, rule, *rows = make_board(epoch(A, 1, 0.25), end(A)).markdown().splitlines()
    assert rule == "| ---: | --- | ---: | ---: | ---: | --- |"
    assert {line.count("|") for line in (header, rule, *rows)} == {7} and len(rows) == len(PLAN.trials)


def test_a_bar_in_a_name_adds_no_column_to_the_leaderboard() -> None:
    board = make_board(epoch(A, 1, 0.25))
    board.rows[A].name = "classes=a|b"
    assert board.markdown().splitlines()[2].split(" | ")[:2] == ["| 1", "classes=a&#124;b (reference)"]


def test_a_row_without_a_figure_shows_no_epoch_of_its_best() -> None:
    assert make_board(start(A)).markdown().splitlines()[2].split("|")[3:5] == ["  ", "  "]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (45, "45 s"), (89.4, "89 s"), (90, "2 min"), (720, "12 min"), (12600, "3.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# Showing it


def shown(board: TrialTable, *events: TrialEvent, is_quiet: bool = False) -> str:
    """Return what a view writes to something that is no terminal."""
    view, text = LiveView(board, is_quiet=is_quiet), io.StringIO()
    view._console = Console(file=text, width=80)
    with view:
        for event in events:
            board.apply(event)
            view.apply(event)
    return text.getvalue()


def test_without_a_terminal_an_end_is_one_line() -> None:
    text = shown(make_board(), start(A), epoch(A, 1, 0.25), end(A, "asha", "FINISHED"))
    assert text.count("\n") == 1
    assert text.startswith(f"{PLAN.trials[0].name}: asha after 1 epoch, best 0.250 at epoch 1. 3 waiting, 1 stopped")


def test_a_trial_that_was_cut_off_before_its_first_epoch_did_not_start() -> None:
    cut = {"sweep.stop_reason": "user", "sweep.stop_detail": "cut off after epoch 0"}
    text = shown(make_board(), start(A), replace(end(A, "user", "KILLED"), tags=cut))
    assert text.startswith(f"{PLAN.trials[0].name}: not started. ")


def test_a_quiet_view_writes_nothing() -> None:
    assert shown(make_board(), start(A), epoch(A, 1), end(A), is_quiet=True) == ""


def test_a_quiet_view_draws_nothing_on_a_terminal() -> None:
    view, text = LiveView(make_board(), is_quiet=True), io.StringIO()
    view._console = Console(file=text, force_terminal=True)
    with view:
        view.apply(end(A))
    assert text.getvalue() == ""


def test_a_terminal_shows_every_trial_and_its_epoch() -> None:
    board, text = make_board(start(A), epoch(A, 1, 0.25)), io.StringIO()
    Console(file=text, width=100, force_terminal=True, color_system=None).print(LiveView(board)._render())
    assert all(trial.name in text.getvalue() for trial in PLAN.trials)
    assert "1/10" in text.getvalue() and "0.250 @ 1" in text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_best_epochs_and_time_left_on_lines_of_their_own(width: int) -> None:
    text = io.StringIO()
    board = make_board(start(A), epoch(A, 1, 0.25), epoch(A, 2, 0.5))
    Console(file=text, width=width, force_terminal=True, color_system=None).print(LiveView(board)._render())
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    trials, epochs, best, time_, _, head = lines[:6]
    assert trials == "trials  3 waiting, 1 running"
    assert epochs.startswith("epochs  ━") and epochs.endswith("  2 of at most 40")
    assert best.startswith("best    0.500 vanilla") and time_.endswith("so far, at most 76 s left")
    assert head.split() == ["trial", "state", "epoch", "best", "val/miou"]


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Let threads take turns as often as Python allows, as they do by chance in a long sweep."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def change_while_read(read: Callable[[], object], change: Callable[[int], None], changes: int) -> None:
    """Change a table while a thread reads it, as the live view does; raises what the thread raises."""
    is_done = threading.Event()

    def read_on() -> None:
        while not is_done.is_set():
            read()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_on)
        for number in range(1, changes + 1):
            change(number)
            time.sleep(0)  # lets the thread read
        is_done.set()
        reading.result()


@pytest.mark.usefixtures("busy_threads")
def test_a_trial_is_read_while_it_reports_epochs() -> None:
    board = make_board(start(A))
    row = board.rows[A]
    change_while_read(
        lambda: (row.epochs, row.best_epoch), lambda number: row.apply(epoch(A, number, number / 1e6)), 2000
    )
    assert (row.epochs, row.best_epoch) == (2000, 2000)


@pytest.mark.usefixtures("busy_threads")
def test_a_trial_is_read_while_a_retry_drops_its_epochs() -> None:
    board = make_board(start(A))
    row = board.rows[A]
    change_while_read(lambda: row.best_miou, lambda number: row.apply(epoch(A, 1 + number % 2, number / 1e6)), 2000)
    assert row.epochs == 1


@pytest.mark.usefixtures("busy_threads")
def test_a_table_is_read_while_trials_join_it() -> None:
    board = make_board(start(A))
    change_while_read(board.sentence, lambda number: board.add(replace(PLAN.trials[0], trial_id=str(number))), 300)
    assert len(board.rows) == len(PLAN.trials) + 300


def test_a_view_that_nobody_reads_any_more_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    view = LiveView(TrialTable(growing(PLAN)))
    for trial in PLAN.trials:
        view.apply(end(trial.trial_id))


def test_a_trial_that_was_cancelled_before_it_began_is_not_waiting() -> None:
    board = make_board(start(A))
    board.cancel(lambda trial_id: trial_id in (A, D))
    assert (board.rows[A].state, board.rows[D].state, board.rows[D].stop_reason) == ("running", "stopped", "user")
