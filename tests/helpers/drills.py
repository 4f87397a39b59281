"""Shared by the fault drills: a sweep in a second process, its audit, and the table of all drills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from recording import until

from bddseg.result import OBJECTIVE
from sweeps.storage.events import PARENT
from sweeps.storage.folder import SweepFolder
from sweeps.storage.sweep_json import read_manifest
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.uri import default_tracking_uri

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(tempfile.gettempdir()) / f"drill-{os.getpid()}"
"""Frames and Ray's sessions of all drills of this process; short, since sockets lie below it."""

SMALL = ("--space", "smoke", "--profile", "quick", "--set", "train.precision=fp32")
PATIENCE_S = 300.0
OWN_ENDS = frozenset({"max_epochs", "plateau", "asha", "diverged", "error", "oom", "user"})


@dataclass(frozen=True)
class Fault:
    """One line of the table: what was done, and what it cost."""

    name: str
    injected: int
    trials_lost: int
    runs_doubled: int
    epochs_repeated: int
    seconds: float

    def sentence(self) -> str:
        return (
            f"{self.name} injected={self.injected} trials_lost={self.trials_lost} runs_doubled={self.runs_doubled} "
            f"epochs_repeated={self.epochs_repeated} seconds={self.seconds:.0f}"
        )


FAULTS: list[Fault] = []
"""Every fault of this session that was survived, for the table at its end."""


@dataclass
class Site:
    """A storage folder, and the sweep that runs in it."""

    storage: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return default_tracking_uri(self.storage)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command line in a session, and a process group, of its own."""
        environment = os.environ | {"BDDSEG_CACHE": str(CACHE), "OMP_NUM_THREADS": "1"} | dict(self.environment)
        command = [sys.executable, "tune_main.py", *arguments, "--storage", str(self.storage)]
        with (self.storage / "driver.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> int:
        """Run a command line to its end; return its exit code."""
        return self.start(*arguments).wait(PATIENCE_S)

    def said(self) -> str:
        """Return all that the drivers have said."""
        return (self.storage / "driver.log").read_text(errors="replace")

    @property
    def folder(self) -> Path:
        """Return the folder of the only sweep."""
        (path,) = self.storage.glob("*/sweep.json")
        return path.parent

    @property
    def sweep_id(self) -> str:
        return self.folder.name

    def events(self) -> list[dict[str, Any]]:
        """Return every event of the sweep so far; none while there is no sweep."""
        text = b"".join(path.read_bytes() for path in self.storage.glob("*/outbox/outbox.jsonl"))
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def epochs(self, trial_id: str | None = None) -> list[tuple[str, int]]:
        """Return (trial, epoch) of every epoch that was reported, in order, repetitions too."""
        reported = [(event["trial"], int(event["step"])) for event in self.events() if event["kind"] == "epoch"]
        return [pair for pair in reported if trial_id in (None, pair[0])]

    def running(self) -> dict[str, int]:
        """Return the trials that run, as the sweep tells, with their last epoch."""
        last_epochs: dict[str, int] = {}
        for event in self.events():
            if event["kind"] == "end":
                last_epochs.pop(event["trial"], None)
            elif event["trial"] != PARENT and event["kind"] in ("start", "epoch"):
                last_epochs[event["trial"]] = int(event.get("step", 0))
        return last_epochs

    def await_epochs(self, number: int, trial_id: str | None = None) -> None:
        """Wait until so many epochs were reported, of all trials or of one."""
        self.await_that(lambda: len(self.epochs(trial_id)) >= number)

    def await_sentence(self, sentence: str) -> None:
        """Wait until a driver says so."""
        self.await_that(lambda: sentence in self.said())

    def await_that(self, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait for something to be so; show what the driver said if it never is."""
        assert until(lambda: bool(condition()), seconds), self.said()[-4000:]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def site(folder: Path, template: Path, **environment: str) -> Iterator[Site]:
    """Give a storage folder with a prepared database; end every driver that is left."""
    storage = folder / "runs"
    storage.mkdir(parents=True)
    shutil.copy(template, storage / "mlflow.db")
    prepared = Site(storage, environment)
    try:
        yield prepared
    finally:
        prepared.close()


