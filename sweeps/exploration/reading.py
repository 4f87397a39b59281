"""Reads all files of a folder once, with every core, in bounded memory."""

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from bddseg.cores import usable_cores
from bddseg.data.catalog import Sample
from bddseg.data.description import Description
from bddseg.errors import AccessError
from sweeps.exploration.measurement import Damage, Measurement, measure_all

CHUNK = 8
"""Images that a process measures for each message."""

AHEAD = 3
"""Chunks that wait for each process; bounds memory."""

MOST_PROCESSES = 12
"""Each takes some 60 MB beyond what it shares with the others."""

FEW = 2 * CHUNK
"""So many images are measured in this process: starting others takes a second."""

Results = list[Measurement | Damage]


def measure_samples(
    samples: Sequence[Sample], description: Description, size_px: int, *, progress: bool = False, workers: int = 0
) -> Results:
    """Return a measurement for each sample, or why it cannot be used, in their order.

    Args:
        samples: the files.
        description: what the masks mean.
        size_px: side of the frames that training uses.
        progress: show a bar on stderr.
        workers: processes; 0 uses all cores.

    Raises:
        AccessError: when a process ends, mostly for lack of memory.
    """
    chunks = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)]
    workers = workers or (1 if len(samples) <= FEW else min(usable_cores(), MOST_PROCESSES))
    results: Results = []
    with tqdm(total=len(samples), desc="reading", unit="image", file=sys.stderr, disable=not progress) as bar:
        measured = _in_processes(chunks, description, size_px, workers) if workers > 1 else (
            measure_all(chunk, description, size_px) for chunk in chunks
        )  # fmt: skip
        for part in measured:
            results += part
            bar.update(len(part))
    return results


def _in_processes(
    chunks: Sequence[Sequence[Sample]], description: Description, size_px: int, workers: int
) -> Iterator[Results]:
    """Yield the results of each chunk in order.

    The processes are forked from a server that has loaded everything and has no threads, so that they share its memory.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps.exploration.measurement"])
    pending: deque[Future[Results]] = deque()
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        for chunk in chunks:
            pending.append(pool.submit(measure_all, chunk, description, size_px))
            if len(pending) > workers * AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()  # the pool sends SIGTERM, which they ignore if whoever started this command did
        raise AccessError("a process that reads images was killed, mostly for lack of memory: start again") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the first process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
