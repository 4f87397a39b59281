"""Compare settings with the leader: simultaneous intervals, exclusions, ties and the outcome. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sweeps.statistics.hypothesis_tests import ALPHA, POWER
from sweeps.statistics.results import Interval, Rival

LEADERS = 64
"""Possible leaders that the simultaneous intervals cover; more than 64 settings could rarely lead."""

RANKED = 32
"""Settings up to which the shares of every rank are computed."""

PART = 256
"""Replicates at a time."""


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Every setting against the leader.

    Shape:
        order, scores, variance, error, reach, low, high, p_best, allowance: (T,).  scatter: (T, B).
    """

    order: np.ndarray
    """Indices of settings, the best first; of equal ones the earlier."""
    scores: np.ndarray
    scatter: np.ndarray
    """Deviation of each score in each replicate, from images and runs."""
    variance: np.ndarray
    """Of each score by itself."""
    error: np.ndarray
    """Standard error of the difference to the leader."""
    reach: np.ndarray
    """Half of the simultaneous interval of the difference."""
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    """NaN where it cannot be estimated."""
    allowance: np.ndarray
    """By how much the interval of the difference reaches further up, for what an unlucky seed may have lost."""
    classes: int = 0
    """Number of classes that the allowance is one of; 0 where it is a constant."""
    critical: float = 0.0
    """Reach in units of the error."""
    is_blind: bool = False
    """Whether nothing can be concluded: there are too few units, or the noise is unknown."""

    @property
    def leader(self) -> int:
        return int(self.order[0])

    @property
    def difference(self) -> np.ndarray:
        """Score less the leader's."""
        return self.scores - self.scores[self.leader]

    @property
    def tied(self) -> list[int]:
        """Return the indices of settings not excluded, the leader first."""
        return [int(index) for index in self.order if index == self.leader or self.high[index] >= 0]

    @property
    def spared(self) -> int:
        """Return how many settings are not excluded because of their allowance alone."""
        return sum(bool(self.high[index] < self.allowance[index]) for index in self.tied[1:])

    def is_surely_close(self, margin: float) -> np.ndarray:
        """Return which settings are significantly less than the margin behind; the leader always is."""
        return self.low > -margin

    def is_close(self, margin: float) -> np.ndarray:
        """Return which settings are estimated to be at most the margin, or one standard error, behind.

        Source: Breiman et al. 1984, Classification and Regression Trees, section 3.4.3, the one-standard-error rule.
        """
        return -self.difference <= np.maximum(margin, self.error)


def compare_settings(
    scores: np.ndarray,
    images: np.ndarray,
    run_noise: np.ndarray,
    run_variance: np.ndarray,
    *,
    allowance: np.ndarray | None = None,
    classes: int = 0,
    alpha: float = ALPHA,
    is_blind: bool = False,
) -> Comparisons:
    """Return the comparisons, with intervals that hold for all rivals and any of LEADERS possible leaders at once.

    The leader is chosen on the same data, so the critical value is that of the largest studentised difference between
    any possible leader and any setting (Tukey's range, by simulation), not between one given leader and its rivals.
    Source: Hothorn, Bretz and Westfall 2008, Simultaneous inference in general parametric models (max-T).

    Args:
        scores: (T,).
        images: (T, B), deviations that other images would have brought, the same draw for all settings.
        run_noise: (T, B), deviations that other runs would have brought, independent between settings.
        run_variance: (T,), the estimated variance of run_noise. It is not taken from the draws: where it is known with
            few degrees of freedom, their tails are too heavy for a standard deviation.
        allowance: (T,), see `sweeps.statistics.seed_noise.unlearned_class`; None: 0 for all.
        classes: number of classes that the allowance is one of; 0 where it is a constant.
        alpha: one less the confidence of all intervals together.
        is_blind: whether nothing can be concluded.
    """
    allowance = np.zeros(len(scores)) if allowance is None else allowance
    order = np.argsort(-scores, kind="stable")
    scatter = images + run_noise
    variance = images.var(1, dtype=np.float64) + run_variance if images.shape[1] else run_variance
    if is_blind or not scatter.shape[1]:
        reach = np.where(np.arange(len(scores)) == order[0], 0.0, 1.0)
        unknown = np.full(len(scores), np.nan)
        intervals = (reach, reach, -reach, reach, unknown, allowance, classes)
        return Comparisons(order, scores, scatter, variance, *intervals, is_blind=True)
    p_best = _p_best(scores, images, run_noise, run_variance)
    leaders = _possible_leaders(scores, variance)
    errors = _errors(images, leaders, run_variance)
    error = errors[int(np.flatnonzero(leaders == order[0])[0])]
    critical = _critical(scatter, leaders, errors, alpha)
    reach = critical * error
    difference = scores - scores[order[0]]
    low, high = difference - reach, difference + reach + allowance
    return Comparisons(order, scores, scatter, variance, error, reach, low, high, p_best, allowance, classes, critical)


