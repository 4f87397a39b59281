"""A sweep's events, appended by a process of its own."""

import time
from dataclasses import replace
from pathlib import Path

from recording import artifact, end, epoch, start

from sweeps.storage.outbox import Outbox

TRIALS, EPOCHS, EPOCHS_PER_FILE = ("a", "b"), 60, 20


def append_sweep(outbox: Outbox, file: Path, pause_s: float = 0.0) -> None:
    """Write what a sweep of two trials writes, side by side, at the pace given."""
    outbox.append(start(""))
    for trial in TRIALS:
        outbox.append(start(trial, params={"optim.lr": 0.1}))
    for step in range(1, EPOCHS + 1):
        for trial in TRIALS:
            metrics = {f"val/iou/{name}": step / EPOCHS for name in range(20)} | {"val/miou": step / EPOCHS}
            outbox.append(replace(epoch(step, trial=trial), metrics=metrics))
            if step % EPOCHS_PER_FILE == 0:
                outbox.append(artifact(file, trial, folder=f"epoch-{step}"))
        time.sleep(pause_s)
    for trial in TRIALS:
        outbox.append(end(trial=trial, metrics={"best/miou": 1.0}))
    outbox.append(end(trial=""))
