"""python -m sweeps.predict: from files to painted files, and one line for what cannot be."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import write_model
from PIL import Image

from bddseg.overlays import PICTURES as KNOWN
from sweeps.paths import EXPORT, PREDICT, ROOT, program
from sweeps.predict import PICTURES, main

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


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 2) -> str:
    """Return the one line that a misuse, or a failure, is answered with."""
    assert main([*map(str, words), "--quiet"]) == code
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


def test_two_images_of_one_name_are_both_named_and_the_rest_is_painted(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", SMALL).save(frames / "frame-1.png")
    line = refusal(capsys, model, frames, "--out", tmp_path / "out", code=1)
    named = f"{frames / 'frame-1.jpg'} and {frames / 'frame-1.png'} would be painted into the same files"
    assert named in line and len(names(tmp_path / "out")) == 4


def test_an_image_that_is_not_there_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gone.jpg is not there" in refusal(capsys, model, tmp_path / "gone.jpg", "--out", tmp_path / "out")


def test_a_folder_without_images_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    line = refusal(capsys, model, tmp_path, "--out", tmp_path / "out")
    assert "holds no image: none of its files ends in .jpg" in line and line.endswith("; in it: notes.txt")


def test_what_is_not_there_does_not_keep_the_rest_from_being_painted(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [tmp_path / "gone.jpg", frames / "frame-9.jpg", "--out", tmp_path / "out"]
    assert "gone.jpg is not there" in refusal(capsys, model, *words, code=1)
    assert len(names(tmp_path / "out")) == 2


def test_several_that_are_not_there_are_all_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [str(tmp_path / f"{name}.jpg") for name in "ab"]
    assert main([str(model), *gone, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == gone


def test_a_damaged_image_is_named_and_the_exit_code_says_that_something_failed(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "frame-9.jpg").write_bytes(b"no image")
    words = [model, frames, "--out", tmp_path / "out"]
    assert "frame-9.jpg cannot be read: it is no image" in refusal(capsys, *words, code=1)
    assert len(names(tmp_path / "out")) == 4


def test_what_a_folder_holds_besides_is_counted_and_named(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "._frame-1.jpg").touch()
    (frames / "inner.jpg").mkdir()
    os.mkfifo(frames / "pipe.jpg")
    assert main([str(model), str(frames), "--out", str(tmp_path / "out")]) == 0
    expected = "skipped, no images: 4: ._frame-1.jpg, inner.jpg (no file), notes.txt and 1 more"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_a_link_that_leads_in_a_circle_is_named(
    model: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "circle.jpg").symlink_to("circle.jpg")
    line = refusal(capsys, model, frames, "--out", tmp_path / "out", code=1)
    assert "circle.jpg cannot be read: Too many levels of symbolic links" in line
    assert len(names(tmp_path / "out")) == 6


def test_an_image_given_twice_is_painted_once(model: Path, frames: Path, tmp_path: Path) -> None:
    given = [str(frames / "frame-9.jpg"), os.path.relpath(frames / "frame-9.jpg"), str(frames)]
    assert main([str(model), *given, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert len(names(tmp_path / "out")) == 6


def test_an_out_folder_that_cannot_be_written_is_refused(
    model: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, model, frames, "--out", "/proc/self")
    assert line == "error: --out /proc/self cannot be written: No such file or directory; choose another folder"


# --- the command in a shell


def shell(command: str, *words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as its user types it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    text = f"{command} {shlex.join(map(str, words))}"
    return subprocess.run(text, shell=True, capture_output=True, cwd=cwd, env=environment, check=False)


@pytest.mark.parametrize("file", [PREDICT, EXPORT])
def test_the_printed_command_works_in_any_folder(file: str, model: Path, frames: Path, tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("raise RuntimeError('a file of the user')")
    images = ["frames/frame-1.jpg"] if file == PREDICT else []
    done = shell(program(file), model, *images, "--out", "out", cwd=tmp_path)
    assert (done.returncode, len(names(tmp_path / "out"))) == (0, 2), done.stderr


@pytest.mark.parametrize("name", [b"stra\xdfe.jpg", b"two\nlines.jpg", b"\x1b[2Jcleared.jpg", b"-dash.jpg", b"a b.jpg"])
def test_names_that_are_no_text_are_painted_and_printed_in_one_line(
    model: Path, frames: Path, tmp_path: Path, name: bytes
) -> None:
    (frames / "frame-1.jpg").rename(frames / os.fsdecode(name))
    done = shell(program(PREDICT), model, "frames", "--out", "out", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, b"", 6)
    assert done.stdout.decode().replace("\n", "").isprintable() and len(names(tmp_path / "out")) == 6


def test_a_model_that_is_not_there_says_which_forms_there_are(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no model 'gone.pt'; give @champion" in refusal(
        capsys, "gone.pt", frames, "--out", tmp_path / "out"
    )


def test_a_model_of_an_endless_name_is_refused(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no model" in refusal(capsys, "=" * 300, frames, "--out", tmp_path / "out")


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
        "import atexit, sys, runpy; sys.argv = ['x', '--help']\n"
        "atexit.register(lambda: print(sorted({'torch', 'ray', 'mlflow'} & set(sys.modules))))\n"
        f"runpy.run_module('{command}', run_name='__main__')"
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
