"""The split: sizes, whole drives, balanced scene groups, and independence of the order of input."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from bddseg.config import DataSettings
from bddseg.data.drives import count_neighbours, drive_of, unit_of
from bddseg.data.split import (
    LEAK_WARNING,
    REMEDY,
    Split,
    apportion,
    fold_split,
    split_marks,
    split_of,
    split_samples,
)
from bddseg.data.strata import Stratum
from bddseg.errors import ConfigError, DataError

CITY, HIGHWAY = ("city",), ("non_city",)
"""Strata: the groups of a city street and of a highway."""


def frame_names(count: int) -> list[str]:
    return [f"frame_{index:05d}" for index in range(count)]


def drive_names(drives: int, images: int) -> list[str]:
    return [f"{drive * 7919:08x}-{image * 104729:08x}" for drive in range(drives) for image in range(images)]


def scenes_for(names: Sequence[str], city: float) -> list[Stratum]:
    dice = random.Random(5)
    return [CITY if dice.random() < city else HIGHWAY for _ in names]


def sizes(split: Split) -> tuple[int, int, int]:
    return len(split.train), len(split.val), len(split.test)


def groups(part: Sequence[int], scenes: Sequence[Stratum]) -> Counter[str]:
    return Counter(scenes[index][0] for index in part)


def by_name(split: Split, names: Sequence[str]) -> list[set[str]]:
    return [{names[index] for index in part} for part in (split.train, split.val, split.test)]


@pytest.mark.parametrize(
    ("name", "drive"),
    [
        ("0004a4c0-d4dff0ad", "0004a4c0"),
        ("b1c66a42-6f7d68ca-0000001", "b1c66a42"),
        ("0001TP_006690", None),
        ("0004a4c0", None),
        ("0004a4c0-d4dff0a", None),
        ("0004a4c0-d4dff0ad1", None),
        ("x0004a4c0-d4dff0ad", None),
    ],
)
def test_the_drive_is_the_first_block_of_a_name(name: str, drive: str | None) -> None:
    assert drive_of(name) == drive


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [(10, [1, 1], [5, 5]), (12, [7, 2, 1], [8, 3, 1]), (3, [5, 5], [1, 2]), (0, [0, 0], [0, 0]), (7, [7, 0], [7, 0])],
)
def test_shares_are_whole_and_sum_to_the_total(total: int, weights: list[int], shares: list[int]) -> None:
    assert apportion(total, weights) == shares


def test_440_frames_split_into_exactly_308_88_44() -> None:
    names = frame_names(440)
    split = split_samples(names, scenes_for(names, 0.78))
    assert sizes(split) == (308, 88, 44)
    assert sorted(split.train + split.val + split.test) == list(range(440))


@pytest.mark.parametrize("count", range(5, 60, 7))
@pytest.mark.parametrize("fractions", [(0.2, 0.1), (0.15, 0.15), (0.3, 0.3)])
def test_frames_are_used_once_and_totals_are_within_one(count: int, fractions: tuple[float, float]) -> None:
    names = frame_names(count)
    split = split_samples(names, scenes_for(names, 0.6), val_fraction=fractions[0], test_fraction=fractions[1])
    assert sorted(split.train + split.val + split.test) == list(range(count))
    assert abs(len(split.val) - count * fractions[0]) < 1
    assert abs(len(split.test) - count * fractions[1]) < 1


def test_every_part_of_frames_has_its_share_of_each_scene_group() -> None:
    scenes = [CITY] * 60 + [HIGHWAY] * 40
    split = split_samples(frame_names(100), scenes)
    counts = [groups(part, scenes) for part in (split.train, split.val, split.test)]
    assert counts == [{"city": 42, "non_city": 28}, {"city": 12, "non_city": 8}, {"city": 6, "non_city": 4}]


def test_names_without_drives_are_split_with_a_warning() -> None:
    split = split_samples(frame_names(20), [CITY] * 20)
    assert not split.by_drive
    assert split.warning.startswith(LEAK_WARNING) and split.warning.endswith(REMEDY)


def test_validation_frames_beside_training_ones_are_counted() -> None:
    names = ["a_1", "a_2", "a_3", "a_10", "b_4", "b_5"]
    assert count_neighbours(names, [1, 5], [0, 2]) == 1  # a_2 lies between a_1 and a_3; b_5 has nobody beside it
    assert count_neighbours(names, [3], [2, 4]) == 1  # a_10 follows a_3, as numbers go
    assert count_neighbours(names, [0, 1, 2], [4, 5]) == 0


def test_a_split_frame_by_frame_says_how_many_frames_leak() -> None:
    names = frame_names(20)
    split = split_samples(names, [CITY] * 20)
    leaks = count_neighbours(names, split.val, split.train)
    assert leaks and f"; {leaks} of 4 validation images have their neighbour in training; " in split.warning


def test_a_pattern_tells_the_drive_of_other_names() -> None:
    names = [f"clip{clip}_{frame:03d}" for clip in range(10) for frame in range(4)]
    split = split_samples(names, [CITY] * 40, drive_pattern=r"(clip\d+)_")
    parts = [{drive_of(name, r"(clip\d+)_") for name in part} for part in by_name(split, names)]
    assert (split.by_drive, split.warning, sum(map(len, parts))) == (True, "", 10)


def test_a_pattern_without_a_group_is_the_drive_as_a_whole() -> None:
    assert (drive_of("clip12_004", r"clip\d+"), drive_of("photo", r"clip\d+")) == ("clip12", None)


def test_a_pattern_that_matches_no_name_is_refused_with_names() -> None:
    with pytest.raises(
        DataError, match=r"data.drive_pattern 'x' finds a drive at the beginning of no name: frame_00000, "
    ):
        split_samples(frame_names(8), [CITY] * 8, drive_pattern="x")


def test_a_pattern_that_finds_one_drive_in_all_names_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"'\(f\)' finds the same drive, 'f', in all 8 names, but must tell drives apart"
    ):
        split_samples(frame_names(8), [CITY] * 8, drive_pattern="(f)")


def test_another_cut_deals_folds_another_way() -> None:
    names = drive_names(20, 3)
    scenes = [CITY] * 60
    split = split_samples(names, scenes)
    first, other = (fold_split(split, names, scenes, folds=5, fold=0, cut=cut) for cut in (0, 1))
    assert first.val != other.val and (first.test, len(first.val)) == (other.test, len(other.val))


def test_one_name_without_a_drive_leaves_the_drives_of_the_others_whole() -> None:
    names = [*drive_names(10, 4), "photo"]
    split = split_samples(names, scenes_for(names, 0.6))
    parts = [{drive_of(name) for name in part} - {None} for part in by_name(split, names)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 10
    assert split.by_drive and split.warning == (
        "1 of 41 names carries no drive (photo): each counts as a drive of its own, so neighbouring frames among them "
        f"may be in different parts and scores can be too high; {REMEDY}"
    )


def test_many_names_without_a_drive_are_counted_and_three_are_named() -> None:
    names = [*drive_names(10, 2), *frame_names(20)]
    warning = split_samples(names, [CITY] * 40).warning
    assert warning.startswith("20 of 40 names carry no drive (frame_00000, frame_00001, frame_00002 and 17 more): each")


def test_a_name_like_a_drive_is_not_taken_for_one() -> None:
    names = [*drive_names(10, 4), drive_of(drive_names(10, 4)[8]) or ""]
    assert len({unit_of(name) for name in names}) == 11


def test_capitals_write_the_same_drives() -> None:
    names = [f"{0xA0000000 + drive:08x}-{image:08x}" for drive in range(10) for image in range(4)]
    mixed = [name.upper() if position % 2 else name for position, name in enumerate(names)]
    split = split_samples(mixed, [CITY] * 40)
    parts = [{drive_of(name) for name in part} for part in by_name(split, mixed)]
    assert (split.by_drive, split.warning, sum(map(len, parts))) == (True, "", 10)


def test_folds_keep_drives_whole_beside_names_without_one() -> None:
    names = [*drive_names(25, 4), "photo", "picture"]
    part = fold(names, scenes_for(names, 0.6), 1)
    assert not {unit_of(names[position]) for position in part.train} & {
        unit_of(names[position]) for position in part.val
    }


@pytest.mark.parametrize(
    ("names", "marks"),
    [(frame_names(4), 0), (drive_names(4, 2), 0), ([*drive_names(4, 2), "photo"], 1), (["0004A4C0-D4DFF0AD"], 1)],
)
def test_data_whose_split_changed_are_marked(names: list[str], marks: int) -> None:
    assert len(split_marks(names)) == marks


@pytest.mark.parametrize("seed", range(5))
def test_no_drive_is_in_two_parts(seed: int) -> None:
    names = drive_names(25, 4)
    split = split_samples(names, scenes_for(names, 0.6), seed=seed)
    train, val, test = ({drive_of(name) for name in part} for part in by_name(split, names))
    assert (split.by_drive, split.warning) == (True, "")
    assert not (train & val or train & test or val & test)
    assert len(train | val | test) == 25


def test_whole_drives_come_close_to_the_fractions() -> None:
    names = drive_names(60, 3) + drive_names(80, 7)[420:]
    split = split_samples(names, [CITY] * len(names))
    assert len(names) == 320
    assert [abs(size - goal) <= 3 for size, goal in zip(sizes(split), (224, 64, 32), strict=True)] == [True] * 3


def test_whole_drives_balance_scene_groups_though_each_has_one_scene() -> None:
    names = drive_names(40, 5)
    scenes = [CITY if int(drive_of(name) or "", 16) // 7919 < 24 else HIGHWAY for name in names]
    split = split_samples(names, scenes)
    shares = [groups(part, scenes)["city"] / len(part) for part in (split.train, split.val, split.test)]
    assert sizes(split) == (140, 40, 20)
    assert all(abs(share - 0.6) <= 0.16 for share in shares)


@pytest.mark.parametrize("seed", range(8))
def test_few_drives_of_uneven_size_still_meet_the_fractions(seed: int) -> None:
    lengths = [40, 20, 10, 10, 5, 5, 4, 3, 2, 1]
    names = [f"{drive:08x}-{image:08x}" for drive, length in enumerate(lengths) for image in range(length)]
    train, val, test = sizes(split_samples(names, [CITY] * 100, seed=seed))
    assert abs(train - 70) <= 2 and abs(val - 20) <= 2 and abs(test - 10) <= 2


def test_three_drives_fill_three_parts() -> None:
    assert sizes(split_samples(drive_names(3, 10), [CITY] * 30)) == (10, 10, 10)


@pytest.mark.parametrize("names", [frame_names(50), drive_names(10, 5)])
@pytest.mark.parametrize("max_images", [0, 20])
def test_the_order_of_input_does_not_matter(names: list[str], max_images: int) -> None:
    pairs = list(zip(names, scenes_for(names, 0.5), strict=True))
    first = split_samples(names, [scene for _, scene in pairs], max_images=max_images)
    random.Random(1).shuffle(pairs)
    shuffled, scenes = [name for name, _ in pairs], [scene for _, scene in pairs]
    second = split_samples(shuffled, scenes, max_images=max_images)
    assert by_name(first, names) == by_name(second, shuffled)
    assert all(list(part) == sorted(part) for part in (second.train, second.val, second.test))


@pytest.mark.parametrize("names", [frame_names(50), drive_names(10, 5)])
def test_the_seed_decides(names: list[str]) -> None:
    scenes = [CITY] * 50
    assert split_samples(names, scenes, seed=1) == split_samples(names, scenes, seed=1)
    assert len({split_samples(names, scenes, seed=seed).test for seed in range(6)}) > 1


@pytest.mark.parametrize("names", [frame_names(300), drive_names(60, 5), drive_names(300, 1), drive_names(12, 25)])
@pytest.mark.parametrize("seed", range(4))
def test_12_images_give_8_for_training_3_and_1(names: list[str], seed: int) -> None:
    split = split_samples(names, scenes_for(names, 0.6), seed=seed, max_images=12)
    assert sizes(split) == (8, 3, 1)


@pytest.mark.parametrize("names", [frame_names(12), drive_names(6, 2), drive_names(3, 4)])
def test_12_images_in_all_leave_no_part_empty(names: list[str]) -> None:
    train, val, test = sizes(split_samples(names, [CITY] * 12, max_images=12))
    assert train >= 4 and val >= 2 and test >= 1 and train + val + test == 12


@pytest.mark.parametrize("names", [frame_names(200), drive_names(40, 5)])
def test_fewer_images_never_move_between_parts(names: list[str]) -> None:
    scenes = scenes_for(names, 0.6)
    whole = by_name(split_samples(names, scenes), names)
    thin = by_name(split_samples(names, scenes, max_images=50), names)
    assert [len(part) for part in thin] == [35, 10, 5]
    assert all(small < large for small, large in zip(thin, whole, strict=True))


@pytest.mark.parametrize("names", [frame_names(200), drive_names(40, 5)])
def test_fewer_images_keep_the_shares_of_the_scene_groups(names: list[str]) -> None:
    scenes = scenes_for(names, 0.6)
    split = split_samples(names, scenes, max_images=50)
    thin = groups(split.train + split.val + split.test, scenes)
    assert abs(thin["city"] / 50 - groups(range(200), scenes)["city"] / 200) < 0.04


def test_more_max_images_than_images_take_all() -> None:
    names = frame_names(20)
    assert split_samples(names, [CITY] * 20, max_images=99) == split_samples(names, [CITY] * 20)


def test_a_small_part_leaves_its_share_to_the_others() -> None:
    names = [f"{0:08x}-{image:08x}" for image in range(90)] + drive_names(3, 5)[5:]
    split = split_samples(names, [CITY] * 100, max_images=60)
    assert sizes(split) == (50, 5, 5)


@pytest.mark.parametrize(
    ("names", "max_images", "message"),
    [
        (frame_names(4), 0, "the test part would be empty: 4 images at fractions train 0.7 / val 0.2 / test 0.1"),
        (frame_names(1), 0, "the val part would be empty: 1 images at fractions"),
        ([], 0, "the train part would be empty: 0 images"),
        (drive_names(2, 50), 0, "the test part would be empty: 100 images in 2 whole drives at fractions"),
        (frame_names(100), 3, "the test part would be empty: 100 images, max_images 3 at fractions"),
    ],
)
def test_an_empty_part_is_refused(names: list[str], max_images: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        split_samples(names, [CITY] * len(names), max_images=max_images)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_fraction": 0.0}, "val_fraction is 0.0, but must be > 0 and < 1"),
        ({"val_fraction": float("nan")}, "val_fraction is nan, but must be > 0 and < 1"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0, but must be > 0 and < 1"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "val_fraction \\+ test_fraction is 1.1, but must be < 1"),
        ({"max_images": -1}, "max_images is -1, but must be >= 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_samples(frame_names(20), [CITY] * 20, **settings)  # type: ignore[arg-type]


def test_frame_parts_are_the_ones_they_always_were() -> None:
    split = split_samples(frame_names(10), [CITY] * 6 + [HIGHWAY] * 4)
    assert (split.val, split.test) == ((1, 9), (3,))


def test_drive_parts_are_the_ones_they_always_were() -> None:
    split = split_samples(drive_names(10, 2), [CITY] * 12 + [HIGHWAY] * 8)
    assert (split.val, split.test) == ((0, 1, 14, 15), (8, 9))


# Folds


def fold(names: Sequence[str], scenes: Sequence[str], number: int, folds: int = 4) -> Split:
    return fold_split(split_samples(names, scenes), names, scenes, folds=folds, fold=number)


def test_every_image_of_train_and_val_is_in_exactly_one_fold() -> None:
    names = drive_names(25, 4)
    scenes = scenes_for(names, 0.6)
    whole = split_samples(names, scenes)
    parts = [fold(names, scenes, number) for number in range(4)]
    assert sorted(position for part in parts for position in part.val) == sorted(whole.train + whole.val)
    assert all(sorted(part.train + part.val) == sorted(whole.train + whole.val) for part in parts)


def test_the_test_part_is_in_no_fold() -> None:
    names = drive_names(25, 4)
    scenes = scenes_for(names, 0.6)
    test = split_samples(names, scenes).test
    for part in (fold(names, scenes, number) for number in range(4)):
        assert part.test == test and not set(test) & set(part.train + part.val)


def test_folds_keep_drives_whole() -> None:
    names = drive_names(25, 4)
    part = fold(names, scenes_for(names, 0.6), 1)
    assert not {drive_of(names[position]) for position in part.train} & {
        drive_of(names[position]) for position in part.val
    }


def test_folds_of_frames_share_out_each_scene_group() -> None:
    scenes = [CITY] * 60 + [HIGHWAY] * 40  # 90 in train and val: 54 and 36
    counts = [groups(fold(frame_names(100), scenes, number, 3).val, scenes) for number in range(3)]
    assert counts == [{"city": 18, "non_city": 12}] * 3


def test_folds_of_drives_are_balanced() -> None:
    names = drive_names(60, 3)
    scenes = scenes_for(names, 0.6)
    parts = [groups(fold(names, scenes, number).val, scenes) for number in range(4)]
    assert all(max(part[group] for part in parts) - min(part[group] for part in parts) <= 3 for group in parts[0])


def test_a_fold_does_not_depend_on_the_order_of_the_samples() -> None:
    names = drive_names(25, 4)
    scenes = dict(zip(names, scenes_for(names, 0.6), strict=True))
    other = random.Random(3).sample(names, len(names))
    first, second = (fold(order, [scenes[name] for name in order], 2) for order in (names, other))
    assert by_name(first, names) == by_name(second, other)


def test_without_folds_the_split_stays() -> None:
    split = split_samples(frame_names(20), [CITY] * 20)
    assert split_of(DataSettings(), split, frame_names(20), [CITY] * 20) is split


def test_settings_name_their_fold() -> None:
    names, scenes = frame_names(30), [CITY] * 30
    split = split_samples(names, scenes, seed=5)
    expected = fold_split(split, names, scenes, folds=3, fold=2, seed=5)
    assert split_of(DataSettings(folds=3, fold=2, split_seed=5), split, names, scenes) == expected


def test_one_fold_trains_on_train_and_validation_and_leaves_the_test_part() -> None:
    names, scenes = frame_names(30), [CITY] * 30
    split = split_samples(names, scenes)
    whole = split_of(DataSettings(folds=1), split, names, scenes)
    assert whole.train == tuple(sorted((*split.train, *split.val)))
    assert (whole.val, whole.test) == ((), split.test)


def test_fewer_drives_than_folds_are_refused() -> None:
    names = drive_names(5, 10)
    with pytest.raises(DataError, match=r"have \d drives \(with \d+ images\), too few for 5 folds"):
        fold(names, [CITY] * 50, 0, folds=5)


@pytest.mark.parametrize(("folds", "number"), [(1, 0), (3, 3), (3, -1)])
def test_a_fold_that_is_not_there_is_refused(folds: int, number: int) -> None:
    with pytest.raises(ConfigError, match=f"fold is {number} of {folds}, but must be"):
        fold(frame_names(30), [CITY] * 30, number, folds)


def test_few_drives_of_many_validation_images_are_named() -> None:
    names = [f"{drive:08x}-{image:08x}" for drive in range(5) for image in range(40)]
    assert (
        "validation images are of 1 drive: too few to say anything of other drives"
        in split_samples(names, [CITY] * 200).warning
    )


def test_a_pattern_that_makes_every_image_a_drive_is_named() -> None:
    names = [f"clip_{image:05d}" for image in range(40)]
    warning = split_samples(names, [CITY] * 40, drive_pattern="(.*)").warning
    assert warning.startswith("data.drive_pattern makes 40 drives of 40 images, and 7 of 8 validation images")
