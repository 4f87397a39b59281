"""A trained tiny network, its sweep in a real store, and verdicts made by hand: what the tests of its use share."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from recording import SWEEP, artifact, delivered, end, epoch, start
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import BEST, save_training
from bddseg.config import TrainConfig
from bddseg.evidence import save_evidence
from bddseg.result import EpochResult
from bddseg.train import fit
from sweeps.registry.registration import Registration
from sweeps.report.gather import gather_report
from sweeps.statistics.results import Interval, NoiseFigures, Rival, Verdict
from sweeps.storage.outbox import Outbox
from sweeps.tracking.reader import Store
from sweeps.tracking.report_upload import ReportUpload

FRAMES, SPLIT = make_frames(), make_split()
CPU = torch.device("cpu")
DATA = {
    "root": "/data/roads",
    "embedded": False,
    "fingerprint": FRAMES.fingerprint,
    "split": {"train": len(SPLIT.train), "val": len(SPLIT.val), "test": len(SPLIT.test), "by_drive": False},
}


@cache
def learnt(name: str = "unet") -> tuple[TrainConfig, EpochResult]:
    """Return a configuration and the last of its two epochs."""
    config = make_config(model_name=name, train_epochs=2)
    return config, list(fit(config, FRAMES, SPLIT, CPU))[-1]


def write_model(folder: Path, name: str = "unet") -> Path:
    """Write the best weights of a tiny network; return their file."""
    folder.mkdir(parents=True, exist_ok=True)
    save_training(folder, learnt(name)[1].state())
    return folder / BEST


def make_verdict(trial_id: str = "a", **changes: Any) -> Verdict:
    """Return a screening's verdict with one rival, the leader."""
    zero = Interval(0.0, 0.0, 0.0)
    rival = Rival(trial_id, Interval(0.7, 0.65, 0.75), zero, 1.0, True, True, True, 2.5, 1000)
    verdict = Verdict(
        stage="screening",
        outcome="leader",
        leader=trial_id,
        recommended=trial_id,
        tied=(trial_id,),
        rivals=(rival,),
        stopped=(),
        noise=NoiseFigures("measured", 0.006, 6.0, 4, 0, 0.01),
        corrected=Interval(0.69, 0.64, 0.74),
        margin=0.005,
        images=len(SPLIT.val),
        drives=0,
        runs=1,
        draws=100,
        needed=None,
        left_out={},
        kendall_tau=None,
        scenes=None,
        sentence="The leader is ahead.",
        caveats=("One run per setting.",),
    )
    return replace(verdict, **changes)


def record_sweep(
    folder: Path,
    uri: str,
    *,
    weights: Path | None,
    status: str = "FINISHED",
    tags: Mapping[str, str] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Registration:
    """Record a sweep of one trial, `a`, as every sweep is; return what its registration starts from."""
    config, last = learnt()
    record = folder / "record"
    record.mkdir()
    plan = [{"trial_id": "a", "name": "unet-f4", "settings": config.flat(), "reference": False}]
    sweep_json = {"space": "made", "profile": "quick", "data": DATA, "trials": plan, **(manifest or {})}
    (record / "sweep.json").write_text(json.dumps(sweep_json))
    for part in ("val", "test"):
        save_evidence(record / f"evidence-{part}.npz", last.best_evidence(part))
    files = [artifact(record / f"evidence-{part}.npz", folder="evidence") for part in ("val", "test")]
    parent, trial = start(""), start("a")
    digest = {"sweep.config_digest": config.digest()}
    delivered(
        Outbox(folder / "outbox"),
        uri,
        replace(parent, tags={**parent.tags, "sweep.folder": str(folder)}),
        artifact(record / "sweep.json", trial=""),
        replace(trial, tags={**trial.tags, **digest, **(tags or {})}),
        epoch(1, 0.6),
        epoch(2, 0.7),
        *files,
        *([artifact(weights, folder="weights")] if weights else []),
        end(metrics={"best/miou": 0.7, "best/epoch": 2.0}),
        *([end(status, trial="")] if status else []),
    )
    store = Store(uri)
    upload = ReportUpload(uri)
    report = gather_report(store.read_sweep(SWEEP), store, upload)
    return Registration("streets", replace(report, verdict=make_verdict()), store, upload)
