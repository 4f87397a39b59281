"""Which images are shown."""

from dataclasses import replace

import numpy as np

from bddseg.evidence import Evidence
from bddseg.task import FIVE_CLASSES, Task
from sweeps.execution.predictions import APART, WORST, ChosenImage, choose_images, fixed_images

NAMES = [f"image-{number:02d}" for number in range(20)]
SCENES = ["city street", "highway"] * 10


def shown(names: list[str] = NAMES, scenes: list[str] = SCENES, task: Task = FIVE_CLASSES) -> Evidence:
    counts = np.ones((len(names), 5, 5), dtype=np.int64)
    return Evidence("val", 1, tuple(names), {"scene": tuple(scenes)}, counts, counts[:, 0], "f" * 16, task)


def kinds(picks: list[ChosenImage], kind: str) -> list[int]:
    return [pick.index for pick in picks if pick.kind == kind]


def test_three_city_images_and_three_others_are_fixed() -> None:
    chosen = fixed_images(shown())
    assert [SCENES[position] for position in chosen] == ["city street"] * 3 + ["highway"] * 3


def test_the_fixed_images_do_not_depend_on_order() -> None:
    forwards = {NAMES[position] for position in fixed_images(shown())}
    backwards = {NAMES[::-1][position] for position in fixed_images(shown(NAMES[::-1], SCENES[::-1]))}
    assert forwards == backwards


def test_more_images_leave_the_fixed_ones_or_replace_them_by_hash_alone() -> None:
    few = {NAMES[position] for position in fixed_images(shown())}
    more = {NAMES[position] for position in fixed_images(shown(NAMES[:19], SCENES[:19]))}
    assert few - more <= {NAMES[19]}


def test_images_without_a_scene_are_no_city_images() -> None:
    assert len(fixed_images(shown(NAMES, [""] * 20))) == 3


def test_without_groups_six_images_are_fixed() -> None:
    assert len(fixed_images(shown(task=replace(FIVE_CLASSES, attribute="", groups=())))) == 6


def test_the_largest_differences_are_shown_both_ways() -> None:
    leader, other = np.full(20, 0.5), np.full(20, 0.5)
    other[[3, 7, 9]] = 0.1, 0.2, 0.3  # the leader is ahead
    other[[4, 8]] = 0.9, 0.8
    picks = choose_images(shown(), {"a": leader, "b": other})
    assert kinds(picks, "ahead") == [3, 7] and kinds(picks, "behind") == [4, 8] and APART == 2
    assert {pick.against for pick in picks if pick.kind in ("ahead", "behind")} == {"b"}


def test_trials_that_agree_have_no_differences_to_show() -> None:
    same = np.linspace(0, 1, 20)
    picks = choose_images(shown(), {"a": same, "b": same})
    assert not kinds(picks, "ahead") and not kinds(picks, "behind")


def test_the_ten_worst_of_the_leader_come_worst_first() -> None:
    picks = choose_images(shown(), {"a": np.linspace(1, 0, 20)})
    assert kinds(picks, "worst") == list(range(19, 19 - WORST, -1))


def test_an_image_on_which_nothing_is_judged_is_neither_worst_nor_different() -> None:
    leader, other = np.linspace(0.1, 1, 20), np.linspace(0.1, 1, 20)
    leader[0] = np.nan
    picks = choose_images(shown(), {"a": leader, "b": other})
    assert 0 not in kinds(picks, "worst") and not kinds(picks, "behind")
