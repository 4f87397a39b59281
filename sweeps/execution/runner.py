"""Runs or resumes a sweep: passes of Ray Tune, their events, and the end of the sweep."""

import contextlib
import errno
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from bddseg.cores import describe_cores
from bddseg.errors import DataError
from bddseg.words import count
from sweeps.environment import cache_folder
from sweeps.errors import ClusterError, FencedError, PassError, StorageError
from sweeps.execution.cluster import ray_cluster
from sweeps.execution.cluster_address import check_address
from sweeps.execution.cluster_nodes import await_node, room, slots
from sweeps.execution.cluster_watch import watched
from sweeps.execution.code_package import own_names
from sweeps.execution.end_watch import ended_in_time
from sweeps.execution.finalize import abandon_sweep, end_sweep
from sweeps.execution.missed_evidence import fetch_missed_evidence
from sweeps.execution.ray_session import check_machine
from sweeps.execution.searcher import build_search
from sweeps.execution.signals import Interrupted, Interrupts
from sweeps.execution.spec import SweepResult, SweepSpec
from sweeps.execution.sweep import SweepRun
from sweeps.execution.tuner import TunerPass, recall, run_pass
from sweeps.notes import notes
from sweeps.schedulers.state_file import FILE as SCHEDULER_FILE
from sweeps.storage.attempts import Attempt, take_number
from sweeps.storage.folder import making
from sweeps.storage.heartbeat import Heartbeat
from sweeps.storage.recovery import is_begun
from sweeps.storage.sweep_json import read_manifest
from sweeps.tracking.sync import close_lost_sweeps
from sweeps.tracking.uri import check_server, check_uri, database_file

log = logging.getLogger(__name__)

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Errors of a disk that kept failing during all retries."""

TAKE_OVER_SECONDS = 60
"""How long a sweep that is taken over waits for the lock of the older process, which may be on a lost machine."""

KEEPING = (
    "keeping the finalists' weights, verifying the leader, painting its predictions, timing the networks, "
    "delivering the results"
)


def run_sweep(spec: SweepSpec, name: str | None = None) -> SweepResult:
    """Run a sweep to its end, or to an interrupt, and deliver its results.

    Args:
        spec: its settings.
        name: its id; a new one without it. A folder of that name may be left of a start that wrote nothing.

    Raises:
        StorageError, TrackingError, ExperimentError: before anything is trained.
    """
    _prepare(spec)
    sweep_id = name or new_sweep_id(spec.title)
    with making(spec.storage / sweep_id) as folder:
        run = SweepRun(spec, sweep_id, folder)
        where = f", checkpoints in {spec.checkpoints}/{sweep_id}" if spec.checkpoints else ""
        notes.info(f"sweep {sweep_id}: {spec.plan.size_words()}; files in {folder}{where}")
        if spec.is_offline:
            sync = f"{spec.tune_command} --sync {sweep_id}"
            notes.info(f"offline: nothing is sent to MLflow; deliver it later with: {sync}")
        return _drive(run, run.begin)


def resume_sweep(spec: SweepSpec, sweep_id: str, *, takes_over: bool = False) -> SweepResult:
    """Resume a sweep that was interrupted or lost its driver, and run it to its end or to another interrupt.

    Trials that ended by themselves stay as they are; the others continue from their newest checkpoint. With
    `takes_over` a process that still drives the sweep ends itself.

    Raises:
        StorageError, TrackingError, ExperimentError: before anything is changed.
        DataError: when the data differ from those that the sweep started with.
    """
    folder = spec.storage / sweep_id
    manifest = read_manifest(folder)
    recorded, present = manifest.data["fingerprint"], spec.material.frames.fingerprint
    if recorded != present:
        raise DataError(f"sweep {sweep_id} started on data {recorded}, but {spec.material.root} now has {present}")
    _prepare(spec)
    run = SweepRun(spec, sweep_id, folder, manifest)
    return _drive(run, run.begin_again, takes_over=takes_over)


def _prepare(spec: SweepSpec) -> None:
    """Check everything that can be checked before anything is written; close the runs of dead drivers."""
    if spec.address:
        check_address(spec.address)
    else:
        check_machine(cache_folder())
    if not spec.is_offline and database_file(check_uri(spec.tracking_uri)) is None:
        check_server(spec.tracking_uri)
    for sentence in close_lost_sweeps(spec.storage, None if spec.is_offline else spec.tracking_uri):
        notes.info(sentence)


@contextlib.contextmanager
def _held(run: SweepRun, *, takes_over: bool) -> Iterator[Attempt]:
    """Hold the sweep within the context: its lock, where locks reach, and the newest number of an attempt.

    The lock comes first, so that a process that is refused ends no other one. A process that takes over has its number
    first, and does without the lock of a machine that is cut off or lost: the number keeps that one from writing.
    """
    attempt = take_number(run.folder.path) if takes_over else None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(run.outbox.claimed(TAKE_OVER_SECONDS if takes_over else 0.0))
        except StorageError as error:
            if not takes_over:
                raise
            log.warning("%s: continuing all the same, as attempt %d", error, attempt.number if attempt else 0)
        if run.is_new and is_begun(run.folder.path):
            raise StorageError(f"sweep {run.sweep_id} was started by another process at the same time: try again")
        run.outbox.attempt = attempt or take_number(run.folder.path)
        yield run.outbox.attempt


def _drive(run: SweepRun, begin: Callable[[], None], *, takes_over: bool = False) -> SweepResult:
    """Run the sweep's passes and close it; MLflow's store is prepared while Ray starts, since both take seconds."""
    with (
        Interrupts() as interrupts,
        _held(run, takes_over=takes_over) as attempt,
        Heartbeat(run.folder.path, attempt.is_over),
        ThreadPoolExecutor(1, "store") as helper,
    ):
        store: Future[None] | None = None
        try:
            begin()
            store = helper.submit(run.prepare_store)
            fetch_missed_evidence(run)
            if not run.open_trials().is_over or run.trials.add_follow_ups():
                notes.info("starting Ray" if not run.spec.address else f"joining Ray at {run.spec.address}")
                _on_ray(run, interrupts, store)
            store.result()
            run.start_delivery()
            if not interrupts.is_requested():
                notes.info(KEEPING)
            return end_sweep(run, interrupts.number)
        except FencedError:
            raise  # its runs stay open, for the process that has taken over
        except BaseException as raised:
            attempt.check()  # whatever else has failed meanwhile
            error = interrupts.named(raised)
            _abandon(run, error, store)
            explained = _with_resume_command(run, error)
            if explained is raised:
                raise
            raise explained from raised


def _abandon(run: SweepRun, error: BaseException, store: Future[None] | None) -> None:
    """Close the open runs of a sweep that could not be run to its end."""
    try:
        is_store_ready = store is not None and store.done() and not store.exception()
        abandon_sweep(run, error, is_store_ready=is_store_ready)
    except (OSError, StorageError, FencedError) as failure:
        log.warning("the ends of its runs could not be written: %s", failure)


def _with_resume_command(run: SweepRun, error: BaseException) -> BaseException:
    """Return the error as the user sees it: one line, with the command that resumes the sweep if it can be resumed."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        error = StorageError(f"{run.folder.path} cannot be written: {error.strerror}")
    if not run.is_begun:
        return error
    command = _resume_command(run)
    if isinstance(error, StorageError | PassError | ClusterError):
        error = type(error)(f"{error}; once this is fixed, resume with: {command}")
    if isinstance(error, Interrupted):
        error.resume_command = command
    error.sweep_id = run.sweep_id  # type: ignore[attr-defined]  # for a notification
    return error


