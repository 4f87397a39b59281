"""Report -> the verdict box: the headline, the score, the recommended setting, what to do next."""

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bddseg.words import count
from sweeps.formatting import write_iou, write_points, write_share, write_size
from sweeps.report.gather import Entry, Report
from sweeps.report.rendering import write_distance
from sweeps.report.section import Section
from sweeps.statistics.power import MOST_RUNS_PLANNED
from sweeps.statistics.results import Interval, Rival, SampleSizeNeeded, Verdict
from sweeps.statistics.rounds import CONFIRMING_RUNS, MOST_RUNS_TRAINED
from sweeps.statistics.scores import CAVEAT
from sweeps.statistics.wording import describe_sample_size

TITLES = {"leader": "Leader", "winner": "Winner", "tie": "Tie", "undecided": "Undecided"}
NAMED = 5
"""Of the settings that cannot be distinguished from the leader so many are named."""

PLACES = ("--storage", "--tracking-uri", "--address")
"""Options of the sweep's command that whatever comes next needs too."""

KEPT = (*PLACES, "--top")
"""Those that another confirmation needs; a screening has no --top."""

OPEN = ("tie", "undecided")
SURE = 0.95
"""A probability from here on would contradict an outcome that is open."""

NOUNS = {"screening": "setting", "confirmation": "finalist"}

EQUAL = 0.005
"""Probabilities that differ by less are written alike."""

CLEARLY = 0.05
"""Of settings whose probabilities of being best differ by less, none is called ahead."""


@dataclass(frozen=True)
class Box:
    """What stands in the verdict box below its headline."""

    score: str
    """The leader's score, with its interval where there is a verdict."""
    basis: str
    """What it was measured on, in words."""
    recommended: str
    """The name of the recommended setting; empty without a verdict."""
    why: str
    """Why that one."""
    following: str
    """What comes next, in words; empty where nothing does."""
    command: str
    """That does it."""
    rows: tuple[tuple[str, str, str], ...]
    """What, the figure, what it means."""
    caveats: tuple[str, ...]


def build_verdict(report: Report) -> Section:
    """Return the box that a reader sees first."""
    verdict = report.verdict
    title = _title(report, verdict) + ("" if report.is_final else ", so far")
    rival = find_rivals(report).get(report.leader.trial_id)
    following, command = next_step(report)
    box = Box(
        score=f"{_iou_interval(rival.score)} mIoU" if rival else f"{write_iou(report.leader.scores.miou)} mIoU",
        basis=_say_basis(report, rival),
        recommended=_name(report, verdict.recommended) if verdict else "",
        why=_say_recommended(report, verdict) if verdict else "",
        following=following,
        command=command,
        rows=tuple(_rows(report, verdict)) if verdict else (),
        caveats=tuple(verdict.caveats if verdict else (CAVEAT,)),
    )
    said = describe_verdict(report).removeprefix("Undecided: ").removeprefix("A tie: ")  # the title has said it
    return Section("verdict", title, said, data=box, mark=verdict.outcome if verdict else "")


def describe_verdict(report: Report) -> str:
    """Return the verdict in words; without one, whose figure is highest and why that decides nothing."""
    if report.verdict:
        return report.verdict.sentence
    lead = f"{report.leader.name} has the highest validation mIoU, {write_iou(report.leader.scores.miou)}"
    why = "; ".join(dict.fromkeys(report.left_out.values())) or "no trial has any"
    return f"{lead}, but nothing is decided: there is no evidence that could be compared ({why})."


def next_step(report: Report) -> tuple[str, str]:
    """Return what comes next in words, and its command; the command is empty where there is none, or both are."""
    kept = _kept_options(report.facts["command"])
    if report.state == "running":
        return "The sweep is still running.", ""
    if report.state == "interrupted" and kept is not None:
        where = _kept_options(report.facts["command"], PLACES) or []
        return "Continue the sweep:", shlex.join(["python", "tune_main.py", *where, "--resume", report.sweep_id])
    if not report.is_final or report.verdict is None or kept is None:
        return "", ""
    step = _after_confirmation if report.is_confirmation else _after_screening
    return step(report, report.verdict, kept)


