"""What is kept when a sweep ends, of two trials that were really trained."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from plans import growing
from tiny import make_config, make_frames, make_split
from trial_events import end, epoch, start

from bddseg.checkpoint import save_training
from bddseg.evidence import save_evidence
from bddseg.train import fit
from sweeps.errors import FencedError
from sweeps.execution import finalize
from sweeps.execution.finalize import WeightsKeeper, newest_checkpoints
from sweeps.execution.progress import TrialTable
from sweeps.planning.dataset import Dataset
from sweeps.planning.plan import Plan, PlannedTrial, most_kept
from sweeps.storage.attempts import take_number
from sweeps.storage.checkpoints import FolderCheckpoints, NewestCheckpoints
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox

CPU = torch.device("cpu")
MATERIAL = Dataset(Path("/data"), False, make_frames(), make_split(), ())


def make_trial(seed: int) -> PlannedTrial:
    config = make_config(train_seed=seed, train_epochs=1)
    return PlannedTrial(config.digest(), f"seed {seed}", config, {}, is_reference=seed == 1)


PLAN = Plan((make_trial(1), make_trial(2)), (), 1, 2)


def kept_in(folder: Path, plan: Plan) -> NewestCheckpoints:
    """Return the checkpoints of a plan's trials in a sweep's folder."""
    trial_ids = [trial.trial_id for trial in plan.trials]
    return newest_checkpoints(FolderCheckpoints(folder), trial_ids, SweepFolder(folder))


@pytest.fixture
def keeper(tmp_path: Path) -> WeightsKeeper:
    board = TrialTable(growing(PLAN))
    for score, trial in enumerate(PLAN.trials, 1):
        folder = tmp_path / "pass-1" / trial.trial_id / "checkpoint_000000"
        folder.mkdir(parents=True)
        last = list(fit(trial.config, MATERIAL.frames, MATERIAL.split, CPU))[-1]
        save_training(folder, last.state())
        save_evidence(folder / "evidence-val.npz", last.best_evidence("val"))
        for event in (start(trial.trial_id), epoch(trial.trial_id, 1, score / 10), end(trial.trial_id)):
            board.apply(event)
    checkpoints = kept_in(tmp_path, PLAN)
    return WeightsKeeper(PLAN, board, checkpoints, Outbox(tmp_path / "outbox"), CPU)


def uploads(keeper: WeightsKeeper) -> set[tuple[str, str]]:
    """Return artifact folder and name of every file that is to be uploaded to the sweep's own run."""
    events = [event for event in keeper.outbox.events() if event.trial == ""]
    assert all(event.path.is_file() for event in events)
    return {(event.folder, event.path.name) for event in events}


def test_pictures_and_latencies_become_artifacts_of_the_sweep(keeper: WeightsKeeper, tmp_path: Path) -> None:
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert {("", "latency.json"), ("panels", "panels.json"), ("panels", "panel-001.png")} <= uploads(keeper)


def test_keeping_again_uploads_the_same_files(keeper: WeightsKeeper, tmp_path: Path) -> None:
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    before, first = uploads(keeper), (tmp_path / "panels" / "panels.json").read_text()
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert uploads(keeper) == before and (tmp_path / "panels" / "panels.json").read_text() == first


