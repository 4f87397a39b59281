"""The trainable of Ray Tune: trains one trial with `bddseg.train.fit` and reports epochs and checkpoints."""

import contextlib
import logging
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from ray import tune
from ray.tune.trainable import wrap_function

from bddseg.checkpoint import STATE_FILES, load_training, save_training
from bddseg.config import TrainConfig
from bddseg.data.frames import Frames
from bddseg.data.split import Split, split_of
from bddseg.device import (
    await_gpu_memory,
    is_out_of_memory,
    limit_memory,
    release_memory,
    reset_peak_memory,
    resolve_device,
    use_threads,
)
from bddseg.errors import DataError, DeviceError
from bddseg.evidence import Evidence, save_evidence
from bddseg.result import OBJECTIVE, EpochResult
from bddseg.train import fit
from sweeps.execution.driver_desk import TrialDesk
from sweeps.execution.ray_patches import keep_checkpoint_index
from sweeps.schedulers.rungs import BEST, NO_EPOCH, TRIAL_KEY
from sweeps.storage.artifacts import evidence_file
from sweeps.storage.checkpoints import Checkpoints, FolderCheckpoints
from sweeps.storage.outcomes import StopReason

log = logging.getLogger(__name__)
T = TypeVar("T")

UNWIND_SECONDS = 60
"""How long a stopped trial may take to write its files and free its memory before its process is given up."""


STOPPED = "stopped"
"""Ray has ended the trial and expects no further report."""


@dataclass(frozen=True)
class Workload:
    """The data and settings that all trials of a pass share; it is put once into Ray's object store."""

    base: dict[str, dict[str, Any]]
    """Settings that do not vary, as `TrainConfig.to_dict` gives them."""
    frames: Frames
    split: Split
    rungs: tuple[int, ...]
    desk: TrialDesk
    checkpoints: Checkpoints
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Trial -> its CPU and GPU."""
    share: Mapping[str, float] = field(default_factory=dict)
    """The same for a trial that was suggested during the pass."""
    threads: int = 1
    device: str = "auto"
    checkpoint_seconds: float = 30.0
    """A checkpoint is due when more work than this would be lost by the end of another epoch; and always at rungs and
    at the end."""
    reported: Mapping[str, int] = field(default_factory=dict)
    """Trial -> the epoch after which it continues from a checkpoint of an earlier pass; other trials start new."""

    def resources_of(self, trial_id: str) -> dict[str, float]:
        """Return the CPU and GPU of a trial."""
        return dict(self.resources.get(trial_id, self.share))


def build_trainable(workload: Workload, *, reused: bool = False) -> Any:
    """Return the trainable of a Tuner: `run_trial` with the workload, each trial with its own resources.

    An actor has the name of its trial, unless other trials reuse it: Ray asks for the name only once.
    """
    resources = {trial_id: dict(amounts) for trial_id, amounts in workload.resources.items()}
    share = dict(workload.share)

    def needed(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([resources.get(config[TRIAL_KEY], share)])

    function = tune.with_resources(tune.with_parameters(run_trial, workload=workload), needed)
    return name_trials(wrap_function(function), reused=reused)


def name_trials(kind: type, *, reused: bool, unwind_seconds: int = UNWIND_SECONDS) -> Any:
    """Return Tune's class of a function trainable, extended for actors of one trial or of several."""

    class NamedTrial(kind):
        """A trial with a name: Ray's dashboard shows an actor by its repr, which Tune makes the same for all."""

        def __repr__(self) -> str:
            return "trials" if reused else str(self.trial_name)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            # Tune reads it here, in the trial's process; after its default of 2 s a slow last write costs the process.
            os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(unwind_seconds)
            return bool(super().reset_config(new_config))

    NamedTrial.__name__ = run_trial.__name__
    return NamedTrial


def run_trial(config: dict[str, Any], *, workload: Workload) -> None:
    """Train one planned trial from its newest checkpoint, and report every epoch to Ray.

    All memory of the trial is freed at the end: the next one may run in the same process.
    """
    use_threads(workload.threads)
    share = workload.resources_of(config[TRIAL_KEY]).get("GPU", 0.0)
    _patiently(workload.desk.check)
    device = device_here(workload.device, share)
    with _logged(workload.desk, config[TRIAL_KEY]):
        await_gpu_memory(device, share)
        limit_memory(device, share)
        reset_peak_memory(device)
        ending = _ending(config, workload, device)
        if ending:
            log.info("ends without another epoch: %s", ending)
    release_memory(device)
    if ending == STOPPED:
        sys.exit(0)
    if ending:
        tune.report({"epoch": 0, OBJECTIVE: math.nan, "stop_reason": ending, NO_EPOCH: True})


def device_here(name: str, share: float) -> torch.device:
    """Return the device of a trial; one that holds a GPU never trains on the CPU.

    Raises:
        DeviceError: naming the node, when the trial has a share of a GPU, but torch finds none.
    """
    device = resolve_device(name)
    if share > 0 and device.type == "cpu":
        raise DeviceError(
            f"node {platform.node()} has no usable CUDA, but Ray gave the trial {share:g} GPU there: torch "
            f"{torch.__version__} finds none; mend the node, or start it with --num-gpus 0"
        )
    return device


def _ending(config: dict[str, Any], workload: Workload, device: torch.device) -> str:
    """Train; return the stop reason of a trial that ends without a reported one, otherwise "".

    The exception that ends it is not kept: it would keep model and optimiser alive.
    """
    try:
        return _train(config, workload, device)
    except SystemExit:
        return STOPPED
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.warning("out of memory: %s", (str(error).splitlines() or [""])[0])
        return StopReason.OOM


