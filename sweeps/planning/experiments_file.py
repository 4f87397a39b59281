"""experiments.yaml -> defaults, profiles and spaces; an error in one profile or space affects only that one."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bddseg.errors import nearest, one_line
from sweeps.errors import ExperimentError
from sweeps.paths import EXPERIMENTS, shipped_file

VARIABLE = "BDDSEG_EXPERIMENTS"

DATA_SOURCES = ("bdd100k", "streets")

SECTION_KEYS = {
    "": ("defaults", "profiles", "spaces"),
    "defaults": ("settings", "scheduler", "metric"),
    "profile": ("data", "settings", "grid"),
    "space": (
        "question",
        "search",
        "settings",
        "grid",
        "vary",
        "reference",
        "points",
        "pin",
        "under",
        "scheduler",
        "replicates",
    ),
    "scheduler": ("name", "grace", "reduction"),
}

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
"""Names of spaces and profiles: sweeps, their folders and MLflow runs are named after them."""
NAME_IN_WORDS = "must be 1 to 60 letters, digits and _ - . with a letter, digit or _ first"

MOST_VALUES = 100_000
"""Aliases of aliases in a file of some lines can stand for more values than there is memory."""

UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)
"""What PyYAML raises for a text: its own errors, those of invalid dates and numbers, and of too deep nesting."""

LOCATION = re.compile(r"((?:defaults|profiles|spaces)(?:\.[\w.\[\]-]+)?)(?: has the unknown key '([^']*)')?")


@dataclass(frozen=True)
class Section:
    """A profile or a space of the file."""

    section: Mapping[str, Any]
    problem: str
    """Why it cannot be used; "" where its name and keys are valid."""


@dataclass(frozen=True)
class ExperimentsFile:
    """The parsed file: sections by name, in its order."""

    path: Path
    defaults: Mapping[str, Any]
    profiles: Mapping[str, Section]
    spaces: Mapping[str, Section]
    lines: Mapping[str, int]
    """Location, such as `spaces.smoke.grid.optim.lr[1]` -> its line, from 1."""

    def profile(self, name: str) -> Mapping[str, Any]:
        """Return the section of a profile.

        Raises:
            ExperimentError: when there is none, or it cannot be used.
        """
        return _named(self.profiles, name, "profile", self.path)

    def space(self, name: str) -> Mapping[str, Any]:
        """Return the section of a space.

        Raises:
            ExperimentError: when there is none, or it cannot be used.
        """
        return _named(self.spaces, name, "space", self.path)

    def profile_sections(self) -> dict[str, Mapping[str, Any]]:
        """Return the sections of all profiles, unusable ones included."""
        return {name: entry.section for name, entry in self.profiles.items()}

    def located(self, message: str) -> str:
        """Return a message that starts with a location in the file, with the line of that location."""
        return locate(message, self.path, self.lines)


def experiments_path() -> Path:
    """Return the file of spaces: that of the environment, else that of the working directory, else the shipped one."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    try:
        own = Path(EXPERIMENTS).absolute()
    except OSError:  # the working directory was deleted
        return shipped_file(EXPERIMENTS)
    return own if os.path.lexists(own) else shipped_file(EXPERIMENTS)


def read_book(path: Path | None = None) -> ExperimentsFile:
    """Return the file; without one, that of `experiments_path`.

    Raises:
        ExperimentError: when it is missing or not YAML, or a part that concerns every space is wrong.
    """
    path = path or experiments_path()
    root, loader = compose(path)
    lines, repeated = look_up(root)
    keys = {str(key.value): None for key, _ in pairs(root)}
    check_keys(keys if isinstance(root, yaml.MappingNode) else construct(loader, root, path), "", path.name)
    for location in repeated:
        if location[0] == "defaults" or len(location) == 1:
            raise ExperimentError(_repeated_key(location, lines, path))
    book = as_mapping(construct(loader, root, path, only="defaults"), path.name)
    defaults = as_mapping(book.get("defaults", {}), f"{path.name}: defaults")
    check_keys(defaults, "defaults", f"{path.name}: defaults")
    reader = _Reader(path, loader, lines, repeated)
    return ExperimentsFile(path, defaults, reader.entries(root, "profiles"), reader.entries(root, "spaces"), lines)


def as_mapping(value: Any, location: str) -> dict[str, Any]:
    """Return a mapping of the file.

    Raises:
        ExperimentError: when it is something else.
    """
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{location} is {value!r}, but must be a mapping")
    return dict(value)


def check_keys(section: Any, kind: str, location: str) -> None:
    """Refuse keys that a section of this kind does not have.

    Raises:
        ExperimentError: naming the known ones.
    """
    for key in as_mapping(section, location):
        if key not in SECTION_KEYS[kind]:
            raise ExperimentError(f"{location} has the unknown key {key!r}; known: {', '.join(SECTION_KEYS[kind])}")


Location = tuple[str, ...]
"""Key of the file, name of the entry, dotted key within it: one to three of them."""


