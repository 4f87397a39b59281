"""A report's verdict -> a registered model, and `champion` where the verdict is decided.

After a screening, the leader is registered with its best weights. After a confirmation, the winner's setting is trained
again on train and validation; in a tie, it is the recommended setting. An undecided verdict is registered only on
request, with its leader, which does not become `champion`.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.config import TrainConfig
from bddseg.errors import DataError
from bddseg.evidence import save_evidence
from bddseg.files import write_json
from bddseg.predictor import load_trained
from sweeps.errors import NoSweepError, NothingToRegisterError, UndecidedError
from sweeps.notes import notes
from sweeps.registry.model_card import ModelCard, describe_model, identity, name_of, render_card
from sweeps.registry.pyfunc_files import write_pyfunc
from sweeps.registry.refit import TEST_EVIDENCE, load_recorded, refit, refit_config
from sweeps.registry.registry import Registry, Version, check_name
from sweeps.registry.weights import WEIGHTS
from sweeps.report.gather import Report
from sweeps.report.holdout import HoldoutAccess, HoldoutLog, record_opening
from sweeps.sanitize import whole
from sweeps.statistics.results import Verdict
from sweeps.statistics.scores import score_evidence
from sweeps.storage.outcomes import SweepState
from sweeps.storage.records import SweepRecord, TrialRow
from sweeps.storage.tags import CONFIRMS
from sweeps.tracking.reader import Store

CARD, CONFIG = "card.md", "config.json"

RANKS = {
    "winner": "the winner",
    "leader": "the leader of a screening, not confirmed",
    "undecided": "the leader of an undecided verdict",
}


@dataclass(frozen=True)
class Registration:
    """A request to register the model of a report under a name."""

    name: str
    report: Report
    store: Store
    ledger: HoldoutLog
    """Records that a refit opened the test part."""
    data: Path | None = None
    """Present folder of a confirmed sweep's data; None where it is the recorded one."""
    is_forced: bool = False
    """Register an undecided verdict too."""

    @property
    def verdict(self) -> Verdict:
        """Return the report's verdict.

        Raises:
            NothingToRegisterError: when there is none.
        """
        if self.report.verdict is None:
            raise NothingToRegisterError(f"{self.report.sweep_id} has no verdict: no evidence of it can be compared")
        return self.report.verdict

    @property
    def is_refit(self) -> bool:
        return self.verdict.stage == "confirmation"

    @property
    def is_decided(self) -> bool:
        return self.verdict.outcome != "undecided"

    @property
    def trial_id(self) -> str:
        """Return the trial, or finalist, that is registered."""
        is_tie = self.is_refit and self.verdict.outcome == "tie"
        return self.verdict.recommended if is_tie else self.verdict.leader

    def sentence(self) -> str:
        """Return in words which model is registered, and how certain its rank is."""
        tie = "the recommended one of a tie" if self.is_refit else "the leader of a tie"
        rank, recommended = RANKS.get(self.verdict.outcome, tie), self.verdict.recommended
        other = f"; recommended as cheaper and about as good: {name_of(self.report, recommended)}"
        return f"{name_of(self.report, self.trial_id)}: {rank}{other if recommended != self.trial_id else ''}"


def register(registration: Registration) -> Version:
    """Return the registered version, created where this trial has none; champion if the verdict is decided.

    A version that has been champion before is not promoted again.

    Raises:
        NothingToRegisterError: when the sweep is running, is a confirmation that was interrupted, or left no usable
            weights.
        UndecidedError: when the verdict is undecided, and registering it was not forced.
        ModelError: for an invalid name.
    """
    name, report, verdict = check_name(registration.name), registration.report, registration.verdict
    if report.state == SweepState.RUNNING:
        raise NothingToRegisterError(f"{report.sweep_id} is running: its leader may still change; register it later")
    if registration.is_refit and not report.is_final:
        raise NothingToRegisterError(
            f"{report.sweep_id} was interrupted: its winner may still change; resume it, then register it"
        )
    if not (registration.is_decided or registration.is_forced):
        raise UndecidedError(
            f"{report.sweep_id}: the verdict is undecided, so there is no champion; --force registers the leader "
            "anyway, without making it @champion"
        )
    notes.info(registration.sentence())
    record, registry = registration.store.read_sweep(report.sweep_id), Registry(registration.store)
    run_id = record.run_id if registration.is_refit else _row(record, registration.trial_id).run_id
    tags = identity(report.sweep_id, registration.trial_id, is_refit=registration.is_refit)
    registered = registry.find(name, run_id, tags)
    set_alias = registry.promote if registration.is_decided else registry.leave
    if registered:
        notes.info(f"already registered: {registered.label}; {set_alias(registered)}")
        return registered
    make = _refitted if registration.is_refit else _screened
    with tempfile.TemporaryDirectory(prefix="bddseg-register-") as temporary:
        folder = Path(temporary)
        with make(registration, record, folder) as card:
            write_description(card, folder)
            version = registry.add(name, run_id, folder, card.tags(), verdict.sentence)
    notes.info(f"registered as {version.label}; {set_alias(version)}")
    return version


