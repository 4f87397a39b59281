"""The split: overlap, drives, near duplicates, proportions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from explorations import scene, survey_folder, survey_masks, write_pairs

from sweeps.exploration.sections.split import (
    MOST_PAIRS,
    build_section,
    compare_parts,
    find_duplicates,
    overlapping,
    shared_drives,
)
from sweeps.exploration.survey import Survey


def parted(survey: Survey, train: list[int], val: list[int], test: list[int]) -> Survey:
    parts = {"train": train, "val": val, "test": test}
    return replace(survey, parts={name: np.array(part, dtype=int) for name, part in parts.items()})


def test_drives_stay_whole_and_no_image_is_in_two_parts(tmp_path: Path) -> None:
    masks = {f"{chr(97 + number // 3)}_{number}": scene() for number in range(30)}
    survey = survey_folder(write_pairs(tmp_path, masks), drive="([a-z]+)_")
    assert (overlapping(survey), shared_drives(survey)) == (0, [])
    assert "share no image, no drive is in two parts" in build_section(survey).sentence


def test_an_image_in_two_parts_is_counted_and_raises_an_alarm(tmp_path: Path) -> None:
    survey = parted(survey_masks(tmp_path, [scene()] * 4), [0, 1], [1, 2], [3])
    assert overlapping(survey) == 1
    assert build_section(survey).is_alarm


def test_a_drive_in_two_parts_is_named(tmp_path: Path) -> None:
    survey = parted(survey_masks(tmp_path, [scene()] * 4, drive="([a-z]+)_"), [0, 1], [2], [3])
    assert shared_drives(survey) == ["a"]


def test_near_duplicates_are_found_across_parts_only(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 4)
    hashes = [0, 0b111, 0xFFFF_FFFF, 0b1]
    rows = tuple(replace(row, hash=value) for row, value in zip(survey.rows, hashes, strict=True))
    survey = parted(replace(survey, rows=rows), [0, 1], [2], [3])
    assert [(pair.first, pair.second, pair.bits) for pair in find_duplicates(survey).pairs] == [(0, 3, 1), (1, 3, 2)]


def test_a_copy_of_an_image_in_another_part_is_a_near_duplicate(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, {f"a_{number}": scene() for number in range(3)})
    (root / "images/a_2.png").write_bytes((root / "images/a_0.png").read_bytes())
    pairs = find_duplicates(parted(survey_folder(root), [0], [1], [2])).pairs
    assert [(pair.first, pair.second, pair.bits) for pair in pairs] == [(0, 2, 0)]


def test_of_images_that_all_look_alike_every_pair_is_counted_and_the_nearest_are_kept(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 2)
    rows = tuple(replace(survey.rows[0], hash=0b1 if number == 0 else 0) for number in range(60))
    rows = tuple(replace(row, name=f"a_{number:02}") for number, row in enumerate(rows))
    alike = find_duplicates(parted(replace(survey, rows=rows), list(range(40)), list(range(40, 60)), []))
    assert (alike.number, len(alike.positions), len(alike.pairs)) == (40 * 20, 60, 800)
    assert [pair.bits for pair in alike.pairs[-21:]] == [0] + [1] * 20


def test_more_pairs_than_are_kept_are_counted(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 2)
    rows = tuple(replace(survey.rows[0], name=f"a_{number:03}") for number in range(600))
    alike = find_duplicates(parted(replace(survey, rows=rows), list(range(500)), list(range(500, 600)), []))
    assert (alike.number, len(alike.pairs), len(alike.positions)) == (50_000, MOST_PAIRS, 600)


def test_a_class_that_one_part_alone_has_is_unequal(tmp_path: Path) -> None:
    survey = parted(survey_masks(tmp_path, [scene(car=number < 10) for number in range(20)]),
                    list(range(10)), list(range(10, 16)), list(range(16, 20)))  # fmt: skip
    assert compare_parts(survey)["images with car"].cramers_v == 1.0
    assert "parts differ in images with car" in build_section(survey).sentence


def test_a_folder_that_cannot_be_split_says_why(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()])
    assert survey.parts == {}
    assert build_section(survey).sentence.startswith("These images cannot be split: ")
