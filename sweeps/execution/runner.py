"""Run a sweep: plan -> passes of Ray Tune -> outbox -> MLflow; resume one; returns a summary."""

import errno
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from bddseg.cores import describe_cores
from bddseg.errors import DataError
from bddseg.words import count
from sweeps.environment import cache_folder
from sweeps.errors import PassError, StorageError
from sweeps.execution.cluster import check_address, ray_cluster, room, slots
from sweeps.execution.ray_session import check_machine
from sweeps.execution.searcher import build_search
from sweeps.execution.signals import Interrupted, Interrupts
from sweeps.execution.spec import SweepResult, SweepSpec
from sweeps.execution.sweep import SweepRun
from sweeps.execution.tuner import TunerPass, recall, run_pass
from sweeps.notes import notes
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.storage.folder import making
from sweeps.storage.heartbeat import Heartbeat
from sweeps.storage.sweep_json import read_manifest
from sweeps.tracking.sync import close_lost_sweeps
from sweeps.tracking.uri import check_server, check_uri, database_file

log = logging.getLogger(__name__)

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""A disk that went on failing for longer than was waited for it."""

KEEPING = (
    "keeping the finalists' weights, checking the leader's figures, painting its predictions, timing the networks, "
    "delivering what was measured"
)


def run_sweep(order: SweepSpec) -> SweepResult:
    """Run a sweep to its end, or to an interrupt, and deliver what it measured.

    Raises:
        StorageError, TrackingError, ExperimentError: before anything is trained.
    """
    _prepare(order)
    sweep_id = new_sweep_id(order.title)
    with making(order.storage / sweep_id) as folder:
        run = SweepRun(order, sweep_id, folder)
        notes.info(f"sweep {sweep_id}: {order.plan.size_words()}; files in {folder}")
        if order.is_offline:
            sync = f"{order.tune_command} --sync {sweep_id}"
            notes.info(f"offline: nothing is sent to MLflow; deliver it later with: {sync}")
        return _drive(run, run.begin)


def resume_sweep(order: SweepSpec, sweep_id: str) -> SweepResult:
    """Go on with a sweep that was interrupted or lost its driver, to its end or to an interrupt.

    Trials that came to an end of their own stay as they are; the others go on from their newest checkpoint.

    Raises:
        StorageError, TrackingError, ExperimentError: before anything is changed.
        DataError: when the data are not those that the sweep began with.
    """
    folder = order.storage / sweep_id
    manifest = read_manifest(folder)
    recorded, found = manifest["data"]["fingerprint"], order.material.frames.fingerprint
    if recorded != found:
        raise DataError(f"sweep {sweep_id} began on data {recorded}, but {order.material.root} now gives {found}")
    _prepare(order)
    run = SweepRun(order, sweep_id, folder, manifest)
    return _drive(run, run.begin_again)


def _prepare(order: SweepSpec) -> None:
    """Check what can be checked before anything is written; close what dead drivers left open."""
    if order.address:
        check_address(order.address)
    else:
        check_machine(cache_folder())
    if not order.is_offline and database_file(check_uri(order.tracking_uri)) is None:
        check_server(order.tracking_uri)
    for sentence in close_lost_sweeps(order.storage, None if order.is_offline else order.tracking_uri):
        notes.info(sentence)


def _drive(run: SweepRun, begin: Callable[[], None]) -> SweepResult:
    """Hold the sweep, run its passes, close it. MLflow's store is made ready while Ray starts: both take seconds."""
    with (
        Interrupts() as interrupts,
        run.outbox.claimed(),
        Heartbeat(run.folder.path),
        ThreadPoolExecutor(1, "store") as helper,
    ):
        store: Future[None] | None = None
        try:
            begin()
            store = helper.submit(run.prepare_store)
            if not run.todo().is_over or run.grow():
                notes.info("starting Ray" if not run.order.address else f"joining Ray at {run.order.address}")
                _on_ray(run, interrupts, store)
            store.result()
            run.start_delivery()
            if not interrupts.is_requested():
                notes.info(KEEPING)
            return run.end(interrupts.number)
        except BaseException as found:
            error = interrupts.named(found)
            _abandon(run, error, store)
            told = _worded(run, error)
            if told is found:
                raise
            raise told from found


def _abandon(run: SweepRun, error: BaseException, store: Future[None] | None) -> None:
    """Close what a sweep has open that could not be run to its end."""
    try:
        run.abandon(error, is_store_ready=store is not None and store.done() and not store.exception())
    except (OSError, StorageError) as failure:
        log.warning("the ends of its runs could not be written: %s", failure)


def _worded(run: SweepRun, error: BaseException) -> BaseException:
    """Return the error as the user is told of it: in one line, with the command that goes on, where one would."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        error = StorageError(f"{run.folder.path} cannot be written: {error.strerror}")
    if not run.is_begun:
        return error
    again = f"{run.order.tune_command} --resume {run.sweep_id}"
    if isinstance(error, StorageError | PassError):
        return type(error)(f"{error}; once that is mended, go on with: {again}")
    if isinstance(error, Interrupted):
        error.resume_command = again
    return error


def new_sweep_id(space: str) -> str:
    """Return a name that sorts by time and is not used twice: `smoke-20261123-034501-3f2a`."""
    return f"{space}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _side_by_side(trials: int, *, is_joined: bool) -> str:
    where = "in the cluster" if is_joined else f"on {describe_cores()}"
    return f"{trials} trial{'s' * (trials != 1)} at a time, {where}"


def _on_ray(run: SweepRun, interrupts: Interrupts, store: Future[None]) -> None:
    """Run pass after pass, until nothing is open, on a Ray that is up for as long as that takes."""
    order, frames = run.order, run.order.material.frames  # but the plan of run.order may grow
    ray_is_up = ray_cluster(
        cache_folder(),
        address=order.address,
        object_bytes=frames.images.nbytes + frames.masks.nbytes,
        dashboard=order.dashboard,
    )
    with run.view, ray_is_up as dashboard:
        if dashboard:
            notes.info(dashboard.sentence())
        store.result()  # nothing is trained that could not be recorded
        smallest = {"GPU": min(order.gpu_shares.values())} if order.gpu_shares else {}
        run.board.slots = slots(order.resources | smallest, order.max_concurrent)
        run.start_delivery()
        before: TunerPass | None = None
        notes.info(_side_by_side(run.board.slots, is_joined=bool(order.address)))
        while not interrupts.is_requested():
            todo = run.todo()
            if todo.is_over:
                if not run.grow():
                    break
                continue
            if todo == before:
                raise PassError(
                    f"Ray ended a pass and left {count(len(todo.trials), 'trial')} open; see {run.folder.logs}"
                )
            if any(run.past_of(trial).memory_failures for trial in todo.trials):
                trials = len(todo.trials)
                notes.info(f"out of memory: another pass, with twice the share of the device; trials: {trials}")
            memory = run.folder.path / MEMORY
            search = build_search(
                order.experiment,
                run.order.plan,
                open_trials=todo.trials,
                memory=memory,
                slots=run.board.slots,
                max_concurrent=order.max_concurrent,
                source=run.supply.next if run.supply and todo.to_come else None,
                room=lambda: room(order.resources, order.max_concurrent),
            )
            run.scheduler = search.scheduler
            run.board.queue(trial.trial_id for trial in todo.trials)
            recall(search.scheduler, memory, run.past)
            run_pass(todo, run.order, search, run.folder, run.past, run.tracker(search.scheduler), interrupts)
            if error := search.failure():
                raise PassError(f"no further trial could be suggested ({type(error).__name__}: {error})") from error
            run.close_plan()
            before = todo
