"""Reads a list of samples that are left out (`data.skip`): names, and the reasons where the file has them."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bddseg.errors import AccessError, DataError
from bddseg.files import read_file

NAME, REASONS = "name", ("reason", "fault", "why")
"""Columns of a CSV file; the first of the reasons that it has is read."""
QUOTED = re.compile(r"^'(?=[=+@\t\r-])")
"""Mark that our tables put before text which a spreadsheet would run as a formula."""


def read_skip_list(path: Path) -> dict[str, str]:
    """Return name -> reason from a CSV file with a name column, or from a file with one name a line.

    A name may have the suffix of its image. Empty lines, and those that start with #, are left out.

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when it is missing, no text, or names nothing.
    """
    lines = [line for line in _read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    header = next(csv.reader(lines[:1]), [])
    rows = _table_rows(path, lines, header) if NAME in header else ((line, "") for line in lines)
    reasons: dict[str, dict[str, None]] = {}
    for name, reason in rows:
        reasons.setdefault(name, {}).update({reason: None} if reason else {})
    if not reasons:
        raise DataError(f"data.skip: {path} names no image")
    return {name: "; ".join(texts) for name, texts in reasons.items()}


def _read_text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"data.skip: {path} does not exist") from error
    except OSError as error:
        raise AccessError(f"data.skip: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.skip: {path} is not UTF-8: no text at byte {error.start}") from error


def _table_rows(path: Path, lines: Sequence[str], header: Sequence[str]) -> Iterator[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO("\n".join(lines)), strict=True)
    reason = next((column for column in REASONS if column in header), "")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise DataError(f"data.skip: line {reader.line_num} of {path} must have {len(header)} cells")
            if not row[NAME]:
                raise DataError(f"data.skip: line {reader.line_num} of {path} has no name")
            yield QUOTED.sub("", row[NAME]), row.get(reason, "")
    except csv.Error as error:
        raise DataError(f"data.skip: {path} is not CSV: {error} at line {reader.line_num}") from error
