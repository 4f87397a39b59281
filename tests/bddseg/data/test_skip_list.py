"""Lists of images that are left out: names and reasons."""

from pathlib import Path

import pytest

from bddseg.data.skip_list import read_skip_list
from bddseg.errors import AccessError, DataError


def read(folder: Path, content: str) -> dict[str, str]:
    (folder / "skip.csv").write_text(content)
    return read_skip_list(folder / "skip.csv")


def test_a_table_gives_names_and_reasons(tmp_path: Path) -> None:
    assert read(tmp_path, 'name,score,reason\na,0.9,no road\nb,0.8,"sky, below"\n') == {
        "a": "no road",
        "b": "sky, below",
    }


def test_a_table_of_faults_gives_them_as_reasons(tmp_path: Path) -> None:
    assert read(tmp_path, "name,fault\na,no_road\n") == {"a": "no_road"}


def test_a_plain_list_has_no_reasons(tmp_path: Path) -> None:
    assert read(tmp_path, "# by hand\na\n\nb, c\n-d\n") == {"a": "", "b, c": "", "-d": ""}


def test_a_table_with_names_alone_has_no_reasons(tmp_path: Path) -> None:
    assert read(tmp_path, "name\na\n") == {"a": ""}


def test_the_reasons_of_one_name_are_joined(tmp_path: Path) -> None:
    assert read(tmp_path, "name,reason\na,no road\na,dark\na,dark\n") == {"a": "no road; dark"}


@pytest.mark.parametrize("name", ["=a", "-a", "+a", "@a"])
def test_the_quote_before_a_formula_is_no_part_of_the_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, f"name,reason\n'{name},dark\n") == {name: "dark"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "names no image"),
        ("name,reason\n", "names no image"),
        ("name,reason\na\n", "line 2 of FILE must have 2 cells"),
        ("name,reason\na,b,c\n", "line 2 of FILE must have 2 cells"),
        ("name,reason\n,dark\n", "line 2 of FILE has no name"),
        ('name,reason\n"a,dark\n', "FILE is not CSV"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert fault in str(caught.value).replace(str(tmp_path / "skip.csv"), "FILE")
    assert str(caught.value).startswith("data.skip: ")


def test_a_list_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.skip: .*/none.csv does not exist"):
        read_skip_list(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"a\xdf\n")
    with pytest.raises(DataError, match=r"b.csv is not UTF-8: no text at byte 1"):
        read_skip_list(tmp_path / "b.csv")
    with pytest.raises(AccessError, match="cannot be read: it is a folder, but must be a file"):
        read_skip_list(tmp_path)
