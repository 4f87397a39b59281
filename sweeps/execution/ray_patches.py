"""Every private part of Ray that is read or replaced, for Ray 2.60; no other module touches one.

Each part says why it is needed and how to see whether a new Ray still needs it. After an upgrade, try each check,
delete what is no longer needed, and compare the overridden methods of `PatientController` with their new originals.
"""

import contextlib
import functools
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import ray
import ray.tune.execution.tune_controller as controller_module
import ray.tune.tune as tune_module
from ray._private import parameter, ray_constants, services, utils, worker
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # compiled, without types
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError
from ray.train._internal.session import get_session
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from sweeps.errors import PassError

log = logging.getLogger(__name__)

SAVING_SECONDS = 10
"""How long a requested end waits for running trials to save the epochs since their last checkpoint."""


@contextlib.contextmanager
def replaced(module: ModuleType, **parts: Any) -> Iterator[None]:
    """Replace attributes of a module for the duration of the context."""
    before = {name: getattr(module, name) for name in parts}
    vars(module).update(parts)
    try:
        yield
    finally:
        vars(module).update(before)


# Starting and watching Ray. `ray.init` looks the replaced parts up in their module when it is called.


class ShieldedDaemon(services.ConsolePopen):
    """One of Ray's daemons, in a process group of its own, that no SIGTERM of others reaches.

    A blocked signal stays blocked in the processes that the daemon starts, unlike one that is ignored: Ray's daemons
    install a handler of their own. Our own end of a daemon is therefore SIGKILL, for its processes too.
    """

    def __init__(self, *arguments: Any, preexec_fn: Callable[[], None], **named: Any) -> None:
        def prepare() -> None:
            preexec_fn()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

        super().__init__(*arguments, preexec_fn=prepare, process_group=0, **named)

    def terminate(self) -> None:
        """Kill the daemon and all processes that it has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(self.pid).children(recursive=True)
            self.kill()
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@contextlib.contextmanager
def daemons_apart() -> Iterator[None]:
    """Start Ray's daemons, and with them the processes of trials, out of reach of the signals that are sent to us.

    Why: a signal to our process group (Ctrl-C) or to all our processes (a batch system or systemd that ends a job) must
    reach only this process; without its daemons a sweep cannot end gracefully: within half a second Ray ends this
    process without a message. They still end with this process, through the kernel's parent-death signal.
    Check: without this, send SIGTERM to a sweep and to all processes that it has started; no longer needed if it saves
    its trials and exits with 143.
    """
    with replaced(services, ConsolePopen=ShieldedDaemon):
        yield


@contextlib.contextmanager
def few_daemons(*, keep_all: bool) -> Iterator[None]:
    """Start Ray without the autoscaler, the log monitor and the dashboard server; each costs seconds.

    Why: one machine without a dashboard uses none of them, and trials write their own logs. No public option omits
    them. Check: list the child processes of a sweep without this.
    """
    if keep_all:
        yield
        return
    fewer = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    nothing = ("", None)  # no address, no process
    with replaced(parameter, RayParams=fewer), replaced(services, start_api_server=lambda *_, **__: nothing):
        yield


@contextlib.contextmanager
def messages_logged() -> Iterator[None]:
    """Send the messages of Ray's daemons to the log while Ray is up.

    Why: Ray prints them to stdout, among our results. The sweep itself notices processes and daemons that end.
    Check: kill a trial's process without this; no longer needed if stdout stays clean.
    """

    def note(message: Mapping[str, Any], **_: Any) -> None:
        log.info("Ray: %s", "\n".join(message["lines"]))

    with replaced(worker, print_to_stdstream=note):
        yield


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM that is installed.

    Why: Ray installs three. Two are Python's: one exits at the current line, the other, of an own Ray, ends the daemons
    at once. The third, abseil's, is installed below Python's and aborts the process three seconds later.
    Check: send SIGTERM to a sweep without this; no longer needed if the sweep saves its trials and exits with 143.
    """
    try:
        with replaced(utils, set_sigterm_handler=lambda handler: None):
            yield
    finally:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def stay_on_loopback() -> None:
    """Make Ray accept 127.0.0.1 as its node's address.

    Why: Ray replaces 127.0.0.1 by the machine's public address, and listens there, unless a second node is forbidden.
    Check: `ss -ltnp` during a sweep without this.
    """
    ray_constants.ENABLE_RAY_CLUSTER = False


def forget_token() -> None:
    """Drop the authentication token of an earlier Ray of this process.

    Why: Ray reads the token file once per process. Check: start two Rays with different tokens in one process.
    """
    AuthenticationTokenLoader.instance().reset_cache()


def private_start_options(session: Path, object_folder: Path, address: str) -> dict[str, Any]:
    """Return the options of `ray.init` for its folders and its address; it has no public ones."""
    return {"_temp_dir": str(session), "_plasma_directory": str(object_folder), "_node_ip_address": address}


def running_ray_address() -> str:
    """Return the address of the Ray that runs on this machine, "" without one; no public call only looks."""
    return services.canonicalize_bootstrap_address("auto") or ""


