"""A sweep's validation evidence -> its verdict, and why a trial was not heard. The test part is not touched here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE
from sweeps.ranking import rank, score
from sweeps.records import SweepRecord, TrialRow
from sweeps.report.facts import clean
from sweeps.report.latency import Speed
from sweeps.statistics.findings import Candidate, Finalist, Verdict
from sweeps.statistics.hindsight import overtaking
from sweeps.statistics.noise import setting_of
from sweeps.stopping.rungs import read_stop
from sweeps.verdict import confirm, screen

FOLD = "data.fold"
Histories = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
"""Trial -> metric -> (epoch, value)."""


class Witness(Protocol):
    """What is asked of the store."""

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> Mapping[str, Evidence | DataError | None]: ...


@dataclass(frozen=True)
class Margins:
    """How small a difference does not matter, as fractions of 1."""

    score: float = 0.005
    scenes: float = 0.02


@dataclass(frozen=True, eq=False)
class Hearing:
    """What the evidence says."""

    verdict: Verdict | None
    """None when no trial has evidence that can be compared."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    """By trial, or by finalist: all its runs after each other."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Trial or finalist -> why it was not compared."""


def hear_screening(
    record: SweepRecord, store: Witness, speed: Speed, margins: Margins, histories: Histories
) -> Hearing:
    """Return the verdict over all completed trials with a usable figure and evidence of the sweep's own frames."""
    rows = rank(record.trials)
    found, left_out = _read(rows, record, store)
    completed = [row for row in rows if row.is_completed and clean(row.trial_id) in found]
    if not completed:
        return Hearing(None, {}, {**dict.fromkeys(found, "it did not run to its end"), **left_out})
    curves = {row.trial_id: _curve(histories, row) for row in rows}
    chances = _chances(rows, [curves[row.trial_id] for row in completed], best=score(completed[0]))
    candidates = [
        Candidate(
            trial_id=trial_id,
            evidence=found[trial_id],
            latency_ms=speed.of(trial_id).batch_1_ms,
            parameters=speed.of(trial_id).parameters,
            is_reference=row.is_reference,
            setting=setting_of(row.settings),
            name=clean(row.name),
            curve=curves[row.trial_id],
            is_stopped=not row.is_completed,
            overtaking=chances.get(row.trial_id, 0.0),
        )
        for row in rows
        if (trial_id := clean(row.trial_id)) in found
    ]
    verdict = screen(
        candidates, margin=margins.score, scene_margin=margins.scenes, confirming=_images_to_confirm(record)
    )
    return Hearing(verdict, found, {**left_out, **verdict.left_out})


def hear_confirmation(
    record: SweepRecord,
    screening: SweepRecord | None,
    store: Witness,
    speed: Speed,
    margins: Margins,
    histories: Histories,
) -> Hearing:
    """Return the verdict over the finalists, on the folds that each of those compared has run."""
    rows = rank(record.trials)
    found, left_out = _read(rows, record, store)
    names = {clean(row.trial_id): clean(row.finalist) for row in rows}
    left_out = {names[trial_id]: why for trial_id, why in left_out.items()}
    folds: dict[str, dict[int, TrialRow]] = {}
    for row in rows:
        if clean(row.trial_id) in found:
            folds.setdefault(clean(row.finalist), {})[_fold(row)] = row
    shared, behind = _shared_folds(folds, is_final=record.status == "FINISHED")
    left_out |= behind
    if not shared:
        return Hearing(None, {}, left_out)
    screened = {clean(row.trial_id): score(row) for row in screening.trials} if screening else {}
    finalists = [
        _finalist(name, [runs[fold] for fold in shared], found, screened, speed, histories)
        for name, runs in folds.items()
        if name not in behind
    ]
    verdict = confirm(finalists, margin=margins.score, scene_margin=margins.scenes, folds=_folds(rows) or len(shared))
    joined = {finalist.finalist_id: join_evidence(finalist.runs) for finalist in finalists}
    compared = {rival.trial_id for rival in verdict.rivals}
    left_out = {name: why for name, why in left_out.items() if name not in compared}
    return Hearing(verdict, joined, {**left_out, **verdict.left_out})


def _curve(histories: Histories, row: TrialRow) -> tuple[float, ...]:
    """Return val/miou of every epoch from the first; NaN for an epoch that has no figure."""
    values = dict(histories.get(row.trial_id, {}).get(OBJECTIVE, ()))
    return tuple(values.get(epoch, math.nan) for epoch in range(1, max(values, default=0) + 1))


