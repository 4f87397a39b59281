"""Looks at a confirmation under way: who is still in question, and when no round follows."""

from dataclasses import replace

from benchmarks.simulated_evidence import World
from sweeps.execution.interim_analysis import look
from sweeps.statistics.results import Finalist
from sweeps.statistics.rounds import Rounds

QUIET = World(drives=12, run_sd=0.002)
ROUNDS = Rounds()


def finalists(leads: list[float], runs: int) -> list[Finalist]:
    return QUIET.confirmation([QUIET.skill_for(lead) if lead else 0.0 for lead in leads], 3, runs)


def test_a_large_lead_ends_the_confirmation() -> None:
    seen = look(finalists([0.2, 0.0, 0.0], 3), ROUNDS)
    assert (seen.ending, seen.remaining, seen.runs) == ("decided", ("trial0",), 3)


def test_who_is_excluded_gets_no_further_run() -> None:
    seen = look(finalists([0.2, 0.2, 0.0], 3), ROUNDS)
    assert (seen.ending, set(seen.remaining)) == ("", {"trial0", "trial1"})


def test_equals_are_compared_until_no_more_runs_are_left() -> None:
    assert look(finalists([0.0, 0.0], 3), ROUNDS).ending == ""
    assert look(finalists([0.0, 0.0], 3), replace(ROUNDS, most=3)).ending == "runs"


def test_a_difference_that_surely_does_not_matter_is_decided() -> None:
    assert look(finalists([0.0, 0.0], 3), replace(ROUNDS, margin=0.5)).ending == "close"


def test_a_look_is_said_in_words() -> None:
    names = {"trial0": "a", "trial1": "b", "trial2": "c"}
    assert look(finalists([0.2, 0.0, 0.0], 3), ROUNDS).sentence(names) == "decided after 3 runs of each: a"
    assert look(finalists([0.0, 0.0], 2), ROUNDS).sentence(names) == (
        "after 2 runs of each: 2 are not told apart; another run of each"
    )
