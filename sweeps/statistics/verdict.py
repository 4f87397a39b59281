"""Evidence -> verdict: who leads or has won, with intervals, or that nobody can tell. Nothing is read or written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bddseg.words import count
from sweeps.errors import NothingFinishedError
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, build_lineup, score_of
from sweeps.statistics.bootstrap import draw_units, resample_deviations
from sweeps.statistics.comparisons import (
    Comparisons,
    decide,
    describe_rivals,
    hold_contest,
    optimism,
    own_intervals,
    recommend,
)
from sweeps.statistics.hypothesis_tests import ALPHA, overlap, widening
from sweeps.statistics.results import (
    Candidate,
    Finalist,
    Gap,
    Interval,
    NoiseFigures,
    Rival,
    SampleSizeNeeded,
    Scenes,
    Slice,
    StoppedTrial,
    Verdict,
)
from sweeps.statistics.sample_size import bearable_sd, find_needed
from sweeps.statistics.seed_noise import (
    Noise,
    estimate_noise,
    known_noise,
    pool_noise,
    rise_of,
)
from sweeps.statistics.slices import answer_scenes
from sweeps.statistics.wording import describe_caveats, describe_verdict

__all__ = [
    "Candidate",
    "Finalist",
    "Gap",
    "Interval",
    "Rival",
    "SampleSizeNeeded",
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
"""Of how many settings the scenes are looked into."""


def screen(
    candidates: Sequence[Candidate],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
    run_sd: float | None = None,
    confirming: int = 0,
) -> Verdict:
    """Return the verdict over the trials of a screening: leader, tie or undecided, never a winner.

    Trials that differ in their seed only are one setting: their counts are summed. Drives (blocks of neighbouring
    names, where names carry no drive) are drawn for all settings alike, and to each score the noise is added that other
    seeds would have brought, see `sweeps.statistics.seed_noise`. Trials that were stopped early are no rivals.

    Args:
        margin: difference in mIoU that does not matter, as a fraction of 1; `scene_margin` likewise between scenes.
        run_sd: standard deviation between runs, where it is known from elsewhere; None: it is estimated.
        confirming: images that a confirmation would score; 0: as many as here.

    Raises:
        NothingFinishedError: when no completed candidate has usable evidence.
    """
    settings = _by_setting([candidate for candidate in candidates if not candidate.is_stopped and candidate.evidence])
    entrants = [
        AlignmentInput(
            name, tuple(seed.evidence for seed in seeds if seed.evidence), "", any(s.is_reference for s in seeds)
        )
        for name, seeds in settings.items()
    ]
    absent = [it for it in candidates if it.evidence is None and not it.is_stopped]
    missing = {it.trial_id: it.missing or "it left no evidence" for it in absent}
    lineup = _line_up(entrants)
    curves = [seed.curve for name in lineup.ids for seed in settings[name] if seed.curve]
    noise = estimate_noise(lineup.run_scores, curves) if run_sd is None else known_noise(run_sd, lineup.runs)
    images, weights = _image_deviations(lineup, draws, seed)
    contest = _contest(lineup, images, noise, seed, ALPHA)
    leader = settings[lineup.ids[contest.leader]][0]
    stopped = _stopped([candidate for candidate in candidates if candidate.is_stopped], leader)
    judged = _Judged("screening", lineup, contest, noise, weights, margin, scene_margin)
    verdict = judged.verdict(
        [settings[name][0] for name in lineup.ids],
        seeds=[tuple(seed.trial_id for seed in settings[name]) for name in lineup.ids],
        stopped=stopped,
        outside=sum(bool(seed.sweep) for name in lineup.ids for seed in settings[name]),
        confirming=confirming or lineup.images,
        sweeps=tuple(dict.fromkeys(seed.sweep for name in lineup.ids for seed in settings[name] if seed.sweep)),
    )
    return replace(verdict, left_out={**missing, **verdict.left_out})


def confirm(
    finalists: Sequence[Finalist],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
    folds: int = 0,
    alpha: float = ALPHA,
) -> Verdict:
    """Return the verdict over finalists that were trained again, run by run on the same folds.

    Drives are drawn for all finalists alike, and to each score the noise between runs is added: the spread of scores
    that finalists do not have in common in a fold, pooled over all finalists, less what images alone explain of it,
    and enlarged for the training images that runs have in common (Nadeau and Bengio).

    Args:
        folds: into how many parts the images were cut; 0: into as many as there are runs.
        alpha: one less the confidence of the intervals; smaller where the same runs are looked at more than once.

    Raises:
        NothingFinishedError: when no finalist has usable evidence.
    """
    lineup = _line_up([AlignmentInput(it.finalist_id, it.runs, "", it.is_reference) for it in finalists])
    known = {finalist.finalist_id: finalist for finalist in finalists}
    chosen = [known[name] for name in lineup.ids]
    images, weights = _image_deviations(lineup, draws, seed)
    curves = [curve for finalist in chosen for curve in finalist.curves if curve]
    noise = _noise_between_runs(lineup, images, curves, folds)
    contest = _contest(lineup, images, noise, seed, alpha)
    judged = _Judged("confirmation", lineup, contest, noise, weights, margin, scene_margin)
    return judged.verdict(chosen, seeds=[()] * len(chosen), stopped=(), outside=0, confirming=lineup.images)


def _by_setting(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """Return the seeds of each setting, the best first, under the id of the best: the trial that stands for it.

    A trial whose setting is not known is a setting of its own. Seeds of other sweeps come after the sweep's own.
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.setting or f"trial {candidate.trial_id}", []).append(candidate)
    ordered = [sorted(seeds, key=_seed_order) for seeds in groups.values()]
    return {seeds[0].trial_id: seeds for seeds in ordered}


