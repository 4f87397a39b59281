"""A disk that forgets at a power cut whatever was not synced, for a process whose fsync and fdatasync are watched.

Of a file it keeps the content of its last sync, of a folder the names of its last sync. It is watched by this process,
or by another one that finds this file under the name sitecustomize.py on its PYTHONPATH.
"""

import json
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

ROOT, MEMORY = "POWER_ROOT", "POWER_MEMORY"
"""Variables of another process: what is watched, and where it is noted what the disk has."""


class Disk:
    """Notes in the folder `memory` what the disk has of everything below `root`."""

    def __init__(self, root: Path, memory: Path) -> None:
        self._root, self._memory = str(root), memory
        self._held: dict[int, int] = {}
        """Inode -> a handle on it: while that is open, no other file gets its number."""
        (memory / "files").mkdir(parents=True, exist_ok=True)
        (memory / "folders").mkdir(exist_ok=True)

    def watched(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        """Return a function that syncs as before, and notes it."""

        def note(handle: int) -> None:
            sync(handle)
            if os.path.realpath(f"/proc/self/fd/{handle}").startswith(self._root):
                self._note(handle)

        return note

    def _note(self, handle: int) -> None:
        inode = os.fstat(handle).st_ino
        if inode not in self._held:
            self._held[inode] = os.dup(handle)
        path = Path(os.path.realpath(f"/proc/self/fd/{handle}"))
        if path.is_dir():
            statuses = {name: os.stat(name, dir_fd=handle) for name in os.listdir(handle)}
            names = {name: (status.st_ino, stat.S_ISDIR(status.st_mode)) for name, status in statuses.items()}
            self._keep("folders", inode, json.dumps(names).encode())
        else:
            self._keep("files", inode, path.read_bytes())

    def _keep(self, kind: str, inode: int, content: bytes) -> None:
        """Note something at one stroke: the process may be killed at any moment."""
        new = self._memory / f"{kind}-{inode}-{threading.get_ident()}"
        new.write_bytes(content)
        new.replace(self._memory / kind / str(inode))


def after_a_power_cut(root: Path, memory: Path, target: Path) -> None:
    """Write into `target` what the disk has of `root`: a name without its content is an empty file."""
    _restore(root.stat().st_ino, memory, target)


def _restore(inode: int, memory: Path, target: Path) -> None:
    """Write a folder with what the disk has of it: of files the content, where that was synced."""
    target.mkdir(parents=True)
    names = memory / "folders" / str(inode)
    for name, (inside, is_folder) in json.loads(names.read_text()).items() if names.exists() else ():
        content = memory / "files" / str(inside)
        if is_folder:
            _restore(inside, memory, target / name)
        elif content.exists():
            shutil.copy(content, target / name)
        else:
            (target / name).touch()


if ROOT in os.environ and __name__ == "sitecustomize":
    _disk = Disk(Path(os.environ[ROOT]), Path(os.environ[MEMORY]))
    os.fsync, os.fdatasync = _disk.watched(os.fsync), _disk.watched(os.fdatasync)
