"""Decide the verdict from evidence: a leader or winner with intervals, a tie, or undecided. No I/O."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bddseg.words import count
from sweeps.errors import NothingFinishedError
from sweeps.statistics.alignment import AlignedEvidence, AlignmentInput, align_evidence, score_of
from sweeps.statistics.bootstrap import draw_units, resample_deviations
from sweeps.statistics.comparisons import (
    Comparisons,
    compare_settings,
)
from sweeps.statistics.hypothesis_tests import ALPHA, overlap, widening
from sweeps.statistics.judgement import Judgement
from sweeps.statistics.results import (
    Candidate,
    Finalist,
    Gap,
    Interval,
    Rival,
    SampleSizeNeeded,
    Scenes,
    Slice,
    StoppedTrial,
    Verdict,
)
from sweeps.statistics.seed_noise import (
    Noise,
    estimate_noise,
    known_noise,
    pool_noise,
    rise_of,
    unlearned_class,
)

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
    judged = Judgement("screening", aligned, comparisons, noise, weights, margin, scene_margin)
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
    judged = Judgement("confirmation", aligned, comparisons, noise, weights, margin, scene_margin)
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
        aligned.scores,
        images,
        run_noise,
        variance,
        allowance=allowance,
        classes=aligned.class_shares.shape[1],
        alpha=alpha,
        is_blind=is_blind,
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
