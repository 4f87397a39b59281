"""Report -> how well the classes are found, in the city and elsewhere."""

from functools import partial

from sweeps.figures import draw_classes, draw_groups
from sweeps.gather import Report
from sweeps.section import Drawing, Section
from sweeps.wording import write_iou, write_points


def build_classes(report: Report) -> Section:
    """Return the figures of the trials shown, by class and by scene group."""
    shown = [entry.scores for entry in report.shown()]
    drawings = {}
    if any(value is not None for scores in shown for value in scores.iou.values()):
        drawings["classes"] = Drawing(partial(draw_classes, report), "Bars: validation IoU of each class")
    if any(value is not None for scores in shown for value in scores.groups.values()):
        words = "Bars: validation mIoU of city and non-city images"
        drawings["groups"] = Drawing(partial(draw_groups, report), words)
    return Section("classes", "Classes and scenes", f"{_say_classes(report)} {_say_groups(report)}", drawings)


def _say_classes(report: Report) -> str:
    known = sorted((value, name) for name, value in report.leader.scores.iou.items() if value is not None)
    if not known:
        return "The leader has no figures per class."
    (low, weakest), (high, best) = known[0], known[-1]
    return f"The leader is best at {best} ({write_iou(high)}) and weakest at {weakest} ({write_iou(low)})."


def _say_groups(report: Report) -> str:
    scores = report.leader.scores
    if scores.gap is None:
        return "City and non-city cannot be compared: the leader has no figure for both."
    return (
        f"The leader's mIoU is {write_iou(scores.groups['city'])} on city images and "
        f"{write_iou(scores.groups['non_city'])} on the others, {write_points(scores.gap)} points; one run says "
        "nothing about whether that is chance."
    )
