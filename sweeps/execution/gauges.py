"""Exports the progress of a sweep as Ray metrics, for example for Prometheus.

A module of its own, since `progress` is imported by commands that must start without Ray. Names end with their unit
where they have one; `deploy/monitoring` has alerts and a dashboard that are made of these metrics.
"""

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ray.util.metrics import Gauge

from sweeps.errors import StorageError
from sweeps.execution.progress import TrialTable
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import Epoch, TrialEvent
from sweeps.storage.outcomes import TrialState

PREFIX = "sweep_"
"""Ray puts `ray_` before it."""

REFRESH_SECONDS = 10
"""How often figures are taken that change without an event; Ray exports every 10 s."""

SPEED = "throughput/img_s"

DESCRIPTIONS: Mapping[str, str] = {
    "trials": "Trials of the sweep in a state: waiting, running, paused, finished, stopped or failed.",
    "trials_to_come": "Trials that will be added to the sweep and are not known yet.",
    "epochs_done": "Epochs trained so far, over all trials.",
    "epochs_budget": "Epochs in total if no further trial is stopped early.",
    "best_miou": "Highest val/miou of a trial so far, from 0 to 1; missing before the first epoch.",
    "remaining_seconds": "Seconds until the sweep ends if no further trial is stopped early; missing before an epoch.",
    "images_per_second": "Training images per second, summed over running trials, each in its last epoch.",
    "last_epoch_timestamp_seconds": "Unix time of the last epoch of any trial; of the start of Ray before the first.",
    "outbox_pending_events": "Events and files that are not delivered to MLflow; missing with --offline.",
    "outbox_refused_events": "Events and files that MLflow has refused; missing with --offline.",
    "storage_free_bytes": "Bytes free in the file system of the sweep's folder.",
}
"""Name without prefix -> help text."""

log = logging.getLogger(__name__)


class Gauges:
    """Sets one gauge a figure, labelled with the sweep's id: on every event, and every 10 s within the context.

    Args:
        board: the progress of the trials.
        sweep_id: of the sweep.
        folder: of the sweep.
        outbox: the events of the sweep; None where nothing is delivered.
    """

    def __init__(self, board: TrialTable, sweep_id: str, folder: Path, outbox: EventFile | None) -> None:
        self._board, self._folder, self._outbox = board, folder, outbox
        self._labels = {"sweep": sweep_id}
        self._speeds: dict[str, float] = {}
        """Running trial -> images per second in its last epoch."""
        self._last_epoch = time.time()
        self._gauges: dict[str, Gauge] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="gauges", daemon=True)

    def __enter__(self) -> Self:
        """Start; Ray must run by now."""
        for name, description in DESCRIPTIONS.items():
            tag_keys = ("sweep", "state") if name == "trials" else ("sweep",)
            self._gauges[name] = Gauge(PREFIX + name, description=description, tag_keys=tag_keys)
        self._last_epoch = time.time()
        self._set_progress()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def apply(self, event: TrialEvent) -> None:
        """Set the gauges of the progress to the present state of the table, which has the event."""
        if isinstance(event, Epoch):
            self._last_epoch = time.time()
            self._speeds[event.trial] = event.metrics.get(SPEED) or 0.0
        row = self._board.rows.get(event.trial)
        if row and row.state != TrialState.RUNNING:
            self._speeds.pop(event.trial, None)
        self._set_progress()

    def _set_progress(self) -> None:
        board, counts, best = self._board, self._board.counts(), self._board.best()
        for state in TrialState:
            self._gauges["trials"].set(counts[state], self._labels | {"state": state})
        self._set("trials_to_come", board.plan.to_follow)
        self._set("epochs_done", board.epochs_done())
        self._set("epochs_budget", board.epochs_budget())
        self._set("best_miou", best.best_miou if best else None)
        self._set("remaining_seconds", board.seconds_left())
        self._set("images_per_second", sum(self._speeds.values()))
        self._set("last_epoch_timestamp_seconds", self._last_epoch)

    def _loop(self) -> None:
        while True:
            self._try("storage_free_bytes", lambda: shutil.disk_usage(self._folder).free)
            if outbox := self._outbox:
                self._try("outbox_pending_events", outbox.pending)
                self._try("outbox_refused_events", lambda: len(outbox.rejects()))
            if self._stopping.wait(REFRESH_SECONDS):
                return

    def _try(self, name: str, figure: Callable[[], float]) -> None:
        """Set a gauge to a figure that is read from a disk, unless the disk fails."""
        try:
            self._set(name, figure())
        except (OSError, StorageError) as error:
            log.debug("%s%s is not set: %s", PREFIX, name, error)

    def _set(self, name: str, figure: float | None) -> None:
        if figure is not None and not math.isnan(figure):
            self._gauges[name].set(figure, self._labels)