@pytest.mark.parametrize("taken", ["before the end", "while pictures are painted"])
def test_an_earlier_attempt_deletes_no_checkpoint_of_the_newer_one(
    keeper: WeightsKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    keeper.outbox.attempt = take_number(tmp_path)
    if taken == "before the end":
        take_number(tmp_path)
    else:
        monkeypatch.setattr(finalize, "paint_panels", lambda *_: take_number(tmp_path) and [])
    newer = tmp_path / "pass-2" / PLAN.trials[0].trial_id / "checkpoint_000000"
    newer.mkdir(parents=True)
    with pytest.raises(FencedError, match="attempt 2"):
        keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert newer.exists()


def test_pictures_that_cannot_be_written_cost_nothing_else(
    keeper: WeightsKeeper, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "panels").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert "pictures or latencies could not be made" in caplog.text
    assert uploads(keeper) == {("", "latency.json")} and (tmp_path / "verification.json").exists()


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_of_a_kept_trial_only_its_newest_checkpoint_stays(keeper: WeightsKeeper, tmp_path: Path) -> None:
    first, second = keeper.checkpoints.names
    for old in (Path("pass-0") / first / "checkpoint_000003", Path("pass-1") / first / "checkpoint_-00001"):
        shutil.copytree(keeper.checkpoints.folders[first], tmp_path / old)
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    folders, newest = {path.parent for path in tmp_path.rglob("*.pt")}, keeper.checkpoints.folders
    assert folders == {newest[first], newest[second]} and not (tmp_path / "pass-0").exists()


def test_files_of_ray_tune_are_deleted(keeper: WeightsKeeper, tmp_path: Path) -> None:
    (tmp_path / "pass-1" / "tuner.pkl").touch()
    (tmp_path / "pass-1" / next(iter(keeper.checkpoints.names)) / "error.txt").touch()
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert not any(name.endswith((".pkl", "error.txt")) for name in names(tmp_path))


def test_a_trial_that_is_not_kept_leaves_no_checkpoint(keeper: WeightsKeeper, tmp_path: Path) -> None:
    first, second = keeper.checkpoints.names
    with_reference_only = replace(keeper, board=TrialTable(growing(PLAN)))
    with_reference_only.keep(MATERIAL, tmp_path, all_weights=False)
    assert keeper.checkpoints.folders[first].exists() and not keeper.checkpoints.folders[second].parent.exists()


@pytest.mark.parametrize(
    ("reason", "status", "is_kept"), [("max_epochs", "FINISHED", True), ("asha", "FINISHED", False)]
)
def test_last_weights_stay_only_of_trials_that_a_larger_budget_can_go_on_from(
    keeper: WeightsKeeper, tmp_path: Path, reason: str, status: str, is_kept: bool
) -> None:
    trial_id = next(iter(keeper.checkpoints.names))
    keeper.board.apply(end(trial_id, reason, status))
    keeper.keep(MATERIAL, tmp_path, all_weights=False)
    assert (keeper.checkpoints.folders[trial_id] / "last.pt").exists() is is_kept
    assert (keeper.checkpoints.folders[trial_id] / "best.pt").exists()


def test_no_more_trials_are_kept_than_a_forecast_counts(keeper: WeightsKeeper) -> None:
    assert len(keeper.finalists()) <= most_kept(PLAN) == 2


def test_a_sweep_without_checkpoints_has_latencies_but_no_pictures(keeper: WeightsKeeper, tmp_path: Path) -> None:
    empty = WeightsKeeper(PLAN, keeper.board, kept_in(tmp_path / "empty", PLAN), keeper.outbox, CPU)
    empty.keep(MATERIAL, tmp_path, all_weights=False)
    assert uploads(empty) == {("", "latency.json")}


def make_run(finalist: str, fold: int) -> PlannedTrial:
    config = make_config(train_epochs=1, data_folds=6, data_fold=fold, optim_lr=1e-2 if finalist == "first" else 1e-3)
    return PlannedTrial(
        config.digest(), f"{finalist} run {fold + 1}", config, {}, False, tags={"sweep.finalist": finalist}
    )


RUNS = Plan(tuple(make_run(finalist, fold) for fold in range(6) for finalist in ("first", "second")), (), 1, 12)


def test_a_confirmation_keeps_its_leader_on_every_fold(tmp_path: Path) -> None:
    board = TrialTable(growing(RUNS))
    for number, run in enumerate(RUNS.trials):
        score = 0.5 + number / 100 if run.name.startswith("first") else 0.4
        for event in (start(run.trial_id), epoch(run.trial_id, 1, score), end(run.trial_id)):
            board.apply(event)
    for run in RUNS.trials:
        (tmp_path / "pass-1" / run.trial_id / "checkpoint_000000").mkdir(parents=True)
    keeper = WeightsKeeper(RUNS, board, kept_in(tmp_path, RUNS), Outbox(tmp_path / "outbox"), CPU)
    leading = {run.trial_id for run in RUNS.trials if run.name.startswith("first")}
    assert leading <= keeper.finalists() and len(keeper.finalists()) <= most_kept(RUNS)
