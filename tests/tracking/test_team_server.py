"""A server for a team that cannot be started is refused in one line, with the reason."""

import sys
from pathlib import Path

import pytest

from sweeps import mlflow_server
from sweeps.errors import TrackingError
from sweeps.tracking.team_server import ServerPlan, TeamServer

LOG = """Traceback (most recent call last):
sqlalchemy.exc.DatabaseError: (sqlite3.DatabaseError) file is not a database
[SQL: SELECT name FROM sqlite_master]
(Background on this error at: https://sqlalche.me/e/21/4xp6)
"""
WRITE = "import sys; print(sys.argv[1], end='')"


@pytest.mark.parametrize(
    ("options", "why"), [(["--port", "70000"], "at most 65535"), (["--folder", "/proc/server"], "cannot be written")]
)
def test_a_port_or_a_folder_that_cannot_be_used_is_refused(
    options: list[str], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert mlflow_server.main(["--folder", str(tmp_path), "--port", "38479", *options]) == 2
    message = capsys.readouterr().err
    assert why in message and len(message.splitlines()) == 1


@pytest.mark.parametrize(("log", "why"), [(LOG, "file is not a database"), ("", "without a word")])
def test_the_reason_is_the_last_error_of_this_server_and_not_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, why: str
) -> None:
    (tmp_path / "server.log").write_text("OSError: of yesterday\n")
    monkeypatch.setattr(ServerPlan, "command", lambda _: [sys.executable, "-c", WRITE, log])
    plan = ServerPlan(tmp_path, None, None, 38479, None, False)
    with pytest.raises(TrackingError, match=why), TeamServer(plan):
        pass
