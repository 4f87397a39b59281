"""Evidence -> verdict: who leads or has won, with intervals, or that nobody can tell. Nothing is read or written."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bddseg.words import count
from sweeps.errors import NothingFinishedError
from sweeps.statistics.contest import (
    Contest,
    decide,
    describe_rivals,
    hold_contest,
    plain_intervals,
    recommend,
    widen,
)
from sweeps.statistics.findings import Candidate, Finalist, Gap, Interval, Needed, Rival, Scenes, Slice, Verdict
from sweeps.statistics.lineup import Entrant, Lineup, build_lineup
from sweeps.statistics.needs import bearable_sd, needed_confirmation, needed_screening
from sweeps.statistics.noise import Noise, measure_noise
from sweeps.statistics.resampling import draw_units, resample_miou, score_left_out
from sweeps.statistics.sample import Sample
from sweeps.statistics.sentences import say_caveats, say_verdict
from sweeps.statistics.significance import ALPHA, corrected_t, holm_levels, t_quantile, widening
from sweeps.statistics.slices import answer_scenes

__all__ = [
    "Candidate",
    "Finalist",
    "Gap",
    "Interval",
    "Needed",
    "Rival",
    "Scenes",
    "Slice",
    "Verdict",
    "confirm",
    "screen",
]

WIDEST = 100.0
"""Of a bootstrap over too few units nothing is concluded; its spread stays finite all the same."""

RARE = 10
"""A class of the mean in fewer units than these is named."""

SHOWN = 8
"""Of how many trials the scenes are looked into."""


def screen(
    candidates: Sequence[Candidate],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
    noise: Noise | None = None,
) -> Verdict:
    """Return the verdict over trials that were run once each: leader, tie or undecided, never a winner.

    Images (drives, where names carry one) are drawn for all trials alike, and to each score the noise is added that
    another seed would have brought: measured where trials differ in their seed only, otherwise assumed.

    Raises:
        NothingFinishedError: when no candidate has usable evidence.
    """
    lineup = _line_up(
        [
            Entrant(it.trial_id, () if it.evidence is None else (it.evidence,), it.missing, it.is_reference)
            for it in candidates
        ]
    )
    known = {it.trial_id: it for it in candidates}
    chosen = [known[name] for name in lineup.ids]
    noise = noise or measure_noise(lineup.scores, [it.setting for it in chosen])
    weights, sampled = _sample(lineup, draws, seed)
    luck = noise.draw(sampled.shape, seed)
    wide = np.float32(min(widening(lineup.bearing_units), WIDEST))
    images = (sampled - lineup.scores[:, None].astype(np.float32)) * wide
    contest = hold_contest(lineup.scores, images + luck, is_blind=lineup.bearing_units < 2)
    later = noise.draw((1, len(weights)), seed + 1)[0]
    return _verdict(
        "screening",
        lineup,
        contest,
        chosen,
        weights,
        scores=plain_intervals(contest),
        corrected=_correct(lineup, weights, sampled + luck, later),
        needed=needed_screening(contest, images, lineup, noise, margin),
        margins=(margin, scene_margin),
        noise=noise,
        bearable_sd=bearable_sd(contest, images),
    )


def confirm(
    finalists: Sequence[Finalist],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Return the verdict over finalists that were trained anew, run by run on the same folds.

    Two judges: a bootstrap of runs and of drives within them, widened for the few runs, and the paired t test of the
    runs' scores, corrected for training images in common (Nadeau and Bengio) and for the number of rivals (Holm).
    A rival is excluded when both exclude it; its interval contains both of theirs.

    Raises:
        NothingFinishedError: when no finalist has usable evidence.
    """
    lineup = _line_up([Entrant(it.finalist_id, it.runs, "", it.is_reference) for it in finalists])
    known = {it.finalist_id: it for it in finalists}
    chosen = [known[name] for name in lineup.ids]
    weights, sampled = _sample(lineup, draws, seed)
    units = draw_units(np.zeros(lineup.units, dtype=int), draws, seed)
    by_units = resample_miou(lineup.above, lineup.below, units)
    wide = np.float32(min(widening(min(lineup.runs, lineup.bearing_units)), WIDEST))
    raw = sampled - lineup.scores[:, None].astype(np.float32)
    first = hold_contest(lineup.scores, raw * wide, is_blind=min(lineup.runs, lineup.bearing_units) < 2)
    contest = widen(first, *_paired_intervals(first, lineup.run_scores))
    return _verdict(
        "confirmation",
        lineup,
        contest,
        chosen,
        units,
        scores=_judged_scores(lineup, by_units),
        corrected=_correct(lineup, weights, sampled, 0.0),
        needed=needed_confirmation(first, contest, by_units, lineup, margin),
        margins=(margin, scene_margin),
        noise=None,
        bearable_sd=None,
    )


def _line_up(entrants: Sequence[Entrant]) -> Lineup:
    lineup = build_lineup(entrants)
    if lineup is None:
        raise NothingFinishedError(
            f"no usable evidence in {count(len(entrants), 'trial')}, so there is nothing to compare"
        )
    return lineup


