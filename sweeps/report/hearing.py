"""A sweep's validation evidence -> its verdict, and why a trial was not heard. The test part is not touched here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.confirm import finalist_name as finalist_name
from sweeps.ranking import rank, score
from sweeps.records import SweepRecord, TrialRow
from sweeps.report.facts import clean
from sweeps.report.latency import Speed
from sweeps.rounds import Rounds
from sweeps.statistics.findings import Candidate, Finalist, Verdict
from sweeps.statistics.hindsight import overtaking
from sweeps.statistics.noise import setting_of
from sweeps.statistics.significance import ALPHA
from sweeps.stopping.rungs import read_stop
from sweeps.verdict import confirm, screen

FOLD, CUT = "data.fold", "data.cut"
Fold = tuple[int, int]
"""Which cut of the images, and which of its folds."""

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
    folds: dict[str, dict[Fold, TrialRow]] = {}
    for row in rows:
        if clean(row.trial_id) in found:
            folds.setdefault(clean(row.finalist), {})[_fold(row)] = row
    rounds = Rounds.recorded(record.manifest)
    shared, behind = _shared_folds(folds, is_final=record.status == "FINISHED")
    if rounds:
        shared, behind = _last_round(folds, _exclusions(record))
    left_out |= behind
    if not shared:
        return Hearing(None, {}, left_out)
    screened = {clean(row.trial_id): score(row) for row in screening.trials} if screening else {}
    finalists = [
        _finalist(name, [runs[fold] for fold in shared], found, screened, speed, histories)
        for name, runs in folds.items()
        if name not in behind
    ]
    verdict = confirm(
        finalists,
        margin=margins.score,
        scene_margin=margins.scenes,
        folds=_folds(rows) or len(shared),
        alpha=rounds.level(len(shared)) if rounds else ALPHA,
    )
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
        drives=tuple(drive for run in runs for drive in run.drives),
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


def _fold(row: TrialRow) -> Fold:
    cut, fold = (row.settings.get(key) for key in (CUT, FOLD))
    return cut if type(cut) is int else 0, fold if type(fold) is int else -1


def _folds(rows: Sequence[TrialRow]) -> int:
    """Return into how many folds the images were cut; 0 where that is not recorded."""
    counts = {row.settings.get("data.folds") for row in rows}
    (count,) = counts if len(counts) == 1 else (0,)
    return count if type(count) is int else 0


def _last_round(
    folds: Mapping[str, Mapping[Fold, TrialRow]], exclusions: Mapping[str, int]
) -> tuple[list[Fold], dict[str, str]]:
    """Return the folds of the last round that two finalists have ended, and why others have not.

    Where runs are added until it is decided, only finalists that are still in question get another.
    """
    lengths = sorted(map(len, folds.values()), reverse=True)
    runs = lengths[min(1, len(lengths) - 1)] if lengths else 0
    every = sorted({fold for own in folds.values() for fold in own})[:runs]
    behind = {}
    for name, own in folds.items():
        if name in exclusions:
            after = count(exclusions[name], "run")
            behind[name] = f"it was excluded after {after}, when others had as many: its score was surely lower"
        elif not set(every) <= set(own):
            behind[name] = f"it has evidence of {len(own)} of {count(runs, 'run')} only"
    return every, {name: why for name, why in behind.items() if not set(every) <= set(folds[name])}


def _exclusions(record: SweepRecord) -> dict[str, int]:
    """Return after how many runs a finalist was excluded, by the looks that were recorded."""
    confirmation = record.manifest.get("confirmation")
    looks = confirmation.get("looks", []) if isinstance(confirmation, Mapping) else []
    before: set[str] = {clean(row.finalist) for row in record.trials}
    found: dict[str, int] = {}
    for look in looks:
        found |= dict.fromkeys(before - set(look["remaining"]), look["runs"])
        before &= set(look["remaining"])
    return found


def _shared_folds(folds: Mapping[str, Mapping[Fold, TrialRow]], *, is_final: bool) -> tuple[list[Fold], dict[str, str]]:
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
