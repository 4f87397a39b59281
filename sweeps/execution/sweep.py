"""The parts of one sweep while it runs: what it knows of its trials, what it writes down, how it ends."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.cores import usable_cores
from bddseg.device import describe, resolve_device
from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.environment import cache_folder
from sweeps.errors import StorageError
from sweeps.execution.callback import OutboxCallback, cut_off_words
from sweeps.execution.finalize import WeightsKeeper
from sweeps.execution.gauges import Gauges
from sweeps.execution.metadata import facts, params, run_tags, sweep_tags
from sweeps.execution.progress import LiveView, TrialTable
from sweeps.execution.spec import SweepResult, SweepSpec
from sweeps.execution.tuner import TunerPass, teller
from sweeps.notes import notes
from sweeps.planning.confirmation import next_runs
from sweeps.planning.manifest import build_manifest, record_trial
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.resources import kind, remember_peaks
from sweeps.planning.reuse import Reused, is_same_budget, reuse_sentences, take_over
from sweeps.planning.sampling import COST
from sweeps.schedulers.scheduler import Scheduler
from sweeps.storage.finished_trials import FinishedTrial, find_finished
from sweeps.storage.folder import SweepFolder, remove_folder
from sweeps.storage.outbox import PARENT, PATIENCE_SECONDS, Event, Outbox
from sweeps.storage.outcomes import OWN_ENDS, RunStatus, StopReason, TrialState
from sweeps.storage.recovery import reopen
from sweeps.storage.sweep_json import FILE, SETTINGS, save_manifest
from sweeps.storage.sweeps import has_trained, look_ahead
from sweeps.storage.tags import STOP_DETAIL, STOP_REASON
from sweeps.storage.trial_history import TrialHistory
from sweeps.tracking.artifact_root import ARTIFACTS
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store, try_store

if TYPE_CHECKING:
    from sweeps.planning.suggestions import Suggestions

FLUSH_SECONDS = 60
"""How long the end of a sweep waits for MLflow; what is left stays in the outbox."""

HASTY_FLUSH_SECONDS = 6
"""The same after an interrupt."""


class SweepRun:
    """The parts of one sweep while it runs."""

    def __init__(self, order: SweepSpec, sweep_id: str, folder: Path, manifest: dict[str, Any] | None = None) -> None:
        self.sweep_id, self.folder = sweep_id, SweepFolder(folder)
        self.order = replace(order, report_command=f"{order.report_command} {sweep_id}")
        self.trials = {trial.trial_id: trial for trial in order.plan.trials}
        self.scheduler: Scheduler | None = None
        """Of the present pass."""
        self.supply: Suggestions | None = None
        """Where trials come from that are suggested while others run."""
        self.board = TrialTable(order.plan)
        self.view = LiveView(self.board, is_quiet=order.is_quiet)
        self.outbox = Outbox(self.folder.outbox, PATIENCE_SECONDS)
        self.delivery = Delivery(self.outbox, order.tracking_uri, sweep_id)
        self.is_new = manifest is None
        """It is started, not resumed."""
        self.is_begun = manifest is not None
        """It is written down, so that it can be resumed."""
        self.is_delivering = False
        self.past: dict[str, TrialHistory] = {}
        self._known: list[FinishedTrial] | None = None
        self._began, self._hours_before = time.monotonic(), 0.0
        if manifest and (confirmation := manifest.get("confirmation")):
            self._hours_before = confirmation.get("hours", 0.0)
        self.manifest = manifest or build_manifest(
            sweep_id, order.experiment, order.plan, order.material.to_dict(), facts(self.order)
        )

    def begin(self) -> None:
        """Write down what is about to happen, and start delivering."""
        path = save_manifest(self.folder.path, self.manifest)
        tags = sweep_tags(self.order, self.manifest, self.folder.path)
        self.outbox.append(
            self._event("start", name=self.sweep_id, params=params(self.order, self.manifest), tags=tags)
        )
        self.is_begun = True
        self.outbox.append(self._event("artifact", path=str(path), folder=""))
        if not self.order.is_fresh:
            self.reuse()
        self._open_supply()

    def begin_again(self) -> None:
        """Remember what has happened, open the runs that go on, and start delivering."""
        self._remember()
        trials = [(trial.trial_id, trial.name, trial.epochs) for trial in self.trials.values()]
        ahead = look_ahead(trials, self.past, self.folder, self.order.plan.to_come)
        notes.info(f"sweep {self.sweep_id}: {ahead.sentence()}")
        self._note_root()
        reopen(self.outbox)
        self._open_supply()

    def _note_root(self) -> None:
        """Write down where the data lie now, where that is another folder than before: later commands look there."""
        recorded = self.manifest["data"].get("root")
        if recorded and recorded != (root := str(self.order.material.root)):
            self.manifest = {**self.manifest, "data": {**self.manifest["data"], "root": root}}
            path = save_manifest(self.folder.path, self.manifest)
            self.outbox.append(self._event("artifact", path=str(path), folder=""))

    def _open_supply(self) -> None:
        """Begin or go on with suggesting, where the plan does not know all its trials.

        Raises:
            StorageError: when the study's file cannot be read or written.
        """
        if self.order.plan.samples:
            from sweeps.planning.suggestions import Suggestions  # imports Optuna

            self.supply = Suggestions(
                experiment=self.order.experiment,
                folder=self.folder.path,
                plan=lambda: self.order.plan,
                past=self.past,
                is_settled=self._is_settled,
                admit=self._admit,
            )
            try:
                self.supply.catch_up()
            except OSError as error:
                place = error.filename or self.folder.path
                raise StorageError(f"{place} cannot be read or written: {error.strerror}") from error

    def _is_settled(self, trial_id: str) -> bool:
        """Return whether a trial has come to an end that stays: not one that another pass may change."""
        return self.past.get(trial_id, TrialHistory()).is_settled(self.folder.is_cancelled(trial_id))

    def _admit(self, trial: PlannedTrial) -> bool:
        """Make a suggestion a trial of the sweep, in its manifest first; return whether it is to be trained."""
        self._add([trial])
        if self.scheduler:
            self.scheduler.add_trial(trial.trial_id, trial.config.model.name)
        return not self._is_settled(trial.trial_id)

    def _add(self, trials: Sequence[PlannedTrial]) -> None:
        """Make trials part of the sweep, in its manifest first; take over what other sweeps have trained of them."""
        manifest = {**self.manifest, "trials": [*self.manifest["trials"], *map(record_trial, trials)]}
        path = save_manifest(self.folder.path, manifest)
        self.manifest = manifest
        self.trials.update({trial.trial_id: trial for trial in trials})
        self.order = replace(self.order, plan=self.order.plan.with_trials(trials))
        for trial in trials:
            self.board.admit(trial)
        if not self.order.is_fresh:
            self._take_over(replace(self.order.plan, trials=tuple(trials)), whole_only=True)
        self.outbox.append(self._event("artifact", path=str(path), folder=""))

    def grow(self) -> bool:
        """Add the trials that follow from how the others ended; return whether there are any.

        Raises:
            StorageError: when the manifest cannot be written.
        """
        if self.order.plan.rounds:
            return self._next_round()
        plan = self.order.plan
        if not plan.to_replicate:
            return False
        best = [row.trial_id for row in self.board.ranked() if row.is_scored and row.stop_reason in OWN_ENDS]
        replicates = plan.replicas(best)
        if not replicates:
            self._expect(replace(plan, replicates=0))
            return False
        settings = count(min(len(best), SETTINGS), "best setting")
        notes.info(f"the others have ended; now {count(plan.replicates, 'further seed')} of each of the {settings}")
        self._add(replicates)
        return True

    def _next_round(self) -> bool:
        """Look at the runs so far; add one of each finalist that is still in question, unless that leads nowhere."""
        from sweeps.execution.interim_analysis import finalists_so_far, look  # imports the verdict

        plan, rounds = self.order.plan, self.order.plan.rounds
        finalists = finalists_so_far(plan, self.own_events(), self.past)
        if rounds is None or not finalists:
            return False
        seen = look(finalists, rounds)
        if not seen.ending and self._exceeds(rounds.hours, len(seen.remaining)):
            seen = replace(seen, ending="budget")
        notes.info(seen.sentence({finalist.finalist_id: finalist.name for finalist in finalists}))
        self._note_look(asdict(seen))
        self._add([] if seen.ending else next_runs(plan, seen.remaining))
        return not seen.ending

    def _note_look(self, seen: dict[str, Any]) -> None:
        """Put a look into the manifest, in the place of one that an interrupt made void, and the hours spent so far."""
        confirmation = self.manifest["confirmation"]
        looks = [before for before in confirmation.get("looks", []) if before["runs"] != seen["runs"]]
        changed = {**confirmation, "looks": [*looks, seen], "hours": self._hours()}
        self.manifest = {**self.manifest, "confirmation": changed}

    def _hours(self) -> float:
        """Return for how long the confirmation has been run; of an earlier driver, up to its last look."""
        return self._hours_before + (time.monotonic() - self._began) / 3600

    def _exceeds(self, hours: float, runs: int) -> bool:
        """Return whether so many more runs would end after so many hours; 0 hours are no limit."""
        spent = self._hours()
        return bool(hours) and spent + runs * spent / len(self.trials) > hours

    def _expect(self, plan: Plan) -> None:
        """Expect other trials to follow than before."""
        self.order = replace(self.order, plan=plan)
        self.board.plan = plan

    def reuse(self) -> None:
        """Take over what other sweeps in the storage folder have trained."""
        for sentence in reuse_sentences(self._take_over(self.order.plan), len(self.trials) + self.order.plan.to_follow):
            notes.info(sentence)

    def _take_over(self, plan: Plan, *, whole_only: bool = False) -> list[Reused]:
        """Take over what was trained of a plan's trials; return which they were."""
        fingerprint = self.order.material.frames.fingerprint
        if self._known is None:
            self._known = find_finished(self.order.storage, but=self.folder.path)
        entries = [it for it in self._known if not whole_only or is_same_budget(it, plan.epochs)]
        found = take_over(plan, entries, fingerprint, self.sweep_id, self.folder, self.outbox)
        if found:
            self._remember(it.trial for it in found)
        return found

    def _remember(self, trials: Iterable[PlannedTrial] | None = None) -> None:
        """Learn from the sweep's events what has become of its trials, or of some of them."""
        wanted = self.trials if trials is None else {trial.trial_id for trial in trials}
        found: dict[str, TrialHistory] = {}
        for event in self.own_events(wanted):
            found.setdefault(event["trial"], TrialHistory()).tell(event, OBJECTIVE)
            self.board.apply(event)
        self.past.update(found)

    def prepare_store(self) -> None:
        """Make MLflow's store ready, unless offline.

        Raises:
            TrackingError: when it cannot be used.
        """
        if not self.order.is_offline:
            prepare_store(self.order.tracking_uri, self.order.storage / ARTIFACTS)
            try_store(self.order.tracking_uri)

    def start_delivery(self) -> None:
        """Start delivering, unless offline: once nothing can refuse the sweep any more."""
        if not self.order.is_offline and not self.is_delivering:
            self.delivery.start()
            self.is_delivering = True

    def past_of(self, trial: PlannedTrial) -> TrialHistory:
        """Return what has become of a trial."""
        return self.past.get(trial.trial_id, TrialHistory())

    def own_events(self, trials: Collection[str] | None = None) -> Iterator[Event]:
        """Yield every event of the plan's trials so far, or of some of them."""
        return self.outbox.events(self.trials if trials is None else trials)

    def todo(self) -> TunerPass:
        """Return the pass over what is open."""
        return TunerPass.of(self.order, self.past, self.folder, usable_cores())

    def close_plan(self) -> None:
        """Expect no more trials than are known, where the space has no more points."""
        plan = self.order.plan
        if self.supply and self.supply.is_exhausted and plan.to_come:
            notes.info(f"the space has no more points: {count(len(plan.trials), 'trial')} instead of {plan.samples}")
            self._expect(replace(plan, samples=len(plan.trials)))

    def tracker(self, scheduler: Any) -> OutboxCallback:
        """Return the callback that writes down what happens in a pass; it remembers the passes before."""
        gauges = Gauges(self.board, self.sweep_id)
        tracker = OutboxCallback(
            self.folder.outbox,
            self.sweep_id,
            self.trials,
            scheduler,
            logs=self.folder.logs,
            tags=run_tags(self.manifest),
            listeners=(
                teller(self.past, self.trials),
                self.board.apply,
                self.view.apply,
                gauges.apply,
                self._tell_study,
            ),
        )
        tracker.recall(self.own_events([trial.trial_id for trial in self.todo().trials]))
        return tracker

    def _tell_study(self, event: Event) -> None:
        if self.supply and event["kind"] == "end":
            self.supply.catch_up()

    def end(self, signal_number: int) -> SweepResult:
        """Keep what is worth keeping, close the sweep's runs, deliver."""
        self.board.cancel(self.folder.is_cancelled)
        if self.supply:
            self.supply.catch_up() if signal_number else self.supply.close()
            self.outbox.append(self._event("artifact", path=str(self.folder.path / FILE), folder=""))
        newest = {trial_id: self.folder.checkpoints(trial_id) for trial_id in self.trials}
        checkpoints = {trial_id: found[0] for trial_id, found in newest.items() if found}
        device = resolve_device("auto" if self.order.address else self.order.device)
        keeper = WeightsKeeper(self.order.plan, self.board, checkpoints, self.outbox, device)
        if signal_number:
            self._cut_off()
        else:
            keeper.keep(self.order.material, self.folder.path, all_weights=self.order.keep_all_weights)
        best = self.board.best()
        status = RunStatus.KILLED if signal_number else RunStatus.FINISHED if best else RunStatus.FAILED
        seconds = HASTY_FLUSH_SECONDS if signal_number else FLUSH_SECONDS
        metrics, step = {"best/miou": best.best_miou} if best else {}, self.board.epochs_done()
        self.outbox.append(
            self._event("end", status=status, tags={}, metrics=metrics, step=step, note=self.board.markdown())
        )
        if self.order.gpu_shares:
            remember_peaks(cache_folder(), self._peaks())
        return SweepResult(
            sweep_id=self.sweep_id,
            folder=self.folder.path,
            board=self.board,
            undelivered=self._deliver(seconds, is_hasty=bool(signal_number)),
            is_offline=self.order.is_offline,
            signal_number=signal_number,
            report_command=self.order.report_command,
            tune_command=self.order.tune_command,
            weighs_cost=COST in self.order.experiment.sampling.objectives,
            rejects=self.outbox.rejects(),
        )

    def abandon(self, error: BaseException, *, is_store_ready: bool) -> None:
        """Close the sweep's runs when it could not be run to an end, so that they do not look alive.

        A new sweep that failed before a trial of its own started leaves nothing behind; one that was interrupted can be
        resumed.
        """
        if not self.is_begun or (self.is_new and isinstance(error, Exception) and not has_trained(self.folder.path)):
            self.is_begun = False
            remove_folder(self.folder.path)
            return
        status = RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED
        tags = {STOP_DETAIL: f"{type(error).__name__}: {error}"}
        self._remember()
        self._cut_off(tags[STOP_DETAIL])
        self.outbox.append(self._event("end", status=status, tags=tags, metrics={}, step=0, note=None))
        if is_store_ready:
            self.start_delivery()
            self._deliver(HASTY_FLUSH_SECONDS, is_hasty=True)

    def _cut_off(self, detail: str = "") -> None:
        """End the trials that are open, those too that were to go on from another sweep and have not begun to."""
        for row in self.board.rows.values():
            past = self.past.get(row.trial_id, TrialHistory())
            if row.state in (TrialState.RUNNING, TrialState.PAUSED) or (past.is_started and not past.reason):
                tags = {
                    STOP_REASON: StopReason.USER,
                    STOP_DETAIL: detail or cut_off_words(row.epochs),
                }
                event = self._event("end", status=RunStatus.KILLED, tags=tags, metrics={}, step=row.epochs, note=None)
                self.outbox.append(event | {"trial": row.trial_id})
                self.board.apply(event | {"trial": row.trial_id})

    def _peaks(self) -> dict[str, float]:
        """Return the most memory in MB that a trial of each kind really took."""
        device = describe(resolve_device(self.order.device))
        kinds = {trial.trial_id: kind(trial.config, device) for trial in self.order.plan.trials}
        found: dict[str, float] = {}
        for event in self.outbox.events():
            taken = event.get("metrics", {}).get("system/memory_mb") if event.get("kind") == "epoch" else None
            if taken and event["trial"] in kinds:
                name = kinds[event["trial"]]
                found[name] = max(taken, found.get(name, 0.0))
        return found

    def _deliver(self, seconds: float, *, is_hasty: bool) -> int:
        """Deliver what is left; return how many events MLflow does not have."""
        self.outbox.sync()
        if self.order.is_offline:
            return self.outbox.pending()
        return self.delivery.close(seconds, is_checked=not is_hasty)

    @staticmethod
    def _event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"kind": kind, "trial": PARENT, "time_ms": int(time.time() * 1000), **fields}
