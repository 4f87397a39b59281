"""Page, Markdown and CSV of a confirmation: two scores that are told apart, and no column that says nothing."""

import csv
import io
from dataclasses import replace
from statistics import fmean

import pytest
from decisions import confirmation, finalists, of_folds, runs_of
from pages import NoFigures, Page
from reports import FakeLedger, make_record

from sweeps.report.formats import render_csv
from sweeps.report.gather import Report, gather_report
from sweeps.report.next_step import next_step
from sweeps.report.page import render_html, render_markdown
from sweeps.statistics.results import SampleSizeNeeded


@pytest.fixture(scope="module")
def confirmed() -> Report:
    rows = tuple(run for finalist in finalists() for run in runs_of(finalist))
    return gather_report(confirmation(*rows), of_folds(rows), FakeLedger(), screening=make_record())


def test_the_mean_of_the_runs_stands_beside_the_score_of_all_images_together(confirmed: Report) -> None:
    assert confirmed.verdict is not None
    mean = fmean(confirmed.verdict.rivals[0].run_scores)
    words = f"36 validation images, 3 runs together; mean of the runs {mean:.3f}"
    assert words in Page(render_html(confirmed, figures=NoFigures())).text
    assert words in render_markdown(confirmed)


def test_an_undecided_confirmation_says_with_how_many_runs_to_go_on(confirmed: Report) -> None:
    assert confirmed.verdict is not None
    needed = SampleSizeNeeded(detectable=0.05, lead=0.03, finalists=2, runs=12)
    facts = {**confirmed.facts, "command": "python tune_main.py --confirm grid-1 --top 2 --runs 3"}
    undecided = replace(confirmed, facts=facts, verdict=replace(confirmed.verdict, outcome="undecided", needed=needed))
    words, command = next_step(undecided)
    assert words == "12 runs of each finalist instead of 3 would decide:"
    assert command == "python tune_main.py --top 2 --confirm grid-1 --runs 12"


def test_a_confirmation_in_rounds_that_its_budget_ended_goes_on_until_it_is_decided(confirmed: Report) -> None:
    assert confirmed.verdict is not None
    facts = {**confirmed.facts, "confirmation": {"screening": "grid-1", "rounds": {"most": 30}}}
    verdict = replace(confirmed.verdict, outcome="undecided", needed=SampleSizeNeeded(0.05, 0.03, 2, 40))
    command = "python tune_main.py --confirm grid-1 --until-decided"
    assert next_step(replace(confirmed, facts=facts, verdict=verdict))[1] == command
    words, command = next_step(replace(confirmed, facts=facts, verdict=replace(verdict, runs=30)))
    assert (words.startswith("The confirmation ended after 30 runs of each finalist"), command) == (True, "")


def ended(confirmed: Report, ending: str, runs: int) -> tuple[str, str]:
    """Return what comes after rounds that decided nothing."""
    assert confirmed.verdict is not None
    looks = [{"runs": 2, "ending": ""}, {"runs": runs, "ending": ending}]
    rounds = {"folds": 10, "most": 30, "alpha": 0.0, "margin": 0.005, "hours": 0.25}
    command = "python tune_main.py --storage /s --confirm grid-1 --until-decided --budget 0.25"
    confirmation = {"screening": "grid-1", "rounds": rounds, "looks": looks}
    verdict = replace(confirmed.verdict, outcome="undecided", runs=runs, needed=SampleSizeNeeded(0.05, 0.03, 2, None))
    facts = {**confirmed.facts, "command": command, "confirmation": confirmation}
    return next_step(replace(confirmed, facts=facts, verdict=verdict))


def test_rounds_that_their_budget_ended_go_on_with_a_larger_one(confirmed: Report) -> None:
    words, command = ended(confirmed, "budget", 3)
    assert words.startswith("The budget of 0.25 h ended the confirmation after 3 runs of each finalist.")
    assert command == "python tune_main.py --storage /s --confirm grid-1 --until-decided --budget 0.5"


def test_rounds_that_ended_at_their_most_runs_say_so_and_have_no_command(confirmed: Report) -> None:
    words, command = ended(confirmed, "runs", 30)
    assert words.startswith("The confirmation ended after 30 runs of each finalist, the maximum")
    assert command == ""


def test_a_confirmation_that_was_interrupted_is_resumed_without_the_options_of_a_new_one(confirmed: Report) -> None:
    facts = {**confirmed.facts, "command": "python tune_main.py --storage /s --confirm grid-1 --top 2"}
    command = next_step(replace(confirmed, facts=facts, state="interrupted"))[1]
    assert command == "python tune_main.py --storage /s --resume confirm-1"


def test_runs_on_several_cuts_of_the_images_say_on_which(confirmed: Report) -> None:
    trials = tuple(replace(run, settings={**run.settings, "data.cut": n}) for n, run in enumerate(confirmed.trials))
    cut = replace(confirmed, trials=trials, varying=(*confirmed.varying, "data.cut"))
    assert "Run Cut Fold Seed" in Page(render_html(cut, figures=NoFigures())).text
    assert "Run Fold Seed" in Page(render_html(confirmed, figures=NoFigures())).text


def test_in_csv_finalists_have_ranks_and_runs_have_none(confirmed: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv([confirmed]))))
    assert [(row["kind"], row["rank"]) for row in rows] == [("finalist", "1"), ("finalist", "2"), *[("run", "")] * 6]


def test_markdown_has_no_column_for_what_only_runs_differ_in(confirmed: Report) -> None:
    text = render_markdown(confirmed)
    assert "train.seed |" not in text
    assert "&#39;" not in text
