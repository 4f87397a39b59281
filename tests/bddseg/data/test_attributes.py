"""The attributes file: CSV or JSON -> attributes by name; damage is named with its line."""

import json
import os
from pathlib import Path

import pytest

from bddseg.data.attributes import read_attributes
from bddseg.data.description import AttributesFile
from bddseg.data.matching import AttributeTable
from bddseg.errors import AccessError, DataError


def read(folder: Path, content: str | bytes, *, file: str = "a.csv", columns: tuple[str, ...] = ()) -> AttributeTable:
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_attributes(folder, AttributesFile(file, "name", columns))


def refusal(folder: Path, content: str | bytes, **options: str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, content, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "FOLDER")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_gives_every_column_but_the_name(tmp_path: Path, mark: str) -> None:
    table = read(tmp_path, f"name{mark}light{mark}rain\r\na.jpg{mark}day{mark}no\r\n\r\nb{mark}night{mark}\r\n")
    assert table.columns == ("light", "rain")
    assert table.values == {"a": {"light": "day", "rain": "no"}, "b": {"light": "night", "rain": "undefined"}}
    assert table.files == {"a": "a.csv", "b": "a.csv"}


def test_chosen_columns_alone_are_read(tmp_path: Path) -> None:
    table = read(tmp_path, "name,light,rain\na,day,no\n", columns=("rain",))
    assert table.values == {"a": {"rain": "no"}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, "name,ort\na,Straße\n".encode(encoding)).values == {"a": {"ort": "Straße"}}


@pytest.mark.parametrize("name", ["a b", "-a", "=a", "straße", 'a""b', "x,y"])
def test_names_may_be_anything_that_is_text(tmp_path: Path, name: str) -> None:
    assert list(read(tmp_path, f'name,light\n"{name}",day\n').values) == [name.replace('""', '"')]


@pytest.mark.parametrize(
    "document",
    [[{"name": "a.jpg", "light": "day", "night": False, "lanes": 2}],
     {"a.jpg": {"light": "day", "night": False, "lanes": 2}}],
)  # fmt: skip
def test_json_is_a_list_of_objects_or_an_object_by_name(tmp_path: Path, document: object) -> None:
    table = read(tmp_path, json.dumps(document), file="a.json")
    assert table.values == {"a": {"light": "day", "night": "false", "lanes": "2"}}


def test_a_missing_key_of_json_is_undefined(tmp_path: Path) -> None:
    entries = '[{"name": "a", "light": "day"}, {"name": "b", "light": null}, {"name": "c"}]'
    table = read(tmp_path, entries, file="a.json")
    assert [row["light"] for row in table.values.values()] == ["day", "undefined", "undefined"]


def test_a_list_as_value_is_undefined_and_named(tmp_path: Path) -> None:
    table = read(tmp_path, '[{"name": "a", "light": ["day"]}]', file="a.json")
    (remark,) = table.remarks
    assert remark.line() == f"counted as undefined, not text: 1: the light of a (entry 1 of {tmp_path}/a.json)"
    assert table.values == {"a": {"light": "undefined"}}


def test_two_rows_that_agree_are_one(tmp_path: Path) -> None:
    assert len(read(tmp_path, "name,light\na,day\na.jpg,day\n").values) == 1


def test_two_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "name,light\na,day\na.jpg,night\n") == (
        "a.jpg has two rows that contradict each other: the light is 'day' in line 2 of FOLDER/a.csv, but 'night' in "
        "line 3 of FOLDER/a.csv; remove one"
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "FOLDER/a.csv is empty, but must have the attributes of images"),
        ("name,light\n", "FOLDER/a.csv has no row, but must have the attributes of images"),
        ("nmae,light\na,day\n", "FOLDER/a.csv has no column 'name'; did you mean nmae? known: nmae, light"),
        ("name,light,light\na,day,day\n", "FOLDER/a.csv has the column 'light' twice; remove one"),
        ("name,light\na,day,dry\n", "line 2 of FOLDER/a.csv has 3 cells, but must have 2 like the header"),
        ("name,light\n,day\n", "line 2 of FOLDER/a.csv has no name, but must have the name of an image as text"),
        ('name,light\n"a,day\n', "FOLDER/a.csv is not CSV: unexpected end of data at line 2"),
        (b"name,light\n\xdfa,day\n", "FOLDER/a.csv is not UTF-8: no text at byte 11; save it as UTF-8"),
    ],
)
def test_a_damaged_table_is_refused_with_the_line(tmp_path: Path, content: str | bytes, fault: str) -> None:
    assert refusal(tmp_path, content) == fault


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[", "FOLDER/a.json is not JSON: Expecting value at line 1 column 2"),
        ("3", "FOLDER/a.json must be a list of objects, or an object with one for each image, but is a whole number"),
        ("[3]", "entry 1 of FOLDER/a.json is a whole number, but must be an object"),
        ('[{"name": 5, "light": "day"}]', "entry 1 of FOLDER/a.json has the name '5', but must have the name of"),
        ('[{"light": "day", "name": "a"}, {"light": "day"}]', "entry 2 of FOLDER/a.json has no name, but must have"),
        ('{"a": 5}', "a of FOLDER/a.json is a whole number, but must be an object"),
        ('{"a": {"light": "day"}, "a": {"light": "night"}}', "FOLDER/a.json is not JSON as it should be: 'a' is there"),
        ("[" * 100_000, "FOLDER/a.json is not JSON as it should be: maximum recursion depth"),
    ],
)
def test_damaged_json_is_refused_with_the_entry(tmp_path: Path, content: str, fault: str) -> None:
    assert refusal(tmp_path, content, file="a.json").startswith(fault)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.csv does not exist: the description names it as the attributes file"):
        read_attributes(tmp_path, AttributesFile("a.csv", "name", ()))


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(AccessError, match=r"a.csv cannot be read: it is a pipe, but must be a file"):
        read_attributes(tmp_path, AttributesFile("a.csv", "name", ()))


def test_a_column_without_a_title_is_no_attribute(tmp_path: Path) -> None:
    assert read(tmp_path, ",name,light\n0,a,day\n1,b,night\n").columns == ("light",)
