"""Decide the verdict from evidence: a leader or winner with intervals, a tie, or undecided. No I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bddseg.words import count
from sweeps.errors import NothingFinishedError
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, align_evidence, score_of
from sweeps.statistics.bootstrap import draw_units, resample_deviations
from sweeps.statistics.comparisons import (
    Comparisons,
    compare_settings,
    decide,
    describe_rivals,
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
    unlearned_class,
)
from sweeps.statistics.slices import answer_contrasts
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
"""Limit of the widening, so that the spread over too few units stays finite; nothing is concluded from it."""

RARE = 10
"""Units below which a class of the mean is named in the caveats."""

SHOWN = 8
"""Settings whose scenes are compared at most."""


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
    absent = [trial for trial in candidates if trial.evidence is None and not trial.is_stopped]
    missing = {trial.trial_id: trial.missing or "it left no evidence" for trial in absent}
    aligned = _align(entrants)
    curves = [seed.curve for name in aligned.ids for seed in settings[name] if seed.curve]
    noise = estimate_noise(aligned.run_scores, curves) if run_sd is None else known_noise(run_sd, aligned.runs)
    images, weights = _image_deviations(aligned, draws, seed)
    allowance = unlearned_class(aligned.class_shares, aligned.runs) if run_sd is None else None
    comparisons = _compare(aligned, images, noise, seed, ALPHA, allowance)
    leader = settings[aligned.ids[comparisons.leader]][0]
    stopped = _stopped([candidate for candidate in candidates if candidate.is_stopped], leader)
    judged = _Judged("screening", aligned, comparisons, noise, weights, margin, scene_margin)
    verdict = judged.verdict(
        [settings[name][0] for name in aligned.ids],
        seeds=[tuple(seed.trial_id for seed in settings[name]) for name in aligned.ids],
        stopped=stopped,
        outside=sum(bool(seed.sweep) for name in aligned.ids for seed in settings[name]),
        confirming=confirming or aligned.images,
        sweeps=tuple(dict.fromkeys(seed.sweep for name in aligned.ids for seed in settings[name] if seed.sweep)),
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
    aligned = _align([AlignmentInput(each.finalist_id, each.runs, "", each.is_reference) for each in finalists])
    by_id = {finalist.finalist_id: finalist for finalist in finalists}
    chosen = [by_id[name] for name in aligned.ids]
    images, weights = _image_deviations(aligned, draws, seed)
    curves = [curve for finalist in chosen for curve in finalist.curves if curve]
    noise = _noise_between_runs(aligned, images, curves, folds)
    comparisons = _compare(aligned, images, noise, seed, alpha)
    judged = _Judged("confirmation", aligned, comparisons, noise, weights, margin, scene_margin)
    return judged.verdict(chosen, seeds=[()] * len(chosen), stopped=(), outside=0, confirming=aligned.images)


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


def _align(entrants: Sequence[AlignmentInput]) -> AlignedEvidence:
    aligned = align_evidence(entrants)
    if aligned is None:
        raise NothingFinishedError(
            f"no usable evidence of {count(len(entrants), 'setting')}, so there is nothing to compare"
        )
    return aligned


def _image_deviations(aligned: AlignedEvidence, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the deviations of each score over bootstrap draws of images, and the weights of the draws.

    Shape:
        returns: (T, B), (B, U).
    """
    weights = draw_units(aligned.units, draws, seed)
    wide = np.asarray([min(widening(units), WIDEST) for units in aligned.bearing_units])
    return resample_deviations(aligned.above, aligned.below, aligned.true, weights, wide), weights


def _compare(
    aligned: AlignedEvidence,
    images: np.ndarray,
    noise: Noise,
    seed: int,
    alpha: float,
    allowance: np.ndarray | None = None,
) -> Comparisons:
    """Return the comparisons; blind where the noise is unknown, or a class of the mean occurs in one unit only."""
    is_blind = noise.is_unknown or int(aligned.bearing_units[aligned.bearing_units > 0].min(initial=2)) < 2
    variance = np.zeros(len(images)) if noise.is_unknown else noise.variance
    run_noise = noise.draw(images.shape[1], seed)
    return compare_settings(
        aligned.scores, images, run_noise, variance, allowance=allowance, alpha=alpha, is_blind=is_blind
    )


