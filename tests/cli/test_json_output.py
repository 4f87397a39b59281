"""--json: one JSON text on stdout with the documented keys, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from earlier import VERSIONS, unpack

import sweeps
import tune_main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "running.md").read_text()
QUICK = ("--profile", "quick", "--json")


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert tune_main.main([*words]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def documented(title: str) -> list[str]:
    """Return the keys that the page names in a row of its table."""
    (row,) = re.findall(rf"^\| `{re.escape(title)}` \| (.*) \|$", PAGE, re.MULTILINE)
    return re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", row))


def test_the_list_has_the_documented_keys(capsys: pytest.CaptureFixture[str]) -> None:
    listed = answer(capsys, "--list", *QUICK)
    assert list(listed) == documented("--list") and listed["problems"] == []
    (smoke,) = [space for space in listed["spaces"] if space["name"] == "smoke"]
    assert (smoke["trials"], smoke["points"], smoke["varies"]) == (4, None, ["optim.lr", "loss.name"])


def test_a_dry_run_has_the_documented_keys(capsys: pytest.CaptureFixture[str]) -> None:
    planned = answer(capsys, "--space", "smoke", *QUICK, "--dry-run")
    assert list(planned) == documented("--dry-run")
    assert [trial["is_reference"] for trial in planned["trials"]].count(True) == 1
    assert planned["trials"][0]["settings"]["train.epochs"] == 3
    assert {"name": "trials", "value": "4"}.items() <= planned["estimate"][0].items()


def test_the_status_has_the_fields_of_a_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = unpack(VERSIONS[-1], "interrupted", tmp_path)
    status = answer(capsys, "--status", "--storage", str(recorded.storage), "--json")
    assert [key for key in status if key != "trials"] == documented("--status")[:3]
    assert status["trials"][0].keys() == sweeps.Trial.__dataclass_fields__.keys()
    assert {trial["trial_id"] for trial in status["trials"]} == set(recorded.trial_ids)


def test_what_a_resume_would_do_has_the_documented_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = unpack(VERSIONS[-1], "interrupted", tmp_path)
    ahead = answer(capsys, "--resume", "--dry-run", "--storage", str(recorded.storage), "--json")
    assert list(ahead) == documented("--resume --dry-run")
    assert list(ahead["trials"][0]) == ["name", "trial_id", "action", "epochs", "budget", "reason"]


def test_training_has_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--space", "smoke", "--json", "--storage", str(tmp_path / "runs")]) == 2
    assert "--json has no effect on training" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
