"""The MLflow runs of one sweep: found by the ids noted beside its events, else by their tags, else created.

The ids are noted so that the next process finds the runs without a search.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.files import read_json, write_json
from sweeps.errors import TrackingError
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import PARENT, Event, Start
from sweeps.storage.records import IDENTITY
from sweeps.storage.tags import INCOMPLETE, ROLE, SWEEP_ID, TRIAL_ID
from sweeps.tracking.batch import NAME_CHARS
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.connection import Connection
from sweeps.tracking.failures import GONE, code_of
from sweeps.tracking.run import KnownRun, adopted
from sweeps.tracking.uri import hide_password, portable_uri, present_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

FILE = "runs.json"
PAGE_ROWS = 1000
PARENT_TAG = "mlflow.parentRunId"


class SweepRuns:
    """Looks up and creates the runs of a sweep.

    Args:
        tracking_uri: the store.
        sweep_id: of letters, digits, '_', '.' and '-', since it becomes part of a query.
        events: the sweep's, beside which the ids are noted.
        experiment: in which the runs are.

    Raises:
        TrackingError: when the sweep's id cannot be searched for, or the address is no store's.
    """

    def __init__(self, tracking_uri: str, sweep_id: str, events: EventFile, experiment: str = EXPERIMENT) -> None:
        if not IDENTITY.fullmatch(sweep_id):
            raise TrackingError(f"sweep id {sweep_id!r} must be made of letters, digits, '_', '.' and '-'")
        self.store = Connection(tracking_uri, self._forget, experiment)
        self._sweep_id = sweep_id
        self._events = events
        self._runs: dict[str, KnownRun] = {}
        noted_uri, self._ids = load_ids(events)
        self.was_elsewhere = noted_uri not in ("", hide_password(self.store.uri))
        """The sweep was recorded in another store before."""
        if self.was_elsewhere:
            self._ids = {}

    def get(self, trial: str) -> KnownRun | None:
        """Return the run of a trial where this process has used it."""
        return self._runs.get(trial)

    def find(self, trial: str) -> KnownRun | None:
        """Return the run of a trial; None when MLflow has none."""
        if trial not in self._runs and (run := self._noted(trial) or self._search(trial)):
            self._add(trial, adopted(run))
        return self._runs.get(trial)

    def create(self, trial: str, first: Event, parent: KnownRun | None, *, is_incomplete: bool) -> KnownRun:
        """Return a new run.

        Args:
            trial: whose run; "" for the sweep's own.
            first: the trial's first event, which has its name and its time.
            parent: the sweep's run; None for that run itself.
            is_incomplete: events of the trial were delivered before, into a run that is lost. The new run has a mark
                until it has them, so that a process that finds it after a kill sends them.
        """
        tags = {SWEEP_ID: self._sweep_id, ROLE: "sweep"}
        if parent is not None:
            tags |= {ROLE: "trial", TRIAL_ID: trial, PARENT_TAG: parent.run_id}
        if is_incomplete:
            tags[INCOMPLETE] = "true"
        name = ((first.name if isinstance(first, Start) else "") or trial or self._sweep_id)[:NAME_CHARS]
        client, experiment = self.store.client(), self.store.experiment
        run = client.create_run(experiment, start_time=first.time_ms, tags=tags, run_name=name)
        created = KnownRun(run.info.run_id, run.info.artifact_uri or "", is_incomplete=is_incomplete)
        self._add(trial, created)
        return created

    def is_active(self, trial: str) -> bool:
        """Return whether a trial's run can be written; forget one that was deleted."""
        if trial not in self._runs or self._noted(trial):
            return True
        del self._runs[trial], self._ids[trial]
        return False

    def look_for(self, trial: str) -> None:
        """Forget a trial's run that was deleted, after an upload that failed.

        A server whose store of files fails often breaks off the next request too: that error says nothing.

        Raises:
            TrackingError: when the experiment is deleted.
        """
        try:
            self.store.check_experiment()
            self.is_active(trial)
        except TrackingError:
            raise
        except Exception as error:  # noqa: BLE001 - the upload's own error is the reason
            log.debug("the run of trial %s was not looked up: %s", trial, error)

    def trial_run_ids(self) -> Iterator[str]:
        """Yield the ids of the runs of all trials."""
        client, query = self.store.client(), f"tags.`{SWEEP_ID}` = '{self._sweep_id}' and tags.`{ROLE}` = 'trial'"
        token: str | None = ""
        while token is not None:
            page = client.search_runs([self.store.experiment], query, max_results=PAGE_ROWS, page_token=token or None)
            yield from (run.info.run_id for run in page)
            token = page.token or None

    def note_store(self) -> None:
        """Note that the sweep is recorded in this store from now on."""
        save_ids(self._events, self.store.uri, self._ids)
        self.was_elsewhere = False

    def _add(self, trial: str, run: KnownRun) -> None:
        self._runs[trial], self._ids[trial] = run, run.run_id
        save_ids(self._events, self.store.uri, self._ids)

    def _noted(self, trial: str) -> "Run | None":
        """Return the run whose id is noted, unless it has been deleted."""
        if trial not in self._ids:
            return None
        try:
            run = self.store.client().get_run(self._ids[trial])
        except Exception as error:
            if code_of(error) != GONE:
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _search(self, trial: str) -> "Run | None":
        role = f"tags.`{TRIAL_ID}` = '{trial}'" if trial != PARENT else f"tags.`{ROLE}` = 'sweep'"
        query = f"tags.`{SWEEP_ID}` = '{self._sweep_id}' and {role}"
        runs = self.store.client().search_runs(
            [self.store.experiment], query, max_results=1, order_by=["start_time ASC"]
        )
        return runs[0] if runs else None

    def _forget(self) -> None:
        """Look up every run again: one was deleted, or another store has taken the place of the old one."""
        self._runs.clear()
        self._ids.clear()


def load_ids(events: EventFile) -> tuple[str, dict[str, str]]:
    """Return the noted store, at its present address, and the ids of its runs; nothing where the note is damaged."""
    try:
        noted = read_json(events.folder / FILE)
        store, ids = str(noted["store"]), {str(trial): str(run) for trial, run in noted["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}
    return present_uri(store, storage_of(events), events.recorded_storage()), ids


def save_ids(events: EventFile, uri: str, ids: Mapping[str, str]) -> None:
    """Note the ids of the runs, and of which store they are."""
    write_json(events.folder / FILE, {"store": portable_uri(uri, storage_of(events)), "runs": ids})


def storage_of(events: EventFile) -> Path:
    """Return the storage folder that holds a sweep's events."""
    return events.folder.parent.parent
