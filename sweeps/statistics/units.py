"""Group images into resampling units: drives, or blocks of neighbouring names where drives are unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bddseg.data.drives import clip_of, drive_of

BLOCKS = 10
"""Images without a drive are cut into so many blocks, or as many as there are images.

Few and long rather than many and short: a block must be longer than frames of one clip resemble each other, and
Student's t says truly what few blocks do to the width of intervals.
"""


@dataclass(frozen=True, eq=False)
class Units:
    """The resampling unit of each image.

    Shape:
        labels: N texts, equal for images that are drawn together.  has_drive: (N,), bool.
    """

    labels: tuple[str, ...]
    has_drive: np.ndarray

    @property
    def drives(self) -> int:
        """Return how many drives there are."""
        return len({label for label, has_drive in zip(self.labels, self.has_drive, strict=True) if has_drive})


def find_units(names: Sequence[str], drives: Sequence[str] = ()) -> Units:
    """Return the units of the images; neither their order nor repeated names matter.

    A name's drive is the one given, "" for none, or else what `bddseg.data.drives.drive_of` says. The names without one
    are put in order of what precedes their last number and of that number, and cut into blocks that never cross what
    precedes it: frames of one clip are neighbours.
    """
    drive_of_name = drives or [drive_of(name) or "" for name in names]
    blocks = _blocks([name for name, drive in zip(names, drive_of_name, strict=True) if not drive])
    labels = tuple(
        f"drive {drive}" if drive else blocks[name] for name, drive in zip(names, drive_of_name, strict=True)
    )
    return Units(labels, np.asarray([bool(drive) for drive in drive_of_name], dtype=bool))


def _blocks(names: Sequence[str]) -> dict[str, str]:
    """Return the block of each name: clips are cut in proportion to their length, never into empty pieces."""
    clips: dict[str, list[tuple[int, str]]] = {}
    for name in sorted(set(names)):
        before, number = clip_of(name)
        clips.setdefault(before, []).append((number, name))
    share = min(BLOCKS, len(set(names))) / max(1, len(set(names)))
    blocks: dict[str, str] = {}
    for before, clip in clips.items():
        pieces = min(len(clip), max(1, round(len(clip) * share)))
        for piece, part in enumerate(np.array_split(np.arange(len(clip)), pieces)):
            blocks |= {sorted(clip)[index][1]: f"block {before}#{piece}" for index in part}
    return blocks
