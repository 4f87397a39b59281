"""`python -m sweeps.suspects` on a recorded sweep whose network was really trained, on frames in a folder."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import SIZE, write_folder, write_image, write_mask
from models import SWEEP, make_config
from PIL import Image
from recording import artifact, delivered, end, epoch, start

from bddseg.checkpoint import BEST, save_training
from bddseg.config import TrainConfig
from bddseg.data.split import split_of
from bddseg.device import resolve_device
from bddseg.evidence import save_evidence
from bddseg.train import fit
from sweeps.planning.dataset import Source, load_dataset
from sweeps.storage.outbox import Outbox
from sweeps.suspects import main
from sweeps.tracking.reader import Store

ROAD, SKY, IGNORE = 0, 10, 255
DRIVES, FRAMES_EACH, FOLDS = 5, 5, 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "cache"))


def name_of(drive: int, frame: int) -> str:
    return f"{drive:08x}-{frame:08x}"


NAMES = [name_of(drive, frame) for drive in range(DRIVES) for frame in range(FRAMES_EACH)]


def write_roads(root: Path) -> None:
    """Write images with a grey road below a blue sky, in BDD100K's layout."""
    write_folder(root, {name: "city street" if index % 2 else "highway" for index, name in enumerate(NAMES)})
    rng, (width, height) = np.random.default_rng(0), SIZE
    for name in NAMES:
        horizon = int(rng.integers(5, 9))
        mask = np.full((height, width), SKY, dtype=np.uint8)
        mask[horizon:] = ROAD
        mask[-1] = IGNORE
        colours = np.where((np.arange(height) < horizon)[:, None, None], (70, 130, 230), (110, 110, 110))
        pixels = np.clip(colours + rng.normal(0, 9, (height, width, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(write_image(root, name), quality=95)
        Image.fromarray(mask).save(write_mask(root, name))


def lose_road(root: Path, name: str) -> None:
    """Overwrite the road of a mask with the value of what is ignored."""
    path = write_mask_path(root, name)
    mask = np.asarray(Image.open(path)).copy()
    mask[mask == ROAD] = IGNORE
    Image.fromarray(mask).save(path)


def write_mask_path(root: Path, name: str) -> Path:
    return root / f"labels/sem_seg/masks/train/{name}.png"


def record(folder: Path, uri: str, root: Path, *, keeps: bool = True) -> None:
    """Train a run on each fold, and record them as a confirmation is."""
    base = make_config(train_epochs=6, data_folds=FOLDS, train_keep="last")
    material = load_dataset(Source("full", root), base, folder / "cache", on_bad_sample="fail", progress=False)
    events: list[Any] = []
    for fold in range(FOLDS):
        config = base.with_overrides({"data.fold": fold})
        events += train_run(folder, f"r{fold}", config, material, keeps=keeps)
    data = material.to_dict()
    (folder / "sweep.json").write_text(json.dumps({"profile": "full", "data": data, "confirmation": {"runs": FOLDS}}))
    usual = start("")
    sweeps_own = replace(usual, tags={**usual.tags, "sweep.confirms": "screened-1"})
    manifest = artifact(folder / "sweep.json", trial="")
    delivered(Outbox(folder / "outbox"), uri, sweeps_own, manifest, *events, end("FINISHED", trial=""))


def train_run(folder: Path, trial: str, config: TrainConfig, material: Any, *, keeps: bool) -> Iterator[Any]:
    frames = material.frames
    split = split_of(config.data, material.split, frames.names, frames.strata())
    last = list(fit(config, frames, split, resolve_device("cpu")))[-1]
    run = folder / trial
    run.mkdir()
    save_training(run, last.state())
    save_evidence(run / "evidence-val.npz", last.best_evidence("val"))
    begun = start(trial, params=config.flat())
    tags = {**begun.tags, "sweep.finalist": "a", "sweep.config_digest": config.digest()}
    yield from (
        replace(begun, tags=tags),
        epoch(1, 0.7, trial=trial),
        artifact(run / "evidence-val.npz", trial, "evidence"),
    )
    if keeps:
        yield artifact(run / BEST, trial, "weights")
    yield end(trial=trial, metrics={"best/miou": 0.7, "best/epoch": 1.0})


def call(uri: str, out: Path, *more: str) -> int:
    return main([SWEEP, "--tracking-uri", uri, "--out", str(out), "--device", "cpu", *more])


@pytest.fixture
def reviewed(tmp_path: Path, uri: str, cache: None, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """Review a folder of which the first open image lost its road; return the folder of the reports and the name."""
    root = tmp_path / "roads"
    write_roads(root)
    lost = NAMES[7]
    lose_road(root, lost)
    record(tmp_path, uri, root)
    assert call(uri, tmp_path / "reports", "--write-skip", str(tmp_path / "skip.csv")) == 0
    return tmp_path, lost


def test_the_mask_that_lost_its_road_is_the_most_suspect(reviewed: tuple[Path, str]) -> None:
    folder, lost = reviewed
    record = json.loads((folder / f"reports/{SWEEP}-suspects/suspects.json").read_text())
    assert record["basis"] == "out of fold" and record["suspects"][0]["name"] == lost
    assert record["suspects"][0]["reason"].startswith("road is missing")


def test_the_list_of_images_to_skip_has_names_and_reasons(reviewed: tuple[Path, str]) -> None:
    folder, lost = reviewed
    with (folder / "skip.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == lost and rows[0]["reason"].startswith("road is missing")


def test_the_page_is_whole_and_fetches_nothing(reviewed: tuple[Path, str]) -> None:
    folder, lost = reviewed
    page = (folder / f"reports/{SWEEP}-suspects/index.html").read_text()
    assert lost in page and "Which labels are probably wrong?" in page
    assert "http://" not in page and "https://" not in page


def test_the_review_is_recorded_with_its_sweep(reviewed: tuple[Path, str], uri: str) -> None:
    store = Store(uri)
    suspects = store.json_artifact(store.read_sweep(SWEEP).run_id, "suspects/suspects.json")
    assert suspects is not None and suspects["suspects"][0]["name"] == reviewed[1]


def test_a_sweep_without_weights_exits_with_2_and_writes_nothing(
    tmp_path: Path, uri: str, cache: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_roads(tmp_path / "roads")
    record(tmp_path, uri, tmp_path / "roads", keeps=False)
    assert call(uri, tmp_path / "reports") == 2
    assert "--keep-weights all" in capsys.readouterr().err and not list((tmp_path / "reports").iterdir())


def test_data_that_changed_since_are_refused(
    tmp_path: Path, uri: str, cache: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_roads(tmp_path / "roads")
    record(tmp_path, uri, tmp_path / "roads")
    lose_road(tmp_path / "roads", NAMES[0])
    assert call(uri, tmp_path / "reports") == 2
    assert "put the folder back as it was" in capsys.readouterr().err
