"""A confirmation: what is planned from a record, and one run from screening to standings on one Ray."""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from folders import write_folder

import report
import tune_main
from bddseg.config import TrainConfig
from sweeps.cluster import ray_cluster
from sweeps.confirm import Confirmation, plan_confirmation, standings
from sweeps.delivery import default_tracking_uri
from sweeps.errors import ExperimentError, NothingFinishedError
from sweeps.store import Store, SweepRecord, TrialRow

SCENES = ("city street", "highway")
DATA = {"root": "/data", "embedded": False, "fingerprint": "f00d"}
MANIFEST = {"space": "made", "question": "Which?", "profile": "quick", "seed": 7, "data": DATA}


def make_row(name: str, miou: float, epoch: int = 3, *, status: str = "FINISHED", **settings: Any) -> TrialRow:
    """Return a recorded trial; `settings` as `optim_lr=1e-3`."""
    changes = {key.replace("_", ".", 1): value for key, value in settings.items()}
    return TrialRow(
        trial_id=f"id-{name}",
        run_id=f"run-{name}",
        name=name,
        status=status,
        stop_reason="max_epochs",
        stop_detail="",
        log_file="",
        settings=TrainConfig().with_overrides(changes).flat(),
        metrics={"best/miou": miou, "best/epoch": float(epoch)},
        digest=f"digest-{name}",
        is_reference=name == "reference",
        started_ms=0,
        ended_ms=1,
    )


def make_record(*rows: TrialRow, **changes: Any) -> SweepRecord:
    record = SweepRecord("made-1", "parent", "FINISHED", MANIFEST, {}, rows)
    return replace(record, **changes)


ROWS = (
    make_row("reference", 0.1, epoch=9, optim_lr=1e-1),
    make_row("first", 0.5, epoch=4, optim_lr=1e-2),
    make_row("second", 0.4, epoch=6, optim_lr=1e-3),
    make_row("third", 0.3, optim_lr=1e-4),
    make_row("attention", 0.2, model_name="attention_unet"),
)


def planned(*rows: TrialRow, top: int = 2, runs: int = 3) -> Confirmation:
    return plan_confirmation(make_record(*rows), top=top, runs=runs)


def names(confirmation: Confirmation) -> list[str]:
    return [finalist.name for finalist in confirmation.finalists]


# Finalists


def test_finalists_are_the_best_few_the_best_of_each_model_and_the_reference() -> None:
    assert [(it.name, it.why) for it in planned(*ROWS).finalists] == [
        ("first", "place 1"),
        ("second", "place 2"),
        ("attention", "best attention_unet"),
        ("reference", "reference"),
    ]


def test_a_trial_that_was_stopped_early_is_no_finalist() -> None:
    assert names(planned(make_row("stopped", 0.9, status="KILLED", optim_lr=0.5), *ROWS, top=1))[0] == "first"


def test_settings_that_differ_in_the_seed_alone_are_one_finalist() -> None:
    assert names(planned(make_row("lucky", 0.6, optim_lr=1e-2, train_seed=5), *ROWS, top=2))[:2] == [
        "lucky",
        "attention",
    ]


def test_a_reference_that_did_not_finish_is_named() -> None:
    confirmation = planned(make_row("reference", 0.1, status="FAILED", optim_lr=1e-1), *ROWS[1:])
    assert "reference" not in names(confirmation) and "did not finish" in confirmation.notes[0]


# The plan


def test_run_j_of_all_comes_before_run_j_plus_1_of_any() -> None:
    runs = [trial.tags["sweep.run"] for trial in planned(*ROWS).plan.trials]
    assert runs == ["1"] * 4 + ["2"] * 4 + ["3"] * 4


def test_every_finalist_has_the_same_folds_and_seeds() -> None:
    pairs: dict[str, list[tuple[int, int]]] = {}
    for trial in planned(*ROWS).plan.trials:
        pairs.setdefault(trial.tags["sweep.finalist"], []).append((trial.config.data.fold, trial.config.train.seed))
    assert len(pairs) == 4 and all(found == [(0, 8), (1, 9), (2, 10)] for found in pairs.values())


