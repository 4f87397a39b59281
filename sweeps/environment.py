"""Environment of a command: home, cache and temporary folders, and the user's name, replaced where unusable.

Libraries raise, or write into wrong folders, where these cannot be used. They are checked once, when a command starts.
"""

import contextlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bddseg.cores import usable_cores
from bddseg.file_locks import owner_of
from sweeps.errors import StorageError

CACHE, CACHE_HOME, HOME, TEMPORARY = "BDDSEG_CACHE", "XDG_CACHE_HOME", "HOME", "TMPDIR"
LOGIN_VARIABLES = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Variables that Python reads for the user's name before it asks the system, which lacks the users of containers."""


def prepare_environment() -> list[str]:
    """Replace unusable variables of this process's environment; return a sentence about each replacement.

    Raises:
        StorageError: where there is no replacement, with what to do.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise StorageError("the working directory was deleted: change to an existing one") from error
    if os.environ.get(CACHE):
        os.environ[CACHE] = str(_cache_path())
    sentences = [*_check_temporary(), *_check_cache_home(), *_check_home()]
    _set_user()
    _set_threads()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache_path() / "inductor"))  # torch's default is in /tmp
    return sentences


def cache_folder() -> Path:
    """Return the user's cache folder for frames, streets and Ray's sessions; it is created where it is missing.

    Raises:
        StorageError: when it cannot be created or written.
    """
    folder = _cache_path()
    if flaw := flaw_of(folder):
        raise StorageError(f"the cache folder {folder} {flaw}: set {CACHE} to a folder that you can write")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def flaw_of(folder: Path) -> str:
    """Return why no file can be written into a folder, existing or to be created: `is not a folder`; "" if one can."""
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not is_folder(existing):
        return "is not a folder" if existing == folder else f"cannot be made: {existing} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        verb = "cannot be written" if existing == folder else "cannot be made"
        return f"{verb} ({error.strerror}; {existing} belongs to {owner_of(existing)})"


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False where this user may not look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def own_folder() -> Path:
    """Return this user's folder in the temporary folder, which only they can write; it is created where it is missing.

    Raises:
        StorageError: when another user owns it or can write it.
    """
    folder = Path(tempfile.gettempdir()) / f"bddseg-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    is_others = state.st_uid != os.getuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if is_others or not stat.S_ISDIR(state.st_mode):
        raise StorageError(
            f"{folder} belongs to {owner_of(folder)}, or others can write it: set {CACHE} to a folder of yours"
        )
    return folder


def _cache_path() -> Path:
    own, common = os.environ.get(CACHE), os.environ.get(CACHE_HOME, "")
    if own:
        return Path(own).absolute()
    if Path(common).is_absolute():  # the specification: relative paths are invalid and ignored
        return Path(common) / "bddseg"
    try:
        return Path.home() / ".cache" / "bddseg"
    except RuntimeError:  # no variable, and the system does not know the user
        return own_folder() / ".cache" / "bddseg"


def _check_temporary() -> Iterator[str]:
    """Remove TMPDIR where it is unusable: Python skips it, other programs do not."""
    named = os.environ.get(TEMPORARY)
    if named:
        flaw = flaw_of(Path(named).absolute()) if is_folder(Path(named)) else "is not a folder"
        if not flaw:
            os.environ[TEMPORARY] = str(Path(named).absolute())  # absolute: trials have other working directories
            return
        del os.environ[TEMPORARY]
        tempfile.tempdir = None
    try:
        folder = tempfile.gettempdir()
    except OSError as error:
        raise StorageError(
            f"no folder for temporary files can be written ({TEMPORARY} is {named or 'not set'}): set {TEMPORARY} "
            "to a folder that you can write"
        ) from error
    if named:
        yield f"{TEMPORARY} is {named}, which {flaw}: temporary files go to {folder}"


def _check_cache_home() -> Iterator[str]:
    named = os.environ.get(CACHE_HOME)
    if not named:
        return
    flaw = flaw_of(Path(named)) if Path(named).is_absolute() else "is not an absolute path"
    if flaw:
        del os.environ[CACHE_HOME]
        yield f"{CACHE_HOME} is {named}, which {flaw}: it is ignored"


def _check_home() -> Iterator[str]:
    """Redirect libraries where the home folder cannot be written; a readable one stays, for its configuration files."""
    named = os.environ.get(HOME)
    if named == "":  # Python would use the root folder
        del os.environ[HOME]
    home, is_cache_named = _find_home(), bool(os.environ.get(CACHE) or os.environ.get(CACHE_HOME))
    if home is None:
        why = f"{HOME} is {named}, which is not a folder" if named else "there is no home folder"
        os.environ[HOME] = str(_home_replacement())
    elif why := flaw_of(home / ".cache"):
        why = f"{home / '.cache'} {why}"
        os.environ.setdefault(CACHE_HOME, str(_home_replacement() / ".cache"))
        os.environ.setdefault("MPLCONFIGDIR", str(_home_replacement() / "matplotlib"))
    if why and not is_cache_named:
        yield f"{why}: caches are in {_cache_path()}; set {CACHE} to use another folder"


def _find_home() -> Path | None:
    """Return the home folder; None where it is missing: it is not created, because its name must be a mistake."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and is_folder(home) else None


def _home_replacement() -> Path:
    """Return the replacement of the home folder: the given cache, or the user's temporary folder."""
    if not os.environ.get(CACHE):
        return own_folder()
    return cache_folder()


def _set_user() -> None:
    """Set a name for a user that the system does not know: libraries raise without one."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(map(os.environ.get, LOGIN_VARIABLES)):
            os.environ[LOGIN_VARIABLES[0]] = f"uid-{os.getuid()}"


def _set_threads() -> None:
    """Limit the threads of libraries to the usable cores: they respect affinity, but no other limit."""
    if hasattr(os, "sched_getaffinity") and usable_cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
