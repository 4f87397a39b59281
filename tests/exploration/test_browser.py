"""The page in a real browser: silent, alone, and as wide as the screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import FOUND, MISSING, Wire, browser, open_page
from explorations import scene, survey_folder, write_pairs

from sweeps.exploration.faults import find_faults
from sweeps.exploration.page import write_page

pytestmark = pytest.mark.skipif(FOUND is None, reason=MISSING)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    masks = {f"{chr(97 + number)}_a_long_name_{number}": scene(car=number % 3 == 0) for number in range(24)}
    survey = survey_folder(write_pairs(root, masks), drive="([a-z]+)_")
    return write_page(survey, find_faults(survey), tmp_path_factory.mktemp("out"))


def test_the_page_is_silent_and_asks_for_nothing_but_itself(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page)
    assert tab.faults() == []
    assert [url for url in tab.requests() if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_screen(wire: Wire, page: Path, width: int) -> None:
    tab = open_page(wire, page, width=width)
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_a_count_leads_to_a_picture_with_both_classes(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page)
    tab.run("document.querySelector('.matrix td a').click()")
    assert tab.run("document.querySelector('.pair-of-pictures:target img').alt").startswith("Photograph ")


def test_every_picture_is_decoded(wire: Wire, page: Path) -> None:
    tab = open_page(wire, page)
    tab.run("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager' })")
    script = "Promise.all([...document.images].map((image) => image.decode().then(() => image.naturalWidth)))"
    widths = tab.run(script)
    assert len(widths) > 20
    assert min(widths) > 0
