"""Draw the figures of a report in two processes. The second one starts while the tracking store is still read."""

import io
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from bddseg.cores import usable_cores
from bddseg.evidence import Evidence
from sweeps.report.figures import RenderedFigure, render_figure
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section

NOT_PICKLED = (pickle.PicklingError, TypeError, AttributeError)
"""What pickle raises for a drawing that cannot be sent."""

T = TypeVar("T")
Key = tuple[str, str]
"""Section and name of a drawing."""

AHEAD = 2
"""Drawings that the second process is given before it is done with the first.

No more are submitted and cancelled later: in Python 3.11 a pool that breaks with a cancelled future never ends.
"""

_drawings: dict[Key, Drawing] = {}
"""In the second process: the drawings of the report, sent once, since they share most of it."""


class DrawingProcess:
    """Draws with two processes; with one where there is no second process, or where it is lost."""

    def __init__(self, pool: ProcessPoolExecutor | None) -> None:
        self._pool = pool

    def begin(self, build: Callable[[Report], T], report: Report) -> Callable[[], T]:
        """Start to build a part of the report in the second process; return a function that waits for it.

        What is built has no counts per image: they are not sent.
        """
        future = self._submit(_build, (build, report))

        def receive() -> T:
            try:
                return cast(T, future.result()) if future else build(report)
            except (*NOT_PICKLED, BrokenExecutor):
                return build(report)

        return receive

    def draw(self, sections: Sequence[Section]) -> dict[Key, RenderedFigure]:
        """Return every drawing by section and name: the second process draws from the first, this one from the last."""
        drawings = {(section.name, name): drawing for section in sections for name, drawing in section.drawings.items()}
        pool = self._pool if self._submit(_receive, drawings) else None
        remaining, drawn = deque(drawings), {}
        futures: dict[Key, Future[RenderedFigure]] = {}
        while remaining:
            if pool and sum(not future.done() for future in futures.values()) < AHEAD:
                try:
                    futures[remaining[0]] = pool.submit(_draw, remaining[0])
                    remaining.popleft()
                except RuntimeError:  # the pool is broken
                    pool = None
                continue
            key = remaining.pop()
            drawn[key] = render_figure(*key, drawings[key])
        for key, future in futures.items():
            try:
                drawn[key] = future.result()
            except BrokenExecutor:  # it was killed, for instance for its memory
                drawn[key] = render_figure(*key, drawings[key])
        return drawn

    def _submit(self, run: Callable[[bytes], Any], value: Any) -> Future[Any] | None:
        """Let the second process run a function on a value; None where it cannot."""
        try:
            return self._pool.submit(run, _pack(value)) if self._pool else None
        except (*NOT_PICKLED, BrokenExecutor):
            return None


@contextmanager
def open_drawing_process() -> Iterator[DrawingProcess]:
    """Give the drawing process; it starts at once where there is a second core."""
    if usable_cores() < 2:
        yield DrawingProcess(None)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_load)
    try:
        pool.submit(os.getpid)  # starts it
        yield DrawingProcess(pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Packer(pickle.Pickler):
    """Leaves out counts per image: no drawing needs them, and they are most of a report."""

    def reducer_override(self, value: Any) -> Any:
        return (type(None), ()) if isinstance(value, Evidence) else NotImplemented


def _pack(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Packer(buffer).dump(value)
    return buffer.getvalue()


def _load() -> None:
    """Load what drawing needs; the first process handles interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import sweeps.report.page  # noqa: F401
    from sweeps.report.sections.fanova import load_optuna

    load_optuna()


def _receive(packed: bytes) -> None:
    _drawings.clear()
    _drawings.update(pickle.loads(packed))  # noqa: S301 - from the process that started this one


def _build(packed: bytes) -> Any:
    build, report = pickle.loads(packed)  # noqa: S301 - from the process that started this one
    return build(report)


def _draw(key: Key) -> RenderedFigure:
    return render_figure(*key, _drawings[key])
