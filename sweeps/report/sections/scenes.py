"""Report city versus other scenes, and the predictions on ignored regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from bddseg.evidence import Evidence
from bddseg.labels import CLASSES
from sweeps.formatting import write_share
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas, shorten_middle, write_tick
from sweeps.sanitize import clean
from sweeps.statistics.results import Gap, Interval, Scenes

SHOWN = 8
"""Most gaps that are drawn."""


@dataclass(frozen=True)
class IgnoredShare:
    """The ignored pixels of the images of one scene."""

    scene: str
    images: int
    ignored: float
    """Their share of all pixels."""
    painted: Mapping[str, float]
    """Class -> share of the ignored pixels on which it is predicted."""


def build_scenes(report: Report) -> Section | None:
    """Return gaps, tests and slices; None without a verdict on them."""
    scenes = report.verdict.scenes if report.verdict else None
    if scenes is None or not scenes.gaps:
        return None
    gaps = scenes.gaps[:SHOWN]
    alt_text = f"Intervals: mIoU on city images less mIoU on the others, of {len(gaps)}"
    drawings = {"gaps": Drawing(partial(_draw_gaps, report, scenes, gaps), alt_text)}
    if any(interval is not None for interval in gaps[0].by_class.values()):
        drawings["classes"] = Drawing(
            partial(_draw_classes, scenes, gaps[0]),
            "Intervals: the leader's IoU on city images less that on the others",
        )
    return Section("scenes", "City versus other scenes", gaps[0].why, drawings, gaps)


def _draw_gaps(report: Report, scenes: Scenes, gaps: Sequence[Gap], *, wide: bool) -> Figure:
    rows = []
    for gap in gaps:
        entry = report.find(gap.trial_id)
        role = report.role(entry) if entry else ""
        long = shorten_middle(entry.name, 36) if entry else gap.trial_id
        name = role or (long if wide or entry is None else f"place {entry.rank}")
        rows.append((f"{name}: {gap.answer}", gap.gap, gap.equivalence, role))
    return _draw_rows(rows, scenes.margin, wide=wide)


def _draw_classes(scenes: Scenes, gap: Gap, *, wide: bool) -> Figure:
    rows = [(name, interval, None, "leader") for name, interval in gap.by_class.items() if interval is not None]
    return _draw_rows(rows, scenes.margin, wide=wide)


def _draw_rows(rows: Sequence[tuple[str, Interval, Interval | None, str]], margin: float, *, wide: bool) -> Figure:
    """Return intervals around zero; the margin as a band, the inner interval of an equivalence test as a thick line."""
    left_px = 330 if wide else 164
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, 34 * len(rows) + 60, left=left_px, right=16, top=8, bottom=44
    )
    axes.axvspan(-margin, margin, color=COLOUR["heat"], alpha=0.14, lw=0)
    axes.axvline(0, color=MUTED, lw=1)
    for y, (_, outer, inner, role) in enumerate(rows):
        colour = COLOUR[role] if role else INK
        axes.plot([outer.low, outer.high], [y, y], color=colour, lw=1.4)
        if inner is not None:
            axes.plot([inner.low, inner.high], [y, y], color=colour, lw=5, alpha=0.55, solid_capstyle="butt")
        axes.plot([outer.estimate], [y], marker="o", ms=7, color=colour, mew=0)
    reach = 1.08 * max([margin, *(abs(side) for _, outer, _, _ in rows for side in (outer.low, outer.high))])
    axes.set(xlim=(-reach, reach), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.tick_params(axis="y", colors=INK, labelsize=11)
    axes.grid(axis="x", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: write_tick(value))
    axes.set_xlabel("points, city minus non-city")
    axes.spines["left"].set_visible(False)
    return figure


def build_ignored(report: Report) -> Section | None:
    """Return the leader's predictions on ignored pixels; None without its evidence, or where nothing is ignored."""
    evidence = report.evidence.get(report.leader.trial_id)
    if evidence is None or not evidence.ignored.any():
        return None
    lines = count_ignored(evidence)
    return Section("ignored", "Ignored regions", _say_ignored(lines[0]), data=lines)


def count_ignored(evidence: Evidence) -> tuple[IgnoredShare, ...]:
    """Return a row for all images, then one for each scene, the largest first."""
    scenes = np.array([clean(scene) or "no scene known" for scene in evidence.scenes])
    names, images = np.unique(scenes, return_counts=True)
    order = np.argsort(-images, kind="stable")
    every = _ignored_line("all images", evidence, np.ones(len(scenes), bool))
    return (every, *(_ignored_line(str(name), evidence, scenes == name) for name in names[order]))


def _ignored_line(scene: str, evidence: Evidence, keep: np.ndarray) -> IgnoredShare:
    painted, judged = evidence.ignored[keep].sum(0), int(evidence.counts[keep].sum())
    total = int(painted.sum())
    shares = {name: int(pixels) / total if total else 0.0 for name, pixels in zip(CLASSES, painted, strict=True)}
    return IgnoredShare(scene, int(keep.sum()), total / max(1, total + judged), shares)


def _say_ignored(line: IgnoredShare) -> str:
    first, second, *_ = sorted(line.painted.items(), key=lambda item: -item[1])
    return (
        f"{write_share(line.ignored)} of the validation pixels belong to no class of the task and are ignored; there "
        f"the leader predicts mostly {first[0]} ({write_share(first[1])}) and {second[0]} ({write_share(second[1])})."
    )
