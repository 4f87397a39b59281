"""A second process that draws its share of a report's figures; it loads what it needs while the store is still read."""

import io
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

from bddseg.cores import usable_cores
from bddseg.evidence import Evidence
from sweeps.report.figures import RenderedFigure, draw_plate
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section

CANNOT_TRAVEL = (pickle.PicklingError, TypeError, AttributeError)
"""What pickle raises for a drawing that cannot be sent."""

T = TypeVar("T")
Key = tuple[str, str]
"""Section and name of a drawing."""

AHEAD = 2
"""Drawings that the second process is given before it is done with the first."""

_sent: dict[Key, Drawing] = {}
"""In the second process: what it may be asked to draw."""


class DrawingProcess:
    """Draws with two processes; without the second one, or when it is lost, alone."""

    def __init__(self, pool: ProcessPoolExecutor | None) -> None:
        self._pool = pool

    def begin(self, build: Callable[[Report], T], report: Report) -> Callable[[], T]:
        """Let the second process build something of a report; return what gives it. The counts stay at home."""
        if self._pool is None:
            return partial(build, report)
        try:
            promise = self._pool.submit(_build, _pack((build, report)))
        except (*CANNOT_TRAVEL, BrokenExecutor):
            return partial(build, report)

        def receive() -> T:
            try:
                return cast(T, promise.result())
            except (*CANNOT_TRAVEL, BrokenExecutor):
                return build(report)

        return receive

    def draw(self, sections: Sequence[Section]) -> dict[Key, RenderedFigure]:
        """Return every drawing by section and name. The second process begins at the front, this one at the end."""
        drawings = {(section.name, name): found for section in sections for name, found in section.drawings.items()}
        share = _Share(self._pool, drawings)
        share.begin()
        drawn = {key: draw_plate(*key, drawings[key]) for key in iter(share.take_last, None)}
        for key, promise in share.promised.items():
            try:
                drawn[key] = promise.result()
            except BrokenExecutor:  # it was killed, for instance for its memory
                drawn[key] = draw_plate(*key, drawings[key])
        return drawn


class _Share:
    """What is still to be drawn; the second process gets the next one whenever it is done with one."""

    def __init__(self, pool: ProcessPoolExecutor | None, drawings: Mapping[Key, Drawing]) -> None:
        self._pool = pool
        self._drawings = drawings
        self._todo = deque(drawings)
        self._lock = threading.RLock()
        self.promised: dict[Key, Future[RenderedFigure]] = {}

    def begin(self) -> None:
        """Send the drawings to the second process, and give it its first ones."""
        if self._pool is None:
            return
        try:
            self._pool.submit(_take, _pack(dict(self._drawings)))
        except (*CANNOT_TRAVEL, BrokenExecutor):
            return
        for _ in range(AHEAD):
            self._give()

    def take_last(self) -> Key | None:
        """Return the last that nobody draws; None when there is none left."""
        with self._lock:
            return self._todo.pop() if self._todo else None

    def _give(self, before: Future[RenderedFigure] | None = None) -> None:
        if before is not None and before.exception() is not None:
            return
        with self._lock:
            if self._pool is None or not self._todo:
                return
            key = self._todo.popleft()
            try:
                promise = self._pool.submit(_draw, key)
            except RuntimeError:  # the pool is broken or closed
                self._todo.appendleft(key)
                return
            self.promised[key] = promise
        promise.add_done_callback(self._give)


@contextmanager
def open_press() -> Iterator[DrawingProcess]:
    """Give a press; its second process is started at once where there is a second core."""
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
    """Leaves counts of images at home: nothing that is drawn needs them, and they are most of a report."""

    def reducer_override(self, value: Any) -> Any:
        return (type(None), ()) if isinstance(value, Evidence) else NotImplemented


def _pack(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Packer(buffer).dump(value)
    return buffer.getvalue()


def _load() -> None:
    """Load what figures are drawn with; an interrupt is the first process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import sweeps.report.page  # noqa: F401
    from sweeps.report.sections.fanova import load_optuna

    load_optuna()


def _take(packed: bytes) -> None:
    _sent.clear()
    _sent.update(pickle.loads(packed))  # noqa: S301 - from the process that started this one


def _build(packed: bytes) -> Any:
    build, report = pickle.loads(packed)  # noqa: S301 - from the process that started this one
    return build(report)


def _draw(key: Key) -> RenderedFigure:
    return draw_plate(*key, _sent[key])
