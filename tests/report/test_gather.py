"""Rows of the store -> Report, from a sweep made by hand: eight trials, one diverged, two stopped at a rung."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from test_ranking import make_evidence

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.labels import CLASSES
from sweeps.errors import NothingFinishedError, TrackingError
from sweeps.gallery.album import Album
from sweeps.records import Repeat, SweepRecord, TrialRow
from sweeps.report.facts import clean
from sweeps.report.gather import Report, gather_report

RATES, LOSSES = (1e-5, 1e-4, 5e-4, 1e-3), ("cross_entropy", "focal")
BEST = {
    (1e-4, "cross_entropy"): 0.7412,
    (1e-3, "focal"): 0.6,
    (5e-4, "cross_entropy"): 0.8305,
    (1e-5, "focal"): 0.31,
    (1e-3, "cross_entropy"): 0.8434,
    (1e-5, "cross_entropy"): 0.42,
    (5e-4, "focal"): 0.812,
    (1e-4, "focal"): 0.7225,
}
EPOCHS = 20
ENDS = {
    (1e-3, "focal"): ("diverged", "train/loss is nan at epoch 9", "FAILED", 9),
    (1e-5, "focal"): ("asha", "val/miou 0.3100 at epoch 2 was below the cut-off 0.4000", "KILLED", 2),
    (1e-5, "cross_entropy"): ("asha", "val/miou 0.4200 at epoch 6 was below the cut-off 0.5000", "KILLED", 6),
}
LEADER, RUNNER_UP, REFERENCE = "lr1e-3-cross_entropy", "lr5e-4-cross_entropy", "lr1e-4-cross_entropy"


def make_row(lr: float, loss: str) -> TrialRow:
    """One trial as the store gives it."""
    name = f"lr{lr:.0e}-{loss}".replace("e-0", "e-")
    reason, detail, status, epochs = ENDS.get((lr, loss), ("max_epochs", "", "FINISHED", EPOCHS))
    best = BEST[lr, loss]
    classes = {f"best/iou/{label}": best + 0.01 * (place - 2) for place, label in enumerate(CLASSES)}
    groups = {"best/group_miou/city": best + 0.004, "best/group_miou/non_city": best - 0.011}
    return TrialRow(
        trial_id=name,
        run_id=f"run-{name}",
        name=f"vanilla-f8 {loss} lr={lr:g}",
        status=status,
        stop_reason=reason,
        stop_detail=detail,
        log_file=f"/runs/logs/{name}.log" if status == "FAILED" else "",
        settings={"model.name": "vanilla_unet", "optim.lr": lr, "loss.name": loss},
        metrics={"best/miou": best, "best/epoch": float(epochs), **classes, **groups},
        digest=f"digest-{name}",
        is_reference=name == REFERENCE,
        started_ms=1_000_000,
        ended_ms=1_000_000 + epochs * 6_000,
    )


def make_record(**changes: Any) -> SweepRecord:
    """The sweep; a manifest among the changes is laid over the usual one."""
    rows = tuple(make_row(lr, loss) for lr, loss in BEST)
    split = {"train": 308, "val": 88, "test": 44, "by_drive": True, "warning": ""}
    data = {
        "root": "/cache/streets",
        "embedded": True,
        "fingerprint": "f" * 16,
        "summary": ["440 images"],
        "split": split,
    }
    manifest = {
        "space": "grid_lr_loss",
        "question": "Which learning rate and which loss?",
        "profile": "quick",
        "scheduler": {"name": "asha", "max_epochs": EPOCHS, "rungs": [2, 6, 18]},
        "axes": {"optim.lr": list(RATES), "loss.name": list(LOSSES)},
        "trials": [{"trial_id": row.trial_id} for row in rows],
        "data": {**data, "scenes": {"city street": 300, "highway": 140}},
        "device": "CPU, 2 cores",
        "precision": "fp32",
        "command": "python tune_main.py --space grid_lr_loss",
        "report_command": "python report.py grid-1",
        "versions": {"python": "3.11"},
        "code_version": "abc123",
        "started": "2026-11-23T03:45:01+00:00",
        **changes.pop("manifest", {}),
    }
    return replace(SweepRecord("grid-1", "parent", "FINISHED", manifest, {}, rows), **changes)


def measured(row: TrialRow, images: int = 12) -> Evidence:
    """Validation evidence with the trial's IoUs: of each class a million pixels, some taken for the next class."""
    best = row.metrics.get("best/miou", 0.5)
    logged = [row.metrics.get(f"best/iou/{label}", best) for label in CLASSES]
    wanted = [best if math.isnan(value) else value for value in logged]
    hits = [5e5] * len(CLASSES)
    for place in list(range(len(CLASSES))) * 40:  # IoU = hits / (2 million - hits of the class before), solved in turn
        hits[place] = wanted[place] * (2e6 - hits[place - 1])
    counts = np.zeros((images, len(CLASSES), len(CLASSES)), dtype=np.int64)
    for image in range(images):
        for label, hit in enumerate(hits):
            found = round(hit) + (image % 3 - 1) * 5000
            counts[image, label, label] = found
            counts[image, label, (label + 1) % len(CLASSES)] = 1_000_000 - found
    scenes = tuple("city street" if image % 2 else "highway" for image in range(images))
    words = ("",) * images
    names = tuple(f"image{image}" for image in range(images))
    ignored = np.zeros((images, len(CLASSES)), np.int64)
    return Evidence(
        "val", int(row.metrics.get("best/epoch", 1)), names, scenes, words, words, counts, ignored, "f" * 16
    )


