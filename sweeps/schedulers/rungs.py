"""What early stopping remembers: the values at each rung, why trials were stopped. Plain data and decisions."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from bddseg.result import OBJECTIVE

NO_EPOCH = "no_epoch"
"""Marks a trial's report that has no figures and only says why the trial ends."""

TRIAL_KEY = "trial"
"""The one key of a Ray config that is no setting: the trial's id."""

SCHEDULERS = ("asha", "asha_promote", "hyperband", "median", "none")

REASON = {"asha": "asha", "asha_promote": "asha", "hyperband": "hyperband", "median": "median"}
"""Scheduler -> the stop reason that is recorded; both forms of asynchronous halving have the same."""

BEST = "best/miou"
"""The best value of the metric up to an epoch: what is compared at rungs, as trials are ranked by it in the end."""

SENTENCE = "the best {metric} up to epoch {rung}, {value:.4f}, was below "
SENTENCES = {
    "asha": SENTENCE + "the cut-off {cutoff:.4f} of {compared} earlier trial{s}",
    "asha_promote": SENTENCE + "{cutoff:.4f}, where those of the {compared} trial{s} there begin that went on",
    "hyperband": SENTENCE + "the cut-off {cutoff:.4f} of {compared} earlier trial{s} of its bracket",
    "median": SENTENCE + "{cutoff:.4f}, the median of the running averages of {compared} other{s}",
}


@dataclass(frozen=True)
class Stop:
    """Why a trial was stopped at a rung, recorded at the moment of the decision."""

    rung: int
    """Epoch at which the trials are compared."""
    value: float
    """The best up to there."""
    cutoff: float
    """What the value had to reach."""
    compared: int
    """Trials that the cut-off was made from."""
    rule: str = "asha"
    """Name of the scheduler that decided."""

    @property
    def reason(self) -> str:
        """Return the stop reason under which it is recorded."""
        return REASON[self.rule]

    def sentence(self) -> str:
        """Return the reason in words."""
        return SENTENCES[self.rule].format(metric=OBJECTIVE, s="s" if self.compared != 1 else "", **asdict(self))


@dataclass
class Rungs:
    """The values that trials had at each rung, in the order in which they arrived."""

    reduction: int
    values: dict[int, dict[str, float]] = field(default_factory=dict)
    """Rung -> trial -> value."""

    def judge(self, rung: int, trial_id: str, value: float, rule: str = "asha") -> Stop | None:
        """Record a value at a rung; return the stop if it lies below the best 1/reduction of those before it.

        The first at a rung passes, and so does a tie with the cut-off. A value reported again changes nothing.

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
        """Return the value of the last of the best 1/reduction at a rung; infinite while that is less than one trial.

        Source: Li et al. 2020, algorithm 2, `top_k(rung, |rung| / eta)`.
        """
        ranked = sorted(self.values[rung].values(), reverse=True)
        best = len(ranked) // self.reduction
        return ranked[best - 1] if best else math.inf

    def leads(self, rung: int, trial_id: str, family: Collection[str]) -> bool:
        """Return whether no other trial of the family had a higher value at the rung."""
        recorded = self.values[rung]
        return all(recorded[trial_id] >= value for other, value in recorded.items() if other in family)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return plain values for JSON."""
        return {str(rung): dict(values) for rung, values in self.values.items()}

    def load(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Take over the values of `to_dict`.

        Raises:
            ValueError: when they are of other rungs.
        """
        if self.values.keys() != {int(rung) for rung in state}:
            here, there = (", ".join(map(str, rungs)) or "none" for rungs in (self.values, state))
            raise ValueError(f"the rungs recorded are {there}, but must be {here}")
        self.values = {int(rung): dict(values) for rung, values in state.items()}


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share of the values lies, interpolated linearly; exact where all are equal.

    Source: Hyndman and Fan 1996, Sample Quantiles in Statistical Packages, definition 7.
    """
    ranked = sorted(values)
    place = (len(ranked) - 1) * share
    low = ranked[math.floor(place)]
    return low + (ranked[math.ceil(place)] - low) * (place - math.floor(place))


def read_stop(sentence: str) -> Stop | None:
    """Return the stop that a sentence tells of, its figures as they were printed; None for any other text."""
    for rule, pattern in PATTERNS.items():
        found = re.fullmatch(pattern, sentence)
        if found:
            return Stop(int(found["rung"]), float(found["value"]), float(found["cutoff"]), int(found["compared"]), rule)
    return None


def _pattern(template: str) -> str:
    """Return the pattern of the sentences that a template makes."""
    number, whole = r"-?\d+\.\d+", r"\d+"
    kinds = {"rung": whole, "value": number, "cutoff": number, "compared": whole}
    groups = {name: f"(?P<{name}>{kind})" for name, kind in kinds.items()}
    escaped = re.escape(template.replace(":.4f", "").replace("{s}", "").replace("{metric}", OBJECTIVE))
    for name, group in groups.items():
        escaped = escaped.replace(re.escape(f"{{{name}}}"), group)
    return re.sub(r"(trial|other)\b", r"\1s?", escaped)


PATTERNS = {rule: _pattern(template) for rule, template in SENTENCES.items()}


@dataclass(frozen=True)
class Schedule:
    """How trials are stopped early."""

    name: str
    grace: float
    """Share of the epoch budget that every trial gets before it may be stopped."""
    reduction: int
    """At each rung about one in so many trials goes on; rungs lie that factor apart."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs at which trials are compared, ascending; the last epoch is none.

        Each rung lies `reduction` times as far as the one before; under the median rule, which stops few at a time, a
        grace further.

        Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, section 3.1.
        """
        if self.name == "none":
            return ()
        first = max(1, math.ceil(self.grace * epochs))
        if self.name == "median":
            return tuple(range(first, epochs, first))
        found, rung = [], first
        while rung < epochs:
            found.append(rung)
            rung *= self.reduction
        return tuple(found)
