"""The page "Your own data in ten minutes": every command on it, run in order in a project's folder as a user does."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pages import Page
from PIL import Image
from wharf import HEIGHT, WIDTH, write_wharf

from sweeps.paths import ROOT

PAGE = (ROOT / "docs" / "own_data.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
(EDITED,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PROJECT = ("bddseg", "sweeps", "tune_main.py", "report.py", "experiments.yaml", "datasets.yaml")
TIMEOUT_S = 300


@dataclass(frozen=True)
class Answer:
    """What a command of the page came to."""

    command: str
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project, whose runs and reports are its own, with images and masks beside it."""
    folder = tmp_path_factory.mktemp("own")
    for name in PROJECT:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, folder / name)
    write_wharf(folder / "wharf")
    return folder


@pytest.fixture(scope="module")
def answers(project: Path) -> list[Answer]:
    """Return what every command of the page came to; the drafted description is explored before it is edited."""
    answers: list[Answer] = []
    for command in COMMANDS:
        sweep = next((path.name for path in project.glob("runs/smoke-*")), "SWEEP")
        answers.append(run(project, command.replace("SWEEP", sweep)))
        if "--write-dataset" in command:
            answers.append(run(project, "python -m sweeps.explore --data wharf.yaml --check"))
            (project / "wharf.yaml").write_text(EDITED)
    return answers


def run(project: Path, command: str) -> Answer:
    """Run a command line in the project's folder."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    variables = {**os.environ, "PATH": path, "BDDSEG_CACHE": str(project / "cache"), "PYTHONPATH": ""}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Answer(command, done.returncode, done.stdout, done.stderr)


def last(answers: list[Answer], words: str) -> Answer:
    """Return the last command with these words."""
    return next(answer for answer in reversed(answers) if words in answer.command)


def test_every_command_of_the_page_succeeds(answers: list[Answer]) -> None:
    assert len(COMMANDS) > 9
    assert [answer for answer in answers if answer.code] == []


def test_the_drafted_description_is_used_as_it_is(answers: list[Answer]) -> None:
    drafted = next(position for position, answer in enumerate(answers) if "--write-dataset" in answer.command)
    assert answers[drafted + 1].stdout == "0 faults in 0 of 48 images\n"


def test_the_edited_description_decides_classes_and_groups(answers: list[Answer], project: Path) -> None:
    page = (project / "explored/index.html").read_text()
    assert "class 4" in page and "cabin" not in page
    assert "sunny 16, rainy 16, foggy 16" in last(answers, "--check").stderr
    (report,) = project.glob("reports/smoke-*/report.md")
    assert "| boat |" in report.read_text() and "Foggy versus all others" in report.read_text()


@pytest.mark.usefixtures("answers")
def test_no_page_mentions_groups_of_other_data(project: Path) -> None:
    pages = [*project.glob("reports/*/index.html"), project / "explored/index.html"]
    assert len(pages) == 3
    assert [path for path in pages if re.search(r"\b(non-)?city\b", Page(path.read_text()).text)] == []


@pytest.mark.usefixtures("answers")
def test_the_trained_model_paints_an_image_at_its_size(project: Path) -> None:
    painted = {path.name: Image.open(path) for path in (project / "painted").iterdir()}
    assert sorted(painted) == ["cam03_0002.mask.png", "cam03_0002.overlay.jpg"]
    assert {image.size for image in painted.values()} == {(WIDTH, HEIGHT)}
    assert set(np.unique(np.asarray(painted["cam03_0002.mask.png"]))) <= {0, 1, 2}


def test_the_most_suspect_image_is_left_out_of_the_next_sweep(answers: list[Answer], project: Path) -> None:
    names = [line.partition(",")[0] for line in (project / "suspects.csv").read_text().splitlines()]
    assert names[0] == "name" and len(names) == 2
    assert "suspects.csv: 1 image" in last(answers, "--write-skip").stderr
    assert (project / "wharf/images" / f"{names[1]}.jpg").exists()
