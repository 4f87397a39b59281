"""Files are written atomically with the umask's mode, and JSON is strict."""

import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bddseg.files import replacing, strict, write_file, write_json


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def write_half(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise RuntimeError("half-way")


def test_a_file_is_written(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", "straße\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "straße\n"


def test_the_file_of_before_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half-way"):
        write_half(tmp_path / "a")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_mode_is_0666_less_the_umask(tmp_path: Path, umask: None) -> None:
    write_file(tmp_path / "a", b"")
    assert mode(tmp_path / "a") == 0o640


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path, umask: None) -> None:
    write_file(tmp_path / "token", b"secret", private=True)
    assert mode(tmp_path / "token") == 0o600


def test_the_longest_name_that_a_file_system_takes_can_be_written(tmp_path: Path) -> None:
    name = "é" * 127
    write_file(tmp_path / name, b"")
    assert names(tmp_path) == [name]


def test_a_durable_file_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, os.replace
    is_folder = lambda handle: stat.S_ISDIR(os.fstat(handle).st_mode)  # noqa: E731
    kind = lambda handle: "folder" if is_folder(handle) else "file"  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(kind(handle)), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("rename"), rename(*paths))[1])
    write_file(tmp_path / "a", b"x", durable=True)
    assert calls == ["file", "rename", "folder"]


def test_numbers_that_json_does_not_have_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"nan": math.nan, "list": [math.inf, 1.5, (-math.inf, 2)]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"nan": None, "list": [None, 1.5, [None, 2]]}


def test_strict_leaves_what_json_has() -> None:
    assert strict({"a": [1, 0.5, "x", None, True]}) == {"a": [1, 0.5, "x", None, True]}
