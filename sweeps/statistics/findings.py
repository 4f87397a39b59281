"""What goes into a verdict and what comes out of it: candidates, rivals, intervals, scenes. No arithmetic here.

Scores and differences are fractions of 1: 0.01 is one point of mIoU.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bddseg.evidence import Evidence


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds between which the truth lies with the confidence that its user states."""

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
    """How sentences call it; empty: by its id."""
    missing: str = ""
    """Why there is no evidence, where there is none."""
    is_stopped: bool = False
    """It was stopped before its end, and is compared as it stood then."""


@dataclass(frozen=True, eq=False)
class Finalist:
    """A setting that was trained anew; all finalists on the same folds."""

    finalist_id: str
    """Its trial in the screening sweep."""
    runs: tuple[Evidence, ...]
    """Out-of-fold evidence: run j on fold j."""
    screening_score: float | None = None
    latency_ms: float | None = None
    parameters: int | None = None
    is_reference: bool = False
    name: str = ""


@dataclass(frozen=True)
class Rival:
    """One compared trial or finalist; the leader is among them, with a difference of 0."""

    trial_id: str
    score: Interval
    """Its own mIoU with a plain 95 % interval."""
    difference: Interval
    """Its score less the leader's, in simultaneous 95 % intervals."""
    p_best: float
    """Share of bootstrap replicates that it won; equal ones share a win."""
    is_tied: bool
    """Not excluded: its interval reaches 0."""
    is_surely_close: bool
    """Its deficit is surely under the margin."""
    latency_ms: float | None
    parameters: int | None
    run_scores: tuple[float, ...] = ()
    """In a confirmation: mIoU of each run."""
    rank_shares: tuple[float, ...] = ()
    """Share of replicates in which it came first, second, and so on."""
    is_stopped: bool = False
    """It was stopped before its end, and is compared as it stood then."""


@dataclass(frozen=True)
class Needed:
    """What would decide."""

    images: int | None
    """Validation images in all; None: no number of images alone would."""
    runs: int | None
    """Runs of each finalist in all; None: no number of runs alone would."""
    detectable: float
    """Smallest true lead that the present images and runs show with a power of 80 %; 1 where they show none."""
    together: tuple[int, int] | None = None
    """Images and runs that would do together, where neither would alone."""


@dataclass(frozen=True)
class Gap:
    """City against non-city images, of one trial."""

    trial_id: str
    answer: str
    """equivalent, different or cannot tell."""
    why: str
    """One sentence."""
    gap: Interval
    """City less non-city, 95 %."""
    equivalence: Interval
    """The 90 % interval of two one-sided tests at 5 %."""
    p_equivalence: float
    p_difference: float
    by_class: Mapping[str, Interval | None]
    standardised: Interval | None
    """The gap if both groups had the same mix of classes."""
    images: Mapping[str, int]
    """By group."""
    drives: Mapping[str, int]
    """By group; empty where names carry none."""


@dataclass(frozen=True)
class Slice:
    """Images of one scene, weather or time of day against all others, for the leader; exploratory."""

    kind: str
    value: str
    images: int
    difference: Interval
    p_holm: float
    is_significant: bool


@dataclass(frozen=True)
class Scenes:
    """The question of the scenes, answered."""

    margin: float
    gaps: tuple[Gap, ...]
    """Of the leader first."""
    between: Mapping[str, Interval]
    """Trial -> how much larger its gap is than the leader's."""
    slices: tuple[Slice, ...]
    paragraph: str


@dataclass(frozen=True)
class Verdict:
    """Who leads or has won, if anybody, and how surely."""

    stage: str
    """screening or confirmation."""
    outcome: str
    """leader, winner, tie or undecided; winner in a confirmation only."""
    leader: str
    """The trial with the highest score."""
    recommended: str
    """The cheapest, by latency and then parameters, of the leader and those surely close to it."""
    tied: tuple[str, ...]
    """Trials not excluded, the leader first."""
    rivals: tuple[Rival, ...]
    """All that were compared, the best first."""
    corrected: Interval | None
    """Score of whoever leads, without the part that is owed to choosing the best of many."""
    margin: float
    images: int
    drives: int
    """0: names carry none, so images are drawn."""
    runs: int
    draws: int
    needed: Needed | None
    left_out: Mapping[str, str]
    """Trial -> why it was not compared."""
    kendall_tau: float | None
    """Agreement of the order in the screening with that in the confirmation."""
    scenes: Scenes | None
    sentence: str
    caveats: tuple[str, ...]
