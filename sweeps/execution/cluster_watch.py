"""Watches a cluster that was joined: a head that is lost ends the sweep with our own words, and missing nodes are told.

Without its head, Ray ends the driver's process a minute later with a line of its own, or blocks in a call that handles
no signal. So a thread asks the head's port; the sweep's loop ends itself when that has been silent for long, and where
the loop is blocked the thread ends the process. The sweep then counts as one whose driver was lost, and is resumed.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import ray

from sweeps.errors import ClusterError, PassError
from sweeps.execution.cluster_nodes import fitting_nodes, needed_words
from sweeps.notes import notes

POLL_SECONDS = 2
"""Pause between two questions to the head's port."""

ANSWER_SECONDS = 3
"""How long the port may take to answer one; the system repeats a lost first packet after 1 and after 3 s."""

SILENT_SECONDS = 40
"""The head may be unreachable for so long; a shorter failure of the network costs nothing.

The largest value that leaves time to end before Ray does. Ray ends the process 60 s after the loss, with its own words,
and the thread notices a silence up to 5 s late: 40 + 12 + 5 < 60. A link that is cut for 20 s is silent for 27 s at
most; the rest is for a busy machine."""

BLOCKED_SECONDS = 12
"""How long after that the sweep's own loop may take to leave Ray, before the thread ends the process."""

NODES_SECONDS = 30
"""How often it is said that no node can run a trial."""


@dataclass
class ClusterWatch:
    """The head of a cluster that was joined, and its nodes."""

    address: str
    """Of the head, host:port."""
    resume_command: str
    heard: float = field(default_factory=time.monotonic)
    """When the head has answered last."""
    over: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Check that the head has answered lately.

        Raises:
            PassError: when it has not.
        """
        if self.silence() > SILENT_SECONDS:
            raise PassError(self._sentence())

    def silence(self) -> float:
        """Return for how many seconds the head has not answered."""
        return time.monotonic() - self.heard

    def ask(self) -> None:
        """Ask the head's port, and end the process when it has been silent and the sweep's loop is blocked."""
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
            self.heard = time.monotonic()
        if self.silence() > SILENT_SECONDS + BLOCKED_SECONDS and not self.over.is_set():
            print(f"error: {self._sentence()}; once this is fixed, resume with: {self.resume_command}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(ClusterError.exit_code)

    def _sentence(self) -> str:
        return f"the head of the cluster, {self.address}, has not answered for {self.silence():.0f} s"


@contextlib.contextmanager
def watched(resources: Mapping[str, float], resume_command: str) -> Iterator[ClusterWatch]:
    """Watch the cluster that is joined for the duration of the context.

    Args:
        resources: CPU and GPU of the smallest trial.
        resume_command: the command that resumes the sweep.
    """
    watch = ClusterWatch(ray.get_runtime_context().gcs_address, resume_command)
    _repeat(watch.ask, POLL_SECONDS, watch.over)
    _repeat(lambda: _say_without_nodes(watch, resources), NODES_SECONDS, watch.over)
    try:
        yield watch
    finally:
        watch.over.set()


def _say_without_nodes(watch: ClusterWatch, resources: Mapping[str, float]) -> None:
    if watch.silence() > 2 * (POLL_SECONDS + ANSWER_SECONDS):
        notes.info(f"the head of the cluster, {watch.address}, has not answered for {watch.silence():.0f} s")
    elif not fitting_nodes(resources):
        notes.info(f"no node has {needed_words(resources)} at present: all trials wait for one to join")


def _repeat(action: Callable[[], None], seconds: float, over: threading.Event) -> None:
    """Call a function in a thread of its own, again and again."""

    def loop() -> None:
        while not over.wait(seconds):
            action()

    threading.Thread(target=loop, name="cluster-watch", daemon=True).start()
