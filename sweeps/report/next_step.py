"""Recommend the next step after a report, with its command."""

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence

from bddseg.words import count
from sweeps.paths import TUNE, short_command
from sweeps.report.gather import Report
from sweeps.statistics.power import MOST_RUNS_PLANNED
from sweeps.statistics.results import Verdict
from sweeps.statistics.rounds import CONFIRMING_RUNS, MOST_RUNS_TRAINED

PLACES = ("--storage", "--tracking-uri", "--address")
"""Options of the sweep's command that any next command needs."""

KEPT = (*PLACES, "--top")
"""Options that another confirmation needs; a screening has no --top."""

OPEN = ("tie", "undecided")
"""Outcomes that a confirmation, or more runs, may still decide."""


def next_step(report: Report) -> tuple[str, str]:
    """Return a sentence about the next step and its command; either may be empty."""
    options = _kept_options(report.facts["command"])
    if report.state == "running":
        return "The sweep is still running.", ""
    if report.state == "interrupted" and options is not None:
        where = _kept_options(report.facts["command"], PLACES) or []
        return "Continue the sweep:", shlex.join([*short_command(TUNE), *where, "--resume", report.sweep_id])
    if not report.is_final or report.verdict is None or options is None:
        return "", ""
    step = _after_confirmation if report.is_confirmation else _after_screening
    return step(report, report.verdict, options)


def _after_screening(report: Report, verdict: Verdict, options: Sequence[str]) -> tuple[str, str]:
    needed = verdict.needed
    runs, is_blind = (needed.runs, needed.detectable >= 1) if needed else (None, True)
    command = [*short_command(TUNE), *options, "--confirm", report.sweep_id]
    if len(verdict.rivals) < 2:
        return "", ""
    if verdict.outcome not in OPEN:
        return "Only a confirmation names a winner: it trains the finalists again on folds.", shlex.join(command)
    if runs is None and verdict.noise.basis == "measured" and not is_blind:
        return (
            f"No confirmation of up to {MOST_RUNS_PLANNED} runs of each would decide: use the recommended setting.",
            "",
        )
    if runs is None:
        return "A confirmation measures the noise between runs, and may decide:", shlex.join(command)
    if runs > CONFIRMING_RUNS:
        how = "would decide" if runs <= MOST_RUNS_TRAINED else "may decide"
        sentence = f"A confirmation {how}; it adds runs where they decide most, up to {MOST_RUNS_TRAINED} of each:"
        return sentence, shlex.join([*command, "--until-decided"])
    return "A confirmation would decide: it trains the finalists again on folds.", shlex.join(command)


def _after_confirmation(report: Report, verdict: Verdict, options: Sequence[str]) -> tuple[str, str]:
    register = f"{report.facts['report_command']} --register" if report.facts["report_command"] else ""
    if verdict.outcome == "winner":
        return "Put the winner into the model registry:", register
    if verdict.outcome == "tie":
        return "The differences do not matter. Put the recommended setting into the model registry:", register
    screening, runs = report.facts["confirmation"].get("screening"), verdict.needed.runs if verdict.needed else None
    command = [*short_command(TUNE), *options, "--confirm", str(screening)]
    if screening and report.facts["confirmation"].get("rounds"):
        return _after_rounds(report, verdict, command)
    if not screening or runs is None or runs <= verdict.runs:
        return f"No number of runs up to {MOST_RUNS_PLANNED} of each would decide. Use the recommended setting.", ""
    sentence = f"{runs} runs of each finalist instead of {verdict.runs} would decide:"
    return sentence, shlex.join([*command, "--runs", str(runs)])


def _after_rounds(report: Report, verdict: Verdict, confirm: Sequence[str]) -> tuple[str, str]:
    """Return the next step after rounds that ended undecided: why they ended, and how to continue."""
    confirmation = report.facts["confirmation"]
    most = _number(confirmation["rounds"], "most") or MOST_RUNS_TRAINED
    looks = confirmation.get("looks")
    last = looks[-1] if isinstance(looks, list) and looks else None
    ending = last.get("ending") if isinstance(last, Mapping) else ""
    after = f"after {count(verdict.runs, 'run')} of each finalist"
    if ending == "runs" or verdict.runs >= most:
        sentence = f"The confirmation ended {after}, the maximum: more runs would hardly help."
        return f"{sentence} Use the recommended setting.", ""
    if ending == "budget":
        hours = _number(confirmation["rounds"], "hours")
        sentence = f"The budget{f' of {hours:g} h' if hours else ''} ended the confirmation {after}."
        larger = f"{2 * hours:.3g}" if hours else "HOURS"
        command = shlex.join([*confirm, "--until-decided", "--budget", larger])
        return f"{sentence} A larger one adds runs; recorded runs are not trained again:", command
    return "Add runs until it is decided; recorded runs are not trained again:", shlex.join(
        [*confirm, "--until-decided"]
    )


def _number(values: object, name: str) -> float:
    """Return a positive number of a manifest; 0 for any other value."""
    value = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(value) if 0 < value < math.inf else 0.0


def _kept_options(command: str, options: tuple[str, ...] = KEPT) -> list[str] | None:
    """Return the options of a sweep's command that the next command needs too; None without a command."""
    try:
        arguments = shlex.split(command)
    except ValueError:
        return None
    chosen: list[str] = []
    for word, value in itertools.pairwise([*arguments, ""]):
        if word in options:
            chosen += [word, value]
        elif word.partition("=")[0] in options:
            chosen.append(word)
    return chosen if arguments else None
