"""Set up the template environments and the filters that format figures, times and settings."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bddseg.task import Task
from bddseg.words import count
from sweeps.formatting import (
    NONE,
    folder_name,
    group_title,
    write_chance,
    write_iou,
    write_points,
    write_share,
    write_size,
    write_time,
    write_value,
    write_when,
)
from sweeps.statistics.results import Interval, Scenes
from sweeps.statistics.sides import CITY, attribute_word, capitalise, name_sides, sides_of

TEMPLATES = Path(__file__).with_name("templates")


def build_environment(**options: Any) -> Environment:
    """Return the environment of all templates: every text is escaped, every unknown name an error."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= FILTERS
    return environment


def task_context(task: Task) -> dict[str, Any]:
    """Return what templates know of the classes and groups of a sweep."""
    sides = sides_of(task)
    return {
        "CLASSES": task.classes,
        "GROUPS": task.group_names,
        "colours": {name: f"rgb{colour}" for name, colour in zip(task.classes, task.palette, strict=True)},
        "contrast_title": partial(contrast_title, task),
        "gap_name": sides[0].minus if len(sides) == 1 else "",
        "scene": attribute_word(task.attribute),
        "is_of_scenes": sides == (CITY,),
    }


def build_markdown_environment() -> Environment:
    """Return the environment of the Markdown templates: markup in values is escaped."""
    return build_environment(finalize=_plain_markdown)


def space_blocks(text: str) -> str:
    """Return Markdown with exactly one blank line between tables, lists, code and text.

    A sentence that follows a table at once becomes its last row, and one that follows a list its last point: which of
    them a section has depends on the report, so that no template can see to it.
    """
    lines: list[str] = []
    before, is_fenced = "", False
    for line in text.splitlines():
        kind = "words" if is_fenced else _kind(line)
        if before and kind and kind != before:
            lines.append("")
        if kind or before:
            lines.append(line if kind else "")
        before = kind
        is_fenced ^= line.startswith("```")
    return "\n".join(lines).strip() + "\n"


def _kind(line: str) -> str:
    """Return of what kind of block a line of Markdown is; "" for a blank one."""
    signs = {"|": "table", "- ": "list", "    ": "code", "#": "heading"}
    return next((kind for sign, kind in signs.items() if line.startswith(sign)), "words") if line.strip() else ""


def write_distance(behind: float) -> str:
    """Return how far behind the leader a score is, or ahead: 0.0129 as `1.29 points behind the leader`."""
    return f"{write_size(abs(behind))} points {'behind' if behind >= 0 else 'ahead of'} the leader"


def write_interval(interval: Interval | None) -> str:
    """Return an interval of differences, in points: `−1.29 (−2.10 to −0.48)`."""
    if interval is None:
        return NONE
    estimate, low, high = map(write_points, (interval.estimate, interval.low, interval.high))
    return f"{estimate} ({low} to {high})"


def _code(value: str) -> Markup:
    """Return a text as an indented block, inside which Markdown changes nothing."""
    return Markup("    " + " ".join(value.split()))  # noqa: S704 - Markdown shows tags in a block as text


def _plain_markdown(value: Any) -> Any:
    """Return a value so that Markdown shows it as text: tags are escaped as in HTML, quotes stay as they are."""
    if isinstance(value, Markup):
        return value
    text = str(escape(re.sub(r"([\\`*\[\]|~])", r"\\\1", re.sub(r"\s*[\r\n]\s*", " ", str(value)))))
    return Markup(text.replace("&#39;", "'").replace("&#34;", '"'))  # noqa: S704 - what could be a tag is escaped


def contrast_title(task: Task, scenes: Scenes) -> str:
    """Return the title of one comparison of groups."""
    titles = {contrast.sides: name_sides(task, contrast).title for contrast in task.contrasts}
    return titles[scenes.sides]


FILTERS = {
    "count": count,
    "chance": write_chance,
    "code": _code,
    "first_upper": capitalise,
    "folder": folder_name,
    "group": group_title,
    "interval": write_interval,
    "iou": write_iou,
    "points": write_points,
    "share": write_share,
    "size": write_size,
    "time": write_time,
    "value": write_value,
    "when": write_when,
}
"""Name in a template -> how a value is written."""
