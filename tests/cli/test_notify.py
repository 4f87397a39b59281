"""--notify: posted to a real server, piped into a real command; its failure is a warning and nothing more."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import tune_main
from sweeps.cli.notify import describe_error, send
from sweeps.cli.prepare import without_notify
from sweeps.errors import StorageError
from sweeps.execution.signals import Interrupted
from sweeps.notes import show_notes

REFUSED = ("--space", "nothing", "--profile", "quick")
TOKEN = "tok3n-5f1d"


@pytest.fixture
def posted() -> Iterator[tuple[str, list[Any]]]:
    """Start a server; give its address with a token, and what is posted to it. It answers 500 below /broken."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path.startswith("/broken") else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_a_refused_command_is_posted(posted: tuple[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    address, received = posted
    assert tune_main.main([*REFUSED, "--notify", f"{address}/hook?token={TOKEN}"]) == 2
    assert [(facts["outcome"], facts["sweep"], facts["exit_code"]) for facts in received] == [("failed", None, 2)]
    assert "space 'nothing' is not in experiments.yaml" in received[0]["error"]
    assert TOKEN not in "".join(capsys.readouterr())


def test_the_environment_may_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BDDSEG_NOTIFY", f"cat > '{tmp_path}/ended.json'")
    assert tune_main.main([*REFUSED]) == 2
    assert json.loads((tmp_path / "ended.json").read_text())["outcome"] == "failed"


def test_a_dry_run_notifies_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BDDSEG_NOTIFY", f"touch '{tmp_path}/ended'")
    assert tune_main.main([*REFUSED, "--dry-run"]) == 2
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize("target", [f"exit 3 # {TOKEN}", f"http://127.0.0.1:1/{TOKEN}", f"http://127.0.0.1:x/{TOKEN}"])
def test_a_failure_is_a_warning_without_the_target(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_notes()
    send(target, {})
    said = capsys.readouterr().err
    assert said.startswith("warning: the notification failed: ") and said.count("\n") == 1
    assert TOKEN not in said


def test_an_answer_that_is_an_error_is_a_warning(
    posted: tuple[str, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    show_notes()
    send(f"{posted[0]}/broken/{TOKEN}", {"outcome": "finished"})
    assert capsys.readouterr().err == "warning: the notification failed: 127.0.0.1 answered 500\n"


def test_an_address_of_another_kind_is_refused_without_its_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main([*REFUSED, "--notify", f"ftp://host/{TOKEN}"]) == 2
    said = capsys.readouterr().err
    assert "error: --notify is an address of the kind ftp, but must be a command, or start with http" in said
    assert TOKEN not in said


def test_the_recorded_command_has_no_target() -> None:
    words = ["--space", "smoke", "--notify", f"http://h/{TOKEN}", "--limit", "2", f"--notify=http://h/{TOKEN}"]
    assert without_notify(words) == ["--space", "smoke", "--limit", "2"]


def test_an_error_of_a_sweep_names_it_and_hides_passwords() -> None:
    error = StorageError("http://me:hunter2@host is full")
    error.sweep_id = "smoke-1"  # type: ignore[attr-defined]
    facts = describe_error(error)
    assert (facts["sweep"], facts["exit_code"], facts["error"]) == ("smoke-1", 2, "http://***@host is full")


def test_a_signal_has_its_exit_code_and_the_command_that_resumes() -> None:
    interrupt = Interrupted(15)
    interrupt.resume_command = "python tune_main.py --resume smoke-1"
    facts = describe_error(interrupt)
    assert (facts["outcome"], facts["exit_code"]) == ("interrupted", 143)
    assert facts["resume_command"] == "python tune_main.py --resume smoke-1"
