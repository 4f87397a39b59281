"""Gather everything about a sweep in a Report: the verdict first, the test set last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE
from bddseg.task import Task
from sweeps.errors import NothingFinishedError
from sweeps.report.decision import Decision, Margins, decide_confirmation, decide_screening
from sweeps.report.entries import RUNS, Entry, build_entries, complete_row, detail_names, read_facts
from sweeps.report.holdout import Holdout, HoldoutLog, choose_trials, open_test, read_openings
from sweeps.report.pooling import join_entries
from sweeps.report.seeds import EvidenceReader
from sweeps.report.without_suspects import WithoutSuspects, judge_without_suspects
from sweeps.sanitize import clean, clean_all, figure, whole
from sweeps.statistics.hypothesis_tests import ALPHA
from sweeps.statistics.regret import Hindsight
from sweeps.statistics.results import Candidate, Finalist, Verdict
from sweeps.statistics.rounds import Rounds
from sweeps.statistics.scores import VerificationResult, compare_figures, rank
from sweeps.storage.album import PredictionPanels
from sweeps.storage.artifacts import VERIFICATION
from sweeps.storage.latency import LATENCY, NetworkTimings, parse_timings
from sweeps.storage.outcomes import ENDED, SweepState, sweep_state
from sweeps.storage.records import SweepRecord
from sweeps.storage.suspects import FILE as SUSPECTS
from sweeps.storage.suspects import FOLDER as SUSPECTS_FOLDER
from sweeps.storage.sweep_json import recorded_task
from sweeps.storage.tags import CONFIRMS
from sweeps.storage.trial_history import EPOCH_SECONDS

CURVES = (OBJECTIVE, "train/miou", EPOCH_SECONDS)


class Reader(EvidenceReader, Protocol):
    """The methods that are needed of the tracking store."""

    def histories(
        self, record: SweepRecord, keys: Sequence[str]
    ) -> Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]: ...
    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None: ...
    def album(self, run_id: str) -> PredictionPanels | None: ...


@dataclass(frozen=True)
class Report:
    """Everything that a report contains about one sweep."""

    sweep_id: str
    run_id: str
    """Of the sweep in MLflow."""
    state: str
    """running, finished, interrupted or failed."""
    facts: dict[str, Any]
    """The sweep's manifest, cleaned, with the defaults of FACTS."""
    budget: int
    """Epochs that a trial may train."""
    rungs: tuple[int, ...]
    made: str
    """When the report was written; "" to omit it."""
    trials: tuple[Entry, ...]
    """In a confirmation, the runs. Seeds of one setting together, in the order of the verdict; then those that were
    stopped early, the best first; then the others, those with a figure first."""
    settings: tuple[Entry, ...]
    """What the verdict compares, the best first, each over all its runs: settings, or in a confirmation finalists, of
    which those that cannot be compared come last."""
    planned: int
    varying: tuple[str, ...]
    leader: Entry
    """The verdict's setting or finalist; without a verdict, the trial whose recorded figure is highest."""
    runner_up: Entry | None
    reference: Entry | None
    gap: float | None
    check: VerificationResult | None
    is_confirmation: bool = False
    test: Holdout = field(default_factory=Holdout)
    speed: NetworkTimings = field(default_factory=NetworkTimings)
    verdict: Verdict | None = None
    """None when no evidence can be compared."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Trial or finalist -> why the verdict does not compare it."""
    hindsight: Mapping[str, Hindsight] = field(default_factory=dict)
    """Trial that was stopped early -> what it might have reached."""
    others: tuple[Entry, ...] = ()
    """Seeds of other sweeps that the verdict counts."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict, compare=False, repr=False)
    """Of the validation part, by the id of a setting or finalist, all its runs together."""
    entrants: tuple[Candidate | Finalist, ...] = field(default=(), compare=False, repr=False)
    """What was compared, with its evidence."""
    margins: Margins = field(default_factory=Margins)
    without_suspects: WithoutSuspects | None = None
    """The verdict without the images whose labels are most suspect; None where none are recorded."""
    album: PredictionPanels | None = None
    """Pictures that were made when the sweep ended; None without them."""
    full_names: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Trial or setting -> its full name, if names are shortened."""
    in_common: str = ""
    """The words that shortened names omit."""

    @property
    def task(self) -> Task:
        """Return the recorded classes and groups of the sweep."""
        return recorded_task(self.facts)

    @property
    def is_final(self) -> bool:
        """Return whether the sweep can no longer change."""
        return self.state in (SweepState.FINISHED, SweepState.FAILED)

    @property
    def noun(self) -> str:
        """Return the word for what the verdict compares."""
        return "finalist" if self.is_confirmation else "setting"

    @property
    def confidence(self) -> str:
        """Return the simultaneous confidence of all differences: higher where runs are evaluated several times."""
        rounds = Rounds.recorded(self.facts["confirmation"]) if self.verdict else None
        alpha = rounds.level(self.verdict.runs) if rounds and self.verdict else ALPHA
        return f"{100 * (1 - alpha):g} %"

    @property
    def planned_epochs(self) -> int:
        """Return the epochs of all trials together, each with its own budget where that is known."""
        settings = [trial.get("settings") for trial in self.facts["trials"] if isinstance(trial, dict)]
        budgets = [
            whole(trial_settings.get("train.epochs")) for trial_settings in settings if isinstance(trial_settings, dict)
        ]
        return sum(budgets) if len(budgets) == self.planned and all(budgets) else self.planned * self.budget

    def columns(self) -> tuple[str, ...]:
        """Return the settings that vary between what is compared; not those in which only runs differ."""
        return tuple(key for key in self.varying if key not in RUNS)

    def unjudged(self) -> tuple[Entry, ...]:
        """Return the trials that do not belong to a compared setting."""
        judged = {entry.trial_id for entry in self.settings}
        return tuple(entry for entry in self.trials if entry.setting_id not in judged)

    def listed(self) -> tuple[Entry, ...]:
        """Return the compared settings, then the other trials."""
        return (*self.settings, *self.unjudged())

    def seeds(self, entry: Entry) -> tuple[Entry, ...]:
        """Return the runs of a setting or finalist, those of other sweeps last."""
        return tuple(run for run in (*self.trials, *self.others) if run.setting_id == entry.trial_id)

    def find(self, trial_id: str) -> Entry | None:
        """Return the setting, finalist or trial of that id."""
        return next((entry for entry in (*self.settings, *self.trials) if entry.trial_id == trial_id), None)

    def trial(self, trial_id: str) -> Entry | None:
        """Return the trial of that id by itself, and not the setting that it stands for."""
        return next((entry for entry in self.trials if entry.trial_id == trial_id), None)

    def role(self, entry: Entry) -> str:
        """Return leader, runner-up, reference, or nothing; a run has the role of its setting or finalist."""
        owner = entry.setting_id or entry.trial_id
        if owner == self.leader.trial_id:
            return "leader"
        if self.runner_up is not None and owner == self.runner_up.trial_id:
            return "runner-up"
        return "reference" if entry.is_reference else ""

    def shown(self) -> tuple[Entry, ...]:
        """Return leader, runner-up and reference, each once and only with figures."""
        entries = [self.leader, self.runner_up, self.reference]
        return tuple({entry.trial_id: entry for entry in entries if entry is not None and entry.is_scored}.values())

    def epochs_shown(self) -> tuple[int, ...]:
        """Return the epochs at which one of the trials shown has a figure."""
        return tuple(sorted({epoch for entry in self.shown() for epoch, _ in entry.curve}))


