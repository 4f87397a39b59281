"""Words for groups and attributes."""

from dataclasses import replace

from bddseg.task import FIVE_CLASSES, Group
from sweeps.statistics.sides import attribute_word, join_words, sides_of

THREE = tuple(Group(name, (name,)) for name in ("day", "dusk", "late_night"))


def test_the_scenes_of_bdd100k_keep_their_words() -> None:
    (sides,) = sides_of(FIVE_CLASSES)
    assert (sides.title, sides.minus) == ("City versus other scenes", "city minus non-city")


def test_two_other_groups_are_named_after_themselves() -> None:
    (sides,) = sides_of(replace(FIVE_CLASSES, attribute="time", groups=THREE[:2]))
    assert (sides.title, sides.on_first, sides.on_second) == ("Day versus dusk", "day images", "dusk images")


def test_each_of_three_groups_is_named_against_all_others() -> None:
    sides = sides_of(replace(FIVE_CLASSES, attribute="time", groups=THREE))
    assert [side.title for side in sides] == [f"{name} versus all others" for name in ("Day", "Dusk", "Late-night")]
    assert (sides[2].minus, sides[2].on_second) == ("late-night minus not-late-night", "all other images")


def test_attributes_are_words() -> None:
    assert join_words(map(attribute_word, ("scene", "weather", "timeofday"))) == "scene, weather and time of day"
    assert (join_words(["camera"]), attribute_word("camera_id")) == ("camera", "camera-id")
