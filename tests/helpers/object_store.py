"""A real S3 server for drills, which can be killed and started again; it forgets its objects then."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recording import until

BUCKET = "runs"
KEYS = {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "a-secret-key", "AWS_DEFAULT_REGION": "us-east-1"}


class ObjectStore:
    """An S3 server on a port of its own, with one bucket."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = int(listener.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables under which MLflow finds the server."""
        return {**KEYS, "MLFLOW_S3_ENDPOINT_URL": self.url, "AWS_ENDPOINT_URL_S3": self.url, "AWS_MAX_ATTEMPTS": "2"}

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self._port)]
        with (self._folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        assert until(self._answers, 60), (self._folder / "s3.log").read_text()[-2000:]
        self._client().create_bucket(Bucket=BUCKET)

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it answer nothing; it keeps its objects."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)

    def require_known_keys(self, *, is_required: bool = True) -> None:
        """Refuse every key that it has not given itself, or take any again."""
        import requests

        open_calls = "0" if is_required else "inf"
        requests.post(f"{self.url}/moto-api/reset-auth", data=open_calls, timeout=30).raise_for_status()

    def put(self, key: str) -> None:
        """Store an object whose content is its name."""
        self._client().put_object(Bucket=BUCKET, Key=key, Body=key.encode())

    def keys(self, prefix: str = "") -> list[str]:
        """Return the names of all objects below a prefix, without those that stand for folders."""
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return [name for name in names if not name.endswith("/")]

    def _client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
        return boto3.client("s3", endpoint_url=self.url, region_name=KEYS["AWS_DEFAULT_REGION"], **keys)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run an S3 server for as long as the context lasts."""
    running = ObjectStore(folder)
    try:
        running.start()
        yield running
    finally:
        running.kill()
