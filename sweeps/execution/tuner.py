"""One pass of a sweep: Ray Tune runs the trials that are still open, each to its end or until the sweep is interrupted.

A sweep is one pass, or several: after an interrupt or the loss of its driver the next pass goes on with what is open,
and trials for which memory was short get another pass with a larger share (resources cannot change within a Tuner).
What is known of earlier passes comes from the sweep's own events and checkpoints: Tune's snapshots are neither written
nor read. (They are not written atomically, and a restore that cannot read them starts over without a word.)
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray import tune
from ray.exceptions import RayError

from bddseg.result import OBJECTIVE
from sweeps.errors import PassError, StorageError
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.controller import patient_controller
from sweeps.execution.searcher import TunerSetup
from sweeps.execution.signals import Interrupts
from sweeps.execution.spec import SweepSpec
from sweeps.execution.trainable import Workload, build_trainable
from sweeps.planning.plan import PlannedTrial
from sweeps.planning.resources import enlarged
from sweeps.schedulers.rungs import TRIAL_KEY
from sweeps.schedulers.scheduler import Scheduler
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import PATIENCE_SECONDS, Event
from sweeps.storage.outcomes import StopReason
from sweeps.storage.trial_history import MEMORY_ATTEMPTS, TrialHistory

log = logging.getLogger(__name__)

MAX_FAILURES = 1
"""A trial whose process dies or raises is tried once more in the same pass, from its last checkpoint."""


@dataclass(frozen=True)
class TunerPass:
    """The trials of one pass, and what each may take."""

    trials: Sequence[PlannedTrial]
    """Those that were started before come first."""
    resources: Mapping[str, Mapping[str, float]]
    to_come: int = 0
    """Trials that are still to be suggested."""

    @property
    def is_over(self) -> bool:
        return not self.trials and not self.to_come

    @classmethod
    def of(cls, order: SweepSpec, past: Mapping[str, TrialHistory], folder: SweepFolder, cores: int) -> "TunerPass":
        """Return the pass over all trials that have not come to an end of their own."""
        resources: dict[str, Mapping[str, float]] = {}
        for trial in order.plan.trials:
            known = past.get(trial.trial_id, TrialHistory())
            share = order.resources_of(trial)
            larger = enlarged(share, cores) if known.memory_failures else None
            if known.reason == StopReason.OOM:
                if larger is None or known.memory_failures >= MEMORY_ATTEMPTS:
                    continue
            elif not known.is_open(folder.is_cancelled(trial.trial_id)):
                continue
            resources[trial.trial_id] = larger or share
        is_new = {trial_id: not past.get(trial_id, TrialHistory()).is_started for trial_id in resources}
        is_open = [trial for trial in order.plan.trials if trial.trial_id in resources]
        return cls(sorted(is_open, key=lambda trial: is_new[trial.trial_id]), resources, order.plan.to_come)


def run_pass(
    todo: TunerPass,
    order: SweepSpec,
    search: TunerSetup,
    folder: SweepFolder,
    past: Mapping[str, TrialHistory],
    tracker: OutboxCallback,
    interrupts: Interrupts,
) -> None:
    """Let Ray Tune run the pass, until it is done or interrupted.

    Raises:
        PassError: when Ray itself fails.
    """
    folder.go_on()
    workload = Workload(
        base=order.experiment.base.with_overrides(
            {"train.precision": order.plan.trials[0].config.train.precision}
        ).to_dict(),
        frames=order.material.frames,
        split=order.material.split,
        rungs=order.plan.rungs,
        folder=folder,
        resources=todo.resources,
        share=order.resources,
        threads=int(order.resources["CPU"]),
        device="auto" if order.resources["GPU"] else "cpu",
        reported={trial_id: known.safe_epoch for trial_id, known in past.items()},
        checkpoint_seconds=order.checkpoint_seconds,
    )
    tuner = tune.Tuner(
        build_trainable(workload, reused=order.reuses_processes),
        param_space=search.param_space,
        tune_config=tune.TuneConfig(
            search_alg=search.searcher,
            scheduler=search.scheduler,
            num_samples=search.num_samples,
            reuse_actors=order.reuses_processes,
            trial_name_creator=lambda trial: tracker.name_of(trial.config[TRIAL_KEY]),
            trial_dirname_creator=lambda trial: str(trial.config[TRIAL_KEY]),
        ),
        run_config=tune.RunConfig(
            name=folder.next_pass(),
            storage_path=str(folder.path),
            verbose=0,
            callbacks=[tracker],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    with interrupts.deferred(), patient_controller(interrupts.is_requested, folder.ask_to_save):
        try:
            tuner.fit()
        except (OSError, EOFError) as error:  # at its end Ray reads what it wrote, and a full disk took that
            log.warning("Ray's own account of the pass cannot be read: %s", error)
        except RuntimeError as error:  # nor can it account for trials that an interrupt kept from being set up
            if not interrupts.is_requested():
                raise
            log.info("Ray's own account of the pass cannot be read: %s", error)
        except RayError as error:
            line = next(filter(str.strip, str(error).splitlines()), "")
            raise PassError(
                f"the Ray that runs the trials has failed ({type(error).__name__}: {line}); were its processes killed, "
                "for example for lack of memory?"
            ) from error
    tracker.flush(PATIENCE_SECONDS)


def recall(scheduler: Scheduler, memory: Path, past: Mapping[str, TrialHistory]) -> None:
    """Let a scheduler have what it had: its own file, and from what the trials reported what that lacks.

    A damaged file is set aside; the values at the rungs are in the events, the reasons of earlier stops too.
    """
    try:
        scheduler.recall()
    except StorageError as error:
        log.warning("%s; it is set aside, the rungs are filled from what the trials reported", error)
        os.replace(memory, memory.with_suffix(".damaged"))
    for trial_id, known in past.items():
        values = known.usable()
        for epoch, best in known.bests().items():
            scheduler.restore_value(trial_id, epoch, values[epoch], best)


def teller(past: dict[str, TrialHistory], known: Collection[str]) -> Callable[[Event], None]:
    """Return a listener that keeps the past up to date."""

    def tell(event: Event) -> None:
        if event["trial"] in known:
            past.setdefault(event["trial"], TrialHistory()).tell(event, OBJECTIVE)

    return tell