def agrees_with_chance(verdict: Verdict) -> bool:
    """Return whether the probabilities of being best agree with the outcome; if not, they are not shown.

    They allow for noise as it is estimated, the outcome for how little is known of it: an open outcome and a
    probability near 1 would contradict each other on one page.
    """
    chance = verdict.rivals[0].p_best
    if chance is None or len(verdict.rivals) < 2:
        return False
    return verdict.outcome not in OPEN or chance < SURE


def find_rivals(report: Report) -> dict[str, Rival]:
    """Return what the verdict says of each setting or finalist that is compared, by its id."""
    return {rival.trial_id: rival for rival in report.verdict.rivals} if report.verdict else {}


def mean_of_runs(rival: Rival | None) -> float | None:
    """Return the mean of the runs, which need not be the score over the images of all of them together."""
    return fmean(rival.run_scores) if rival and rival.run_scores else None


def _title(report: Report, verdict: Verdict | None) -> str:
    if verdict is None:
        return "Highest figure"
    return TITLES[verdict.outcome] if len(verdict.rivals) > 1 else f"The only {report.noun}"


def _say_basis(report: Report, rival: Rival | None) -> str:
    """Return what the leader's score was measured on."""
    verdict, leader = report.verdict, report.leader
    drives = f" of {count(verdict.drives, 'drive')}" if verdict and verdict.drives else ""
    images = f"{verdict.images:,} validation images{drives}" if verdict else "validation images"
    runs = len(rival.run_scores) if rival else 1
    if runs < 2:
        return f"{images}; epoch {leader.best_epoch or '?'} of {leader.epochs}"
    what = "run" if report.is_confirmation else "seed"
    return f"{images}, {count(runs, what)} together; mean of the {what}s {write_iou(mean_of_runs(rival))}"


def _say_recommended(report: Report, verdict: Verdict) -> str:
    rival = find_rivals(report)[verdict.recommended]
    costs = ", ".join(
        filter(
            None,
            [
                f"{rival.latency_ms:.1f} ms an image" if rival.latency_ms is not None else "",
                f"{rival.parameters:,} parameters" if rival.parameters is not None else "",
            ],
        )
    )
    if verdict.recommended == verdict.leader:
        others = any(it.is_close and it.is_tied for it in verdict.rivals[1:])
        return "the leader; no cheaper setting is as good within one standard error" if others else "the leader"
    margin = write_size(verdict.margin)
    near = f"surely less than {margin} points behind" if rival.is_surely_close else "within one standard error"
    return f"the cheapest of those {near}{f': {costs}' if costs else ''}"


def _after_screening(report: Report, verdict: Verdict, kept: Sequence[str]) -> tuple[str, str]:
    needed = verdict.needed
    runs, is_blind = (needed.runs, needed.detectable >= 1) if needed else (None, True)
    words = ["python", "tune_main.py", *kept, "--confirm", report.sweep_id]
    if len(verdict.rivals) < 2:
        return "", ""
    if verdict.outcome not in OPEN:
        return "Only a confirmation names a winner: it trains the finalists again on folds.", shlex.join(words)
    if runs is None and verdict.noise.basis == "measured" and not is_blind:
        return (
            f"No confirmation of up to {MOST_RUNS_PLANNED} runs of each would decide: use the recommended setting.",
            "",
        )
    if runs is None:
        return "A confirmation measures the noise between runs, and may decide:", shlex.join(words)
    if runs > CONFIRMING_RUNS:
        how = "would decide" if runs <= MOST_RUNS_TRAINED else "may decide"
        said = f"A confirmation {how}; it adds runs where they decide most, up to {MOST_RUNS_TRAINED} of each:"
        return said, shlex.join([*words, "--until-decided"])
    return "A confirmation would decide: it trains the finalists again on folds.", shlex.join(words)


