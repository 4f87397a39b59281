"""Drill: secrets are planted around a whole sweep and its report, and none is found in what they leave or print."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from drills import CACHE, ROOT, SMALL
from servers import Server

pytestmark = pytest.mark.drill

PASSWORD, TOKEN = "hunter2-9b1c", "tok3n-5f1d77"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAPLANTED00000", "AWS_SECRET_ACCESS_KEY": "pl4nted-s3cret-of-aws"}
SECRETS = (PASSWORD, TOKEN, *KEYS.values())


def contents(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, and of the files inside of it."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def test_no_secret_is_printed_or_written(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    server.start()
    try:
        uri = server.uri.replace("://", f"://me:{PASSWORD}@")
        train = ["tune_main.py", *SMALL, "--storage", str(tmp_path / "runs"), "--tracking-uri", uri]
        read = ["report.py", "--tracking-uri", uri, "--out", str(tmp_path / "reports")]
        environment = os.environ | KEYS | {"BDDSEG_CACHE": str(CACHE), "OMP_NUM_THREADS": "1"}
        printed = ""
        for words in ([*train, "-vv", "--notify", f"http://127.0.0.1:1/{TOKEN}"], [*read, "--register", "--force"]):
            done = subprocess.run(
                [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            printed += done.stdout + done.stderr
            assert done.returncode == 0, printed
    finally:
        server.kill()
    assert "warning: the notification failed: 127.0.0.1" in printed
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"sweep.json", "index.html", "server.db", "outbox.jsonl"}
    texts = [(path, text) for path in files for text in contents(path)]
    hits = [(path, secret) for path, text in texts for secret in SECRETS if secret.encode() in text]
    assert (hits, [secret for secret in SECRETS if secret in printed]) == ([], [])
