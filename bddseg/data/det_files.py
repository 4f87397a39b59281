"""Reads the det files of a dataset: the attributes of each image. Damage is refused with entry, file and position."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from bddseg.data.folders import is_there
from bddseg.data.image_io import key_of
from bddseg.data.sample import UNDEFINED
from bddseg.errors import AccessError, DataError
from bddseg.files import read_file
from bddseg.json_shapes import WORDS

DETS = "labels/det_20"
PARTS = ("train", "val")


class Form(NamedTuple):
    """One of the forms in which the files are distributed."""

    folder: str
    file: str
    """With {part}."""

    @property
    def where(self) -> str:
        return self.folder if self.folder == DETS else f"{self.folder}/{self.file.format(part='*')}".lstrip("./")


FORMS = (
    Form(DETS, "det_{part}.json"),
    Form("labels", "bdd100k_labels_images_{part}.json"),
    Form(".", "bdd100k_labels_images_{part}.json"),
    Form("labels", "det_v2_{part}_release.json"),
)
"""The first of which there is a file is read."""

FRAMES = "frames"
"""Key under which a complete Scalabel dataset holds the list of entries."""

SCENE = "scene"
ATTRIBUTES = (SCENE, "weather", "timeofday")
SHAPE = "must be a list of objects with name and attributes.scene"
CURE = "unpack or download it again"
LOOKED_BACK_CHARS = 1_000_000
"""Range before a fault in the text in which the name of its entry is searched."""

NAME = re.compile(r'"name"\s*:\s*"([^"]*)"')

KINDS = WORDS | {type(None): "null"}
"""Type of a value -> its name in JSON."""

_KEPT = frozenset(("name", "attributes", FRAMES, *ATTRIBUTES))
_TEXT = (str, type(None))
_EMPTY: dict[str, Any] = {}


class Attributes(NamedTuple):
    """Attributes of an image as a whole."""

    scene: str
    weather: str
    timeofday: str


@dataclass(frozen=True)
class Entries:
    """The content of the det files."""

    attributes: Mapping[str, Attributes]
    """By the name's key, see `key_of`."""
    unusable: tuple[str, ...]
    """Descriptions of the entries without a scene."""
    odd: tuple[str, ...] = ()
    """Descriptions of weathers and times of day that are no text; they count as undefined."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name's key -> the file of its entry, relative to the folder."""
    where: str = DETS
    """The files, as messages name them."""
    other_forms: tuple[str, ...] = ()
    """Files in other forms, which are not read."""


@dataclass(frozen=True)
class _Entry:
    """One entry of a det file."""

    path: Path
    number: int
    name: str
    attributes: Attributes | None
    objection: str
    """Why the attributes are missing; empty if they are not."""
    odd: tuple[str, ...] = ()
    """Descriptions of attributes other than the scene that are no text."""

    @property
    def place(self) -> str:
        return f"entry {self.number} of {self.path}"


class _Twice(tuple[Any, ...]):
    """The values of a key that occurs more than once in an object."""


def read_entries(root: Path) -> Entries:
    """Return the attributes of every image that the det files under a folder name.

    An entry without attributes or scene is kept apart; where the same image has a usable one, that counts.

    Raises:
        AccessError: when the system refuses to read a file.
        DataError: when there is no det file, or one is damaged: no JSON, of another shape, with two entries of one
            image that contradict each other, or without any usable entry.
    """
    forms = {form: paths for form in FORMS if (paths := _paths(root, form))}
    if not forms:
        names = " and ".join(FORMS[0].file.format(part=part) for part in PARTS)
        also = ", ".join(form.where for form in FORMS[1:])
        raise DataError(f"{root} has no det file: looked for {names} in {DETS}, and for {also}")
    (form, paths), *others = forms.items()
    usable: dict[str, _Entry] = {}
    unusable: dict[str, _Entry] = {}
    odd: list[str] = []
    for entry in (entry for path in paths for entry in _read_file(path)):
        odd += (f"{text} of {entry.name} ({entry.place})" for text in entry.odd)
        if entry.attributes is None:
            unusable.setdefault(key_of(entry.name), entry)
            continue
        first = usable.setdefault(key_of(entry.name), entry)
        usable[key_of(entry.name)] = _agreed(first, entry)
    return Entries(
        attributes={key: entry.attributes for key, entry in usable.items() if entry.attributes},
        unusable=tuple(
            f"{entry.name} ({entry.place}: {entry.objection})" for key, entry in unusable.items() if key not in usable
        ),
        odd=tuple(odd),
        files={key: entry.path.relative_to(root).as_posix() for key, entry in usable.items()},
        where=form.where,
        other_forms=tuple(path.relative_to(root).as_posix() for _, paths in others for path in paths),
    )


def has_det_files(root: Path) -> bool:
    """Return whether a folder has det files in any form.

    Raises:
        AccessError: when the system refuses the answer.
    """
    return any(_paths(root, form) for form in FORMS)


