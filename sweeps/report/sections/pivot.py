"""Group trials by their values on one or two axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from sweeps.report.entries import Entry
from sweeps.report.gather import RUNS, Report
from sweeps.report.theme import are_numbers, order_values

FIRST = ("optim.lr", "loss.name")
"""The pair that is shown first where both vary."""

MOST_PAIRS = 15
"""Pairs that are shown at most: all pairs of six axes."""

MOST_VALUES, MOST_CELLS = 12, 400
"""With more numeric values or more cells than this, trials are drawn as points."""


@dataclass(frozen=True)
class Grid:
    """The trials at each point of one or two axes."""

    keys: tuple[str, ...]
    """One or two settings: along x, along y."""
    values: tuple[tuple[Any, ...], ...]
    cells: Mapping[tuple[Any, ...], Entry]
    """The first entry of the leaderboard at each point: a judged setting, if there is one."""
    means: Mapping[tuple[Any, ...], tuple[float, int]]
    """Mean score and number of the settings at each point; of the trials, if none is judged."""
    other_axes: tuple[str, ...]
    """Axes over which best and mean were taken."""

    @property
    def is_dense(self) -> bool:
        """Return whether the axes have few enough values to draw cells."""
        many = any(are_numbers(values) and len(values) > MOST_VALUES for values in self.values)
        return not many and math.prod(map(len, self.values)) <= MOST_CELLS

    def turned(self) -> "Grid":
        """Return the grid with its two axes exchanged."""
        cells = {point[::-1]: entry for point, entry in self.cells.items()}
        means = {point[::-1]: mean for point, mean in self.means.items()}
        return Grid(self.keys[::-1], self.values[::-1], cells, means, self.other_axes)

    def score(self, point: tuple[Any, ...]) -> float | None:
        """Return the figure of a cell; None where no trial has one."""
        entry = self.cells.get(point)
        return None if entry is None or not entry.is_scored else entry.scores.miou


def list_axes(report: Report) -> tuple[str, ...]:
    """Return the axes along which settings differ."""
    return tuple(key for key in report.facts["axes"] if key in report.varying and key not in RUNS)


def list_pairs(axes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the pairs of axes, learning rate and loss first; a single axis alone."""
    pairs: list[tuple[str, ...]] = [*combinations(axes, 2)] if len(axes) > 1 else [axes[:1]]
    return sorted(pairs, key=lambda pair: set(pair) != set(FIRST))[:MOST_PAIRS]


def build_grid(report: Report, keys: tuple[str, ...]) -> Grid:
    """Return the settings, or in a confirmation the finalists, at each point of the axes, and the other trials."""
    entries_at: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in report.listed():  # the best first: what comes first at a point is its best
        entries_at.setdefault(tuple(entry.settings.get(key) for key in keys), []).append(entry)
    scores = {point: _scores(entries) for point, entries in entries_at.items()}
    return Grid(
        keys=keys,
        values=tuple(order_values([point[axis] for point in entries_at]) for axis in range(len(keys))),
        cells={point: entries[0] for point, entries in entries_at.items()},
        means={point: (fmean(figures), len(figures)) for point, figures in scores.items() if figures},
        other_axes=tuple(key for key in list_axes(report) if key not in keys),
    )


def _scores(entries: Sequence[Entry]) -> list[float]:
    """Return the figures of judged entries; of all that have one, if none is judged."""
    judged = [entry for entry in entries if entry.rank is not None and entry.is_scored]
    return [entry.scores.miou or 0.0 for entry in judged or entries if entry.is_scored]
