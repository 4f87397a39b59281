"""Power of a confirmation, before it runs: the smallest lead that it can detect, and the fewest runs it needs."""

import math

from bddseg.words import count
from sweeps.errors import ExperimentError
from sweeps.statistics.power import MOST_RUNS_PLANNED, UNIT_SD, Design, runs_to_find
from sweeps.statistics.seed_noise import FLOOR

LARGE = 0.1
"""A lead of 10 points, as a fraction of 1: a design that cannot detect it is refused."""


def design_of(finalists: int, runs: int, units: int, run_sd: float | None) -> Design:
    """Return the design of a confirmation.

    Args:
        finalists: their number.
        runs: of each finalist.
        units: drives that validate, or images where drives are not known.
        run_sd: standard deviation between runs of a setting, where it was measured; None: the least ever measured.
    """
    return Design(finalists, runs, run_sd or FLOOR, UNIT_SD / math.sqrt(units))


def describe(design: Design, units: str, run_sd: float | None, *, knows_drives: bool = True) -> tuple[str, str]:
    """Return the smallest lead that a design detects, as text, and how that was determined."""
    lead = design.smallest_lead()
    source = "from seeds and learning curves of its screening" if run_sd else "the least ever measured"
    how = (
        f"detected 4 times in 5 among {count(design.finalists, 'finalist')}, {count(design.runs, 'run')} of each on "
        f"{units}; with noise between runs of {100 * design.run_sd:.1f} points, {source}"
    )
    if not knows_drives:
        how += "; drives are not known, and images of the same drive carry less information"
    at_best = "" if run_sd and knows_drives else " at best"
    return (f"{100 * lead:.1f} points{at_best}" if lead < 1 else "none"), how


def check_runs(design: Design) -> str:
    """Refuse a design with too few runs to detect even a large lead.

    Returns a note where no number of runs would detect it, otherwise "".

    Raises:
        ExperimentError: with the number of runs that is enough.
    """
    if design.finalists < 2 or design.smallest_lead() <= LARGE:
        return ""
    enough = runs_to_find(LARGE, design.finalists, design.run_sd, design.image_sd)
    points = f"a lead of {100 * LARGE:.0f} points"
    if enough is None:
        return f"up to {MOST_RUNS_PLANNED} runs do not detect {points} with this noise on so few images"
    noise = "the least ever measured" if design.run_sd == FLOOR else "as measured in its screening"
    raise ExperimentError(
        f"--runs is {design.runs}, but must be >= {enough} for {count(design.finalists, 'finalist')} on this data: "
        f"fewer do not detect {points} 4 times in 5; noise between runs is {100 * design.run_sd:.1f} points, {noise}"
    )
