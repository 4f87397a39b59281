"""Report groups of images beside each other, such as city and other scenes, and the predictions on ignored regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from bddseg.evidence import Evidence
from sweeps.formatting import write_share
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas, shorten_middle, write_tick
from sweeps.sanitize import clean
from sweeps.statistics.hypothesis_tests import ALPHA
from sweeps.statistics.results import Gap, Interval, Scenes
from sweeps.statistics.sides import Sides, attribute_word, name_sides

SHOWN = 8
"""Most gaps that are drawn."""

MOST_SCENES = 20
"""Rows for single scenes, the most frequent ones."""


@dataclass(frozen=True)
class GroupComparison:
    """One comparison of groups, with its figures."""

    sides: Sides
    scenes: Scenes
    gaps: tuple[Gap, ...]
    """Of the settings that are shown, the leader first."""
    gaps_drawing: str
    classes_drawing: str
    """Names of its drawings; "" where there is none."""
    confidence: str
    """Of its intervals, in percent; those of equivalence have twice the error."""
    inner_confidence: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the names of both sides."""
        return self.scenes.sides


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
    answers = [answer for answer in (report.verdict.contrasts if report.verdict else ()) if answer.gaps]
    if not answers:
        return None
    drawings: dict[str, Drawing] = {}
    parts = tuple(_compare(report, answer, number, drawings) for number, answer in enumerate(answers, 1))
    first, *rest = parts
    title = first.sides.title if not rest else f"Groups by {attribute_word(report.task.attribute)}"
    sentence = first.gaps[0].why if not rest else " ".join(f"{part.sides.title}: {part.gaps[0].why}" for part in parts)
    return Section("scenes", title, sentence, drawings, parts)


def _compare(report: Report, scenes: Scenes, number: int, drawings: dict[str, Drawing]) -> GroupComparison:
    """Return one comparison; its drawings are added to the others."""
    gaps, end = scenes.gaps[:SHOWN], f"-{number}" if number > 1 else ""
    contrasts = {contrast.sides: contrast for contrast in report.task.contrasts}
    sides = name_sides(report.task, contrasts[scenes.sides])
    one, two = f"{sides.first} images", sides.the_others
    alt_text = f"Intervals: mIoU on {one} less mIoU on {two}, of {len(gaps)}"
    drawings[f"gaps{end}"] = Drawing(partial(_draw_gaps, report, scenes, gaps, sides), alt_text)
    has_classes = any(interval is not None for interval in gaps[0].by_class.values())
    if has_classes:
        alt_text = f"Intervals: the leader's IoU on {one} less that on {two}"
        drawings[f"classes{end}"] = Drawing(partial(_draw_classes, scenes, gaps[0], sides), alt_text)
    alpha = 100 * ALPHA / len(contrasts)
    levels = f"{100 - alpha:.3g} %", f"{100 - 2 * alpha:.3g} %"
    return GroupComparison(sides, scenes, gaps, f"gaps{end}", f"classes{end}" if has_classes else "", *levels)


def _draw_gaps(report: Report, scenes: Scenes, gaps: Sequence[Gap], sides: Sides, *, wide: bool) -> Figure:
    rows = []
    for gap in gaps:
        entry = report.find(gap.trial_id)
        role = report.role(entry) if entry else ""
        long = shorten_middle(entry.name, 36) if entry else gap.trial_id
        name = role or (long if wide or entry is None else f"place {entry.rank}")
        rows.append((f"{name}: {gap.answer}", gap.gap, gap.equivalence, role))
    return _draw_rows(rows, scenes.margin, sides, wide=wide)


def _draw_classes(scenes: Scenes, gap: Gap, sides: Sides, *, wide: bool) -> Figure:
    rows = [(name, interval, None, "leader") for name, interval in gap.by_class.items() if interval is not None]
    return _draw_rows(rows, scenes.margin, sides, wide=wide)


def _draw_rows(
    rows: Sequence[tuple[str, Interval, Interval | None, str]], margin: float, sides: Sides, *, wide: bool
) -> Figure:
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
    axes.set_xlabel(f"points, {sides.minus}")
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
    """Return a row for all images, then one for each scene, the largest first; without groups only the first."""
    every_image = _ignored_line("all images", evidence, np.ones(len(evidence.names), bool))
    if not evidence.task.groups:
        return (every_image,)
    unknown = f"no {attribute_word(evidence.task.attribute)} known"
    scenes = np.array([clean(scene) or unknown for scene in evidence.scenes])
    names, images = np.unique(scenes, return_counts=True)
    order = np.argsort(-images, kind="stable")
    return (every_image, *(_ignored_line(str(name), evidence, scenes == name) for name in names[order][:MOST_SCENES]))


def _ignored_line(scene: str, evidence: Evidence, keep: np.ndarray) -> IgnoredShare:
    painted, judged = evidence.ignored[keep].sum(0), int(evidence.counts[keep].sum())
    total = int(painted.sum())
    shares = {
        name: int(pixels) / total if total else 0.0 for name, pixels in zip(evidence.classes, painted, strict=True)
    }
    return IgnoredShare(scene, int(keep.sum()), total / max(1, total + judged), shares)


def _say_ignored(line: IgnoredShare) -> str:
    first, second, *_ = sorted(line.painted.items(), key=lambda item: -item[1])
    return (
        f"{write_share(line.ignored)} of the validation pixels belong to no class of the task and are ignored; there "
        f"the leader predicts mostly {first[0]} ({write_share(first[1])}) and {second[0]} ({write_share(second[1])})."
    )
