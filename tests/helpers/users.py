"""Another user of this machine: commands run under another number, with nothing of ours in their environment."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY, UNKNOWN = 65534, 54321
"""A user that the system knows, and one that it does not."""

NEEDED = tuple(Path(path).resolve() for path in (sys.base_prefix, sys.prefix, ROOT))
"""What a command of the project reads."""


def can_be_another() -> bool:
    """Return whether this process may start others as another user."""
    tools = all(map(shutil.which, ("setpriv", "unshare")))
    return tools and os.getuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


needs_another_user = pytest.mark.skipif(not can_be_another(), reason="only root can be another user")


@contextmanager
def folder_of(user: int, parent: Path | None = None) -> Iterator[Path]:
    """Give a new folder that belongs to a user, outside of what pytest keeps to itself."""
    path = Path(tempfile.mkdtemp(prefix="t-", dir=parent or "/tmp"))
    os.chown(path, user, user)
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def start_as(user: int, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start Python as a user, in the project's folder."""
    settings = [f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", **variables}.items()]
    identity = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "env", "-i", *settings]
    command = ["unshare", "-m", "sh", "-c", _opened() + 'exec "$0" "$@"', *identity, sys.executable, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run_as(user: int, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run Python as a user to its end; return its exit code and what it printed."""
    process = start_as(user, *arguments, **variables)
    printed, _ = process.communicate()
    return process.returncode, printed


def _opened() -> str:
    """Return shell commands that let everybody reach what is needed, in the mounts of one process alone.

    A folder that its owner alone may enter, such as root's home, is covered by an empty one in which only what is
    needed can be seen.
    """
    closed: dict[Path, list[Path]] = {}
    for path in NEEDED:
        tops = [folder for folder in reversed((path, *path.parents)) if not folder.stat().st_mode & 1]
        if tops:
            closed.setdefault(tops[0], []).append(path)
    lines = ["set -e", "hold=$(mktemp -d)", "mount -t tmpfs none $hold"]
    for top, paths in closed.items():
        held = {f"$hold/{abs(hash(path))}": path for path in paths}
        lines += [f"mkdir {mount_point}; mount --bind '{path}' {mount_point}" for mount_point, path in held.items()]
        lines += [f"mount -t tmpfs -o mode=755 none '{top}'"]
        lines += [f"mkdir -p '{path}'; mount --bind {mount_point} '{path}'" for mount_point, path in held.items()]
    return "\n".join([*lines, ""] if closed else [""])