def gather_report(
    record: SweepRecord,
    store: Reader,
    ledger: HoldoutLog,
    *,
    screening: SweepRecord | None = None,
    made: str = "",
    margins: Margins | None = None,
    reveal_all: bool = False,
    is_sealed: bool = False,
) -> Report:
    """Return the report of a sweep; test evidence is opened last, after the verdict is final.

    Args:
        record: the sweep as it was recorded.
        store: reads histories, evidence and artifacts.
        ledger: records openings of the test set.
        screening: the sweep that a confirmation confirms, if it is recorded.
        made: when the report is written; "" to omit it.
        margins: differences that do not matter; None for the defaults.
        reveal_all: open the test set for all trials.
        is_sealed: do not open it at all.

    Raises:
        NothingFinishedError: when no trial has a usable figure; the message says why they failed.
    """
    is_open, task = any(row.status not in ENDED for row in record.trials), recorded_task(record.manifest)
    histories = store.histories(record, [*CURVES, *([f"val/{name}" for name in detail_names(task)] if is_open else [])])
    rows = tuple(complete_row(row, histories.get(row.trial_id, {}), task) for row in record.trials)
    record = replace(record, trials=rows)
    if not rank(rows):
        raise NothingFinishedError(_why_nothing(record))
    margins, speed = margins or Margins(), parse_timings(store.json_artifact(record.run_id, LATENCY))
    is_confirmation = CONFIRMS in record.tags or bool(record.manifest.get("confirmation"))
    decision = (
        decide_confirmation(record, screening, store, speed, margins, histories)
        if is_confirmation
        else decide_screening(record, store, speed, margins, histories)
    )
    report = replace(
        _build(record, histories, decision, store, is_confirmation=is_confirmation), made=made, speed=speed
    )
    recorded = store.json_artifact(record.run_id, f"{SUSPECTS_FOLDER}/{SUSPECTS}")
    without = judge_without_suspects(recorded, decision.verdict, decision.entrants, decision.judge)
    report = replace(report, margins=margins, album=store.album(record.run_id), without_suspects=without)
    if is_sealed:
        return report
    return replace(report, test=_open(report, screening if is_confirmation else record, store, ledger, reveal_all))


