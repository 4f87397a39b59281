"""Compare the settings of several sweeps on the same images, and list their leaders."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bddseg.data.folders import in_short
from bddseg.task import Task
from sweeps.errors import ComparisonError
from sweeps.formatting import write_when
from sweeps.report.gather import Entry, Report
from sweeps.report.seeds import setting_name
from sweeps.statistics.results import Candidate, Finalist, Rival, Verdict
from sweeps.statistics.scores import Column, score_images
from sweeps.statistics.verdict import confirm, screen
from sweeps.storage.latency import TrialLatency


@dataclass(frozen=True)
class Contender:
    """One sweep, by its leader or winner."""

    report: Report
    title: str
    """The title of the sweep, unique in the comparison."""
    entry: Entry
    column: Column
    """Its figures on the validation part."""
    rival: Rival | None
    """The rival that its setting is in the comparison, over the seeds of all sweeps; None if not compared."""
    left_out: str
    """Why it is not compared; "" if it is."""
    latency: TrialLatency

    @property
    def miou(self) -> float | None:
        """Return its setting's score over the seeds of all sweeps; that of its own sweep where it is not compared."""
        return self.rival.score.estimate if self.rival else self.entry.scores.miou


@dataclass(frozen=True)
class ComparedSetting:
    """A setting of the comparison."""

    name: str
    sweeps: tuple[str, ...]
    """The titles of the sweeps that have trained it."""
    rival: Rival


@dataclass(frozen=True)
class Comparison:
    """Sweeps side by side."""

    contenders: tuple[Contender, ...]
    """The highest validation mIoU first."""
    verdict: Verdict | None
    """Over all settings of the sweeps that were measured on the same images; None for fewer than two such sweeps."""
    settings: tuple[ComparedSetting, ...]
    """These settings, the best first."""
    written: str

    @property
    def task(self) -> Task:
        """Return the classes and groups of all sweeps."""
        return self.contenders[0].report.task

    @property
    def title(self) -> str:
        """Return the names of all spaces, or the space and the number of its sweeps."""
        spaces = list(
            dict.fromkeys(str(contender.report.facts["space"]) or contender.title for contender in self.contenders)
        )
        return ", ".join(spaces) if len(spaces) > 1 else f"{spaces[0]}, {len(self.contenders)} sweeps"


@dataclass(frozen=True)
class _Contest:
    """The verdict over several sweeps, with lookups by trial and by setting."""

    verdict: Verdict
    runs_by_trial: Mapping[str, str]
    """Id of a trial or finalist with its sweep -> id of the compared run, which several sweeps may share."""
    sweeps: Mapping[str, tuple[str, ...]]
    """Compared run -> the sweeps that have it."""
    names: Mapping[str, str]

    def rival(self, name: str) -> Rival | None:
        """Return the rival that a trial or finalist belongs to."""
        run_id = self.runs_by_trial.get(name)
        return next((rival for rival in self.verdict.rivals if run_id in (rival.trial_id, *rival.seeds)), None)

    def sweeps_of(self, rival: Rival) -> tuple[str, ...]:
        """Return the sweeps that have trained a setting."""
        return tuple(dict.fromkeys(sweep for name in rival.seeds or (rival.trial_id,) for sweep in self.sweeps[name]))


def build_comparison(reports: Sequence[Report]) -> Comparison:
    """Return the comparison of at least two sweeps on the same data.

    Raises:
        ComparisonError: when they used different data; each is named with its fingerprint.
    """
    check_data(reports)
    titles = name_sweeps(reports)
    contest = _hold(reports, titles)
    if contest and len({sweep for rival in contest.verdict.rivals for sweep in contest.sweeps_of(rival)}) < 2:
        contest = None
    contenders = [_contender(report, titles, contest) for report in reports]
    ordered = sorted(
        contenders, key=lambda contender: -math.inf if contender.miou is None else contender.miou, reverse=True
    )
    written = max(report.made for report in reports)
    if contest is None:
        return Comparison(tuple(ordered), None, (), written)
    settings = tuple(_place(rival, contest, titles) for rival in contest.verdict.rivals)
    return Comparison(tuple(ordered), contest.verdict, settings, written)


def name_sweeps(reports: Sequence[Report]) -> dict[str, str]:
    """Return a title for each sweep id: its space, with the start time or the id where several would be alike."""
    spaces = {report.sweep_id: _space(report) for report in reports}
    started = {report.sweep_id: write_when(report.facts["started"]).removesuffix(" UTC") for report in reports}
    dated = {name: f"{space} of {started[name]}" if started[name] else name for name, space in spaces.items()}
    named = dict(spaces)
    for names in (dated, {name: name for name in spaces}):
        titles = list(named.values())
        named = {name: names[name] if titles.count(title) > 1 else title for name, title in named.items()}
    return named


def check_data(reports: Sequence[Report]) -> None:
    """Refuse sweeps with different classes, or on different data.

    Raises:
        ComparisonError: with the classes, or with each sweep, the root of its data and their fingerprint.
    """
    classes: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        classes.setdefault(report.task.classes, []).append(report.sweep_id)
    if len(classes) > 1:
        named = "; ".join(f"{', '.join(ids)}: {in_short(names)}" for names, ids in classes.items())
        raise ComparisonError(f"these sweeps trained other classes, so their figures do not compare: {named}")
    prints: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        data = report.facts["data"]
        prints.setdefault((str(data["fingerprint"]), str(data["root"])), []).append(report.sweep_id)
    if len({print_ for print_, _ in prints}) > 1:
        named = "; ".join(
            f"{', '.join(ids)} on {root} ({print_ or 'no fingerprint'})" for (print_, root), ids in prints.items()
        )
        raise ComparisonError(f"these sweeps used different data, so their figures do not compare: {named}")


