"""The page, its tables and numbers: the same figures in each, everything in one file, nothing hostile gets through."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explorations import IGNORED, ROAD, scene, survey_folder, write_pairs
from pages import Page

from sweeps.exploration.faults import Fault, find_faults
from sweeps.exploration.page import build_sections, render_html, write_cell, write_page
from sweeps.report.figures import RenderedFigures

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    masks = {f"{chr(97 + number)}_{number}": scene(car=number % 3 == 0) for number in range(24)}
    masks["x_23"] = np.where(masks["x_23"] == ROAD, IGNORED, masks["x_23"]).astype(np.uint8)
    weather = {name: "rainy" if number % 2 else "clear" for number, name in enumerate(masks)}
    return write_pairs(root, masks, weather)


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    survey = survey_folder(
        folder,
        drive="([a-z]+)_",
        attributes={"file": "attributes.csv", "key": "name"},
        groups={"weather": {"dry": ["clear"], "wet": "rest"}},
    )
    path = tmp_path_factory.mktemp("out")
    write_page(survey, find_faults(survey), path)
    return path


def test_the_page_has_ten_sections_in_order(out: Path) -> None:
    names = [attributes["id"] for tag, attributes in Page((out / "index.html").read_text()).tags if tag == "section"]
    assert names == [
        "contents", "samples", "classes", "cooccurrence", "objects", "resolution", "colour", "attributes", "split",
        "faults",
    ]  # fmt: skip


def test_every_section_starts_with_its_sentence(out: Path) -> None:
    record = json.loads((out / "explore.json").read_text())
    page = Page((out / "index.html").read_text())
    assert all(section["sentence"] in page.text for section in record["sections"].values())


def test_csv_and_json_have_the_same_tables(out: Path) -> None:
    record = json.loads((out / "explore.json").read_text())
    tables = {name: rows for section in record["sections"].values() for name, rows in section["tables"].items()}
    files = {path.stem: list(csv.DictReader(path.open())) for path in (out / "tables").glob("*.csv")}
    assert set(files) == {*tables, "images"}
    for name, rows in tables.items():
        texts = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
        assert files[name] == texts


def test_every_image_has_a_row_with_the_shares_of_its_classes(out: Path) -> None:
    rows = list(csv.DictReader((out / "tables/images.csv").open()))
    assert len(rows) == 24
    assert [sum(float(row[name]) for name in ("sky", "road", "car", "ignored")) for row in rows] == [1.0] * 24


def test_faults_are_one_name_a_line_with_the_reason(out: Path) -> None:
    rows = list(csv.DictReader((out / "faults.csv").open()))
    assert [(row["name"], row["fault"]) for row in rows] == [("x_23", "class missing")]


def test_every_drawing_is_an_svg_and_a_png_file(out: Path) -> None:
    files = sorted(path.name for path in (out / "figures").iterdir())
    assert {name.removesuffix(".svg") for name in files if name.endswith(".svg")} == {
        name.removesuffix(".png") for name in files if name.endswith(".png")
    }
    assert "classes-maps.svg" in files


def test_the_page_asks_for_nothing_but_itself(out: Path) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', (out / "index.html").read_text())
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []


def test_a_hostile_name_is_text(folder: Path) -> None:
    survey = survey_folder(folder)
    hostile = replace(survey, rows=(*survey.rows[:-1], replace(survey.rows[-1])), split_note=HOSTILE)
    faults = [Fault("a_0", "one value", HOSTILE)]
    html = render_html(hostile, build_sections(hostile, faults), RenderedFigures())
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1234567, "count", "1,234,567"),
        (0.00034, "exact_share", "0.034 %"),
        (0.123, "exact_share", "12.3 %"),
        (0.0886, "points", "8.9"),
        (float("inf"), "points", "–"),
        (-1.5, "number", "−1.50"),
        (None, "text", ""),
    ],
)
def test_a_value_is_written_by_its_kind(value: object, kind: str, text: str) -> None:
    assert write_cell(value, kind) == text
