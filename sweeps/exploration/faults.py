"""Faults of a folder: pairs that cannot be used, and masks that are probably wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bddseg.data.drives import clip_of
from bddseg.task import IGNORE
from sweeps.exploration.measurement import GRID_PX
from sweeps.exploration.survey import Survey

ALMOST_ALL = 0.9
"""A class in this share of the images is missed where it is not; a size of this share is the usual one."""

LARGE = 0.05
"""A class is missed only where it usually covers this share of an image: a missing sign is no fault."""

FEW_IMAGES = 5
"""With fewer images nothing is usual."""

TOO_NOISY = 0.1
"""Share of a mask's labelled pixels that an opening removes, above which it is noise."""

DISAGREES, OUTLYING = 0.25, 6.0
"""A mask disagrees with its neighbours where this share of pixels differs from both, and more than the usual by so
many times the spread (median absolute deviation)."""

APART = 0.3
"""Distance of the mean heights of two classes, as a share of the image, from which one lies above the other."""

LEAST_SHARE = 0.01
"""Share of an image below which the height of a class says nothing."""

KINDS = {
    "unreadable": "files that cannot be read",
    "sizes differ": "masks of another size than their image",
    "unknown values": "masks with values that the description does not have",
    "one value": "masks of one value",
    "class missing": "masks without a class that almost all have",
    "disagrees": "masks that disagree with their neighbours in the drive",
    "upside down": "masks with classes in the wrong order of height",
    "noise": "masks of which an opening removes much",
    "unusual size": "images of an unusual size",
}
"""Kind of a fault -> what it is, in the order of the table."""


@dataclass(frozen=True)
class Fault:
    """One image with one fault."""

    name: str
    kind: str
    """One of KINDS."""
    reason: str


def find_faults(survey: Survey) -> tuple[Fault, ...]:
    """Return every fault, by kind and name; an image may have several."""
    faults = [Fault(damage.name, damage.kind, damage.reason) for damage in survey.damaged]
    faults += _one_value(survey)
    if len(survey) >= FEW_IMAGES:
        for find in (_class_missing, _disagreeing, _upside_down, _unusual_size):
            faults += find(survey)
    faults += _noise(survey)
    order = list(KINDS)
    return tuple(sorted(faults, key=lambda fault: (order.index(fault.kind), fault.name)))


def _one_value(survey: Survey) -> Iterator[Fault]:
    for row in survey.rows:
        if (row.pixels > 0).sum() == 1:
            owners = [*survey.classes, "ignored"]
            yield Fault(row.name, "one value", f"every pixel of the mask is {owners[int(row.pixels.argmax())]}")


def _class_missing(survey: Survey) -> Iterator[Fault]:
    shares, pixels = survey.has_class.mean(0), survey.arrays["pixels"]
    areas = pixels[:, :-1] / pixels.sum(1, keepdims=True)
    for index in np.flatnonzero((shares >= ALMOST_ALL) & (shares < 1)):
        name = survey.classes[index]
        if np.median(areas[survey.has_class[:, index], index]) < LARGE:
            continue
        for position in np.flatnonzero(~survey.has_class[:, index]):
            yield Fault(
                survey.names[position], "class missing", f"no {name}, which {shares[index]:.1%} of the images have"
            )


def _noise(survey: Survey) -> Iterator[Fault]:
    labelled = survey.arrays["pixels"][:, :-1].sum(1)
    removed = survey.arrays["opened_px"].sum(1)
    shares = removed / np.maximum(labelled, 1)
    for position in np.flatnonzero(shares > TOO_NOISY):
        yield Fault(
            survey.names[position], "noise", f"an opening by 3x3 pixels removes {shares[position]:.0%} of the labels"
        )


def _unusual_size(survey: Survey) -> Iterator[Fault]:
    sizes = Counter(row.size for row in survey.rows)
    (usual, images), *others = sizes.most_common()
    if not others or images < ALMOST_ALL * len(survey):
        return
    for row in survey.rows:
        if row.size != usual:
            yield Fault(row.name, "unusual size", f"{_by(row.size)} pixels; {images} images have {_by(usual)}")


