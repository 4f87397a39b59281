"""Report -> who leads, and the leaderboard."""

from sweeps.gather import Report
from sweeps.section import Section
from sweeps.wording import count, write_iou, write_points


def build_verdict(report: Report) -> Section:
    """Return the box that a reader sees first."""
    title = "Leader" if report.is_final else "Leader so far"
    return Section("verdict", title, say_verdict(report))


def build_leaderboard(report: Report) -> Section:
    """Return all trials, the best first."""
    ended = [entry for entry in report.trials if entry.state in ("finished", "stopped", "failed")]
    failed = sum(entry.state == "failed" for entry in ended)
    spent = sum(entry.epochs for entry in report.trials)
    sentence = (
        f"{len(ended)} of {count(report.planned, 'trial')} have ended{f', {failed} of them failed' if failed else ''}; "
        f"together they trained {spent} of {report.planned_epochs} planned epochs."
    )
    return Section("leaderboard", "Leaderboard", sentence)


def say_verdict(report: Report) -> str:
    """Return who leads, and by how much."""
    if report.facts["confirmation"]:
        return (
            f"A confirmation of {report.facts['confirmation']['screening']}: its runs, listed one by one. Runs on "
            "different folds do not compare; what counts is a setting's mean over its runs, which the sweep printed "
            "when it ended."
        )
    lead = f"{report.leader.name} leads with validation mIoU {write_iou(report.leader.scores.miou)}"
    if report.runner_up is None:
        return f"{lead}; no other trial has a usable figure."
    before = write_points(report.gap).replace("+", "")
    return f"{lead}, {before} points before {report.runner_up.name} ({write_iou(report.runner_up.scores.miou)})."
