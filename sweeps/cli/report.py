"""What report.py does: find sweeps, write their reports, print the leaderboard, register a model, compare sweeps."""

import argparse
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from sweeps.cli.console import FINE, print_error
from sweeps.errors import NoSweepError, TrackingError
from sweeps.paths import default_folder
from sweeps.report.files import check_folder, write_comparison, write_report
from sweeps.storage.tags import CONFIRMS
from sweeps.tracking.experiment import named_experiment
from sweeps.tracking.reader import Store
from sweeps.tracking.report_upload import ReportUpload
from sweeps.tracking.uri import default_tracking_uri, resolve_tracking_uri, tracking_flag

if TYPE_CHECKING:
    from sweeps.report.gather import Report

# What reads records and draws is imported within the functions: --help and refusals need none of it.

UNCUT = ("html", "json")
"""Formats that always have all trials."""


def run(options: argparse.Namespace) -> int:
    """Write and print the reports; return the exit code. A sweep without a report does not stop the others."""
    if options.top and options.format in UNCUT:
        raise UserError(f"--top has no effect with --format {options.format}, which has all trials")
    if options.register:
        _check_register(options, _store_of(options))
    written = write_reports(options)
    reports, code = written.reports, written.code
    if reports:
        _print(reports, written.pages, options)
    if options.register and reports:
        store = _store_of(options)
        _register(reports, store, ReportUpload(store.tracking_uri), options)
    try:
        compared = _compare(reports, options)
    except UserError as error:
        return max(code, print_error(error, with_traceback=options.debug))
    if compared:
        print(f"compared: {compared}", file=sys.stderr)
    return code


@dataclass(frozen=True)
class WrittenReports:
    """The reports that could be written, their pages, and the worst exit code."""

    reports: "list[Report]"
    pages: list[Path]
    code: int


def _store_of(options: argparse.Namespace) -> Store:
    uri = resolve_tracking_uri(options.tracking_uri, default_folder("runs"))
    return Store(uri, named_experiment(options.experiment))


def judge_sweep(options: argparse.Namespace) -> "Report":
    """Return the report of the one sweep that is named; nothing is written, and the test set stays closed."""
    store = _store_of(options)
    return _gather(options.sweeps[0], store, ReportUpload(store.tracking_uri), options, is_sealed=True)


def write_reports(options: argparse.Namespace) -> WrittenReports:
    """Write the reports of the given sweeps, or of the latest. The error of an only sweep is raised."""
    store = _store_of(options)
    upload = ReportUpload(store.tracking_uri)
    reports, pages = [], []
    names, code = _find_sweeps(store, options)
    check_folder(options.out)  # before a test part is opened for a report that could not be written
    for name in names:
        _show_progress(f"{name}: reading and deciding")
        try:
            report = _gather(name, store, upload, options)
            _show_progress(f"{name}: drawing")
            page = write_report(report, options.out)
        except UserError as error:
            if len(names) == 1:
                raise
            code = max(code, print_error(error, name, with_traceback=options.debug))
            continue
        reports.append(report)
        pages.append(page)
        if not options.no_upload:
            _upload(upload, report, page.parent)
    return WrittenReports(reports, pages, code)


def _find_sweeps(store: Store, options: argparse.Namespace) -> tuple[list[str], int]:
    """Return the recorded ones of the given sweeps, each once, and an exit code: an error where one is not recorded.

    Raises:
        NoSweepError: when none is recorded.
    """
    if not options.sweeps:
        return [store.latest_sweep_id()], FINE
    names, code = [], FINE
    wanted = list(dict.fromkeys(options.sweeps))
    for name in wanted:
        try:
            names += store.find_sweeps([name])
        except NoSweepError as error:
            if len(wanted) == 1:
                raise
            code = print_error(error, with_traceback=options.debug)
    return names, code


def _show_progress(step: str) -> None:
    """Print a step that takes seconds, on a terminal only."""
    if sys.stderr and sys.stderr.isatty():
        print(step, file=sys.stderr)