def write_description(card: ModelCard, folder: Path) -> None:
    """Write the card, config.json and MLflow's own files beside the weights."""
    trained = load_trained(load_checkpoint(folder / BEST))
    (folder / CARD).write_text(render_card(card))
    write_json(folder / CONFIG, describe_model(card, trained), indent=1)
    write_pyfunc(folder, {"classes": list(trained.task.classes), **card.tags()})


def _row(record: SweepRecord, trial_id: str) -> TrialRow:
    rows = [row for row in record.trials if row.trial_id == trial_id]
    if not rows:
        raise NothingToRegisterError(f"{record.sweep_id} has no trial {trial_id}")
    return rows[0]


@contextmanager
def _screened(registration: Registration, record: SweepRecord, folder: Path) -> Iterator[ModelCard]:
    """Put the trial's best weights into the folder, and give their card.

    Raises:
        NothingToRegisterError: when they were not kept, are damaged, or are another trial's.
    """
    row, report = _row(record, registration.trial_id), registration.report
    origin = f"{report.sweep_id}, trial {row.name} (code {report.facts['code_version']})"
    best = _best_weights(registration.store, row, folder, origin)
    opened = {trial.trial_id: trial.scores for trial in report.test.opened}
    yield ModelCard(
        name=registration.name,
        report=report,
        verdict=registration.verdict,
        trial_id=registration.trial_id,
        trial_name=name_of(report, registration.trial_id),
        config=TrainConfig.from_record(best["config"]),
        digest=row.digest,
        epoch=int(best["epoch"]),
        is_refit=False,
        trained_on=whole(report.facts["data"]["split"]["train"]),
        test=opened.get(registration.trial_id),
    )


def _best_weights(store: Store, row: TrialRow, folder: Path, origin: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bddseg-weights-") as temporary:
        path = store.download(row.run_id, WEIGHTS, Path(temporary))
        if path is None:
            raise NothingToRegisterError(
                f"{origin}: its weights were not kept; --keep-weights all keeps those of every trained trial, and "
                "--fresh trains again what an earlier sweep has trained"
            )
        shutil.copyfile(path, folder / BEST)
    try:
        best = load_checkpoint(folder / BEST)
        load_trained(best)
    except DataError as error:
        raise NothingToRegisterError(f"{origin}: {error}") from error
    if best.get("digest") != row.digest:
        raise NothingToRegisterError(
            f"{origin}: its weights are those of trial {best.get('digest')}, but must be those of {row.digest}"
        )
    return best


@contextmanager
def _refitted(registration: Registration, record: SweepRecord, folder: Path) -> Iterator[ModelCard]:
    """Train the setting again, put its weights into the folder, and give their card."""
    config = refit_config(record, registration.trial_id)
    with refit(config, load_recorded(record, config, registration.data)) as result:
        shutil.copyfile(result.weights, folder / BEST)
        name = name_of(registration.report, registration.trial_id)
        opening = HoldoutAccess(
            datetime.now(UTC).isoformat(timespec="seconds"), "refit of the confirmed setting", 1, (name,)
        )
        failure = record_opening(_owner(record, registration.store), opening, registration.ledger)
        if failure:
            notes.info(failure)
        else:
            save_evidence(folder / TEST_EVIDENCE, result.test)
        yield ModelCard(
            name=registration.name,
            report=registration.report,
            verdict=registration.verdict,
            trial_id=registration.trial_id,
            trial_name=name,
            config=config,
            digest=config.digest(),
            epoch=config.train.epochs,
            is_refit=True,
            trained_on=result.images,
            test=None if failure else score_evidence(result.test),
        )


def _owner(record: SweepRecord, store: Store) -> str:
    """Return the run that records openings of the test part: the screening's, where the store has it."""
    try:
        return store.read_sweep(record.tags.get(CONFIRMS, "")).run_id
    except NoSweepError:
        return record.run_id
