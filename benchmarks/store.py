"""Store: cost of many finished trials for a new sweep and for a resume. `python -m benchmarks.store`

5,000 completed trials are in one storage folder, once as fifty sweeps of a hundred, once as one sweep.
Timed is what a new sweep does about them before Ray starts (which of its trials were trained before? reuse them), and
what the resume of the large sweep does, where two trials are still open. Each has to stay under 5 s of one core:
processor time of this thread, since the clock says more of what else runs here.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bddseg.config import TrainConfig
from bddseg.result import metric_directions
from bddseg.task import FIVE_CLASSES
from benchmarks.cli import cache_folder, machine, positive
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.searcher import TunerSetup, build_search
from sweeps.execution.spec import SweepSpec
from sweeps.execution.sweep import SweepRun
from sweeps.execution.tuner import recall
from sweeps.planning.dataset import Dataset, Source, load_dataset
from sweeps.planning.experiment import Experiment
from sweeps.planning.manifest import build_manifest, recorded_experiment, recorded_plan
from sweeps.planning.plan import Plan, PlannedTrial, build_plan
from sweeps.planning.reuse import EVIDENCE
from sweeps.schedulers.rungs import Schedule
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import PARENT, Event
from sweeps.storage.sweep_json import read_manifest, save_manifest
from sweeps.storage.sweeps import check_events, unfinished_sweep
from sweeps.tracking.uri import default_tracking_uri

EPOCHS, SWEEPS, OPEN = 20, 50, 2
ASKED = 100
"""Trials of the new sweep, all of which one of the old ones has trained."""
TARGET = 5.0
SEEDS_APART = 1_000_000


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=positive, default=5000, metavar="N", help="finished trials in the store")
    trials = options.parse_args(argv).trials
    print(machine())
    dataset = load_dataset(Source("quick", None), base(), cache_folder(), on_bad_sample="fail", progress=False)
    is_met = True
    with storage() as folder:
        for number in range(SWEEPS):
            write_sweep(folder, dataset, trials // SWEEPS, first=number * (trials // SWEEPS))
        is_met &= reuse(f"{SWEEPS} sweeps", folder, dataset, trials)
    with storage() as folder:
        sweep = write_sweep(folder, dataset, trials)
        is_met &= reuse("one sweep", folder, dataset, trials)
        shutil.rmtree(folder / "new")
        reopen_last(sweep)
        is_met &= tell(f"resume of one sweep of {trials}", *timed(lambda: resume(folder, dataset)))
        tracemalloc.start()  # slows everything down, so it is done once more for this
        resumed = resume(folder, dataset)
        print(f"store driver_kb_per_trial={tracemalloc.get_traced_memory()[0] / 1e3 / trials:.1f}")
        del resumed
    return int(not is_met)


def reuse(label: str, folder: Path, dataset: Dataset, trials: int) -> bool:
    """Time how a new sweep reuses its trials."""
    run = new_run(folder, dataset)
    took = timed(run.trials.reuse)
    assert len(run.past) == ASKED, f"{len(run.past)} of {ASKED} trials were reused"
    return tell(f"planning with reuse, {trials} trials in {label}", *took)


def tell(label: str, cpu_s: float, wall_s: float) -> bool:
    """Print a figure; return whether it meets the target."""
    print(f"store {label}: value={cpu_s:.2f} target={TARGET:.0f} wall={wall_s:.2f}", flush=True)
    return cpu_s <= TARGET


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor and the wall-clock seconds that it takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def base() -> TrainConfig:
    """Return settings of a small net."""
    return TrainConfig().with_overrides({"data.size": 32, "train.epochs": EPOCHS, "train.precision": "fp32"})


def plan_of(trials: int, first: int = 0) -> tuple[Experiment, Plan]:
    """Return a space with a number of points that differ in their seeds."""
    seeds = tuple(range(SEEDS_APART + first, SEEDS_APART + first + trials))
    axes, reference = (("train.seed", seeds),), {"train.seed": seeds[0]}
    experiment = Experiment("store", "How fast?", "quick", base(), axes, reference, Schedule("asha", 0.1, 3))
    return experiment, build_plan(experiment)


def write_sweep(folder: Path, dataset: Dataset, trials: int, first: int = 0) -> Path:
    """Write what a sweep of finished trials leaves behind; return its folder."""
    experiment, plan = plan_of(trials, first)
    path = folder / f"store-{first:05d}"
    (path / "outbox").mkdir(parents=True)
    order = order_of(folder, experiment, plan, dataset)
    facts = {"tracking_uri": order.tracking_uri, "terms": order.terms()}
    save_manifest(path, build_manifest(path.name, experiment, plan, dataset.to_dict(), facts))
    with (path / "outbox" / "outbox.jsonl").open("w") as file:
        for event in [start(PARENT), *(event for trial in plan.trials for event in events_of(trial, path))]:
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
    return path


def start(trial_id: str, **fields: Any) -> Event:
    """Return the event with which a run begins."""
    return {"kind": "start", "trial": trial_id, "time_ms": 1, "name": trial_id, "params": {}, "tags": {}} | fields


def events_of(trial: PlannedTrial, folder: Path) -> Iterator[Event]:
    """Yield what a trial that ran to its end wrote, and leave its evidence."""
    common = {"trial": trial.trial_id, "time_ms": 1}
    tags = {f"sweep.tag{number}": "x" * 20 for number in range(12)}
    yield start(trial.trial_id, name=trial.name, params=trial.settings, tags=tags)
    for epoch in range(1, EPOCHS + 1):
        yield {
            "kind": "epoch",
            **common,
            "step": epoch,
            "metrics": dict.fromkeys(metric_directions(FIVE_CLASSES), 0.123456 * epoch),
        }
    path = folder / "outbox" / "spool" / trial.trial_id / EVIDENCE
    path.parent.mkdir(parents=True)
    path.touch()
    yield {"kind": "artifact", **common, "path": str(path), "folder": "evidence"}
    ended = {"sweep.stop_reason": "max_epochs", "sweep.stop_detail": "all epochs done"}
    yield {"kind": "end", **common, "status": "FINISHED", "tags": ended, "metrics": {}, "step": EPOCHS, "note": None}


def reopen_last(folder: Path) -> None:
    """Take away the ends of a sweep's last trials."""
    path = folder / "outbox" / "outbox.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    open_lines = [line for line in lines[-OPEN * (EPOCHS + 3) :] if '"kind":"end"' not in line]
    path.write_text("".join([*lines[: -OPEN * (EPOCHS + 3)], *open_lines]))


