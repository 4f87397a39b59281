"""Assemble and run a sweep: plan -> Ray Tune -> outbox -> MLflow; returns a summary."""

import contextlib
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray import tune

from bddseg.device import describe, resolve_device
from sweeps.cluster import check_address, ray_cluster, slots
from sweeps.delivery import Delivery, prepare_store
from sweeps.errors import StorageError
from sweeps.experiment import Experiment
from sweeps.keeping import Keeper
from sweeps.manifest import build_manifest, save_manifest
from sweeps.memory import FILE as MEMORY
from sweeps.monitor import OPEN, Board, View
from sweeps.outbox import PARENT, Outbox
from sweeps.plan import Plan
from sweeps.search import build_search
from sweeps.source import Material, cache_folder
from sweeps.tracking import Tracker, source_tags
from sweeps.trainable import Workload, build_trainable

log = logging.getLogger(__name__)

FLUSH_SECONDS = 60
"""How long the end of a sweep waits for MLflow; what is left stays in the outbox."""

MAX_FAILURES = 1
"""A trial whose process dies or raises is tried once more, from its last checkpoint."""


@dataclass(frozen=True)
class Order:
    """Everything that decides how a sweep runs."""

    experiment: Experiment
    plan: Plan
    material: Material
    storage: Path
    tracking_uri: str
    resources: dict[str, float]
    """Of one trial: CPU and GPU."""
    device: str = "cpu"
    address: str | None = None
    max_concurrent: int = 0
    keep_all_weights: bool = False
    dashboard: bool = False
    is_quiet: bool = False
    command: str = ""
    report_command: str = "python report.py"


@dataclass(frozen=True)
class Summary:
    """What a sweep came to."""

    sweep_id: str
    folder: Path
    board: Board
    undelivered: int
    """Events that MLflow does not have yet."""
    signal_number: int
    """The signal that ended it early; 0 when it ran to its end."""
    report_command: str

    @property
    def is_interrupted(self) -> bool:
        return self.signal_number != 0

    @property
    def exit_code(self) -> int:
        """0 fine, 1 no trial gave a figure, 128 + signal when interrupted."""
        if self.is_interrupted:
            return 128 + self.signal_number
        return 0 if self.board.best() else 1


def run_sweep(order: Order, say: Callable[[str], None] = log.info) -> Summary:
    """Run a sweep to its end, or to an interrupt, and deliver what it measured.

    Raises:
        StorageError, TrackingError, ExperimentError: before anything is trained.
    """
    if order.address:
        check_address(order.address)
    prepare_store(order.tracking_uri, order.storage / "artifacts")
    sweep_id = new_sweep_id(order.experiment.name)
    order = replace(order, report_command=f"{order.report_command} {sweep_id}")
    folder = order.storage / sweep_id
    folder.mkdir(parents=True)
    run = _Run(order, sweep_id, folder)
    say(f"sweep {sweep_id}: {len(order.plan.trials)} trials, {order.plan.epochs} epochs each; files in {folder}")
    run.begin()
    say("starting Ray" if not order.address else f"joining Ray at {order.address}")
    try:
        results, signal_number = _on_ray(run, say)
        say("keeping the finalists' weights, checking the leader's figures, delivering to MLflow")
        return run.end(results, signal_number)
    except BaseException as error:
        run.abandon(error)
        raise


