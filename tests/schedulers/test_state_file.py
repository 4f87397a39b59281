"""A scheduler's file: whole or not there, and never taken for something else."""

from pathlib import Path

import pytest

from sweeps.errors import StorageError
from sweeps.schedulers.state_file import load_memory, save_memory


def test_what_was_written_is_read(tmp_path: Path) -> None:
    save_memory(tmp_path / "s" / "scheduler.json", {"rungs": {"1": {"a": 0.5}}})
    assert load_memory(tmp_path / "s" / "scheduler.json") == {"rungs": {"1": {"a": 0.5}}}


def test_before_the_first_decision_there_is_none(tmp_path: Path) -> None:
    assert load_memory(tmp_path / "scheduler.json") is None


def test_what_cannot_be_written_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    save_memory(path, {"a": 1})
    with pytest.raises(TypeError):
        save_memory(path, {"a": object()})
    assert (load_memory(path), [path_in_folder.name for path_in_folder in tmp_path.iterdir()]) == (
        {"a": 1},
        ["scheduler.json"],
    )


@pytest.mark.parametrize("text", ["", '{"version": 1, "ru', "[1, 2]"])
def test_a_damaged_file_is_refused_in_plain_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").write_text(text)
    with pytest.raises(StorageError, match=r"scheduler.json .*; without it the rungs would start empty"):
        load_memory(tmp_path / "scheduler.json")
