"""Report -> learning curves."""

from functools import partial

from sweeps.figures import draw_curves, draw_fit
from sweeps.gather import Report
from sweeps.section import Drawing, Section


def build_section(report: Report) -> Section:
    """Return the curves of all trials, and those of the leader on both parts."""
    drawings = {"curves": Drawing(partial(draw_curves, report), "Lines: validation mIoU of every trial over epochs")}
    if report.leader.train_curve and report.leader.curve:
        words = "Lines: training and validation mIoU of the leader"
        drawings["fit"] = Drawing(partial(draw_fit, report), words)
    return Section("curves", "Learning curves", _say(report), drawings)


def _say(report: Report) -> str:
    if not report.rungs:
        return "Validation mIoU of every trial; none was stopped early by comparison."
    rungs = ", ".join(map(str, report.rungs))
    return (
        f"Validation mIoU of every trial; at the rungs (epochs {rungs}) trials were compared and weaker ones stopped."
    )
