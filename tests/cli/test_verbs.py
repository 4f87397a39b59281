"""Which option goes with which verb, and what is typed where a path or a name is meant."""

from pathlib import Path

import pytest

import tune_main
from sweeps.cli.prepare import absolute_words

VALUES = {"--set": ["optim.lr=1"], "--scheduler": ["none"], "--search": ["random"], "--on-bad-sample": ["skip"],
          "--keep-weights": ["all"], "--fresh": [], "--dashboard": [], "--offline": [], "--dry-run": []}  # fmt: skip
"""What is typed behind an option; 2 behind all others."""

TRAINED = {"--space", "--profile", "--set", "--limit", "--scheduler", "--search", "--samples", "--seed", "--fresh",
           "--on-bad-sample"}  # fmt: skip
RUN = {"--max-concurrent", "--cpus-per-trial", "--gpus-per-trial", "--address", "--dashboard", "--offline",
       "--keep-weights", "--checkpoint-every", "--dry-run"}  # fmt: skip
FOLDS, PLACES = {"--top", "--runs"}, {"--storage", "--tracking-uri"}
EVERY = TRAINED | RUN | FOLDS | PLACES | {"--data"}
TAKEN = {
    "--confirm": RUN | FOLDS | PLACES | {"--data", "--fresh"},
    "--resume": RUN | PLACES | {"--data"},
    "--cancel": {"--storage"},
    "--status": PLACES,
    "--sync": PLACES,
    "--list": {"--data", "--profile"},
}
"""Verb -> the options that have an effect with it."""

NAMES = {"--confirm": ["a-1"], "--cancel": ["a-1", "b"], "--list": []}


def typed(option: str) -> list[str]:
    value = ["sqlite:///2"] if option == "--tracking-uri" else VALUES.get(option, ["2"])
    return [option, *value]


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        tune_main.build_parser().parse(words)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize(("verb", "option"), [(verb, option) for verb in TAKEN for option in sorted(EVERY)])
def test_an_option_without_effect_is_refused_by_name(
    verb: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [verb, *NAMES.get(verb, ["a-1"]), *typed(option)]
    if option in TAKEN[verb]:
        assert tune_main.build_parser().parse(words).verb == verb.removeprefix("--")
    else:
        said = refusal(words, capsys)
        assert f"{verb} does not go with {option}: " in said


@pytest.mark.parametrize("option", sorted(EVERY - FOLDS))
def test_a_run_takes_every_option_but_those_of_confirmations(option: str) -> None:
    assert tune_main.build_parser().parse(["--space", "smoke", *typed(option)]).verb == "space"


def test_a_refused_option_says_what_it_goes_with(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(["--resume", "--set", "optim.lr=1", "--top", "3"], capsys)
    assert "--resume does not go with --set, --top: --set goes with --space; --top goes with --confirm" in said


def test_two_verbs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--sync does not go with --list: give --list by itself" in refusal(["--sync", "--list"], capsys)


@pytest.mark.parametrize("verb", ["--resume", "--status", "--sync"])
@pytest.mark.parametrize("name", ["", " ", "..", ".", "../../x", "/etc/passwd", "a/b", "a\0b"])
def test_a_sweep_is_named_by_its_id_alone(verb: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"argument {verb}: must be the id of a sweep, but is " in refusal([verb, name], capsys)


def test_a_folder_that_was_typed_for_a_sweep_is_answered_with_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a path: perhaps smoke-1;" in refusal(["--resume", "runs/smoke-1/"], capsys)


@pytest.mark.parametrize(
    "words",
    [["--data", ""], ["--storage", " "], ["--storage", "a\0b"], ["--tracking-uri", ""], ["--address", ""],
     ["--seed", "9" * 30], ["--seed", "٣"], ["--limit", "9" * 5000]],
)  # fmt: skip
def test_what_is_empty_or_too_long_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert f"argument {words[0]}: must " in refusal(["--space", "smoke", *words], capsys)


def test_without_a_name_the_latest_is_meant() -> None:
    assert tune_main.build_parser().parse(["--resume"]).resume is None


def test_what_is_typed_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--space", "smoke", "--data", "d", "--storage=s", "--tracking-uri", "sqlite:///m.db"]
    arguments = tune_main.build_parser().parse(words)
    assert (arguments.data, arguments.storage) == (tmp_path / "d", tmp_path / "s")
    assert arguments.tracking_uri == f"sqlite:///{tmp_path}/m.db"


def test_the_recorded_command_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", "d", "--set", "data.size=32", "--storage=s", "--space", "smoke"]
    found = absolute_words(tune_main.build_parser().parse(words))
    assert found == ["--data", f"{tmp_path}/d", "--set", "data.size=32", f"--storage={tmp_path}/s", "--space", "smoke"]


def test_a_path_that_is_relative_to_a_folder_that_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for option, text in (("--data", "d"), ("--tracking-uri", "sqlite:///m.db")):
        said = refusal(["--space", "smoke", option, text], capsys)
        assert f"{text!r} is relative to a working directory that is gone" in said
