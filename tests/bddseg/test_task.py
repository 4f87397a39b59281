"""The task of a sweep: groups, what is compared, and its record."""

from dataclasses import replace

import numpy as np

from bddseg.task import FIVE_CLASSES, Contrast, Group, Task, slug

THREE = Task(
    ("a", "b"), ((0, 0, 0), (9, 9, 9)), "time", (Group("day", ("d",)), Group("dusk", ("k", "w")), Group("x", ()))
)


def test_a_scene_that_no_group_names_is_in_the_rest() -> None:
    assert FIVE_CLASSES.groups_of(["city street", "moon", ""]) == ("city", "non_city", "non_city")


def test_without_a_rest_an_image_may_be_in_no_group() -> None:
    assert replace(THREE, groups=THREE.groups[:2]).groups_of(["k", "moon"]) == ("dusk", "")


def test_two_groups_are_compared_once() -> None:
    assert FIVE_CLASSES.contrasts == (Contrast("city", "non_city", ("non_city",)),)


def test_each_of_three_groups_is_compared_with_the_rest() -> None:
    sides = [(contrast.sides, contrast.against) for contrast in THREE.contrasts]
    assert sides[1] == (("dusk", "not_dusk"), ("day", "x")) and len(sides) == 3


def test_an_image_without_a_group_is_on_neither_side() -> None:
    first, second = THREE.contrasts[0].masks(np.asarray(["day", "dusk", "", "x"]))
    assert (first.tolist(), second.tolist()) == ([True, False, False, False], [False, True, False, True])


def test_without_groups_nothing_is_compared() -> None:
    task = Task(("a", "b"), ((0, 0, 0), (9, 9, 9)))
    assert task.contrasts == () and task.groups_of(["x"]) == ("",)


def test_a_task_comes_back_from_its_record() -> None:
    task = replace(THREE, values=(7, 3))
    assert Task.from_dict(task.to_dict()) == task


def test_colours_do_not_change_what_is_compared() -> None:
    assert replace(THREE, palette=((1, 1, 1), (2, 2, 2)), values=(1, 2)).compared() == THREE.compared()
    assert replace(THREE, classes=("b", "a")).compared() != THREE.compared()


def test_a_slug_has_lower_case_letters_of_any_language() -> None:
    assert [slug(text) for text in ("Traffic  light", "dawn/dusk", "non_city", "Tür", "車")] == [
        "traffic_light",
        "dawn_dusk",
        "non_city",
        "tür",
        "車",
    ]
