"""Markdown as a parser reads it: what is meant as a table, a list or a sentence is one, in every section."""

from dataclasses import replace
from itertools import pairwise

import pytest
from comparisons import weaker
from markdown_it import MarkdownIt
from pages import hostile_report
from panels import panel, shown_album
from reports import make_report

from sweeps.report.comparison import build_comparison
from sweeps.report.gather import Report
from sweeps.report.page import render_comparison, render_markdown
from sweeps.report.rendering import space_blocks


def with_pictures() -> Report:
    """Return a report with images of two kinds, each in a table of its own."""
    panels = (panel(), panel(kind="worst", name="two"))
    return replace(make_report(), album=shown_album(panels=panels))


TEXTS = {
    "a report": lambda: render_markdown(make_report()),
    "a report with pictures": lambda: render_markdown(with_pictures()),
    "a report with hostile names": lambda: render_markdown(hostile_report()),
    "a report of a running sweep": lambda: render_markdown(make_report(status="RUNNING")),
    "a comparison": lambda: render_comparison(build_comparison([weaker(), make_report()]), "md"),
}


def tables(text: str) -> list[list[str]]:
    """Return the lines of every table, as a parser sees them."""
    lines = text.splitlines()
    found = [token.map for token in MarkdownIt("commonmark").enable("table").parse(text) if token.type == "table_open"]
    return [lines[first:last] for first, last in found if first is not None]


@pytest.mark.parametrize("name", TEXTS)
def test_only_rows_are_rows_of_a_table(name: str) -> None:
    text = TEXTS[name]()
    assert [line for table in tables(text) for line in table if not line.startswith("|")] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_row_belongs_to_a_table(name: str) -> None:
    text = TEXTS[name]()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [line for table in tables(text) for line in table] == rows != []


@pytest.mark.parametrize("name", TEXTS)
def test_every_table_is_followed_by_a_blank_line(name: str) -> None:
    lines = TEXTS[name]().splitlines()
    after = [line for before, line in pairwise(lines) if before.startswith("|")]
    assert {line for line in after if not line.startswith("|")} <= {""}


@pytest.mark.parametrize("first", ["| a |\n|---|\n| b |", "- a\n- b", "    code", "Words."])
@pytest.mark.parametrize("second", ["| c |\n|---|\n| d |", "- c", "    more", "More words."])
def test_blocks_of_different_kinds_are_kept_apart(first: str, second: str) -> None:
    spaced = space_blocks(f"# Title\n{first}\n{second}\n")
    if first[:2] != second[:2] and not (first[0].isalpha() and second[0].isalpha()):
        assert spaced == f"# Title\n\n{first}\n\n{second}\n"


def test_blank_lines_within_code_stay_and_others_are_one() -> None:
    assert space_blocks("a\n\n\n\nb\n```\n| c\n\n\nd\n```\n") == "a\n\nb\n```\n| c\n\n\nd\n```\n"


def test_a_name_with_a_line_break_stays_in_its_cell() -> None:
    report = make_report()
    text = render_markdown(replace(report, full_names={entry.trial_id: "two\nlines" for entry in report.trials}))
    assert "| two lines" in text
