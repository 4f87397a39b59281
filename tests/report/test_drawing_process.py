"""Figures drawn by two processes are those that one draws, and a lost process costs nothing but time."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
from reports import make_report

from sweeps.report.drawing_process import DrawingProcess, open_drawing_process
from sweeps.report.figures import LIGHT, RenderedFigures
from sweeps.report.page import build_sections
from sweeps.report.rendering import TEMPLATES
from sweeps.report.section import Section
from sweeps.report.sections import importance

SHOWN = ("classes", "intervals", "scenes")


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return [section for section in build_sections(make_report()) if section.name in SHOWN]


@pytest.fixture(scope="module")
def press() -> Iterator[DrawingProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.report.drawing_process.usable_cores", lambda: 2)
        with open_drawing_process() as found:
            yield found


def test_two_processes_draw_what_one_draws(sections: list[Section], press: DrawingProcess) -> None:
    alone = DrawingProcess(None).draw(sections)
    assert sorted(alone) == sorted((it.name, name) for it in sections for name in it.drawings)
    assert press.draw(sections) == alone


def test_what_was_drawn_together_is_what_a_page_shows(sections: list[Section], press: DrawingProcess) -> None:
    figures = RenderedFigures(press, sections)
    assert figures.files(sections) == RenderedFigures().files(sections)


def test_a_process_that_is_lost_is_done_without(sections: list[Section]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.report.drawing_process.usable_cores", lambda: 2)
        with open_drawing_process() as press:
            assert press._pool is not None
            os.kill(press._pool.submit(os.getpid).result(), signal.SIGKILL)
            assert len(press.draw(sections)) == sum(len(section.drawings) for section in sections)


def test_one_core_draws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.report.drawing_process.usable_cores", lambda: 1)
    with open_drawing_process() as press:
        assert press._pool is None


def test_files_have_the_colours_of_the_page_s_light_paper() -> None:
    style = (TEMPLATES / "style.css").read_text().partition("@media")[0]
    assert dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style)).items() >= LIGHT.items()


def test_what_the_second_process_builds_is_what_this_one_would(press: DrawingProcess) -> None:
    report = make_report()
    mine, theirs = importance.build_section(report), press.begin(importance.build_section, report)()
    assert mine is not None
    assert theirs is not None
    assert (theirs.sentence, list(theirs.drawings)) == (mine.sentence, list(mine.drawings))