def _upside_down(survey: Survey) -> Iterator[Fault]:
    """Yield the images in which the classes that lie highest and lowest in almost all images are exchanged."""
    heights = mean_heights(survey)
    pair = _ordered_pair(heights)
    if pair is None:
        return
    upper, lower = pair
    for position in np.flatnonzero(heights[:, upper] > heights[:, lower]):
        names = survey.classes[upper], survey.classes[lower]
        yield Fault(survey.names[position], "upside down", f"{names[0]} lies below {names[1]}")


def _ordered_pair(heights: np.ndarray) -> tuple[int, int] | None:
    """Return the two common classes that lie furthest apart, the upper one first; None without such an order."""
    common = np.flatnonzero(np.isfinite(heights).mean(0) >= 0.5)
    best: tuple[float, int, int] = (APART, -1, -1)
    for upper in common:
        for lower in common:
            apart = heights[:, lower] - heights[:, upper]
            apart = apart[np.isfinite(apart)]
            if len(apart) >= FEW_IMAGES and (apart > 0).mean() >= ALMOST_ALL and apart.mean() > best[0]:
                best = (float(apart.mean()), int(upper), int(lower))
    return None if best[1] < 0 else best[1:]


def mean_heights(survey: Survey) -> np.ndarray:
    """Return the mean row of each class in each image, from 0 at the top to 1; NaN for less than LEAST_SHARE.

    Shape:
        returns: (N, C), float64.
    """
    grids, classes = survey.arrays["grid"], len(survey.classes)
    rows = (np.arange(GRID_PX) + 0.5) / GRID_PX
    heights = np.full((len(survey), classes), np.nan)
    for index in range(classes):
        by_row = (grids == index).sum(2)  # (N, GRID_PX)
        pixels = by_row.sum(1)
        enough = pixels >= LEAST_SHARE * GRID_PX**2
        heights[enough, index] = (by_row[enough] @ rows) / pixels[enough]
    return heights


def _disagreeing(survey: Survey) -> Iterator[Fault]:
    """Yield the masks that differ from both neighbours in the drive, which resemble each other more."""
    differences = neighbour_differences(survey)
    measured = differences[np.isfinite(differences)]
    if len(measured) < FEW_IMAGES:
        return
    usual = float(np.median(measured))
    spread = 1.4826 * float(np.median(np.abs(measured - usual)))
    limit = max(DISAGREES, usual + OUTLYING * spread)
    for position in np.flatnonzero(differences > limit):
        share = differences[position]
        yield Fault(
            survey.names[position],
            "disagrees",
            f"{share:.0%} of the pixels have another class than in the neighbours of the drive; usual are {usual:.0%}",
        )


def neighbour_differences(survey: Survey) -> np.ndarray:
    """Return the share of pixels in which each mask differs from that neighbour in its drive that it resembles most.

    Ignored pixels count as a class: a mask that lacks one mostly ignores its pixels.

    Shape:
        returns: (N,), NaN in a drive of fewer than three images.
    """
    drives: dict[str, list[int]] = defaultdict(list)
    for position, drive in enumerate(survey.drives):
        if drive:
            drives[drive].append(position)
    shares = np.full(len(survey), np.nan)
    grids = survey.arrays["grid"]
    for members in drives.values():
        ordered = sorted(members, key=lambda position: clip_of(survey.names[position]))
        for step, own in enumerate(ordered if len(ordered) >= 3 else ()):
            first = min(max(step - 1, 0), len(ordered) - 3)  # at an end, the two next to it
            beside = [other for other in ordered[first : first + 3] if other != own]
            is_labelled = (grids[[own, *beside]] != IGNORE).any(0)
            if is_labelled.any():
                shares[own] = min((grids[own] != grids[other])[is_labelled].mean() for other in beside)
    return shares


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
