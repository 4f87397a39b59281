"""Is the best setting at the edge of the space, so that a better one may lie beyond?"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.formatting import compact
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.sections.fanova import is_inert
from sweeps.report.sections.pivot import list_axes
from sweeps.report.theme import are_logarithmic, pick_numbers

NEAR = 0.05
"""Of a range, this share of its width at either end is its edge."""


@dataclass(frozen=True)
class BoundaryAxis:
    """Where the leader lies on one numeric setting."""

    key: str
    value: float
    low: float
    high: float
    side: str
    """lowest or highest; empty within."""
    step: float | None
    """The value to try next; None within, or where no further one is allowed."""
    rule: str
    """Why no further value is allowed."""
    inner: float | None
    """Best validation mIoU of the settings that are not at that edge; None within, or where there are none."""
    tied: int
    """Settings not distinguished from the leader that are not at that edge."""


@dataclass(frozen=True)
class _Span:
    known: tuple[float, ...]
    """Ascending."""
    is_range: bool

    def side(self, value: Any) -> str:
        """Return at which end the value lies; the ends of a range have a width."""
        low, high = self.known[0], self.known[-1]
        if not isinstance(value, int | float):
            return ""
        if not self.is_range:
            return "lowest" if value <= low else "highest" if value >= high else ""
        scale = math.log if are_logarithmic([low, high]) else float
        share = (scale(value) - scale(low)) / (scale(high) - scale(low))
        return "lowest" if share <= NEAR else "highest" if share >= 1 - NEAR else ""


def build_section(report: Report) -> Section | None:
    """Return where the leader lies on every numeric axis; None where there is none, and of finalists, which are few."""
    if report.is_confirmation:
        return None
    edges = [edge for key in list_axes(report) if (edge := build_edge(report, key)) is not None]
    if not edges:
        return None
    data = {"edges": edges, "command": _command(report, edges)}
    return Section("boundary", "Search-space boundary", _say(edges), data=data)


def build_edge(report: Report, key: str) -> BoundaryAxis | None:
    """Return where the leader lies on a setting; None where it is no number, or has no effect on the leader."""
    span, value = _build_span(report, key), report.leader.settings.get(key)
    if span is None or not isinstance(value, int | float) or is_inert(report.leader, key, span.known):
        return None
    low, high, side = span.known[0], span.known[-1], span.side(value)
    if not side:
        return BoundaryAxis(key, value, low, high, "", None, "", None, 0)
    step, rule = _next(report.leader, key, span, side)
    compared = report.settings or tuple(entry for entry in report.trials if entry.is_scored)
    inside = [entry for entry in compared if span.side(entry.settings.get(key)) != side]
    inner = max((entry.scores.miou or 0.0 for entry in inside), default=None)
    tied = _count_tied(report, {entry.trial_id for entry in inside})
    return BoundaryAxis(key, value, low, high, side, step, rule, inner, tied)


def _build_span(report: Report, key: str) -> _Span | None:
    """Return the numbers of an axis; None where some are none, or where it has but one."""
    axis = report.facts["axes"][key]
    ends = [axis.get("low"), axis.get("high")] if isinstance(axis, Mapping) else axis
    planned = pick_numbers(ends if isinstance(ends, list) else [])
    values = [entry.settings.get(key) for entry in report.trials]
    seen = pick_numbers(values)
    known = tuple(sorted({*planned, *seen})) if len(seen) == len(values) else ()
    return _Span(known, isinstance(axis, Mapping)) if len(known) > 1 else None


def _next(entry: Entry, key: str, span: _Span, side: str) -> tuple[float | None, str]:
    """Return the next value beyond the edge, or the rule that forbids one."""
    ordered = span.known if side == "highest" else span.known[::-1]
    found = _beyond_range(ordered[0], ordered[-1]) if span.is_range else _beyond(ordered)
    value = round(found) if isinstance(entry.settings[key], int) else float(f"{found:.1e}")
    if value == ordered[-1]:
        return None, "no whole number lies beyond"
    try:
        TrainConfig.from_record({**entry.settings, key: value})
    except ConfigError as error:
        return None, str(error)
    return value, ""


def _beyond(ordered: Sequence[float]) -> float:
    """Return the number that follows a row of numbers: by the same step, or by the same factor.

    1, 2, 3 is followed by 4; 1, 2, 4 by 8.
    """
    before, last = ordered[-2:]
    steps = [ordered[place] - ordered[place - 1] for place in range(len(ordered) - 1, max(0, len(ordered) - 3), -1)]
    is_even = len(steps) > 1 and math.isclose(*steps, rel_tol=1e-6)
    return 2 * last - before if is_even or min(before, last) <= 0 else last * last / before


def _beyond_range(start: float, end: float) -> float:
    """Return a quarter of a range further than its end: of its width, or of its decades."""
    return end * (end / start) ** 0.25 if are_logarithmic([start, end]) else end + (end - start) / 4


def _count_tied(report: Report, inside: set[str]) -> int:
    """Return how many settings off the edge the verdict does not distinguish from the leader."""
    return len(inside & set(report.verdict.tied)) if report.verdict is not None else 0


def _say(edges: Sequence[BoundaryAxis]) -> str:
    outer = [edge for edge in edges if edge.side and not edge.rule]
    if not outer:
        where = ", ".join(edge.key for edge in edges)
        return f"The leader does not lie at an edge of the space that could be moved: {where}."
    named = " and ".join(f"the {edge.side} {edge.key} ({compact(edge.value)})" for edge in outer)
    unsure = sum(bool(edge.tied) for edge in outer)
    tied = (
        "; settings that cannot be distinguished from it lie inside, so that is not certain"
        if unsure == len(outer)
        else ""
    )
    return f"The leader has {named} of the space, so a better setting may lie beyond{tied}."


def _command(report: Report, edges: Sequence[BoundaryAxis]) -> str:
    """Return the sweep's command with the axes extended by the next value; empty where nothing is to be added."""
    sets = [
        f"--set {shlex.quote(f'{edge.key}=[{_exact(edge.value)}, {_exact(edge.step)}]')}"
        for edge in edges
        if edge.step is not None
    ]
    command = str(report.facts["command"])
    return " ".join([command, *sets]) if command and sets else ""


def _exact(value: float) -> str:
    """Return a number as YAML reads it as one, no digit lost."""
    short = compact(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
