"""Tune's loop, made to lose nothing: processes that cannot be reused, kills for lack of memory, a wish to end.

Ray Tune 2.60 hands the process of a finished trial to the next one with `reset`. In
`ray.tune.execution.tune_controller` a reset that fails makes the waiting trial an ERROR, without a retry and without a
word to the callbacks; a process that dies meanwhile is charged to the waiting trial, twice; and either way the trial
stays among those being reset, so that its slot waits for ever. Here such a trial goes back to the queue, unblamed, and
gets a new process.

A process that Ray's memory monitor kills ends the whole sweep there (`ray.air.execution._internal.actor_manager`);
here it is a failure of its trial like any other. Snapshots are not written on the way: a sweep is resumed from its own
events.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray.tune.execution.tune_controller as controller_module
import ray.tune.tune as tune_module
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from sweeps.execution.cluster import check_daemons, is_started_here
from sweeps.execution.ray_patches import replaced

log = logging.getLogger(__name__)


SAVING_SECONDS = 10
"""How long an end that was asked for waits for trials to save what they have reported since their last checkpoint."""


def never() -> bool:
    """Return that nobody has asked for the end."""
    return False


def ask_nobody() -> None:
    """Let trials end with the checkpoints that they have."""


@contextlib.contextmanager
def patient_controller(
    is_ending: Callable[[], bool] = never, ask_to_save: Callable[[], None] = ask_nobody
) -> Iterator[None]:
    """Let Tune run with the controller of this room while the context lasts.

    It ends when `is_ending` says so, as soon as the trials that run have saved what they reported: `ask_to_save`, which
    is called once, lets them; what takes longer than `SAVING_SECONDS` is not waited for.
    """
    parts = {"is_ending": staticmethod(is_ending), "ask_to_save": staticmethod(ask_to_save)}
    controller = type("Controller", (PatientController,), parts)
    with (
        replaced(tune_module, TuneController=controller),
        replaced(controller_module, RayActorManager=PatientActorManager),
    ):
        yield


class PatientActorManager(RayActorManager):
    """Ray's manager of trial processes, but whatever ends a process fails its trial alone."""

    def _actor_task_failed(self, tracked_actor_task: TrackedActorTask, exception: Exception) -> None:
        if not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


class PlainActors(_ActorClassCache):
    """Tune's actors without an environment of their own: they have that of the processes that Ray starts beforehand."""

    def get(self, trainable_cls: type) -> Any:
        """Return the class as an actor's, the same each time."""
        if trainable_cls not in self._cache:
            self._cache[trainable_cls] = ray.remote(trainable_cls)
        return self._cache[trainable_cls]


class PatientController(TuneController):
    """Tune's controller, but a trial whose process cannot be reused goes back to the queue."""

    is_ending: Callable[[], bool] = staticmethod(never)
    ask_to_save: Callable[[], None] = staticmethod(ask_nobody)
    _saved_by: float | None = None
    """When the wait for last checkpoints ends, by the monotonic clock; None while the end is not asked for."""
    _is_ended = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if is_started_here():
            self._class_cache = PlainActors()

    def is_finished(self) -> bool:
        """Return whether all trials are done, or an end that was asked for has come: what still runs is cut off."""
        return self._is_ended or bool(super().is_finished())

    def step(self) -> None:
        """Handle one event; where the end is asked for, see whether it has come.

        Raises:
            PassError: when a daemon of our own Ray is gone: seconds later Ray ends this process without a word.
        """
        check_daemons()
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
        """Write one snapshot, at the end: Tune insists on it, nobody reads it."""
        if force:
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
        """Handle a reset that raised; of a process that died, `_actor_failed` was told first and has done all."""
        if trial in self._resetting_trials:
            self._give_up_process(trial, str(exception).strip().splitlines()[-1])

    def _actor_failed(self, tracked_actor: TrackedActor, exception: Exception) -> None:
        trial = self._actor_to_trial.get(tracked_actor)
        if trial is not None and trial in self._resetting_trials:
            self._give_up_process(trial, "it died")
        else:
            super()._actor_failed(tracked_actor, exception)

    def _give_up_process(self, trial: Trial, why: str) -> None:
        """End the process that a trial waits for, and put the trial back where it waits for a new one."""
        log.info("trial %s gets a new process instead of a used one: %s", trial, why)
        tracked_actor = self._trial_to_actor.pop(trial)
        self._actor_to_trial.pop(tracked_actor)
        self._actor_manager.clear_actor_task_futures(tracked_actor)
        tracked_actor.set_on_error(None)
        if not self._actor_manager.remove_actor(tracked_actor, kill=True):  # dead already: nobody will say it stopped
            self._started_actors.discard(tracked_actor)
        trial.set_ray_actor(None)
        self._resetting_trials.discard(trial)
        if trial in self._staged_trials:
            self._staged_trials.remove(trial)
            self._actor_cache.decrease_max(trial.placement_group_factory)
        if trial not in self._pending_trials_list:
            self._pending_trials_list.append(trial)
        self._resources_to_pending_trials[trial.placement_group_factory].add(trial)


def is_saved(trial: Trial) -> bool:
    """Return whether a trial's last checkpoint has all that it has reported."""
    reported, newest = (trial.last_result or {}).get("epoch"), trial.latest_checkpoint_result
    return reported is None or (newest is not None and newest.metrics.get("epoch") == reported)