def _build(
    record: SweepRecord, histories: Mapping[str, Any], decision: Decision, store: Reader, *, is_confirmation: bool
) -> Report:
    state = sweep_state(record.status)
    task = recorded_task(record.manifest)
    entries = list(build_entries(record.trials, histories, state, task).values())
    settings, trials, other_seeds = join_entries(entries, decision, task, is_confirmation=is_confirmation)
    listed = settings or trials
    order = [entry for entry in listed if entry.is_scored] or list(listed)
    leader, runner_up = order[0], order[1] if len(order) > 1 else None
    facts = read_facts(record.manifest)
    return Report(
        sweep_id=clean(record.sweep_id),
        run_id=clean(record.run_id),
        state=state,
        facts=facts,
        budget=max([whole(facts["scheduler"]["max_epochs"]), *(entry.epochs for entry in trials)]),
        rungs=tuple(filter(None, map(whole, facts["scheduler"]["rungs"]))),
        made="",
        trials=trials,
        settings=settings,
        planned=max(len(facts["trials"]), len(record.trials)),
        varying=_varying(trials, facts["axes"]),
        leader=leader,
        runner_up=runner_up,
        reference=next((entry for entry in (*settings, *trials) if entry.is_reference), None),
        gap=_gap(leader, runner_up),
        check=_read_check(leader, trials, store),
        is_confirmation=is_confirmation,
        verdict=decision.verdict,
        left_out=decision.left_out,
        hindsight=decision.hindsight,
        others=other_seeds,
        evidence=decision.evidence,
        entrants=decision.entrants,
    )


def _read_check(leader: Entry, trials: Sequence[Entry], store: Reader) -> VerificationResult | None:
    """Return the verification of the leader's figures, from the first of its runs that has one."""
    own = [entry for entry in trials if leader.trial_id in (entry.setting_id, entry.trial_id)]
    records = (store.json_artifact(entry.run_id, VERIFICATION) for entry in own)
    verification = next(filter(None, records), None)
    return compare_figures(clean_all(verification)) if verification else None


def _gap(leader: Entry, runner_up: Entry | None) -> float | None:
    if runner_up is None or leader.scores.miou is None or runner_up.scores.miou is None:
        return None
    return figure(leader.scores.miou - runner_up.scores.miou)


def _varying(entries: Sequence[Entry], axes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings in which trials differ, the axes of the grid first, in their order."""
    keys = dict.fromkeys([*map(clean, axes), *(key for entry in entries for key in entry.settings)])
    return tuple(key for key in keys if len({repr(entry.settings.get(key)) for entry in entries}) > 1)


def _why_nothing(record: SweepRecord) -> str:
    reasons = [
        f"{clean(row.name)}: {clean(row.stop_detail or row.stop_reason or row.status.lower())}" for row in record.trials
    ]
    shown = "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")
    return f"no trial of sweep {clean(record.sweep_id)} has a usable figure ({shown or 'none has started'})"


def _open(report: Report, owner: SweepRecord | None, store: Reader, ledger: HoldoutLog, reveal_all: bool) -> Holdout:
    """Open the test set of the sweep that owns it: for a confirmation, the screening."""
    before = read_openings(owner.tags) if owner else ()
    if not report.is_final:
        why = f"The test set stays sealed: the sweep is {report.state}, so its leader may still change."
    elif report.verdict is None:
        why = "The test set stays sealed: without a verdict there is no trial to open it for."
    elif owner is None:
        why = "The test set stays sealed: the screening sweep, whose trials have test figures, is not in this store."
    else:
        reference = report.reference.trial_id if report.reference else None
        wanted = choose_trials(report.verdict, reference)
        rows = {clean(row.trial_id): row for row in owner.trials}
        chosen = rank(owner.trials) if reveal_all else [rows[trial_id] for trial_id in wanted if trial_id in rows]
        why = "--reveal-test all" if reveal_all else f"{report.verdict.stage}: {report.verdict.outcome}"
        return open_test(owner, chosen, store, ledger, why=why, when=report.made, is_all=reveal_all)
    return Holdout(notes=(why,), openings=before)
