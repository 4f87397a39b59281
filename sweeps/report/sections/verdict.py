"""Report the verdict: the headline, the score, the recommended setting, and the next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bddseg.words import count
from sweeps.formatting import write_iou, write_points, write_share, write_size
from sweeps.report.gather import Entry, Report
from sweeps.report.next_step import OPEN, next_step
from sweeps.report.rendering import write_distance
from sweeps.report.section import Section
from sweeps.statistics.power import MOST_RUNS_PLANNED
from sweeps.statistics.results import Interval, Rival, SampleSizeNeeded, Verdict
from sweeps.statistics.scores import CAVEAT
from sweeps.statistics.wording import describe_sample_size

TITLES = {"leader": "Leader", "winner": "Winner", "tie": "Tie", "undecided": "Undecided"}
NAMED = 5
"""Tied settings that are named at most."""

SURE = 0.95
"""From this probability on, an open outcome would be contradicted."""

NOUNS = {"screening": "setting", "confirmation": "finalist"}

EQUAL = 0.005
"""Probabilities that differ by less look equal when written."""

CLEARLY = 0.05
"""A smaller difference between probabilities of being best is not called a lead."""


@dataclass(frozen=True)
class Box:
    """The contents of the verdict box below its headline."""

    score: str
    """The leader's score, with its interval where there is a verdict."""
    basis: str
    """The images and runs behind it, in words."""
    recommended: str
    """The name of the recommended setting; empty without a verdict."""
    why: str
    """Why it is recommended."""
    following: str
    """The next step, in words; "" without one."""
    command: str
    """The command of the next step."""
    rows: tuple[tuple[str, str, str], ...]
    """Label, figure and explanation."""
    caveats: tuple[str, ...]


def build_verdict(report: Report) -> Section:
    """Return the verdict box, the first section of the page."""
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
    sentence = describe_verdict(report).removeprefix("Undecided: ").removeprefix("A tie: ")  # the title has said it
    return Section("verdict", title, sentence, data=box, mark=verdict.outcome if verdict else "")


def describe_verdict(report: Report) -> str:
    """Return the verdict in a sentence; without one, the highest figure and why it decides nothing."""
    if report.verdict:
        return report.verdict.sentence
    lead = f"{report.leader.name} has the highest validation mIoU, {write_iou(report.leader.scores.miou)}"
    why = "; ".join(dict.fromkeys(report.left_out.values())) or "no trial has any"
    return f"{lead}, but nothing is decided: there is no evidence that could be compared ({why})."


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
    """Return the rivals of the verdict by the id of their setting or finalist."""
    return {rival.trial_id: rival for rival in report.verdict.rivals} if report.verdict else {}


def mean_of_runs(rival: Rival | None) -> float | None:
    """Return the mean score of the runs, which may differ from their pooled score."""
    return fmean(rival.run_scores) if rival and rival.run_scores else None


def _title(report: Report, verdict: Verdict | None) -> str:
    if verdict is None:
        return "Highest figure"
    return TITLES[verdict.outcome] if len(verdict.rivals) > 1 else f"The only {report.noun}"


def _say_basis(report: Report, rival: Rival | None) -> str:
    """Return the images and runs behind the leader's score."""
    verdict, leader = report.verdict, report.leader
    drives = f" of {count(verdict.drives, 'drive')}" if verdict and verdict.drives else ""
    images = f"{verdict.images:,} validation images{drives}" if verdict else "validation images"
    runs = len(rival.run_scores) if rival else 1
    if runs < 2:
        return f"{images}; epoch {leader.best_epoch or '?'} of {leader.epochs}"
    noun = "run" if report.is_confirmation else "seed"
    return f"{images}, {count(runs, noun)} together; mean of the {noun}s {write_iou(mean_of_runs(rival))}"


def _say_recommended(report: Report, verdict: Verdict) -> str:
    rival = find_rivals(report)[verdict.recommended]
    costs = ", ".join(
        filter(
            None,
            [
                f"{rival.latency_ms:.1f} ms per image" if rival.latency_ms is not None else "",
                f"{rival.parameters:,} parameters" if rival.parameters is not None else "",
            ],
        )
    )
    if verdict.recommended == verdict.leader:
        has_cheaper = any(other_rival.is_close and other_rival.is_tied for other_rival in verdict.rivals[1:])
        return "the leader; no cheaper setting is as good within one standard error" if has_cheaper else "the leader"
    margin = write_size(verdict.margin)
    near = f"surely less than {margin} points behind" if rival.is_surely_close else "within one standard error"
    return f"the cheapest of those {near}{f': {costs}' if costs else ''}"


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
        rows.append(("Not distinguished from the leader", count(len(tied), report.noun), _names(report, tied)))
    if verdict.needed and verdict.outcome in OPEN:
        rows.append(("What would decide", *_needed(verdict.needed, verdict)))
    if verdict.stopped:
        rows.append(("Stopped early", count(len(verdict.stopped), "trial"), _say_stopped(verdict)))
    if verdict.kendall_tau is not None:
        rows.append(("Order of the screening", f"Kendall's tau {verdict.kendall_tau:+.2f}".replace("-", "−"),
                     "1 for the same order of finalists, −1 for the reverse order"))  # fmt: skip
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
    """Return how the leader's probability of being best relates to the outcome."""
    missed = sum(trial.p_best for trial in verdict.stopped)
    stopped = f"; a trial that was stopped early might be best with {write_share(missed)}" if missed >= 0.005 else ""
    rank = _say_open(verdict) if verdict.outcome in OPEN else "among all that were compared"
    return f"{rank}; estimated from scores shrunk towards their mean{stopped}"


def _say_open(verdict: Verdict) -> str:
    """Return how the leader's probability of being best compares with the next best in an open verdict."""
    leader, *chances = (rival.p_best or 0.0 for rival in verdict.rivals)
    next_best = max(chances)
    if leader - next_best >= CLEARLY:
        return "ahead, but not surely"
    if abs(leader - next_best) < EQUAL:
        return f"no higher than that of {'the other' if len(chances) == 1 else 'another'} {NOUNS[verdict.stage]}"
    return f"not clearly different from the {write_share(next_best)} of another {NOUNS[verdict.stage]}"


def _say_blind(verdict: Verdict) -> str:
    """Return why no probability can be estimated."""
    if verdict.noise.basis == "unknown":
        return "run-to-run noise is not known"
    unit = "drive" if verdict.drives else "block of images"
    return f"the masks of at least one class come from a single {unit}, so other images may change any order"


def _corrected(verdict: Verdict, score: Interval) -> tuple[str, str, str]:
    """Return the row of the corrected score; its interval is that of the score, shifted."""
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
    nearest_words = (
        f"the best of them was {write_distance(behind)} at epoch {nearest.epoch}" if behind == behind else ""
    )
    return "; ".join(filter(None, ["not judged", nearest_words]))


def _needed(needed: SampleSizeNeeded, verdict: Verdict) -> tuple[str, str]:
    """Return the runs that would decide, and what the present images and runs can detect."""
    if needed.runs is not None:
        return f"about {count(needed.runs, 'run')} of each", describe_sample_size(needed, verdict.stage)
    if needed.detectable >= 1:
        return "not known", "With these images and runs, no lead can be detected; see below."
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
