"""The parts of a folder, kept as the split."""

import re

import pytest

from bddseg.config import DataSettings
from bddseg.data.official_split import keep_parts
from bddseg.data.split import Split
from bddseg.errors import DataError

NAMES = [f"clip{number // 4}_{number:03}" for number in range(20)]
PARTS = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
STRATA = [("",)] * 20


def kept(parts: list[str] = PARTS, **settings: object) -> Split:
    return keep_parts(DataSettings(**settings), NAMES, STRATA, parts)  # type: ignore[arg-type]


def test_every_image_stays_in_its_part() -> None:
    split = kept()
    assert (split.train, split.val, split.test) == (tuple(range(12)), tuple(range(12, 16)), tuple(range(16, 20)))


def test_a_folder_without_a_test_part_has_no_test_set() -> None:
    split = kept(["train"] * 12 + ["val"] * 8)
    assert (len(split.train), len(split.val), split.test) == (12, 8, ())


def test_fewer_images_reduce_every_part() -> None:
    split = kept(max_images=10)
    assert (len(split.train), len(split.val), len(split.test)) == (6, 2, 2)
    assert set(split.train) < set(kept().train) and set(split.val) < set(kept().val)


def test_a_drive_in_two_parts_is_a_warning() -> None:
    assert kept(drive_pattern=r"(clip\d)_").warning == ""
    assert (
        "1 drives are in several official parts (clip2)"
        in kept(["train"] * 10 + ["val"] * 6 + ["test"] * 4, drive_pattern=r"(clip\d)_").warning
    )


def test_a_rule_that_finds_no_drive_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"data.drive_pattern 'x' finds a drive at the beginning of no name: clip0_000, "
    ):
        kept(drive_pattern="x")


def test_a_folder_of_one_drive_keeps_its_parts() -> None:
    assert len(kept(drive_pattern="(clip)").train) == 12


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (["train"] * 19 + [""], "1 of 20 images are in no folder of a part (train, val, test): clip4_019"),
        (["train"] * 20, "the folder has no val part"),
    ],
)
def test_a_folder_without_its_parts_is_refused(parts: list[str], why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        kept(parts)
