"""Report the provenance of a sweep: its verification, its data, and the commands and versions to reproduce it."""

import itertools
import shlex
from typing import Any

from bddseg.words import count
from sweeps.formatting import write_exact
from sweeps.paths import EXPORT, PREDICT, program
from sweeps.report.gather import Report
from sweeps.report.section import Section


def build_verification(report: Report) -> Section:
    """Return the comparison of the leader's figures with those recomputed from its saved weights."""
    disagrees = report.check is not None and not report.check.agrees
    return Section("verification", "Verification", _say_check(report), is_alarm=disagrees)


def build_data(report: Report) -> Section:
    """Return the section on data and split."""
    return Section("data", "Data and split", _say_data(report))


def build_provenance(report: Report) -> Section:
    """Return the commands that reproduce the sweep and use its model."""
    facts = report.facts
    commands = [
        ("Repeat the sweep", facts["command"]),
        ("Train its leader alone", _leader_command(report)),
        ("Write this page again", facts["report_command"]),
        *_use_commands(report),
    ]
    sentence = "These commands repeat the sweep, train its leader alone, write this page again, and use its model."
    return Section("provenance", "Reproduce and use", sentence, data=[pair for pair in commands if pair[1]])


def _use_commands(report: Report) -> list[tuple[str, str]]:
    """Return the commands that register the sweep's model and use it, in the report's own store."""
    command, verdict = report.facts["report_command"], report.verdict
    if not command or verdict is None:
        return []
    if verdict.outcome == "undecided":
        register = ("Register its model, not as @champion: the verdict is undecided", "--register --force")
    else:
        register = ("Register its model as @champion", "--register")
    registered = f"@{report.sweep_id}"  # and not @champion, which may be another sweep's model
    return [(register[0], f"{command} {register[1]}"), *use_commands(registered, _store_flag(command))]


def use_commands(model: str, store: str) -> list[tuple[str, str]]:
    """Return the commands that predict with a registered model and export it; `store` is their option for the store."""
    return [
        ("Predict new images with it", f"{program(PREDICT)} {model} IMAGES --out painted{store}"),
        ("Export it to a file that runs without this project", f"{program(EXPORT)} {model} --out exported{store}"),
    ]


def _store_flag(report_command: str) -> str:
    """Return the option by which a command names the store, with a leading space; "" without one."""
    try:
        arguments = shlex.split(report_command)
    except ValueError:  # no command of ours
        return ""
    uri = dict(itertools.pairwise(arguments)).get("--tracking-uri", "")
    return f' --tracking-uri "{uri}"' if uri.startswith("$") else f" --tracking-uri {shlex.quote(uri)}" if uri else ""


def describe_source(facts: dict[str, Any]) -> str:
    """Return the source of the frames."""
    data = facts["data"]
    return "the embedded street scenes (generated pictures, no real data)" if data["embedded"] else str(data["root"])


def _say_check(report: Report) -> str:
    check = report.check
    if check is None and not report.is_final:
        return "The leader's figures are recomputed when the sweep ends."
    if check is None:
        return "The leader's figures were not recomputed: its run holds no verification.json."
    if check.difference is None:
        return (
            "The leader's figures could not be compared with those recomputed from its saved weights: one side is "
            "incomplete."
        )
    return (
        f"Recomputed from the leader's saved weights with torchmetrics, its figures {'' if check.agrees else 'do NOT '}"
        f"agree: the largest difference is {check.difference:.1e}."
    )


def _say_data(report: Report) -> str:
    split = report.facts["data"]["split"]
    how = "split by drive" if split["by_drive"] else "split frame by frame"
    how = "in the parts of the folder" if split.get("official") else how
    trained = count(split["train"], "image") if isinstance(split["train"], int) else f"{split['train']} images"
    return (
        f"Trained and evaluated on {describe_source(report.facts)}: {trained} for training, {split['val']} for "
        f"validation, {split['test']} for testing, {how}."
    )


def _leader_command(report: Report) -> str:
    """Return the sweep's command with every axis set to the leader's value: a sweep of that one trial."""
    if report.facts["confirmation"]:
        return ""  # its trials are runs of settings, not points of a grid
    command = report.facts["command"]
    axes = [key for key in report.facts["axes"] if key in report.leader.settings]
    pinned = [f"--set {shlex.quote(f'{key}={write_exact(report.leader.settings[key])}')}" for key in axes]
    return " ".join([command, *pinned]) if command else ""
