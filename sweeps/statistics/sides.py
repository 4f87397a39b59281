"""Words for the groups of images that are compared, and for the attributes of images."""

from collections.abc import Iterable
from dataclasses import dataclass

from bddseg.task import FIVE_CLASSES, Contrast, Task
from sweeps.formatting import group_title

ATTRIBUTE_WORDS = {"timeofday": "time of day"}


@dataclass(frozen=True)
class Sides:
    """How sentences name the two sides of a comparison, the first one first in every difference."""

    first: str
    """In front of a noun: `city`."""
    second: str
    title: str
    on_first: str
    """After `on`: `city streets`."""
    on_second: str
    others: str
    """All images of the second side, after `less mIoU on`."""
    the_others: str
    """The same where the first side was named in the same sentence."""

    @property
    def minus(self) -> str:
        """Return the name of the difference."""
        return f"{self.first} minus {self.second}"


CITY = Sides(
    first="city",
    second="non-city",
    title="City versus other scenes",
    on_first="city streets",
    on_second="other scenes",
    others="all others",
    the_others="the others",
)
"""The question of BDD100K's scenes."""


def name_sides(task: Task, contrast: Contrast) -> Sides:
    """Return the words for one of the comparisons of a task."""
    if (task.attribute, task.groups) == (FIVE_CLASSES.attribute, FIVE_CLASSES.groups):
        return CITY
    first, second = map(group_title, contrast.sides)
    others = "all other images" if contrast.is_against_rest else f"{second} images"
    return Sides(
        first=first,
        second=second,
        title=f"{capitalise(first)} versus {'all others' if contrast.is_against_rest else second}",
        on_first=f"{first} images",
        on_second=others,
        others=others,
        the_others=others,
    )


def sides_of(task: Task) -> tuple[Sides, ...]:
    """Return the words for every comparison of a task."""
    return tuple(name_sides(task, contrast) for contrast in task.contrasts)


def attribute_word(name: str) -> str:
    """Return an attribute as words: `timeofday` is the time of day."""
    return ATTRIBUTE_WORDS.get(name, group_title(name))


def join_words(words: Iterable[str]) -> str:
    """Return words joined as in a sentence: `scene, weather and time of day`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def capitalise(text: str) -> str:
    """Return a text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
