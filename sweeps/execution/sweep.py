"""The state of one sweep while it runs: its folder, trials, outbox and delivery, and how it starts or resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bddseg.cores import usable_cores
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.dataset_inputs import describe_inputs
from sweeps.execution.gauges import Gauges
from sweeps.execution.progress import LiveView
from sweeps.execution.spec import SweepSpec, facts, params, run_tags, sweep_tags
from sweeps.execution.sweep_trials import SweepTrials
from sweeps.execution.trial_recorder import TrialRecorder
from sweeps.execution.tuner import TunerPass
from sweeps.notes import notes
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.manifest import build_manifest
from sweeps.schedulers.scheduler import Scheduler
from sweeps.storage.checkpoint_store import open_checkpoints
from sweeps.storage.events import PARENT, Artifact, Start
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import PATIENCE_SECONDS, Outbox
from sweeps.storage.recovery import reopen
from sweeps.storage.sweep_json import Manifest
from sweeps.storage.sweeps import look_ahead
from sweeps.tracking.artifact_root import ARTIFACTS
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.preflight import try_store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import runs_page


class SweepRun:
    """One sweep while it runs."""

    def __init__(self, spec: SweepSpec, sweep_id: str, folder: Path, manifest: Manifest | None = None) -> None:
        """Create the state; nothing is written yet.

        Args:
            spec: the settings of the sweep.
            sweep_id: its id.
            folder: its folder, which exists.
            manifest: the content of sweep.json, for a sweep that is resumed.
        """
        self.sweep_id, self.folder = sweep_id, SweepFolder(folder)
        self.spec = replace(spec, report_command=f"{spec.report_command} {sweep_id}")
        self.is_new = manifest is None
        """It was started by this process, not resumed."""
        self.is_begun = manifest is not None
        """Its sweep.json is written, so that it can be resumed."""
        self.is_delivering = False
        self.check_ray: Callable[[], None] = lambda: None
        """Checks between steps whether the cluster that was joined is there."""
        self.runs_page = ""
        """Address of MLflow's page of all runs; empty before the store is prepared, and for a database."""
        manifest = manifest or build_manifest(
            sweep_id, spec.experiment, spec.plan, spec.material.to_dict(), facts(self.spec)
        )
        self.outbox = Outbox(self.folder.outbox, PATIENCE_SECONDS)
        self.plan = GrowingPlan(spec.plan, folder, manifest, self.outbox.check_attempt)
        self.checkpoints = open_checkpoints(folder, spec.checkpoints, sweep_id)
        self.trials = SweepTrials(self.spec, sweep_id, self.folder, self.plan, self.outbox, self.checkpoints)
        self.past, self.board = self.trials.past, self.trials.board
        self.view = LiveView(self.board, is_quiet=spec.is_quiet)
        self.delivery = Delivery(self.outbox, spec.tracking_uri, sweep_id, spec.mlflow_experiment)
        self.gauges = Gauges(self.board, sweep_id, folder, None if spec.is_offline else self.outbox)

    def begin(self) -> None:
        """Record the start of a new sweep, and reuse what other sweeps have trained."""
        path = self.plan.save()
        tags = sweep_tags(self.spec, self.plan.manifest, self.folder.path)
        settings = params(self.spec, self.plan.manifest)
        inputs = describe_inputs(self.spec.material)
        self.outbox.append(Start(PARENT, self.sweep_id, settings, tags, inputs))
        self.is_begun = True
        self.outbox.append(Artifact(PARENT, path))
        if not self.spec.is_fresh:
            self.trials.reuse()
        self.trials.open_suggestions()

    def begin_again(self) -> None:
        """Reopen the runs that were closed with a lost driver, and restore the state of a sweep that is resumed."""
        reopen(
            self.outbox, with_failed=self.spec.reopens_failed
        )  # first: the histories know then that these runs are open, and an interrupt ends them
        self.trials.recall()
        plan = self.plan.current
        trials = [(trial.trial_id, trial.name, trial.epochs) for trial in plan.trials]
        ahead = look_ahead(trials, self.past, self.folder, plan.to_come, plan.to_replicate)
        notes.info(f"sweep {self.sweep_id}: {ahead.sentence()}")
        self._record_data_folder()
        self.trials.open_suggestions()

    def _record_data_folder(self) -> None:
        """Record where the data are now, if they were moved: later commands look for them there."""
        data = self.plan.manifest.data
        if data.get("root") and data["root"] != (root := str(self.spec.material.root)):
            self.outbox.append(Artifact(PARENT, self.plan.save(data={**data, "root": root})))

    def prepare_store(self) -> None:
        """Prepare MLflow's store, unless offline.

        Raises:
            TrackingError: when it cannot be used.
        """
        if not self.spec.is_offline:
            uri, experiment = self.spec.tracking_uri, self.spec.mlflow_experiment
            prepare_store(uri, self.spec.storage / ARTIFACTS, experiment)
            self.runs_page = runs_page(uri, try_store(uri, experiment))

    def start_delivery(self) -> None:
        """Start the delivery to MLflow, unless offline; called once nothing can refuse the sweep any more."""
        if not self.spec.is_offline and not self.is_delivering:
            self.delivery.start()
            self.is_delivering = True

    def deliver(self, seconds: float, *, is_hasty: bool) -> int:
        """Deliver the remaining events; return how many MLflow lacks."""
        self.outbox.sync()
        if self.spec.is_offline:
            return self.outbox.pending()
        return self.delivery.close(seconds, is_checked=not is_hasty)

    def open_trials(self) -> TunerPass:
        """Return the pass over all open trials."""
        return TunerPass.of(self.spec, self.plan.current, self.past, self.folder, usable_cores())

    def tracker(self, scheduler: Scheduler) -> OutboxCallback:
        """Return the callback that records a pass, within the context of the gauges."""
        material = self.spec.material
        inputs = {name: describe_inputs(material, trial.config.data) for name, trial in self.plan.trials.items()}
        recorder = TrialRecorder(
            self.folder.outbox,
            self.sweep_id,
            self.plan.trials,
            self.past,
            logs=self.folder.logs,
            tags=run_tags(self.plan.manifest),
            inputs={"": describe_inputs(material), **inputs},
            listeners=(self.board.apply, self.view.apply, self.gauges.apply, self.trials.update_study),
            attempt=self.outbox.attempt,
        )
        return OutboxCallback(recorder, scheduler)
