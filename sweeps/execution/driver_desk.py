"""Where trials ask whether they are to end and write their logs: the sweep's folder, or an actor beside the driver.

With checkpoints in an object store, machines of a cluster need not see the sweep's folder. Their trials then reach it
through Ray: the actor runs on the driver's machine and keeps no state, so that it can be started again at any time.
"""

import contextlib
import logging
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.errors import FencedError
from sweeps.storage.attempts import Attempt
from sweeps.storage.folder import SweepFolder

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5
"""How long a trial waits for an answer; without one it trains on."""


class TrialDesk(Protocol):
    """What a trial needs of the sweep's folder."""

    def check(self) -> None:
        """Check that this node can use it.

        Raises:
            FileNotFoundError: naming the node.
        """

    def check_attempt(self) -> None:
        """Check that no other process has taken over the sweep, before something is written into it.

        Raises:
            FencedError: when one has.
        """

    def is_cancelled(self, trial_id: str) -> bool:
        """Return whether the user has cancelled the trial."""

    def is_asked_to_save(self) -> bool:
        """Return whether the sweep is ending."""

    def open_log(self, trial_id: str) -> logging.Handler:
        """Return a handler that appends to the trial's log."""


@dataclass(frozen=True)
class FolderDesk:
    """The sweep's folder, which the trial sees."""

    folder: SweepFolder
    attempt: Attempt | None = None

    def check_attempt(self) -> None:
        if self.attempt:
            self.attempt.check()

    def check(self) -> None:
        """Check that this node sees the folder: otherwise the trial would make one of its own, and lose it."""
        if not self.folder.path.is_dir():
            node, path = platform.node(), self.folder.path
            raise FileNotFoundError(f"node {node} does not see the sweep's folder {path}: mount the storage there too")

    def is_cancelled(self, trial_id: str) -> bool:
        return self.folder.is_cancelled(trial_id)

    def is_asked_to_save(self) -> bool:
        return self.folder.is_asked_to_save()

    def open_log(self, trial_id: str) -> logging.Handler:
        path = self.folder.log(trial_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")


class FolderKeeper:
    """The actor beside the driver."""

    def __init__(self, folder: Path, attempt: Attempt | None = None) -> None:
        self._folder, self._attempt = SweepFolder(folder), attempt

    def is_over(self) -> bool:
        """Return whether another process has taken over the sweep."""
        return self._attempt is not None and self._attempt.is_over()

    def is_cancelled(self, trial_id: str) -> bool:
        """Return whether the user has cancelled the trial."""
        return self._folder.is_cancelled(trial_id)

    def is_asked_to_save(self) -> bool:
        """Return whether the sweep is ending."""
        return self._folder.is_asked_to_save()

    def append(self, trial_id: str, text: str) -> None:
        """Append to a trial's log."""
        path = self._folder.log(trial_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


@dataclass(frozen=True)
class ActorDesk:
    """The actor, as trials on any machine reach it."""

    keeper: Any

    def check(self) -> None:
        """Return at once: the node's own disk is not used."""

    def check_attempt(self) -> None:
        if self._answer(self.keeper.is_over.remote()):
            raise FencedError("another process has taken over the sweep")

    def is_cancelled(self, trial_id: str) -> bool:
        return self._answer(self.keeper.is_cancelled.remote(trial_id))

    def is_asked_to_save(self) -> bool:
        return self._answer(self.keeper.is_asked_to_save.remote())

    def open_log(self, trial_id: str) -> logging.Handler:
        return _ActorLog(self.keeper, trial_id)

    def _answer(self, reference: Any) -> bool:
        try:
            return bool(ray.get(reference, timeout=ANSWER_SECONDS))
        except RayError as error:  # GetTimeoutError is one
            log.warning("the driver's machine does not answer (%s); the trial goes on", type(error).__name__)
            return False


class _ActorLog(logging.Handler):
    """Sends lines to the actor, which appends them in their order."""

    def __init__(self, keeper: Any, trial_id: str) -> None:
        super().__init__()
        self._keeper, self._trial_id = keeper, trial_id
        self._last: Any = None

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(RayError):  # a log that cannot be written costs no trial
            self._last = self._keeper.append.remote(self._trial_id, f"{self.format(record)}\n")

    def close(self) -> None:
        """Wait until the lines are written."""
        if self._last is not None:
            with contextlib.suppress(RayError):
                ray.get(self._last, timeout=ANSWER_SECONDS)
        super().close()


@contextlib.contextmanager
def trial_desk(folder: SweepFolder, attempt: Attempt | None, *, is_shared: bool) -> Iterator[TrialDesk]:
    """Give the desk of a pass: the folder where every trial sees it, otherwise an actor on this machine."""
    if is_shared:
        yield FolderDesk(folder, attempt)
        return
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    keeper = ray.remote(FolderKeeper).options(**options).remote(folder.path, attempt)
    try:
        yield ActorDesk(keeper)
    finally:
        with contextlib.suppress(RayError):
            ray.kill(keeper)