@dataclass(frozen=True)
class _Reader:
    """Builds sections from the YAML tree of the file."""

    path: Path
    loader: yaml.SafeLoader
    lines: Mapping[str, int]
    repeated: Collection[Location]

    def entries(self, root: yaml.Node, kind: str) -> dict[str, Section]:
        """Return the profiles or spaces by name, each with its error.

        Raises:
            ExperimentError: when they are no mapping.
        """
        node = next((value for key, value in pairs(root) if key.value == kind), None)
        if node is not None and not isinstance(node, yaml.MappingNode):
            as_mapping(construct(self.loader, node, self.path), f"{self.path.name}:{self.lines[kind]}: {kind}")
        return {str(key.value): self._entry(kind, key, value) for key, value in pairs(node)}

    def _entry(self, kind: str, key: yaml.Node, node: yaml.Node) -> Section:
        section: Mapping[str, Any] = {}
        name, location = str(key.value), f"{self.path.name}: {kind}.{key.value}"
        try:
            _check_name(construct(self.loader, key, self.path), name, f"{_where(self.path, key)}: {kind}")
            for repeated in self.repeated:
                if repeated[:2] == (kind, name):
                    raise ExperimentError(_repeated_key(repeated, self.lines, self.path))
            section = as_mapping(construct(self.loader, node, self.path), location)
            check_keys(section, kind.removesuffix("s"), location)
            if kind == "profiles" and section.get("data") not in DATA_SOURCES:
                rule = f"must be one of {', '.join(DATA_SOURCES)}"
                raise ExperimentError(f"{location}.data is {section.get('data')!r}, but {rule}")
        except ExperimentError as error:
            return Section(section, locate(str(error), self.path, self.lines))
        return Section(section, "")


def locate(message: str, path: Path, lines: Mapping[str, int]) -> str:
    """Return a message that starts with a location such as `spaces.smoke.grid`, with the line of that location."""
    start = f"{path.name}: "
    match = LOCATION.match(message, len(start)) if message.startswith(start) else None
    key = ".".join(filter(None, match.groups())) if match else ""
    while key and key not in lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return f"{path.name}:{lines[key]}: {message[len(start) :]}" if key else message


def compose(path: Path) -> tuple[yaml.Node, yaml.SafeLoader]:
    """Return the YAML tree of the file, and the loader that builds values from its nodes."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node() or yaml.ScalarNode("tag:yaml.org,2002:null", "")
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    except UNREADABLE as error:
        raise ExperimentError(f"{path} is not YAML: {_problem(error)}") from error
    if (values := count_values(root)) > MOST_VALUES:
        raise ExperimentError(
            f"{path} has {values:,} values with every alias replaced by what it names, but may have {MOST_VALUES:,}"
        )
    return root, loader


def count_values(root: yaml.Node) -> int:
    """Return the number of values of a YAML tree in which every alias is replaced by what it names.

    A node inside of itself counts once: building it fails with its own message.
    """
    counts: dict[int, int] = {}

    def count_below(node: yaml.Node) -> int:
        if id(node) not in counts:
            counts[id(node)] = 1
            counts[id(node)] = 1 + sum(count_below(value) for _, _, value in _children(node))
        return counts[id(node)]

    return count_below(root)


def construct(loader: yaml.SafeLoader, node: yaml.Node, path: Path, *, only: str = "") -> Any:
    """Return the value of a node; of a mapping only the pair of one key, if `only` names it."""
    if only and isinstance(node, yaml.MappingNode):
        node = yaml.MappingNode(node.tag, [pair for pair in node.value if pair[0].value == only], node.start_mark)
    try:
        return loader.construct_object(node, deep=True)
    except UNREADABLE as error:
        raise ExperimentError(f"{_where(path, node)}: {_problem(error)}") from error


def look_up(root: yaml.Node) -> tuple[dict[str, int], list[Location]]:
    """Return the line of every key and list item by its location, and the locations that occur more than once.

    A node with an anchor counts where it is defined.
    """
    lines: dict[Location, int] = {}
    repeated: list[Location] = []
    todo: list[tuple[Location, yaml.Node]] = [((), root)]
    seen = {id(root)}
    while todo:
        location, node = todo.pop()
        for name, line, value in _children(node):
            inner = (*location, name.removeprefix(".")) if len(location) < 3 else (*location[:2], location[2] + name)
            if inner in lines:
                repeated.append(inner)
            lines.setdefault(inner, line)
            if id(value) not in seen:
                seen.add(id(value))
                todo.append((inner, value))
    return {".".join(location).replace(".[", "["): line for location, line in lines.items()}, repeated


def _children(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"[{index}]", value.start_mark.line + 1, value
    for key, value in pairs(node):
        yield f".{key.value}", key.start_mark.line + 1, value


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of a mapping in the YAML tree; none of any other node."""
    return node.value if isinstance(node, yaml.MappingNode) else []


def _where(path: Path, node: yaml.Node) -> str:
    return f"{path.name}:{node.start_mark.line + 1}" if node.start_mark else path.name


def _check_name(name: Any, written: str, location: str) -> None:
    if not isinstance(name, str):
        raise ExperimentError(f'{location}: {written[:80]} is not a text in YAML: write it in quotes, "{written[:80]}"')
    if not NAME.fullmatch(name):
        raise ExperimentError(f"{location}: the name {name[:80]!r} {NAME_IN_WORDS}")


def _named(entries: Mapping[str, Section], name: str, kind: str, path: Path) -> Mapping[str, Any]:
    if name not in entries:
        usable = [usable_name for usable_name, entry in entries.items() if not entry.problem]
        raise ExperimentError(
            f"{kind} {name[:80]!r} is not in {path.name}; {nearest(name, usable)}known: {', '.join(usable)}"
        )
    if entries[name].problem:
        raise ExperimentError(entries[name].problem)
    return entries[name].section


def _repeated_key(location: Location, lines: Mapping[str, int], path: Path) -> str:
    key = ".".join(location)
    return f"{path.name}:{lines.get(key, 1)}: {key} is given more than once, but must be given once"


def _problem(error: Exception) -> str:
    """Return the message of a parser in one line."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else one_line(error)
