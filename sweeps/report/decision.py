"""Decide the verdict of a sweep from validation evidence; say why trials were not judged. Never reads the test set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE
from sweeps.report.folds import Fold, count_folds, fold_of, last_round, read_exclusions, shared_folds
from sweeps.report.seeds import EvidenceReader, OtherSeed, find_seeds, group_settings, join_evidence, name_settings
from sweeps.report.without_suspects import Judge
from sweeps.sanitize import clean
from sweeps.schedulers.rungs import read_stop
from sweeps.statistics.hypothesis_tests import ALPHA
from sweeps.statistics.regret import Hindsight, weigh_stop
from sweeps.statistics.results import Candidate, Finalist, Verdict
from sweeps.statistics.rounds import Rounds
from sweeps.statistics.scores import rank, score
from sweeps.statistics.verdict import confirm, screen
from sweeps.storage.latency import NetworkTimings
from sweeps.storage.outcomes import CUT_OFF, STOPPED_EARLY, RunStatus
from sweeps.storage.records import Repeat, SweepRecord, TrialRow, finalist_name

Histories = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
"""Trial -> metric -> (epoch, value)."""


@dataclass(frozen=True)
class Margins:
    """How small a difference does not matter, as fractions of 1."""

    score: float = 0.005
    scenes: float = 0.02


@dataclass(frozen=True, eq=False)
class Decision:
    """The verdict of a sweep and the evidence behind it."""

    verdict: Verdict | None
    """None when no trial has evidence that can be compared."""
    runs: Mapping[str, Evidence] = field(default_factory=dict)
    """Usable evidence of each trial, and of the seeds of other sweeps."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    """Evidence of each compared setting or finalist, over all its runs."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Trial or finalist -> why it was not compared."""
    entrants: tuple[Candidate | Finalist, ...] = ()
    """What was compared."""
    repeats: Mapping[str, Repeat] = field(default_factory=dict)
    """Seeds of other sweeps that are counted, by their id in the verdict."""
    hindsight: Mapping[str, Hindsight] = field(default_factory=dict)
    """Trial that was stopped early -> what it might have reached."""
    judge: Judge | None = None
    """Decides the verdict over other evidence of the entrants, on the same terms."""


def decide_screening(
    record: SweepRecord, store: EvidenceReader, speed: NetworkTimings, margins: Margins, histories: Histories
) -> Decision:
    """Return the verdict over all completed trials with evidence of the sweep's own frames.

    Seeds of one setting are judged together, with those that other sweeps have recorded of it.

    Args:
        record: the sweep, with the best figures of every trial.
        store: reads evidence, also of other sweeps.
        speed: measured latencies and sizes, by which ties are recommended.
        margins: differences that do not matter.
        histories: the learning curves, which bound the noise and extrapolate stopped trials.
    """
    rows = rank(record.trials)
    evidence_by_trial, left_out = _read([row for row in rows if row.is_completed], record, store)
    left_out |= {clean(row.trial_id): _why_unfinished(row) for row in rows if not _is_over(row)}
    judged = [row for row in rows if clean(row.trial_id) in evidence_by_trial]
    if not judged:
        return Decision(None, evidence_by_trial, left_out=left_out)
    settings = group_settings(judged)
    other_seeds = {seed.name: seed for seed in find_seeds(settings, evidence_by_trial, record, store)}
    curves = {row.trial_id: _curve(histories, row) for row in rows}
    hindsight = _look_back(rows, [curves[row.trial_id] for row in judged], best=score(judged[0]))
    stopped = [row for row in rows if row.stop_reason in STOPPED_EARLY]
    names = name_settings(settings)
    candidates = [
        *(
            _candidate(row, key, names[key], evidence_by_trial, speed, curves)
            for key, seeds in settings.items()
            for row in seeds
        ),
        *(_other(seed, names) for seed in other_seeds.values()),
        *(_stopped(row, curves[row.trial_id], hindsight) for row in stopped),
    ]
    judge = partial(screen, margin=margins.score, scene_margin=margins.scenes, confirming=_images_to_confirm(record))
    verdict = judge(candidates)
    evidence = evidence_by_trial | {name: seed.evidence for name, seed in other_seeds.items()}
    joined = {rival.trial_id: join_evidence([evidence[seed] for seed in rival.seeds]) for rival in verdict.rivals}
    left_out |= _spread(verdict.left_out, settings)
    repeats = {name: seed.repeat for name, seed in other_seeds.items()}
    return Decision(verdict, evidence, joined, left_out, _compared(candidates, verdict), repeats, hindsight, judge)