def _space(report: Report) -> str:
    space = str(report.facts["space"]) or report.sweep_id
    return f"{space}, confirmed" if report.is_confirmation else space


def _hold(reports: Sequence[Report], titles: Mapping[str, str]) -> _Contest | None:
    """Return the comparison over all settings of the screenings; of confirmations alone, over all their finalists."""
    screenings = [report for report in reports if report.entrants and not report.is_confirmation]
    confirmations = [report for report in reports if report.entrants and report.is_confirmation]
    if len(screenings) > 1:
        return _screen(screenings, titles)
    return _confirm(confirmations, titles) if len(confirmations) > 1 else None


def _screen(reports: Sequence[Report], titles: Mapping[str, str]) -> _Contest:
    """Return the verdict over all completed trials of several sweeps; the seeds of a setting are compared as one."""
    runs: dict[object, Candidate] = {}
    runs_by_trial: dict[str, str] = {}
    sweeps: dict[str, tuple[str, ...]] = {}
    for report in reports:
        digests = {entry.trial_id: entry.digest for entry in (*report.trials, *report.others)}
        for candidate in report.entrants:
            if not isinstance(candidate, Candidate) or candidate.evidence is None:
                continue
            name, sweep = _unique(report, candidate), candidate.sweep or report.sweep_id
            own = replace(candidate, trial_id=name, sweep="", is_reference=False)
            run = runs.setdefault(
                (digests.get(candidate.trial_id) or name, frozenset(candidate.evidence.names)), own
            ).trial_id
            runs_by_trial[name], sweeps[run] = run, tuple(dict.fromkeys((*sweeps.get(run, ()), sweep)))
    candidates = _titled(list(runs.values()), sweeps, titles)
    margins = reports[0].margins
    verdict = screen(candidates, margin=margins.score, scene_margin=margins.scenes)
    return _Contest(verdict, runs_by_trial, sweeps, {candidate.trial_id: candidate.name for candidate in candidates})


def _confirm(reports: Sequence[Report], titles: Mapping[str, str]) -> _Contest:
    """Return the verdict over the finalists of several confirmations."""
    finalists = [
        replace(
            finalist,
            finalist_id=f"{report.sweep_id}/{finalist.finalist_id}",
            name=f"{finalist.name} ({titles[report.sweep_id]})",
        )
        for report in reports
        for finalist in report.entrants
        if isinstance(finalist, Finalist)
    ]
    margins = reports[0].margins
    verdict = confirm(finalists, margin=margins.score, scene_margin=margins.scenes)
    names = {finalist.finalist_id: finalist.name for finalist in finalists}
    sweeps = {name: (name.rpartition("/")[0],) for name in names}
    return _Contest(verdict, {name: name for name in names}, sweeps, names)


def _unique(report: Report, candidate: Candidate) -> str:
    """Return an id that is unique over all sweeps; a trial of another sweep already has one."""
    return candidate.trial_id if candidate.sweep else f"{report.sweep_id}/{candidate.trial_id}"


def _titled(
    candidates: Sequence[Candidate], sweeps: Mapping[str, tuple[str, ...]], titles: Mapping[str, str]
) -> list[Candidate]:
    """Return the candidates by setting and images, named by their setting and the sweeps that have trained it."""
    settings: dict[tuple[str, frozenset[str]], list[Candidate]] = {}
    for candidate in candidates:
        images = frozenset(candidate.evidence.names) if candidate.evidence else frozenset()
        settings.setdefault((candidate.setting or candidate.trial_id, images), []).append(candidate)
    named = []
    for number, seeds in enumerate(settings.values()):
        owners = dict.fromkeys(titles.get(sweep, sweep) for seed in seeds for sweep in sweeps[seed.trial_id])
        name = f"{setting_name([seed.name for seed in seeds])} ({', '.join(owners)})"
        named += [replace(seed, name=name, setting=f"setting {number}") for seed in seeds]
    return named


def _place(rival: Rival, contest: _Contest, titles: Mapping[str, str]) -> ComparedSetting:
    sweeps = tuple(titles.get(sweep, sweep) for sweep in contest.sweeps_of(rival))
    return ComparedSetting(contest.names[rival.trial_id], sweeps, rival)


def _contender(report: Report, titles: Mapping[str, str], contest: _Contest | None) -> Contender:
    leader = report.leader
    evidence = report.evidence.get(leader.trial_id)
    column = Column(leader.name, None, leader.scores.miou, leader.scores.iou)
    rival, left_out = _look_up(report, contest)
    return Contender(
        report=report,
        title=titles[report.sweep_id],
        entry=leader,
        column=score_images(evidence, None, leader.name) if evidence is not None else column,
        rival=rival,
        left_out=left_out,
        latency=report.speed.of(leader.trial_id),
    )


def _look_up(report: Report, contest: _Contest | None) -> tuple[Rival | None, str]:
    """Return the rival that a sweep's leader is in the comparison, or why it was not compared."""
    if report.leader.trial_id not in report.evidence:
        return None, "it has no evidence"
    if contest is None:
        return None, ""
    runs = (
        [report.leader.trial_id] if report.is_confirmation else [seed.trial_id for seed in report.seeds(report.leader)]
    )
    rivals = (contest.rival(f"{report.sweep_id}/{name}") for name in runs)
    rival = next((rival for rival in rivals if rival is not None), None)
    if rival is not None:
        return rival, ""
    is_of_stage = report.is_confirmation == (contest.verdict.stage == "confirmation")
    return None, "its evidence is of other images" if is_of_stage else "a confirmation has images of its own"
