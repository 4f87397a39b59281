"""The command line: what it shows, and how it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

import tune_main

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = ["--space", "smoke", "--profile", "quick"]


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command line is refused."""
    try:
        code = tune_main.main(words)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error") or "Traceback" in line]
    assert code == 2 and len(lines) == 1
    return lines[0]


def test_help_needs_neither_torch_nor_ray_nor_mlflow() -> None:
    look = "print({'torch', 'ray', 'mlflow'} & set(sys.modules))"
    check = f"import sys, tune_main; tune_main.build_parser().format_help(); {look}"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_list_shows_every_space_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--list", "--profile", "quick"]) == 0
    text = capsys.readouterr().out
    assert "grid_lr_loss" in text and "Which learning rate and which loss?" in text


BOOK = """\
defaults: {settings: {train.epochs: 2}}
profiles:
  quick: {data: streets, settings: {data.size: 32}}
  odd: {data: kitti}
spaces:
  good: {question: Good, grid: {optim.lr: [1.0e-4, 1.0e-3]}}
  misspelt: {question: Bad, setings: {}}
  wrong:
    settings: {optim.rate: 1}
  huge: {question: Huge, grid: {train.seed: SEEDS, optim.lr: RATES}}
  ../../evil: {question: Evil}
""".replace("SEEDS", str(list(range(200)))).replace("RATES", f"[{', '.join(f'{n}.0e-5' for n in range(1, 201))}]")


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiments.yaml with mistakes in one profile and three spaces."""
    (tmp_path / "book.yaml").write_text(BOOK)
    monkeypatch.setenv("BDDSEG_EXPERIMENTS", str(tmp_path / "book.yaml"))


def test_the_list_shows_good_spaces_and_names_the_bad_ones_with_their_lines(
    book: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main(["--list", "--profile", "quick"]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["good", "2"], ["huge", "40,000"]]
    assert "spaces and profiles are those of" in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [line.split(" ")[1] for line in errors] == [f"book.yaml:{line}:" for line in (4, 7, 9, 11)]


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--space", "good", "--profile", "quick"], 0, "2 trials, 2 epochs each"),
        (
            ["--space", "misspelt", "--profile", "quick"],
            2,
            "book.yaml:7: spaces.misspelt has the unknown key 'setings'",
        ),
        (["--space", "../../evil", "--profile", "quick"], 2, "book.yaml:11: spaces: the name '../../evil' must be"),
        (["--space", "good", "--profile", "odd"], 2, "book.yaml:4: profiles.odd.data is 'kitti'"),
        (["--space", "huge", "--profile", "quick"], 2, "40,000 points (200 train.seed x 200 optim.lr)"),
        (["--space", "huge", "--profile", "quick", "--limit", "3"], 0, "2 epochs each; search space: 40,000 points"),
    ],
)
def test_a_bad_space_spoils_no_other(
    words: list[str], code: int, expected: str, book: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main([*words, "--dry-run", "--gpus-per-trial", "0"]) == code
    said = capsys.readouterr()
    assert expected in (said.err if code else said.out)


@pytest.mark.parametrize("question", ["[1]", "5", "true", "{a: b}"])
def test_a_question_that_is_no_text_is_refused(
    question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(f"profiles:\n  quick: {{data: streets}}\nspaces:\n  odd:\n    question: {question}\n")
    monkeypatch.setenv("BDDSEG_EXPERIMENTS", str(path))
    assert tune_main.main(["--space", "odd", "--profile", "quick", "--dry-run"]) == 2
    assert "book.yaml:5: spaces.odd.question is " in capsys.readouterr().err


@pytest.fixture
def without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BDD100K_ROOT", raising=False)


def test_a_dry_run_without_data_prints_the_trials_and_the_rungs(
    without_data: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main(["--space", "grid_lr_loss", "--profile", "full", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.count("vanilla-f128") == 8 and "rungs: 5, 15, 45" in out and "estimate" not in out
    assert "looked for at --data" in err and "needs the data" in err


def test_a_dry_run_refuses_an_unknown_dataset_of_a_file_by_that_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("wharf: {root: frames}\n")
    assert tune_main.main([*QUICK, "--dry-run", "--data", str(tmp_path / "mine.yaml"), "--dataset", "whaft"]) == 2
    assert capsys.readouterr().err == ("error: dataset 'whaft' is not in mine.yaml; did you mean wharf? known: wharf\n")


def test_a_dry_run_on_a_folder_that_is_not_there_prints_the_error_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main([*QUICK, "--dry-run", "--data", str(tmp_path / "gone")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and "does not exist" in err


def test_the_first_line_says_the_profile_and_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune_main.main([*QUICK, "--dry-run", "--data", str(tmp_path)])
    assert capsys.readouterr().err.splitlines()[0] == f"smoke: profile quick on {tmp_path}"


def test_a_plan_that_needs_more_memory_than_there_is_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    huge = ["--set", "data.size=4096", "--set", "train.batch_size=4096", "--gpus-per-trial", "0"]
    assert "lower train.batch_size" in refusal([*QUICK, *huge], capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--space", "smok", "--profile", "quick"], "known: smoke, baseline"),
        (["--space", "smoke", "--profile", "quik"], "known: full, quick"),
        ([*QUICK, "--set", "optim.rate=1"], "optim.rate is not a setting"),
        ([*QUICK, "--set", "optim.lr=fast"], "'fast', but must be a number"),
        ([*QUICK, "--set", "train.epochs=0"], "0, but must be > 0"),
        ([*QUICK, "--set", "data.size=0"], "0, but must be > 0"),
        ([*QUICK, "--set", "data.size=big"], "'big', but must be a whole number"),
        ([*QUICK, "--set", "optim.lr=[]"], "list of at least one value"),
        ([*QUICK, "--limit", "0"], "must be a whole number >= 1"),
        ([*QUICK, "--limit", "x"], "must be a whole number >= 1, got x"),
        ([*QUICK, "--gpus-per-trial", "inf"], "from 0 to 1"),
        ([*QUICK, "--cpus-per-trial", "999"], "this process may use"),
        (["--profile", "quick"], "no space is given"),
        (["--space", "grid_lr_los", "--profile", "quick"], "did you mean grid_lr_loss?"),
        (["--space", "smoke", "--profile", "quik"], "did you mean quick?"),
        ([*QUICK, "--set", "lr=1"], "did you mean optim.lr?"),
        ([*QUICK, "--set", "optim.lr={low:1,high:0}"], "'low:1' needs a blank after the colon"),
        (["--resum"], "did you mean --resume?"),
        (["--sp", "smoke"], "unrecognized arguments: --sp"),
        ([*QUICK, "--scheduler", "fifo"], "invalid choice"),
        ([*QUICK, "--data", "/nowhere/bdd"], "/nowhere/bdd"),
        ([*QUICK, "--gpus-per-trial", "1.5"], "whole number"),
    ],
)
def test_misuse_is_refused_in_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refusal(words, capsys)


def test_a_storage_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").touch()
    assert "cannot be written" in refusal([*QUICK, "--storage", str(tmp_path / "runs")], capsys)


def test_the_full_profile_without_data_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BDD100K_ROOT", raising=False)
    line = refusal(["--space", "smoke", "--profile", "full"], capsys)
    assert all(place in line for place in ("--data", "BDD100K_ROOT", "data/bdd100k"))


def test_an_unknown_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no sweep" in refusal(["--status", "nothing", "--storage", str(tmp_path)], capsys)