@dataclass(frozen=True)
class Audit:
    """What a sweep that is over left behind, in its own events and in MLflow."""

    planned: int
    reasons: Mapping[str, list[str]]
    """Trial -> the reasons of all its ends, cut-offs too."""
    runs: Mapping[str, int]
    """Trial -> runs in MLflow; "" is the sweep's own."""
    statuses: Mapping[str, str]
    gaps: int
    """Epochs of a trial up to its last that MLflow does not have, or has twice."""
    repeated: int
    """Epochs that were reported more than once."""

    @property
    def lost(self) -> int:
        """Return how many trials did not come to an end of their own, or have no run."""
        is_whole = [trial for trial, ends in self.reasons.items() if ends[-1] in OWN_ENDS and self.runs.get(trial)]
        return self.planned - len(is_whole)

    @property
    def doubled(self) -> int:
        return sum(number - 1 for number in self.runs.values())


def audit(sweep_site: Site, uri: str | None = None) -> Audit:
    """Count what a sweep left behind; every trial's run must be there once, with every epoch once."""
    planned = [trial.trial_id for trial in read_manifest(sweep_site.folder).trials]
    reasons: dict[str, list[str]] = {}
    for event in sweep_site.events():
        if event["kind"] == "end" and event["trial"] != PARENT:
            reasons.setdefault(event["trial"], []).append(event["tags"]["sweep.stop_reason"])
    client = open_client(uri or sweep_site.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{sweep_site.sweep_id}'")
    gaps = 0
    for run in runs:
        if trial_id := run.data.tags.get("sweep.trial_id"):
            steps = sorted(point.step for point in client.get_metric_history(run.info.run_id, OBJECTIVE))
            told_epochs = {epoch for _, epoch in sweep_site.epochs(trial_id)}
            gaps += len(set(steps) ^ told_epochs) + len(steps) - len(set(steps))
            gaps += len(set(range(1, max(told_epochs, default=0) + 1)) - told_epochs)
    return Audit(
        planned=len(planned),
        reasons=reasons,
        runs=Counter(run.data.tags.get("sweep.trial_id", PARENT) for run in runs),
        statuses={run.data.tags.get("sweep.trial_id", PARENT): run.info.status for run in runs},
        gaps=gaps,
        repeated=len(sweep_site.epochs()) - len(set(sweep_site.epochs())),
    )


def survived(
    name: str, sweep_site: Site, injected: int, result: Audit | None = None, repeated_at_most: int = 0
) -> Audit:
    """Check that a sweep that is over lost nothing, and put it into the table."""
    result = result or audit(sweep_site)
    seconds = time.monotonic() - sweep_site.began
    FAULTS.append(Fault(name, injected, result.lost, result.doubled, result.repeated, seconds))
    assert (result.lost, result.doubled, result.gaps) == (0, 0, 0), (result, sweep_site.said()[-3000:])
    assert "RUNNING" not in result.statuses.values(), result
    assert len(result.runs) == result.planned + 1, result
    assert result.repeated <= repeated_at_most, result
    return result


def table() -> list[str]:
    """Return the table of all faults, and one line for each."""
    titles = ("fault", "injected", "trials lost", "runs doubled", "epochs repeated", "seconds")
    rows = [
        tuple(f"{value:.0f}" if isinstance(value, float) else str(value) for value in astuple(fault))
        for fault in FAULTS
    ]
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [titles, *rows]]
    return [*lines, "", *(fault.sentence() for fault in FAULTS)]


def trial_process(sweep_site: Site, trial_id: str) -> int:
    """Return the process that runs a trial, as its log says; 0 before it says so."""
    log = SweepFolder(sweep_site.folder).log(trial_id)
    processes = re.findall(r"process (\d+)$", log.read_text(), re.MULTILINE) if log.exists() else []
    return int(processes[-1]) if processes else 0


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes that a driver has started, and theirs."""
    return psutil.Process(process.pid).children(recursive=True)


def leftovers(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return which of the processes still run after a few seconds."""
    _, alive = psutil.wait_procs(processes, timeout=15)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def session_folders() -> list[Path]:
    """Return what Rays have left in the cache."""
    return list(CACHE.glob("ray-*/r-*"))
