"""A server of an earlier MLflow is refused by every command that would record there, or read."""

from pathlib import Path

import pytest
from http_answers import answering

import report
from sweeps.errors import TrackingError
from sweeps.tracking.reachability import check_version
from sweeps.tracking.store import prepare_store

EARLIER = {"/health": "OK", "/version": "2.22.5"}
WHY = "is MLflow 2.22.5, but must be 3 or newer: upgrade it"


def test_a_sweep_refuses_a_server_of_mlflow_2(tmp_path: Path) -> None:
    with answering(EARLIER) as uri, pytest.raises(TrackingError, match=WHY):
        prepare_store(uri, tmp_path)


def test_a_report_refuses_a_server_of_mlflow_2_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(EARLIER) as uri:
        assert report.main(["--tracking-uri", uri, "--out", str(tmp_path / "reports")]) == 2
    message = capsys.readouterr().err
    assert WHY in message and len(message.splitlines()) == 1 and not (tmp_path / "reports").exists()


@pytest.mark.parametrize("text", ["3.17.2", "3.0.0rc1", "no version at all"])
def test_a_later_server_and_one_without_a_version_are_taken(text: str) -> None:
    with answering({"/version": text}) as uri:
        check_version(uri)
