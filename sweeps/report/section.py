"""A section of a report: a sentence, drawings, and data for its template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure that is drawn on request, for wide and for narrow pages."""

    draw: Callable[..., Figure]
    """Takes `wide`; draws in the placeholder colours of the theme."""
    alt_text: str
    """The text alternative, without a full stop."""


@dataclass(frozen=True)
class Section:
    """One section of a report; how it looks is `templates/sections/<name>.html.j2`, and `.md.j2` where there is one."""

    name: str
    title: str
    sentence: str
    """The section's main statement, in one sentence."""
    drawings: Mapping[str, Drawing] = field(default_factory=dict)
    """By name; the files are `figures/<section>-<drawing>.svg` and `.png`."""
    data: Any = None
    """Data for its template, besides the report."""
    mark: str = ""
    """The outcome of the verdict, for which the page has a sign and a colour."""
    is_alarm: bool = False
    """Whether the sentence is shown as a warning."""