def _after_confirmation(report: Report, verdict: Verdict, kept: Sequence[str]) -> tuple[str, str]:
    register = f"{report.facts['report_command']} --register" if report.facts["report_command"] else ""
    if verdict.outcome == "winner":
        return "Put the winner into the model registry:", register
    if verdict.outcome == "tie":
        return "The differences do not matter. Put the recommended setting into the model registry:", register
    screening, runs = report.facts["confirmation"].get("screening"), verdict.needed.runs if verdict.needed else None
    words = ["python", "tune_main.py", *kept, "--confirm", str(screening)]
    if screening and report.facts["confirmation"].get("rounds"):
        return _after_rounds(report, verdict, words)
    if not screening or runs is None or runs <= verdict.runs:
        return f"No number of runs up to {MOST_RUNS_PLANNED} of each would decide. Use the recommended setting.", ""
    said = f"{runs} runs of each finalist instead of {verdict.runs} would decide:"
    return said, shlex.join([*words, "--runs", str(runs)])


def _after_rounds(report: Report, verdict: Verdict, words: Sequence[str]) -> tuple[str, str]:
    """Return what comes after rounds that decided nothing: why they ended, and how they go on."""
    confirmation = report.facts["confirmation"]
    most = _number(confirmation["rounds"], "most") or MOST_RUNS_TRAINED
    looks = confirmation.get("looks")
    last = looks[-1] if isinstance(looks, list) and looks else None
    ending = last.get("ending") if isinstance(last, Mapping) else ""
    after = f"after {count(verdict.runs, 'run')} of each finalist"
    if ending == "runs" or verdict.runs >= most:
        said = f"The confirmation ended {after}, the most that it trains: more would hardly help."
        return f"{said} Use the recommended setting.", ""
    if ending == "budget":
        hours = _number(confirmation["rounds"], "hours")
        said = f"The budget{f' of {hours:g} h' if hours else ''} ended the confirmation {after}."
        larger = f"{2 * hours:.3g}" if hours else "HOURS"
        command = shlex.join([*words, "--until-decided", "--budget", larger])
        return f"{said} A larger one adds runs; recorded runs are not trained again:", command
    return "Add runs until it is decided; recorded runs are not trained again:", shlex.join([*words, "--until-decided"])


def _number(values: object, name: str) -> float:
    """Return a positive number of a manifest; 0 for what is none."""
    value = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(value) if 0 < value < math.inf else 0.0


def _kept_options(command: str, options: tuple[str, ...] = KEPT) -> list[str] | None:
    """Return those options of a sweep's command that what comes next needs too; None without a command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    kept: list[str] = []
    for word, value in itertools.pairwise([*words, ""]):
        if word in options:
            kept += [word, value]
        elif word.partition("=")[0] in options:
            kept.append(word)
    return kept if words else None


def _rows(report: Report, verdict: Verdict) -> list[tuple[str, str, str]]:
    rivals = find_rivals(report)
    rows = [_compared(report, rivals, entry) for entry in report.shown() if entry.trial_id != report.leader.trial_id]
    if len(verdict.rivals) > 1 and verdict.rivals[0].p_best is None:
        rows.append(("Probability of being best", "cannot tell", _say_blind(verdict)))
    elif agrees_with_chance(verdict):
        rows.append(("Probability of being best", write_share(rivals[verdict.leader].p_best), _say_chance(verdict)))
    if verdict.corrected and len(verdict.rivals) > 1:
        rows.append(_corrected(verdict, rivals[verdict.leader].score))
    if len(verdict.tied) > 1:
        tied = verdict.tied[1:]
        rows.append(("Not distinguished from it", count(len(tied), report.noun), _names(report, tied)))
    if verdict.needed and verdict.outcome in OPEN:
        rows.append(("What would decide", *_needed(verdict.needed, verdict)))
    if verdict.stopped:
        rows.append(("Stopped early", count(len(verdict.stopped), "trial"), _say_stopped(verdict)))
    if verdict.kendall_tau is not None:
        rows.append(("Order of the screening", f"Kendall's tau {verdict.kendall_tau:+.2f}".replace("-", "−"),
                     "1 when the finalists come in the same order again, −1 when in the opposite one"))  # fmt: skip
    if report.left_out:
        why = "; ".join(dict.fromkeys(report.left_out.values()))
        noun = report.noun if report.is_confirmation else "trial"
        rows.append(("Not compared", count(len(report.left_out), noun), why))
    return rows


def _compared(report: Report, rivals: dict[str, Rival], entry: Entry) -> tuple[str, str, str]:
    role = report.role(entry)
    title = f"{role}, reference" if entry.is_reference and role != "reference" else role
    rival = rivals.get(entry.trial_id)
    if rival is None:
        return title.capitalize(), f"{write_iou(entry.scores.miou)}", f"{entry.name}; not compared"
    figure = f"{write_points(rival.difference.estimate)} points"
    low, high = write_points(rival.difference.low), write_points(rival.difference.high)
    return (
        title.capitalize(),
        figure,
        f"between {low} and {high} ({report.confidence}); {entry.name} ({write_iou(rival.score.estimate)})",
    )


def _say_chance(verdict: Verdict) -> str:
    """Return what the leader's probability of being best means beside the outcome."""
    missed = sum(trial.p_best for trial in verdict.stopped)
    stopped = f"; a trial that was stopped early might be best with {write_share(missed)}" if missed >= 0.005 else ""
    rank = _say_open(verdict) if verdict.outcome in OPEN else "of all that were compared"
    return f"{rank}; from scores that are shrunk towards their mean{stopped}"


