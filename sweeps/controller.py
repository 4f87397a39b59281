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
from collections.abc import Callable, Iterator
from typing import Any

import ray.tune.execution.tune_controller as controller_module
import ray.tune.tune as tune_module
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

log = logging.getLogger(__name__)


def never() -> bool:
    """Return that nobody has asked for the end."""
    return False


@contextlib.contextmanager
def patient_controller(is_ending: Callable[[], bool] = never) -> Iterator[None]:
    """Let Tune run with the controller of this room while the context lasts; it ends when `is_ending` says so."""
    before = tune_module.TuneController, controller_module.RayActorManager
    tune_module.TuneController = type("Controller", (PatientController,), {"is_ending": staticmethod(is_ending)})
    controller_module.RayActorManager = PatientActorManager
    try:
        yield
    finally:
        tune_module.TuneController, controller_module.RayActorManager = before


class PatientActorManager(RayActorManager):
    """Ray's manager of trial processes, but whatever ends a process fails its trial alone."""

    def _actor_task_failed(self, tracked_actor_task: TrackedActorTask, exception: Exception) -> None:
        if not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


class PatientController(TuneController):
    """Tune's controller, but a trial whose process cannot be reused goes back to the queue."""

    is_ending: Callable[[], bool] = staticmethod(never)

    def is_finished(self) -> bool:
        """Return whether all trials are done, or the end is asked for: what still runs is then cut off."""
        return self.is_ending() or bool(super().is_finished())

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