def decide_confirmation(
    record: SweepRecord,
    screening: SweepRecord | None,
    store: EvidenceReader,
    speed: NetworkTimings,
    margins: Margins,
    histories: Histories,
) -> Decision:
    """Return the verdict over the finalists, on the folds that each of those compared has run.

    Seeds of the screening are no measure of the noise here, because runs of a confirmation do not choose their epoch
    as they did.

    Args:
        record: the confirmation.
        screening: the sweep that it confirms, for its scores; None if it is not recorded.
        store: reads evidence.
        speed: measured latencies and sizes, by which ties are recommended.
        margins: differences that do not matter.
        histories: the learning curves, which bound the noise.
    """
    rows = rank(record.trials)
    evidence_by_run, left_out = _read(rows, record, store)
    names = {clean(row.trial_id): clean(row.finalist) for row in rows}
    left_out = {names[trial_id]: why for trial_id, why in left_out.items()}
    folds: dict[str, dict[Fold, TrialRow]] = {}
    for row in rows:
        if clean(row.trial_id) in evidence_by_run:
            folds.setdefault(clean(row.finalist), {})[fold_of(row)] = row
    rounds = Rounds.recorded(record.manifest.get("confirmation"))
    if rounds:
        shared, behind = last_round(folds, read_exclusions(record))
    else:
        shared, behind = shared_folds(folds, is_final=record.status == RunStatus.FINISHED)
    left_out |= behind
    if not shared:
        return Decision(None, evidence_by_run, left_out=left_out)
    screened = {clean(row.trial_id): score(row) for row in screening.trials} if screening else {}
    finalists = [
        _finalist(name, [runs[fold] for fold in shared], evidence_by_run, screened, speed, histories)
        for name, runs in folds.items()
        if name not in behind
    ]
    judge = partial(
        confirm,
        margin=margins.score,
        scene_margin=margins.scenes,
        folds=count_folds(rows) or len(shared),
        alpha=rounds.level(len(shared)) if rounds else ALPHA,
    )
    verdict = judge(finalists)
    joined = {finalist.finalist_id: join_evidence(finalist.runs) for finalist in finalists}
    compared = {rival.trial_id for rival in verdict.rivals}
    left_out = {name: why for name, why in left_out.items() if name not in compared}
    entrants = tuple(finalist for finalist in finalists if finalist.finalist_id in compared)
    return Decision(verdict, evidence_by_run, joined, {**left_out, **verdict.left_out}, entrants, judge=judge)


def _candidate(
    row: TrialRow,
    setting: str,
    name: str,
    evidence: Mapping[str, Evidence],
    speed: NetworkTimings,
    curves: Mapping[str, tuple[float, ...]],
) -> Candidate:
    trial_id = clean(row.trial_id)
    return Candidate(
        trial_id=trial_id,
        evidence=evidence[trial_id],
        latency_ms=speed.of(trial_id).batch_1_ms,
        parameters=speed.of(trial_id).parameters,
        is_reference=row.is_reference,
        setting=setting,
        name=name,
        curve=curves[row.trial_id],
    )


def _other(seed: OtherSeed, names: Mapping[str, str]) -> Candidate:
    """Return a seed of another sweep."""
    sweep = clean(seed.repeat.sweep_id)
    return Candidate(seed.name, seed.evidence, setting=seed.setting, name=names[seed.setting], sweep=sweep)


