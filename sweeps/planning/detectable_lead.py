"""What a confirmation can show, before it runs: the smallest lead that so many runs find, and runs that find none."""

import math

from bddseg.words import count
from sweeps.errors import ExperimentError
from sweeps.statistics.power import MOST_RUNS_PLANNED, UNIT_SD, Design, runs_to_find
from sweeps.statistics.seed_noise import FLOOR

LARGE = 0.1
"""A lead, as a fraction of 1, that whoever compares settings expects to find; a design that would miss it decides
nothing."""


def design_of(finalists: int, runs: int, units: int, run_sd: float | None) -> Design:
    """Return the confirmation of so many finalists on so many drives, or images where drives are not known.

    Args:
        run_sd: between runs of a setting, where it was measured; None: the least that was ever seen.
    """
    return Design(finalists, runs, run_sd or FLOOR, UNIT_SD / math.sqrt(units))


def describe(design: Design, units: str, run_sd: float | None, *, knows_drives: bool = True) -> tuple[str, str]:
    """Return the smallest lead that a design finds in words, and how that is known."""
    lead = design.smallest_lead()
    source = "by seeds and learning curves of its screening" if run_sd else "the least that was seen"
    how = (
        f"found 4 times in 5 among {count(design.finalists, 'finalist')}, {count(design.runs, 'run')} of each on "
        f"{units}; with noise between runs of {100 * design.run_sd:.1f} points, {source}"
    )
    if not knows_drives:
        how += "; drives are not known, and images of one drive say less"
    at_best = "" if run_sd and knows_drives else " at best"
    return (f"{100 * lead:.1f} points{at_best}" if lead < 1 else "none"), how


def check_runs(design: Design) -> str:
    """Refuse so few runs that not even a large lead is found with the noise of the design.

    Returns a sentence to mind where no number of runs would find it, otherwise nothing.

    Raises:
        ExperimentError: naming the number of runs that can.
    """
    if design.finalists < 2 or design.smallest_lead() <= LARGE:
        return ""
    enough = runs_to_find(LARGE, design.finalists, design.run_sd, design.image_sd)
    points = f"a lead of {100 * LARGE:.0f} points"
    if enough is None:
        return f"no number of runs up to {MOST_RUNS_PLANNED} finds {points} with this noise on so few images"
    noise = "the least that was ever seen" if design.run_sd == FLOOR else "as its screening measured"
    raise ExperimentError(
        f"--runs is {design.runs}, but must be >= {enough} for {count(design.finalists, 'finalist')} on this data: "
        f"fewer do not find {points} 4 times in 5, with noise between runs of {100 * design.run_sd:.1f} points, {noise}"
    )
