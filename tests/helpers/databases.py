"""A real PostgreSQL for drills."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"
"""PostgreSQL refuses to run as root."""

PASSWORD = "a-secret-password"


@contextmanager
def postgresql(database: str = "mlflow") -> Iterator[str]:
    """Run PostgreSQL with an empty database; give the address of its server, without the database.

    Skips the test where PostgreSQL is not installed.
    """
    if not (BINARIES / "initdb").exists() or (os.geteuid() == 0 and not shutil.which("setpriv")):
        pytest.skip(f"there is no PostgreSQL in {BINARIES}, or no setpriv to run it as another user than root")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, USER)
        rules = ["-U", "admin", "--auth=scram-sha-256", f"--pwfile={folder}/password", "-N"]
        _run(folder, "initdb", "-D", f"{folder}/data", *rules)
        _run(folder, "pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log",
             "-o", f"-p {port} -h 127.0.0.1 -k {folder} -F", "start")  # fmt: skip
        try:
            _run(folder, "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "admin", database)
            yield f"postgresql://admin:{PASSWORD}@127.0.0.1:{port}"
        finally:
            _run(folder, "pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")


def _run(folder: Path, program: str, *arguments: str) -> None:
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*user, str(BINARIES / program), *arguments]
    environment = os.environ | {"PGPASSWORD": PASSWORD}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
