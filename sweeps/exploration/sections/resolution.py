"""What a smaller size costs: a mask compared with itself after reduction and enlargement."""

import numpy as np

from sweeps.exploration.content import Column, Plot, Sizes, Table, make_section
from sweeps.exploration.drawings import Curves, draw_curves
from sweeps.exploration.measurement import SIZES_PX
from sweeps.exploration.sections.samples import rank
from sweeps.exploration.survey import Survey
from sweeps.formatting import write_iou
from sweeps.report.section import Section

ENOUGH = 0.9
"""Mean IoU of the masks with themselves that the recommended size must keep."""


def build_section(survey: Survey) -> Section | None:
    """Return what each size keeps; None where no mask has a labelled pixel."""
    ious = self_ious(survey)
    present = np.flatnonzero(np.isfinite(ious).any(0))
    if not len(present):
        return None
    trained = [int(index) for index in present if survey.trained[index]] or present.tolist()
    means = np.nanmean(ious[:, trained], axis=1)
    chosen = recommend(means)
    order = present[np.argsort(-ious[-1, present], kind="stable")]
    curves = Curves(
        ("mean", *(survey.classes[index] for index in order)),
        ("leader", *(survey.colours[index] for index in order)),
        tuple(f"{size}" for size in SIZES_PX),
        np.vstack([means, ious[:, order].T]),
        "side of the square in pixels; IoU of the mask with itself",
    )
    return make_section(
        "resolution",
        "What a smaller size costs",
        _sentence(survey, means, chosen, ious, trained),
        [
            Plot("ious", "IoU of the masks with themselves", "A mask is reduced to a square, as training does, and "
                 "enlarged again: the score at full size of a network that is right in every pixel there."),
            Sizes("One image at all sizes", rank(survey)[0], SIZES_PX),
            _ious(survey, present, ious, means),
            _lost(survey, present),
        ],
        numbers={"sizes_px": SIZES_PX, "mean_iou": means.tolist(), "recommended_px": chosen},
        drawings={"ious": draw_curves(curves, "Lines: IoU of each class with itself at each size")},
    )  # fmt: skip


def self_ious(survey: Survey) -> np.ndarray:
    """Return the IoU of each class with itself at each size, of the pooled counts; NaN for an absent class.

    Shape:
        returns: (S, C), float64.
    """
    arrays = survey.arrays
    shared, restored = arrays["shared_px"].sum(0), arrays["restored_px"].sum(0)
    union = arrays["pixels"][:, :-1].sum(0) + restored - shared
    return np.divide(shared, union, out=np.full(shared.shape, np.nan), where=union > 0)


def recommend(means: np.ndarray) -> int:
    """Return the smallest size whose masks keep ENOUGH; the largest if none does."""
    enough = [size for size, mean in zip(SIZES_PX, means, strict=True) if mean >= ENOUGH]
    return min(enough, default=max(SIZES_PX))


def _sentence(survey: Survey, means: np.ndarray, chosen: int, ious: np.ndarray, trained: list[int]) -> str:
    at = SIZES_PX.index(chosen)
    worst = min(trained, key=lambda index: float(np.nan_to_num(ious[at, index], nan=2)))
    kept = f"{write_iou(float(means[at]))} on average over the trained classes"
    weakest = f"{survey.classes[worst]} keeps least, {write_iou(float(ious[at, worst]))}"
    if means[at] < ENOUGH:
        return (
            f"No size up to {chosen} px keeps a mean IoU of {ENOUGH:.2f} of the masks with themselves; {chosen} px "
            f"keeps {kept}, and {weakest}."
        )
    smaller = SIZES_PX[at + 1 :]
    below = f"; {smaller[0]} px keeps {write_iou(float(means[at + 1]))}" if smaller else ""
    return (
        f"Train at {chosen} px: it is the smallest size at which the masks keep an IoU of {ENOUGH:.2f} with "
        f"themselves, {kept}{below}; {weakest}."
    )


def _ious(survey: Survey, present: np.ndarray, ious: np.ndarray, means: np.ndarray) -> Table:
    rows = (
        ("mean of the trained classes", *means),
        *((survey.classes[index], *ious[:, index]) for index in present),
    )
    columns = (Column("class"), *(Column(f"{size} px", "iou") for size in SIZES_PX))
    chips = ("transparent", *(survey.colours[index] for index in present))
    return Table("resolution", "IoU with itself", columns, rows, chips=chips)


def _lost(survey: Survey, present: np.ndarray) -> Table:
    total = survey.arrays["regions"].sum(0)
    lost = survey.arrays["regions_lost"].sum(0) / np.maximum(total, 1)
    rows = tuple((survey.classes[index], total[index], *lost[:, index]) for index in present)
    columns = (Column("class"), Column("regions", "count"), *(Column(f"{size} px", "exact_share") for size in SIZES_PX))
    chips = tuple(survey.colours[index] for index in present)
    note = "Share of the connected regions of which no pixel is left."
    return Table("regions_lost", "Regions that are lost", columns, rows, note, is_folded=True, chips=chips)