def dashboard_url() -> str:
    """Return the address of the dashboard; `ray.init` returns it, but only to a caller that starts Ray with it."""
    return str(ray.get_runtime_context().worker.node.address_info.get("webui_url") or "")


def is_started_here() -> bool:
    """Return whether this process started the Ray that is up: then trials inherit its environment."""
    node = worker._global_node
    return node is not None and bool(node.head)


def check_daemons() -> None:
    """Check that the daemons of a Ray that this process started still run.

    Why: seconds after one has ended, Ray ends this process without a message. No public call lists its daemons.

    Raises:
        PassError: naming those that do not.
    """
    if is_started_here() and (dead := sorted({kind for kind, _ in worker._global_node.dead_processes()})):
        raise PassError(f"{' and '.join(dead)} of Ray ended unexpectedly: killed, perhaps for lack of memory")


# In the process of a trial


def keep_checkpoint_index() -> Callable[[], None]:
    """Return a function that sets Ray's number of this trial's next checkpoint back to its present value.

    Why: an attempt to save that fails still increments the number; the driver does not learn of it and would expect a
    lower one. Check: make one attempt fail; no longer needed if the next checkpoint has the failed one's number.
    """
    session = get_session()
    if session is None:  # outside a trial
        return lambda: None
    index = session.storage.current_checkpoint_index

    def reset() -> None:
        session.storage.current_checkpoint_index = index

    return reset


# Tune's loop


@contextlib.contextmanager
def patient_controller(
    is_ending: Callable[[], bool] = lambda: False,
    ask_to_save: Callable[[], None] = lambda: None,
    check_ray: Callable[[], None] = lambda: None,
    *,
    is_summarised: bool = True,
) -> Iterator[None]:
    """Let Tune run with `PatientController` for the duration of the context.

    Args:
        is_ending: asked at each step whether the pass is to end.
        ask_to_save: called once when it is; it requests checkpoints from the running trials. The pass ends when all
            have saved, after `SAVING_SECONDS` at the latest.
        check_ray: called at each step; what it raises ends the pass.
        is_summarised: whether Tune writes its snapshot and its summary at the end.
    """
    parts = {
        "is_summarised": is_summarised,
        "is_ending": staticmethod(is_ending),
        "ask_to_save": staticmethod(ask_to_save),
        "check_ray": staticmethod(check_ray),
    }
    controller = type("Controller", (PatientController,), parts)
    with (
        replaced(tune_module, TuneController=controller),
        replaced(controller_module, RayActorManager=PatientActorManager),
    ):
        yield


class SummaryLeftOutError(Exception):
    """A pass has ended, and Ray has not summarised it."""


@contextlib.contextmanager
def without_summary() -> Iterator[None]:
    """Let Tune end without its last snapshot and its summary: `SummaryLeftOutError` ends `Tuner.fit`.

    Why: Tune writes the snapshot to the object store, and reads two files of each trial back, one after the other. A
    store that does not answer delays the end of an interrupted sweep by minutes; nothing uses either.
    Check: interrupt a sweep while its store is paused (drills/test_object_store has the case).
    """

    def leave_out(*_: Any, **__: Any) -> None:
        raise SummaryLeftOutError

    with replaced(tune_module, ExperimentAnalysis=leave_out):
        yield


class PatientActorManager(RayActorManager):
    """Ray's manager of trial processes, but any end of a process fails only its own trial.

    Why: the memory monitor raises an error that the original does not expect, which ends the whole sweep.
    Check: let the memory monitor kill one trial without this (test_warm has the case).
    """

    def _actor_task_failed(self, tracked_actor_task: TrackedActorTask, exception: Exception) -> None:
        if not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


class PlainActors(_ActorClassCache):
    """Tune's actors without a runtime environment of their own.

    Why: Tune passes variables that the processes have already. An actor with an environment of its own cannot use the
    processes that Ray starts in advance, and waits seconds for a new one. Check: time the first trial without this.
    """

    def get(self, trainable_cls: type) -> Any:
        """Return the actor class, the same object each time."""
        if trainable_cls not in self._cache:
            self._cache[trainable_cls] = ray.remote(trainable_cls)
        return self._cache[trainable_cls]


