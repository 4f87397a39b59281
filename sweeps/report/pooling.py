"""Pool the runs of each setting or finalist, and order the trials as the verdict ranks them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bddseg.task import Task
from sweeps.report.decision import Decision
from sweeps.report.entries import Entry, join_runs, other_entry
from sweeps.sanitize import whole
from sweeps.statistics.results import Candidate, Verdict
from sweeps.statistics.scores import Scores, score_evidence
from sweeps.storage.records import finalist_name

Joined = tuple[tuple[Entry, ...], tuple[Entry, ...], tuple[Entry, ...]]
"""Settings, trials, seeds of other sweeps."""


def join_entries(trials: Sequence[Entry], decision: Decision, task: Task, *, is_confirmation: bool) -> Joined:
    """Return the compared settings, each over all its runs, and all runs in the order of `Report.trials`."""
    entries = [_measured(entry, decision) for entry in trials]
    if is_confirmation:
        return _join_finalists(entries, decision)
    if decision.verdict is None:
        scored = [replace(entry, rank=rank) for rank, entry in enumerate(_scored(entries), 1)]
        return (), (*scored, *(entry for entry in entries if not entry.is_scored)), ()
    other_seeds = [_measured(other_entry(name, repeat, task), decision) for name, repeat in decision.repeats.items()]
    return _join_seeds({entry.trial_id: entry for entry in (*entries, *other_seeds)}, decision, decision.verdict)


def _scored(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.is_scored]


def _join_seeds(entries: Mapping[str, Entry], decision: Decision, verdict: Verdict) -> Joined:
    """Return the settings of a screening, the trials in the verdict's order, and the seeds of other sweeps."""
    names = {entrant.trial_id: entrant.name for entrant in decision.entrants if isinstance(entrant, Candidate)}
    settings: list[Entry] = []
    runs: dict[str, Entry] = {}
    for rank, rival in enumerate(verdict.rivals, 1):
        seeds = [replace(entries[name], rank=rank, setting_id=rival.trial_id) for name in rival.seeds]
        scores = score_evidence(decision.evidence[rival.trial_id])
        joined = join_runs(names[rival.trial_id], seeds, scores=scores) if len(seeds) > 1 else seeds[0]
        settings.append(joined)
        runs |= {seed.trial_id: seed for seed in seeds}
    stopped = {trial.trial_id: entries[trial.trial_id] for trial in verdict.stopped if trial.trial_id in entries}
    first = runs | stopped
    ordered = first | {name: entry for name, entry in entries.items() if name not in first}
    trials = tuple(entry for entry in ordered.values() if not entry.sweep_id)
    return tuple(settings), trials, tuple(entry for entry in runs.values() if entry.sweep_id)


def _join_finalists(runs: Sequence[Entry], decision: Decision) -> Joined:
    """Return the finalists, as the verdict ranks them, and their runs; one that is not compared has no figure."""
    ranks = {rival.trial_id: rank for rank, rival in enumerate(decision.verdict.rivals, 1)} if decision.verdict else {}
    owned: dict[str, list[Entry]] = {}
    for run in sorted(runs, key=_fold):
        owned.setdefault(run.setting_id, []).append(replace(run, rank=ranks.get(run.setting_id)))
    ordered = sorted(owned.items(), key=lambda item: ranks.get(item[0], math.inf))
    joined = []
    for finalist, own in ordered:
        scores = score_evidence(decision.evidence[finalist]) if finalist in ranks else Scores(None, {}, {}, {})
        joined.append(join_runs(finalist_name(own[0].name), own, scores=scores))
    return tuple(joined), tuple(run for _, own in ordered for run in own), ()


def _fold(run: Entry) -> tuple[int, int]:
    return whole(run.settings.get("data.cut")), whole(run.settings.get("data.fold"))


def _measured(entry: Entry, decision: Decision) -> Entry:
    """Return a trial with the figures of its evidence, where it has any: those that the verdict is made from."""
    evidence = decision.runs.get(entry.trial_id)
    return replace(entry, scores=score_evidence(evidence)) if evidence is not None else entry
