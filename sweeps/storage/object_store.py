"""Checkpoints in an object store, such as S3, through `pyarrow.fs`; and the checks of its address.

A store must show a written object to every later read and listing, as S3 does. Objects appear whole. Credentials come
from the environment of each process, never from the address.
"""

import contextlib
import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from bddseg.files import make_folder, replacing
from sweeps.errors import StorageError
from sweeps.storage.checkpoints import Checkpoints, sort_checkpoints
from sweeps.storage.folder import PASS, number

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

log = logging.getLogger(__name__)
T = TypeVar("T")

CHUNK_BYTES = 1 << 20
DELETIONS = 16
"""Deletions at a time."""

CAUSES = (
    (
        r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|INVALID_CLIENT_TOKEN|EXPIRED|HTTP response code 40[13]",
        "access is denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role, and its rights",
    ),
    (r"NO_SUCH_BUCKET|bucket does not exist", "there is no such bucket: create it, or correct the address"),
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT|curlCode|timed? ?out|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE",
        "it does not answer: check the network and AWS_ENDPOINT_URL",
    ),
)
"""A part of an error's text -> what is wrong in words."""


@dataclass(frozen=True)
class ObjectStoreCheckpoints:
    """The checkpoints of one sweep under an address. It can be pickled: trials use it on other machines."""

    filesystem: "FileSystem"
    root: str
    """Path of the sweep in the filesystem, as `bucket/path/<sweep id>`."""
    uri: str
    """Address of the sweep, for messages."""
    waits: tuple[int, ...] = field(default=(1, 2, 4, 8, 15, *[30] * 18))
    """An outage of ten minutes costs no trial: it waits, and keeps its processor."""

    def last_pass(self) -> int:
        return max((number(PASS, name) for name in self._names_in("")), default=0)

    def of_trial(self, trial_id: str) -> list[str]:
        passes = [name for name in self._names_in("") if PASS.fullmatch(name)]
        folders = [f"{of_pass}/{trial_id}" for of_pass in passes]
        return sort_checkpoints(f"{folder}/{name}" for folder in folders for name in self._names_in(folder))

    def newest(self, trial_ids: Iterable[str], having: str = "") -> dict[str, str]:
        wanted, by_trial = set(trial_ids), dict[str, set[str]]()
        for path in self._files() if wanted else ():
            name, _, file = path.rpartition("/")
            trial_id = name.split("/")[1] if name.count("/") == 2 else ""
            if trial_id in wanted and having in ("", file):
                by_trial.setdefault(trial_id, set()).add(name)
        newest = {trial_id: sort_checkpoints(names) for trial_id, names in by_trial.items()}
        return {trial_id: names[0] for trial_id, names in newest.items() if names}

    def name_of(self, path: str) -> str:
        return path.removeprefix(f"{self.root}/")

    @contextlib.contextmanager
    def opened(self, name: str, files: Iterable[str]) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            for file in files:
                self.fetch(f"{name}/{file}", Path(folder) / file)
            yield Path(folder)

    def folders(self, names: Mapping[str, str], copies: Path, files: tuple[str, ...]) -> Mapping[str, Path]:
        return _Copies(self, names, copies, files)

    def add(self, name: str, source: Checkpoints, source_name: str, files: Iterable[str]) -> None:
        if isinstance(source, ObjectStoreCheckpoints) and source.filesystem.equals(self.filesystem):
            paths = [f"{source.root}/{source_name}/{file}" for file in files]
            for info in self.filesystem.get_file_info(paths):  # copied within the store, without a download
                if info.is_file:
                    self.filesystem.copy_file(info.path, f"{self.root}/{name}/{info.base_name}")
            return
        with source.opened(source_name, files) as folder:
            for path in folder.iterdir():
                self._upload(path, f"{name}/{path.name}")

    def tidy(self, kept: Collection[str], stripped: Collection[str], file: str) -> None:
        """Delete what is not kept; what cannot be deleted stays, and a line says so."""
        try:
            infos = self._infos(self.root, is_recursive=True)
        except OSError as error:
            log.warning("checkpoints in %s are not tidied: %s", self.uri, explain(error))
            return
        by_name = {self.name_of(info.path): info for info in infos}
        needless = [by_name[name] for name in needless_names(by_name, kept)]
        needless += [by_name[path] for name in stripped if (path := f"{name}/{file}") in by_name]
        with ThreadPoolExecutor(DELETIONS) as threads:
            errors = [error for error in threads.map(self._delete, needless) if error]
        if errors:
            log.warning("%d of %d paths in %s stay: %s", len(errors), len(needless), self.uri, explain(errors[0]))

    def copy(self, name: str, file: str, target: Path) -> bool:
        return self.ask(partial(self.fetch, f"{name}/{file}", target))

    def fetch(self, path: str, target: Path) -> bool:
        """Copy an object to a file, whole; return whether there is such an object."""
        try:
            stream = self.filesystem.open_input_stream(f"{self.root}/{path}")
        except FileNotFoundError:
            return False
        with stream, replacing(target) as file:
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
        return True

    def _upload(self, source: Path, path: str) -> None:
        with source.open("rb") as file, self.filesystem.open_output_stream(f"{self.root}/{path}") as stream:
            shutil.copyfileobj(file, stream, CHUNK_BYTES)

    def check(self) -> None:
        """Write, list, read and delete an object.

        Raises:
            OSError: when that cannot be done.
        """
        probe = f"{self.root}/.probe-{secrets.token_hex(4)}"
        with self.filesystem.open_output_stream(probe) as file:
            file.write(b"probe")
        if probe.rpartition("/")[2] not in self._names_in(""):
            raise OSError("an object that was just written is not listed: the store must list what it has stored")
        self.filesystem.delete_file(probe)

    def ask(self, action: Callable[[], T]) -> T:
        for wait in self.waits:
            try:
                return action()
            except OSError as error:
                log.warning("%s: %s; next attempt in %d s", self.uri, explain(error), wait)
                time.sleep(wait)
        try:
            return action()
        except OSError as error:
            raise StorageError(f"{self.uri}: {explain(error)}") from error

    def await_answer(self) -> None:
        self.ask(self.check)

    def _names_in(self, folder: str) -> list[str]:
        """Return the names of objects and folders in a folder; none where it does not exist."""
        return [info.base_name for info in self._infos(f"{self.root}/{folder}".rstrip("/"), is_recursive=False)]

    def _files(self) -> list[str]:
        """Return the path of every object of the sweep, in one listing."""
        infos = self._infos(self.root, is_recursive=True)
        return [info.path.removeprefix(f"{self.root}/") for info in infos if info.is_file]

    def _infos(self, path: str, *, is_recursive: bool) -> list[Any]:
        from pyarrow.fs import FileSelector

        return self.filesystem.get_file_info(FileSelector(path, allow_not_found=True, recursive=is_recursive))

    def _delete(self, info: "FileInfo") -> OSError | None:
        try:
            (self.filesystem.delete_file if info.is_file else self.filesystem.delete_dir)(info.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return error
        return None


def needless_names(names: Iterable[str], kept: Collection[str]) -> list[str]:
    """Return the names of objects and folders that no kept checkpoint needs; not what lies in such a folder."""
    kept_or_above = {*kept, *(str(folder) for name in kept for folder in PurePosixPath(name).parents)}
    needless: set[str] = set()
    for name in sorted(names, key=lambda name: name.count("/")):
        parent = name.rpartition("/")[0]
        above = {str(folder) for folder in PurePosixPath(name).parents}
        if name not in kept_or_above and parent not in kept and not above & needless:
            needless.add(name)
    return sorted(needless)


class _Copies(Mapping[str, Path]):
    """Trial -> folder with copies of the files of its checkpoint, which are fetched when they are first asked for."""

    def __init__(
        self, store: ObjectStoreCheckpoints, names: Mapping[str, str], folder: Path, files: tuple[str, ...]
    ) -> None:
        self._store, self._names, self._folder, self._files = store, names, folder, files
        self._fetched_ids: set[str] = set()

    def __getitem__(self, trial_id: str) -> Path:
        name, folder = self._names[trial_id], self._folder / trial_id
        if trial_id not in self._fetched_ids:
            make_folder(folder)
            for file in self._files:
                self._store.copy(name, file, folder / file)
            self._fetched_ids.add(trial_id)
        return folder

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open_object_store(uri: str, sweep_id: str = "") -> ObjectStoreCheckpoints:
    """Return the checkpoints of a sweep below an address; without one, what is at the address itself.

    Raises:
        StorageError: when the address cannot be used.
    """
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        filesystem, path = FileSystem.from_uri(uri)
    except (OSError, ArrowException, ValueError) as error:  # a missing library, a wrong parameter, an unknown bucket
        raise StorageError(f"--checkpoints {uri} cannot be opened: {explain(error)}") from error
    address = uri.partition("?")[0].rstrip("/")
    return ObjectStoreCheckpoints(filesystem, str(PurePosixPath(path, sweep_id)), f"{address}/{sweep_id}".rstrip("/"))


def check_object_store(uri: str) -> ObjectStoreCheckpoints:
    """Return what is at an address, after checkpoints were written, listed and deleted there.

    Raises:
        StorageError: naming what is wrong.
    """
    store = open_object_store(uri)
    try:
        store.check()
    except OSError as error:
        raise StorageError(f"--checkpoints {uri} cannot be used: {explain(error)}") from error
    return store


def explain(error: BaseException) -> str:
    """Return an error of a store in one line: what is wrong where that is known, and the store's own words."""
    text = re.sub(r"\s*\(Request ID:[^)]*\)", "", " ".join(str(error).split())) or type(error).__name__
    cause = next((words for pattern, words in CAUSES if re.search(pattern, text, re.IGNORECASE)), "")
    return f"{cause} ({text[:300]})" if cause else text[:300]