class PatientController(TuneController):
    """Tune's controller, but it loses no trial when a process cannot be reused, and it can be asked to end.

    Why: Tune hands the process of a finished trial to the next one with `reset`. A reset that fails makes the waiting
    trial an ERROR without a retry or a callback; a process that dies meanwhile is charged to the waiting trial, twice;
    in both cases the trial stays among those being reset, so that its slot is never free again. Here such a trial
    returns to the queue unblamed and gets a new process. Snapshots are written only at the end: a sweep is resumed
    from its own events. Check: the tests of test_warm with the original controller.
    """

    is_ending: Callable[[], bool] = staticmethod(lambda: False)
    ask_to_save: Callable[[], None] = staticmethod(lambda: None)
    check_ray: Callable[[], None] = staticmethod(lambda: None)
    is_summarised = True
    _saved_by: float | None = None
    """When the wait for last checkpoints ends, by the monotonic clock; None before the end was requested."""
    _is_ended = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if is_started_here():
            self._class_cache = PlainActors()

    def is_finished(self) -> bool:
        """Return whether all trials are done, or a requested end has come; trials that still run are cut off."""
        return self._is_ended or bool(super().is_finished())

    def step(self) -> None:
        """Handle one event; after a requested end, check whether all running trials have saved.

        Raises:
            PassError: when a daemon of our own Ray has ended, or the head of a cluster has been silent for long.
        """
        check_daemons()
        self.check_ray()
        super().step()
        if not self.is_ending():
            return
        if self._saved_by is None:
            self._saved_by = time.monotonic() + SAVING_SECONDS
            self._ask_to_save()
        running = [trial for trial in self.get_trials() if trial.status == Trial.RUNNING]
        self._is_ended = all(map(is_saved, running)) or time.monotonic() > self._saved_by

    def _ask_to_save(self) -> None:
        try:
            self.ask_to_save()
        except OSError as error:
            log.warning("trials end with the checkpoints that they have: %s", error)

    def _maybe_add_actors(self) -> None:
        if not self.is_ending():
            super()._maybe_add_actors()

    def checkpoint(self, force: bool = False, wait: bool = False) -> None:
        """Write one snapshot at the end: Tune's summary requires it, but nothing reads it."""
        if force and self.is_summarised:
            super().checkpoint(force=force, wait=wait)

    def _schedule_trial_task(self, trial: Trial, method_name: str, *args: Any, **kwargs: Any) -> Any:
        if method_name == "reset":
            kwargs["on_error"] = self._on_reset_error
        return super()._schedule_trial_task(trial, method_name, *args, **kwargs)

    def _on_trial_reset(self, trial: Trial, success: bool) -> None:
        if success:
            super()._on_trial_reset(trial, success)
        else:
            self._give_up_process(trial, "its last trial did not end in time")

    def _on_reset_error(self, trial: Trial, exception: Exception) -> None:
        """Handle a reset that raised; if the process died, `_actor_failed` has been called first and did everything."""
        if trial in self._resetting_trials:
            self._give_up_process(trial, str(exception).strip().splitlines()[-1])

    def _actor_failed(self, tracked_actor: TrackedActor, exception: Exception) -> None:
        trial = self._actor_to_trial.get(tracked_actor)
        if trial is not None and trial in self._resetting_trials:
            self._give_up_process(trial, "it died")
        else:
            super()._actor_failed(tracked_actor, exception)

    def _process_trial_failure(self, trial: Trial, exception: Any) -> None:
        """Retry a trial whose node was lost without counting it: Tune counts every loss but a drained node's."""
        trial.has_lost_node = is_node_loss(exception)
        if trial.has_lost_node and (trial.is_restoring or not exception.preempted):
            trial.run_metadata.num_failures -= 1  # the original adds one
        super()._process_trial_failure(trial, exception)

    def _give_up_process(self, trial: Trial, why: str) -> None:
        """End the process that a trial waits for, and return the trial to the queue.

        The fields are those that the original sets when it hands the process over, taken back in the reverse order:
        actor and trial forget each other before the actor is killed, so that its end is charged to no trial; the
        trial is queued last, when no field still counts it as staged or as being reset.
        """
        log.info("trial %s gets a new process instead of a used one: %s", trial, why)
        tracked_actor = self._trial_to_actor.pop(trial)
        self._actor_to_trial.pop(tracked_actor)
        self._actor_manager.clear_actor_task_futures(tracked_actor)
        tracked_actor.set_on_error(None)
        if not self._actor_manager.remove_actor(tracked_actor, kill=True):  # dead already: no event of its end follows
            self._started_actors.discard(tracked_actor)
        trial.set_ray_actor(None)
        self._resetting_trials.discard(trial)
        if trial in self._staged_trials:
            self._staged_trials.remove(trial)
            self._actor_cache.decrease_max(trial.placement_group_factory)
        if trial not in self._pending_trials_list:
            self._pending_trials_list.append(trial)
        self._resources_to_pending_trials[trial.placement_group_factory].add(trial)


NODE_LOST = re.compile(r"node has died|node was terminated|node is dead|NodeAffinity.* no longer exist", re.IGNORECASE)
"""Part of Ray's messages about an actor that ended with its node."""


def is_node_loss(error: BaseException) -> bool:
    """Return whether a trial failed because its node was lost or cannot be reached, through no fault of its own."""
    if isinstance(error, ActorUnavailableError):
        return True
    return isinstance(error, RayActorError) and bool(NODE_LOST.search(str(error)))


def has_lost_node(trial: Trial) -> bool:
    """Return whether the loss of its node was a trial's latest failure."""
    return bool(getattr(trial, "has_lost_node", False))


def is_saved(trial: Trial) -> bool:
    """Return whether a trial's last checkpoint has every epoch that the trial has reported."""
    reported, newest = (trial.last_result or {}).get("epoch"), trial.latest_checkpoint_result
    return reported is None or (newest is not None and newest.metrics.get("epoch") == reported)
