"""MLflow -> typed rows: the only reader of runs. Anyone may have written them, so that their ids are checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bddseg.data.folders import is_visible
from bddseg.result import OBJECTIVE
from sweeps.errors import NoSweepError
from sweeps.storage.outcomes import RunStatus
from sweeps.storage.records import IDENTITY, Repeat, SweepRecord, TrialRow, Value, planned_settings
from sweeps.storage.relocation import present_path
from sweeps.storage.sweep_json import FILE as MANIFEST
from sweeps.storage.tags import (
    CONFIG_DIGEST,
    FINALIST,
    FINGERPRINT,
    IS_REFERENCE,
    LOG_FILE,
    ROLE,
    SETTING,
    STOP_DETAIL,
    STOP_REASON,
    SWEEP_ID,
    TRIAL_ID,
)
from sweeps.tracking.artifact_store import ArtifactStore
from sweeps.tracking.experiment import experiments_to_read
from sweeps.tracking.metric_history import History, Point, ask_histories, by_run
from sweeps.tracking.uri import database_file, report_command, start_command

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE_ROWS = 1000
SHOWN_SWEEPS = 10


class Store(ArtifactStore):
    """Reads sweeps from an MLflow store; creates no database, and needs no right to write.

    Raises:
        NoSweepError: from every method, when nothing has been recorded there.
        TrackingError: from every method, when the store cannot be read.
    """

    def latest_sweep_id(self) -> str:
        """Return the id of the sweep that was started last."""
        sweep_ids = self.sweep_ids()
        if not sweep_ids:
            raise NoSweepError(self._no_sweep())
        return sweep_ids[0]

    def sweep_ids(self) -> list[str]:
        """Return the ids of all sweeps, the last one first, without those that cannot be ids."""
        runs = self._search(f"tags.`{ROLE}` = 'sweep'", "start_time DESC")
        sweep_ids = dict.fromkeys(run.data.tags.get(SWEEP_ID, "") for run in runs)
        return [sweep_id for sweep_id in sweep_ids if IDENTITY.fullmatch(sweep_id)]

    def find_sweeps(self, wanted: Sequence[str]) -> list[str]:
        """Return those ids, each once.

        Raises:
            NoSweepError: when no sweep has one of them; names the known ones.
        """
        recorded_ids = set(self.sweep_ids())
        for sweep_id in wanted:
            if sweep_id not in recorded_ids:
                raise NoSweepError(self._unknown(sweep_id))
        return list(dict.fromkeys(wanted))

    def read_sweep(self, sweep_id: str) -> SweepRecord:
        """Return a sweep without its histories and evidence.

        Raises:
            NoSweepError: when no sweep has that id; names the known ones.
        """
        runs = self.runs_of(sweep_id)
        parent = next((run for run in runs if run.data.tags.get(ROLE) == "sweep"), None)
        if parent is None:
            raise NoSweepError(self._unknown(sweep_id))
        manifest = self.json_artifact(parent.info.run_id, MANIFEST) or {}
        if "report_command" in manifest:  # the address of today: the storage folder may have been moved
            manifest["report_command"] = f"{report_command(self.tracking_uri)} {sweep_id}"
        planned = planned_settings(manifest)
        trials = self._one_per_trial([run for run in runs if run.data.tags.get(TRIAL_ID)])
        order = {trial_id: position for position, trial_id in enumerate(planned)}
        rows = [trial_row(run, planned.get(run.data.tags[TRIAL_ID])) for run in trials]
        rows = [replace(row, log_file=self._present_log(row.log_file, sweep_id)) for row in rows]
        return SweepRecord(
            sweep_id=sweep_id,
            run_id=parent.info.run_id,
            status=parent.info.status,
            manifest=manifest,
            tags=dict(parent.data.tags),
            trials=tuple(sorted(rows, key=lambda row: order.get(row.trial_id, len(order)))),
        )

    def find_repeats(self, setting: str, fingerprint: str) -> list[Repeat]:
        """Return the completed trials of all sweeps that are a seed of a setting, on frames of the fingerprint."""
        if not (IDENTITY.fullmatch(setting) and IDENTITY.fullmatch(fingerprint)):
            return []
        same = f"tags.`{SETTING}` = '{setting}' and tags.`{FINGERPRINT}` = '{fingerprint}'"
        runs = self._search(f"{same} and attributes.status = '{RunStatus.FINISHED}'")
        trials = [(run.data.tags.get(SWEEP_ID, ""), run) for run in runs if run.data.tags.get(TRIAL_ID)]
        repeats = [Repeat(sweep_id, trial_row(run, None)) for sweep_id, run in trials if IDENTITY.fullmatch(sweep_id)]
        return [repeat for repeat in repeats if repeat.row.is_completed]

    def histories(self, record: SweepRecord, keys: Sequence[str]) -> dict[str, dict[str, History]]:
        """Return trial id -> metric -> (step, value) by ascending step; of a step recorded twice, as `by_run` does."""
        trial_of = {row.run_id: row.trial_id for row in record.trials}
        histories: dict[str, dict[str, History]] = {trial_id: {} for trial_id in trial_of.values()}
        for key in keys:
            for run_id, history in by_run(self._points(sorted(trial_of), key)).items():
                if run_id in trial_of:
                    histories[trial_of[run_id]][key] = history
        return histories

    def _present_log(self, log_file: str, sweep_id: str) -> str:
        """Return the present path of a trial's log: beside the database, where the sweep's folder is there."""
        database = database_file(self.tracking_uri)
        folder = database.parent / sweep_id if database else None
        return present_path(log_file, folder) if log_file and folder and is_visible(folder) else log_file

    def runs_of(self, sweep_id: str) -> list["Run"]:
        """Return the runs of a sweep, its own and those of its trials, in the order of their starts."""
        return self._search(f"tags.`{SWEEP_ID}` = '{sweep_id}'") if IDENTITY.fullmatch(sweep_id) else []

    def steps(self, run_ids: Sequence[str], key: str) -> dict[str, set[int]]:
        """Return run id -> the steps at which a metric was recorded."""
        steps: dict[str, set[int]] = {}
        for run_id, step, _, _ in self._points(run_ids, key):
            steps.setdefault(run_id, set()).add(step)
        return steps

    def _search(self, query: str, order: str = "start_time ASC") -> list["Run"]:
        runs: list[Run] = []
        with self._reading() as client:
            experiment_ids = experiments_to_read(client, self.experiment, self.tracking_uri)
            token = "" if experiment_ids else None
            while token is not None:
                page = client.search_runs(experiment_ids, query, 1, PAGE_ROWS, [order], token or None)
                runs += page
                self._downloads.addresses |= {run.info.run_id: run.info.artifact_uri or "" for run in page}
                token = page.token or None
        return runs

    def _unknown(self, sweep_id: str) -> str:
        recorded_ids = self.sweep_ids()
        if not recorded_ids:
            return self._no_sweep()
        more = f" and {len(recorded_ids) - SHOWN_SWEEPS} older ones" if len(recorded_ids) > SHOWN_SWEEPS else ""
        return f"no sweep {sweep_id[:80]!r} in {self._shown}; known: {', '.join(recorded_ids[:SHOWN_SWEEPS])}{more}"

    def _no_sweep(self) -> str:
        where = f"experiment {self.experiment} of {self._shown}" if self.experiment else self._shown
        return f"no sweep recorded yet in {where}; run {start_command(self.tracking_uri)}"

    def _one_per_trial(self, runs: Iterable["Run"]) -> list["Run"]:
        """Return one run of each trial: of two (the server's answer to the first was lost) the one with more epochs."""
        by_trial: dict[str, list[Run]] = {}
        for run in runs:
            by_trial.setdefault(run.data.tags[TRIAL_ID], []).append(run)
        return [runs[0] if len(runs) == 1 else max(runs, key=self._epochs) for runs in by_trial.values()]

    def _epochs(self, run: "Run") -> int:
        return len({step for _, step, _, _ in self._points([run.info.run_id], OBJECTIVE)})

    def _points(self, run_ids: Sequence[str], key: str) -> list[Point]:
        """Return every recorded value of a metric, in as few queries as the store allows."""
        with self._reading() as client:
            return ask_histories(client, run_ids, key)


def trial_row(run: "Run", settings: Mapping[str, Value] | None) -> TrialRow:
    """Return the trial of an MLflow run; its settings are the planned ones, or else the run's parameters."""
    tags = run.data.tags
    return TrialRow(
        trial_id=tags[TRIAL_ID],
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        stop_reason=tags.get(STOP_REASON, ""),
        stop_detail=tags.get(STOP_DETAIL, ""),
        log_file=tags.get(LOG_FILE, ""),
        settings=dict(settings) if settings else {key: _typed(text) for key, text in run.data.params.items()},
        metrics=dict(run.data.metrics),
        digest=tags.get(CONFIG_DIGEST, ""),
        is_reference=tags.get(IS_REFERENCE) == "true",
        started_ms=run.info.start_time,
        # MLflow keeps the first end of a run that was resumed
        ended_ms=run.info.end_time if run.info.status != RunStatus.RUNNING else None,
        finalist=tags.get(FINALIST, ""),
        artifact_uri=run.info.artifact_uri or "",
        setting=tags.get(SETTING, ""),
    )


def _typed(text: str) -> Value:
    """Return the value of a parameter, which MLflow keeps as text."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
