"""Reads the attributes file of a description: CSV with a header, or JSON with a list or a mapping of objects."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from bddseg.data.description import AttributesFile
from bddseg.data.image_io import key_of
from bddseg.data.matching import AttributeTable
from bddseg.data.sample import UNDEFINED, Remark
from bddseg.errors import AccessError, DataError, nearest
from bddseg.files import read_file
from bddseg.json_shapes import WORDS

DELIMITERS = (",", ";", "\t")
SHAPE = "must be a list of objects, or an object with one for each image"

Row = tuple[str, dict[str, Any]]
"""Where a row is, and its cells by column."""


def read_attributes(root: Path, settings: AttributesFile) -> AttributeTable:
    """Return the attributes of every image that the file names.

    Values are text; numbers and true or false in JSON become it. What is missing or empty is undefined.

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when it is missing or damaged, has no such column, or two rows of one image contradict each other.
    """
    path = root / settings.file
    text = _read_text(path)
    rows = list(_json_rows(path, text, settings.key) if path.suffix.lower() == ".json" else _csv_rows(path, text))
    columns = _columns(path, rows, settings)
    values: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    odd: list[str] = []
    for where, cells in rows:
        name = _name(where, cells, settings.key)
        row = {column: _value(cells.get(column)) for column in columns}
        odd += (f"the {column} of {name} ({where})" for column in columns if isinstance(cells.get(column), list | dict))
        key = key_of(PurePath(name).name)
        if values.setdefault(key, row) != row:
            raise _contradiction(name, values[key], row, places[key], where)
        places.setdefault(key, where)
    remarks = (Remark("odd", f"counted as undefined, not text: {len(odd)}", tuple(odd)),) if odd else ()
    return AttributeTable(columns, values, dict.fromkeys(values, settings.file), settings.file, remarks)


def _read_text(path: Path) -> str:
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: the description names it as the attributes file") from error
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: no text at byte {error.start}; save it as UTF-8") from error
    if not text.strip():
        raise DataError(f"{path} is empty, but must have the attributes of images")
    return text


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    header_line = text.lstrip().splitlines()[0]
    delimiter = max(DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader)]
        for column in header:
            if header.count(column) > 1:
                raise DataError(f"{path} has the column {column!r} twice; remove one")
        for cells in reader:
            where = f"line {reader.line_num} of {path}"
            if len(cells) not in (0, len(header)):
                raise DataError(f"{where} has {len(cells)} cells, but must have {len(header)} like the header")
            if cells:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error} at line {reader.line_num}") from error


def _json_rows(path: Path, text: str, key: str) -> Iterator[Row]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is not JSON as it should be: {error}") from error
    if isinstance(document, Mapping):
        for name, cells in document.items():
            where = f"{name} of {path}"
            yield where, {**_object(where, cells), key: name}
    elif isinstance(document, list):
        for number, cells in enumerate(document, start=1):
            where = f"entry {number} of {path}"
            yield where, _object(where, cells)
    else:
        raise DataError(f"{path} {SHAPE}, but is {_kind(document)}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice; remove one")
    return dict(pairs)


def _object(where: str, cells: Any) -> dict[str, Any]:
    if not isinstance(cells, Mapping):
        raise DataError(f"{where} is {_kind(cells)}, but must be an object")
    return dict(cells)


def _columns(path: Path, rows: Sequence[Row], settings: AttributesFile) -> tuple[str, ...]:
    """Return the columns with attributes: those of the description, or all but the name and columns without a title."""
    if not rows:
        raise DataError(f"{path} has no row, but must have the attributes of images")
    present = list(dict.fromkeys(column for _, cells in rows for column in cells))
    for column in (settings.key, *settings.columns):
        if column not in present:
            raise DataError(
                f"{path} has no column {column!r}; {nearest(column, present)}known: {', '.join(map(str, present))}"
            )
    return settings.columns or tuple(column for column in present if column and column != settings.key)


def _name(where: str, cells: Mapping[str, Any], key: str) -> str:
    name = cells.get(key)
    if not isinstance(name, str) or not name.strip():
        problem = f"the {key} {str(name)[:80]!r}" if name not in (None, "") else f"no {key}"
        raise DataError(f"{where} has {problem}, but must have the name of an image as text")
    return name


def _value(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell is None or isinstance(cell, list | dict):
        return UNDEFINED
    return str(cell).strip() or UNDEFINED


def _contradiction(name: str, first: Mapping[str, str], second: Mapping[str, str], at: str, where: str) -> DataError:
    column = next(column for column in first if first[column] != second[column])
    return DataError(
        f"{name} has two rows that contradict each other: the {column} is {first[column]!r} in {at}, but "
        f"{second[column]!r} in {where}; remove one"
    )


def _kind(value: Any) -> str:
    return "null" if value is None else WORDS.get(type(value), type(value).__name__)
