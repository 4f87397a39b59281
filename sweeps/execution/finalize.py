"""What is kept of a sweep when it ends: the finalists' weights, the leader's figures verified, pictures, latencies."""

import contextlib
import logging
import math
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from bddseg.checkpoint import BEST, LAST, load_checkpoint
from bddseg.data.split import split_of
from bddseg.errors import DataError, UserError
from bddseg.evidence import load_evidence
from bddseg.files import write_json
from bddseg.verification import verify
from sweeps.execution.network_timing import save_latency
from sweeps.execution.predictions import build_album
from sweeps.execution.progress import TrialTable
from sweeps.execution.shown_trials import choose_exhibits
from sweeps.planning.dataset import Dataset
from sweeps.planning.plan import FINALISTS, Plan
from sweeps.storage.album import FOLDER, save_album
from sweeps.storage.artifacts import VERIFICATION, evidence_file
from sweeps.storage.outbox import PARENT, Outbox
from sweeps.storage.outcomes import TrialState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsKeeper:
    """Sorts through the checkpoints of a sweep that has ended."""

    plan: Plan
    board: TrialTable
    checkpoints: Mapping[str, Path]
    """Trial -> folder of its last checkpoint, for those that have one."""
    outbox: Outbox
    device: torch.device
    """That predicts for the pictures and is timed."""

    def keep(self, material: Dataset, folder: Path, *, all_weights: bool) -> None:
        """Hand the finalists' weights to MLflow, verify the leader, show and time; delete what nothing needs later."""
        kept = set(self.checkpoints) if all_weights else self.finalists()
        for trial_id in sorted(kept):
            self._upload(trial_id, self.checkpoints[trial_id] / BEST, "weights")
        best = self.board.best()
        if best and best.trial_id in self.checkpoints:
            self._verify(best.trial_id, material, folder)
        self._show(material, folder)
        self._tidy(kept, folder)

    def _tidy(self, kept: Collection[str], folder: Path) -> None:
        """Delete Tune's own files, and all checkpoints but the newest of each trial that is kept.

        A later sweep takes over a trial's best weights and evidence; one with a larger budget goes on from the last
        weights, but only of a trial that came to its own end: those of the others are deleted.
        """
        newest = {self.checkpoints[trial_id] for trial_id in kept}
        for path in (*folder.glob("pass-*/*"), *folder.glob("pass-*/*/*")):
            if not any(checkpoint.is_relative_to(path) for checkpoint in newest) and path.parent not in newest:
                _delete(path)
        for trial_id in kept:
            if self.board.rows[trial_id].state != TrialState.FINISHED:
                _delete(self.checkpoints[trial_id] / LAST)
        for empty in folder.glob("pass-*"):
            with contextlib.suppress(OSError):
                empty.rmdir()

    def finalists(self) -> set[str]:
        """Return the best few, the reference and the best of each model, as far as they have checkpoints."""
        ranked = [row.trial_id for row in self.board.ranked() if not math.isnan(row.best_miou)]
        models = {trial.trial_id: trial.config.model.name for trial in self.plan.trials}
        first_of_model = {models[trial_id]: trial_id for trial_id in reversed(ranked)}
        references = {trial.trial_id for trial in self.plan.trials if trial.is_reference}
        return {*ranked[:FINALISTS], *first_of_model.values(), *references} & set(self.checkpoints)

    def _show(self, material: Dataset, folder: Path) -> None:
        """Paint the pictures and time the networks; a sweep that cannot be shown is a sweep all the same."""
        try:
            for path, where in self._shown(material, folder):
                self._upload(PARENT, path, where)
        except (OSError, RuntimeError, UserError) as error:  # a full disk, a full or broken GPU
            log.warning("the sweep's pictures or latencies could not be made: %s", error)

    def _shown(self, material: Dataset, folder: Path) -> Iterator[tuple[Path, str]]:
        """Yield every file that is made, and the artifact folder it belongs to."""
        frames = material.frames
        yield save_latency(folder, self.plan, frames.size_px, self.device, first=self.finalists()), ""
        exhibits = choose_exhibits(self.plan, self.board, self.checkpoints)
        album = build_album(exhibits, frames, self.device, evidence_file=evidence_file("val"))
        for path in save_album(folder / FOLDER, album) if album else ():
            yield path, FOLDER

    def _verify(self, trial_id: str, material: Dataset, folder: Path) -> None:
        """Compute the leader's validation figures once more, from its saved weights."""
        checkpoint, frames = self.checkpoints[trial_id], material.frames
        config = next(trial.config for trial in self.plan.trials if trial.trial_id == trial_id)
        try:
            split = split_of(config.data, material.split, frames.names, frames.scenes)
            evidence = load_evidence(checkpoint / evidence_file("val"))
            found = verify(load_checkpoint(checkpoint / BEST), frames, split.val, evidence)
        except DataError as error:
            log.warning("the leader's figures could not be verified: %s", error)
            return
        path = folder / VERIFICATION
        write_json(path, found.to_dict(), indent=1)
        self._upload(trial_id, path, "")

    def _upload(self, trial_id: str, path: Path, folder: str) -> None:
        if path.exists():
            event = {"kind": "artifact", "trial": trial_id, "time_ms": int(time.time() * 1000)}
            self.outbox.append(event | {"path": str(path), "folder": folder})


def _delete(path: Path) -> None:
    """Delete a file or a folder; what cannot be deleted stays, and takes room."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
