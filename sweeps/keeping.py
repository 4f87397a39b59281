"""What is kept of a sweep when it ends: the finalists' weights, and the leader's figures verified from them."""

import json
import logging
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.errors import DataError
from bddseg.evidence import load_evidence
from bddseg.split import split_of
from bddseg.verify import verify
from sweeps.monitor import Board
from sweeps.outbox import Outbox
from sweeps.plan import Plan
from sweeps.source import Material
from sweeps.trainable import EVIDENCE_FILE

log = logging.getLogger(__name__)

FINALISTS = 4
"""The best so many trials are finalists, besides the reference and the best of each model."""

VERIFICATION_FILE = "verification.json"


@dataclass(frozen=True)
class Keeper:
    """Sorts through the checkpoints of a sweep that has ended."""

    plan: Plan
    board: Board
    checkpoints: Mapping[str, Path]
    """Trial -> folder of its last checkpoint, for those that have one."""
    outbox: Outbox

    def keep(self, material: Material, folder: Path, *, all_weights: bool) -> None:
        """Hand the finalists' weights to MLflow, verify the leader, delete the other checkpoints."""
        kept = set(self.checkpoints) if all_weights else self.finalists()
        for trial_id in sorted(kept):
            self._upload(trial_id, self.checkpoints[trial_id] / BEST, "weights")
        best = self.board.best()
        if best and best.trial_id in self.checkpoints:
            self._verify(best.trial_id, material, folder)
        for trial_id, checkpoint in self.checkpoints.items():
            if trial_id not in kept:
                for old in checkpoint.parent.glob("checkpoint_*"):
                    shutil.rmtree(old, ignore_errors=True)

    def finalists(self) -> set[str]:
        """Return the best few, the reference and the best of each model, as far as they have checkpoints."""
        ranked = [row.trial_id for row in self.board.ranked() if not math.isnan(row.best_miou)]
        models = {trial.trial_id: trial.config.model.name for trial in self.plan.trials}
        first_of_model = {models[trial_id]: trial_id for trial_id in reversed(ranked)}
        references = {trial.trial_id for trial in self.plan.trials if trial.is_reference}
        return {*ranked[:FINALISTS], *first_of_model.values(), *references} & set(self.checkpoints)

    def _verify(self, trial_id: str, material: Material, folder: Path) -> None:
        """Compute the leader's validation figures once more, from its saved weights."""
        checkpoint, frames = self.checkpoints[trial_id], material.frames
        config = next(trial.config for trial in self.plan.trials if trial.trial_id == trial_id)
        try:
            split = split_of(config.data, material.split, frames.names, frames.scenes)
            evidence = load_evidence(checkpoint / EVIDENCE_FILE.format(part="val"))
            found = verify(load_checkpoint(checkpoint / BEST), frames, split.val, evidence)
        except DataError as error:
            log.warning("the leader's figures could not be verified: %s", error)
            return
        path = folder / VERIFICATION_FILE
        path.write_text(json.dumps(found.to_dict(), indent=1))
        self._upload(trial_id, path, "")

    def _upload(self, trial_id: str, path: Path, folder: str) -> None:
        if path.exists():
            event = {"kind": "artifact", "trial": trial_id, "time_ms": int(time.time() * 1000)}
            self.outbox.append(event | {"path": str(path), "folder": folder})
