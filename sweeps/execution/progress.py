"""Progress of a sweep: the table of its trials, and the live view of it on the terminal."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bddseg.words import count
from sweeps.formatting import duration
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.events import Artifact, End, Epoch, TrialEvent
from sweeps.storage.outcomes import CUT_OFF, OPEN_STATES, RunStatus, StopReason, TrialState
from sweeps.storage.tags import STOP_DETAIL, STOP_REASON
from sweeps.storage.trial_history import TrialHistory

PLAIN_SECONDS = 30
"""Without a terminal: longest time between two lines; a line is also printed when a trial ends."""


@dataclass
class TrialProgress:
    """One row of the trial table: a trial's history, and the state that is shown."""

    trial_id: str
    name: str
    is_reference: bool
    budget: int
    """Maximum number of epochs."""
    history: TrialHistory = field(default_factory=TrialHistory)
    state: str = TrialState.WAITING
    """Differs from the history's between passes: a trial that will continue is waiting, however it ended before."""
    stop_reason: str = ""
    stop_detail: str = ""
    log_file: str = ""
    is_cancelled: bool = False
    """The user cancelled it; other trials with the reason "user" were interrupted with their sweep."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs so far."""
        return self.history.epochs

    @property
    def best_epoch(self) -> int:
        """Return the epoch that counts; 0 without a usable one."""
        return self.history.best_epoch

    @property
    def best_miou(self) -> float:
        """Return val/miou of the epoch that counts; NaN without a usable one."""
        value = self.history.best_value
        return math.nan if value is None else value

    @property
    def seconds(self) -> float:
        """Return the time spent in epochs so far."""
        return self.history.seconds

    @property
    def ending(self) -> str:
        """Return how the trial ended; its state while it has not."""
        if self.is_cancelled and self.stop_reason == StopReason.USER:
            return "cancelled"
        if self.stop_reason in CUT_OFF:
            return "interrupted" if self.epochs else "not started"
        return self.stop_reason or self.state

    @property
    def is_scored(self) -> bool:
        """Whether the trial has a score; a failed trial has none, as in the report."""
        return self.state != TrialState.FAILED and not math.isnan(self.best_miou)

    def apply(self, event: TrialEvent) -> None:
        """Add an event of the trial."""
        self.history.add(event)
        if not isinstance(event, Epoch | Artifact):
            self._show_history()

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Record the end of the trial, given the status and the tags of its run."""
        self.history.end(status, tags)
        self._show_history()

    def _show_history(self) -> None:
        self.state, self.log_file = self.history.state, self.history.log_file
        self.stop_reason, self.stop_detail = self.history.reason, self.history.detail


@dataclass
class TrialTable:
    """The progress of all trials of a sweep, updated by the events that also go to MLflow."""

    shared_plan: GrowingPlan
    slots: int = 1
    """Trials that run in parallel."""
    rows: dict[str, TrialProgress] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.rows = {trial.trial_id: _row(trial) for trial in self.plan.trials}

    @property
    def plan(self) -> Plan:
        """Return the plan as it is now."""
        return self.shared_plan.current

    def add(self, trial: PlannedTrial) -> None:
        """Add a row for a trial of the plan."""
        self.rows = {**self.rows, trial.trial_id: _row(trial)}  # a new dict: the live view may be reading the old one

    def apply(self, event: TrialEvent) -> None:
        """Update a trial's row by an event; events of the sweep itself change no row."""
        if row := self.rows.get(event.trial):
            row.apply(event)

    def queue(self, trial_ids: Iterable[str]) -> None:
        """Mark trials as waiting for a pass, whatever their state after an earlier pass or another sweep."""
        for trial_id in trial_ids:
            row = self.rows[trial_id]
            row.state, row.stop_reason, row.stop_detail = TrialState.WAITING, "", ""

    def cancel(self, is_cancelled: Callable[[str], bool]) -> None:
        """Mark the trials that the user cancelled; a trial that had not started has no event that says so."""
        for row in self.rows.values():
            row.is_cancelled = is_cancelled(row.trial_id)
            if row.state == TrialState.WAITING and row.is_cancelled:
                row.end(RunStatus.KILLED, {STOP_REASON: StopReason.USER, STOP_DETAIL: "cancelled before it started"})

    def ranked(self) -> list[TrialProgress]:
        """Return the rows, best first; trials without a score last."""
        return sorted(self.rows.values(), key=lambda row: (not row.is_scored, -_or_zero(row.best_miou)))

    def best(self) -> TrialProgress | None:
        """Return the row with the highest val/miou so far."""
        first = self.ranked()[0]
        return first if first.is_scored else None

    def counts(self) -> Counter[str]:
        """Return how many trials are in each state."""
        return Counter(row.state for row in self.rows.values())

    def epochs_done(self) -> int:
        """Return the number of epochs trained so far."""
        return sum(row.epochs for row in self.rows.values())

    def epochs_budget(self) -> int:
        """Return the number of epochs if no further trial is stopped early."""
        epochs = sum(row.budget if row.state in OPEN_STATES else row.epochs for row in self.rows.values())
        return epochs + self.plan.to_follow * self.plan.epochs

    def seconds_left(self) -> float | None:
        """Return an upper bound: the time left if no further trial is stopped; None before the first epoch."""
        done = self.epochs_done()
        if not done:
            return None
        per_epoch = sum(row.seconds for row in self.rows.values()) / done
        is_open = sum(row.state in OPEN_STATES for row in self.rows.values()) + self.plan.to_follow
        return (self.epochs_budget() - done) * per_epoch / max(1, min(self.slots, is_open))

    def sentence(self) -> str:
        """Return the state of the sweep in one line."""
        best, seconds_left = self.best(), self.seconds_left()
        parts = [self.counted(), f"epochs {self.epochs_done()} of at most {self.epochs_budget()}"]
        if best:
            parts.append(f"best {best.best_miou:.3f} {best.name}")
        if seconds_left is not None and self.is_open():
            parts.append(f"at most {duration(seconds_left)} left")
        return "; ".join(parts)

    def counted(self) -> str:
        """Return the number of trials in each state as text."""
        counts = self.counts()
        parts = [f"{counts[state]} {state}" for state in TrialState if counts[state]]
        parts += [f"{self.plan.to_follow} to come"] if self.plan.to_follow else []
        return ", ".join(parts)

    def is_open(self) -> bool:
        """Return whether a trial may still train."""
        return any(row.state in OPEN_STATES for row in self.rows.values())

    def markdown(self) -> str:
        """Return the leaderboard as a Markdown table, for the note of the sweep's run."""
        # MLflow's page reads a column's dashes as such from two on; GitHub's tables have three
        lines = [
            "| # | trial | best val/miou | at epoch | epochs | ended by |",
            "| ---: | --- | ---: | ---: | ---: | --- |",
        ]
        for rank, row in enumerate(self.ranked(), 1):
            best = "" if math.isnan(row.best_miou) else f"{row.best_miou:.4f}"
            name = row.name.replace("|", "&#124;") + " (reference)" * row.is_reference
            lines.append(f"| {rank} | {name} | {best} | {row.best_epoch or ''} | {row.epochs} | {row.ending} |")
        return "\n".join(lines)


