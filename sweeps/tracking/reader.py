"""MLflow -> typed rows: the only reader. What it reads was written by anybody: ids and files are checked here."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bddseg.data.folders import is_folder, is_there, is_visible, names_in
from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence
from bddseg.files import read_json
from bddseg.result import OBJECTIVE
from sweeps.errors import NoSweepError, TrackingError
from sweeps.storage.album import FOLDER, INDEX, PredictionPanels, read_album
from sweeps.storage.artifacts import EVIDENCE_FOLDER, evidence_file
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
from sweeps.storage.tiles import MOST_BYTES
from sweeps.tracking.access import Access
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.hints import restore_cure
from sweeps.tracking.metric_history import History, Point, ask_histories, by_run
from sweeps.tracking.uri import database_file, folder_of, hide_password, report_command, start_command

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

PAGE_ROWS = 1000
READERS = 4
"""Evidence files that are read at once."""

SHOWN_SWEEPS = 10


def local_root(artifact_uri: str) -> Path | None:
    """Return the folder of a run's artifacts where it is one of this machine; None where they have to be fetched."""
    path = folder_of(artifact_uri)
    return path if path is not None and is_folder(path) else None


class Store:
    """Reads sweeps from an MLflow store; makes no database, and needs no leave to write.

    A database in a folder that is read-only, or was moved, is read from a copy; nothing is written.

    Raises:
        NoSweepError: from every reading method, when nothing has been recorded there.
        TrackingError: from every reading method, when the store cannot be read.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._access = Access(tracking_uri)

    @property
    def opened_uri(self) -> str:
        """Return the address that is read: that of a copy, where the database's folder is read-only or was moved."""
        return self._access.opened_uri

    def latest_sweep_id(self) -> str:
        """Return the id of the sweep that was started last."""
        found = self.sweep_ids()
        if not found:
            raise NoSweepError(f"no sweep recorded yet in {self._shown}; run {start_command(self.tracking_uri)}")
        return found[0]

    def sweep_ids(self) -> list[str]:
        """Return the ids of all sweeps, the last one first; what cannot be an id is left out."""
        runs = self._search(f"tags.`{ROLE}` = 'sweep'", "start_time DESC")
        found = dict.fromkeys(run.data.tags.get(SWEEP_ID, "") for run in runs)
        return [sweep_id for sweep_id in found if IDENTITY.fullmatch(sweep_id)]

    def find_sweeps(self, wanted: Sequence[str]) -> list[str]:
        """Return those ids, each once.

        Raises:
            NoSweepError: when there is none of one; names those there are.
        """
        known = set(self.sweep_ids())
        for sweep_id in wanted:
            if sweep_id not in known:
                raise NoSweepError(self._unknown(sweep_id))
        return list(dict.fromkeys(wanted))

    def read_sweep(self, sweep_id: str) -> SweepRecord:
        """Return everything about a sweep but its histories and evidence.

        Raises:
            NoSweepError: when there is none of that id; names those there are.
        """
        runs = self.runs_of(sweep_id)
        parent = next((run for run in runs if run.data.tags.get(ROLE) == "sweep"), None)
        if parent is None:
            raise NoSweepError(self._unknown(sweep_id))
        manifest = self.json_artifact(parent.info.run_id, MANIFEST) or {}
        if "report_command" in manifest:  # as it is from here: the storage folder may have been moved
            manifest["report_command"] = f"{report_command(self.tracking_uri)} {sweep_id}"
        planned = planned_settings(manifest)
        trials = self._one_each([run for run in runs if run.data.tags.get(TRIAL_ID)])
        order = {trial_id: place for place, trial_id in enumerate(planned)}
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
        found = [(run.data.tags.get(SWEEP_ID, ""), run) for run in runs if run.data.tags.get(TRIAL_ID)]
        rows = [Repeat(sweep_id, trial_row(run, None)) for sweep_id, run in found if IDENTITY.fullmatch(sweep_id)]
        return [repeat for repeat in rows if repeat.row.is_completed]

    def histories(self, record: SweepRecord, keys: Sequence[str]) -> dict[str, dict[str, History]]:
        """Return trial id -> metric -> (step, value) by ascending step; of a step recorded twice, the later value."""
        trial_of = {row.run_id: row.trial_id for row in record.trials}
        found: dict[str, dict[str, History]] = {trial_id: {} for trial_id in trial_of.values()}
        for key in keys:
            for run_id, history in by_run(self._points(sorted(trial_of), key)).items():
                if run_id in trial_of:
                    found[trial_of[run_id]][key] = history
        return found

    def evidence(self, row: TrialRow, part: str) -> Evidence | None:
        """Return what the trial's best weights did on a part ("val" or "test"); None when none was recorded.

        Raises:
            DataError: when the file is damaged.
        """
        with self._at_hand(row.run_id, row.artifact_uri, f"{EVIDENCE_FOLDER}/{evidence_file(part)}") as path:
            return load_evidence(path) if path else None

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> dict[str, Evidence | DataError | None]:
        """Return the evidence of many trials by trial id, several read at once; what is damaged says how."""
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(lambda row: self._evidence_or_why(row, part), rows)
            return {row.trial_id: answer for row, answer in zip(rows, found, strict=True)}

    def _evidence_or_why(self, row: TrialRow, part: str) -> Evidence | DataError | None:
        try:
            return self.evidence(row, part)
        except DataError as error:
            return error

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Return a run's artifact that holds a JSON object; None when it is missing or holds something else."""
        with self._downloaded(run_id, name) as path:
            if path is None:
                return None
            try:
                content = read_json(path)
            except ValueError as error:
                log.warning("artifact %s of run %s is no JSON: %s", name, run_id, error)
                return None
        return content if isinstance(content, dict) else None

    @contextmanager
    def client(self, what: str, *, writes: bool = False) -> Iterator["MlflowClient"]:
        """Give MLflow's client to a room that does more than read sweeps; what it raises becomes one line.

        Raises:
            TrackingError: "cannot be" with `what`, the reason and the cure.
        """
        if writes:
            self._access.open_for_writing(what)
        with self._reading(what) as client:
            yield client

    def download(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Return a copy, in the folder, of a run's artifact; None when the run has none of that name."""
        return self._download(run_id, PurePosixPath(name), folder)

    def album(self, run_id: str) -> PredictionPanels | None:
        """Return the pictures among the artifacts of a sweep's run; None when it has none."""
        index = self.json_artifact(run_id, f"{FOLDER}/{INDEX}")
        return read_album(index, partial(self._pictures, run_id)) if index else None

    def _pictures(self, run_id: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those of the names that are there and of a bearable size."""
        with self._reading() as client:
            artifact_uri = client.get_run(run_id).info.artifact_uri or ""
        found: dict[str, bytes] = {}
        for name in names:
            with self._at_hand(run_id, artifact_uri, f"{FOLDER}/{name}") as path, suppress(OSError):
                if path is not None and path.stat().st_size <= MOST_BYTES:
                    found[name] = path.read_bytes()
        return found

    def _present_log(self, log_file: str, sweep_id: str) -> str:
        """Return where a trial's log is now: beside the database, where that is in the sweep's storage folder."""
        database = database_file(self.tracking_uri)
        folder = database.parent / sweep_id if database else None
        return present_path(log_file, folder) if log_file and folder and is_visible(folder) else log_file

    @property
    def _shown(self) -> str:
        return hide_password(self.tracking_uri)

    @contextmanager
    def _reading(self, what: str = "read") -> Iterator["MlflowClient"]:
        with self._access.reading(what) as client:
            yield client

    def runs_of(self, sweep_id: str) -> list["Run"]:
        """Return the runs of a sweep, its own and those of its trials, in the order of their starts."""
        return self._search(f"tags.`{SWEEP_ID}` = '{sweep_id}'") if IDENTITY.fullmatch(sweep_id) else []

    def steps(self, run_ids: Sequence[str], key: str) -> dict[str, set[int]]:
        """Return run id -> the steps at which a metric was recorded."""
        found: dict[str, set[int]] = {}
        for run_id, step, _, _ in self._points(run_ids, key):
            found.setdefault(run_id, set()).add(step)
        return found

    def files_of(self, run: "Run", folder: str) -> dict[str, int | None]:
        """Return the files in a folder of a run's artifacts, by name, with their sizes where those are known."""
        root = local_root(run.info.artifact_uri or "")
        if root is not None:
            paths = [root / folder / name for name in names_in(root / folder)]
            return {path.name: path.stat().st_size for path in paths if path.is_file()}
        if folder_of(run.info.artifact_uri or "") is not None:
            return {}
        with self._reading() as client:
            listed = client.list_artifacts(run.info.run_id, folder or None)
        return {PurePosixPath(item.path).name: item.file_size for item in listed if not item.is_dir}

    def _search(self, query: str, order: str = "start_time ASC") -> list["Run"]:
        runs: list[Run] = []
        with self._reading() as client:
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment and experiment.lifecycle_stage != "active":
                cure = restore_cure(experiment.experiment_id, self.tracking_uri)
                raise TrackingError(f"experiment {EXPERIMENT} is deleted in {self._shown}: {cure}")
            token = "" if experiment else None
            while experiment and token is not None:
                page = client.search_runs([experiment.experiment_id], query, 1, PAGE_ROWS, [order], token or None)
                runs += page
                token = page.token or None
        return runs

    def _unknown(self, sweep_id: str) -> str:
        known = self.sweep_ids()
        if not known:
            return f"no sweep recorded yet in {self._shown}; run {start_command(self.tracking_uri)}"
        more = f" and {len(known) - SHOWN_SWEEPS} older ones" if len(known) > SHOWN_SWEEPS else ""
        return f"no sweep {sweep_id[:80]!r} in {self._shown}; known: {', '.join(known[:SHOWN_SWEEPS])}{more}"

    def _one_each(self, runs: Iterable["Run"]) -> list["Run"]:
        """Return one run of each trial: of two (an answer of the server was lost) the one with more epochs."""
        by_trial: dict[str, list[Run]] = {}
        for run in runs:
            by_trial.setdefault(run.data.tags[TRIAL_ID], []).append(run)
        return [found[0] if len(found) == 1 else max(found, key=self._epochs) for found in by_trial.values()]

    def _epochs(self, run: "Run") -> int:
        return len({step for _, step, _, _ in self._points([run.info.run_id], OBJECTIVE)})

    def _points(self, run_ids: Sequence[str], key: str) -> list[Point]:
        """Return every recorded value of a metric, in as few questions as the store allows."""
        with self._reading() as client:
            return ask_histories(client, run_ids, key)

    @contextmanager
    def _at_hand(self, run_id: str, artifact_uri: str, name: str) -> Iterator[Path | None]:
        """Give an artifact, or None: the file itself where it lies on this machine, otherwise a copy."""
        root = local_root(artifact_uri)
        if root is None:
            with self._downloaded(run_id, name) as copy:
                yield copy
            return
        path = root / name
        yield path if is_there(path) and path.is_file() and path.resolve().is_relative_to(root.resolve()) else None

    @contextmanager
    def _downloaded(self, run_id: str, name: str) -> Iterator[Path | None]:
        """Give a copy of an artifact for as long as the context lasts; None when the run has none of that name."""
        with tempfile.TemporaryDirectory() as folder:
            yield self._download(run_id, PurePosixPath(name), Path(folder))

    def _download(self, run_id: str, name: PurePosixPath, folder: Path) -> Path | None:
        if name.is_absolute() or ".." in name.parts:
            return None
        with self._reading() as client:
            beside = client.list_artifacts(run_id, None if len(name.parts) == 1 else str(name.parent))
            if not any(item.path == str(name) and not item.is_dir for item in beside):
                return None
            path = Path(client.download_artifacts(run_id, str(name), str(folder)))
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
        log.warning("artifact %s of run %s lies outside the download folder; it is not read", name, run_id)
        return None


def trial_row(run: "Run", settings: Mapping[str, Value] | None) -> TrialRow:
    """Return what a run of MLflow says of a trial; its settings are those planned, or else its parameters."""
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
    """Return a parameter, which MLflow keeps as text, as the value it was."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