@dataclass
class FakeLedger:
    """Keeps what is recorded, or cannot be written."""

    tags: dict[str, str] = field(default_factory=dict)
    is_closed: bool = False

    def write_tag(self, run_id: str, key: str, value: str) -> None:
        if self.is_closed:
            raise TrackingError("attempt to write a readonly database")
        self.tags[key] = value


@dataclass
class FakeStore:
    """Answers as the store does, and remembers what was asked of it."""

    part_evidence: Evidence | DataError | None = field(default_factory=lambda: make_evidence("city street", "highway"))
    """Of the test part."""
    val_evidence: dict[str, Evidence | DataError | None] = field(default_factory=dict)
    """Instead of what belongs to the trial's figures."""
    verification: dict[str, Any] | None = None
    repeats: list[Repeat] = field(default_factory=list)
    """Completed runs of other sweeps."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def histories(self, record: SweepRecord, keys: Sequence[str]) -> Mapping[str, Any]:
        self.asked.append("histories")
        return {row.trial_id: self.curves.get(row.trial_id, rising_curve(row)) for row in record.trials}

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> dict[str, Evidence | DataError | None]:
        self.asked += [f"{part} of {row.trial_id}" for row in rows]
        if part == "test":
            return {row.trial_id: self.part_evidence for row in rows}
        return {row.trial_id: self.val_evidence.get(row.trial_id, measured(row)) for row in rows}

    def find_repeats(self, setting: str, fingerprint: str) -> list[Repeat]:
        self.asked.append(f"repeats of {setting}")
        return [repeat for repeat in self.repeats if repeat.row.setting == setting]

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        self.asked.append(f"{name} of {run_id}")
        return self.verification if name == "verification.json" else None

    def album(self, run_id: str) -> Album | None:
        self.asked.append(f"album of {run_id}")
        return None


def rising_curve(row: TrialRow) -> dict[str, list[tuple[int, float]]]:
    """A curve that reaches the trial's best in its last epoch."""
    best = row.metrics.get("best/miou", 0.5)
    last = next(
        (end[3] for key, end in ENDS.items() if key == (row.settings["optim.lr"], row.settings["loss.name"])), EPOCHS
    )
    points = [(epoch, best * epoch / last) for epoch in range(1, last + 1)]
    return {"val/miou": points, "train/miou": points}


def make_report(store: FakeStore | None = None, **changes: Any) -> Report:
    return gather_report(make_record(**changes), store or FakeStore(), FakeLedger())


def without_best(row: TrialRow, status: str) -> TrialRow:
    """The trial as it is while it runs: no end, no best figures."""
    return replace(row, status=status, stop_reason="", stop_detail="", metrics={}, ended_ms=None)


def test_leader_runner_up_and_reference_are_found() -> None:
    report = make_report()
    assert report.runner_up is not None
    assert report.reference is not None
    found = (report.leader.trial_id, report.runner_up.trial_id, report.reference.trial_id)
    assert found == (LEADER, RUNNER_UP, REFERENCE)


def test_the_gap_is_that_of_the_figures_shown() -> None:
    assert make_report().gap == 0.0129


def test_completed_trials_are_ranked_then_come_the_stopped_ones_and_the_failed_one_last() -> None:
    report = make_report()
    assert [entry.rank for entry in report.trials] == [1, 2, 3, 4, 5, None, None, None]
    assert [entry.state for entry in report.trials[5:]] == ["stopped", "stopped", "failed"]


def test_settings_that_differ_are_listed_with_the_axes_first() -> None:
    assert make_report().varying == ("optim.lr", "loss.name")


def test_every_end_is_said_in_words() -> None:
    words = {entry.trial_id: entry.stop_words for entry in make_report().trials}
    assert {words[LEADER], words["lr1e-5-focal"], words["lr1e-3-focal"]} == {
        "ran to the end",
        "stopped early",
        "diverged",
    }


def test_time_and_epochs_of_a_trial_are_known() -> None:
    assert (make_report().leader.seconds, make_report().leader.epochs) == (120.0, 20)


def test_the_test_part_is_opened_last_and_only_for_leader_and_reference() -> None:
    store = FakeStore()
    make_report(store)
    assert [asked for asked in store.asked if "test of" in asked] == [f"test of {LEADER}", f"test of {REFERENCE}"]
    assert store.asked[-2:] == [f"test of {LEADER}", f"test of {REFERENCE}"]