def test_no_run_has_the_seed_of_the_screening() -> None:
    assert 7 not in {trial.config.train.seed for trial in planned(*ROWS).plan.trials}


def test_each_finalist_trains_for_the_epochs_of_its_best_to_the_end() -> None:
    plan = planned(*ROWS).plan
    assert [trial.epochs for trial in plan.trials[:4]] == [4, 6, 3, 9] and plan.epochs == 9
    assert {(trial.config.train.patience, trial.config.train.keep) for trial in plan.trials} == {(0, "last")}
    assert plan.rungs == ()


def test_base_and_point_give_each_trial_its_settings_again() -> None:
    confirmation = planned(*ROWS)
    for trial in confirmation.plan.trials:
        assert confirmation.experiment.base.with_overrides(trial.point).digest() == trial.trial_id


def test_all_trials_are_distinct() -> None:
    assert len({trial.trial_id for trial in planned(*ROWS).plan.trials}) == 12


# Refusals


def test_a_confirmation_is_not_confirmed() -> None:
    with pytest.raises(ExperimentError, match="is itself a confirmation, of made-0"):
        plan_confirmation(make_record(*ROWS, tags={"sweep.confirms": "made-0"}))


def test_a_sweep_without_a_finished_trial_is_refused() -> None:
    with pytest.raises(NothingFinishedError, match="no finished trial"):
        planned(make_row("stopped", 0.9, status="KILLED"))


def test_a_sweep_without_its_manifest_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"no sweep\.json"):
        plan_confirmation(make_record(*ROWS, manifest={}))


def test_other_frames_are_refused() -> None:
    confirmation = planned(*ROWS)
    confirmation.check_data("f00d")
    with pytest.raises(ExperimentError, match=r"frames f00d of /data, but they are beef now"):
        confirmation.check_data("beef")


# Standings


def test_standings_are_means_and_spreads_over_runs() -> None:
    confirmation = planned(*ROWS[:2], top=1)
    ids = [trial.trial_id for trial in confirmation.plan.trials]  # first and reference by turns
    best, last = standings(confirmation, dict(zip(ids, [0.4, 0.1, 0.5, 0.2, 0.6, 0.6], strict=True)))
    assert (best.finalist.name, best.scores) == ("first", (0.4, 0.5, 0.6))
    assert (best.mean, best.spread) == (pytest.approx(0.5), pytest.approx(0.1))
    assert last.ahead_of(best) == pytest.approx(-0.2)


def test_a_failed_run_leaves_the_mean_of_the_others() -> None:
    confirmation = planned(ROWS[1], top=1)
    ids = [trial.trial_id for trial in confirmation.plan.trials]
    (found,) = standings(confirmation, {ids[0]: 0.4, ids[2]: 0.6})
    assert found.mean == pytest.approx(0.5) and math.isnan(found.scores[1])


# From screening to standings


@dataclass(frozen=True)
class Ran:
    """A screening and its confirmation, and what the confirmation wrote."""

    code: int
    out: str
    screening: SweepRecord
    record: SweepRecord
    store: Store
    storage: Path


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray, one cache and one store for both sweeps."""
    folder = tmp_path_factory.mktemp("runs")
    before = os.environ.get("BDDSEG_CACHE")
    os.environ["BDDSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    with ray_cluster(tmp_path_factory.mktemp("r")):
        yield folder
    os.environ.pop("BDDSEG_CACHE")
    if before:
        os.environ["BDDSEG_CACHE"] = before


@pytest.fixture(scope="module")
def ran(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Screen two settings on 30 drives of two images, then confirm them; the folder is known from the record alone."""
    scenes = {f"{drive:08x}-{image:08x}": SCENES[drive % 2] for drive in range(30) for image in range(2)}
    data = write_folder(tmp_path_factory.mktemp("data"), scenes)
    store = Store(default_tracking_uri(storage))
    words = ["--storage", str(storage), "--quiet"]
    small = ["--set", "train.epochs=2", "--set", "train.precision=fp32", "--data", str(data)]
    tune_main.main(["--space", "smoke", "--profile", "quick", "--limit", "2", "--scheduler", "none", *small, *words])
    screening = store.read_sweep(store.latest_sweep_id())
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = tune_main.main(["--confirm", screening.sweep_id, "--top", "1", "--runs", "2", *words])
    return Ran(code, out.getvalue(), screening, store.read_sweep(store.latest_sweep_id()), store, storage)


