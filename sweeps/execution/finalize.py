"""The end of a sweep: its best weights are kept, the leader is verified, predictions are painted, runs are closed."""

import logging
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from bddseg.checkpoint import BEST, LAST, load_checkpoint
from bddseg.device import describe, resolve_device
from bddseg.errors import DataError, UserError
from bddseg.evidence import load_evidence
from bddseg.files import write_json
from bddseg.verification import verify
from sweeps.environment import cache_folder
from sweeps.errors import FencedError
from sweeps.execution.network_timing import save_latency
from sweeps.execution.predictions import choose_trials, paint_panels
from sweeps.execution.progress import TrialProgress, TrialTable
from sweeps.execution.spec import SweepResult
from sweeps.execution.sweep import SweepRun
from sweeps.execution.trial_recorder import cut_off_words
from sweeps.planning.dataset import Dataset
from sweeps.planning.plan import FINALISTS, Plan
from sweeps.planning.resources import kind, remember_peaks
from sweeps.planning.sampling import COST
from sweeps.storage.album import FOLDER, save_album
from sweeps.storage.artifacts import VERIFICATION, evidence_file
from sweeps.storage.checkpoints import Checkpoints, NewestCheckpoints
from sweeps.storage.events import PARENT, Artifact, End, Epoch
from sweeps.storage.folder import SweepFolder, remove_folder
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import RunStatus, StopReason, TrialState
from sweeps.storage.sweep_json import FILE
from sweeps.storage.sweeps import has_trained
from sweeps.storage.tags import FINALIST, STOP_DETAIL, STOP_REASON
from sweeps.storage.trial_history import TrialHistory

log = logging.getLogger(__name__)

FLUSH_SECONDS = 60
"""How long the end of a sweep waits for MLflow; the remaining events stay in the outbox."""

HASTY_FLUSH_SECONDS = 6
"""The same after an interrupt."""


def end_sweep(run: SweepRun, signal_number: int) -> SweepResult:
    """Keep the best results, close the sweep's runs and deliver their events; `signal_number` 0 is no interrupt."""
    spec, board = run.spec, run.board
    board.cancel(run.folder.is_cancelled)
    if suggestions := run.trials.suggestions:
        suggestions.catch_up() if signal_number else suggestions.close()
        run.outbox.append(Artifact(PARENT, run.folder.path / FILE))
    if signal_number:
        end_open_trials(run)
    else:
        _weights_keeper(run).keep(spec.material, run.folder.path, all_weights=spec.keep_all_weights)
    best = board.best()
    status = RunStatus.KILLED if signal_number else RunStatus.FINISHED if best else RunStatus.FAILED
    metrics = {"best/miou": best.best_miou, "best/epoch": float(best.history.best_epoch)} if best else {}
    run.outbox.append(End(PARENT, status, {}, metrics, board.epochs_done(), board.markdown()))
    if spec.gpu_shares:
        remember_peaks(cache_folder(), _memory_peaks(run))
    is_hasty = signal_number != 0
    return SweepResult(
        sweep_id=run.sweep_id,
        folder=run.folder.path,
        board=board,
        undelivered=run.deliver(HASTY_FLUSH_SECONDS if is_hasty else FLUSH_SECONDS, is_hasty=is_hasty),
        is_offline=spec.is_offline,
        signal_number=signal_number,
        report_command=spec.report_command,
        tune_command=spec.tune_command,
        weighs_cost=COST in spec.experiment.sampling.objectives,
        rejects=run.outbox.rejects(),
        runs_page=run.runs_page,
    )


def abandon_sweep(run: SweepRun, error: BaseException, *, is_store_ready: bool) -> None:
    """Close the runs of a sweep that an error or a signal ended, so that they do not look alive.

    A new sweep that failed before any of its own trials started leaves nothing behind; an interrupted one can be
    resumed.
    """
    is_failure = isinstance(error, Exception)
    if not run.is_begun or (run.is_new and is_failure and not has_trained(run.folder.path)):
        run.is_begun = False
        remove_folder(run.folder.path)
        return
    detail = f"{type(error).__name__}: {error}"
    run.trials.recall()
    end_open_trials(run, detail)
    run.outbox.append(End(PARENT, RunStatus.FAILED if is_failure else RunStatus.KILLED, {STOP_DETAIL: detail}))
    if is_store_ready:
        run.start_delivery()
        run.deliver(HASTY_FLUSH_SECONDS, is_hasty=True)


def end_open_trials(run: SweepRun, detail: str = "") -> None:
    """Record the interruption of open trials, including reused ones that were to continue and have not started."""
    for row in run.board.rows.values():
        history = run.past.get(row.trial_id, TrialHistory())
        if row.state in (TrialState.RUNNING, TrialState.PAUSED) or (history.is_started and not history.reason):
            tags = {STOP_REASON: StopReason.USER, STOP_DETAIL: detail or cut_off_words(row.epochs)}
            ended = End(row.trial_id, RunStatus.KILLED, tags, step=row.epochs)
            run.outbox.append(ended)
            run.board.apply(ended)


def _weights_keeper(run: SweepRun) -> "WeightsKeeper":
    checkpoints = newest_checkpoints(run.checkpoints, run.plan.trials, run.folder)
    device = resolve_device("auto" if run.spec.address else run.spec.device)
    return WeightsKeeper(run.plan.current, run.board, checkpoints, run.outbox, device)


def newest_checkpoints(store: Checkpoints, trial_ids: Iterable[str], folder: SweepFolder) -> NewestCheckpoints:
    """Return the newest checkpoint of each trial; copies of files in an object store come to the outbox.

    They stay there, as the evidence does: MLflow gets them, and a later sweep may reuse them.

    Raises:
        StorageError: when the store does not answer.
    """
    names = store.ask(lambda: store.newest(trial_ids, having=BEST))
    return NewestCheckpoints(store, names, store.folders(names, folder.spool, (BEST, evidence_file("val"))))


