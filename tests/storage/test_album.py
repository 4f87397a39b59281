"""An album goes to files and comes back; what somebody else wrote into them shows nothing that is not a picture."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albums import make_album
from PIL import Image

from sweeps.storage.album import INDEX, read_album, save_album


def reader(folder: Path, **changed: bytes) -> Any:
    def files(names: Sequence[str]) -> Mapping[str, bytes]:
        return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()} | changed

    return files


def saved(folder: Path) -> dict[str, Any]:
    save_album(folder, make_album())
    content: dict[str, Any] = json.loads((folder / INDEX).read_text())
    return content


def test_an_album_comes_back_as_it_was(tmp_path: Path) -> None:
    album, restored = make_album(), read_album(saved(tmp_path), reader(tmp_path))
    assert restored is not None
    assert (restored.trials, restored.panels, restored.attention) == (album.trials, album.panels, album.attention)
    assert all(np.array_equal(restored.sheets[name].values, album.sheets[name].values) for name in album.sheets)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"size_px": "8"},
        {"size_px": 10**9},
        {"trials": []},
        {"trials": "ab"},
    ],
    ids=str,
)
def test_an_index_of_another_form_shows_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read_album({**saved(tmp_path), **changes}, reader(tmp_path)) is None


@pytest.mark.parametrize("name", ["../panel-001.png", "/etc/passwd", "panel-001.svg", "panel-1.png\n"])
def test_a_file_of_another_name_is_not_even_asked_for(tmp_path: Path, name: str) -> None:
    index = saved(tmp_path)
    index["panels"][0]["file"] = index["attention"][0]["file"] = name
    album = read_album(index, lambda names: pytest.fail(f"asked for {names}"))
    assert album is not None and not album.panels and not album.attention


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n"], ids=["empty", "svg", "torn"])
def test_a_file_that_is_no_picture_is_left_out(tmp_path: Path, content: bytes) -> None:
    album = read_album(saved(tmp_path), reader(tmp_path, **{"panel-001.png": content}))
    assert album is not None and not album.panels and len(album.attention) == 1


def test_a_picture_of_another_size_is_left_out_before_it_is_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("P", (5000, 5000)).save(buffer, "PNG")
    album = read_album(saved(tmp_path), reader(tmp_path, **{"panel-001.png": buffer.getvalue()}))
    assert album is not None and not album.panels


@pytest.mark.parametrize(
    "changes",
    [{"kind": "funny"}, {"name": 7}, {"mious": [0.5]}, {"scene": "x" * 600}],
    ids=str,
)
def test_an_entry_of_another_form_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    index = saved(tmp_path)
    index["panels"][0] |= changes
    album = read_album(index, reader(tmp_path))
    assert album is not None and not album.panels


def test_figures_that_are_none_are_not_shown(tmp_path: Path) -> None:
    index = saved(tmp_path)
    index["panels"][0]["mious"] = {"a": "0.9", "b": 7.0}
    album = read_album(index, reader(tmp_path))
    assert album is not None and album.panels[0].mious == (None, None)


@pytest.mark.parametrize("ranges", [[], [[0.1]], [[0.1, "b"]], "ab", [[0, 1]] * 40], ids=str)
def test_maps_with_odd_ranges_are_left_out(tmp_path: Path, ranges: Any) -> None:
    index = saved(tmp_path)
    index["attention"][0]["ranges"] = ranges
    album = read_album(index, reader(tmp_path))
    assert album is not None and not album.attention


def test_no_index_is_no_album() -> None:
    assert read_album(None, lambda names: {}) is None
