"""Rows of the store -> Report, from a sweep made by hand: eight trials, one diverged, two stopped at a rung."""

import math
from dataclasses import replace
from typing import Any

import pytest
from counts import make_evidence
from reports import (
    EPOCHS,
    LEADER,
    REFERENCE,
    RUNNER_UP,
    FakeLedger,
    FakeStore,
    make_record,
    make_report,
    make_row,
    rising_curve,
)

from bddseg.errors import DataError
from sweeps.errors import NothingFinishedError
from sweeps.report.gather import gather_report
from sweeps.sanitize import clean
from sweeps.storage.records import TrialRow


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
        "completed",
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