def _memory_peaks(run: SweepRun) -> dict[str, float]:
    """Return the peak memory in MB of each kind of trial, as measured."""
    device = describe(resolve_device(run.spec.device))
    kinds = {trial_id: kind(trial.config, run.spec.plan.classes, device) for trial_id, trial in run.plan.trials.items()}
    peaks: dict[str, float] = {}
    for event in run.outbox.events():
        peak_mb = event.metrics.get("system/memory_mb") if isinstance(event, Epoch) else None
        if peak_mb and event.trial in kinds:
            name = kinds[event.trial]
            peaks[name] = max(peak_mb, peaks.get(name, 0.0))
    return peaks


@dataclass(frozen=True)
class WeightsKeeper:
    """Keeps the best checkpoints of a sweep that has ended, shows what they predict, and deletes the others."""

    plan: Plan
    board: TrialTable
    checkpoints: NewestCheckpoints
    outbox: Outbox
    device: torch.device
    """Device that paints the predictions and is timed."""

    def keep(self, material: Dataset, folder: Path, *, all_weights: bool) -> None:
        """Upload the finalists' weights, verify the leader, paint and time; delete the files that nothing needs."""
        kept_ids = set(self.checkpoints.names) if all_weights else self.finalists()
        for trial_id in sorted(kept_ids):
            self._upload(trial_id, self.checkpoints.folders[trial_id] / BEST, "weights")
        best = self.board.best()
        if best and best.trial_id in self.checkpoints.names:
            self._verify(best.trial_id, material, folder)
        self._show(material, folder)
        self._tidy(kept_ids)

    def _tidy(self, kept_ids: Collection[str]) -> None:
        """Delete Tune's own files and all checkpoints except the newest of each kept trial.

        A later sweep can reuse a trial's best weights and evidence. One with a larger budget continues from the last
        weights, but only of a trial that completed: those of other trials are deleted.

        Raises:
            FencedError: when another process has taken over the sweep, whose checkpoints they then are.
        """
        self.outbox.check_attempt()
        unfinished_ids = {trial for trial in kept_ids if self.board.rows[trial].state != TrialState.FINISHED}
        self.checkpoints.tidy(kept_ids, unfinished_ids, LAST)

    def finalists(self) -> set[str]:
        """Return the best few trials, the reference and the best of each model, if they have checkpoints.

        In a confirmation also the leader's run on each fold: together they can review every label.
        """
        ranked = [row.trial_id for row in self.board.ranked() if not math.isnan(row.best_miou)]
        models = {trial.trial_id: trial.config.model.name for trial in self.plan.trials}
        first_of_model = {models[trial_id]: trial_id for trial_id in reversed(ranked)}
        references = {trial.trial_id for trial in self.plan.trials if trial.is_reference}
        kept_ids = {*ranked[:FINALISTS], *first_of_model.values(), *references, *self._leader_on_folds()}
        return kept_ids & set(self.checkpoints.names)

    def _leader_on_folds(self) -> set[str]:
        """Return a run on each fold of the finalist whose mean is best; nothing for a screening."""
        trials = {trial.trial_id: trial for trial in self.plan.trials}
        runs: dict[str, list[TrialProgress]] = {}
        for row in self.board.ranked():
            if row.is_scored and (finalist := trials[row.trial_id].tags.get(FINALIST)):
                runs.setdefault(finalist, []).append(row)
        leader = max(runs.values(), key=lambda rows: fmean(row.best_miou for row in rows), default=[])
        on_fold = {trials[row.trial_id].config.data.fold: row.trial_id for row in leader}
        return set(on_fold.values())

    def _show(self, material: Dataset, folder: Path) -> None:
        """Paint predictions and time the networks; a failure here does not fail the sweep."""
        try:
            for path, where in self._shown(material, folder):
                self._upload(PARENT, path, where)
        except FencedError:
            raise
        except (OSError, RuntimeError, UserError) as error:  # a full disk, a full or broken GPU
            log.warning("the sweep's pictures or latencies could not be made: %s", error)

    def _shown(self, material: Dataset, folder: Path) -> Iterator[tuple[Path, str]]:
        """Yield every file that is written, with its artifact folder."""
        frames = material.frames
        yield save_latency(folder, self.plan, frames.size_px, self.device, first=self.finalists()), ""
        shown = choose_trials(self.plan, self.board, self.checkpoints.folders)
        panels = paint_panels(shown, frames, self.device)
        for path in save_album(folder / FOLDER, panels) if panels else ():
            yield path, FOLDER

    def _verify(self, trial_id: str, material: Dataset, folder: Path) -> None:
        """Recompute the leader's validation figures from its saved weights."""
        checkpoint, frames = self.checkpoints.folders[trial_id], material.frames
        config = next(trial.config for trial in self.plan.trials if trial.trial_id == trial_id)
        try:
            split = material.split_for(config.data)
            evidence = load_evidence(checkpoint / evidence_file("val"))
            verification = verify(load_checkpoint(checkpoint / BEST), frames, split.val, evidence)
        except DataError as error:
            log.warning("the leader's figures could not be verified: %s", error)
            return
        path = folder / VERIFICATION
        write_json(path, verification.to_dict(), indent=1)
        self._upload(trial_id, path, "")

    def _upload(self, trial_id: str, path: Path, folder: str) -> None:
        if path.exists():
            self.outbox.append(Artifact(trial_id, path, folder))
