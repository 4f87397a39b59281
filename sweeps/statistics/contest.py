"""Scores and how they scatter -> simultaneous intervals, who is excluded, who is surely close, the outcome. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from sweeps.statistics.findings import Interval, Rival
from sweeps.statistics.significance import ALPHA

LEADERS = 64
"""Of how many possible leaders all comparisons are covered at once; more than 64 trials rarely could lead."""

RANKED = 32
"""Among more trials the shares of every rank are left out."""

PART = 256
"""Replicates at a time."""

FOUND = 0.85
"""How often a lead of the detection limit is found by reckoning, so that it is found in 80 of 100 in truth."""


@dataclass(frozen=True, eq=False)
class Contest:
    """Every trial against the leader.

    Shape:
        order, scores, error, reach, low, high, p_best: (T,).  scatter: (T, B).
    """

    order: np.ndarray
    """Places of trials, the best first; of equal ones the earlier."""
    scores: np.ndarray
    scatter: np.ndarray
    """Deviation of each score in each replicate, all that is uncertain in it."""
    error: np.ndarray
    """Standard error of the difference to the leader."""
    reach: np.ndarray
    """Half of the simultaneous 95 % interval of the difference."""
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    critical: float = 0.0
    """Reach in units of the error."""
    is_blind: bool = False
    """Too few units, or runs, to say anything."""

    @property
    def leader(self) -> int:
        return int(self.order[0])

    @property
    def difference(self) -> np.ndarray:
        """Score less the leader's."""
        return self.scores - self.scores[self.leader]

    @property
    def tied(self) -> list[int]:
        """Return the places not excluded, the leader first."""
        return [int(at) for at in self.order if at == self.leader or self.high[at] >= 0]

    def is_surely_close(self, margin: float) -> np.ndarray:
        """Return who is surely less than the margin behind; the leader is."""
        return self.low > -margin


def hold_contest(scores: np.ndarray, scatter: np.ndarray, *, is_blind: bool = False) -> Contest:
    """Return the contest. The intervals hold for all rivals at once, and whoever of LEADERS happens to lead.

    The leader is chosen on the same data, so the critical value is that of the largest studentised difference between
    any possible leader and any trial (Tukey's range, by bootstrap), not between one given leader and its rivals.
    Source: Hothorn, Bretz and Westfall 2008, Simultaneous inference in general parametric models (max-T).

    Shape:
        scores: (T,).  scatter: (T, B), deviations from the scores.
    """
    order = np.argsort(-scores, kind="stable")
    p_best = _wins(scores, scatter)
    if is_blind or not scatter.shape[1]:
        reach = np.where(np.arange(len(scores)) == order[0], 0.0, 1.0)
        return Contest(order, scores, scatter, reach, reach, -reach, reach, p_best, is_blind=True)
    leaders = _possible_leaders(int(order[0]), p_best)
    errors = _errors(scatter, leaders)
    error = errors[int(np.flatnonzero(leaders == order[0])[0])]
    critical = _critical(scatter, leaders, errors)
    reach = critical * error
    difference = scores - scores[order[0]]
    return Contest(order, scores, scatter, error, reach, difference - reach, difference + reach, p_best, critical)


def widen(contest: Contest, low: np.ndarray, high: np.ndarray) -> Contest:
    """Return the contest with intervals that also contain the given ones: the more cautious of two decides."""
    low, high = np.minimum(contest.low, low), np.maximum(contest.high, high)
    reach = np.maximum(contest.difference - low, high - contest.difference)
    return replace(contest, reach=reach, low=low, high=high)


def plain_intervals(contest: Contest) -> list[Interval]:
    """Return the 95 % interval of each score by itself, from its scatter."""
    reach = (
        contest.scatter.std(1) * float(ndtri(1 - ALPHA / 2)) if not contest.is_blind else np.ones(len(contest.scores))
    )
    return [
        Interval(float(at), float(at - half), float(at + half)) for at, half in zip(contest.scores, reach, strict=True)
    ]


