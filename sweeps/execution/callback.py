"""Ray callback -> outbox: what every trial measured, how it ended and why. Never raises into Ray's loop.

Why a trial stopped was decided by its scheduler or by itself; nothing is inferred here from epoch counts.
"""

import functools
import getpass
import logging
import math
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from bddseg.files import make_folder, sync_folder, sync_tree, write_file
from bddseg.result import METRICS, OBJECTIVE
from bddseg.words import count
from sweeps.errors import StorageError
from sweeps.execution.system_limits import kernel_kills
from sweeps.planning.plan import PlannedTrial
from sweeps.schedulers.rungs import NO_EPOCH, TRIAL_KEY, Stop
from sweeps.storage.artifacts import EVIDENCE_FOLDER, evidence_file
from sweeps.storage.outbox import RETRY_SECONDS, Event, Outbox
from sweeps.storage.outcomes import StopReason, status_of
from sweeps.storage.tags import (
    CONFIG_DIGEST,
    IS_REFERENCE,
    LOG_FILE,
    RETRIES,
    SETTING,
    STOP_DETAIL,
    STOP_REASON,
    SWEEP_ID,
    TRIAL_ID,
)

log = logging.getLogger(__name__)

SENTENCES: dict[str, str] = {
    StopReason.MAX_EPOCHS: "all {epochs} done",
    StopReason.PLATEAU: f"no better {OBJECTIVE} since epoch {{best}}, given up after epoch {{epoch}}",
    StopReason.DIVERGED: "the loss was not finite in epoch {epoch}",
    StopReason.OOM: "out of memory after epoch {epoch}",
    StopReason.USER: "cancelled by the user after epoch {epoch}",
}
"""Reason that a trial gives for its own end -> what is said about it."""

OUT_OF_MEMORY = re.compile(r"out ?of ?memory|MemoryError|running low on memory|cannot allocate memory", re.IGNORECASE)
DIED, NEVER_RAN = "worker process has died", "The actor never ran"
"""What Ray says of a process that ended without a traceback."""

KILLED_FOR_MEMORY = "the kernel killed its process for lack of memory"

EVIDENCE_FILES = (evidence_file("val"), evidence_file("test"))
DETAIL_CHARS = 500
CHECKPOINT_DEPTH = 3
"""Folders above a checkpoint that may be as new as it is: the trial's, the pass's, the sweep's."""


class StopReasons(Protocol):
    """What is asked of a scheduler: which trials it stopped, and why, and which of them wait for their turn."""

    stops: dict[str, Stop]
    paused: dict[str, int]


@dataclass
class TrialState:
    """What is remembered of one trial: plain values, since Ray saves them with its snapshots."""

    is_open: bool = False
    """Started and not ended."""
    is_paused: bool = False
    """Waits at a rung: to the tracking store it is still open."""
    retries: int = 0
    epoch: int = 0
    """The last one reported."""
    bests: list[dict[str, Any]] = field(default_factory=list)
    """Metrics of every epoch that counted when it came, with its "epoch"; the last one counts."""
    reason: str = ""
    """Why the trial ends, in its own words."""