def _row(trial: PlannedTrial) -> TrialProgress:
    history = TrialHistory(keep=trial.config.train.keep)
    return TrialProgress(trial.trial_id, trial.name, trial.is_reference, trial.epochs, history)


class LiveView:
    """Shows the trial table while a sweep runs: redrawn in place on a terminal, as plain lines elsewhere."""

    def __init__(self, board: TrialTable, *, is_quiet: bool = False) -> None:
        self._board, self._quiet = board, is_quiet
        self._console = _Screen(stderr=True, highlight=False, markup=False, force_jupyter=False)
        self._live: Live | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and is_redrawable(self._console):
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def apply(self, event: TrialEvent) -> None:
        """Print a plain line when a trial has ended, or when the last line is old; none on a terminal."""
        if self._quiet or self._live:
            return
        is_end = isinstance(event, End) and event.trial
        if is_end or time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            ended = self._board.rows.get(event.trial) if is_end else None
            self._console.print(_ended(ended) if ended else "", self._board.sentence(), sep="", soft_wrap=True)

    def _render(self) -> Group:
        board = self._board
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("trial", no_wrap=True, overflow="ellipsis")
        for title, justify in (("state", "left"), ("epoch", "right"), ("best val/miou", "right")):
            table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in _running_first(board.rows.values(), 12):
            best = "" if math.isnan(row.best_miou) else f"{row.best_miou:.3f} @ {row.best_epoch}"
            table.add_row(row.name, row.ending, f"{row.epochs}/{row.budget}", best)
        return Group(_summary(board), Text(), table)


def _summary(board: TrialTable) -> Table:
    """Return trials, epochs, best and time, one line each at any width."""
    best, seconds_left = board.best(), board.seconds_left()
    done, budget = board.epochs_done(), board.epochs_budget()
    so_far = f"{duration(time.monotonic() - board.started)} so far"
    ahead = f", at most {duration(seconds_left)} left" if seconds_left is not None and board.is_open() else ""
    epochs = Table.grid(padding=(0, 2))  # a bar of its own ends no line
    epochs.add_row(ProgressBar(total=max(1, budget), completed=done, width=30), f"{done} of at most {budget}")
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(no_wrap=True, overflow="ellipsis")
    lines.add_row("trials", board.counted())
    lines.add_row("epochs", epochs)
    lines.add_row("best", f"{best.best_miou:.3f} {best.name}" if best else "none yet")
    lines.add_row("time", so_far + ahead)
    return lines


def is_redrawable(console: Console) -> bool:
    """Return whether lines can be drawn over: a notebook's stream calls itself a terminal, but keeps every line."""
    return console.is_terminal and not console.is_dumb_terminal and not Console(stderr=True).is_jupyter


class _Screen(Console):
    """A console that stops writing when its reader has gone; rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Write nothing from now on."""
        self.quiet = True


def _running_first(rows: Iterable[TrialProgress], number: int) -> list[TrialProgress]:
    """Return running trials first, then the best of the others."""
    return sorted(rows, key=lambda row: (row.state != TrialState.RUNNING, -_or_zero(row.best_miou)))[:number]


def _ended(row: TrialProgress) -> str:
    if row.ending == "not started":
        return f"{row.name}: not started. "
    best = "no figure" if math.isnan(row.best_miou) else f"{row.best_miou:.3f} at epoch {row.best_epoch}"
    return f"{row.name}: {row.ending} after {count(row.epochs, 'epoch')}, best {best}. "


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