def _seed_order(seed: Candidate) -> tuple[bool, float]:
    return bool(seed.sweep), -score_of(seed.evidence) if seed.evidence else math.inf


def _line_up(entrants: Sequence[AlignmentInput]) -> AlignedEvidence:
    lineup = build_lineup(entrants)
    if lineup is None:
        raise NothingFinishedError(
            f"no usable evidence of {count(len(entrants), 'setting')}, so there is nothing to compare"
        )
    return lineup


def _image_deviations(lineup: AlignedEvidence, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what other images would change in each score, and how often each draw takes each unit.

    Shape:
        returns: (T, B), (B, U).
    """
    weights = draw_units(lineup.units, draws, seed)
    wide = np.asarray([min(widening(units), WIDEST) for units in lineup.bearing_units])
    return resample_deviations(lineup.above, lineup.below, lineup.true, weights, wide), weights


def _contest(lineup: AlignedEvidence, images: np.ndarray, noise: Noise, seed: int, alpha: float) -> Comparisons:
    """Return the contest; blind where nothing is known of the noise, or a class of the mean is in one unit only."""
    is_blind = noise.is_unknown or int(lineup.bearing_units[lineup.bearing_units > 0].min(initial=2)) < 2
    variance = np.zeros(len(images)) if noise.is_unknown else noise.variance
    luck = noise.draw(images.shape[1], seed)
    return hold_contest(lineup.scores, images, luck, variance, alpha=alpha, is_blind=is_blind)


def _noise_between_runs(
    lineup: AlignedEvidence,
    images: np.ndarray,
    curves: Sequence[Sequence[float]],
    folds: int,
) -> Noise:
    """Return the noise between the runs of a confirmation.

    The residuals of a two-way layout (finalist, run) have what a fold does to all finalists taken away. They hold the
    noise of runs and that of the fold's images; the latter is known from the bootstrap of all images, of which a fold
    has its share. Few residuals may be small by chance: taken from them, the images' share would leave no noise at all.
    """
    scores = np.stack(lineup.run_scores)  # (T, R)
    settings, runs = scores.shape
    nothing = np.zeros(settings)
    share = nothing + overlap(runs, folds or runs)
    freedom = (settings - 1) * (runs - 1)
    rest = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    per_run = len(lineup.entrants[0].runs[0].names) / lineup.images
    own = images - images.mean(0)
    of_images = float(own.var(1, dtype=np.float64).sum()) / max(1, settings - 1) / per_run
    total = float((rest**2).sum())
    squares = max(total - freedom * of_images, total / (1 + freedom))
    return pool_noise(squares, freedom, rise_of(curves), nothing, nothing, share, has_floor=True)


def _stopped(candidates: Sequence[Candidate], leader: Candidate) -> tuple[StoppedTrial, ...]:
    """Return the trials that were stopped early beside the leader at the same epoch, the best first."""
    beaten = math.prod(1 - candidate.overtaking for candidate in candidates)
    total = sum(candidate.overtaking for candidate in candidates)
    trials = [
        StoppedTrial(
            trial_id=candidate.trial_id,
            epoch=len(candidate.curve),
            score=_best(candidate.curve),
            leader_score=_best(leader.curve[: len(candidate.curve)]),
            p_best=(1 - beaten) * candidate.overtaking / total if total else 0.0,
        )
        for candidate in candidates
    ]
    return tuple(sorted(trials, key=lambda trial: (math.isnan(trial.score), -trial.score)))


def _best(curve: Sequence[float]) -> float:
    return max((value for value in curve if not math.isnan(value)), default=math.nan)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A contest that was held, and what it was held over."""

    stage: str
    lineup: AlignedEvidence
    contest: Comparisons
    noise: Noise
    weights: np.ndarray
    margin: float
    scene_margin: float

    def verdict(
        self,
        chosen: Sequence[Candidate | Finalist],
        *,
        seeds: Sequence[tuple[str, ...]],
        stopped: tuple[StoppedTrial, ...],
        outside: int,
        confirming: int,
        sweeps: tuple[str, ...] = (),
    ) -> Verdict:
        """Return all that is said; `chosen` and `seeds` are in the order of the lineup."""
        lineup, contest = self.lineup, self.contest
        costs = [it.latency_ms for it in chosen], [it.parameters for it in chosen]
        names = {name: it.name for name, it in zip(lineup.ids, chosen, strict=True) if it.name}
        rivals = self._rivals(costs, dict(zip(lineup.ids, seeds, strict=True)), stopped)
        outcome = decide(contest, self.margin, surpassing="winner" if self.stage == "confirmation" else "leader")
        recommended = recommend(contest, self.margin, costs)
        noise = self._noise_figures(outside, sweeps)
        needed = find_needed(
            contest,
            self.noise,
            self.margin,
            images=lineup.images,
            units=int(lineup.unit[-1]) + 1,
            confirming=confirming,
        )
        shown = _shown(contest, recommended, chosen)
        return Verdict(
            stage=self.stage,
            outcome=outcome,
            leader=lineup.ids[contest.leader],
            recommended=lineup.ids[recommended],
            tied=tuple(lineup.ids[place] for place in contest.tied),
            rivals=rivals,
            stopped=stopped,
            corrected=self._corrected(rivals[0].score),
            margin=self.margin,
            images=lineup.images,
            drives=lineup.drives,
            runs=int(lineup.runs.max()),
            draws=len(self.weights),
            noise=noise,
            needed=needed,
            left_out=lineup.left_out,
            kendall_tau=_agreement(lineup, chosen),
            scenes=answer_scenes(lineup, self.weights, shown, self.scene_margin, names, self.noise),
            sentence=describe_verdict(outcome, rivals, self.margin, names, noise),
            caveats=self._caveats(noise, stopped),
        )

    def _rivals(
        self,
        costs: tuple[Sequence[float | None], Sequence[int | None]],
        seeds: Mapping[str, tuple[str, ...]],
        stopped: Sequence[StoppedTrial],
    ) -> tuple[Rival, ...]:
        """Return all that were compared; what stopped trials might have won is taken from all alike."""
        lineup, scores = self.lineup, own_intervals(self.contest)
        rivals = describe_rivals(self.contest, lineup.ids, self.margin, *costs, scores, lineup.run_scores)
        remaining = 1 - sum(trial.p_best for trial in stopped)
        return tuple(
            replace(it, p_best=None if it.p_best is None else it.p_best * remaining, seeds=seeds[it.trial_id])
            for it in rivals
        )

    def _corrected(self, score: Interval) -> Interval | None:
        """Return the leader's score less what choosing the highest adds to it; None where nothing can be said."""
        if self.contest.is_blind:
            return None
        shift = optimism(self.contest)
        return Interval(score.estimate - shift, max(score.low - shift, 0.0), min(score.high - shift, 1.0))

    def _noise_figures(self, outside: int, sweeps: tuple[str, ...]) -> NoiseFigures:
        noise = self.noise
        bases = {"unknown": noise.is_unknown, "measured": noise.is_measured, "bounded": noise.rise is not None}
        basis = next((name for name, holds in bases.items() if holds), "known")
        sd, freedom = (value if math.isfinite(value) else None for value in (noise.sd, noise.freedom))
        return NoiseFigures(basis, sd, freedom, noise.repeats, outside, noise.rise, sweeps)

    def _caveats(self, noise: NoiseFigures, stopped: Sequence[StoppedTrial]) -> tuple[str, ...]:
        lineup, units = self.lineup, self.lineup.units
        occurrences = dict(zip(lineup.classes, map(int, lineup.bearing_units), strict=True))
        return describe_caveats(
            noise=noise,
            bearable_sd=bearable_sd(self.contest, self.noise),
            stage=self.stage,
            units=units,
            drives=lineup.drives,
            without_drive=lineup.without_drive,
            absent=[name for name, count in occurrences.items() if not count],
            rare={name: count for name, count in occurrences.items() if 0 < count < min(RARE, units)},
            stopped=stopped,
        )


def _shown(contest: Comparisons, recommended: int, chosen: Sequence[Candidate | Finalist]) -> list[int]:
    """Return the leader, the recommended one, the reference and the next best: SHOWN at most."""
    references = [at for at, it in enumerate(chosen) if it.is_reference]
    return list(dict.fromkeys([contest.leader, recommended, *references, *map(int, contest.order)]))[:SHOWN]


def _agreement(lineup: AlignedEvidence, chosen: Sequence[Candidate | Finalist]) -> float | None:
    """Return Kendall's tau between the scores of the screening and these; None where there is no order to compare."""
    screened = [getattr(it, "screening_score", None) for it in chosen]
    pairs = [(old, new) for old, new in zip(screened, lineup.scores, strict=True) if old is not None]
    if len({old for old, _ in pairs}) < 2 or len({new for _, new in pairs}) < 2:
        return None
    from scipy.stats import kendalltau

    return float(kendalltau(*zip(*pairs, strict=True)).statistic)
