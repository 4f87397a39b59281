"""Evidence that could not be read when its trial ended, because the object store of the checkpoints did not answer."""

from bddseg.files import make_folder
from sweeps.execution.sweep import SweepRun
from sweeps.storage.artifacts import EVIDENCE_FOLDER, evidence_file
from sweeps.storage.events import Artifact, End, Start

FILES = (evidence_file("val"), evidence_file("test"))


def fetch_missed_evidence(run: SweepRun) -> None:
    """Fetch the evidence of trials that have ended without it; a store that does not answer is waited for.

    Only an object store can fail alone: in the sweep's folder, the events themselves could not be written either.

    Raises:
        StorageError: when the store does not answer for minutes.
    """
    if run.spec.needs_shared_folder:
        return
    missed = _missed(run)
    names = run.checkpoints.ask(lambda: run.checkpoints.newest(missed, having=FILES[0]))
    for trial_id, name in names.items():
        make_folder(run.folder.spool / trial_id)
        for file in missed[trial_id]:
            path = run.folder.spool / trial_id / file
            if run.checkpoints.copy(name, file, path):
                run.outbox.append(Artifact(trial_id, path, EVIDENCE_FOLDER))


def _missed(run: SweepRun) -> dict[str, list[str]]:
    """Return trial -> files of evidence that it has not recorded since it last started, for trials that have ended."""
    recorded: dict[str, set[str]] = {}
    ended_ids: set[str] = set()
    for event in run.outbox.events(run.plan.trials, epochs=False):
        if isinstance(event, Start):
            recorded[event.trial] = set()
            ended_ids.discard(event.trial)
        elif isinstance(event, Artifact):
            recorded.setdefault(event.trial, set()).add(event.path.name)
        elif isinstance(event, End):
            ended_ids.add(event.trial)
    missed = {trial_id: [name for name in FILES if name not in recorded.get(trial_id, ())] for trial_id in ended_ids}
    return {trial_id: files for trial_id, files in missed.items() if files}
