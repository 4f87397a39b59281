"""A report's verdict -> a registered model: whose weights, trained anew where a winner was confirmed, crowned champion.

After a screening it is the leader: its own best weights. After a confirmation it is the winner's setting, trained once
more on train and validation; of a tie it is the recommended one, and where nobody can tell, the leader.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.config import TrainConfig
from bddseg.errors import DataError
from bddseg.evidence import Evidence, save_evidence
from bddseg.trained import load_trained
from sweeps.card import Card, describe_model, identity, name_of, render_card
from sweeps.errors import NothingToRegisterError
from sweeps.findings import Verdict
from sweeps.gather import Report
from sweeps.refit import load_recorded, refit, refit_config
from sweeps.registry import Registry, Version, check_name
from sweeps.store import Store, SweepRecord, TrialRow
from sweeps.weights import WEIGHTS

Say = Callable[[str], None]

CARD, CONFIG, TEST = "card.md", "config.json", "evidence-test.npz"


@dataclass(frozen=True)
class Registration:
    """What is to be registered under which name, and what it is taken from."""

    name: str
    report: Report
    verdict: Verdict
    record: SweepRecord
    store: Store

    @property
    def is_refit(self) -> bool:
        return self.verdict.stage == "confirmation"

    @property
    def trial_id(self) -> str:
        """Return the trial, or finalist, that is registered."""
        is_tie = self.is_refit and self.verdict.outcome == "tie"
        return self.verdict.recommended if is_tie else self.verdict.leader


def register(registration: Registration, say: Say) -> Version:
    """Return the registered version, made where there is none of this trial yet, and crowned if it never was.

    Raises:
        NothingToRegisterError: when the sweep still runs, or left no weights that can be used.
        ModelError: for a name that cannot be one.
    """
    name, record = check_name(registration.name), registration.record
    if registration.report.state == "running":
        raise NothingToRegisterError(f"{record.sweep_id} is running: its leader may still change; register it later")
    registry, run_id = Registry(registration.store), _run_id(registration)
    tags = identity(record.sweep_id, registration.trial_id, is_refit=registration.is_refit)
    found = registry.find(name, run_id, tags)
    say(_choice(registration))
    if found:
        say(f"it is registered already: {found.words}; {registry.crown(found)}")
        return found
    with _model(registration, say) as (card, folder):
        made = registry.add(name, run_id, folder, card.tags(), registration.verdict.sentence)
    say(f"registered as {made.words}; {registry.crown(made)}")
    return made


def _choice(registration: Registration) -> str:
    """Return in words what is registered, and how sure its place is."""
    verdict, name = registration.verdict, name_of(registration.report, registration.trial_id)
    why = {
        "winner": "the winner",
        "leader": "the leader, screened once and not confirmed",
        "tie": "the recommended one of a tie" if registration.is_refit else "the leader of a tie",
        "undecided": "the leader, though nobody can tell yet",
    }[verdict.outcome]
    other = name_of(registration.report, verdict.recommended)
    hint = "" if verdict.recommended == registration.trial_id else f"; recommended as cheaper and as good: {other}"
    return f"{name}: {why}{hint}"


def _run_id(registration: Registration) -> str:
    """Return the run that the version belongs to: the trial's own, or the confirmation's."""
    return registration.record.run_id if registration.is_refit else _row(registration).run_id


def _row(registration: Registration) -> TrialRow:
    rows = [row for row in registration.record.trials if row.trial_id == registration.trial_id]
    if not rows:
        raise NothingToRegisterError(f"{registration.record.sweep_id} has no trial {registration.trial_id}")
    return rows[0]


@contextmanager
def _model(registration: Registration, say: Say) -> Iterator[tuple[Card, Path]]:
    """Give the card and a folder with everything that a version holds."""
    make = _refitted if registration.is_refit else _screened
    with tempfile.TemporaryDirectory(prefix="bddseg-register-") as place, make(registration, Path(place), say) as card:
        folder = Path(place)
        trained = load_trained(load_checkpoint(folder / BEST))
        (folder / CARD).write_text(render_card(card))
        (folder / CONFIG).write_text(json.dumps(describe_model(card, trained), indent=1))
        if card.is_refit and card.test is not None:
            save_evidence(folder / TEST, card.test)
        yield card, folder


@contextmanager
def _screened(registration: Registration, folder: Path, say: Say) -> Iterator[Card]:
    """Put the trial's best weights into the folder, and give their card.

    Raises:
        NothingToRegisterError: when they were not kept, are damaged, or are another trial's.
    """
    row, store, record = _row(registration), registration.store, registration.record
    with tempfile.TemporaryDirectory(prefix="bddseg-weights-") as place:
        path = store.download(row.run_id, WEIGHTS, Path(place))
        if path is None:
            raise NothingToRegisterError(
                f"{record.sweep_id}, trial {row.name}: its weights were not kept; run the sweep with --keep-weights all"
            )
        shutil.copyfile(path, folder / BEST)
    try:
        best = load_checkpoint(folder / BEST)
        load_trained(best)
    except DataError as error:
        raise NothingToRegisterError(f"{record.sweep_id}, trial {row.name}: {error}") from error
    if best.get("digest") != row.digest:
        raise NothingToRegisterError(
            f"{record.sweep_id}, trial {row.name}: its weights are those of trial {best.get('digest')}, but must be "
            f"those of {row.digest}"
        )
    yield _card(
        registration,
        config=TrainConfig.from_dict(best["config"]),
        digest=row.digest,
        epoch=int(best["epoch"]),
        trained_on=_train_images(registration.report),
        validation=_evidence(registration, row, "val"),
        test=_evidence(registration, row, "test") if _is_open(registration) else None,
    )


@contextmanager
def _refitted(registration: Registration, folder: Path, say: Say) -> Iterator[Card]:
    """Train the setting anew, put its weights into the folder, and give their card."""
    config = refit_config(registration.record, registration.trial_id)
    material = load_recorded(registration.record, config)
    with refit(config, material, say) as found:
        shutil.copyfile(found.weights, folder / BEST)
        yield _card(
            registration,
            config=found.config,
            digest=found.config.digest(),
            epoch=found.config.train.epochs,
            trained_on=found.images,
            validation=None,
            test=found.test,
        )


def _card(
    registration: Registration,
    *,
    config: TrainConfig,
    digest: str,
    epoch: int,
    trained_on: int,
    validation: Evidence | None,
    test: Evidence | None,
) -> Card:
    return Card(
        name=registration.name,
        report=registration.report,
        verdict=registration.verdict,
        trial_id=registration.trial_id,
        trial_name=name_of(registration.report, registration.trial_id),
        config=config,
        digest=digest,
        epoch=epoch,
        is_refit=registration.is_refit,
        trained_on=trained_on,
        validation=validation,
        test=test,
    )


def _train_images(report: Report) -> int:
    found = report.facts["data"]["split"]["train"]
    return found if isinstance(found, int) else 0


def _is_open(registration: Registration) -> bool:
    """Return whether the report opened the test part for this trial."""
    return any(entry.trial_id == registration.trial_id for entry, *_ in registration.report.test.opened)


def _evidence(registration: Registration, row: TrialRow, part: str) -> Evidence | None:
    """Return evidence that can be shown; None for what is damaged, missing or of other frames, as in the report."""
    try:
        found = registration.store.evidence(row, part)
    except DataError:
        return None
    known = registration.report.facts["data"]["fingerprint"]
    return found if found and (not known or found.fingerprint == known) else None