def new_sweep_id(space: str) -> str:
    """Return a name that sorts by time and is not used twice: `smoke-20261123-034501-3f2a`."""
    return f"{space}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_storage(folder: Path) -> Path:
    """Return the absolute output folder, made if need be.

    Raises:
        StorageError: when it cannot be made or written.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(f"--storage {folder} cannot be written: {error.strerror}; choose another folder") from error
    return folder


@dataclass
class _Run:
    """The parts of one sweep while it runs."""

    order: Order
    sweep_id: str
    folder: Path
    board: Board = field(init=False)
    view: View = field(init=False)
    outbox: Outbox = field(init=False)
    delivery: Delivery = field(init=False)
    manifest: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.order.plan)
        self.view = View(self.board, is_quiet=self.order.is_quiet)
        self.outbox = Outbox(self.folder / "outbox")
        self.delivery = Delivery(self.outbox, self.order.tracking_uri, self.sweep_id)
        self.manifest = build_manifest(
            self.sweep_id, self.order.experiment, self.order.plan, self.order.material.to_dict(), self._facts()
        )

    def begin(self) -> None:
        """Write down what is about to happen, and start delivering."""
        path = save_manifest(self.folder, self.manifest)
        self.outbox.append(self._event("start", name=self.sweep_id, params=self._params(), tags=self._tags()))
        self.outbox.append(self._event("artifact", path=str(path), folder=""))
        self.delivery.start()

    def end(self, results: tune.ResultGrid, signal_number: int) -> Summary:
        """Keep what is worth keeping, close the sweep's runs, deliver."""
        checkpoints = {result.config["trial"]: Path(result.checkpoint.path) for result in results if result.checkpoint}
        keeper = Keeper(self.order.plan, self.board, checkpoints, self.outbox)
        keeper.keep(self.order.material, self.folder, all_weights=self.order.keep_all_weights)
        best = self.board.best()
        status = "KILLED" if signal_number else "FINISHED" if best else "FAILED"
        metrics = {"best/miou": best.best_miou} if best else {}
        self.outbox.append(
            self._event("end", status=status, tags={}, metrics=metrics, step=0, note=self.board.markdown())
        )
        undelivered = self.delivery.close(FLUSH_SECONDS)
        return Summary(self.sweep_id, self.folder, self.board, undelivered, signal_number, self.order.report_command)

    def abandon(self, error: BaseException) -> None:
        """Close the sweep's runs when it could not be run to an end, so that they do not look alive."""
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        tags = {"sweep.stop_detail": f"{type(error).__name__}: {error}"}
        for row in self.board.rows.values():
            if row.state in ("running", "paused"):
                cut = {"sweep.stop_reason": "user", **tags}
                event = self._event("end", status="KILLED", tags=cut, metrics={}, step=row.epochs, note=None)
                self.outbox.append(event | {"trial": row.trial_id})
        self.outbox.append(self._event("end", status=status, tags=tags, metrics={}, step=0, note=None))
        self.delivery.close(FLUSH_SECONDS / 6)

    def _facts(self) -> dict[str, Any]:
        order = self.order
        return {
            "device": describe(resolve_device(order.device)) if not order.address else f"cluster {order.address}",
            "precision": order.plan.trials[0].config.train.precision,
            "command": order.command,
            "report_command": order.report_command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _params(self) -> dict[str, Any]:
        shown = ("space", "profile", "question", "seed", "metric", "reference", "device", "precision")
        schedule = {f"scheduler.{key}": str(value) for key, value in self.manifest["scheduler"].items()}
        axes = {f"axis.{key}": str(values) for key, values in self.manifest["axes"].items()}
        return {key: self.manifest[key] for key in shown} | schedule | axes | {"trials": len(self.order.plan.trials)}

    def run_tags(self) -> dict[str, str]:
        """Return the tags that the sweep's run and every trial's run carry."""
        version = self.manifest["code_version"]
        commit = {} if version == "unknown" else {"mlflow.source.git.commit": version}
        return {"data.fingerprint": self.manifest["data"]["fingerprint"], "code.version": version, **commit}

    def _tags(self) -> dict[str, str]:
        data = self.manifest["data"]
        return {
            **source_tags(),
            **self.run_tags(),
            "sweep.space": self.order.experiment.name,
            "sweep.profile": self.order.experiment.profile,
            "sweep.folder": str(self.folder),
            "data.root": data["root"],
            "data.embedded": str(data["embedded"]).lower(),
        }

    @staticmethod
    def _event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"kind": kind, "trial": PARENT, "time_ms": int(time.time() * 1000), **fields}


def _on_ray(run: _Run, say: Callable[[str], None]) -> tuple[tune.ResultGrid, int]:
    """Run the plan on a Ray that is up for as long as that takes."""
    order, frames = run.order, run.order.material.frames
    ray_is_up = ray_cluster(
        cache_folder(),
        address=order.address,
        object_bytes=frames.images.nbytes + frames.masks.nbytes,
        dashboard=order.dashboard,
    )
    with run.view, ray_is_up as dashboard:
        if dashboard:
            say(dashboard.sentence())
        run.board.slots = slots(order.resources, order.max_concurrent)
        return _fit(run)


def _fit(run: _Run) -> tuple[tune.ResultGrid, int]:
    """Let Ray Tune run the plan; return its results and the signal that ended it early, or 0."""
    order = run.order
    search = build_search(order.experiment, order.plan, memory=run.folder / MEMORY, slots=run.board.slots)
    tracker = Tracker(
        run.folder / "outbox",
        run.sweep_id,
        {trial.trial_id: trial for trial in order.plan.trials},
        search.scheduler,
        logs=run.folder / "logs",
        tags=run.run_tags(),
        listeners=(run.board.apply, run.view.apply),
    )
    workload = Workload(
        base=order.experiment.base.with_overrides({"train.precision": run.manifest["precision"]}).to_dict(),
        frames=order.material.frames,
        split=order.material.split,
        rungs=order.plan.rungs,
        threads=int(order.resources["CPU"]),
        device="auto" if order.resources["GPU"] else "cpu",
        logs=str(run.folder / "logs"),
    )
    names = {trial.trial_id: trial.name for trial in order.plan.trials}
    promotes = order.experiment.schedule.name == "asha_promote"  # counts its trials itself
    tuner = tune.Tuner(
        build_trainable(workload, order.resources),
        param_space=search.param_space,
        tune_config=tune.TuneConfig(
            search_alg=search.searcher,
            scheduler=search.scheduler,
            num_samples=search.num_samples,
            max_concurrent_trials=None if promotes else order.max_concurrent or None,
            trial_name_creator=lambda trial: names[trial.config["trial"]],
            trial_dirname_creator=lambda trial: str(trial.config["trial"]),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(run.folder),
            verbose=0,
            callbacks=[tracker],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    with _interruptible() as interrupted:
        results = tuner.fit()
    is_open = any(row.state in OPEN for row in run.board.rows.values())
    return results, (interrupted[-1] if interrupted else signal.SIGINT) if is_open else 0


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Let SIGTERM end the sweep as Ctrl-C does: Tune takes a last snapshot and returns. Yields the signals seen."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals reach the main thread alone
        return

    def on_terminate(number: int, frame: Any) -> None:
        seen.append(number)
        os.kill(os.getpid(), signal.SIGUSR1)  # Tune's own word for a graceful end

    before = signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)
