"""What is drawn as a whole: drives, and blocks of neighbouring names where there are none."""

import pytest

from sweeps.statistics.units import BLOCKS, find_units


def frames(count: int, clip: str = "clip_") -> list[str]:
    return [f"{clip}{number:06d}" for number in range(count)]


def test_images_of_a_drive_are_one_unit() -> None:
    units = find_units(["0000000b-00000001", "0000000a-00000002", "0000000B-00000000"])
    assert units.labels == ("drive 0000000b", "drive 0000000a", "drive 0000000b")
    assert (units.drives, units.has_drive.all()) == (2, True)


def test_frames_without_a_drive_are_cut_into_blocks_of_neighbours() -> None:
    labels = find_units(frames(200)).labels
    assert len(set(labels)) == BLOCKS
    assert [len(set(labels[start : start + 20])) for start in range(0, 200, 20)] == [1] * BLOCKS


def test_numbers_are_put_in_order_as_numbers() -> None:
    names = [f"frame{number}" for number in range(20)]
    labels = find_units(names).labels
    assert labels[2] == labels[3] != labels[10]  # as texts 2 would follow 19


def test_a_block_never_crosses_two_clips() -> None:
    labels = find_units([*frames(15, "a_"), *frames(5, "b_")]).labels
    assert not set(labels[:15]) & set(labels[15:])


def test_every_clip_has_a_block() -> None:
    assert len(set(find_units([name for clip in range(30) for name in frames(4, f"{clip}_")]).labels)) == 30


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_images_are_units_of_their_own(count: int) -> None:
    assert len(set(find_units(frames(count)).labels)) == count


def test_one_name_without_a_drive_leaves_the_drives_of_the_others() -> None:
    units = find_units(["0000000b-00000001", "0000000b-00000002", "photo"])
    assert (units.drives, units.has_drive.tolist()) == (1, [True, True, False])
    assert len(set(units.labels)) == 2


def test_the_order_of_names_does_not_matter() -> None:
    names = frames(50)
    straight, turned = find_units(names).labels, find_units(names[::-1]).labels
    assert straight == turned[::-1]


def test_no_names_have_no_units() -> None:
    assert find_units([]).labels == ()
