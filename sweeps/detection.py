"""What a confirmation can show, before it runs: the smallest lead that so many runs find, and runs that find none."""

import math

from bddseg.words import count
from sweeps.errors import ExperimentError
from sweeps.statistics.design import MOST_RUNS, Design, runs_to_find
from sweeps.statistics.noise import FLOOR

UNIT_SD = 0.065
"""Standard deviation, over images or drives, of the difference in mIoU between two trained networks; measured on real
frames at 64 px."""

LARGE = 0.1
"""A lead, as a fraction of 1, that whoever compares settings expects to find; a design that would miss it decides
nothing."""


def design_of(finalists: int, runs: int, units: int, run_sd: float | None) -> Design:
    """Return the confirmation of so many finalists on so many drives, or images where drives are not known.

    Args:
        run_sd: between runs of a setting, where it was measured; None: the least that was ever seen.
    """
    return Design(finalists, runs, run_sd or FLOOR, UNIT_SD / math.sqrt(units))


def describe(design: Design, units: str, run_sd: float | None) -> tuple[str, str]:
    """Return the smallest lead that a design finds in words, and how that is known."""
    lead = design.smallest_lead()
    source = "as its screening measured" if run_sd else "the least that was seen"
    how = (
        f"found 4 times in 5 among {count(design.finalists, 'finalist')}, {count(design.runs, 'run')} of each on "
        f"{units}; with noise between runs of {100 * design.run_sd:.1f} points, {source}"
    )
    return (f"{100 * lead:.1f} points" if lead < 1 else "none"), how


def check_runs(design: Design) -> str:
    """Refuse so few runs that not even a large lead is found with the least noise that was ever seen.

    Returns a sentence to mind where no number of runs would find it, otherwise nothing.

    Raises:
        ExperimentError: naming the number of runs that can.
    """
    if design.finalists < 2 or Design(design.finalists, design.runs, FLOOR, design.image_sd).smallest_lead() <= LARGE:
        return ""
    enough = runs_to_find(LARGE, design.finalists, FLOOR, design.image_sd)
    points = f"a lead of {100 * LARGE:.0f} points"
    if enough is None:
        return f"no number of runs up to {MOST_RUNS} finds {points} on so few images: more drives would"
    raise ExperimentError(
        f"--runs is {design.runs}, but must be >= {enough} for {count(design.finalists, 'finalist')} on this data: "
        f"fewer do not find {points} 4 times in 5, even with the least noise that was ever seen"
    )
