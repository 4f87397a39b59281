"""A page read as a browser does, and reports that are hostile."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

from markupsafe import Markup
from reports import make_record, make_report

from sweeps.report.figures import RenderedFigures
from sweeps.report.gather import Report
from sweeps.report.section import Section

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:1) &amp; \n# title"
VOID = {"meta", "link", "br", "use", "input", "img"}


class Page(HTMLParser):
    """Visible text, tags and attributes of a page; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class NoFigures(RenderedFigures):
    """Draws nothing: most facts about a page are in its words."""

    def show(self, section: Section, name: str) -> Markup:
        return Markup("")

    def files(self, sections: Sequence[Section]) -> dict[str, bytes]:
        return {}


def hostile_report() -> Report:
    rows = tuple(
        replace(row, name=f"{HOSTILE}{n}", stop_detail=HOSTILE, log_file=f"../../{HOSTILE}", digest=HOSTILE)
        for n, row in enumerate(make_record().trials)
    )
    texts = {"question": HOSTILE, "device": HOSTILE, "command": f"{HOSTILE}\n```"}
    return make_report(sweep_id=f"../../{HOSTILE}", trials=rows, manifest=texts)


def markdown_row(text: str, first: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
