"""Report -> the grid that was searched."""

from functools import partial

from sweeps.figures import Grid, build_grid, draw_grid
from sweeps.gather import Report
from sweeps.section import Drawing, Section


def build_section(report: Report) -> Section | None:
    """Return the first one or two axes as a picture; None where the sweep has no axis."""
    grid = build_grid(report)
    if grid is None:
        return None
    kind = "Heat map" if len(grid.keys) == 2 else "Bars"
    drawing = Drawing(partial(draw_grid, report, grid), f"{kind}: validation mIoU by {' and '.join(grid.keys)}")
    return Section("grid", "The grid", _say(grid), {"grid": drawing}, grid)


def _say(grid: Grid) -> str:
    if len(grid.keys) == 1:
        return f"Validation mIoU at each value of {grid.keys[0]}."
    others = f", the best over {', '.join(grid.others)}" if grid.others else ""
    return f"Validation mIoU at each pair of {grid.keys[0]} and {grid.keys[1]}{others}."
