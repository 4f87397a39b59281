"""The page in a real browser: sorted, filtered, by keyboard, on a phone, in the dark, on paper; silent and alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import FOUND, MISSING, Tab, Wire, browser, open_page, resize
from pages import NoFigures
from repeats import with_replicates
from reports import FakeLedger, FakeStore, make_record, make_report

from sweeps.report.files import write_report
from sweeps.report.gather import gather_report
from sweeps.report.page import render_html

pytestmark = pytest.mark.skipif(FOUND is None, reason=MISSING)

NAMES = "[...document.querySelectorAll('.board tbody:not([hidden]) th')].map((it) => it.dataset.sort)"
BEST, NEXT = "cross_entropy lr=0.001", "cross_entropy lr=0.0005"
HEAD = "[...document.querySelectorAll('.board thead button')].find((it) => it.textContent.startsWith('{}'))"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_report(), tmp_path_factory.mktemp("page"))


@pytest.fixture
def tab(wire: Wire, page: Path) -> Tab:
    return open_page(wire, page)


def names(tab: Tab) -> list[str]:
    return list(tab.run(NAMES))


def test_the_page_is_silent_and_asks_for_nothing_but_itself(tab: Tab, page: Path) -> None:
    assert tab.faults() == []
    assert [url for url in tab.requests() if not url.startswith("data:")] == [page.as_uri()]


def test_the_best_trial_comes_first(tab: Tab) -> None:
    assert names(tab)[:2] == [BEST, NEXT]


def test_a_click_on_a_score_sorts_the_highest_first_and_a_second_one_the_lowest(tab: Tab) -> None:
    tab.run(f"{HEAD.format('val mIoU')}.click()")
    assert names(tab)[0] == BEST
    tab.run(f"{HEAD.format('val mIoU')}.click()")
    assert names(tab)[0] == "focal lr=0.0001"
    assert tab.run("document.querySelector('[aria-sort]').textContent").startswith("val mIoU")


def test_what_has_no_figure_is_last_either_way(tab: Tab) -> None:
    for _ in range(2):
        tab.run(f"{HEAD.format('val mIoU')}.click()")
        assert names(tab)[-1] == "focal lr=0.001"


def test_a_head_is_reached_and_pressed_by_keyboard(tab: Tab) -> None:
    tab.run(f"{HEAD.format('optim.lr')}.focus()")
    tab.press("Enter")
    assert names(tab)[0].endswith("lr=0.0001")
    assert tab.run("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"


def test_words_filter_the_rows_and_are_counted(tab: Tab) -> None:
    tab.run("document.querySelector('.filters input').focus()")
    tab.send("Input.insertText", text="focal 0.0005")
    assert names(tab) == ["focal lr=0.0005"]
    assert tab.run("document.querySelector('.filters output').value") == "1 of 8"


def test_a_setting_filters_the_rows_and_the_reset_brings_them_back(tab: Tab) -> None:
    select = "document.querySelector('select[data-key=\"loss.name\"]')"
    tab.run(f"{select}.value = 'focal'; {select}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    assert len(names(tab)) == 4
    tab.run("document.querySelector('.filters button').click(); new Promise((done) => setTimeout(done, 20))")
    assert len(names(tab)) == 8


def test_how_trials_ended_filters_too(tab: Tab) -> None:
    select = "document.querySelector('select[data-key=\"Ended\"]')"
    tab.run(f"{select}.value = 'stopped early'; {select}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    assert len(names(tab)) == 2


def test_of_many_trials_thirty_are_shown_at_first(wire: Wire, tmp_path: Path) -> None:
    rows = make_record().trials
    many = [
        replace(row, trial_id=f"{row.trial_id}-{n}", run_id=f"{n}{row.run_id}", settings={**row.settings, "n": n})
        for n in range(5)
        for row in rows
    ]
    path = tmp_path / "many.html"
    path.write_text(render_html(make_report(trials=tuple(many)), figures=NoFigures()))
    tab = open_page(wire, path)
    assert len(names(tab)) == 30
    tab.run("document.querySelector('.more button').click()")
    assert len(names(tab)) == 40


def test_seeds_stay_below_their_setting_however_the_leaderboard_is_sorted(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "seeds.html"
    report = gather_report(with_replicates(), FakeStore(), FakeLedger())
    path.write_text(render_html(report, figures=NoFigures()))
    tab = open_page(wire, path)
    tab.run(f"{HEAD.format('val mIoU')}.click(); {HEAD.format('val mIoU')}.click()")
    rows = tab.run(
        "[...document.querySelectorAll('.board')[0].rows].slice(1).map((it) => it.cells[1].innerText.trim())"
    )
    places = [place for place, words in enumerate(rows) if words.startswith("seed ")]
    assert places == [4, 5, 7, 8]
    assert ["2 seeds together" in rows[place] for place in (3, 6)] == [True, True]


def test_on_paper_the_verdict_is_on_the_first_page_and_the_leaderboard_on_one(tab: Tab) -> None:
    resize(tab, 703)  # the width of A4 less its margins, in CSS pixels
    tab.send("Emulation.setEmulatedMedia", media="print")
    boxes = [f"document.querySelector('{name}').getBoundingClientRect()" for name in (".verdict", ".leaderboard")]
    tall = 1032  # of A4 less its margins
    assert tab.run(f"{boxes[0]}.bottom") < tall
    assert tab.run(f"{boxes[1]}.height") < tall
    assert tab.run("getComputedStyle(document.querySelector('.filters')).display") == "none"


@pytest.mark.parametrize("width", [360, 400, 768, 1200])
def test_nothing_is_wider_than_the_screen(tab: Tab, width: int) -> None:
    resize(tab, width)
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_where_the_axes_do_not_fit_their_columns_are_hidden_and_still_filter(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page, 700)
    assert tab.run("document.querySelector('.board td.axis').checkVisibility()") is False
    select = "document.querySelector('select[data-key=\"loss.name\"]')"
    tab.run(f"{select}.value = 'focal'; {select}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    assert len(names(tab)) == 4


def test_a_tick_shows_the_hidden_columns_and_they_sort(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page, 700)
    tab.run("document.querySelector('[name=axes]').click()")
    assert tab.run("document.querySelector('.board td.axis').checkVisibility()") is True
    tab.run(f"{HEAD.format('optim.lr')}.click()")
    assert names(tab)[0].endswith("lr=0.0001")


def test_on_a_wide_screen_the_axes_have_columns(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page, 1500)
    assert tab.run("document.querySelector('.board td.axis').checkVisibility()") is True


def test_eight_trials_fit_into_a_window_of_1100_pixels(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page, 1100)
    board = "document.querySelector('.leaderboard .scroll')"
    assert tab.run(f"{board}.scrollWidth <= {board}.clientWidth") is True


def test_a_phone_gets_the_narrow_figures(tab: Tab) -> None:
    resize(tab, 400)
    shown = "[...document.querySelectorAll('.figure')].filter((it) => it.checkVisibility()).map((it) => it.className)"
    assert set(tab.run(shown)) == {"figure narrow"}


def test_dark_screens_get_dark_paper_and_light_ink(tab: Tab) -> None:
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    style = "getComputedStyle(document.body)"
    assert tab.run(f"{style}.backgroundColor") == "rgb(20, 23, 27)"
    assert tab.run(f"{style}.color") == "rgb(228, 231, 234)"


def test_on_paper_there_is_nothing_to_press_and_no_row_is_missing(tab: Tab) -> None:
    tab.send("Emulation.setEmulatedMedia", media="print")
    assert tab.run("document.querySelector('.filters').checkVisibility()") is False
    assert len(names(tab)) == 8


def test_every_control_has_a_name(tab: Tab) -> None:
    found = tab.run("[...document.querySelectorAll('button, input, select, summary')].filter((it) => !it.hidden)"
                    ".map((it) => (it.labels?.[0] ?? it).textContent.trim() || it.ariaLabel)")  # fmt: skip
    assert found
    assert all(found)
