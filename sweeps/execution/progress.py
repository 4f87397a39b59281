"""Live figures of a sweep: the board that its events are chalked on, and two ways of showing it."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.formatting import duration
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.outcomes import CUT_OFF, OPEN_STATES, RunStatus, StopReason, TrialState, trial_state
from sweeps.storage.tags import LOG_FILE, STOP_DETAIL, STOP_REASON

PLAIN_SECONDS = 30
"""Without a terminal a line is written when a trial ends, and otherwise so often."""


@dataclass
class TrialProgress:
    """One trial as far as it has come."""

    trial_id: str
    name: str
    is_reference: bool
    budget: int
    """Epochs that it may train."""
    keep: str = "best"
    """Which epoch counts: best or last."""
    state: str = TrialState.WAITING
    epochs: int = 0
    best_miou: float = math.nan
    best_epoch: int = 0
    seconds: float = 0.0
    """Spent in its epochs so far."""
    stop_reason: str = ""
    stop_detail: str = ""
    log_file: str = ""
    is_cancelled: bool = False
    """The user took it out; other trials whose reason is the user were interrupted with their sweep."""

    @property
    def ending(self) -> str:
        """Return how it ended, in words; while it has not, its state."""
        if self.is_cancelled and self.stop_reason == StopReason.USER:
            return "cancelled"
        if self.stop_reason in CUT_OFF:
            return "interrupted" if self.epochs else "not started"
        return self.stop_reason or self.state

    @property
    def is_scored(self) -> bool:
        """Has a figure that counts: a failed trial has none, as in the report."""
        return self.state != TrialState.FAILED and not math.isnan(self.best_miou)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the trial."""
        if event["kind"] == "start":
            self.state, self.stop_reason, self.stop_detail = TrialState.RUNNING, "", ""
        elif event["kind"] == "pause":
            self.state = TrialState.PAUSED
        elif event["kind"] == "retry":
            self.state = TrialState.WAITING
        elif event["kind"] == "epoch":
            self._epoch(event["step"], event["metrics"])
        elif event["kind"] == "end":
            self.end(event["status"], event["tags"])

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Take in how it ended, in MLflow's word and the tags of its run."""
        self.state = trial_state(status, TrialState.RUNNING)
        self.stop_reason, self.stop_detail = tags.get(STOP_REASON, ""), tags.get(STOP_DETAIL, "")
        self.log_file = tags.get(LOG_FILE, "")

    def _epoch(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        if epoch <= self.epochs:
            return  # a retried trial reports an epoch again
        self.epochs = epoch
        self.seconds += metrics.get("time/epoch_s") or 0.0
        value = metrics.get(OBJECTIVE)
        if value is not None and (self.keep == "last" or not value <= self.best_miou):
            self.best_miou, self.best_epoch = value, epoch


@dataclass
class TrialTable:
    """The trials of a sweep by what has happened to them; fed by the events that also go to the tracking store."""

    plan: Plan
    slots: int = 1
    rows: dict[str, TrialProgress] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        for trial in self.plan.trials:
            self._add(trial)

    def _add(self, trial: PlannedTrial) -> None:
        self.rows[trial.trial_id] = TrialProgress(
            trial.trial_id, trial.name, trial.is_reference, trial.epochs, trial.config.train.keep
        )

    def admit(self, trial: PlannedTrial) -> None:
        """Take in a trial that was not known when the sweep began."""
        self.plan = self.plan.with_trials([trial])
        self._add(trial)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event; those of the sweep itself change no row."""
        if row := self.rows.get(event["trial"]):
            row.apply(event)

    def queue(self, trial_ids: Iterable[str]) -> None:
        """Let trials wait for their turn in a pass, whatever they did in an earlier one, or in another sweep."""
        for trial_id in trial_ids:
            row = self.rows[trial_id]
            row.state, row.stop_reason, row.stop_detail = TrialState.WAITING, "", ""

    def cancel(self, is_cancelled: Callable[[str], bool]) -> None:
        """Take out what the user took out: of a trial that had not started there is no event."""
        for row in self.rows.values():
            row.is_cancelled = is_cancelled(row.trial_id)
            if row.state == TrialState.WAITING and row.is_cancelled:
                row.end(RunStatus.KILLED, {STOP_REASON: StopReason.USER, STOP_DETAIL: "cancelled before it started"})

    def ranked(self) -> list[TrialProgress]:
        """Return the rows, best first; those without a figure last."""
        return sorted(self.rows.values(), key=lambda row: (not row.is_scored, -_or_zero(row.best_miou)))

    def best(self) -> TrialProgress | None:
        """Return the row with the highest val/miou so far."""
        first = self.ranked()[0]
        return first if first.is_scored else None

    def counts(self) -> Counter[str]:
        """Return how many trials are in each state."""
        return Counter(row.state for row in self.rows.values())

    def epochs_done(self) -> int:
        """Return epochs trained so far, over all trials."""
        return sum(row.epochs for row in self.rows.values())

    def epochs_budget(self) -> int:
        """Return the epochs that still make up the whole: a stopped trial gives back what it did not use."""
        known = sum(row.budget if row.state in OPEN_STATES else row.epochs for row in self.rows.values())
        return known + self.plan.to_follow * self.plan.epochs

    def seconds_left(self) -> float | None:
        """Return an upper bound: what is left if nothing more is stopped; None before the first epoch."""
        done = self.epochs_done()
        if not done:
            return None
        per_epoch = sum(row.seconds for row in self.rows.values()) / done
        is_open = sum(row.state in OPEN_STATES for row in self.rows.values()) + self.plan.to_follow
        return (self.epochs_budget() - done) * per_epoch / max(1, min(self.slots, is_open))

    def sentence(self) -> str:
        """Return the state of the sweep in one line."""
        best, left = self.best(), self.seconds_left()
        parts = [self.counted(), f"epochs {self.epochs_done()} of at most {self.epochs_budget()}"]
        if best:
            parts.append(f"best {best.best_miou:.3f} {best.name}")
        if left is not None and self.is_open():
            parts.append(f"at most {duration(left)} left")
        return "; ".join(parts)

    def counted(self) -> str:
        """Return in words how many trials are in each state."""
        counts = self.counts()
        words = [f"{counts[state]} {state}" for state in TrialState if counts[state]]
        words += [f"{self.plan.to_follow} to come"] if self.plan.to_follow else []
        return ", ".join(words)

    def is_open(self) -> bool:
        """Return whether a trial may still train."""
        return any(row.state in OPEN_STATES for row in self.rows.values())

    def markdown(self) -> str:
        """Return the leaderboard as a Markdown table, for the note of the sweep's run."""
        lines = ["| | trial | best val/miou | at epoch | epochs | ended by |", "|-:|-|-:|-:|-:|-|"]
        for rank, row in enumerate(self.ranked(), 1):
            best = "" if math.isnan(row.best_miou) else f"{row.best_miou:.4f}"
            name = f"{row.name} (reference)" if row.is_reference else row.name
            lines.append(f"| {rank} | {name} | {best} | {row.best_epoch or ''} | {row.epochs} | {row.ending} |")
        return "\n".join(lines)


class LiveView:
    """Shows a board while a sweep runs: redrawn in place on a terminal, in plain lines elsewhere."""

    def __init__(self, board: TrialTable, *, is_quiet: bool = False) -> None:
        self._board, self._quiet = board, is_quiet
        self._console = _Screen(stderr=True, highlight=False, markup=False)
        self._live: Live | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.__exit__(kind, error, at)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Write a plain line where that is the way and the event is worth one."""
        if self._quiet or self._live:
            return
        is_worth_it = event["kind"] == "end" and event["trial"]
        if is_worth_it or time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            ended = self._board.rows.get(event["trial"]) if is_worth_it else None
            self._console.print(_ended(ended) if ended else "", self._board.sentence(), sep="", soft_wrap=True)

    def _render(self) -> Group:
        board = self._board
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("trial", no_wrap=True, overflow="ellipsis")
        for title, justify in (("state", "left"), ("epoch", "right"), ("best val/miou", "right")):
            table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in _most_telling(board.rows.values(), 12):
            best = "" if math.isnan(row.best_miou) else f"{row.best_miou:.3f} @ {row.best_epoch}"
            table.add_row(row.name, row.ending, f"{row.epochs}/{row.budget}", best)
        return Group(_summary(board), Text(), table)


def _summary(board: TrialTable) -> Table:
    """Return trials, epochs, best and time, a line each, whatever the width."""
    best, left = board.best(), board.seconds_left()
    done, budget = board.epochs_done(), board.epochs_budget()
    so_far = f"{duration(time.monotonic() - board.started)} so far"
    ahead = f", at most {duration(left)} left" if left is not None and board.is_open() else ""
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


class _Screen(Console):
    """A console that falls silent when nobody reads it any more; rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Write nothing from here on."""
        self.quiet = True


def _most_telling(rows: Iterable[TrialProgress], number: int) -> list[TrialProgress]:
    """Return running trials first, then the best of the rest."""
    return sorted(rows, key=lambda row: (row.state != TrialState.RUNNING, -_or_zero(row.best_miou)))[:number]


def _ended(row: TrialProgress) -> str:
    if row.ending == "not started":
        return f"{row.name}: not started. "
    best = "no figure" if math.isnan(row.best_miou) else f"{row.best_miou:.3f} at epoch {row.best_epoch}"
    return f"{row.name}: {row.ending} after {count(row.epochs, 'epoch')}, best {best}. "


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
