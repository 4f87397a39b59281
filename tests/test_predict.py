"""python -m sweeps.predict: from files to painted files, and one line for what cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import write_model
from PIL import Image

from bddseg.errors import DataError
from bddseg.painting import PICTURES as KNOWN
from sweeps.predict import PICTURES, ROOT, find_images, main

SMALL = (48, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of video frames, and something else."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (10, 9, 1):
        pixels = np.random.default_rng(number).integers(0, 256, (*SMALL[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"frame-{number}.jpg")
    (folder / "notes.txt").write_text("no image")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_frames_is_painted_in_the_order_of_their_numbers(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(model), str(frames), "--out", str(out), "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        str(out / f"frame-{number}.{kind}") for number in (1, 9, 10) for kind in ("overlay.jpg", "mask.png")
    ]
    assert said.err == "" and names(out) == sorted(Path(line).name for line in said.out.splitlines())


def test_one_image_and_the_folder_of_a_checkpoint(model: Path, frames: Path, tmp_path: Path) -> None:
    words = [str(model.parent), str(frames / "frame-9.jpg"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--pictures", "labels"]) == 0
    assert names(tmp_path / "out") == ["frame-9.labels.png"]
    assert Image.open(tmp_path / "out" / "frame-9.labels.png").size == SMALL


def test_the_kinds_of_pictures_are_those_that_can_be_painted() -> None:
    assert tuple(KNOWN) == PICTURES


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Return the one line that a misuse is answered with."""
    assert main([*map(str, words), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def test_pictures_are_never_written_where_images_lie(
    model: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "choose another folder, so that no image is lost" in refusal(capsys, model, frames, "--out", frames)
    assert len(names(frames)) == 4


def test_a_link_to_the_folder_of_the_images_is_seen_through(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(frames)
    assert "no image is lost" in refusal(capsys, model, frames / "frame-1.jpg", "--out", tmp_path / "link")


def test_two_images_of_one_name_are_refused(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", SMALL).save(frames / "frame-1.png")
    assert "would be painted into the same files" in refusal(capsys, model, frames, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_not_there_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gone.jpg is not there" in refusal(capsys, model, tmp_path / "gone.jpg", "--out", tmp_path / "out")


def test_a_folder_without_images_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no image: none of its files ends in .jpg"):
        find_images([tmp_path])


def test_a_damaged_image_is_named_and_the_exit_code_tells(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "frame-9.jpg").write_bytes(b"no image")
    assert "frame-9.jpg cannot be read: it is no image" in refusal(capsys, model, frames, "--out", tmp_path / "out")
    assert len(names(tmp_path / "out")) == 4


def test_a_model_that_is_not_there_says_which_forms_there_are(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no model 'gone.pt'; give @champion" in refusal(
        capsys, "gone.pt", frames, "--out", tmp_path / "out"
    )


def test_a_file_that_holds_no_weights_is_refused(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best.pt").write_bytes(b"no weights")
    assert "is not a readable checkpoint" in refusal(capsys, tmp_path / "best.pt", frames, "--out", tmp_path / "out")


def test_a_champion_of_a_store_that_is_not_there_makes_no_store(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/none.db"
    words = ["@champion", frames, "--out", tmp_path / "out", "--tracking-uri", uri]
    assert "no sweep recorded yet" in refusal(capsys, *words)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("command", ["sweeps.predict", "sweeps.export"])
def test_help_needs_neither_torch_nor_ray_nor_mlflow(command: str) -> None:
    check = (
        f"import sys, runpy; sys.argv = ['x', '--help']\ntry: runpy.run_module('{command}', run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_painting_from_a_file_needs_neither_ray_nor_mlflow(model: Path, frames: Path, tmp_path: Path) -> None:
    words = [str(model), str(frames), "--out", str(tmp_path / "out"), "--quiet"]
    check = (
        f"import sys; from sweeps.predict import main; assert main({words!r}) == 0\n"
        "print(sorted({'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