def _train(config: dict[str, Any], workload: Workload, device: torch.device) -> str:
    trial_id, saved_at, test = config[TRIAL_KEY], time.monotonic(), None
    state = newest_state(trial_id, workload, tune.get_checkpoint(), device)
    if workload.desk.is_cancelled(trial_id):
        return StopReason.USER
    settings, frames = trial_config(config, workload), workload.frames
    split = split_of(settings.data, workload.split, frames.names, frames.strata(workload.split.balance))
    is_sealed = settings.data.folds > 0  # a trial of a fold belongs to a confirmation and never uses the test part
    if state and (ended := reason_for_end(settings, state)):
        return ended
    for result in fit(settings, frames, split, device, state):
        is_compared = bool(result.stop_reason) or result.epoch in workload.rungs
        log.info("epoch %d: %s", result.epoch, _sentence(result))
        until_next = time.monotonic() - saved_at + result.metrics["time/epoch_s"]
        is_due = is_compared or until_next > workload.checkpoint_seconds or workload.desk.is_asked_to_save()
        if not is_due or math.isnan(result.best_miou):
            tune.report(_metrics(result))
        else:
            if is_compared and not is_sealed and (test is None or test.epoch != result.best_epoch):
                test = result.best_evidence("test")
            is_current = test is not None and test.epoch == result.best_epoch
            workload.desk.check_attempt()  # its driver may be cut off, and another one train this trial
            _report_checkpoint(
                workload, result, [result.best_evidence("val"), *([test] if test and is_current else [])]
            )
            saved_at = time.monotonic()
        if not result.stop_reason and workload.desk.is_cancelled(trial_id):
            return StopReason.USER
    return ""


def reason_for_end(settings: TrainConfig, state: Mapping[str, Any]) -> str:
    """Return the stop reason of a trial that had ended with the epoch of a state, "" when it continues from there.

    Its process may have died after its last report and before Ray knew that it was the last.
    """
    if state["epoch"] >= settings.train.epochs:
        return StopReason.MAX_EPOCHS
    patience = settings.train.patience
    return "plateau" if 0 < patience <= state["epoch"] - state["best"]["epoch"] else ""


def trial_config(config: Mapping[str, Any], workload: Workload) -> TrainConfig:
    """Return the settings of a Ray config: the sweep's base settings with the trial's point."""
    point = {key: value for key, value in config.items() if key != TRIAL_KEY}
    return TrainConfig.from_dict(workload.base).with_overrides(point).folded()


@contextlib.contextmanager
def _logged(desk: TrialDesk, trial_id: str) -> Iterator[None]:
    """Write the trial's log, and the traceback of an error that ends it, to its own file."""
    handler = _patiently(lambda: desk.open_log(trial_id))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    log.info("on %s, process %d", platform.node(), os.getpid())
    try:
        yield
    except Exception:
        log.exception("the trial failed")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        with contextlib.suppress(OSError):  # a full disk costs the last lines of the log, not the trial
            handler.close()


def _sentence(result: EpochResult) -> str:
    metrics = result.metrics
    figures = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("train/loss", "val/loss", OBJECTIVE))
    return f"{figures}, {metrics['time/epoch_s']:.1f} s" + (
        f"; ends: {result.stop_reason}" if result.stop_reason else ""
    )


def newest_state(
    trial_id: str, workload: Workload, from_ray: tune.Checkpoint | None, device: torch.device
) -> dict[str, Any] | None:
    """Return the newest training state that can be read, None without one.

    A retry continues from the checkpoint that Ray knows, a new pass from the newest one whose epochs were all reported:
    epochs that a killed process saved but never reported would be missing. A torn checkpoint is skipped for an older
    one.
    """
    store, last_epoch = workload.checkpoints, workload.reported.get(trial_id, 0)
    names = store.ask(lambda: store.of_trial(trial_id))
    if from_ray is not None:
        newest = store.name_of(from_ray.path)
        names = names[names.index(newest) :] if newest in names else [newest]
    for name in names:
        try:
            state = store.ask(partial(_load, store, name, device))
        except DataError as error:
            log.warning("a checkpoint is skipped: %s", error)
            continue
        if from_ray is not None or state["epoch"] <= last_epoch:
            log.info("continues after epoch %d from %s", state["epoch"], name)
            return state
    return None


def _load(store: Checkpoints, name: str, device: torch.device) -> dict[str, Any]:
    with store.opened(name, STATE_FILES) as folder:
        return load_training(folder, device)


def _metrics(result: EpochResult) -> dict[str, Any]:
    reason = {"stop_reason": result.stop_reason} if result.stop_reason else {}
    return {**result.metrics, BEST: result.best_miou, "epoch": result.epoch, **reason}


def _report_checkpoint(workload: Workload, result: EpochResult, evidence: Sequence[Evidence]) -> None:
    """Report an epoch with {last, best, evidence}; Ray copies the folder to the sweep's storage before it returns.

    A failing storage (an unreachable network, a full disk) is retried: an object store for ten minutes.
    """
    reset_index = keep_checkpoint_index()

    def report() -> None:
        reset_index()  # a failed attempt has incremented it
        with tempfile.TemporaryDirectory(dir=".") as name:  # the trial's own folder in Ray's session
            save_training(Path(name), result.state())
            for part_evidence in evidence:
                save_evidence(Path(name) / evidence_file(part_evidence.part), part_evidence)
            tune.report(_metrics(result), checkpoint=tune.Checkpoint.from_directory(name))

    _patiently(report, workload.checkpoints.waits)


def _patiently(write: Callable[[], T], waits: Sequence[int] = FolderCheckpoints.waits) -> T:
    """Return the result of a function that writes; a failing storage is retried, for half a minute by default."""
    for wait in waits:
        try:
            return write()
        except OSError as error:
            log.warning("writing failed, next attempt in %d s: %s", wait, error)
            time.sleep(wait)
    return write()
