"""One pass of a sweep: Ray Tune runs the open trials, each to its end or until the sweep is interrupted.

A sweep has one or more passes. After an interrupt or the loss of its driver, the next pass continues the open trials;
trials that ran out of memory get another pass with a larger share, because resources cannot change within a Tuner.
The state of earlier passes comes from the sweep's own events and checkpoints. Tune's snapshots are neither written nor
read: they are not atomic, and a restore that cannot read them silently starts from the beginning.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray import tune
from ray.exceptions import RayError

from sweeps.errors import PassError, StorageError
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.driver_desk import TrialDesk, trial_desk
from sweeps.execution.ray_patches import SummaryLeftOutError, patient_controller, without_summary
from sweeps.execution.searcher import TunerSetup
from sweeps.execution.signals import Interrupts
from sweeps.execution.spec import SweepSpec
from sweeps.execution.trainable import Workload, build_trainable
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.resources import enlarged
from sweeps.schedulers.rungs import TRIAL_KEY
from sweeps.schedulers.scheduler import Scheduler
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import PATIENCE_SECONDS
from sweeps.storage.trial_history import MEMORY_ATTEMPTS, TrialHistory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TunerPass:
    """The trials of one pass and their resources."""

    trials: Sequence[PlannedTrial]
    """Trials that started in an earlier pass come first."""
    resources: Mapping[str, Mapping[str, float]]
    to_come: int = 0
    """Number of trials that are still to be suggested."""

    @property
    def is_over(self) -> bool:
        return not self.trials and not self.to_come

    @classmethod
    def of(
        cls, spec: SweepSpec, plan: Plan, past: Mapping[str, TrialHistory], folder: SweepFolder, cores: int
    ) -> "TunerPass":
        """Return the pass over all trials that have not ended by themselves."""
        resources: dict[str, Mapping[str, float]] = {}
        for trial in plan.trials:
            history = past.get(trial.trial_id, TrialHistory())
            share = spec.resources_of(trial)
            larger = enlarged(share, cores) if history.memory_failures else None
            if history.reason == "oom":
                if larger is None or history.memory_failures >= MEMORY_ATTEMPTS:
                    continue
            elif not history.is_open(folder.is_cancelled(trial.trial_id)):
                continue
            resources[trial.trial_id] = larger or share
        is_new = {trial_id: not past.get(trial_id, TrialHistory()).is_started for trial_id in resources}
        is_open = [trial for trial in plan.trials if trial.trial_id in resources]
        return cls(sorted(is_open, key=lambda trial: is_new[trial.trial_id]), resources, plan.to_come)


def run_pass(
    todo: TunerPass,
    spec: SweepSpec,
    search: TunerSetup,
    folder: SweepFolder,
    checkpoints: Checkpoints,
    past: Mapping[str, TrialHistory],
    tracker: OutboxCallback,
    interrupts: Interrupts,
    check_ray: Callable[[], None] = lambda: None,
) -> None:
    """Run the pass with Ray Tune until it is done or interrupted.

    Args:
        todo: the trials and their resources.
        spec: the settings of the sweep.
        search: searcher and scheduler.
        folder: the sweep's folder.
        checkpoints: those of the sweep.
        past: the trials' histories so far.
        tracker: callback that records the trials' events.
        interrupts: asked between Tune's steps whether the sweep is to end.
        check_ray: called between Tune's steps; what it raises ends the pass.

    Raises:
        PassError: when Ray itself fails.
        StorageError: when the object store of the checkpoints does not answer.
        FencedError: when another process has taken over the sweep.
    """
    writer = tracker.recorder.writer

    def check() -> None:
        check_ray()
        writer.check_attempt()

    folder.go_on()
    checkpoints.await_answer()
    name = folder.next_pass(checkpoints.ask(checkpoints.last_pass))
    is_shared = spec.needs_shared_folder or not spec.address  # our own Ray is on this machine only
    with interrupts.deferred(), trial_desk(folder, writer.attempt, is_shared=is_shared) as desk:
        workload = _workload(todo, spec, desk, checkpoints, past)
        tuner = _build_tuner(name, workload, spec, search, tracker)
        check()
        is_local = checkpoints.filesystem is None
        summary = contextlib.nullcontext() if is_local else without_summary()
        with (
            summary,
            patient_controller(interrupts.is_requested, folder.ask_to_save, check, is_summarised=is_local),
        ):
            _fit(tuner, interrupts)
    writer.flush(PATIENCE_SECONDS)


def _build_tuner(
    name: str, workload: Workload, spec: SweepSpec, search: TunerSetup, tracker: OutboxCallback
) -> tune.Tuner:
    return tune.Tuner(
        build_trainable(workload, reused=spec.reuses_processes),
        param_space=search.param_space,
        tune_config=tune.TuneConfig(
            search_alg=search.searcher,
            scheduler=search.scheduler,
            num_samples=search.num_samples,
            reuse_actors=spec.reuses_processes,
            trial_name_creator=lambda trial: tracker.recorder.name_of(trial.config[TRIAL_KEY]),
            trial_dirname_creator=lambda trial: str(trial.config[TRIAL_KEY]),
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=workload.checkpoints.root,
            storage_filesystem=workload.checkpoints.filesystem,
            verbose=0,
            callbacks=[tracker],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=spec.max_failures),
        ),
    )


def _workload(
    todo: TunerPass,
    spec: SweepSpec,
    desk: TrialDesk,
    checkpoints: Checkpoints,
    past: Mapping[str, TrialHistory],
) -> Workload:
    """Return the data and settings that all trials of the pass share."""
    precision = spec.plan.trials[0].config.train.precision
    return Workload(
        base=spec.experiment.base.with_overrides({"train.precision": precision}).to_dict(),
        frames=spec.material.frames,
        split=spec.material.split,
        rungs=spec.plan.rungs,
        desk=desk,
        checkpoints=checkpoints,
        resources=todo.resources,
        share=spec.resources,
        threads=int(spec.resources["CPU"]),
        device="auto" if spec.resources["GPU"] else "cpu",
        reported={trial_id: history.safe_epoch for trial_id, history in past.items()},
        checkpoint_seconds=spec.checkpoint_seconds,
    )


def _fit(tuner: tune.Tuner, interrupts: Interrupts) -> None:
    """Run the tuner, ignoring failures of its summary: the sweep's own events have the results."""
    try:
        tuner.fit()
    except SummaryLeftOutError:
        return
    except (OSError, EOFError) as error:  # at its end Ray reads back its files, which a full disk may have lost
        log.warning("Ray's own summary of the pass cannot be read: %s", error)
    except RuntimeError as error:  # Ray cannot summarise trials that an interrupt kept from being set up
        if not interrupts.is_requested():
            raise
        log.info("Ray's own summary of the pass cannot be read: %s", error)
    except RayError as error:
        line = next(filter(str.strip, str(error).splitlines()), "")
        raise PassError(
            f"the Ray that runs the trials has failed ({type(error).__name__}: {line}); were its processes killed, "
            "for example for lack of memory?"
        ) from error


def recall(scheduler: Scheduler, memory: Path, past: Mapping[str, TrialHistory]) -> None:
    """Restore a scheduler from its own file, and from the reported values what the file lacks.

    A damaged file is renamed: the values at the rungs and the reasons of earlier stops are in the events too.
    """
    try:
        scheduler.recall()
    except StorageError as error:
        log.warning("%s; it is set aside, the rungs are filled from what the trials reported", error)
        os.replace(memory, memory.with_suffix(".damaged"))
    for trial_id, history in past.items():
        values = history.usable()
        for epoch, best in history.bests().items():
            scheduler.restore_value(trial_id, epoch, values[epoch], best)
