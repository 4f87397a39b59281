"""Connected regions of each class: how many, how large, and how much of them is speckle."""

import numpy as np

from bddseg.words import count
from sweeps.exploration.content import Column, Gallery, Pick, Plot, Table, make_section
from sweeps.exploration.drawings import Bars, Spreads, draw_bars, draw_spreads
from sweeps.exploration.measurement import SIZE_BINS
from sweeps.exploration.sections.classes import write_percent
from sweeps.exploration.survey import Survey
from sweeps.report.section import Section

SMALL_BINS = 4
"""Regions below 2^4 = 16 pixels count as small."""

SHOWN = 4
"""Masks with the most speckle that are shown."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def build_section(survey: Survey) -> Section | None:
    """Return the regions; None where no mask has a labelled pixel."""
    arrays = survey.arrays
    regions, sizes = arrays["regions"].sum(0), arrays["region_sizes"].sum(0)
    pixels, removed = arrays["pixels"][:, :-1].sum(0), arrays["opened_px"].sum(0)
    present = np.flatnonzero(pixels)
    if not len(present):
        return None
    order = present[np.argsort(-regions[present], kind="stable")]
    speckle = removed / np.maximum(pixels, 1)
    quantiles = np.array([bin_quantiles(sizes[index]) for index in order])
    return make_section(
        "objects",
        "Objects",
        _sentence(survey, regions, sizes, speckle, present),
        [
            Plot(
                "sizes",
                "Sizes of connected regions",
                "Quartiles with the median, and 5 to 95 %, in powers of two.",
                is_half=True,
            ),
            Plot("speckle", "Pixels that an opening by 3x3 pixels removes", is_half=True),
            _table(survey, order, regions, sizes, quantiles, speckle),
            _noisiest(survey),
        ],
        numbers={"regions": int(regions.sum()), "removed_share": float(removed.sum() / pixels.sum())},
        drawings={
            "sizes": draw_spreads(
                Spreads(tuple(survey.classes[index] for index in order), quantiles, "size of a region, log2 of pixels"),
                "Boxes: sizes of the connected regions of each class",
            ),
            "speckle": draw_bars(_bars(survey, order, speckle), "Bars: share of each class that an opening removes"),
        },
    )


def bin_quantiles(sizes: np.ndarray) -> np.ndarray:
    """Return quantiles of sizes that are counted by powers of two, in powers of two, evenly spread inside a bin.

    Shape:
        sizes: (SIZE_BINS,), regions of 2^k to 2^(k+1) pixels.  returns: (5,).
    """
    ends = np.concatenate([[0], np.cumsum(sizes)]) / max(1, sizes.sum())
    return np.interp(QUANTILES, ends, np.arange(SIZE_BINS + 1))


def _sentence(survey: Survey, regions: np.ndarray, sizes: np.ndarray, speckle: np.ndarray, present: np.ndarray) -> str:
    small = sizes[:, :SMALL_BINS].sum() / max(1, regions.sum())
    worst = present[speckle[present].argmax()]
    per_image = regions.sum() / len(survey)
    return (
        f"A mask has {per_image:.0f} connected regions on average, {write_percent(small)} of them smaller than "
        f"16 pixels; an opening removes most of {survey.classes[worst]}, {write_percent(speckle[worst])} of its pixels."
    )


def _bars(survey: Survey, order: np.ndarray, speckle: np.ndarray) -> Bars:
    order = order[np.argsort(-speckle[order], kind="stable")]
    values = speckle[order][:, None]
    texts = tuple((write_percent(value),) for value in speckle[order])
    return Bars(tuple(survey.classes[index] for index in order), ("",), values, texts, is_half=True)


def _table(
    survey: Survey, order: np.ndarray, regions: np.ndarray, sizes: np.ndarray, quantiles: np.ndarray,
    speckle: np.ndarray,
) -> Table:  # fmt: skip
    images = np.maximum(survey.has_class.sum(0), 1)
    rows = tuple(
        (survey.classes[index], regions[index], regions[index] / images[index], 2 ** quantiles[number][2],
         sizes[index, :SMALL_BINS].sum() / max(1, regions[index]), speckle[index])
        for number, index in enumerate(order)
    )  # fmt: skip
    columns = (Column("class"), Column("regions", "count"), Column("per image with it", "number"),
               Column("median size, px", "count"), Column("below 16 px", "exact_share"),
               Column("removed by opening", "exact_share"))  # fmt: skip
    note = "Regions are connected by the sides of pixels; the median is exact to its power of two."
    return Table("objects", "All figures", columns, rows, note, chips=tuple(survey.colours[index] for index in order))


def _noisiest(survey: Survey) -> Gallery | None:
    labelled = np.maximum(survey.arrays["pixels"][:, :-1].sum(1), 1)
    shares = survey.arrays["opened_px"].sum(1) / labelled
    worst = [int(position) for position in np.argsort(-shares, kind="stable")[:SHOWN] if shares[position] > 0]
    picks = tuple(Pick(position, f"{write_percent(shares[position])} removed") for position in worst)
    title = f"{count(len(picks), 'mask')} of which an opening removes most"
    return Gallery(title, picks, is_folded=True) if picks else None
