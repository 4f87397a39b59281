"""Attributes of the images: how frequent their values are, what belongs together, and which gap can be told."""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from bddseg.task import Contrast
from bddseg.words import count
from sweeps.exploration.content import Column, Lines, Plot, Table, make_section
from sweeps.exploration.drawings import Bars, draw_bars
from sweeps.exploration.sections.classes import write_percent
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import Survey
from sweeps.formatting import group_title, write_chance
from sweeps.report.section import Drawing, Section
from sweeps.statistics.gap_power import smallest_gap, smallest_margin
from sweeps.statistics.hypothesis_tests import ALPHA, overlap
from sweeps.statistics.proportions import GoodnessOfFit, associate, fit_equal_frequencies
from sweeps.statistics.sides import capitalise
from sweeps.statistics.slices import DRIVES

MOST_VALUES = 30
"""An attribute with more values, such as a time stamp, is not tested."""

RUNS = 5
"""Runs of each finalist of a usual confirmation."""


def build_section(survey: Survey) -> Section | None:
    """Return counts and tests; None where no attribute has two values."""
    counts = dict(value_counts(survey))
    if not counts:
        return None
    fits = {name: fit for name, values in counts.items() if (fit := fit_equal_frequencies(list(values.values())))}
    drawings = {f"counts-{number}": _bars(name, values) for number, (name, values) in enumerate(counts.items())}
    plots = [
        Plot(
            f"counts-{number}",
            f"Images by {title_of(name)}",
            _describe(fits[name]) if name in fits else "",
            is_half=True,
        )
        for number, name in enumerate(counts)
    ]
    groups = _groups(survey)
    return make_section(
        "attributes",
        "Scenes, weather and time of day" if {"scene", "weather"} <= set(counts) else "Attributes",
        _sentence(survey, counts, fits),
        [
            *plots,
            _table(counts, fits),
            _associations(survey, counts),
            groups,
            Lines((_say_groups(survey),)) if groups else None,
        ],
        numbers={"fit": {name: vars(fit) for name, fit in fits.items()}},
        drawings=drawings,
    )


