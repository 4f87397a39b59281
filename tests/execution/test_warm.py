"""Trials one after the other in one process: none is lost, none hangs, and nothing of one reaches the next."""

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
import torch
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.trainable import wrap_function
from tiny import make_config, make_frames, make_split

from bddseg.device import await_gpu_memory, has_room, peak_memory_mb, release_memory, reset_peak_memory
from bddseg.errors import DeviceError
from bddseg.result import metric_directions
from bddseg.task import FIVE_CLASSES
from sweeps.execution.cluster import ray_cluster
from sweeps.execution.driver_desk import FolderDesk
from sweeps.execution.ray_patches import patient_controller
from sweeps.execution.searcher import build_search
from sweeps.execution.trainable import Workload, name_trials, run_trial
from sweeps.planning.experiment import load_experiment
from sweeps.planning.planner import build_plan
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.folder import SweepFolder

CPU = torch.device("cpu")

ALLOCATOR_MB = 100
"""Sixty such trials end within this of the fifth, flat from the thirtieth on: Ray's threads have heaps of their own."""

THREADS_OF_RAY = 3
"""Ray itself starts a thread or two in a worker as it goes."""


@pytest.fixture(scope="module", autouse=True)
def ray_is_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with ray_cluster(tmp_path_factory.mktemp("r")):
        yield


class Watcher(tune.Callback):
    """Notes every report, with the size of the process that it came from."""

    def __init__(self) -> None:
        self.reports: dict[str, list[dict[str, Any]]] = {}
        self.processes: dict[str, list[int]] = {}
        self.megabytes: list[float] = []
        self.threads: list[int] = []

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: Any, **info: Any) -> None:
        process = psutil.Process(result["pid"])
        self.reports.setdefault(trial.config["trial"], []).append(result)
        self.processes.setdefault(trial.config["trial"], []).append(result["pid"])
        self.megabytes.append(process.memory_info().rss / 1e6)
        self.threads.append(process.num_threads())


def run_sweep(
    folder: Path, trainable: Any, points: list[dict[str, Any]], *, stop_after: int, max_concurrent: int = 1
) -> tuple[Watcher, tune.ResultGrid]:
    """Run points in order, each stopped after so many epochs, as the sweep's runner does."""
    watcher = Watcher()
    tuner = tune.Tuner(
        trainable,
        param_space={key: tune.choice([point[key] for point in points]) for key in points[0]},
        tune_config=tune.TuneConfig(
            search_alg=BasicVariantGenerator(points_to_evaluate=points, max_concurrent=max_concurrent),
            num_samples=len(points),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            callbacks=[watcher],
            stop={"training_iteration": stop_after},
            failure_config=tune.FailureConfig(max_failures=1),
        ),
    )
    with patient_controller():
        return watcher, tuner.fit()


def endings(folder: Path, fault: Any, *, unwind_seconds: int = 60, max_concurrent: int = 1) -> tuple[Watcher, Any]:
    """Run four trials of which the second ends with a fault; the others just report twice."""

    def body(config: dict[str, Any]) -> None:
        try:
            for epoch in (1, 2, 3):
                tune.report({"epoch": epoch})
        finally:
            if config["trial"] == "b":
                fault()

    trainable = name_trials(wrap_function(body), reused=True, unwind_seconds=unwind_seconds)
    points = [{"trial": name} for name in "abcd"]
    trainable = tune.with_resources(trainable, {"CPU": 1})
    return run_sweep(folder, trainable, points, stop_after=2, max_concurrent=max_concurrent)


def ran_in(watcher: Watcher, grid: Any) -> list[int]:
    """Return the number of processes that each trial ran in, and check that all trials ended well."""
    assert grid.num_terminated == 4 and not grid.errors
    assert all([report["epoch"] for report in watcher.reports[name]] == [1, 2] for name in "abcd")
    return [len(set(watcher.processes[name])) for name in "abcd"]


@pytest.mark.drill
def test_a_slow_end_side_by_side_loses_no_trial(tmp_path: Path) -> None:
    watcher, grid = endings(tmp_path, lambda: time.sleep(5), max_concurrent=0)
    assert ran_in(watcher, grid) == [1, 1, 1, 1]


@pytest.mark.drill
def test_a_slow_end_costs_neither_a_trial_nor_its_process(tmp_path: Path) -> None:
    watcher, grid = endings(tmp_path, lambda: time.sleep(5))
    assert ran_in(watcher, grid) == [1, 1, 1, 1]
    assert len({pid for pids in watcher.processes.values() for pid in pids}) == 1


