"""Report -> epochs and time spent and saved, and what is said about the stops."""

from functools import partial

import pytest
from entries import make_entry, make_sweep
from svg import texts

from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.sections.cost import build_cost, build_section, draw_cost
from sweeps.report.theme import render_svg
from sweeps.schedulers.rungs import Stop
from sweeps.statistics.regret import weigh_stop

BUDGET = {"train.epochs": 10}


def full(name: str, score: float) -> Entry:
    return make_entry(name, score, {**BUDGET, "x": name})


def stopped(name: str, score: float) -> Entry:
    detail = Stop(2, score, 0.9, 3).sentence()
    settings = {**BUDGET, "x": name}
    return make_entry(name, score, settings, reason="asha", curve=((1, 0.0), (2, score)), stop_detail=detail)


def make_costly_sweep(runs: int = 7) -> Report:
    """Full runs of 10 epochs and 60 s, one stopped at 2 after 12 s, one that failed after 10; one never started."""
    entries = [full(f"f{n}", 0.5 + n / 100) for n in range(runs)]
    failed = make_entry("x", None, {**BUDGET, "x": "x"}, reason="oom")
    weighed = weigh_stop(0.4, 2, [[value for _, value in entry.curve] for entry in entries], 0.5 + (runs - 1) / 100)
    seen = {"s": weighed} if weighed else {}
    return make_sweep([*entries, stopped("s", 0.4), failed], ("x",), rungs=(2,), planned=runs + 3, hindsight=seen)


def test_epochs_are_counted_by_how_trials_ended() -> None:
    cost = build_cost(make_costly_sweep())
    found = [(share.how, share.trials, share.epochs, share.untrained) for share in cost.shares]
    assert found == [("completed", 7, 70, 0), ("stopped early", 1, 2, 8), ("failed", 1, 10, 0)]
    assert (cost.spent, cost.planned, cost.not_started) == (82, 100, 10)


def test_time_saved_is_by_the_trial_s_own_pace() -> None:
    share = build_cost(make_costly_sweep()).share("stopped early")
    assert share is not None
    assert (share.seconds, share.saved_seconds) == (12.0, 48.0)


def test_the_sentence_has_what_was_spent_and_saved() -> None:
    assert build_section(make_costly_sweep()).sentence == (
        "82 of 100 planned epochs were trained, in 8 min 12 s; stopping 1 trial early saved 8 epochs (8 %), about 48 s."
    )


def test_with_few_full_runs_the_page_says_that_it_cannot_know() -> None:
    said = build_section(make_costly_sweep(runs=3)).data["verdict"]
    assert said == ["The cost of early stopping is unknown: only 3 trials completed, and at least 6 are needed."]


def test_with_enough_full_runs_it_says_what_it_assumes() -> None:
    said = " ".join(build_section(make_costly_sweep()).data["verdict"])
    assert "If stopped trials had gained as much after their rung as a completed trial did" in said
    assert "1.0 of 1 would have passed the leader" in said and "an assumption" in said
    assert "they are harder to rank than all trials together" in said


def test_where_nothing_was_stopped_the_usual_rule_is_asked() -> None:
    report = make_sweep([full(f"f{n}", 0.5 + n / 100) for n in range(8)], ("x",))
    said = build_section(report).data["verdict"]
    assert said[0].startswith("Early stopping by ASHA with its default settings, replayed on the 8 trials")


def test_a_plateau_saves_epochs_that_early_stopping_does_not_count() -> None:
    short = make_entry("p", 0.5, {**BUDGET, "x": 1}, reason="plateau", curve=((1, 0.1), (2, 0.5)))
    cost = build_cost(make_sweep([short], ("x",)))
    assert [(share.how, share.untrained) for share in cost.shares] == [("stopped improving", 8)]


@pytest.mark.parametrize("reduction", [0, 1, "x", None, 2.5])
def test_a_reduction_that_was_garbled_is_the_usual_one(reduction: object) -> None:
    report = make_sweep([full(f"f{n}", 0.5) for n in range(8)], ("x",), facts={"scheduler": {"reduction": reduction}})
    assert build_cost(report).replayed is not None


@pytest.mark.parametrize("wide", [True, False])
def test_the_bar_names_its_parts_where_there_is_room(wide: bool) -> None:
    found = texts(render_svg(partial(draw_cost, build_cost(make_costly_sweep()), wide=wide), "cost", "words"))
    assert {"completed", "70"} <= set(found)
