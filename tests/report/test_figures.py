"""Figures as files have the same drawing and colours as the page."""

import re

import pytest
from reports import make_report

from sweeps.report.figures import LIGHT, RenderedFigures
from sweeps.report.page import build_sections
from sweeps.report.rendering import TEMPLATES
from sweeps.report.section import Section

SHOWN = ("classes", "scenes")


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return [section for section in build_sections(make_report()) if section.name in SHOWN]


def test_every_drawing_has_an_svg_and_a_png(sections: list[Section]) -> None:
    stems = [f"{section.name}-{name}" for section in sections for name in section.drawings]
    assert sorted(RenderedFigures().files(sections)) == sorted(
        f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")
    )


def test_the_same_report_gives_the_same_files(sections: list[Section]) -> None:
    assert RenderedFigures().files(sections) == RenderedFigures().files(sections)


def test_files_have_the_colours_of_the_page_s_light_paper() -> None:
    style = (TEMPLATES / "style.css").read_text().partition("@media")[0]
    assert dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style)).items() >= LIGHT.items()
