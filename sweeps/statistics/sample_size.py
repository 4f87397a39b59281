"""Find the number of runs that would decide an open verdict, and the lead in question."""

from sweeps.statistics.comparisons import Comparisons, detectable
from sweeps.statistics.power import UNIT_SD, runs_to_find
from sweeps.statistics.results import SampleSizeNeeded
from sweeps.statistics.seed_noise import Noise

ENOUGH_UNITS = 10
"""Drives from which their measured spread is used."""


def find_needed(
    comparisons: Comparisons, noise: Noise, margin: float, *, images: int, units: int, confirming: int
) -> SampleSizeNeeded | None:
    """Return the sample size that decides between the settings not excluded; None without rivals.

    A confirmation is simulated with the noise that is known here and the images it will have. It runs each finalist as
    often as it has folds: more runs do not score more images.

    Args:
        images: scored here, of each setting.
        units: drives, or blocks or images, that these are drawn as.
        confirming: scored by a confirmation, which has training images too.
    """
    if len(comparisons.scores) < 2:
        return None
    limit = min(detectable(comparisons), 1.0)
    rivals = comparisons.tied[1:]
    nearest = int(rivals[0]) if rivals else int(comparisons.order[1])
    lead = max(margin, float(-comparisons.difference[nearest]))
    if comparisons.is_blind or not rivals:
        return SampleSizeNeeded(1.0 if comparisons.is_blind else limit, lead, len(comparisons.tied), None)
    is_known = units >= ENOUGH_UNITS  # the spread of a few drives is no measure of drives
    image_variance = _image_variance(comparisons, noise, nearest) if is_known else UNIT_SD**2 / units
    image_variance *= images / max(images, confirming)
    runs = runs_to_find(lead, len(comparisons.tied), round(noise.sd, 4), round(image_variance**0.5, 4))
    return SampleSizeNeeded(limit, lead, len(comparisons.tied), runs)


def _image_variance(comparisons: Comparisons, noise: Noise, rival: int) -> float:
    """Return the variance of the difference to a rival due to images alone."""
    run_noise = noise.variance[[comparisons.leader, rival]].sum()
    return max(0.0, float(comparisons.error[rival] ** 2 - run_noise))


def bearable_sd(comparisons: Comparisons, noise: Noise) -> float | None:
    """Return the largest standard deviation between runs at which the leader would still lead alone.

    None where it is not. A lead holds while it exceeds critical * sqrt(variance of images + sd^2 * shares of both).
    """
    rivals = comparisons.order[1:]
    if comparisons.is_blind or not len(rivals) or len(comparisons.tied) > 1:
        return None
    run_noise, leader = noise.variance, comparisons.leader
    images = comparisons.error[rivals] ** 2 - run_noise[rivals] - run_noise[leader]
    room = ((comparisons.difference + comparisons.allowance)[rivals] / comparisons.critical) ** 2 - images
    share = noise.share[rivals] + noise.share[leader]
    return float(max((room / share).min(), 0.0) ** 0.5)