def _paths(root: Path, form: Form) -> list[Path]:
    return [path for part in PARTS if is_there(path := root / form.folder / form.file.format(part=part))]


def _agreed(first: _Entry, second: _Entry) -> _Entry:
    """Return the first of two entries of an image, with the weather and time of day that only the second gives.

    Raises:
        DataError: when they contradict each other.
    """
    added = {}
    for name in ATTRIBUTES:
        values = getattr(first.attributes, name), getattr(second.attributes, name)
        if name != SCENE and UNDEFINED in values:
            added[name] = next((value for value in values if value != UNDEFINED), UNDEFINED)
        elif values[0] != values[1]:
            raise DataError(
                f"{first.name} has two entries that contradict each other: the {name} is {values[0]!r} in "
                f"{first.place}, but {values[1]!r} in {second.place}; remove one"
            )
    assert first.attributes is not None
    return replace(first, attributes=first.attributes._replace(**added)) if added else first


def _read_file(path: Path) -> list[_Entry]:
    entries = [_entry(path, number, entry) for number, entry in enumerate(_read_list(path), start=1)]
    if entries and all(entry.attributes is None for entry in entries):
        raise DataError(f"{path} gives no image a scene: {entries[0].name} and all others: {entries[0].objection}")
    return entries


def _read_list(path: Path) -> list[Any]:
    try:
        content = read_file(path)
        # parse_int: Python's own refuses more than 4,300 digits, and no number of a det file is of use here
        document = json.loads(content, object_pairs_hook=_slim, parse_int=float)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON: {_fault(error)}; {CURE}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON: no text at byte {error.start}; {CURE}") from error
    except RecursionError as error:
        raise DataError(f"{path} is not JSON as it should be: it is nested too deeply; {CURE}") from error
    except MemoryError as error:
        raise AccessError(f"{path} cannot be read: not enough memory") from error
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror or error}") from error
    if isinstance(document, dict) and isinstance(document.get(FRAMES), list):
        return document[FRAMES]
    if not isinstance(document, list):
        raise DataError(f"{path} {SHAPE}, but is {_kind(document)}")
    return document


def _fault(error: json.JSONDecodeError) -> str:
    """Return what is wrong with the text, the position, and the name of its entry."""
    if not error.doc.strip():
        return "it is empty"
    start = max(0, error.pos - LOOKED_BACK_CHARS)
    names = NAME.findall(error.doc, start, error.pos)
    near = f", after the name {names[-1]!r}" if names else ""
    return f"{error.msg.removesuffix(' at')} at line {error.lineno} column {error.colno}{near}"


def _slim(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object without its boxes and polygons, which make up most of the hundreds of MB of real files."""
    items = [(key, value) for key, value in pairs if key in _KEPT]
    if not items:
        return _EMPTY
    slim = dict(items)
    if len(slim) < len(items):
        for key in slim:
            values = _Twice(value for name, value in items if name == key)
            slim[key] = values if len(values) > 1 else values[0]
    return slim


def _entry(path: Path, number: int, entry: Any) -> _Entry:
    location = f"{path}: entry {number}"
    if not isinstance(entry, dict):
        raise DataError(f"{location} is {_kind(entry)}, but must be an object with name and attributes.scene")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        problem = f"the name {_shown(name)}" if "name" in entry else "no name"
        raise DataError(f"{location} has {problem}, but must have the file name of an image as text")
    attributes = entry.get("attributes")
    if not isinstance(attributes, dict) or not attributes:
        problem = "no attributes" if not attributes else f"the attributes are {_kind(attributes)}"
        return _Entry(path, number, name, None, problem)
    texts = {key: _word(attributes.get(key), key, f"{location} ({name})") for key in ATTRIBUTES}
    if texts["scene"] is None:
        scene = attributes.get("scene")
        return _Entry(path, number, name, None, f"the scene is {_shown(scene)}" if scene else "no scene")
    return _Entry(
        path,
        number,
        name,
        Attributes(texts["scene"], texts["weather"] or UNDEFINED, texts["timeofday"] or UNDEFINED),
        "",
        tuple(
            f"the {key}, {_kind(value)},"
            for key in ATTRIBUTES[1:]
            if not isinstance(value := attributes.get(key), _TEXT)
        ),
    )


def _word(value: Any, key: str, location: str) -> str | None:
    """Return an attribute; None if it is missing, empty or no text."""
    if isinstance(value, _Twice):
        raise DataError(f"{location} has {key} twice: {' and '.join(map(_shown, value))}; remove one")
    if not isinstance(value, str) or not value.strip():
        return None
    if not value.replace("\u00a0", " ").isprintable():
        raise DataError(f"{location} has the {key} {value!r}, which holds control characters")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, _Twice):
        return "there twice"
    return KINDS.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    """Return a value as in the file, shortened; numbers were read as floats."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))[:40]
    return repr(value)[:80] if isinstance(value, str | float) else _kind(value)
