"""The history of a trial: one rule for an epoch that is reported twice."""

from dataclasses import replace
from typing import Any

import pytest
from recording import end, epoch, start

from sweeps.storage.events import End, Epoch, Pause, Retry, TrialEvent
from sweeps.storage.trial_history import TrialHistory, read_histories, read_runs


def history_of(*events: TrialEvent, keep: str = "best") -> TrialHistory:
    history = TrialHistory(keep=keep)
    for event in events:
        history.add(event)
    return history


def ended(status: str, reason: str, **tags: str) -> End:
    return replace(end(status), tags={"sweep.stop_reason": reason, **tags})


def test_epochs_that_are_reported_once_are_all_kept() -> None:
    history = history_of(start(), epoch(1, 0.1), epoch(2, None), epoch(3, 0.3))
    assert (history.values, history.epochs) == ({1: 0.1, 2: None, 3: 0.3}, 3)


def test_the_last_report_of_an_epoch_counts() -> None:
    assert history_of(epoch(1, 0.1), epoch(2, 0.2), epoch(2, 0.7)).values == {1: 0.1, 2: 0.7}


def test_a_repeated_epoch_drops_the_epochs_after_it() -> None:
    history = history_of(start(), epoch(1, 0.1), epoch(2, 0.2), epoch(3, 0.3), start(), epoch(2, 0.25))
    assert (history.values, history.epochs) == ({1: 0.1, 2: 0.25}, 2)


def test_a_best_epoch_that_is_dropped_gives_way_to_the_best_before_it() -> None:
    history = history_of(epoch(1, 0.5), epoch(2, 0.4), epoch(3, 0.9), epoch(2, 0.45))
    assert (history.best_epoch, history.best_value, history.bests()) == (1, 0.5, {1: 0.5, 2: 0.5})


def test_the_first_of_two_equal_epochs_is_the_best() -> None:
    assert history_of(epoch(1, 0.5), epoch(2, 0.5)).best_epoch == 1


def test_where_the_last_epoch_is_kept_it_counts_unless_it_has_no_value() -> None:
    assert history_of(epoch(1, 0.5), epoch(2, 0.4), keep="last").best_epoch == 2
    assert history_of(epoch(1, 0.5), epoch(2, 0.4), epoch(3, None), keep="last").best_value == 0.4


def test_no_epoch_counts_before_one_has_a_value() -> None:
    history = history_of(epoch(1, None))
    assert (history.best_epoch, history.best_value, dict(history.best_metrics)) == (0, None, {})


def test_the_time_of_a_repeated_epoch_counts_once() -> None:
    first, again = (Epoch("a", 1, {"time/epoch_s": seconds}) for seconds in (2.0, 3.0))
    assert history_of(first, again).seconds == 3.0


def test_a_trial_whose_end_was_not_written_reports_its_last_epoch_again() -> None:
    history = history_of(start(), epoch(1, 0.1), replace(epoch(2, 0.2), ending="max_epochs"))
    assert (history.epochs, history.safe_epoch) == (2, 1)


def test_an_end_says_state_reason_and_last_epoch() -> None:
    history = history_of(start(), epoch(1), epoch(2), ended("KILLED", "asha"))
    assert (history.state, history.status, history.reason, history.ended_after) == ("stopped", "KILLED", "asha", 2)


def test_a_start_takes_the_end_back() -> None:
    history = history_of(start(), ended("KILLED", "user"), start())
    assert (history.state, history.status, history.reason) == ("running", "", "")


@pytest.mark.parametrize(("event", "state"), [(Pause("a"), "paused"), (Retry("a"), "waiting")])
def test_a_pause_and_a_retry_change_the_state(event: TrialEvent, state: str) -> None:
    assert history_of(start(), epoch(1), event).state == state


def test_memory_failures_and_retries_are_counted_over_all_starts() -> None:
    short = ended("FAILED", "oom", **{"sweep.retries": "2"})
    history = history_of(start(), short, start(), short)
    assert (history.memory_failures, history.retries, history.is_settled(False)) == (2, 2, True)


def test_a_trial_that_this_sweep_starts_after_all_is_no_longer_reused() -> None:
    reused = replace(start(), tags={"sweep.reused_from": "smoke-0"})
    assert (history_of(reused).is_reused, history_of(reused, start()).is_reused) == (True, False)


def test_the_runs_of_a_sweep_are_its_trials_and_its_own() -> None:
    events = [start(""), start("a")]
    assert (list(read_runs(events)), list(read_histories(events))) == (["", "a"], ["a"])


@pytest.mark.parametrize("damage", [{"val/miou": "high"}, {"val/miou": [1]}, {"val/miou": True}])
def test_a_value_that_is_no_number_is_none(damage: dict[str, Any]) -> None:
    assert history_of(epoch(1, 0.5), replace(epoch(2), metrics=damage)).usable() == {1: 0.5}


def test_a_number_of_retries_that_is_none_changes_nothing() -> None:
    assert history_of(replace(start(), tags={"sweep.retries": "many"})).retries == 0