def _chances(rows: Sequence[TrialRow], completed: Sequence[Sequence[float]], best: float) -> dict[str, float]:
    """Return, of each trial that was stopped at a rung, the probability that it would have passed the best."""
    stops = {row.trial_id: stop for row in rows if (stop := read_stop(clean(row.stop_detail))) is not None}
    chances = {name: overtaking(stop.value, stop.rung, completed, best) for name, stop in stops.items()}
    return {name: chance for name, chance in chances.items() if chance is not None}


def _images_to_confirm(record: SweepRecord) -> int:
    """Return how many images a confirmation would score, those of training and validation; 0 where not known."""
    data = record.manifest.get("data")
    split = data.get("split") if isinstance(data, Mapping) else None
    sizes = [split.get(part) for part in ("train", "val")] if isinstance(split, Mapping) else []
    whole = [size for size in sizes if type(size) is int]
    return sum(whole) if len(whole) == len(sizes) else 0


def finalist_name(run: str) -> str:
    """Return the name of the finalist that a run is named after."""
    return run.rpartition(" run ")[0] or run


def join_evidence(runs: Sequence[Evidence]) -> Evidence:
    """Return the evidence of several runs as one: each image with the counts of the run that had it in its fold."""
    first = runs[0]
    if len(runs) == 1:
        return first
    return Evidence(
        part=first.part,
        epoch=first.epoch,
        names=tuple(name for run in runs for name in run.names),
        scenes=tuple(scene for run in runs for scene in run.scenes),
        weathers=tuple(weather for run in runs for weather in run.weathers),
        times_of_day=tuple(time for run in runs for time in run.times_of_day),
        counts=np.concatenate([run.counts for run in runs]),
        ignored=np.concatenate([run.ignored for run in runs]),
        fingerprint=first.fingerprint,
        classes=first.classes,
    )


def _read(rows: Sequence[TrialRow], record: SweepRecord, store: Witness) -> tuple[dict[str, Evidence], dict[str, str]]:
    """Return the evidence that can be used, by trial, and why that of the others cannot."""
    data = record.manifest.get("data")
    fingerprint = data.get("fingerprint") if isinstance(data, Mapping) else None
    found, left_out = {}, {}
    answers = store.read_evidence(rows, "val")
    for row in rows:
        answer, trial_id = answers.get(row.trial_id), clean(row.trial_id)
        if answer is None:
            left_out[trial_id] = "it left no validation evidence"
        elif isinstance(answer, DataError):
            left_out[trial_id] = f"its evidence is damaged: {clean(answer)}"
        elif fingerprint and answer.fingerprint != fingerprint:
            left_out[trial_id] = f"its evidence is of other frames ({clean(answer.fingerprint)})"
        else:
            found[trial_id] = answer
    return found, left_out


def _fold(row: TrialRow) -> int:
    value = row.settings.get(FOLD)
    return value if type(value) is int else -1


def _folds(rows: Sequence[TrialRow]) -> int:
    """Return into how many folds the images were cut; 0 where that is not recorded."""
    counts = {row.settings.get("data.folds") for row in rows}
    (count,) = counts if len(counts) == 1 else (0,)
    return count if type(count) is int else 0


def _shared_folds(folds: Mapping[str, Mapping[int, TrialRow]], *, is_final: bool) -> tuple[list[int], dict[str, str]]:
    """Return the folds that all compared finalists have, and who is behind.

    Of a confirmation that has ended all folds count, and a finalist that lacks one is not compared; while it runs,
    those count that every finalist has.
    """
    every = sorted({fold for runs in folds.values() for fold in runs})
    if not is_final:
        every = [fold for fold in every if all(fold in runs for runs in folds.values())]
    behind = {
        name: f"it has evidence of {len(runs)} of {len(every)} folds only"
        for name, runs in folds.items()
        if not set(every) <= set(runs)
    }
    return every, behind


def _finalist(
    name: str,
    runs: Sequence[TrialRow],
    found: Mapping[str, Evidence],
    screened: Mapping[str, float],
    speed: Speed,
    histories: Histories,
) -> Finalist:
    known = screened.get(name)
    latency = speed.of(clean(runs[0].trial_id))
    return Finalist(
        finalist_id=name,
        runs=tuple(found[clean(run.trial_id)] for run in runs),
        screening_score=None if known is None or math.isnan(known) else known,
        latency_ms=latency.batch_1_ms,
        parameters=latency.parameters,
        is_reference=any(run.is_reference for run in runs),
        name=finalist_name(clean(runs[0].name)),
        curves=tuple(_curve(histories, run) for run in runs),
    )
