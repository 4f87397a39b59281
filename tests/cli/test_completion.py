"""--print-completion: real shells complete options, spaces and sweeps with what is printed."""

import shutil
import subprocess
from pathlib import Path

import pytest

import report
import tune_main
from sweeps.cli.completion import render_completion

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/') "$1" "${@: -1}" "${@: -2:1}"
echo "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recorded sweep, and the scripts of two commands."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "runs" / "smoke-20261130-015705-9cac").mkdir(parents=True)
    for command in (tune_main, report):
        for shell in ("bash", "zsh"):
            file = folder / f"{command.__name__}.{shell}"
            file.write_text(render_completion(command.build_parser(), shell))
    return folder


def complete(folder: Path, script: str, *words: str) -> list[str]:
    command = ["bash", "-c", ASK, "bash", str(folder / script), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_an_option(folder: Path) -> None:
    assert "--scheduler" in complete(folder, "tune_main.bash", "bddseg-tune", "--sched")


def test_bash_completes_a_shipped_space(folder: Path) -> None:
    assert complete(folder, "tune_main.bash", "bddseg-tune", "--space", "grid_lr") == ["grid_lr_loss"]


def test_a_file_of_spaces_in_the_folder_comes_first(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "experiments.yaml").write_text("profiles:\n  quick: {}\nspaces:\n  grid_mine:\n    question: a\n")
    shutil.copy(folder / "tune_main.bash", tmp_path)
    assert complete(tmp_path, "tune_main.bash", "bddseg-tune", "--space", "grid") == ["grid_mine"]


def test_bash_completes_a_recorded_sweep(folder: Path) -> None:
    assert complete(folder, "tune_main.bash", "bddseg-tune", "--resume", "sm") == ["smoke-20261130-015705-9cac"]
    assert complete(folder, "report.bash", "bddseg-report", "sm") == ["smoke-20261130-015705-9cac"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh is installed")
def test_zsh_reads_its_script(folder: Path) -> None:
    for script in folder.glob("*.zsh"):
        assert subprocess.run(["zsh", "-n", str(script)], check=False).returncode == 0


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        tune_main.main(["--print-completion", "fish"])
    assert end.value.code == 2
    assert "invalid choice: 'fish'" in capsys.readouterr().err