@pytest.mark.drill
@pytest.mark.parametrize("max_concurrent", [1, 0])
def test_a_trial_that_never_ends_costs_its_process_alone(tmp_path: Path, max_concurrent: int) -> None:
    watcher, grid = endings(tmp_path, lambda: threading.Event().wait(), unwind_seconds=1, max_concurrent=max_concurrent)
    ran_in(watcher, grid)
    assert watcher.processes["b"] != watcher.processes["c"]


@pytest.mark.parametrize("max_concurrent", [1, pytest.param(0, marks=pytest.mark.drill)])
def test_a_process_killed_between_two_trials_loses_neither(tmp_path: Path, max_concurrent: int) -> None:
    watcher, grid = endings(tmp_path, lambda: os.kill(os.getpid(), signal.SIGKILL), max_concurrent=max_concurrent)
    ran_in(watcher, grid)
    assert not list(tmp_path.rglob("error.txt"))  # nobody is blamed


def test_a_process_killed_within_a_trial_loses_neither_it_nor_the_next(tmp_path: Path) -> None:
    mark = tmp_path / "killed"

    def body(config: dict[str, Any]) -> None:
        if config["trial"] == "b" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for epoch in (1, 2, 3):
            tune.report({"epoch": epoch})

    trainable = tune.with_resources(name_trials(wrap_function(body), reused=True), {"CPU": 1})
    watcher, grid = run_sweep(tmp_path, trainable, [{"trial": name} for name in "abcd"], stop_after=2)
    assert ran_in(watcher, grid) == [1, 1, 1, 1]


def test_a_failed_trial_takes_its_process_along(tmp_path: Path) -> None:
    def body(config: dict[str, Any]) -> None:
        if config["trial"] == "b":
            raise ValueError("of its own making")
        for epoch in (1, 2, 3):
            tune.report({"epoch": epoch})

    trainable = tune.with_resources(name_trials(wrap_function(body), reused=True), {"CPU": 1})
    watcher, grid = run_sweep(tmp_path, trainable, [{"trial": name} for name in "abcd"], stop_after=2)
    assert (grid.num_errors, grid.num_terminated) == (1, 3)
    assert watcher.processes["a"] != watcher.processes["c"]


def test_a_trial_runs_in_a_process_that_ray_has_started_beforehand(tmp_path: Path) -> None:
    def body(config: dict[str, Any]) -> None:
        tune.report({"epoch": 1, "environment": str(ray.get_runtime_context().runtime_env)})

    trainable = tune.with_resources(name_trials(wrap_function(body), reused=True), {"CPU": 1})
    watcher, _ = run_sweep(tmp_path, trainable, [{"trial": "a"}], stop_after=1)
    assert watcher.reports["a"][0]["environment"] == "{}"


