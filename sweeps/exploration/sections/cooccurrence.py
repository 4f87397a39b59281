"""Which classes occur in the same images: counts, and lift against independence; cells lead to an example."""

import numpy as np

from sweeps.exploration.content import Column, Gallery, Link, Pick, Table, make_section
from sweeps.exploration.sections.samples import rank
from sweeps.exploration.survey import Survey
from sweeps.report.section import Section

MOST_EXAMPLES = 12
"""Images that are shown: chosen so that together they have as many pairs of classes as possible."""

LEAST_IMAGES = 5
"""A class in fewer images has no lift worth a sentence."""


def build_section(survey: Survey) -> Section | None:
    """Return the matrices; None for fewer than two classes."""
    present = np.flatnonzero(survey.has_class.any(0))
    if len(present) < 2:
        return None
    has_class = survey.has_class[:, present]
    names = [survey.classes[index] for index in present]
    together, lift = count_together(has_class), lift_of(has_class)
    examples = cover_pairs(has_class, rank(survey))
    chips = tuple(survey.colours[index] for index in present)
    picks = tuple(Pick(position, ", ".join(np.array(names)[has_class[position]])) for position in examples)
    return make_section(
        "cooccurrence",
        "Classes in the same images",
        _sentence(names, together, lift),
        [
            _counts(names, together, has_class, examples, chips),
            _lifts(names, lift, chips),
            Gallery("Examples", picks, "A count above leads to an image with both classes.", is_target=True),
        ],
        numbers={"classes": names, "images": together.tolist(), "lift": lift.tolist()},
    )


def count_together(has_class: np.ndarray) -> np.ndarray:
    """Return in how many images each pair of classes occurs; on the diagonal, each class.

    Shape:
        has_class: (N, C), bool.  returns: (C, C), int64.
    """
    numbers = has_class.astype(np.int64)
    return numbers.T @ numbers


def lift_of(has_class: np.ndarray) -> np.ndarray:
    """Return how many times more often each pair occurs than if its classes were independent; NaN for absent ones.

    Source: Brin et al. 1997, Dynamic itemset counting and implication rules for market basket data (as interest).

    Shape:
        has_class: (N, C), bool.  returns: (C, C), float64.
    """
    together = count_together(has_class)
    single = np.diagonal(together).astype(float)
    expected = np.outer(single, single) / len(has_class)
    return np.divide(together, expected, out=np.full(together.shape, np.nan), where=expected > 0)


def cover_pairs(has_class: np.ndarray, order: list[int]) -> list[int]:
    """Return few images that together show as many pairs of classes as possible, greedily; earlier ones first."""
    ranked = has_class[order].astype(np.float32)  # products of floats are fast, and exact for such counts
    open_pairs = count_together(has_class) > 0
    chosen: list[int] = []
    while open_pairs.any() and len(chosen) < MOST_EXAMPLES:
        shown = (ranked @ open_pairs * ranked).sum(1)  # (N,), open pairs of each image, without (N, C, C) in memory
        best = int(shown.argmax())
        chosen.append(order[best])
        open_pairs &= ~(np.outer(ranked[best], ranked[best]) > 0)
    return chosen


def _sentence(names: list[str], together: np.ndarray, lift: np.ndarray) -> str:
    single = np.diagonal(together)
    is_pair = np.triu(np.ones(lift.shape, dtype=bool), 1) & np.isfinite(lift)
    is_pair &= (single >= LEAST_IMAGES)[:, None] & (single >= LEAST_IMAGES)[None]
    if not is_pair.any():
        return "No two classes occur in enough images to say whether they belong together."
    masked = np.where(is_pair, lift, np.nan)
    high = np.unravel_index(np.nanargmax(masked), lift.shape)
    low = np.unravel_index(np.nanargmin(masked), lift.shape)
    together_most = (
        f"{names[high[0]].capitalize()} and {names[high[1]]} are most often in the same images, "
        f"{lift[high]:.2f} times as often as if they were independent"
    )
    if together[low] == 0:
        return f"{together_most}; {names[low[0]]} and {names[low[1]]} never are."
    return f"{together_most}; {names[low[0]]} and {names[low[1]]} least often, {lift[low]:.2f} times."


def _counts(
    names: list[str], together: np.ndarray, has_class: np.ndarray, examples: list[int], chips: tuple[str, ...]
) -> Table:
    def cell(row: int, column: int) -> Link | int:
        shown = next((image for image in examples if has_class[image, row] and has_class[image, column]), None)
        number = int(together[row, column])
        return number if shown is None else Link(number, shown)

    rows = tuple((name, *(cell(row, column) for column in range(len(names)))) for row, name in enumerate(names))
    shades = tuple(tuple(row) for row in together / max(1, len(has_class)))
    columns = (Column("images with both"), *(Column(name, "count") for name in names))
    return Table("cooccurrence", "Images with both classes", columns, rows, chips=chips, shades=shades)


def _lifts(names: list[str], lift: np.ndarray, chips: tuple[str, ...]) -> Table:
    rows = tuple(
        (name, *(None if row == column else lift[row, column] for column in range(len(names))))
        for row, name in enumerate(names)
    )
    strength = np.abs(np.log2(np.clip(np.nan_to_num(lift, nan=1.0), 1 / 8, 8))) / 3
    np.fill_diagonal(strength, np.nan)
    columns = (Column("lift"), *(Column(name, "number") for name in names))
    note = "1 is as often as if the two classes were independent; darker cells are further from it, either way."
    shades = tuple(tuple(row) for row in strength)
    return Table("lift", "Lift", columns, rows, note, is_folded=True, chips=chips, shades=shades)