def test_a_confirmation_is_linked_to_its_screening(ran: Ran) -> None:
    assert ran.code == 0
    assert ran.record.tags["sweep.confirms"] == ran.screening.sweep_id
    assert ran.record.manifest["confirmation"]["screening"] == ran.screening.sweep_id
    assert {row.finalist for row in ran.record.trials} <= {row.trial_id for row in ran.screening.trials}


def test_mlflow_has_one_run_per_finalist_and_fold(ran: Ran) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(ran.store.tracking_uri)
    experiment = client.get_experiment_by_name("bdd100k-unet")
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{ran.record.sweep_id}'")
    finalists = ran.record.manifest["confirmation"]["finalists"]
    assert len(runs) == 1 + 2 * len(finalists)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_folds_of_a_finalist_cover_train_and_validation_once(ran: Ran) -> None:
    split = ran.screening.manifest["data"]["split"]
    sealed = set(ran.store.evidence(ran.screening.trials[0], "test").names)  # type: ignore[union-attr]
    for finalist in {row.finalist for row in ran.record.trials}:
        rows = [row for row in ran.record.trials if row.finalist == finalist]
        found = [name for row in rows for name in ran.store.evidence(row, "val").names]  # type: ignore[union-attr]
        assert len(found) == len(set(found)) == split["train"] + split["val"]
        assert not sealed & set(found)


def test_evidence_is_of_the_last_epoch_and_of_validation_alone(ran: Ran) -> None:
    for row in ran.record.trials:
        evidence = ran.store.evidence(row, "val")
        assert evidence is not None and evidence.epoch == row.settings["train.epochs"] == row.metrics["best/epoch"]
        assert ran.store.evidence(row, "test") is None


def test_the_standings_are_printed(ran: Ran) -> None:
    assert "mean val/miou" in ran.out
    assert all(it["name"] in ran.out for it in ran.record.manifest["confirmation"]["finalists"])


def test_the_weights_of_the_leading_run_give_its_figures_on_its_fold_again(ran: Ran) -> None:
    leader = max(ran.record.trials, key=lambda row: row.metrics["best/miou"])
    found = ran.store.json_artifact(leader.run_id, "verification.json")
    assert found is not None and found["max_difference"] < 1e-4


def test_the_report_of_a_confirmation_is_a_page(ran: Ran, tmp_path: Path) -> None:
    words = [ran.record.sweep_id, "--tracking-uri", ran.store.tracking_uri, "--out", str(tmp_path)]
    assert report.main(words) == 0
    page = (tmp_path / ran.record.sweep_id / "index.html").read_text()
    assert all(row.name in page for row in ran.record.trials)


def test_a_dry_run_tells_what_a_confirmation_takes(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--confirm", ran.screening.sweep_id, "--runs", "2", "--dry-run", "--storage", str(ran.storage)]
    assert tune_main.main(words) == 0
    text = capsys.readouterr().out
    rows = ("core-hours", "memory of a trial", "disk while it runs", "smallest difference")
    assert "run 2" in text and all(row in text for row in rows)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--set", "optim.lr=1"], "does not go with --set"),
        (["--data", "/nowhere/bdd"], "/nowhere/bdd"),
        (["--runs", "40"], "too few for 40 folds"),
    ],
)
def test_misuse_is_refused_in_one_line(
    more: list[str], expected: str, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main(["--confirm", ran.screening.sweep_id, "--storage", str(ran.storage), "--quiet", *more]) == 2
    line, *others = capsys.readouterr().err.splitlines()
    assert expected in line and not others


def test_an_unknown_sweep_is_refused_with_the_known_ones(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--confirm", "nothing", "--storage", str(ran.storage)]) == 2
    assert ran.screening.sweep_id in capsys.readouterr().err