def _sample(lineup: Lineup, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the draws in which every trial has a score, and these scores.

    Shape:
        returns: (B, U), (T, B).
    """
    weights = draw_units(lineup.run_of_unit, draws, seed)
    sampled = resample_miou(lineup.above, lineup.below, weights)
    usable = np.isfinite(sampled).all(0)
    return (weights, sampled) if usable.all() else (weights[usable], sampled[:, usable])


def _correct(lineup: Lineup, weights: np.ndarray, values: np.ndarray, later: np.ndarray | float) -> Interval | None:
    """Return what whoever leads scores where it was not chosen; None when no draw leaves anything out.

    `later` is the noise of another run of the chosen setting.
    """
    if not len(weights):
        return None
    rest = score_left_out(lineup.above, lineup.below, weights, values.argmax(0))
    usable = np.isfinite(rest)
    if not usable.any():
        return None
    low, high = np.quantile((rest + later)[usable], [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(rest[usable].mean()), float(max(low, 0.0)), float(min(high, 1.0)))


def _judged_scores(lineup: Lineup, by_units: np.ndarray) -> list[Interval]:
    """Return the score of each with its 95 % interval by units or by runs, whichever is wider."""
    found = [
        (score, Sample(float(score), draws, lineup.bearing_units, runs).interval())
        for score, draws, runs in zip(lineup.scores, by_units, lineup.run_scores, strict=True)
    ]
    return [known or Interval(float(score), 0.0, 1.0) for score, known in found]


def _paired_intervals(contest: Contest, run_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the corrected paired t test, each at the level at which Holm's procedure tests it."""
    leader, runs = contest.leader, run_scores.shape[1]
    rivals = np.delete(np.arange(len(run_scores)), leader)
    mean, error, p = corrected_t(run_scores[rivals] - run_scores[leader])
    reach = np.asarray([t_quantile(1 - level / 2, runs - 1) for level in holm_levels(p)]) * error
    low, high = np.zeros(len(run_scores)), np.zeros(len(run_scores))
    low[rivals], high[rivals] = mean - reach, mean + reach
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def _verdict(
    stage: str,
    lineup: Lineup,
    contest: Contest,
    chosen: Sequence[Candidate | Finalist],
    units: np.ndarray,
    *,
    scores: Sequence[Interval],
    corrected: Interval | None,
    needed: Needed | None,
    margins: tuple[float, float],
    noise: Noise | None,
    bearable_sd: float | None,
) -> Verdict:
    margin, scene_margin = margins
    names = {name: it.name for name, it in zip(lineup.ids, chosen, strict=True) if it.name}
    latencies, parameters = [it.latency_ms for it in chosen], [it.parameters for it in chosen]
    runs = lineup.run_scores if stage == "confirmation" else None
    described = describe_rivals(contest, lineup.ids, margin, latencies, parameters, scores, runs)
    stopped = {name for name, it in zip(lineup.ids, chosen, strict=True) if getattr(it, "is_stopped", False)}
    rivals = tuple(replace(rival, is_stopped=rival.trial_id in stopped) for rival in described)
    outcome = decide(contest, margin, surpassing="winner" if stage == "confirmation" else "leader")
    recommended = recommend(contest, margin, (latencies, parameters))
    absent = [name for name, found in zip(lineup.classes, lineup.union.sum((0, 1)), strict=True) if not found]
    return Verdict(
        stage=stage,
        outcome=outcome,
        leader=lineup.ids[contest.leader],
        recommended=lineup.ids[recommended],
        tied=tuple(lineup.ids[at] for at in contest.tied),
        rivals=rivals,
        corrected=corrected,
        margin=margin,
        images=lineup.images,
        drives=lineup.drives,
        runs=lineup.runs,
        draws=len(units),
        needed=needed,
        left_out=lineup.left_out,
        kendall_tau=_agreement(lineup, chosen),
        scenes=answer_scenes(lineup, units, _shown(contest, recommended, chosen), scene_margin, names),
        sentence=say_verdict(outcome, rivals, lineup.ids[recommended], needed, margin, names),
        caveats=say_caveats(
            noise=noise,
            runs=lineup.runs,
            units=lineup.units,
            by_drive=lineup.by_drive,
            without_drive=lineup.without_drive,
            absent=absent,
            rare={name: count for name, count in lineup.occurrences.items() if count < min(RARE, lineup.units)},
            rivals=rivals,
            bearable_sd=bearable_sd,
        ),
    )


def _shown(contest: Contest, recommended: int, chosen: Sequence[Candidate | Finalist]) -> list[int]:
    """Return the leader, the recommended one, the reference and the next best: SHOWN at most."""
    references = [at for at, it in enumerate(chosen) if it.is_reference]
    return list(dict.fromkeys([contest.leader, recommended, *references, *map(int, contest.order)]))[:SHOWN]


def _agreement(lineup: Lineup, chosen: Sequence[Candidate | Finalist]) -> float | None:
    """Return Kendall's tau between the scores of the screening and these; None where there is no order to compare."""
    screened = [getattr(it, "screening_score", None) for it in chosen]
    pairs = [(old, new) for old, new in zip(screened, lineup.scores, strict=True) if old is not None]
    if len({old for old, _ in pairs}) < 2 or len({new for _, new in pairs}) < 2:
        return None
    from scipy.stats import kendalltau

    return float(kendalltau(*zip(*pairs, strict=True)).statistic)
