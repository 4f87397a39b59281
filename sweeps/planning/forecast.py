"""Forecast of a plan before it runs: trials, epochs, time, memory, disk, and the smallest lead it can detect."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.catalog import Catalog
from bddseg.data.description import Description
from bddseg.errors import DeviceError
from bddseg.evaluation import EVALUATION_BATCHES
from bddseg.flops import count_forward
from bddseg.memory import TRAINING_BATCHES, least_memory_mb, measure_peak_mb
from bddseg.words import count
from sweeps.formatting import duration
from sweeps.planning.calibration import Calibration, calibrate
from sweeps.planning.cost import epoch_share
from sweeps.planning.dataset import ImageCounts, cache_folder, count_images
from sweeps.planning.detectable_lead import describe, design_of
from sweeps.planning.machine import Machine
from sweeps.planning.plan import Plan, most_kept
from sweeps.planning.resources import kind, read_peaks, remember_peaks
from sweeps.statistics.rounds import CONFIRMING_RUNS
from sweeps.storage.tags import FINALIST

CONFIRMED = 4
"""Default number of finalists of a confirmation."""

START_AND_END_SECONDS = 14.0
"""From the command to the first epoch, and from the last one to the leaderboard: pictures, latencies, delivery."""

CHECKPOINTS = 2
"""Checkpoints that a trial keeps."""

DATABASE_BYTES = 6_000_000
"""Size of MLflow's database with its log after a few sweeps: measured."""

PEAK_SECONDS = 4.0
"""Limit of a memory measurement, without the start of its process; slower ones are skipped."""

Rows = list[tuple[str, str, str]]
"""Quantity, value, and how it was determined."""


@dataclass(frozen=True)
class MemoryForecast:
    """The peak of the largest trial, in MB."""

    mb: float
    trial: str
    how: str


def forecast(
    plan: Plan,
    scheduler: str,
    catalog: Catalog,
    description: Description,
    machine: Machine,
    max_concurrent: int = 0,
    *,
    keeps_all: bool = False,
    run_sd: float | None = None,
) -> tuple[Rows, list[str]]:
    """Return the rows of the forecast for this machine, and sentences: how the speed was determined, and warnings.

    Args:
        plan: with trials imagined in place of those that will be suggested.
        scheduler: name of the early-stopping rule.
        catalog: the dataset's file names.
        description: of the dataset.
        machine: this machine, with the resources per trial.
        max_concurrent: limit on trials at a time; 0 for none.
        keeps_all: the weights of all trials go to MLflow, not only the finalists'.
        run_sd: standard deviation between runs of a setting, where a screening measured it.

    Raises:
        DataError: when the data cannot be used.
    """
    first, cache = plan.trials[0].config, cache_folder()
    counted = count_images(catalog, first, description).in_folds(first.data.folds)
    speeds = calibrate(
        [trial.config for trial in plan.trials], plan.classes, machine.device, int(machine.resources["CPU"])
    )
    memory = largest_memory(plan, speeds, cache)
    slots = min(machine.slots(max_concurrent), len(plan.trials))
    rows = _time(plan, scheduler, counted, speeds, machine.resources, slots)
    return [
        *rows,
        *_room(plan, counted, memory, slots, keeps_all=keeps_all),
        *_differences(plan, counted, run_sd),
    ], [speeds.sentence(), *([f"warning: {counted.warning}"] if counted.warning else [])]


def largest_memory(plan: Plan, speeds: Calibration, cache: Path) -> MemoryForecast:
    """Return the peak of the largest trial: remembered, measured where that is quick, or a lower bound."""
    kinds = {kind(trial.config, plan.classes, speeds.device): trial for trial in plan.trials}
    least = {name: least_memory_mb(trial.config, plan.classes) for name, trial in kinds.items()}
    name = max(least, key=lambda name: least[name])
    trial, peaks, speed = kinds[name], read_peaks(cache), speeds.speeds[name]
    if name in peaks:
        return MemoryForecast(peaks[name], trial.name, "measured earlier")
    batch = trial.config.train.batch_size
    if TRAINING_BATCHES * batch * (speed.train_s + EVALUATION_BATCHES * speed.val_s) > PEAK_SECONDS:
        return MemoryForecast(least[name], trial.name, "at least, by counting")
    try:
        peak_mb = measure_peak_mb(trial.config, plan.classes, speeds.device)
    except DeviceError as error:
        return MemoryForecast(least[name], trial.name, f"at least, by counting, since {error}")
    remember_peaks(cache, {name: peak_mb})
    return MemoryForecast(peak_mb, trial.name, "measured")


