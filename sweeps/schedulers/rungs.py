"""Rungs of early stopping: the values at each rung, the decision there, and the recorded reason. No Ray."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from bddseg.result import OBJECTIVE

NO_EPOCH = "no_epoch"
"""Key of a report that has no metrics and only gives the reason why the trial ends."""

TRIAL_KEY = "trial"
"""The only key of a Ray config that is not a setting: the trial's id."""

SCHEDULERS = ("asha", "asha_promote", "hyperband", "median", "none")

REASON = {"asha": "asha", "asha_promote": "asha", "hyperband": "hyperband", "median": "median"}
"""Scheduler -> recorded stop reason; both forms of asynchronous halving share one."""

BEST = "best/miou"
"""Metric with the best value up to an epoch: rungs compare it because the final ranking does."""

SENTENCE = "the best {metric} up to epoch {rung}, {value:.4f}, was below "
SENTENCES = {
    "asha": SENTENCE + "the cut-off {cutoff:.4f} of {compared} earlier trial{s}",
    "asha_promote": SENTENCE + "{cutoff:.4f}, the lowest value of the {compared} trial{s} promoted there",
    "hyperband": SENTENCE + "the cut-off {cutoff:.4f} of {compared} earlier trial{s} of its bracket",
    "median": SENTENCE + "{cutoff:.4f}, the median of the running averages of {compared} other{s}",
}
EARLIER_SENTENCES = {
    "asha_promote": SENTENCE + "{cutoff:.4f}, where those of the {compared} trial{s} there begin that went on",
}
"""Sentences of earlier versions: their records are still read."""


@dataclass(frozen=True)
class Stop:
    """Why a trial was stopped at a rung, recorded at the moment of the decision."""

    rung: int
    """Epoch at which the trials are compared."""
    value: float
    """The trial's best value up to the rung."""
    cutoff: float
    """The lowest value that would have passed."""
    compared: int
    """Number of trials behind the cut-off."""
    rule: str = "asha"
    """Name of the scheduler that decided."""

    @property
    def reason(self) -> str:
        """Return the recorded stop reason."""
        return REASON[self.rule]

    def sentence(self) -> str:
        """Return the reason as a sentence."""
        return SENTENCES[self.rule].format(metric=OBJECTIVE, s="s" if self.compared != 1 else "", **asdict(self))


@dataclass
class Rungs:
    """The values that trials had at each rung, in the order in which they arrived."""

    reduction: int
    values: dict[int, dict[str, float]] = field(default_factory=dict)
    """Rung -> trial -> value."""

    def judge(self, rung: int, trial_id: str, value: float, rule: str = "asha") -> Stop | None:
        """Record a value at a rung; return a stop if it is below the best 1/reduction of the earlier values.

        The first trial at a rung passes, and so does a value equal to the cut-off. A repeated report changes nothing.

        Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2, in the stopping
        form that Ray Tune and others use: a trial is never paused, so it is judged once, when it arrives.
        """
        recorded = self.values.setdefault(rung, {})
        if trial_id in recorded:
            return None
        earlier = list(recorded.values())
        recorded[trial_id] = value
        if not earlier:
            return None
        cutoff = quantile(earlier, 1 - 1 / self.reduction)
        return Stop(rung, value, cutoff, len(earlier), rule) if value < cutoff else None

    def cutoff(self, rung: int) -> float:
        """Return the lowest value among the best 1/reduction at a rung; infinite while that is less than one trial.

        Source: Li et al. 2020, algorithm 2, `top_k(rung, |rung| / eta)`.
        """
        ranked = sorted(self.values[rung].values(), reverse=True)
        best = len(ranked) // self.reduction
        return ranked[best - 1] if best else math.inf

    def leads(self, rung: int, trial_id: str, family: Collection[str]) -> bool:
        """Return whether no other trial of the family has a higher value at the rung."""
        recorded = self.values[rung]
        return all(recorded[trial_id] >= value for other, value in recorded.items() if other in family)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return the values as JSON values."""
        return {str(rung): dict(values) for rung, values in self.values.items()}

    def load(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Replace the values by those that `to_dict` returned.

        Raises:
            ValueError: when they belong to other rungs.
        """
        if self.values.keys() != {int(rung) for rung in state}:
            expected, recorded = (", ".join(map(str, rungs)) or "none" for rungs in (self.values, state))
            raise ValueError(f"the rungs recorded are {recorded}, but must be {expected}")
        self.values = {int(rung): dict(values) for rung, values in state.items()}


def quantile(values: Iterable[float], share: float) -> float:
    """Return the quantile of the values at a share, interpolated linearly; exact when all values are equal.

    Source: Hyndman and Fan 1996, Sample Quantiles in Statistical Packages, definition 7.
    """
    ranked = sorted(values)
    position = (len(ranked) - 1) * share
    low = ranked[math.floor(position)]
    return low + (ranked[math.ceil(position)] - low) * (position - math.floor(position))


def read_stop(sentence: str) -> Stop | None:
    """Return the stop that a recorded sentence describes, with the figures as printed; None for any other text."""
    for rule, pattern in PATTERNS:
        if match := re.fullmatch(pattern, sentence):
            return Stop(int(match["rung"]), float(match["value"]), float(match["cutoff"]), int(match["compared"]), rule)
    return None


def _pattern(template: str) -> str:
    """Return a regular expression that matches every sentence made from a template."""
    number, whole = r"-?\d+\.\d+", r"\d+"
    kinds = {"rung": whole, "value": number, "cutoff": number, "compared": whole}
    groups = {name: f"(?P<{name}>{kind})" for name, kind in kinds.items()}
    escaped = re.escape(template.replace(":.4f", "").replace("{s}", "").replace("{metric}", OBJECTIVE))
    for name, group in groups.items():
        escaped = escaped.replace(re.escape(f"{{{name}}}"), group)
    return re.sub(r"(trial|other)\b", r"\1s?", escaped)


PATTERNS = [
    (rule, _pattern(template)) for templates in (SENTENCES, EARLIER_SENTENCES) for rule, template in templates.items()
]


@dataclass(frozen=True)
class Schedule:
    """The early-stopping settings of a space."""

    name: str
    grace: float
    """Share of the epoch budget that every trial runs before it may be stopped."""
    reduction: int
    """At each rung about one in this many trials continues; consecutive rungs differ by this factor."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs at which trials are compared, ascending; the last epoch is not a rung.

        Each rung is `reduction` times the one before. Under the median rule, which stops few trials at a time, rungs
        are equally spaced by the grace period.

        Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, section 3.1.
        """
        if self.name == "none":
            return ()
        first = max(1, math.ceil(self.grace * epochs))
        if self.name == "median":
            return tuple(range(first, epochs, first))
        rungs, rung = [], first
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction
        return tuple(rungs)
