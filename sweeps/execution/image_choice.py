"""Figures of single images -> which of them are worth looking at. Decided by names and counts alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bddseg.labels import group_of

FIXED, APART, WORST = 3, 2, 10
"""Images shown of each scene group; of each side of a disagreement; of the leader's worst."""


@dataclass(frozen=True)
class ChosenImage:
    """An image to be shown, and why."""

    kind: str
    """One of `sweeps.storage.album.KINDS`."""
    place: int
    """In the evidence."""
    against: str = ""


def choose_images(names: Sequence[str], scenes: Sequence[str], mious: Mapping[str, np.ndarray]) -> list[ChosenImage]:
    """Return the images to be shown: the fixed ones, where trials differ most from the first one, its worst.

    `mious` is the mIoU of every image by trial, the leader first.
    """
    leader, *others = mious
    picks = [ChosenImage("fixed", place) for place in fixed_images(names, scenes)]
    for other in others:
        picks += _apart(mious[leader], mious[other], other)
    order = np.argsort(mious[leader], kind="stable")  # NaN, an image on which nothing is judged, comes last
    picks += [ChosenImage("worst", int(place)) for place in order[:WORST] if not np.isnan(mious[leader][place])]
    return picks


def fixed_images(names: Sequence[str], scenes: Sequence[str]) -> list[int]:
    """Return three city and three other images, or as many as there are, drawn by a hash of their names.

    The same images have the same answer in every sweep. One without a scene is no city image.
    """
    order = sorted(range(len(names)), key=lambda place: hashlib.sha256(names[place].encode()).digest())
    city = [place for place in order if group_of(scenes[place]) == "city"]
    other = [place for place in order if group_of(scenes[place]) != "city"]
    return [*city[:FIXED], *other[:FIXED]]


def _apart(leader: np.ndarray, other: np.ndarray, trial_id: str) -> list[ChosenImage]:
    """Return where the leader is furthest ahead of the other trial, and where furthest behind."""
    difference = np.nan_to_num(leader - other)
    order = np.argsort(-difference, kind="stable")
    ahead = [ChosenImage("ahead", int(place), trial_id) for place in order[:APART] if difference[place] > 0]
    behind = [ChosenImage("behind", int(place), trial_id) for place in order[::-1][:APART] if difference[place] < 0]
    return [*ahead, *behind]
