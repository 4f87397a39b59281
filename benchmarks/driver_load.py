"""Scale: load that the driver sustains, including tracking and delivery to MLflow. `python -m benchmarks.driver_load`

Many short trials: 200 of 1 s on two slots, which takes any driver at least 100 s. Many reports: two trials that report
all metrics 50 times a second for 100 s. The targets are those of Ray's own release tests, scaled to two cores
(bookkeeping_overhead allows 28 % above the least possible, result_throughput_single_node 20 %); theirs run without any
tracking. Events not yet in MLflow when the last trial ends are delivered then, and that time is printed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ray import tune
from ray.tune.trainable import wrap_function

from bddseg.config import TrainConfig
from bddseg.result import metric_directions
from bddseg.task import FIVE_CLASSES
from benchmarks.cli import cache_folder, machine, positive
from sweeps.execution.callback import OutboxCallback
from sweeps.execution.cluster import ray_cluster
from sweeps.execution.ray_patches import patient_controller
from sweeps.execution.trainable import name_trials
from sweeps.execution.trial_recorder import TrialRecorder
from sweeps.planning.plan import PlannedTrial
from sweeps.schedulers.rungs import TRIAL_KEY
from sweeps.schedulers.scheduler import RunAll
from sweeps.storage.outbox import PARENT, Outbox
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import default_tracking_uri

SLOTS = 2
TRIAL_SECONDS, TRIALS_TARGET = 1.0, 1.28
REPORTS_PER_SECOND, REPORTS_TARGET = 50, 1.2
DRAIN_SECONDS = 600.0
SWEEP = "scale-20261123-000000-0000"


@dataclass(frozen=True)
class Ran:
    """Measurements of a sweep of sleeping trials."""

    seconds: float
    waiting: int
    """Events that MLflow did not have when the last trial had ended."""
    drain_seconds: float
    undelivered: int
    driver_mb: float
    """Growth of the driver's memory."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cache", type=Path, default=cache_folder(), metavar="DIR", help="folder for Ray's session")
    options.add_argument("--trials", type=positive, default=200, metavar="N", help="short trials")
    options.add_argument(
        "--seconds", type=positive, default=100, metavar="N", help="duration of the two reporting trials"
    )
    arguments = options.parse_args(argv)
    print(machine())
    with ray_cluster(arguments.cache):
        run_sleepers(SLOTS, sleep_once)  # processes start, modules are read
        many = run_sleepers(arguments.trials, sleep_once)
        fast = run_sleepers(SLOTS, report_often, seconds=arguments.seconds)
    least = arguments.trials * TRIAL_SECONDS / SLOTS
    is_met = tell(f"trials={arguments.trials}", many, TRIALS_TARGET * least)
    print(f"scale driver_kb_per_trial={1000 * many.driver_mb / arguments.trials:.0f}")
    reports = SLOTS * arguments.seconds * REPORTS_PER_SECOND
    return int(not (tell(f"reports={reports}", fast, REPORTS_TARGET * arguments.seconds) and is_met))


def tell(label: str, ran: Ran, target: float) -> bool:
    """Print a sweep's figures; return whether it met its target and everything arrived."""
    print(f"scale {label} value={ran.seconds:.1f} target={target:.0f}")
    print(f"scale {label} backlog={ran.waiting} drain_seconds={ran.drain_seconds:.1f} undelivered={ran.undelivered}")
    return ran.seconds <= target and not ran.undelivered


def sleep_once(config: dict[str, Any], seconds: int = 0) -> None:
    """Simulate a trial of one epoch."""
    time.sleep(TRIAL_SECONDS)
    tune.report({**dict.fromkeys(metric_directions(FIVE_CLASSES), 0.5), "epoch": 1, "stop_reason": "max_epochs"})


def report_often(config: dict[str, Any], seconds: int = 0) -> None:
    """Simulate a trial of very short epochs at a steady rate."""
    began, epochs = time.monotonic(), seconds * REPORTS_PER_SECOND
    for epoch in range(1, epochs + 1):
        time.sleep(max(0.0, began + epoch / REPORTS_PER_SECOND - time.monotonic()))
        ending = {"stop_reason": "max_epochs"} if epoch == epochs else {}
        tune.report({**dict.fromkeys(metric_directions(FIVE_CLASSES), epoch / epochs), "epoch": epoch, **ending})


def run_sleepers(number: int, function: Callable[..., None], seconds: int = 0) -> Ran:
    """Run trials as a sweep does, from Tune's loop to a database."""
    trials = {trial.trial_id: trial for trial in map(planned, range(number))}
    kind = name_trials(wrap_function(tune.with_parameters(function, seconds=seconds)), reused=True)
    with tempfile.TemporaryDirectory(prefix="scale-") as name, delivered(Path(name)) as (outbox, delivery):
        tracker = OutboxCallback(TrialRecorder(outbox.folder, SWEEP, trials), RunAll())
        tuner = tune.Tuner(
            tune.with_resources(kind, {"CPU": 1}),
            param_space={TRIAL_KEY: tune.grid_search(list(trials))},
            tune_config=tune.TuneConfig(reuse_actors=True, scheduler=tracker.scheduler),
            run_config=tune.RunConfig(name="pass-1", storage_path=name, verbose=0, callbacks=[tracker]),
        )
        before, began = psutil.Process().memory_info().rss, time.monotonic()
        with patient_controller():
            tuner.fit()
        ended = time.monotonic()
        grown, waiting = psutil.Process().memory_info().rss - before, outbox.pending()
        undelivered = delivery.close(DRAIN_SECONDS)
        finished = sum(event["kind"] == "end" and event["status"] == "FINISHED" for event in outbox.events())
        assert finished == number, f"{finished} of {number} trials finished"
        return Ran(ended - began, waiting, time.monotonic() - ended, undelivered, grown / 1e6)


def planned(number: int) -> PlannedTrial:
    """Return a trial with settings of its own."""
    config = TrainConfig().with_overrides({"train.seed": number})
    return PlannedTrial(config.digest(), f"sleeper {number}", config, {"train.seed": number}, number == 0)


@contextmanager
def delivered(folder: Path) -> Iterator[tuple[Outbox, Delivery]]:
    """Give an outbox that is delivered to a new database as it fills."""
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    outbox = Outbox(folder / "outbox")
    outbox.append({"kind": "start", "trial": PARENT, "time_ms": int(time.time() * 1000), "params": {}, "tags": {}})
    delivery = Delivery(outbox, default_tracking_uri(folder), SWEEP)
    delivery.start()
    with outbox.claimed():
        yield outbox, delivery


if __name__ == "__main__":
    sys.exit(main())