def test_a_reference_that_leads_is_opened_once() -> None:
    store = FakeStore()
    rows = tuple(replace(row, is_reference=row.trial_id == LEADER) for row in make_record().trials)
    report = make_report(store, trials=rows)
    assert [found.trial_id for found in report.test.opened] == [LEADER]
    assert store.asked.count(f"test of {LEADER}") == 1


@pytest.mark.parametrize(("status", "state"), [("RUNNING", "running"), ("KILLED", "interrupted")])
def test_an_unfinished_sweep_keeps_the_test_part_sealed(status: str, state: str) -> None:
    store = FakeStore()
    report = make_report(store, status=status)
    assert (report.state, report.test.opened) == (state, ())
    assert "stays sealed" in report.test.notes[0]
    assert not any(asked.startswith("test of") for asked in store.asked)


def test_missing_test_evidence_is_said() -> None:
    notes = make_report(FakeStore(part_evidence=None)).test.notes
    assert notes[0].startswith("vanilla-f8 cross_entropy lr=0.001: it left no test evidence")


def test_damaged_test_evidence_is_said() -> None:
    notes = make_report(FakeStore(part_evidence=DataError("x.npz is not readable"))).test.notes
    assert "its test evidence is damaged: x.npz is not readable" in notes[0]


def test_test_evidence_of_other_frames_is_not_shown() -> None:
    other = replace(make_evidence("city street"), fingerprint="0" * 16)
    report = make_report(FakeStore(part_evidence=other))
    assert not report.test.opened
    assert "of other frames (0000000000000000)" in report.test.notes[0]


def test_a_running_trial_is_shown_with_its_best_epoch_so_far() -> None:
    rows = make_record().trials
    rows = tuple(without_best(row, "RUNNING") if row.trial_id == LEADER else row for row in rows)
    curve = [(1, 0.2), (2, 0.9), (3, 0.7)]
    store = FakeStore(curves={LEADER: {"val/miou": curve, "val/iou/car": [(1, 0.1), (2, 0.9), (3, 0.5)]}})
    store.val_evidence[LEADER] = None
    trial = make_report(store, trials=rows, status="RUNNING").trial(LEADER)
    assert trial is not None
    assert (trial.scores.miou, trial.best_epoch, trial.scores.iou["car"]) == (0.9, 2, 0.9)


def test_a_running_trial_does_not_lead_however_good_it_is_so_far() -> None:
    rows = tuple(without_best(row, "RUNNING") if row.trial_id == LEADER else row for row in make_record().trials)
    report = make_report(FakeStore(curves={LEADER: {"val/miou": [(1, 0.2), (2, 0.9)]}}), trials=rows, status="RUNNING")
    assert report.leader.trial_id == RUNNER_UP
    assert report.left_out[LEADER] == "it is still running"


def test_trials_that_never_started_are_counted_as_planned() -> None:
    report = make_report(trials=make_record().trials[:3], status="RUNNING")
    assert (len(report.trials), report.planned) == (3, 8)


def test_a_sweep_without_a_usable_trial_says_why_each_failed() -> None:
    rows = tuple(replace(row, status="FAILED", stop_detail="no memory left") for row in make_record().trials[:2])
    with pytest.raises(NothingFinishedError, match=r"no trial of sweep grid-1 .*lr=0.0001: no memory left; .*lr=0.001"):
        make_report(trials=rows)


def test_a_sweep_in_which_nothing_has_started_says_so() -> None:
    with pytest.raises(NothingFinishedError, match="none has started"):
        make_report(trials=())


@pytest.mark.parametrize("manifest", [{}, {"data": "x", "axes": 3, "trials": None, "scheduler": {"rungs": ["2", -1]}}])
def test_a_manifest_that_lacks_or_garbles_things_still_gives_a_report(manifest: dict[str, Any]) -> None:
    report = gather_report(replace(make_record(), manifest=manifest), FakeStore(), FakeLedger())
    assert (report.leader.trial_id, report.rungs, report.budget) == (LEADER, (), EPOCHS)


def test_metrics_that_are_not_finite_have_no_figure() -> None:
    rows = make_record().trials
    broken = replace(rows[0], metrics={**rows[0].metrics, "best/iou/car": math.nan})
    found = make_report(FakeStore(val_evidence={REFERENCE: None}), trials=(broken, *rows[1:])).reference
    assert found is not None
    assert found.scores.iou["car"] is None


def test_line_breaks_and_control_characters_leave_every_text() -> None:
    assert clean("a\x1b[31m\n b\u202ec\x00") == "a [31m b c"


def test_the_same_record_gives_the_same_report() -> None:
    assert make_report() == make_report()


def test_a_trials_time_is_that_of_its_epochs_without_the_pauses_between_them() -> None:
    curves = {**rising_curve(make_row(1e-3, "cross_entropy")), "time/epoch_s": [(1, 2.0), (2, 3.5)]}
    report = make_report(FakeStore(curves={LEADER: curves}))
    assert report.leader is not None and report.leader.seconds == 5.5
    assert next(entry for entry in report.trials if entry.trial_id == RUNNER_UP).seconds == EPOCHS * 6.0
