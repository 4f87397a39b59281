"""The sentences and files of a review."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bddseg.data.skip_list import read_skip_list
from bddseg.task import FIVE_CLASSES
from sweeps.errors import StorageError
from sweeps.review.files import check_skip, render_table, write_skip
from sweeps.review.page import describe_suspects, render_review
from sweeps.storage.suspects import RecordedSuspect, RecordedSuspects
from sweeps.storage.tiles import draw_panel


def make_suspect(
    name: str, score: float, *, is_missing: bool = True, reason: str = "road is missing"
) -> RecordedSuspect:
    fault: dict[str, Any] = {"label": "", "predicted": "road", "is_missing": is_missing}
    return RecordedSuspect(name, score, reason, (fault,), {"road": None, "sky": 0.25})


def make_review(*suspects: RecordedSuspect, images: int = 40) -> RecordedSuspects:
    bars, joint = {"road": 0.6, "sky": None}, ((0.5, 0.1), (0.0, 0.4))
    return RecordedSuspects("made-1", "f" * 16, "out of fold", images, images, ("a",), suspects, bars, joint)


def test_the_sentence_counts_masks_that_lack_a_class_among_the_most_suspect() -> None:
    review = make_review(make_suspect("a", 0.2), make_suspect("b", 0.1, is_missing=False), make_suspect("c", 0.1))
    assert describe_suspects(review) == (
        "Of the 2 most suspect images (5 % of 40), 1 probably lacks a whole class: road."
    )


def test_the_sentence_says_so_where_no_class_is_missing() -> None:
    review = make_review(*(make_suspect(name, 0.2, is_missing=False) for name in "ab"))
    assert describe_suspects(review) == "Of the 2 most suspect images (5 % of 40), none probably lacks a whole class."


@pytest.mark.parametrize(
    ("is_missing", "end"), [(True, "probably lacks a whole class: road."), (False, "lacks no whole class.")]
)
def test_the_sentence_speaks_of_a_single_image(is_missing: bool, end: str) -> None:
    review = make_review(make_suspect("a", 0.2, is_missing=is_missing), images=20)
    assert describe_suspects(review) == f"The most suspect image (5 % of 20) {end}"


def test_without_a_fault_no_label_is_suspect() -> None:
    assert describe_suspects(make_review()) == "No label of 40 images is suspect."


def test_the_page_shows_what_it_read_as_text() -> None:
    image, truth = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    strip = draw_panel(image, truth, [(truth, truth)], FIVE_CLASSES.palette)
    review = make_review(make_suspect("a<b>", 0.2, reason="<script>"))
    page = render_review(review, [strip], FIVE_CLASSES, "One model", ("20 images were not reviewed",), "")
    assert "a&lt;b&gt;" in page and "<script>" not in page.split("<main>")[1].split("</main>")[0]
    assert "20 images were not reviewed" in page and page.count("data:image/png") == 4


def test_the_table_has_every_image_and_an_empty_cell_without_a_label() -> None:
    rows = list(csv.reader(render_table(make_review(make_suspect("a", 0.2), make_suspect("b", 0.0))).splitlines()))
    assert rows[0] == ["rank", "name", "score", "reason", "loss/road", "loss/sky"]
    assert rows[2] == ["2", "b", "0.0", "road is missing", "", "0.25"]


@pytest.mark.parametrize("name", ["=a, b", "-1", "\t=a"])
def test_a_name_that_looks_like_a_formula_is_quoted_and_read_back_as_it_is(tmp_path: Path, name: str) -> None:
    write_skip(tmp_path / "skip.csv", [make_suspect(name, 0.2)])
    assert next(csv.DictReader((tmp_path / "skip.csv").open())) == {"name": f"'{name}", "reason": "road is missing"}
    assert read_skip_list(tmp_path / "skip.csv") == {name: "road is missing"}


def test_the_table_of_suspects_has_no_formula() -> None:
    rows = list(csv.reader(render_table(make_review(make_suspect("=HYPERLINK(1)", 0.2))).splitlines()))
    assert rows[1][1] == "'=HYPERLINK(1)"


def test_a_list_that_is_a_folder_is_refused_before_anything_is_predicted(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder, but must be a file"):
        check_skip(tmp_path)


def test_a_list_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"--write-skip .* cannot be written: Is a directory"):
        write_skip(tmp_path, [make_suspect("a", 0.2)])
