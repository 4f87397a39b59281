"""The plan of a running sweep together with its sweep.json: trials are added to both."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweeps.planning.manifest import record_trial
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.sweep_json import Manifest, save_manifest


class GrowingPlan:
    """The one plan that all parts of a running sweep share; `current` is its present state."""

    def __init__(
        self, plan: Plan, folder: Path, manifest: Manifest, check_attempt: Callable[[], None] = lambda: None
    ) -> None:
        """Create a plan whose manifest is not written yet.

        Args:
            plan: the trials known so far.
            folder: the sweep's folder.
            manifest: the content of sweep.json.
            check_attempt: called before sweep.json is written; raises when another process has taken over the sweep.
        """
        self.current, self.manifest = plan, manifest
        self.trials = {trial.trial_id: trial for trial in plan.trials}
        """Trial id -> trial; always the same dict, so that its holders see trials that are added."""
        self._folder, self._check_attempt = folder, check_attempt

    def save(self, **changes: Any) -> Path:
        """Write sweep.json with some entries changed; return its path.

        Raises:
            OSError: when it cannot be written; then nothing has changed.
            FencedError: when another process has taken over the sweep; then nothing has changed.
        """
        self._check_attempt()
        manifest = self.manifest.changed(**changes)
        path = save_manifest(self._folder, manifest)
        self.manifest = manifest
        return path

    def add(self, trials: Sequence[PlannedTrial], **changes: Any) -> Path:
        """Add trials, to sweep.json first, together with other changes of it; return its path.

        Raises:
            OSError: as `save` does.
        """
        path = self.save(trials=(*self.manifest.trials, *map(record_trial, trials)), **changes)
        self.trials.update({trial.trial_id: trial for trial in trials})
        self.current = self.current.with_trials(trials)
        return path
