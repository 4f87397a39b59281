"""The sealed test part: for whom it is opened, and that every opening is recorded."""

from dataclasses import replace

from pages import NoFigures, Page
from reports import FakeLedger, FakeStore, make_record

from sweeps.report.gather import Report, gather_report
from sweeps.report.holdout import TAG, choose_trials, read_openings
from sweeps.report.page import render_html

WHEN = "2026-11-27T10:00:00+00:00"


def report_with(
    ledger: FakeLedger, store: FakeStore | None = None, *, made: str = WHEN, reveal: bool = False
) -> Report:
    record = replace(make_record(), tags=dict(ledger.tags))
    return gather_report(record, store or FakeStore(), ledger, made=made, reveal_all=reveal)


def test_an_opening_is_recorded_before_it_is_shown() -> None:
    ledger = FakeLedger()
    report = report_with(ledger)
    assert [key.startswith(TAG) for key in ledger.tags] == [True]
    opening = read_openings(ledger.tags)[0]
    assert (opening.when, opening.trials, opening.why) == (WHEN, 2, f"screening: {report.verdict.outcome}")  # type: ignore[union-attr]


def test_a_later_report_says_how_often_it_was_opened() -> None:
    ledger = FakeLedger()
    for hour in (10, 11, 12):
        report = report_with(ledger, made=f"2026-11-27T{hour}:00:00+00:00")
    assert len(ledger.tags) == 3
    text = Page(render_html(report, figures=NoFigures())).text
    assert "It was opened 3 times, first on 27 November 2026, 10:00 UTC, for at most 2 trials at a time." in text


def test_what_cannot_be_recorded_is_not_opened_and_that_is_said_loudly() -> None:
    store = FakeStore()
    report = report_with(FakeLedger(is_closed=True), store)
    assert "could NOT be recorded on the sweep (attempt to write a readonly database" in report.test.notes[0]
    assert (report.test.opened, report.test.openings) == ((), ())
    assert not any(asked.startswith("test of") for asked in store.asked)


def test_to_reveal_all_is_asked_for_recorded_and_marked() -> None:
    ledger = FakeLedger()
    report = report_with(ledger, reveal=True)
    assert len(report.test.opened) == 7
    assert read_openings(ledger.tags)[0].why == "--reveal-test all"
    html = render_html(report, figures=NoFigures())
    assert "The test set was opened for all trials" in Page(html).text
    assert "says alarm" in html


def test_of_a_tie_the_tied_are_opened_but_never_more_than_ten() -> None:
    verdict = report_with(FakeLedger()).verdict
    assert verdict is not None
    tied = tuple(f"t{n}" for n in range(20))
    tie = replace(verdict, outcome="tie", leader="t0", recommended="t15", tied=tied)
    assert choose_trials(tie, "r") == [*tied[:10], "t15", "r"]


def test_a_record_that_cannot_be_read_still_counts() -> None:
    assert len(read_openings({f"{TAG}1": "not json", f"{TAG}2": '{"trials": "x"}', "other": "{}"})) == 2


def test_a_sealed_report_shows_what_was_opened_before() -> None:
    ledger = FakeLedger()
    report_with(ledger)
    record = replace(make_record(), tags=dict(ledger.tags), status="RUNNING")
    report = gather_report(record, FakeStore(), ledger, made=WHEN)
    assert (report.test.opened, len(report.test.openings), len(ledger.tags)) == ((), 1, 1)