def _time(
    plan: Plan, scheduler: str, counted: ImageCounts, speeds: Calibration, resources: Mapping[str, float], slots: int
) -> Rows:
    share, how = epoch_share(plan, scheduler)
    each = [trial.epochs * speeds.of(trial.config).epoch_s(counted.train, counted.val) for trial in plan.trials]
    seconds, longest = sum(each), max(each)  # one trial runs in one slot, however many there are
    unit, per_trial = ("cores", resources["CPU"]) if speeds.device == "cpu" else ("GPUs", resources["GPU"])
    rows = [
        ("trials", str(len(plan.trials)), _trials_in_words(plan)),
        ("epochs without early stopping", str(plan.epochs_in_all), f"of {count(counted.train, 'training image')} each"),
        (f"time of all {unit} without early stopping", duration(seconds * per_trial), "training and validation"),
        (
            "time without early stopping",
            duration(START_AND_END_SECONDS + max(seconds / slots, longest)),
            f"{count(slots, 'trial')} at a time, with start and end",
        ),
    ]
    if plan.rungs:
        rows += [
            ("epochs with early stopping", f"{share * plan.epochs_in_all:.0f}", how),
            (
                f"time of all {unit} with early stopping",
                duration(share * seconds * per_trial),
                f"{share:.0%} of the epochs",
            ),
            (
                "time with early stopping",
                duration(START_AND_END_SECONDS + max(share * seconds / slots, longest)),
                f"{count(slots, 'trial')} at a time, with start and end",
            ),
        ]
    return rows


def _trials_in_words(plan: Plan) -> str:
    further = len(plan.trials) - len(plan.originals)
    distinct = f"{len(plan.originals)} distinct of {count(plan.grid_points, 'point')}"
    return f"{distinct}, {further} extra seeds of the best" if further else distinct


def _room(plan: Plan, counted: ImageCounts, memory: MemoryForecast, slots: int, *, keeps_all: bool) -> Rows:
    """Return memory and disk. A checkpoint holds the weights twice (last, best), Adam's two moments, and evidence."""
    evidence = 8 * (plan.classes**2 + plan.classes) * (counted.val + counted.test)
    weights = [4 * count_forward(trial.config, plan.classes).weights for trial in plan.trials]
    largest, finalists = sorted(weights, reverse=True), len(plan.trials) if keeps_all else most_kept(plan)
    in_mlflow = sum(largest[:finalists]) + DATABASE_BYTES
    written = sum(largest[:slots])  # by each running trial: once in Ray's session, once in the sweep's folder
    running = CHECKPOINTS * sum(4 * size + evidence for size in weights) + 4 * 2 * written + in_mlflow
    after = sum(4 * size + evidence for size in largest[:finalists]) + in_mlflow
    side = plan.trials[0].config.data.size
    return [
        ("memory of a trial", _size(memory.mb * 1e6), f"{memory.how}: {memory.trial}; without the frames"),
        (
            "disk while running",
            f"<= {_size(running)}",
            f"{count(CHECKPOINTS, 'checkpoint')} of each trial, and those being written",
        ),
        (
            "disk afterwards",
            f"<= {_size(after)}",
            f"the last checkpoint of {count(finalists, 'finalist')}, and their best weights in MLflow",
        ),
        (
            "disk of the evidence",
            f"<= {_size(2 * evidence * len(plan.trials))}",
            "counts per image, in the sweep's folder and in MLflow",
        ),
        ("disk of the frames", _size(4 * side**2 * counted.images), "in the cache, shared by all sweeps"),
    ]


def _differences(plan: Plan, counted: ImageCounts, run_sd: float | None) -> Rows:
    """Return the smallest lead in points that a confirmation of this sweep detects, by simulating its decision."""
    runs, is_confirmation = max(2, min(CONFIRMING_RUNS, counted.open_units)), plan.trials[0].config.data.folds > 0
    finalists = min(CONFIRMED, len(plan.trials))
    if is_confirmation:
        finalists = len({trial.tags.get(FINALIST) for trial in plan.trials})
        runs = plan.rounds.folds if plan.rounds else len(plan.trials) // finalists
    unit = counted.unit.removesuffix("s")
    design = design_of(finalists, runs, counted.open_units, run_sd)
    size, how = describe(design, count(counted.open_units, unit), run_sd, knows_drives=counted.unit == "drives")
    return [
        ("smallest detectable lead" if is_confirmation else "smallest detectable lead of a confirmation", size, how)
    ]


def _size(count: float) -> str:
    if count < 1e6:
        return f"{count / 1e3:.0f} KB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
