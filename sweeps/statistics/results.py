"""Inputs and results of a verdict: candidates, rivals, intervals, groups. No arithmetic.

Scores and differences are fractions of 1: 0.01 is one point of mIoU.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bddseg.evidence import Evidence


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A trial of a screening sweep."""

    trial_id: str
    evidence: Evidence | None
    """Of the validation part."""
    latency_ms: float | None = None
    """Of one image; None: not measured."""
    parameters: int | None = None
    is_reference: bool = False
    setting: str = ""
    """Equal for trials that differ in their seed only (`noise.setting_of`); empty: a setting of its own."""
    name: str = ""
    """Its name in sentences; "": its id."""
    missing: str = ""
    """Why it has no evidence; "" if it has some."""
    curve: tuple[float, ...] = ()
    """val/miou by epoch, from the first; empty where it is not known."""
    is_stopped: bool = False
    """Whether it was stopped early: it is compared with the leader at its last epoch, and not judged."""
    overtaking: float = 0.0
    """For a stopped trial: the probability that it would have passed the leader."""
    sweep: str = ""
    """Its sweep, if it is another one: the trial counts as a seed, but never represents its setting."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A setting that was trained again; all finalists on the same folds."""

    finalist_id: str
    """Its trial in the screening sweep."""
    runs: tuple[Evidence, ...]
    """Out-of-fold evidence: run j on fold j."""
    screening_score: float | None = None
    latency_ms: float | None = None
    parameters: int | None = None
    is_reference: bool = False
    name: str = ""
    curves: tuple[tuple[float, ...], ...] = ()
    """val/miou by epoch of each run."""


@dataclass(frozen=True)
class Rival:
    """One compared setting or finalist; the leader is among them, with a difference of 0."""

    trial_id: str
    """The trial that represents the setting: the best of its seeds."""
    score: Interval
    """Its own mIoU with a 95 % interval; of several seeds, that of their counts together."""
    difference: Interval
    """Its score less the leader's, in simultaneous 95 % intervals."""
    p_best: float | None
    """Probability of being the best of all; None where it cannot be estimated."""
    is_tied: bool
    """Not excluded: its interval reaches 0."""
    is_close: bool
    """Its estimated deficit is at most the margin, or one standard error."""
    is_surely_close: bool
    """Whether its deficit is significantly less than the margin."""
    latency_ms: float | None
    parameters: int | None
    run_scores: tuple[float, ...] = ()
    """mIoU of each run: seeds of a screening, folds of a confirmation."""
    rank_shares: tuple[float, ...] = ()
    """Share of replicates in which it came first, second, and so on."""
    seeds: tuple[str, ...] = ()
    """In a screening: the trials of the setting, as `run_scores` has them."""


@dataclass(frozen=True)
class StoppedTrial:
    """A trial that was stopped early, beside the leader at the same epoch. It is not judged."""

    trial_id: str
    epoch: int
    """The last one that it trained; 0 where no curve is known."""
    score: float
    """Its best val/miou up to there; NaN where none is known."""
    leader_score: float
    """The leader's best up to the same epoch; NaN where none is known."""
    p_best: float
    """Probability that it would have become the best of all."""


@dataclass(frozen=True)
class SampleSizeNeeded:
    """The lead that is detectable, and the runs that would detect the lead in question."""

    detectable: float
    """Smallest true lead that the present images and runs detect with a power of 80 %; 1 if none."""
    lead: float
    """The lead in question: that of the leader over the nearest rival, but no less than the margin."""
    finalists: int
    """The settings in question: those not excluded."""
    runs: int | None
    """Runs of each finalist that detect this lead with a power of 80 %; None if 100 are not enough."""


@dataclass(frozen=True)
class Gap:
    """One group of images against another, or against all others, of one trial."""

    trial_id: str
    answer: str
    """equivalent, different, class mix (different only since the groups have other classes) or cannot tell."""
    why: str
    """One sentence."""
    gap: Interval
    """First side less second, 95 %."""
    equivalence: Interval
    """The 90 % interval of two one-sided tests at 5 %."""
    p_equivalence: float
    p_difference: float
    by_class: Mapping[str, Interval | None]
    standardised: Interval | None
    """The gap if both groups had the same mix of classes."""
    images: Mapping[str, int]
    """By side, the first one first."""
    drives: Mapping[str, int]
    """By side; empty where drives are not known."""
    drives_to_tell: int | None
    """Drives in total that would show a gap near 0 to lie within the margin; None if no number would."""


@dataclass(frozen=True)
class Slice:
    """Images with one value of an attribute, such as a scene, against all others, for the leader; exploratory."""

    kind: str
    value: str
    images: int
    difference: Interval
    p_holm: float
    is_significant: bool


@dataclass(frozen=True)
class Scenes:
    """One comparison of groups, such as city and other scenes, over all settings shown."""

    margin: float
    gaps: tuple[Gap, ...]
    """Of the leader first."""
    between: Mapping[str, Interval]
    """Trial -> its gap less the leader's, in simultaneous intervals."""
    slices: tuple[Slice, ...]
    paragraph: str

    @property
    def sides(self) -> tuple[str, str]:
        """Return the names of both sides, the first one first in every difference."""
        first, second = self.gaps[0].images
        return first, second


@dataclass(frozen=True)
class NoiseFigures:
    """The noise between runs of a setting, and how it was estimated."""

    basis: str
    """measured, bounded, known (given from elsewhere) or unknown."""
    sd: float | None
    """Standard deviation of one run's score, as it was used; None where nothing is known of it."""
    freedom: float | None
    """Degrees of freedom of it; 0 where nothing is known, None where it is known exactly."""
    repeats: int
    """Runs of a setting beyond its first, over all settings; in a confirmation, degrees of freedom between runs."""
    outside: int
    """How many of the repeats are of other sweeps."""
    rise: float | None
    """By how much the best values still rose over the last third of training."""
    sweeps: tuple[str, ...] = ()
    """The other sweeps that repeats are of, where that is known."""


@dataclass(frozen=True)
class Verdict:
    """The verdict of a sweep: leader, winner, tie or undecided, with its intervals."""

    stage: str
    """screening or confirmation."""
    outcome: str
    """leader, winner, tie or undecided; winner in a confirmation only."""
    leader: str
    """The trial with the highest score."""
    recommended: str
    """The cheapest, by latency and then parameters, of the leader and those tied that are close to it."""
    tied: tuple[str, ...]
    """Settings not excluded, the leader first."""
    rivals: tuple[Rival, ...]
    """All that were compared, the best first."""
    stopped: tuple[StoppedTrial, ...]
    """Those that were stopped early, the best first; not compared."""
    corrected: Interval | None
    """The leader's score corrected for having been chosen as the highest."""
    margin: float
    images: int
    drives: int
    """0: names carry none, so blocks of neighbouring names are drawn."""
    runs: int
    """Most runs of a setting."""
    draws: int
    noise: NoiseFigures
    needed: SampleSizeNeeded | None
    left_out: Mapping[str, str]
    """Trial -> why it was not compared."""
    kendall_tau: float | None
    """Agreement of the order in the screening with that in the confirmation."""
    scenes: Scenes | None
    """The comparison of two groups, or of the first of several; None without groups."""
    sentence: str
    caveats: tuple[str, ...]
    further_scenes: tuple[Scenes, ...] = ()
    """Of more than two groups: each of the others with the rest."""

    @property
    def contrasts(self) -> tuple[Scenes, ...]:
        """Return all comparisons of groups."""
        return (*([self.scenes] if self.scenes else []), *self.further_scenes)
