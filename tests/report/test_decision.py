"""Validation evidence -> verdict: who is compared, who is left out and why; finalists on the folds they share."""

from dataclasses import replace

import pytest
from decisions import FOLDS, confirmation, finalists, of_folds, runs_of
from reports import (
    BEST,
    EPOCHS,
    LEADER,
    REFERENCE,
    RUNNER_UP,
    FakeLedger,
    FakeStore,
    make_record,
    make_report,
    measured,
)

from bddseg.errors import DataError
from sweeps.report.gather import Report, gather_report
from sweeps.report.seeds import join_evidence


@pytest.fixture(scope="module")
def confirmed() -> Report:
    rows = tuple(run for finalist in finalists() for run in runs_of(finalist))
    return gather_report(confirmation(*rows), of_folds(rows), FakeLedger(), screening=make_record())


def test_all_completed_trials_are_compared() -> None:
    report = make_report()
    assert report.verdict is not None
    assert len(report.verdict.rivals) == 5
    assert report.verdict.leader == LEADER


def test_a_trial_without_evidence_is_listed_and_not_compared() -> None:
    report = make_report(FakeStore(val_evidence={RUNNER_UP: None}))
    assert report.left_out == {RUNNER_UP: "it left no validation evidence"}
    assert report.verdict is not None
    assert RUNNER_UP not in {rival.trial_id for rival in report.verdict.rivals}


def test_damaged_evidence_and_evidence_of_other_frames_are_not_compared() -> None:
    rows = {row.trial_id: row for row in make_record().trials}
    other = replace(measured(rows[REFERENCE]), fingerprint="0" * 16)
    report = make_report(FakeStore(val_evidence={RUNNER_UP: DataError("x.npz is torn"), REFERENCE: other}))
    assert report.left_out[RUNNER_UP] == "its evidence is damaged: x.npz is torn"
    assert report.left_out[REFERENCE] == "its evidence is of other frames (0000000000000000)"


def test_evidence_of_another_split_is_not_compared() -> None:
    rows = {row.trial_id: row for row in make_record().trials}
    other = replace(measured(rows[RUNNER_UP]), names=tuple(f"else{n}" for n in range(12)))
    assert RUNNER_UP in make_report(FakeStore(val_evidence={RUNNER_UP: other})).left_out


def test_without_any_evidence_there_is_no_verdict_and_the_test_part_stays_sealed() -> None:
    store = FakeStore(val_evidence={row.trial_id: None for row in make_record().trials})
    report = make_report(store)
    assert (report.verdict, report.leader.trial_id) == (None, LEADER)
    assert not any(asked.startswith("test of") for asked in store.asked)


def test_a_trial_without_evidence_never_leads() -> None:
    assert make_report(FakeStore(val_evidence={LEADER: None})).leader.trial_id == RUNNER_UP


def test_a_confirmation_compares_finalists_over_all_their_runs(confirmed: Report) -> None:
    assert confirmed.verdict is not None
    assert (confirmed.verdict.stage, confirmed.verdict.runs) == ("confirmation", FOLDS)
    assert [entry.trial_id for entry in confirmed.settings] == [LEADER, RUNNER_UP]
    assert confirmed.leader.scores.miou == pytest.approx(0.8434, abs=2e-3)


def test_a_finalist_is_named_without_its_run_and_counts_all_epochs(confirmed: Report) -> None:
    assert (confirmed.leader.name, confirmed.leader.epochs) == ("vanilla-f8 cross_entropy lr=0.001", 60)


def test_a_run_has_the_role_of_its_finalist(confirmed: Report) -> None:
    assert {confirmed.role(run) for run in confirmed.seeds(confirmed.leader)} == {"leader"}


def test_the_test_figures_of_a_confirmation_are_those_of_the_screened_trials(confirmed: Report) -> None:
    assert [found.trial_id for found in confirmed.test.opened] == [LEADER]


def test_a_running_confirmation_stays_sealed_and_compares_the_folds_that_all_have() -> None:
    first, second = finalists()
    rows = (*runs_of(first), *runs_of(second, folds=2))
    report = gather_report(confirmation(*rows, status="RUNNING"), of_folds(rows), FakeLedger(), screening=make_record())
    assert report.verdict is not None
    assert (report.verdict.runs, report.test.opened) == (2, ())


