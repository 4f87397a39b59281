"""Checkpoint files: atomic, and never unpickled code."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import kill_while_writing

from bddseg.checkpoint import BEST, LAST, load_checkpoint, load_training, save_checkpoint, save_training
from bddseg.errors import AccessError, DataError


class Malice:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def make_state(digest: str = "a" * 12, epoch: int = 2) -> dict[str, Any]:
    best = {"epoch": 1, "miou": 0.5, "weights": {"w": torch.ones(3)}, "config": {"train": {"epochs": 2}}}
    model = {"w": torch.arange(3.0)}
    return {"digest": digest, "epoch": epoch, "best": best, "model": model, "optimizer": {"state": {}}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the file of a small checkpoint."""
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"weights": torch.arange(1000.0), "epoch": 3})
    return path


def test_what_was_saved_comes_back(saved: Path) -> None:
    loaded = load_checkpoint(saved)
    assert loaded.keys() == {"weights", "epoch"} and loaded["epoch"] == 3
    assert torch.equal(loaded["weights"], torch.arange(1000.0))


def test_a_training_state_comes_back(tmp_path: Path) -> None:
    save_training(tmp_path, make_state())
    loaded = load_training(tmp_path)
    assert loaded.keys() == make_state().keys()
    assert loaded["best"].keys() == make_state()["best"].keys()
    assert torch.equal(loaded["model"]["w"], torch.arange(3.0))
    assert torch.equal(loaded["best"]["weights"]["w"], torch.ones(3))


def test_a_training_folder_holds_two_files(tmp_path: Path) -> None:
    save_training(tmp_path, make_state())
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]


def test_the_best_weights_can_be_used_alone(tmp_path: Path) -> None:
    save_training(tmp_path, make_state())
    (tmp_path / LAST).unlink()
    best = load_checkpoint(tmp_path / BEST)
    assert best["digest"] == "a" * 12 and torch.equal(best["weights"]["w"], torch.ones(3))


def test_files_of_two_trials_in_one_folder_are_refused(tmp_path: Path) -> None:
    save_training(tmp_path, make_state("b" * 12))
    foreign = (tmp_path / BEST).read_bytes()
    save_training(tmp_path, make_state("a" * 12))
    (tmp_path / BEST).write_bytes(foreign)
    with pytest.raises(DataError, match="b" * 12):
        load_training(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    save_training(tmp_path, make_state())
    (tmp_path / LAST).unlink()
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        load_training(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_torn_file_is_named(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        load_checkpoint(saved)


@pytest.mark.parametrize("content", [b"x", b"\x80", b"\x80\x02", b"no checkpoint", b"PK\x03\x04", b"\0" * 100])
def test_garbage_is_named(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        load_checkpoint(saved)


def test_the_refusal_is_one_line(saved: Path) -> None:
    saved.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


def test_another_format_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bddseg.checkpoint.FORMAT", 2)
    with pytest.raises(DataError, match="must have format 2"):
        load_checkpoint(saved)


def test_a_bare_tensor_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "w.pt")
    with pytest.raises(DataError, match="of another format"):
        load_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, write: Any) -> None:
    write({"format": 1, "weights": Malice(f"touch {tmp_path / 'harm'}")}, tmp_path / "w.pt")
    with pytest.raises(DataError, match="is not a readable checkpoint"):
        load_checkpoint(tmp_path / "w.pt")
    assert not (tmp_path / "harm").exists()


def test_a_failed_save_leaves_the_old_file_and_no_other(saved: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(saved, {"epoch": 4, "state": lambda: None})
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert load_checkpoint(saved)["epoch"] == 3


def test_a_killed_writer_leaves_the_old_file(saved: Path) -> None:
    writer = f"""
from pathlib import Path
import torch
from bddseg.checkpoint import save_checkpoint
weights = torch.zeros(40_000_000)
print("ready", flush=True)
save_checkpoint(Path({str(saved)!r}), {{"weights": weights, "epoch": 4}})
"""
    kill_while_writing(writer, saved)
    assert load_checkpoint(saved)["epoch"] == 3


def test_a_file_that_the_system_does_not_give_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "last.pt").symlink_to("/proc/self/mem")  # reading it fails with EIO
    with pytest.raises(AccessError, match=r"last\.pt cannot be read: Input/output error"):
        load_checkpoint(tmp_path / "last.pt")