@dataclass(frozen=True)
class Many:
    """What twenty trials in one process left behind."""

    watcher: Watcher
    models_at_start: list[int]
    """Modules of earlier trials that were alive when each trial began."""
    folders: list[str]
    """Temporary folders that were left after the last trial."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Many:
    """Twenty real trials in one process, stopped from outside after their second epoch; the fifth repeats the first."""
    folder = tmp_path_factory.mktemp("many")
    temporary, notes = folder / "tmp", folder / "notes"
    temporary.mkdir()
    workload = Workload(
        base=make_config(model_dropout=0.3, data_augment="standard", train_epochs=3).to_dict(),
        frames=make_frames(),
        split=make_split(),
        rungs=(1,),
        desk=FolderDesk(SweepFolder(folder)),
        checkpoints=FolderCheckpoints(folder),
        device="cpu",
    )

    def body(config: dict[str, Any]) -> None:
        import gc
        import tempfile

        import torch

        tempfile.tempdir = str(temporary)
        with notes.open("a") as file:
            print(sum(issubclass(type(item), torch.nn.Module) for item in gc.get_objects()), file=file)
        run_trial(config, workload=workload)

    seeds = [7, 1, 2, 3, 7, *range(10, 25)]
    points = [
        {"trial": f"t{number}", "train.seed": seed, "model.base_filters": 4 + number % 4}
        for number, seed in enumerate(seeds)
    ]
    points[4]["model.base_filters"] = points[0]["model.base_filters"]
    trainable = tune.with_resources(name_trials(wrap_function(body), reused=True), {"CPU": 1})
    watcher, grid = run_sweep(folder, trainable, points, stop_after=2)
    assert not grid.errors
    return Many(
        watcher, [int(line) for line in notes.read_text().split()], [path.name for path in temporary.glob("tmp*")]
    )


def test_twenty_trials_follow_each_other_in_one_process(many: Many) -> None:
    assert len(many.watcher.processes) == 20
    assert len({pid for pids in many.watcher.processes.values() for pid in pids}) == 1


def test_the_same_trial_first_and_fifth_gives_identical_figures(many: Many) -> None:
    names = [
        name for name in metric_directions(FIVE_CLASSES) if not name.startswith(("time/", "throughput/", "system/"))
    ]
    reports = many.watcher.reports
    first, fifth = ([[repr(epoch.get(name)) for name in names] for epoch in reports[key]] for key in ("t0", "t4"))
    assert len(first) == 2 and first == fifth


def test_another_seed_gives_other_figures(many: Many) -> None:
    assert many.watcher.reports["t0"][0]["train/loss"] != many.watcher.reports["t1"][0]["train/loss"]


def test_no_model_outlives_its_trial(many: Many) -> None:
    assert many.models_at_start == [many.models_at_start[0]] * 20


def test_no_temporary_folder_outlives_its_trial(many: Many) -> None:
    assert many.folders == []


def test_a_process_grows_by_no_more_than_what_its_allocator_keeps(many: Many) -> None:
    fifth, last = many.watcher.megabytes[9], many.watcher.megabytes[-1]
    assert last - fifth < ALLOCATOR_MB


def test_threads_do_not_pile_up(many: Many) -> None:
    assert max(many.watcher.threads[10:]) <= many.watcher.threads[9] + THREADS_OF_RAY


def test_a_trials_peak_memory_is_not_that_of_the_one_before() -> None:
    reset_peak_memory(CPU)
    before = peak_memory_mb(CPU)
    filled = np.ones(200_000_000, dtype=np.uint8)
    with_array = peak_memory_mb(CPU)
    del filled
    reset_peak_memory(CPU)
    after = peak_memory_mb(CPU)
    assert with_array > before + 190
    assert after < with_array - 190


def test_a_trial_waits_for_the_memory_of_its_share() -> None:
    assert has_room(free=35, total=100, share=0.5) and not has_room(free=34, total=100, share=0.5)


def test_a_trial_on_two_gpus_asks_for_the_whole_first_one() -> None:
    assert has_room(free=70, total=100, share=2) and not has_room(free=69, total=100, share=2)


def test_a_gpu_that_is_freed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    free, waits = iter([10, 10, 90]), []
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (next(free), 100))
    await_gpu_memory(torch.device("cuda", 0), 1.0, sleep=waits.append)
    assert len(waits) == 2


def test_a_gpu_that_stays_full_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2e9, 8e9))
    with pytest.raises(DeviceError, match=r"only 2\.0 of 8\.0 GB .* needs 5\.6 GB: .* lower --gpus-per-trial"):
        await_gpu_memory(torch.device("cuda", 0), 1.0, limit_s=0)


def test_on_the_cpu_nothing_is_waited_for() -> None:
    await_gpu_memory(CPU, 1.0, limit_s=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_finished_trials_gpu_memory_is_given_back() -> None:
    device = torch.device("cuda", 0)
    torch.ones(1, device=device)
    free = torch.cuda.mem_get_info(device)[0]
    filled = torch.ones(2**28, device=device)
    del filled
    release_memory(device)
    assert torch.cuda.mem_get_info(device)[0] >= free


def test_the_generator_of_trials_counts_those_side_by_side() -> None:
    experiment = load_experiment("smoke", profile="quick")
    assert build_search(experiment, build_plan(experiment), max_concurrent=3).searcher.max_concurrent == 3


def test_an_actor_for_many_trials_bears_no_trials_name() -> None:
    kind = name_trials(wrap_function(lambda config: None), reused=True)
    actor = object.__new__(type("Named", (kind,), {"trial_name": "vanilla-f8 focal"}))
    assert repr(actor) == "trials"


def test_the_space_that_tune_copies_for_each_trial_does_not_grow_with_the_plan() -> None:
    """With the values of 10,000 points in it Tune copied for minutes, before the first trial started."""
    sizes = []
    for seeds in (2, 200):
        options = [f"train.seed={list(range(seeds))}"]
        experiment = load_experiment("smoke", profile="quick", overrides=options)
        sizes.append(len(pickle.dumps(build_search(experiment, build_plan(experiment)).param_space)))
    assert sizes[0] == sizes[1]
