"""What a Tuner is given to run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.config import TrainConfig
from bddseg.data.split import Split
from bddseg.train import fit
from sweeps.execution.driver_desk import FolderDesk
from sweeps.execution.trainable import Workload, _metrics, build_trainable, reason_for_end, trial_config
from sweeps.schedulers.rungs import BEST
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.folder import SweepFolder


def make_workload(**overrides: object) -> Workload:
    base = TrainConfig().with_overrides(overrides).to_dict()
    split = Split(train=(0, 1), val=(2,), test=(3,), by_drive=False, warning="")
    return Workload(
        base=base,
        frames=make_frames(4),
        split=split,
        rungs=(1,),
        desk=FolderDesk(SweepFolder(Path("sweep"))),
        checkpoints=FolderCheckpoints(Path("sweep")),
    )


def test_an_actor_is_shown_under_its_trials_name() -> None:
    kind = build_trainable(make_workload())
    actor = object.__new__(type("Named", (kind,), {"trial_name": "vanilla-f8 focal"}))
    assert repr(actor) == "vanilla-f8 focal"


def test_a_point_of_the_grid_is_laid_over_what_all_trials_share() -> None:
    config = trial_config({"trial": "abc", "optim.lr": 0.5}, make_workload(**{"train.seed": 9}))
    assert (config.optim.lr, config.train.seed) == (0.5, 9)


@pytest.mark.parametrize(
    ("epoch", "best", "reason"), [(10, 9, "max_epochs"), (9, 6, "plateau"), (9, 7, ""), (3, 3, "")]
)
def test_a_state_at_which_the_trial_had_ended_says_why(epoch: int, best: int, reason: str) -> None:
    settings = TrainConfig().with_overrides({"train.epochs": 10, "train.patience": 3})
    assert reason_for_end(settings, {"epoch": epoch, "best": {"epoch": best}}) == reason


def test_a_setting_without_effect_at_a_point_is_folded_there_alone() -> None:
    workload = make_workload(**{"loss.name": "focal", "loss.gamma": 3.0})
    points = ({"trial": "a", "loss.name": name} for name in ("focal", "cross_entropy"))
    assert [trial_config(point, workload).loss.gamma for point in points] == [3.0, 2.0]


def test_a_report_has_the_best_value_so_far_of_a_run_that_was_resumed() -> None:
    frames, split = make_frames(), make_split()
    results = fit(make_config(train_epochs=2), frames, split, torch.device("cpu"))
    first = next(results)
    worse = replace(first, epoch=2, best_miou=0.9, metrics={**first.metrics, "val/miou": 0.1})
    assert (_metrics(first)[BEST], _metrics(worse)[BEST]) == (first.metrics["val/miou"], 0.9)
