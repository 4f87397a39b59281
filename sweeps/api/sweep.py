"""A recorded sweep: its trials as typed rows and as a frame, its verdict, and its report."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.api.options import option_words
from sweeps.cli.status import Status, Trial, recorded_status

if TYPE_CHECKING:
    import pandas

    from sweeps.report.gather import Report
    from sweeps.statistics.results import Verdict

SHOWN = ("name", "state", "epochs", "best_miou", "best_epoch", "stop_reason")
"""Columns of a notebook's table."""


class Trials(tuple[Trial, ...]):
    """The trials of a sweep, the best first."""

    __slots__ = ()

    def frame(self) -> "pandas.DataFrame":
        """Return a row for each trial: its fields, then its settings by their dotted names."""
        import pandas

        rows = [{**asdict(trial), **trial.settings} for trial in self]
        columns = [field.name for field in fields(Trial)]
        settings = dict.fromkeys(key for trial in self for key in trial.settings)
        return pandas.DataFrame(rows, columns=[*columns, *settings]).drop(columns="settings")

    def _repr_html_(self) -> str:
        rows = [[_cell(getattr(trial, name)) for name in SHOWN] for trial in self]
        return html_table([name.replace("_", " ") for name in SHOWN], rows)


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written: its page, and what is on it."""

    path: Path
    """Of index.html; the other files are beside it."""
    content: "Report"

    @property
    def verdict(self) -> "Verdict | None":
        """Return the verdict; None where no evidence can be compared."""
        return self.content.verdict

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"WrittenReport({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """Return the whole page in a frame of its own, so that its style and a notebook's do not meet."""
        page = base64.b64encode(self.path.read_bytes()).decode()
        address = f"data:text/html;charset=utf-8;base64,{page}"
        return f'<iframe src="{address}" sandbox="allow-scripts" style="width:100%;height:40em;border:0"></iframe>'


@dataclass(frozen=True)
class Sweep:
    """A sweep of a storage folder, or of MLflow; everything is read again whenever it is asked for."""

    name: str
    """Its id."""
    storage: Path
    tracking_uri: str

    @property
    def folder(self) -> Path:
        """Return the folder of the sweep; on another machine than its own it is missing."""
        return self.storage / self.name

    @property
    def status(self) -> str:
        """Return running, finished, interrupted or failed."""
        return str(self._read().state)

    @property
    def trials(self) -> Trials:
        """Return all trials, the best first; those without a score last."""
        trials = self._read().trials()
        return Trials(sorted(trials, key=lambda trial: (trial.best_miou is None, -(trial.best_miou or 0))))

    def verdict(self) -> "Verdict":
        """Return the verdict on what was compared; the test set stays closed, and nothing is written.

        Raises:
            NothingFinishedError: when no trial can be compared.
        """
        from sweeps.cli.report import judge_sweep
        from sweeps.errors import NothingFinishedError

        report = judge_sweep(self._options([]))
        if report.verdict is None:
            raise NothingFinishedError(f"{self.name}: there is no evidence that could be compared")
        return report.verdict

    def report(self, out: str | Path | None = None, **options: Any) -> WrittenReport:
        """Write the report as `python report.py` does, and return it; a notebook shows its page.

        Args:
            out: folder of the reports; None for the default one.
            options: further options of the command, with `_` for `-`: `margin=1.0`, `no_upload=True`.

        Raises:
            UserError: what the command refuses, with its sentence.
        """
        from sweeps.cli.report import write_reports

        written = write_reports(self._options([*option_words({"out": out, **options})]))
        return WrittenReport(written.pages[0], written.reports[0])

    def __repr__(self) -> str:  # the address of the store may have a password
        return f"Sweep({self.name!r})"

    def _repr_html_(self) -> str:
        status = self._read()
        return f"<p><b>{escape(self.name)}</b>: {escape(status.state)}</p>{self.trials._repr_html_()}"

    def _options(self, words: Sequence[str]) -> Any:
        from sweeps.cli.report_options import build_parser

        return build_parser().parse([self.name, "--tracking-uri", self.tracking_uri, *words], is_raising=True)

    def _read(self) -> Status:
        from sweeps.tracking.reader import Store

        return recorded_status(self.name, self.storage, lambda: Store(self.tracking_uri))


def html_table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose texts are escaped."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