def own_intervals(comparisons: Comparisons) -> list[Interval]:
    """Return the 95 % interval of each score by itself, from its scatter."""
    if comparisons.is_blind:
        return [Interval(float(score), 0.0, 1.0) for score in comparisons.scores]
    halves = np.quantile(np.abs(comparisons.scatter), 1 - ALPHA, axis=1)
    return [
        Interval(float(score), float(score - half), float(score + half))
        for score, half in zip(comparisons.scores, halves, strict=True)
    ]


def optimism(comparisons: Comparisons) -> float:
    """Return by how much the leader's score is expected to exceed its truth because it was chosen as the highest.

    In every replicate its leader is compared with its mean over all replicates. mIoU is no linear function of
    the drives, so that the mean of few drives' replicates lies off the score itself: this bias is not owed to choosing,
    and is left out. Source: Efron 1983, Estimating the error rate of a prediction rule, section 2 (the bootstrap
    estimate of optimism).
    """
    if not comparisons.scatter.shape[1]:
        return 0.0
    scores = comparisons.scores[:, None].astype(comparisons.scatter.dtype)
    centre = comparisons.scatter.mean(1, dtype=np.float64)[:, None].astype(comparisons.scatter.dtype)
    total = 0.0
    for part in _parts(comparisons.scatter):
        deviations = part - centre
        chosen = (deviations + scores).argmax(0)
        total += float(deviations[chosen, np.arange(deviations.shape[1])].sum(dtype=np.float64))
    return max(0.0, total / comparisons.scatter.shape[1])  # below 0 by rounding only


def _p_best(scores: np.ndarray, images: np.ndarray, run_noise: np.ndarray, run_variance: np.ndarray) -> np.ndarray:
    """Return the probability that each setting is the best, from scores that are shrunk towards their mean.

    The highest of many scores is partly luck; with draws around the scores themselves the leader would win too often.
    Settings are taken to differ around their mean with the variance that the scores have beyond their errors; of
    settings that differ by no more than their errors each has the same probability.
    Source: Efron and Morris 1973, Stein's estimation rule and its competitors (empirical Bayes); shares of equal
    replicates are split.

    Shape:
        returns: (T,), sum 1.
    """
    settings, draws = images.shape
    if settings == 1 or not draws:
        return np.full(settings, 1 / settings)
    common = images.mean(0)
    error = (images - common).var(1, dtype=np.float64) + run_variance
    spread = max(0.0, float(scores.var(ddof=1)) - float(error.mean()))
    if spread == 0 or not np.isfinite(spread):
        return np.full(settings, 1 / settings)
    weight = spread / (spread + error)
    centre = float((weight * scores).sum() / weight.sum())
    means = (centre + weight * (scores - centre)).astype(np.float32)
    scale = np.sqrt(weight).astype(np.float32)
    won = np.zeros(settings)
    for start in range(0, draws, PART):
        cut = slice(start, start + PART)
        values = means[:, None] + scale[:, None] * (images[:, cut] - common[cut] + run_noise[:, cut])
        is_best = values == values.max(0)
        won += is_best @ (1 / is_best.sum(0))
    return np.asarray(won / draws)