def guarded(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that logs what goes wrong in it: an exception in a callback would end the whole sweep."""

    @functools.wraps(hook)
    def safe(*args: Any, **info: Any) -> None:
        try:
            hook(*args, **info)
        except Exception:  # nothing of ours raises into Ray's loop
            log.warning("tracking: %s failed; the sweep goes on", hook.__name__, exc_info=True)

    return safe


class OutboxCallback(Callback):
    """Writes one outbox event per start, epoch, artifact and end of a trial.

    `logs` is the folder of the trials' log files, `tags` are put on every trial's run (data.fingerprint, code.version),
    `listeners` are told every event in this process; a copy that Ray restores has none.
    """

    def __init__(
        self,
        outbox_folder: Path,
        sweep_id: str,
        trials: Mapping[str, PlannedTrial],
        scheduler: StopReasons,
        *,
        logs: Path | None = None,
        tags: Mapping[str, str] | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        self.scheduler = scheduler
        self._folder = Path(outbox_folder).absolute()
        self._logs = Path(logs).absolute() if logs else self._folder / "logs"
        self._listeners = tuple(listeners)
        self._sweep_id = sweep_id
        self._trials = trials  # not a copy: trials that are suggested meanwhile join it
        self._tags = {**source_tags(), **(tags or {})}
        self._progress: dict[str, TrialState] = {}
        self._outbox: Outbox | None = None
        self._held: deque[Event] = deque()
        """Events that could not be written yet."""
        self._is_failing = False
        """That was said already."""
        self._kernel_kills = kernel_kills()
        """Processes that the kernel had killed for lack of memory when this was last looked at."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_outbox": None, "_listeners": ()}

    def name_of(self, trial_id: str) -> str:
        """Return a trial's name."""
        return self._trials[trial_id].name

    def recall(self, events: Iterable[Event]) -> None:
        """Remember what earlier passes wrote down of the trials."""
        for event in events:
            if event.get("trial") not in self._trials:
                continue
            progress = self._progress.setdefault(event["trial"], TrialState())
            if event["kind"] == "epoch":
                keep = self._trials[event["trial"]].config.train.keep
                _remember(progress, int(event["step"]), event["metrics"], keep)
            elif event["kind"] == "end":
                progress.retries = int(event["tags"].get(RETRIES, progress.retries))

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Ray has started or restarted a trial."""
        progress = self._of(trial)
        if progress.is_open and progress.is_paused:
            progress.is_paused = False
            self._tell(self._whole(trial, {"kind": "start"}))
        else:
            self._start(trial)

    @guarded
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial has reported an epoch."""
        if "epoch" not in result:
            return
        epoch, progress = int(result["epoch"]), self._of(trial)
        progress.reason = str(result.get("stop_reason") or "")
        if result.get(NO_EPOCH):
            return
        metrics = {name: _number(result[name]) for name in METRICS if name in result}
        _remember(progress, epoch, metrics, self._trials[trial.config[TRIAL_KEY]].config.train.keep)
        ending = {"ending": progress.reason} if progress.reason else {}
        self._append(trial, {"kind": "epoch", "step": epoch, "metrics": metrics, **ending})
        if trial.config[TRIAL_KEY] in self.scheduler.paused:
            progress.is_paused = True
            self._tell(self._whole(trial, {"kind": "pause", "step": epoch}))

    @guarded
    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **info: Any
    ) -> None:
        """A trial has saved a checkpoint, and Ray is about to delete an older one: from now on this one counts.

        It and the events up to here go onto the disk, so that a power cut leaves the two together.
        """
        if self._outbox is not None:
            self._outbox.sync()
        path = Path(checkpoint.path)
        if path.is_dir():
            sync_tree(path)
            for folder in path.parents[:CHECKPOINT_DEPTH]:
                sync_folder(folder)

    @guarded
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended, by itself or stopped; also after early stopping."""
        self._end(trial, *self._why(trial))

    @guarded
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed and will be tried again."""
        self._of(trial).retries += 1
        name, text = self.name_of(trial.config[TRIAL_KEY]), _last_failure(trial)
        log.warning("%s is tried again: %s; see %s", name, self._cause(text), self._log_file(trial))
        self._write_traceback(trial, text)
        self._tell(self._whole(trial, {"kind": "retry"}))

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed for good."""
        text = _last_failure(trial)
        self._open(trial)
        self._log_error(trial, text)
        cause = self._cause(text)
        reason = StopReason.OOM if OUT_OF_MEMORY.search(text) or cause == KILLED_FOR_MEMORY else StopReason.ERROR
        self._end(trial, reason, cause)

    @guarded
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Ray has left its loop: what is still open was cut off."""
        for trial in trials:
            if self._of(trial).is_open:
                self._end_cut_off(trial)

    @guarded
    def _end_cut_off(self, trial: Trial) -> None:
        self._end(trial, *self._why(trial))

    def _why(self, trial: Trial) -> tuple[str, str]:
        """Return why a trial ended, and one sentence about it."""
        progress, stop = self._of(trial), self.scheduler.stops.get(trial.config[TRIAL_KEY])
        if progress.reason:
            sentence = SENTENCES.get(progress.reason, "ended by itself after epoch {epoch}")
            best = progress.bests[-1]["epoch"] if progress.bests else 0
            epochs = count(progress.epoch, "epoch")
            return progress.reason, sentence.format(epoch=progress.epoch, epochs=epochs, best=best)
        if stop is not None:
            return stop.reason, stop.sentence()
        return StopReason.USER, cut_off_words(progress.epoch)

    def _cause(self, text: str) -> str:
        """Return in one line why a trial failed: the last line of its traceback, or what became of its process."""
        if NEVER_RAN in text:
            return "its process could not be started"
        if DIED not in text:
            return text.splitlines()[-1].strip() if text else "no traceback was left"
        kills_before, self._kernel_kills = self._kernel_kills, kernel_kills()
        return KILLED_FOR_MEMORY if self._kernel_kills > kills_before else "its process was killed, or it crashed"

    def _start(self, trial: Trial) -> None:
        planned, progress = self._trials[trial.config[TRIAL_KEY]], self._of(trial)
        progress.is_open, progress.is_paused, progress.reason = True, False, ""
        tags = {
            **self._tags,
            SWEEP_ID: self._sweep_id,
            TRIAL_ID: planned.trial_id,
            CONFIG_DIGEST: planned.digest,
            SETTING: planned.config.setting_digest(),
            IS_REFERENCE: str(planned.is_reference).lower(),
            RETRIES: str(progress.retries),
            **planned.tags,
        }
        self._append(trial, {"kind": "start", "name": planned.name, "params": dict(planned.settings), "tags": tags})

    def _open(self, trial: Trial) -> None:
        """Start a trial that Ray ends without ever having started it."""
        if not self._of(trial).is_open:
            self._start(trial)

    def _end(self, trial: Trial, reason: str, detail: str) -> None:
        progress = self._of(trial)
        self._open(trial)
        self._spool_evidence(trial)
        tags = {
            STOP_REASON: reason,
            STOP_DETAIL: detail.strip()[:DETAIL_CHARS],
            LOG_FILE: str(self._log_file(trial)),
            RETRIES: str(progress.retries),
        }
        status = status_of(reason)
        progress.is_open = False
        self._append(
            trial,
            {"kind": "end", "status": status, "tags": tags, "metrics": _best_metrics(progress), "step": progress.epoch}
            | {"note": None},
        )

    @guarded
    def _spool_evidence(self, trial: Trial) -> None:
        """Copy the evidence in the trial's last checkpoint to where it stays until it is uploaded."""
        if trial.checkpoint is None:
            return
        for name in EVIDENCE_FILES:
            content = _read(trial.checkpoint, name)
            if content is not None:
                self._upload(trial, name, content, EVIDENCE_FOLDER)

    @guarded
    def _log_error(self, trial: Trial, text: str) -> None:
        """Make sure that the trial's log has the traceback, and record the log."""
        self._write_traceback(trial, text)
        path = self._log_file(trial)
        if path.is_file():
            self._append(trial, {"kind": "artifact", "path": str(path), "folder": ""})

    @guarded
    def _write_traceback(self, trial: Trial, text: str) -> None:
        """Write a failure into the trial's log, unless the trial has: a killed process leaves nothing there."""
        path = self._log_file(trial)
        content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if text and text.splitlines()[-1] not in content:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{text}\n")

    def _upload(self, trial: Trial, name: str, content: bytes, folder: str) -> None:
        path = self._folder / "spool" / trial.config[TRIAL_KEY] / name
        make_folder(path.parent)
        write_file(path, content, durable=True)
        self._append(trial, {"kind": "artifact", "path": str(path), "folder": folder})

    def _log_file(self, trial: Trial) -> Path:
        return self._logs / f"{trial.config[TRIAL_KEY]}.log"

    def _of(self, trial: Trial) -> TrialState:
        return self._progress.setdefault(trial.config[TRIAL_KEY], TrialState())

    def _append(self, trial: Trial, event: Event) -> None:
        whole = self._whole(trial, event)
        self._held.append(whole)
        self._write_held()
        self._tell(whole)

    def _tell(self, event: Event) -> None:
        """Tell the listeners; pauses, what follows them, and retries are for them alone."""
        for listen in self._listeners:
            listen(event)

    @staticmethod
    def _whole(trial: Trial, event: Event) -> Event:
        return {"trial": trial.config[TRIAL_KEY], "time_ms": time.time_ns() // 1_000_000, **event}

    def flush(self, seconds: float) -> None:
        """Write what could not be written when it happened; wait for the disk so long.

        Raises:
            StorageError: when it still fails then.
        """
        deadline = time.monotonic() + seconds
        self._write_held()
        while self._held:
            if time.monotonic() >= deadline:
                raise StorageError(f"{count(len(self._held), 'event')} could not be written to {self._folder}")
            time.sleep(RETRY_SECONDS)
            self._write_held()

    def _write_held(self) -> None:
        """Write what is not written yet, in order; a disk that fails gets another chance at the next event."""
        try:
            if self._outbox is None:
                self._outbox = Outbox(self._folder)
            while self._held:
                self._outbox.append(self._held[0])
                self._held.popleft()
            self._is_failing = False
        except (OSError, StorageError) as error:
            if not self._is_failing:
                log.warning("events wait for the disk: %s", error)
            self._is_failing = True


def cut_off_words(epoch: int) -> str:
    """Return in words that a trial was cut off after its last epoch; 0 before it had one."""
    return f"cut off after epoch {epoch}" if epoch else "cut off before its first epoch"


def _remember(progress: TrialState, epoch: int, metrics: Mapping[str, float | None], keep: str) -> None:
    """Note an epoch; one that is trained again takes back what came after it. `keep` is best or last."""
    progress.epoch = epoch
    while progress.bests and progress.bests[-1]["epoch"] >= epoch:
        progress.bests.pop()
    value = metrics.get(OBJECTIVE)
    if value is not None and (keep == "last" or not progress.bests or value > progress.bests[-1][OBJECTIVE]):
        progress.bests.append({"epoch": epoch, **metrics})


def _best_metrics(progress: TrialState) -> dict[str, float | None]:
    """Return the validation metrics of the epoch that counts as `best/...`; none when no epoch had a usable one."""
    if not progress.bests:
        return {}
    best = progress.bests[-1]
    found = {f"best/{name.removeprefix('val/')}": value for name, value in best.items() if name.startswith("val/")}
    return {"best/epoch": best["epoch"], **found}


def _number(value: Any) -> float | None:
    """Return a value as JSON holds it: what is not finite is None."""
    number = float(value) if value is not None else math.nan
    return number if math.isfinite(number) else None


def _last_failure(trial: Trial) -> str:
    """Return the traceback of a trial's last failure; Ray appends every retry's to one file."""
    source = trial.error_file
    if not source or not Path(source).is_file():
        return ""
    return re.split(
        r"^Failure # \d+.*$", Path(source).read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE
    )[-1].strip()


def _read(checkpoint: Checkpoint, name: str) -> bytes | None:
    if checkpoint.filesystem is None:
        return None
    try:
        with checkpoint.filesystem.open_input_stream(f"{checkpoint.path}/{name}") as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def source_tags() -> dict[str, str]:
    """Return who runs what, in the tags that MLflow's pages show."""
    tags = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    try:
        return {**tags, "mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container's user may have no name
        return tags
