"""Images with their masks, chosen by a hash of their names; rare classes and values are among them."""

import hashlib
from collections.abc import Iterator

import numpy as np

from bddseg.words import count
from sweeps.exploration.content import Gallery, Legend, Pick, make_section
from sweeps.exploration.pictures import IGNORED_COLOUR
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import Survey
from sweeps.report.section import Section

FIXED = 6
"""Images that are chosen by their names alone."""

RARE_CLASS = 0.1
"""A class in a smaller share of the images is rare."""

RARE_VALUE = 0.05
"""A value of an attribute that a smaller share of the images has is rare."""

MOST_RARE = 10


def build_section(survey: Survey) -> Section:
    """Return samples of the folder."""
    order = rank(survey)
    fixed = tuple(Pick(position, describe(survey, position)) for position in order[:FIXED])
    rare = tuple(_rare(survey, order))[:MOST_RARE]
    reasons = f", and {count(len(rare), 'image')} with something rare" if rare else ""
    verb = "is" if len(fixed) == 1 else "are"
    return make_section(
        "samples",
        "Samples",
        f"{count(len(fixed), 'image')} {verb} chosen by a hash of the names, the same every time{reasons}.",
        [
            legend_of(survey),
            Gallery("By their names", fixed),
            Gallery("With rare classes or attributes", rare) if rare else None,
        ],
        numbers={"by_name": [survey.names[pick.position] for pick in fixed],
                 "rare": {survey.names[pick.position]: pick.caption for pick in rare}},
    )  # fmt: skip


def legend_of(survey: Survey) -> Legend:
    """Return the colours of the classes, and of ignored pixels."""
    return Legend((*zip(survey.classes, survey.colours, strict=True), ("ignored", f"rgb{IGNORED_COLOUR}")))


def rank(survey: Survey) -> list[int]:
    """Return the positions of all images in the order of a hash of their names."""
    return sorted(range(len(survey)), key=lambda position: _hash(survey.names[position]))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def describe(survey: Survey, position: int) -> str:
    """Return the value of the attribute whose groups are compared, or else all attributes of an image."""
    attribute = survey.task.attribute
    if attribute in survey.attributes:
        return survey.attributes[attribute][position]
    return ", ".join(filter(None, (values[position] for values in survey.attributes.values())))


def _rare(survey: Survey, order: list[int]) -> Iterator[Pick]:
    """Yield the first image of each rare class and of each rare value of an attribute, each image once."""
    shown = set(order[:FIXED])
    for reason, is_meant in (*_rare_classes(survey), *_rare_values(survey)):
        position = next((position for position in order if is_meant[position]), None)
        if position is not None and position not in shown:
            shown.add(position)
            yield Pick(position, reason)


def _rare_classes(survey: Survey) -> Iterator[tuple[str, np.ndarray]]:
    shares = survey.has_class.mean(0)
    for index in np.argsort(shares):
        if 0 < shares[index] < RARE_CLASS:
            yield f"with {survey.classes[index]}", survey.has_class[:, index]


def _rare_values(survey: Survey) -> Iterator[tuple[str, np.ndarray]]:
    for attribute, values in survey.attributes.items():
        array = np.array(values)
        for value in sorted(set(values) - {""}):
            if (array == value).mean() < RARE_VALUE:
                yield f"{title_of(attribute)}: {value}", array == value