def _resume_command(run: SweepRun) -> str:
    return f"{run.spec.tune_command} --resume {run.sweep_id}"


def new_sweep_id(space: str) -> str:
    """Return a unique id that sorts by time: `smoke-20261123-034501-3f2a`."""
    return f"{space}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _on_ray(run: SweepRun, interrupts: Interrupts, store: Future[None]) -> None:
    """Start or join Ray, and run passes until no trial is open."""
    spec, frames = run.spec, run.spec.material.frames
    ray_is_up = ray_cluster(
        cache_folder(),
        address=spec.address,
        object_bytes=frames.images.nbytes + frames.masks.nbytes,
        dashboard=spec.dashboard,
        own_names=own_names(spec.experiment),
    )
    in_time = ended_in_time(interrupts, lambda error: _abandon(run, error, store), _resume_command(run))
    with contextlib.ExitStack() as stack, in_time, run.view, ray_is_up as dashboard:
        if dashboard:
            notes.info(dashboard.sentence())
        store.result()  # no trial starts that could not be recorded
        smallest = {"GPU": min(spec.gpu_shares.values())} if spec.gpu_shares else {}
        if run.runs_page:
            notes.info(f"MLflow: {run.runs_page}")
        share = spec.resources | smallest
        if spec.address:
            run.check_ray = stack.enter_context(watched(share, _resume_command(run))).check
            await_node(share, spec.wait_seconds)
        run.board.slots = slots(share, spec.max_concurrent)
        run.start_delivery()
        where = "in the cluster" if spec.address else f"on {describe_cores()}"
        notes.info(f"{count(run.board.slots, 'trial')} at a time, {where}")
        with run.gauges:
            _run_passes(run, interrupts)


def _run_passes(run: SweepRun, interrupts: Interrupts) -> None:
    """Run pass after pass until no trial is open, or until an interrupt.

    Raises:
        PassError: when a pass fails, or ends without changing which trials are open.
    """
    before: TunerPass | None = None
    while not interrupts.is_requested():
        todo = run.open_trials()
        if todo.is_over:
            if not run.trials.add_follow_ups():
                return
            continue
        if todo == before:
            raise PassError(f"Ray ended a pass and left {count(len(todo.trials), 'trial')} open; see {run.folder.logs}")
        if any(run.past[trial.trial_id].memory_failures for trial in todo.trials if trial.trial_id in run.past):
            trials = len(todo.trials)
            notes.info(f"out of memory: another pass, with twice the share of the device; trials: {trials}")
        _run_pass(run, todo, interrupts)
        if not interrupts.is_requested():
            fetch_missed_evidence(run)
        run.trials.close_plan()
        before = todo


def _run_pass(run: SweepRun, todo: TunerPass, interrupts: Interrupts) -> None:
    spec, state_file = run.spec, run.folder.path / SCHEDULER_FILE
    search = build_search(
        spec.experiment,
        run.plan.current,
        open_trials=todo.trials,
        memory=state_file,
        slots=run.board.slots,
        max_concurrent=spec.max_concurrent,
        source=run.trials.next_suggestion if run.trials.suggestions and todo.to_come else None,
        room=lambda: room(spec.resources, spec.max_concurrent),
    )
    run.trials.scheduler = search.scheduler
    run.board.queue(trial.trial_id for trial in todo.trials)
    recall(search.scheduler, state_file, run.past)
    tracker = run.tracker(search.scheduler)
    run_pass(todo, spec, search, run.folder, run.checkpoints, run.past, tracker, interrupts, run.check_ray)
    if error := search.failure():
        raise PassError(f"no further trial could be suggested ({type(error).__name__}: {error})") from error