def _noise_between_runs(
    aligned: AlignedEvidence,
    images: np.ndarray,
    curves: Sequence[Sequence[float]],
    folds: int,
) -> Noise:
    """Return the noise between the runs of a confirmation.

    The residuals of a two-way layout (finalist, run) have what a fold does to all finalists taken away. They hold the
    noise of runs and that of the fold's images; the latter is known from the bootstrap of all images, of which a fold
    has its share. Few residuals may be small by chance: taken from them, the images' share would leave no noise at all.
    """
    scores = np.stack(aligned.run_scores)  # (T, R)
    settings, runs = scores.shape
    nothing = np.zeros(settings)
    share = nothing + overlap(runs, folds or runs)
    freedom = (settings - 1) * (runs - 1)
    residuals = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    per_run = len(aligned.entrants[0].runs[0].names) / aligned.images
    own = images - images.mean(0)
    of_images = float(own.var(1, dtype=np.float64).sum()) / max(1, settings - 1) / per_run
    total = float((residuals**2).sum())
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
    """The comparisons of all settings and the evidence behind them: what a verdict is made from."""

    stage: str
    aligned: AlignedEvidence
    comparisons: Comparisons
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
        """Return the verdict; `chosen` and `seeds` are in the order of `aligned`."""
        aligned, comparisons = self.aligned, self.comparisons
        costs = [setting.latency_ms for setting in chosen], [setting.parameters for setting in chosen]
        names = {name: setting.name for name, setting in zip(aligned.ids, chosen, strict=True) if setting.name}
        rivals = self._rivals(costs, dict(zip(aligned.ids, seeds, strict=True)), stopped)
        outcome = decide(comparisons, self.margin, surpassing="winner" if self.stage == "confirmation" else "leader")
        recommended = recommend(comparisons, self.margin, costs)
        noise = self._noise_figures(outside, sweeps)
        needed = find_needed(
            comparisons,
            self.noise,
            self.margin,
            images=aligned.images,
            units=int(aligned.unit[-1]) + 1,
            confirming=confirming,
        )
        shown = _shown(comparisons, recommended, chosen)
        answers = answer_contrasts(aligned, self.weights, shown, self.scene_margin, names, self.noise)
        return Verdict(
            stage=self.stage,
            outcome=outcome,
            leader=aligned.ids[comparisons.leader],
            recommended=aligned.ids[recommended],
            tied=tuple(aligned.ids[index] for index in comparisons.tied),
            rivals=rivals,
            stopped=stopped,
            corrected=self._corrected(rivals[0].score),
            margin=self.margin,
            images=aligned.images,
            drives=aligned.drives,
            runs=int(aligned.runs.max()),
            draws=len(self.weights),
            noise=noise,
            needed=needed,
            left_out=aligned.left_out,
            kendall_tau=_agreement(aligned, chosen),
            scenes=answers[0] if answers else None,
            sentence=describe_verdict(outcome, rivals, self.margin, names, noise),
            caveats=self._caveats(noise, stopped),
            further_scenes=answers[1:],
        )

    def _rivals(
        self,
        costs: tuple[Sequence[float | None], Sequence[int | None]],
        seeds: Mapping[str, tuple[str, ...]],
        stopped: Sequence[StoppedTrial],
    ) -> tuple[Rival, ...]:
        """Return all rivals; their probabilities leave room for stopped trials in proportion."""
        aligned, scores = self.aligned, own_intervals(self.comparisons)
        rivals = describe_rivals(self.comparisons, aligned.ids, self.margin, *costs, scores, aligned.run_scores)
        remaining = 1 - sum(trial.p_best for trial in stopped)
        return tuple(
            replace(
                rival, p_best=None if rival.p_best is None else rival.p_best * remaining, seeds=seeds[rival.trial_id]
            )
            for rival in rivals
        )

    def _corrected(self, score: Interval) -> Interval | None:
        """Return the leader's score corrected for selection bias; None where it cannot be estimated."""
        if self.comparisons.is_blind:
            return None
        shift = optimism(self.comparisons)
        return Interval(score.estimate - shift, max(score.low - shift, 0.0), min(score.high - shift, 1.0))

    def _noise_figures(self, outside: int, sweeps: tuple[str, ...]) -> NoiseFigures:
        noise = self.noise
        bases = {"unknown": noise.is_unknown, "measured": noise.is_measured, "bounded": noise.rise is not None}
        basis = next((name for name, holds in bases.items() if holds), "known")
        sd, freedom = (value if math.isfinite(value) else None for value in (noise.sd, noise.freedom))
        return NoiseFigures(basis, sd, freedom, noise.repeats, outside, noise.rise, sweeps)

    def _caveats(self, noise: NoiseFigures, stopped: Sequence[StoppedTrial]) -> tuple[str, ...]:
        aligned, units = self.aligned, self.aligned.units
        occurrences = dict(zip(aligned.classes, map(int, aligned.bearing_units), strict=True))
        return describe_caveats(
            noise=noise,
            bearable_sd=bearable_sd(self.comparisons, self.noise),
            stage=self.stage,
            units=units,
            drives=aligned.drives,
            without_drive=aligned.without_drive,
            absent=[name for name, count in occurrences.items() if not count],
            rare={name: count for name, count in occurrences.items() if 0 < count < min(RARE, units)},
            stopped=stopped,
            unlearned=self.comparisons.spared,
        )


def _shown(comparisons: Comparisons, recommended: int, chosen: Sequence[Candidate | Finalist]) -> list[int]:
    """Return the indices of the leader, the recommended setting, the reference and the next best: SHOWN at most."""
    references = [index for index, setting in enumerate(chosen) if setting.is_reference]
    return list(dict.fromkeys([comparisons.leader, recommended, *references, *map(int, comparisons.order)]))[:SHOWN]


def _agreement(aligned: AlignedEvidence, chosen: Sequence[Candidate | Finalist]) -> float | None:
    """Return Kendall's tau between the screening's scores and these; None where scores are equal or missing."""
    screened = [getattr(setting, "screening_score", None) for setting in chosen]
    pairs = [(old, new) for old, new in zip(screened, aligned.scores, strict=True) if old is not None]
    if len({old for old, _ in pairs}) < 2 or len({new for _, new in pairs}) < 2:
        return None
    from scipy.stats import kendalltau

    return float(kendalltau(*zip(*pairs, strict=True)).statistic)
