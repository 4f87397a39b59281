"""experiments.yaml: what concerns one space is that one's fault, with its line; what concerns all is refused."""

from pathlib import Path

import pytest

from sweeps.errors import ExperimentError
from sweeps.planning.experiments_file import ExperimentsFile, read_book

TEXT = """\
profiles:
  full: {data: bdd100k}
  torn: {data: kitti}
spaces:
  good:
    grid: {optim.lr: [1.0e-4, 1.0e-3]}
  misspelt:
    question: Why?
    setings: {optim.lr: 1.0e-4}
  ../../evil: {question: Where to}
  123: {question: How many}
  yes: {question: Really}
  torn:
    settings: {optim: {lr: 1.0e-4}, optim.lr: 1.0e-3}
  twice: {question: First}
  twice: {question: Second}
  when: {settings: {optim.lr: 2026-99-99}}
"""


def book_of(folder: Path, text: str = TEXT) -> ExperimentsFile:
    (folder / "book.yaml").write_text(text)
    return read_book(folder / "book.yaml")


def problems(book: ExperimentsFile) -> list[str]:
    sections = (*book.profiles.values(), *book.spaces.values())
    return [section.problem for section in sections if section.problem]


def test_a_good_space_is_usable_beside_bad_ones(tmp_path: Path) -> None:
    book = book_of(tmp_path)
    assert book.space("good") == {"grid": {"optim.lr": [1e-4, 1e-3]}}
    assert book.profile("full") == {"data": "bdd100k"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("misspelt", "book.yaml:9: spaces.misspelt has the unknown key 'setings'"),
        ("../../evil", "book.yaml:10: spaces: the name '../../evil' must be 1 to 60 letters, digits and _ - ."),
        ("123", 'book.yaml:11: spaces: 123 is not a text in YAML: write it in quotes, "123"'),
        ("torn", "book.yaml:14: spaces.torn.settings.optim.lr is given more than once"),
        ("twice", "book.yaml:15: spaces.twice is given more than once"),
        ("when", "book.yaml:17: month must be in 1..12"),
    ],
)
def test_a_bad_space_is_refused_with_its_line(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        book_of(tmp_path).space(name)
    assert str(caught.value).startswith(expected)


def test_a_bad_profile_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^book\.yaml:3: profiles\.torn\.data is 'kitti', but must be one of"):
        book_of(tmp_path).profile("torn")


def test_every_problem_is_reported(tmp_path: Path) -> None:
    lines = [problem.split(":")[1] for problem in problems(book_of(tmp_path))]
    assert lines == ["3", "9", "10", "11", "12", "14", "15", "17"]


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "..", ".hidden", "-x", "--list", "a" * 61, "straße", "a\nb", "''", "a:b", "%41", "a?b"]
)
def test_a_name_that_would_be_a_path_an_option_or_too_long_is_refused(tmp_path: Path, name: str) -> None:
    name = name.strip("'")
    book = book_of(tmp_path, f'spaces: {{"{name}": {{question: Why}}}}'.replace("\n", "\\n"))
    with pytest.raises(ExperimentError, match="letters, digits and _ - "):
        book.space(name)


@pytest.mark.parametrize("name", ["a", "grid_lr_loss", "2x2", "a.b-c_d", "_x", "a" * 60])
def test_a_name_of_letters_digits_and_few_signs_is_taken(tmp_path: Path, name: str) -> None:
    assert book_of(tmp_path, f'spaces: {{"{name}": {{question: Why}}}}').space(name) == {"question": "Why"}


def test_a_space_named_like_a_key_of_another_is_not_given_twice(tmp_path: Path) -> None:
    text = 'spaces: {a: {grid: {optim.lr: [1.0]}}, a.grid: {question: Why}, "a.grid.optim": {question: Why}}'
    assert problems(book_of(tmp_path, text)) == []


def test_anchors_and_merged_keys_are_not_given_twice(tmp_path: Path) -> None:
    text = "spaces: {a: {settings: &s {optim.lr: 1.0}}, b: {settings: {<<: *s, optim.lr: 2.0}}, c: {settings: *s}}"
    book = book_of(tmp_path, text)
    assert [book.space(name)["settings"] for name in "abc"] == [{"optim.lr": 1.0}, {"optim.lr": 2.0}, {"optim.lr": 1.0}]


def test_a_space_that_contains_itself_is_refused_alone(tmp_path: Path) -> None:
    book = book_of(tmp_path, "spaces: {a: {settings: &s {optim: *s}}, b: {question: Why}}")
    assert book.space("b") == {"question": "Why"}
    with pytest.raises(ExperimentError, match=r"book\.yaml:1: found unconstructable recursive node"):
        book.space("a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spaces: {a: {}}\nspaces: {b: {}}", "book.yaml:1: spaces is given more than once"),
        ("defaults: {metric: a, metric: b}", "book.yaml:1: defaults.metric is given more than once"),
        (f"spaces: {'[' * 3000}", "is not YAML: it is nested too deeply"),
    ],
)
def test_what_concerns_every_space_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        book_of(tmp_path, text)
    assert expected in str(caught.value)


def test_a_book_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"nothing\.yaml cannot be read: No such file"):
        read_book(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "book.yaml is None, but must be a mapping"),
        ("spaces: [", "is not YAML: while parsing"),
        ("space: {}", "book.yaml has the unknown key 'space'; known: defaults, profiles, spaces"),
        ("spaces: [smoke]", r"book.yaml:1: spaces is \['smoke'\], but must be a mapping"),
    ],
)
def test_a_book_that_is_malformed_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "book.yaml").write_text(text)
    with pytest.raises(ExperimentError, match=expected) as caught:
        read_book(tmp_path / "book.yaml")
    assert "\n" not in str(caught.value)


def test_a_book_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ExperimentError, match=r"book\.yaml"):
        read_book(tmp_path / "book.yaml")


def test_a_space_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"book\.yaml:1: spaces\.smoke is 'quick', but must be a mapping"):
        book_of(tmp_path, "spaces: {smoke: quick}").space("smoke")
