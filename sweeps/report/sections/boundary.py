"""Report whether the leader lies at a search-space boundary."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.formatting import compact, write_exact
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.sections.fanova import is_inert
from sweeps.report.sections.pivot import list_axes
from sweeps.report.theme import are_logarithmic, pick_numbers

NEAR = 0.05
"""Share of a range's width at either end that counts as its boundary."""


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
    """The next value to try; None within the range, or if none is allowed."""
    rule: str
    """Why no further value is allowed."""
    inner: float | None
    """Best validation mIoU of the settings away from the boundary; None without any."""
    tied: int
    """Settings away from the boundary that are not distinguished from the leader."""


@dataclass(frozen=True)
class _Span:
    numbers: tuple[float, ...]
    """Ascending."""
    is_range: bool

    def side(self, value: Any) -> str:
        """Return the end at which the value lies; the ends of a range have a width."""
        low, high = self.numbers[0], self.numbers[-1]
        if not isinstance(value, int | float):
            return ""
        if not self.is_range:
            return "lowest" if value <= low else "highest" if value >= high else ""
        scale = math.log if are_logarithmic([low, high]) else float
        share = (scale(value) - scale(low)) / (scale(high) - scale(low))
        return "lowest" if share <= NEAR else "highest" if share >= 1 - NEAR else ""


def build_section(report: Report) -> Section | None:
    """Return the leader's position on every numeric axis; None without one, and for a confirmation."""
    if report.is_confirmation:
        return None
    edges = [edge for key in list_axes(report) if (edge := build_edge(report, key)) is not None]
    if not edges:
        return None
    data = {"edges": edges, "command": _command(report, edges)}
    return Section("boundary", "Search-space boundary", _say(edges), data=data)


def build_edge(report: Report, key: str) -> BoundaryAxis | None:
    """Return the leader's position on an axis; None if it is not numeric, or has no effect on the leader."""
    span, value = _build_span(report, key), report.leader.settings.get(key)
    if span is None or not isinstance(value, int | float) or is_inert(report.leader, key, span.numbers):
        return None
    low, high, side = span.numbers[0], span.numbers[-1], span.side(value)
    if not side:
        return BoundaryAxis(key, value, low, high, "", None, "", None, 0)
    step, rule = _next(report.leader, key, span, side)
    compared = report.settings or tuple(entry for entry in report.trials if entry.is_scored)
    inside = [entry for entry in compared if span.side(entry.settings.get(key)) != side]
    inner = max((entry.scores.miou or 0.0 for entry in inside), default=None)
    tied = _count_tied(report, {entry.trial_id for entry in inside})
    return BoundaryAxis(key, value, low, high, side, step, rule, inner, tied)


def _build_span(report: Report, key: str) -> _Span | None:
    """Return the numbers of an axis; None if some values are not numbers, or there is only one."""
    axis = report.facts["axes"][key]
    ends = [axis.get("low"), axis.get("high")] if isinstance(axis, Mapping) else axis
    planned = pick_numbers(ends if isinstance(ends, list) else [])
    values = [entry.settings.get(key) for entry in report.trials]
    seen = pick_numbers(values)
    numbers = tuple(sorted({*planned, *seen})) if len(seen) == len(values) else ()
    return _Span(numbers, isinstance(axis, Mapping)) if len(numbers) > 1 else None


def _next(entry: Entry, key: str, span: _Span, side: str) -> tuple[float | None, str]:
    """Return the next value beyond the boundary, or the rule that forbids it."""
    ordered = span.numbers if side == "highest" else span.numbers[::-1]
    beyond = _beyond_range(ordered[0], ordered[-1]) if span.is_range else _beyond(ordered)
    value = round(beyond) if isinstance(entry.settings[key], int) else float(f"{beyond:.1e}")
    if value == ordered[-1]:
        return None, "no whole number lies beyond"
    try:
        TrainConfig.from_record({**entry.settings, key: value})
    except ConfigError as error:
        return None, str(error)
    return value, ""


def _beyond(ordered: Sequence[float]) -> float:
    """Return the next number of a sequence: by the same step, or by the same factor.

    1, 2, 3 is followed by 4; 1, 2, 4 by 8.
    """
    before, last = ordered[-2:]
    steps = [ordered[index] - ordered[index - 1] for index in range(len(ordered) - 1, max(0, len(ordered) - 3), -1)]
    is_even = len(steps) > 1 and math.isclose(*steps, rel_tol=1e-6)
    return 2 * last - before if is_even or min(before, last) <= 0 else last * last / before


def _beyond_range(start: float, end: float) -> float:
    """Return the number a quarter of the range beyond its end, on its linear or logarithmic scale."""
    return end * (end / start) ** 0.25 if are_logarithmic([start, end]) else end + (end - start) / 4


def _count_tied(report: Report, inside: set[str]) -> int:
    """Return the number of settings inside that the verdict does not distinguish from the leader."""
    return len(inside & set(report.verdict.tied)) if report.verdict is not None else 0


def _say(edges: Sequence[BoundaryAxis]) -> str:
    outer = [edge for edge in edges if edge.side and not edge.rule]
    if not outer:
        where = ", ".join(edge.key for edge in edges)
        return f"The leader does not lie at a boundary that could be extended, in {where}."
    named = " and ".join(f"the {edge.side} {edge.key} ({compact(edge.value)})" for edge in outer)
    unsure = sum(bool(edge.tied) for edge in outer)
    tied = (
        "; settings that cannot be distinguished from it lie inside, so that is not certain"
        if unsure == len(outer)
        else ""
    )
    return f"The leader has {named} of the search space, so a better setting may lie beyond{tied}."


def _command(report: Report, edges: Sequence[BoundaryAxis]) -> str:
    """Return the sweep's command with the axes extended by the next value; empty if there is none."""
    sets = [
        f"--set {shlex.quote(f'{edge.key}=[{write_exact(edge.value)}, {write_exact(edge.step)}]')}"
        for edge in edges
        if edge.step is not None
    ]
    command = str(report.facts["command"])
    return " ".join([command, *sets]) if command and sets else ""
