"""Render a report as one self-contained HTML page, and as Markdown with the same words and numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from jinja2 import Environment
from markupsafe import Markup

from sweeps.formatting import longer_words, write_value
from sweeps.report.comparison import Comparison
from sweeps.report.figures import RenderedFigures
from sweeps.report.gather import Entry, Report
from sweeps.report.rendering import (
    TEMPLATES,
    build_environment,
    build_markdown_environment,
    space_blocks,
    task_context,
)
from sweeps.report.section import Section
from sweeps.report.sections import (
    boundary,
    classes,
    cost,
    curves,
    failures,
    grid,
    importance,
    intervals,
    suspects,
    test_set,
    tradeoff,
)
from sweeps.report.sections import comparison as side_by_side
from sweeps.report.sections.leaderboard import build_leaderboard
from sweeps.report.sections.predictions import build_attention, build_predictions
from sweeps.report.sections.provenance import build_data, build_provenance, build_verification, describe_source
from sweeps.report.sections.scenes import build_ignored, build_scenes
from sweeps.report.sections.verdict import build_verdict
from sweeps.statistics.results import Verdict

BUILDERS: tuple[Callable[[Report], Section | None], ...] = (
    build_verdict,
    build_leaderboard,
    grid.build_section,
    intervals.build_section,
    suspects.build_section,
    classes.build_section,
    build_scenes,
    curves.build_section,
    importance.build_section,
    boundary.build_section,
    failures.build_section,
    cost.build_section,
    tradeoff.build_section,
    build_predictions,
    build_attention,
    build_ignored,
    test_set.build_section,
    build_verification,
    build_data,
    build_provenance,
)
"""The sections of a page, in order; a builder returns None if its section does not apply."""


def shorten_names(report: Report) -> Report:
    """Return the report with names without the words that all trials share, unless names would become ambiguous.

    Of `vanilla lr=1 wd=0` and `vanilla lr=2 wd=0` the names become `lr=1` and `lr=2`.
    """
    listed = report.listed()
    common = set.intersection(*(set(entry.name.split()) for entry in listed))
    if len(listed) < 2 or not common or report.full_names:
        return report
    entries = (*report.settings, *report.trials, *report.others)
    short = {entry.name: " ".join(word for word in entry.name.split() if word not in common) for entry in entries}
    if not all(short.values()) or len(set(short.values())) < len(short):
        return report

    def rename(entry: Entry) -> Entry:
        return replace(entry, name=short[entry.name])

    return replace(
        report,
        trials=tuple(map(rename, report.trials)),
        settings=tuple(map(rename, report.settings)),
        others=tuple(map(rename, report.others)),
        leader=rename(report.leader),
        runner_up=rename(report.runner_up) if report.runner_up else None,
        reference=rename(report.reference) if report.reference else None,
        verdict=_rename_in(report.verdict, short) if report.verdict else None,
        full_names={entry.trial_id: entry.name for entry in reversed(entries)},
        in_common=" ".join(word for word in report.leader.name.split() if word in common),
    )


def _rename_in(verdict: Verdict, short: Mapping[str, str]) -> Verdict:
    """Return the verdict with short names in its sentences; longer names are replaced first."""
    longest_first = sorted(short, key=len, reverse=True)

    def shorten(text: str) -> str:
        for name in longest_first:
            text = text.replace(name, short[name])
        return text

    answers = tuple(replace(answer, paragraph=shorten(answer.paragraph)) for answer in verdict.contrasts)
    return replace(
        verdict,
        sentence=shorten(verdict.sentence),
        scenes=answers[0] if answers else None,
        further_scenes=answers[1:],
    )


def build_sections(report: Report) -> list[Section]:
    """Return the sections that apply, with short names."""
    report = shorten_names(report)
    return [section for build in BUILDERS if (section := build(report)) is not None]


def render_html(
    report: Report, sections: Sequence[Section] | None = None, figures: RenderedFigures | None = None
) -> str:
    """Return the page: everything in one file, nothing fetched, every text escaped."""
    environment, figures = _with_values(build_environment(), report), figures or RenderedFigures()
    report = shorten_names(report)
    shown = build_sections(report) if sections is None else sections
    bodies = {
        section.name: _render_body(environment, report, section, "html", figure=partial(figures.show, section))
        for section in shown
    }
    return environment.get_template("page.html.j2").render(_context(report), sections=shown, bodies=bodies)


def render_markdown(report: Report, sections: Sequence[Section] | None = None, top: int | None = None) -> str:
    """Return the report as Markdown, its leaderboard of the `top` best where that is given.

    A `|` or a tag in what was read back comes out as text.
    """
    environment = _with_values(build_markdown_environment(), report)
    report = shorten_names(report)
    shown = build_sections(report) if sections is None else sections
    bodies = {section.name: _render_body(environment, report, section, "md", top=top) for section in shown}
    text = environment.get_template("report.md.j2").render(_context(report), sections=shown, bodies=bodies)
    return space_blocks(text)


def render_comparison(comparison: Comparison, form: str, figures: RenderedFigures | None = None) -> str:
    """Return the page of several sweeps, `html` or `md`."""
    environment = build_environment() if form == "html" else build_markdown_environment()
    shown, figures = side_by_side.build_sections(comparison), figures or RenderedFigures()
    words = task_context(comparison.task)
    bodies = {
        section.name: _render_body(environment, None, section, form, figure=partial(figures.show, section), **words)
        for section in shown
    }
    template = environment.get_template(f"comparison.{form}.j2")
    text = template.render(comparison=comparison, sections=shown, bodies=bodies)
    return text if form == "html" else space_blocks(text)


def _with_values(environment: Environment, report: Report) -> Environment:
    """Return the environment with a filter that writes different values of a setting differently."""
    longer: dict[object, str] = {}
    for key in report.varying:
        longer |= longer_words(entry.settings[key] for entry in report.trials if key in entry.settings)
    environment.filters["value"] = partial(write_value, longer=longer)
    return environment


def _context(report: Report) -> dict[str, object]:
    return {
        "report": report,
        "facts": report.facts,
        "source": describe_source(report.facts),
        **task_context(report.task),
    }


def _render_body(
    environment: Environment, report: Report | None, section: Section, form: str, **more: object
) -> Markup:
    """Return the section's body from its template, already escaped; empty without a template."""
    name = f"sections/{section.name}.{form}.j2"
    if not (TEMPLATES / name).exists():
        return Markup()
    text = environment.get_template(name).render({**(_context(report) if report else {}), "section": section, **more})
    return Markup(text)  # noqa: S704
