"""What a command finds on its machine: home, cache and temporary folders, and the user's name.

Libraries raise, or write into wrong folders, where these cannot be used. They are settled once, when a command starts.
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
"""Where Python looks for the user's name before it asks the system, which does not know every container's user."""


def prepare_environment() -> list[str]:
    """Replace what cannot be used in this process's environment; return a sentence about each replacement.

    Raises:
        StorageError: where there is no replacement, with the cure.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise StorageError("the working folder is gone: change to one that is there") from error
    if os.environ.get(CACHE):
        os.environ[CACHE] = str(_cache_path())
    sentences = [*_settle_temporary(), *_settle_cache_home(), *_settle_home()]
    _settle_user()
    _settle_threads()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache_path() / "inductor"))  # torch's own lies in /tmp
    return sentences


def cache_folder() -> Path:
    """Return the user's cache folder for frames, streets and Ray's sessions; it is made where it is not there.

    Raises:
        StorageError: when it cannot be made or written.
    """
    folder = _cache_path()
    if flaw := flaw_of(folder):
        raise StorageError(f"the cache folder {folder} {flaw}: set {CACHE} to a folder that you can write")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def flaw_of(folder: Path) -> str:
    """Return why no file can be written into a folder, made where it is not there: `is not a folder`; "" if one can."""
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
    """Return whether a path is a folder; one that this user may not look at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def own_folder() -> Path:
    """Return this user's folder in the temporary folder, which nobody else can write; it is made where it is not there.

    Raises:
        StorageError: when somebody else has made it, or can write it.
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
    if Path(common).is_absolute():  # the specification says of others: invalid, to be ignored
        return Path(common) / "bddseg"
    try:
        return Path.home() / ".cache" / "bddseg"
    except RuntimeError:  # no variable, and a user whom the system does not know
        return own_folder() / ".cache" / "bddseg"


def _settle_temporary() -> Iterator[str]:
    """Take away a folder for temporary files that cannot be used: Python passes over it, other programs do not."""
    named = os.environ.get(TEMPORARY)
    if named:
        flaw = flaw_of(Path(named).absolute()) if is_folder(Path(named)) else "is no folder"
        if not flaw:
            os.environ[TEMPORARY] = str(Path(named).absolute())  # trials run in folders of their own
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


def _settle_cache_home() -> Iterator[str]:
    named = os.environ.get(CACHE_HOME)
    if not named:
        return
    flaw = flaw_of(Path(named)) if Path(named).is_absolute() else "is not an absolute path"
    if flaw:
        del os.environ[CACHE_HOME]
        yield f"{CACHE_HOME} is {named}, which {flaw}: it is ignored"


def _settle_home() -> Iterator[str]:
    """Let libraries write where there is no home to write to; a home that can only be read stays, for what is in it."""
    named = os.environ.get(HOME)
    if named == "":  # Python would take the root folder
        del os.environ[HOME]
    home, is_cache_named = _find_home(), bool(os.environ.get(CACHE) or os.environ.get(CACHE_HOME))
    if home is None:
        why = f"{HOME} is {named}, which is no folder" if named else "there is no home folder"
        os.environ[HOME] = str(_stand_in())
    elif why := flaw_of(home / ".cache"):
        why = f"{home / '.cache'} {why}"
        os.environ.setdefault(CACHE_HOME, str(_stand_in() / ".cache"))
        os.environ.setdefault("MPLCONFIGDIR", str(_stand_in() / "matplotlib"))
    if why and not is_cache_named:
        yield f"{why}: what is kept between commands is in {_cache_path()}; {CACHE} names another folder"


def _find_home() -> Path | None:
    """Return the home folder; None where there is none: it is not made, whoever named it made a mistake."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and is_folder(home) else None


def _stand_in() -> Path:
    """Return what stands in for the home folder: the cache that the user names, or a temporary folder of the user."""
    if not os.environ.get(CACHE):
        return own_folder()
    return cache_folder()


def _settle_user() -> None:
    """Give a user whom the system does not know a name: libraries ask for one, and raise."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(map(os.environ.get, LOGIN_VARIABLES)):
            os.environ[LOGIN_VARIABLES[0]] = f"uid-{os.getuid()}"


def _settle_threads() -> None:
    """Let libraries compute with as many threads as there are cores to use: they see affinity alone, no other limit."""
    if hasattr(os, "sched_getaffinity") and usable_cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