def test_a_finalist_that_is_compared_so_far_is_not_listed_as_left_out() -> None:
    first, second = finalists()
    rows = (*runs_of(first), *runs_of(second))
    store = of_folds(rows)
    store.val_evidence[rows[-1].trial_id] = None
    report = gather_report(confirmation(*rows, status="RUNNING"), store, FakeLedger(), screening=make_record())
    assert report.verdict is not None
    assert (len(report.verdict.rivals), report.left_out) == (2, {})


def test_a_trial_that_was_stopped_is_no_rival_and_stands_beside_the_leader_where_it_stopped() -> None:
    verdict = make_report().verdict
    assert verdict is not None
    assert [(trial.trial_id, trial.epoch) for trial in verdict.stopped] == [
        ("lr1e-5-cross_entropy", 6),
        ("lr1e-5-focal", 2),
    ]
    leader_at_6 = BEST[1e-3, "cross_entropy"] * 6 / EPOCHS
    assert verdict.stopped[0].leader_score == pytest.approx(leader_at_6)


def test_a_finalist_that_lacks_a_fold_at_the_end_is_left_out() -> None:
    first, second = finalists()
    rows = (*runs_of(first), *runs_of(second, folds=2))
    report = gather_report(confirmation(*rows), of_folds(rows), FakeLedger(), screening=make_record())
    assert report.left_out == {RUNNER_UP: "it has evidence of 2 of 3 folds only"}


def in_rounds(*looks: dict[str, object], alpha: float = 0.0125) -> Report:
    """A confirmation to which runs were added: the runner-up lacks the last one."""
    first, second = finalists()
    third = next(row for row in make_record().trials if row.trial_id == REFERENCE)
    rows = (*runs_of(first), *runs_of(third), *runs_of(second, folds=2))
    record = confirmation(*rows)
    rounds = {"folds": 10, "most": 30, "alpha": alpha, "margin": 0.005, "hours": 0.0}
    manifest = {**record.manifest, "confirmation": {"screening": "grid-1", "rounds": rounds, "looks": list(looks)}}
    return gather_report(replace(record, manifest=manifest), of_folds(rows), FakeLedger(), screening=make_record())


def test_a_finalist_that_an_earlier_look_excluded_is_listed_with_that_reason() -> None:
    report = in_rounds({"runs": 2, "remaining": [LEADER, REFERENCE], "ending": ""})
    assert report.verdict is not None
    assert {rival.trial_id for rival in report.verdict.rivals} == {LEADER, REFERENCE}
    assert report.left_out[RUNNER_UP].startswith("it was excluded after 2 runs")


def test_a_finalist_that_lacks_a_run_of_the_last_round_is_listed_as_such() -> None:
    assert in_rounds().left_out == {RUNNER_UP: "it has evidence of 2 of 3 runs only"}


def test_differences_in_a_confirmation_in_rounds_hold_with_more_confidence(confirmed: Report) -> None:
    assert (confirmed.confidence, in_rounds().confidence) == ("95 %", "98.75 %")


@pytest.mark.parametrize(("runs", "level"), [(2, "99 %"), (6, "98 %"), (7, "99.5 %"), (30, "99.5 %")])
def test_the_confidence_is_that_of_the_last_look(runs: int, level: str) -> None:
    report = in_rounds(alpha=0.0)
    assert report.verdict is not None
    assert replace(report, verdict=replace(report.verdict, runs=runs)).confidence == level


def test_seeds_of_the_screening_are_no_repeats_of_a_confirmation() -> None:
    report = in_rounds()
    assert report.verdict is not None
    assert (report.verdict.noise.outside, report.verdict.noise.sweeps) == (0, ())


def test_without_the_screening_in_the_store_the_test_part_stays_sealed() -> None:
    rows = tuple(runs_of(finalists()[0]))
    report = gather_report(confirmation(*rows), of_folds(rows), FakeLedger())
    assert "is not in this store" in report.test.notes[0]


def test_joined_folds_have_all_images_once() -> None:
    rows = tuple(runs_of(finalists()[0]))
    joined = join_evidence([of_folds(rows).val_evidence[row.trial_id] for row in rows])  # type: ignore[misc]
    assert (len(joined.names), joined.counts.shape[0]) == (36, 36)


def test_joined_seeds_have_each_image_once_with_the_counts_of_all() -> None:
    seeds = [replace(measured(row), drives=("d",) * 12) for row in finalists()]
    joined = join_evidence(seeds)
    assert joined.names == seeds[0].names and joined.drives == seeds[0].drives
    assert (joined.counts == seeds[0].counts + seeds[1].counts).all()