def _say_open(verdict: Verdict) -> str:
    """Return whether the leader of an open verdict is at least more probable to be the best than any other."""
    leader, *others = (rival.p_best or 0.0 for rival in verdict.rivals)
    next_best = max(others)
    if leader - next_best >= CLEARLY:
        return "ahead, but not surely"
    if abs(leader - next_best) < EQUAL:
        return f"no higher than that of {'the other' if len(others) == 1 else 'another'} {NOUNS[verdict.stage]}"
    return f"not clearly different from the {write_share(next_best)} of another {NOUNS[verdict.stage]}"


def _say_blind(verdict: Verdict) -> str:
    """Return why no probability can be had."""
    if verdict.noise.basis == "unknown":
        return "run-to-run noise is not known"
    unit = "drive" if verdict.drives else "block of images"
    return f"the masks of at least one class come from a single {unit}, so other images may change any order"


def _corrected(verdict: Verdict, score: Interval) -> tuple[str, str, str]:
    """Return the corrected score without an interval: it has that of the score, shifted."""
    corrected = verdict.corrected or score
    off = write_size(score.estimate - corrected.estimate)
    return (
        "Score corrected for selection bias",
        write_iou(corrected.estimate),
        f"{off} points less: the highest of several scores is partly luck",
    )


def _say_stopped(verdict: Verdict) -> str:
    nearest = verdict.stopped[0]
    behind = nearest.leader_score - nearest.score
    place = f"the best of them was {write_distance(behind)} at epoch {nearest.epoch}" if behind == behind else ""
    return "; ".join(filter(None, ["not judged", place]))


def _needed(needed: SampleSizeNeeded, verdict: Verdict) -> tuple[str, str]:
    """Return how many runs would decide, and what that number and the present images and runs can show."""
    if needed.runs is not None:
        return f"about {count(needed.runs, 'run')} of each", describe_sample_size(needed, verdict.stage)
    if needed.detectable >= 1:
        return "not known", "These images and runs show no lead at all; see below."
    return f"more than {MOST_RUNS_PLANNED} runs of each", describe_sample_size(needed, verdict.stage)


def _name(report: Report, trial_id: str) -> str:
    entry = report.find(trial_id)
    return entry.name if entry else trial_id


def _names(report: Report, trial_ids: Sequence[str]) -> str:
    names = [entry.name for trial_id in trial_ids[:NAMED] if (entry := report.find(trial_id))]
    more = len(trial_ids) - len(names)
    return "; ".join(names) + (f"; and {more} more" if more else "")


def _iou_interval(interval: Interval) -> str:
    return f"{write_iou(interval.estimate)} ({write_iou(interval.low)} to {write_iou(interval.high)})"