def _stopped(row: TrialRow, curve: tuple[float, ...], hindsight: Mapping[str, Hindsight]) -> Candidate:
    """Return a trial that was stopped early; nothing but its curve is needed."""
    trial_id = clean(row.trial_id)
    weighed = hindsight.get(trial_id)
    return Candidate(trial_id, None, is_stopped=True, curve=curve, overtaking=weighed.overtaking if weighed else 0.0)


def _look_back(rows: Sequence[TrialRow], completed: Sequence[Sequence[float]], best: float) -> dict[str, Hindsight]:
    """Return what each trial that was stopped at a rung might have reached."""
    stops = {clean(row.trial_id): stop for row in rows if (stop := read_stop(clean(row.stop_detail))) is not None}
    weighed = {name: weigh_stop(stop.value, stop.rung, completed, best) for name, stop in stops.items()}
    return {name: chance for name, chance in weighed.items() if chance is not None}


def _spread(left_out: Mapping[str, str], settings: Mapping[str, Sequence[TrialRow]]) -> dict[str, str]:
    """Return the reasons with every seed of an excluded setting listed."""
    seeds = {clean(row.trial_id): [clean(seed.trial_id) for seed in rows] for rows in settings.values() for row in rows}
    return {seed: why for name, why in left_out.items() for seed in seeds.get(name, [name])}


def _compared(candidates: Sequence[Candidate], verdict: Verdict) -> tuple[Candidate, ...]:
    names = {seed for rival in verdict.rivals for seed in rival.seeds}
    return tuple(candidate for candidate in candidates if candidate.trial_id in names)


def _is_over(row: TrialRow) -> bool:
    return row.is_completed or row.stop_reason in STOPPED_EARLY


def _why_unfinished(row: TrialRow) -> str:
    """Return why a trial that did not complete is not judged."""
    if not row.stop_reason:
        return "it is still running" if row.status == RunStatus.RUNNING else "it has not run to its end"
    return "it was interrupted or cancelled" if row.stop_reason in CUT_OFF else "it did not run to its end"


def _curve(histories: Histories, row: TrialRow) -> tuple[float, ...]:
    """Return val/miou of every epoch from the first; NaN for an epoch that has no figure."""
    values = dict(histories.get(row.trial_id, {}).get(OBJECTIVE, ()))
    return tuple(values.get(epoch, math.nan) for epoch in range(1, max(values, default=0) + 1))


def _images_to_confirm(record: SweepRecord) -> int:
    """Return how many images a confirmation would score, those of training and validation; 0 where not known."""
    split = record.data.get("split")
    sizes = [split.get(part) for part in ("train", "val")] if isinstance(split, Mapping) else []
    whole = [size for size in sizes if type(size) is int]
    return sum(whole) if len(whole) == len(sizes) else 0


def _read(
    rows: Sequence[TrialRow], record: SweepRecord, store: EvidenceReader
) -> tuple[dict[str, Evidence], dict[str, str]]:
    """Return the evidence that can be used, by trial, and why that of the others cannot."""
    fingerprint = record.data.get("fingerprint")
    usable, left_out = {}, {}
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
            usable[trial_id] = answer
    return usable, left_out


def _finalist(
    name: str,
    runs: Sequence[TrialRow],
    evidence: Mapping[str, Evidence],
    screened: Mapping[str, float],
    speed: NetworkTimings,
    histories: Histories,
) -> Finalist:
    screening_score = screened.get(name)
    latency = speed.of(clean(runs[0].trial_id))
    return Finalist(
        finalist_id=name,
        runs=tuple(evidence[clean(run.trial_id)] for run in runs),
        screening_score=None if screening_score is None or math.isnan(screening_score) else screening_score,
        latency_ms=latency.batch_1_ms,
        parameters=latency.parameters,
        is_reference=any(run.is_reference for run in runs),
        name=finalist_name(clean(runs[0].name)),
        curves=tuple(_curve(histories, run) for run in runs),
    )