def _wins(scores: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Return the share of replicates that each won; equal ones share a win."""
    if not scatter.shape[1]:
        return np.full(len(scores), 1 / len(scores))
    won = np.zeros(len(scores))
    for part in _parts(scatter):
        values = part + scores[:, None].astype(part.dtype)
        is_best = values == values.max(0)
        won += is_best @ (1 / is_best.sum(0))
    return won / scatter.shape[1]


def _parts(scatter: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the replicates some at a time: what fits into a processor's cache is several times as fast."""
    for start in range(0, scatter.shape[1], PART):
        yield np.ascontiguousarray(scatter[:, start : start + PART])


def _possible_leaders(leader: int, p_best: np.ndarray) -> np.ndarray:
    if len(p_best) <= LEADERS:
        return np.arange(len(p_best))
    likely = [int(at) for at in np.argsort(-p_best, kind="stable")[:LEADERS] if p_best[at] > 0]
    return np.asarray(sorted({leader, *likely}))


def _errors(scatter: np.ndarray, leaders: np.ndarray) -> np.ndarray:
    """Return the standard errors of differences; of those that never differ exactly 0.

    Shape:
        returns: (L, T).
    """
    square, both = np.zeros(len(scatter)), np.zeros((len(leaders), len(scatter)))
    for part in _parts(scatter):
        wide = part.astype(np.float64)
        square += (wide**2).sum(1) / scatter.shape[1]
        both += wide[leaders] @ wide.T / scatter.shape[1]
    whole = square[leaders, None] + square
    variance = whole - 2 * both
    return np.sqrt(np.where(variance > 1e-12 * whole, variance, 0.0))


def _critical(scatter: np.ndarray, leaders: np.ndarray, errors: np.ndarray) -> float:
    """Return the 95 % quantile of the largest studentised difference of all."""
    inverse = np.divide(1.0, errors, out=np.zeros_like(errors), where=errors > 0).astype(scatter.dtype)
    largest = []
    for part in _parts(scatter):
        found = np.zeros(part.shape[1], dtype=part.dtype)
        for row, leader in enumerate(leaders):
            gaps = np.subtract(part, part[leader])
            np.multiply(gaps, inverse[row][:, None], out=gaps)
            np.maximum(found, np.maximum(gaps.max(0), -gaps.min(0)), out=found)
        largest.append(found)
    return float(np.quantile(np.concatenate(largest), 1 - ALPHA, method="higher"))


def decide(contest: Contest, margin: float, *, surpassing: str) -> str:
    """Return the outcome: who is alone ahead of all rivals is `surpassing` (leader or winner)."""
    rivals = contest.tied[1:]
    if not rivals:
        return surpassing if len(contest.scores) > 1 else "leader"
    is_open = [contest.low[at] < -margin and contest.high[at] > margin for at in rivals]
    return "undecided" if any(is_open) else "tie"


def detectable(contest: Contest) -> float:
    """Return the smallest true lead over all rivals still in question with which one is found alone in 80 % of sweeps.

    In question are the tied ones; where the leader is alone, the next best.
    """
    rivals = np.asarray(contest.tied[1:] or contest.order[1:2], dtype=int)
    if not len(rivals):
        return float("nan")
    if contest.is_blind:
        return float("inf")
    gaps = contest.scatter[rivals] - contest.scatter[contest.leader] + contest.reach[rivals, None]
    return float(np.quantile(gaps.max(0), FOUND))


def recommend(contest: Contest, margin: float, costs: Sequence[Sequence[float | None]]) -> int:
    """Return the cheapest of the leader and those surely close, by each cost that is known of all of them in turn."""
    close = contest.is_surely_close(margin)
    field = [int(at) for at in contest.order if close[at]]
    for cost in costs:
        known = {at: cost[at] for at in field}
        if all(value is not None for value in known.values()):
            least = min(value for value in known.values() if value is not None)
            field = [at for at in field if known[at] == least]
    return field[0]


def describe_rivals(
    contest: Contest,
    ids: Sequence[str],
    margin: float,
    latencies: Sequence[float | None],
    parameters: Sequence[int | None],
    scores: Sequence[Interval],
    run_scores: np.ndarray | None = None,
) -> tuple[Rival, ...]:
    """Return all that were compared, the best first; `scores` are their own intervals."""
    close, tied, shares = contest.is_surely_close(margin), set(contest.tied), _rank_shares(contest)
    return tuple(
        Rival(
            trial_id=ids[at],
            score=_interval(scores[at].estimate, scores[at].low, scores[at].high, 0, 1),
            difference=_interval(contest.difference[at], contest.low[at], contest.high[at], -1, 1),
            p_best=float(contest.p_best[at]),
            is_tied=at in tied,
            is_surely_close=bool(close[at]),
            latency_ms=latencies[at],
            parameters=parameters[at],
            run_scores=() if run_scores is None else tuple(float(score) for score in run_scores[at]),
            rank_shares=shares[at] if shares else (),
        )
        for at in map(int, contest.order)
    )


def _interval(estimate: float, low: float, high: float, least: float, most: float) -> Interval:
    return Interval(float(estimate), float(max(low, least)), float(min(high, most)))


def _rank_shares(contest: Contest) -> list[tuple[float, ...]]:
    """Return, for each trial, in what share of replicates it came first, second, ...; equal ones share a rank."""
    trials = len(contest.scores)
    if trials > RANKED or contest.is_blind:
        return []
    values = contest.scatter + contest.scores[:, None].astype(contest.scatter.dtype)
    ranks = np.stack([(values > value).sum(0) for value in values])
    return [tuple(np.bincount(row, minlength=trials) / ranks.shape[1]) for row in ranks]
