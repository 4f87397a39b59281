"""Peak memory of a trial on a device, measured by training a few steps in a separate process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bddseg.config import TrainConfig
from bddseg.cuda_graph import WARM_UP
from bddseg.data.frames import Frames
from bddseg.device import peak_memory_mb, resolve_device
from bddseg.engine import Engine
from bddseg.errors import DeviceError
from bddseg.evaluation import EVALUATION_BATCHES
from bddseg.flops import count_forward
from bddseg.task import Task

TRAINING_BATCHES = WARM_UP + 2
"""Enough batches for the step to be captured and replayed, which needs additional memory."""

CALIBRATION_SECONDS = 300
"""Time limit of a measurement."""

ROOT = Path(__file__).resolve().parent.parent
"""The folder in which `python -m bddseg.memory` can be started."""

ADAM_STATE = 4
"""Values kept per weight: itself, its gradient and Adam's two moments."""


def least_memory_mb(config: TrainConfig, classes: int) -> float:
    """Return a lower bound in MB on the memory of a training step, without computing an image.

    Weights, gradients and moments in fp32, and the output of every convolution, which its backward pass needs.
    """
    activation_bytes = 2 if config.train.precision == "bf16" else 4
    forward = count_forward(config, classes)
    state = 4 * ADAM_STATE * forward.weights
    return (state + activation_bytes * forward.outputs * config.train.batch_size) / 1e6


def measure_peak_mb(config: TrainConfig, classes: int, device: str) -> float:
    """Return the peak memory in MB of a trial of this configuration, without its frames.

    It is measured in a new process, so that the caller keeps neither its memory nor a CUDA context.

    Raises:
        DeviceError: when the trial does not fit on the device, or fails there.
    """
    command = [sys.executable, "-m", "bddseg.memory", device, str(classes)]
    text = json.dumps(config.to_dict())
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(Path.cwd())]  # plug-ins may be there
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=CALIBRATION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"a trial's memory on {device} could not be measured in {CALIBRATION_SECONDS} s") from error
    if done.returncode:
        why = (done.stderr.strip() or f"its process ended with {done.returncode}").splitlines()[-1]
        raise DeviceError(f"a trial's memory on {device} could not be measured: {why}")
    return float(done.stdout)


def main() -> None:
    """Measure the configuration on stdin on the device and for the classes of the command line; print MB."""
    device, classes = resolve_device(sys.argv[1]), int(sys.argv[2])
    config = TrainConfig.from_dict(json.load(sys.stdin))
    batch = config.train.batch_size
    frames = make_noise(TRAINING_BATCHES * batch + EVALUATION_BATCHES * batch, config.data.size, classes)
    train = range(TRAINING_BATCHES * batch)
    Engine(config, frames, train, device).run_epoch(1, range(len(train), len(frames)))
    print(peak_memory_mb(device))


def make_noise(images: int, size: int, classes: int) -> Frames:
    """Return frames of random pixels and classes: the cost of a step does not depend on their content."""
    rng = np.random.default_rng(0)
    return Frames(
        images=rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8),
        masks=rng.integers(0, classes, (images, size, size), dtype=np.uint8),
        names=("",) * images,
        attributes={},
        fingerprint="",
        task=Task(tuple(map(str, range(classes))), ((0, 0, 0),) * classes),
    )


if __name__ == "__main__":
    main()