def _check_register(options: argparse.Namespace, store: Store) -> None:
    """Refuse what cannot be registered, before a report is made and the test part is opened.

    Raises:
        UserError: when a name is wrong, several sweeps are given, `--data` would have no effect, or the data for the
            refit of a confirmed setting are missing.
    """
    from sweeps.planning.dataset import recorded_source
    from sweeps.registry.registry import check_name, default_name

    if options.model_name is not None:
        check_name(options.model_name)
    if len(set(options.sweeps)) > 1:
        raise UserError("--register takes one sweep, because a model has one champion: name the one to register")
    name = options.sweeps[0] if options.sweeps else store.latest_sweep_id()
    record = store.read_sweep(name)
    options.model_name = options.model_name or default_name(str(record.data.get("dataset", "")))
    if CONFIRMS not in record.tags:
        if options.data is not None:
            raise UserError(f"--data has no effect: {name} is no confirmation; its leader's own weights are used")
        return
    if {"root", "embedded"} <= record.data.keys():
        recorded_source("", record.data, options.data)


def _register(reports: "list[Report]", store: Store, upload: ReportUpload, options: argparse.Namespace) -> None:
    from sweeps.registry.registration import Registration, register
    from sweeps.report.sections.provenance import use_commands

    registration = Registration(options.model_name, reports[0], store, upload, options.data, options.force)
    version = register(registration)
    is_default = store.tracking_uri == default_tracking_uri(default_folder("runs"))
    flag = "" if is_default else f" {tracking_flag(store.tracking_uri)}"
    for purpose, command in use_commands(f"models:/{version.name}/{version.number}", flag):
        print(f"{purpose}: {command}", file=sys.stderr)


def _gather(
    sweep_id: str, store: Store, upload: ReportUpload, options: argparse.Namespace, *, is_sealed: bool = False
) -> "Report":
    from sweeps.report.decision import Margins
    from sweeps.report.gather import gather_report

    record = store.read_sweep(sweep_id)
    screening = None
    if name := record.tags.get(CONFIRMS):
        try:
            screening = store.read_sweep(name)
        except NoSweepError as error:
            print(f"note: {error}", file=sys.stderr)
    report = gather_report(
        record,
        store,
        upload,
        screening=screening,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        margins=Margins(options.margin / 100, options.scene_margin / 100),
        reveal_all=options.reveal_test == "all",
        is_sealed=is_sealed,
    )
    for note in report.test.notes:
        if "NOT be recorded" in note:
            print(f"note: {note}", file=sys.stderr)
    return report


def _upload(upload: ReportUpload, report: "Report", folder: Path) -> None:
    """Upload the report as artifacts of the sweep; a failure is only printed."""
    try:
        upload.upload_report(report.run_id, folder)
    except TrackingError as error:
        print(f"note: the report was not uploaded to the sweep's artifacts: {error}", file=sys.stderr)


def _print(reports: "list[Report]", pages: list[Path], options: argparse.Namespace) -> None:
    from sweeps.report.formats import render_csv, render_json, render_table
    from sweeps.report.page import render_markdown

    top = options.top
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    renderers = {
        "html": lambda: "".join(f"{page}\n" for page in pages),
        "markdown": lambda: "\n".join(render_markdown(report, top=top) for report in reports),
        "json": lambda: render_json(reports),
        "csv": lambda: render_csv(reports, top),
        "table": lambda: render_table(reports, top, columns),
    }
    sys.stdout.write(renderers[options.format]())
    sys.stdout.flush()
    if options.format != "html":
        for page in pages:
            print(f"page: {page}", file=sys.stderr)


def _compare(reports: "list[Report]", options: argparse.Namespace) -> Path | None:
    """Print how the leaders of several sweeps compare and write a page of it; return its path, None for one sweep.

    Raises:
        ComparisonError: when they used different data.
    """
    from sweeps.report.comparison import build_comparison
    from sweeps.report.sections.comparison import describe_standing

    if len(reports) < 2:
        return None
    comparison = build_comparison(reports)
    stream = sys.stdout if options.format in ("table", "markdown") else sys.stderr
    print(f"\n{describe_standing(comparison)}", file=stream)
    return write_comparison(comparison, options.out)