def value_counts(survey: Survey) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each attribute with 2 to MOST_VALUES values, and the images of each value, the most frequent first."""
    for attribute, values in survey.attributes.items():
        counts = dict(Counter(value for value in values if value).most_common())
        if 2 <= len(counts) <= MOST_VALUES:
            yield attribute, counts


def _sentence(survey: Survey, counts: dict[str, dict[str, int]], fits: dict[str, GoodnessOfFit]) -> str:
    attribute = survey.task.attribute if survey.task.attribute in counts else next(iter(counts))
    values, fit = counts[attribute], fits[attribute]
    first, images = next(iter(values.items()))
    total = sum(values.values())
    return (
        f"{capitalise(title_of(attribute))} is {first} in {write_percent(images / total)} of the images; its "
        f"{len(values)} values are {_frequencies(fit)} (Cohen's w {fit.cohens_w:.2f})."
    )


def _frequencies(fit: GoodnessOfFit) -> str:
    if fit.p >= 0.05:
        return "about equally frequent"
    return "far from equally frequent" if fit.cohens_w >= 0.5 else "not equally frequent"


def _describe(fit: GoodnessOfFit) -> str:
    return (
        f"Against equal frequencies: chi-square {fit.chi_square:.1f} with {fit.freedom} degrees of freedom, "
        f"p {write_chance(fit.p)}, Cohen's w {fit.cohens_w:.2f}, power {fit.power:.2f}."
    )


def _bars(name: str, values: dict[str, int]) -> Drawing:
    texts = tuple((f"{number:,}",) for number in values.values())
    numbers = np.array(list(values.values()), dtype=float)[:, None]
    return draw_bars(
        Bars(tuple(values), ("images",), numbers, texts, is_half=True), f"Bars: images by {title_of(name)}"
    )


def _table(counts: dict[str, dict[str, int]], fits: dict[str, GoodnessOfFit]) -> Table:
    rows = tuple(
        (title_of(name), value, number, number / sum(values.values()), fits[name].residuals[index], fits[name].z[index],
         fits[name].p_holm[index])
        for name, values in counts.items()
        for index, (value, number) in enumerate(values.items())
    )  # fmt: skip
    columns = (Column("attribute"), Column("value"), Column("images", "count"), Column("share", "exact_share"),
               Column("residual", "number"), Column("z", "number"), Column("p", "chance"))  # fmt: skip
    note = (
        "Residuals are standardised: count less expected count, by the square root of the expected one, if all values "
        "were equally frequent; z is the one-proportion test of a share, its p corrected for their number (Holm)."
    )
    return Table("values", "Counts and tests", columns, rows, note, is_folded=True)


def _associations(survey: Survey, counts: dict[str, dict[str, int]]) -> Table | None:
    """Return how strongly each attribute goes with the presence of each class."""
    rows = []
    for attribute, values in counts.items():
        array = np.array(survey.attributes[attribute])
        for index, name in enumerate(survey.classes):
            present = survey.has_class[:, index]
            table = np.array([[present[array == value].sum(), (~present[array == value]).sum()] for value in values])
            if result := associate(table):
                shares = table[:, 0] / np.maximum(table.sum(1), 1)
                often = list(values)[int(shares.argmax())]
                rows.append((title_of(attribute), name, result.cramers_v, result.p, often, float(shares.max())))
    rows.sort(key=lambda row: -row[2])
    columns = (Column("attribute"), Column("class"), Column("Cramér's V", "number"), Column("p", "chance"),
               Column("most often with"), Column("share of its images", "share"))  # fmt: skip
    note = (
        "Whether images of a value have the class: V runs from 0, independent, to 1. Images of one drive are alike, so "
        "p values are too small; they are not corrected for their number."
    )
    return Table("associations", "Attributes and classes", columns, tuple(rows), note, is_folded=True) if rows else None


def _groups(survey: Survey) -> Table | None:
    """Return images and drives of each group, and the smallest gap that a verdict can tell."""
    if not survey.task.groups:
        return None
    rows = []
    for contrast in survey.task.contrasts:
        for where, positions, share in _stages(survey):
            images, drives = count_sides(survey, contrast, positions)
            gap, margin = (tell(images, drives, share, _level(survey)) for tell in (smallest_gap, smallest_margin))
            rows.append((group_title(contrast.first), where, images[0], drives[0], images[1], drives[1], gap, margin))
    columns = (Column("group"), Column("verdict of"), Column("images", "count"), Column("drives", "count"),
               Column("images of the rest", "count"), Column("drives of the rest", "count"),
               Column("smallest gap, points", "points"), Column("smallest margin, points", "points"))  # fmt: skip
    note = (
        "Smallest gap: a true difference in mIoU that is found 4 times in 5. Smallest margin: within which a true gap "
        f"of 0 is shown to lie 4 times in 5. A group with fewer than {DRIVES} drives allows neither."
    )
    return Table("groups", "Groups", columns, tuple(rows), note)


def _level(survey: Survey) -> float:
    """Return the level of each comparison of groups, as the verdict has it."""
    return ALPHA / len(survey.task.contrasts)


def _stages(survey: Survey) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield what a verdict is about, its images, and the variance of the mean of its runs in runs."""
    if not survey.parts:
        yield "all images", np.arange(len(survey)), 1.0
        return
    yield "a screening (validation part)", survey.parts["val"], 1.0
    yield (
        f"a confirmation ({RUNS} folds)",
        np.concatenate([survey.parts["train"], survey.parts["val"]]),
        overlap(RUNS, RUNS),
    )


def count_sides(survey: Survey, contrast: Contrast, positions: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the images, and the known drives, of both sides of a comparison; images without a group are on neither."""
    sides = [positions[mask] for mask in contrast.masks(np.array(survey.groups)[positions])]
    drives = [len({survey.drives[index] for index in side} - {""}) for side in sides]
    return (len(sides[0]), len(sides[1])), (drives[0], drives[1])


def _say_groups(survey: Survey) -> str:
    contrast = survey.task.contrasts[0]
    *_, (where, positions, share) = _stages(survey)
    images, drives = count_sides(survey, contrast, positions)
    gap = smallest_gap(images, drives, share, _level(survey))
    if math.isfinite(gap):
        return (
            f"{where[0].upper()}{where[1:]} can tell a gap of {100 * gap:.1f} points between "
            f"{group_title(contrast.first)} and the rest."
        )
    if not any(survey.drives):
        return (
            "Names tell no drive, so the verdict will be cannot tell: say how they do with `drive` in the description."
        )
    return f"The verdict will be cannot tell: {count(min(drives), 'drive')} in the smaller group, {DRIVES} are needed."
