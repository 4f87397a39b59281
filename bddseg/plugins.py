"""Plug-ins: models and losses of the user, named `package.module:Name` and hashed by their source."""

import functools
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from bddseg.errors import ConfigError, nearest, one_line

NAME = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<attribute>[A-Za-z_]\w*)")

DIGEST_CHARS = 12


def is_own(name: str) -> bool:
    """Return whether a name has the form `package.module:Name`."""
    return NAME.fullmatch(name) is not None


def load_own(key: str, name: str) -> Callable[..., Any]:
    """Return the class or function that a setting names.

    Modules are searched on Python's path and in the working directory.

    Args:
        key: the setting, for messages.
        name: its value.

    Raises:
        ConfigError: when there is no such module or name in it, or it cannot be imported.
    """
    module_name, attribute = _parts(key, name)
    module = _import(key, name, module_name)
    thing = getattr(module, attribute, None)
    if not callable(thing):
        public = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        problem = "has no such name" if thing is None else "has something else of that name"
        hint = f"{nearest(attribute, public)}known: {', '.join(public) or 'none'}"
        raise ConfigError(f"{key} is {name!r}, but {module.__file__} {problem}; {hint}")
    return thing


@functools.cache
def digest_source(key: str, name: str) -> str:
    """Return 12 hex digits of the file that defines a class or function; the module is not imported.

    Raises:
        ConfigError: when there is no such file.
    """
    module_name, _ = _parts(key, name)
    path = _find(key, name, module_name)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_CHARS]


def source_of(key: str, name: str) -> Path:
    """Return the folder of the package, or the file of the single module, that defines a class or function.

    Raises:
        ConfigError: when there is no such module.
    """
    module, _ = _parts(key, name)
    path, packages = _find(key, name, module), module.count(".")
    if path.name == "__init__.py":
        packages += 1
    return path.parents[packages - 1] if packages else path


def _parts(key: str, name: str) -> tuple[str, str]:
    match = NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"{key} is {name!r}, but must have the form package.module:Name")
    return match["module"], match["attribute"]


def _find(key: str, name: str, module: str) -> Path:
    """Return the file of a module."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a file of the user cannot hide a package
    try:
        spec = importlib.util.find_spec(module)  # imports its parent packages
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{key} is {name!r}, but {module} cannot be found: {error}") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(
            f"{key} is {name!r}, but there is no module {module}: searched {folder} and Python's path (PYTHONPATH)"
        )
    return Path(spec.origin)


def _import(key: str, name: str, module: str) -> ModuleType:
    path = _find(key, name, module)
    try:
        return importlib.import_module(module)
    except Exception as error:  # any error of the user's module is theirs to correct
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{key} is {name!r}, but {path} cannot be imported: {type(error).__name__}: {one_line(error)} "
            f"({last.filename}, line {last.lineno})"
        ) from error
