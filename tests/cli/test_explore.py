"""`python -m sweeps.explore` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from explorations import ENTRY, scene, write_pairs
from PIL import Image

from sweeps import explore

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "cache"))
    write_pairs(tmp_path / "frames", {f"a_{number}": scene(car=True) for number in range(10)})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"mine": {**ENTRY, "root": "frames"}}))
    return tmp_path / "mine.yaml"


def run(*words: object) -> int:
    return explore.main([str(word) for word in words])


def test_the_page_is_written_and_its_path_printed(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", mine, "--out", mine.parent / "out") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{mine.parent / 'out/index.html'}\n"
    assert "10 images" in printed.err
    assert (mine.parent / "out/explore.json").exists()


def test_a_sound_folder_passes_the_check(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", mine, "--check", "--quiet") == 0
    assert capsys.readouterr().out == "0 faults in 0 of 10 images\n"


def test_a_check_lists_every_fault_and_ends_with_one(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine.parent / "frames/masks/a_3.png").write_bytes(b"")
    image = mine.parent / "frames/images/a_7.png"
    image.write_bytes(image.read_bytes()[:-1])
    assert run("--data", mine, "--check", "--quiet") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["fault", "name"], ["unreadable", "a_3"], ["unreadable", "a_7"]]
    assert lines[-1] == "2 faults in 2 of 10 images"
    assert not (mine.parent / "out").exists()


def test_a_folder_in_which_nothing_can_be_used_is_an_error(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (mine.parent / "frames/images").iterdir():
        path.write_bytes(b"text")
    assert run("--data", mine, "--quiet", "--out", mine.parent / "out") == 2
    assert "none of the 10 images" in capsys.readouterr().err


def test_a_missing_folder_is_one_line_and_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--data", tmp_path / "nowhere", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere'} does not exist")


def test_check_does_not_go_with_out(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--data", mine, "--check", "--out", mine.parent)
    assert end.value.code == 2
    assert "--check does not go with --out" in capsys.readouterr().err


def test_a_drafted_description_is_explored_as_it_is(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--write-dataset", mine.parent / "frames") == 0
    (mine.parent / "drafted.yaml").write_text(capsys.readouterr().out)
    assert run("--data", mine.parent / "drafted.yaml", "--check", "--quiet") == 0
    assert capsys.readouterr().out == "0 faults in 0 of 10 images\n"


def test_a_draft_has_the_classes_of_a_shipped_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "aachen_000001_000019"
    for folder, end in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds"), ("gtFine", "gtFine_color")):
        path = tmp_path / folder / "train/aachen" / f"{name}_{end}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 7).save(path)
    assert run("--write-dataset", tmp_path) == 0
    (entry,) = yaml.safe_load(capsys.readouterr().out).values()
    assert (entry["classes"]["road"]["values"], entry["ignore"], entry["parts"]) == ([7], "rest", ["train", "val"])


def test_help_needs_no_torch_and_works_from_another_folder(tmp_path: Path) -> None:
    code = f"import sys, runpy; sys.argv = ['explore', '--help']; runpy.run_path({str(ROOT / 'sweeps/explore.py')!r})"
    check = "from sweeps import explore; explore.build_parser().format_help(); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {check}"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.strip() == "False"
