import pytest
from mlflow.entities import RunStatus as MlflowStatus

from sweeps.storage.outcomes import (
    CUT_OFF,
    OWN_ENDS,
    STOPPED_EARLY,
    RunStatus,
    StopReason,
    SweepState,
    TrialState,
    status_of,
    sweep_state,
    trial_state,
    words_of,
)


def test_every_status_is_one_of_mlflow() -> None:
    assert {status.value for status in RunStatus} <= set(MlflowStatus._STRING_TO_STATUS)


def test_an_end_of_its_own_or_by_the_schedule_finishes_a_run_a_cut_off_kills_it_and_the_others_fail() -> None:
    statuses = {status: {reason for reason in StopReason if reason.status == status} for status in RunStatus}
    assert statuses == {
        "RUNNING": set(),
        "FINISHED": OWN_ENDS | STOPPED_EARLY,
        "KILLED": CUT_OFF,
        "FAILED": {"diverged", "oom", "error"},
    }


def test_only_the_budget_and_the_patience_are_ends_of_its_own() -> None:
    assert {reason.value for reason in StopReason if reason.is_own_end} == {"max_epochs", "plateau"}


def test_a_recorded_text_is_compared_with_the_sets_as_it_is() -> None:
    assert "driver_lost" in CUT_OFF and "invented" not in CUT_OFF


@pytest.mark.parametrize(
    ("reason", "status", "text"), [("asha", "FINISHED", "stopped early"), ("invented", "FAILED", "")]
)
def test_a_reason_that_this_version_does_not_know_is_a_failure_without_words(
    reason: str, status: str, text: str
) -> None:
    assert (status_of(reason), words_of(reason)) == (status, text)


def test_every_reason_has_words() -> None:
    assert all(reason.words for reason in StopReason)


@pytest.mark.parametrize(
    ("status", "state"),
    [("RUNNING", "running"), ("FINISHED", "finished"), ("KILLED", "stopped"), ("FAILED", "failed"), ("", "waiting")],
)
def test_the_state_of_a_trial_follows_from_the_status_of_its_run(status: str, state: str) -> None:
    assert trial_state(status, "", TrialState.WAITING) == state


@pytest.mark.parametrize("status", ["FINISHED", "KILLED"], ids=["now", "earlier versions"])
def test_a_trial_that_was_stopped_early_is_stopped_whatever_its_status(status: str) -> None:
    assert trial_state(status, "asha", TrialState.WAITING) == "stopped"


@pytest.mark.parametrize(
    ("status", "state"),
    [("RUNNING", "running"), ("FINISHED", "finished"), ("FAILED", "failed"), ("KILLED", ""), ("", "")],
)
def test_a_sweep_that_neither_runs_nor_ended_by_itself_was_interrupted(status: str, state: str) -> None:
    assert sweep_state(status) == (state or SweepState.INTERRUPTED)