def _parts(scatter: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the replicates in parts that fit into the processor's cache, which is several times as fast."""
    for start in range(0, scatter.shape[1], PART):
        yield np.ascontiguousarray(scatter[:, start : start + PART])


def _possible_leaders(scores: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the indices of possible leaders: the highest by score plus three standard errors."""
    if len(scores) <= LEADERS:
        return np.arange(len(scores))
    highest = np.argsort(-(scores + 3 * np.sqrt(variance)), kind="stable")[: LEADERS - 1]
    return np.asarray(sorted({int(np.argmax(scores)), *map(int, highest)}))


def _errors(images: np.ndarray, leaders: np.ndarray, run_variance: np.ndarray) -> np.ndarray:
    """Return the standard errors of differences; 0 between a setting and itself.

    Shape:
        returns: (L, T).
    """
    square, products = np.zeros(len(images)), np.zeros((len(leaders), len(images)))
    for part in _parts(images):
        wide = part.astype(np.float64)
        square += (wide**2).sum(1) / images.shape[1]
        products += wide[leaders] @ wide.T / images.shape[1]
    whole = square[leaders, None] + square
    of_images = whole - 2 * products
    variance = np.where(of_images > 1e-12 * whole, of_images, 0.0) + run_variance[leaders, None] + run_variance
    variance[leaders[:, None] == np.arange(len(images))] = 0.0
    return np.sqrt(variance)


def _critical(scatter: np.ndarray, leaders: np.ndarray, errors: np.ndarray, alpha: float) -> float:
    """Return the 1 - alpha quantile of the largest studentised difference of all."""
    inverse = np.divide(1.0, errors, out=np.zeros_like(errors), where=errors > 0).astype(scatter.dtype)
    largest = []
    for part in _parts(scatter):
        most = np.zeros(part.shape[1], dtype=part.dtype)
        for row, leader in enumerate(leaders):
            gaps = np.subtract(part, part[leader])
            np.multiply(gaps, inverse[row][:, None], out=gaps)
            np.maximum(most, np.maximum(gaps.max(0), -gaps.min(0)), out=most)
        largest.append(most)
    return float(np.quantile(np.concatenate(largest), 1 - alpha, method="higher"))


def decide(comparisons: Comparisons, margin: float, *, surpassing: str) -> str:
    """Return the outcome; a setting alone ahead of all rivals is `surpassing` (leader or winner)."""
    rivals = comparisons.tied[1:]
    if not rivals:
        return surpassing if len(comparisons.scores) > 1 else "leader"
    is_open = [comparisons.low[index] < -margin and comparisons.high[index] > margin for index in rivals]
    return "undecided" if any(is_open) else "tie"


def detectable(comparisons: Comparisons) -> float:
    """Return the smallest true lead over the rivals in question that is detected with POWER.

    In question are the tied ones; where the leader is alone, the next best. The lead is taken as spread evenly over the
    classes. Of C classes one does not count against a rival with an allowance, and takes 1 / C of the lead with it.
    """
    rivals = np.asarray(comparisons.tied[1:] or comparisons.order[1:2], dtype=int)
    if not len(rivals):
        return float("nan")
    if comparisons.is_blind:
        return float("inf")
    allowance = comparisons.allowance[rivals]
    share = (allowance > 0) / comparisons.classes if comparisons.classes else np.zeros(len(rivals))
    noise = np.maximum(allowance + share * comparisons.difference[rivals], 0.0)  # what is not the lead's share of it
    reach = (comparisons.reach[rivals] + noise)[:, None]
    gaps = (comparisons.scatter[rivals] - comparisons.scatter[comparisons.leader] + reach) / (1 - share)[:, None]
    return float(np.quantile(gaps.max(0), POWER))


def recommend(comparisons: Comparisons, margin: float, costs: Sequence[Sequence[float | None]]) -> int:
    """Return the cheapest of the tied settings that are close, by each cost in turn that is known of all."""
    close = comparisons.is_close(margin)
    field = [index for index in comparisons.tied if close[index]]
    for cost in costs:
        known_costs = {index: cost[index] for index in field}
        if all(value is not None for value in known_costs.values()):
            least = min(value for value in known_costs.values() if value is not None)
            field = [index for index in field if known_costs[index] == least]
    return field[0]


def describe_rivals(
    comparisons: Comparisons,
    ids: Sequence[str],
    margin: float,
    latencies: Sequence[float | None],
    parameters: Sequence[int | None],
    scores: Sequence[Interval],
    run_scores: Sequence[np.ndarray],
) -> tuple[Rival, ...]:
    """Return all compared settings, the best first; `scores` are their own intervals."""
    surely, close = comparisons.is_surely_close(margin), comparisons.is_close(margin)
    tied, shares = set(comparisons.tied), _rank_shares(comparisons)
    return tuple(
        Rival(
            trial_id=ids[index],
            score=_interval(scores[index].estimate, scores[index].low, scores[index].high, 0, 1),
            difference=_interval(comparisons.difference[index], comparisons.low[index], comparisons.high[index], -1, 1),
            p_best=None if comparisons.is_blind else float(comparisons.p_best[index]),
            is_tied=index in tied,
            is_close=bool(close[index]),
            is_surely_close=bool(surely[index]),
            latency_ms=latencies[index],
            parameters=parameters[index],
            run_scores=tuple(float(score) for score in run_scores[index]),
            rank_shares=shares[index] if shares else (),
        )
        for index in map(int, comparisons.order)
    )


def _interval(estimate: float, low: float, high: float, least: float, most: float) -> Interval:
    return Interval(float(estimate), float(max(low, least)), float(min(high, most)))


def _rank_shares(comparisons: Comparisons) -> list[tuple[float, ...]]:
    """Return the share of replicates in which each setting has each rank; equal scores share a rank."""
    settings = len(comparisons.scores)
    if settings > RANKED or comparisons.is_blind:
        return []
    values = comparisons.scatter + comparisons.scores[:, None].astype(comparisons.scatter.dtype)
    ranks = np.stack([(values > value).sum(0) for value in values])
    return [tuple(np.bincount(row, minlength=settings) / ranks.shape[1]) for row in ranks]