def order_of(folder: Path, experiment: Experiment, plan: Plan, dataset: Dataset) -> SweepSpec:
    """Return an order for a sweep on this machine, of which MLflow hears nothing."""
    resources = {"CPU": 1.0, "GPU": 0.0}
    return SweepSpec(experiment, plan, dataset, folder, default_tracking_uri(folder), resources, is_offline=True)


def new_run(folder: Path, dataset: Dataset) -> SweepRun:
    """Return a started sweep whose trials were all trained by an earlier one."""
    experiment, plan = plan_of(ASKED)
    (folder / "new").mkdir()
    return SweepRun(order_of(folder, experiment, plan, dataset), "new", folder / "new")


def resume(folder: Path, dataset: Dataset) -> tuple[SweepRun, TunerSetup, OutboxCallback]:
    """Do what the resume of the latest unfinished sweep does before its trials continue; return what it holds."""
    sweep = unfinished_sweep(folder)
    check_events(sweep)
    manifest = read_manifest(sweep)
    experiment, plan = recorded_experiment(manifest), recorded_plan(manifest)
    run = SweepRun(order_of(folder, experiment, plan, dataset), sweep.name, sweep, manifest)
    run.begin_again()
    todo, memory = run.open_trials(), SweepFolder(sweep).path / MEMORY
    assert len(todo.trials) == OPEN, f"{len(todo.trials)} trials are open, not {OPEN}"
    search = build_search(experiment, plan, open_trials=todo.trials, memory=memory, slots=OPEN)
    recall(search.scheduler, memory, run.past)
    return run, search, run.tracker(search.scheduler)


@contextmanager
def storage() -> Iterator[Path]:
    """Give a storage folder for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
