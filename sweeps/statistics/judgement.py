"""Judgement: the comparisons of all settings and the evidence behind them -> a verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweeps.statistics.alignment import AlignedEvidence
from sweeps.statistics.comparisons import Comparisons, decide, describe_rivals, optimism, own_intervals, recommend
from sweeps.statistics.results import Candidate, Finalist, Interval, NoiseFigures, Rival, StoppedTrial, Verdict
from sweeps.statistics.sample_size import bearable_sd, find_needed
from sweeps.statistics.seed_noise import Noise
from sweeps.statistics.slices import answer_contrasts
from sweeps.statistics.wording import describe_caveats, describe_verdict

RARE = 10
"""Units below which a class of the mean is named in the caveats."""

SHOWN = 8
"""Settings whose scenes are compared at most."""


@dataclass(frozen=True, eq=False)
class Judgement:
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
