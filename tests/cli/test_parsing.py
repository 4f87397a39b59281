"""Values of command-line options."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

import report
import tune_main
from sweeps import explore, export, predict, suspects
from sweeps.cli import parsing

SHARED = "give a folder; on a cluster, one that all nodes share"


@pytest.mark.parametrize(
    "uri", ["s3://bucket/x", "gs://b", "HDFS://b/x", " s3://b", "file:///", "file://host/x", "s3://["]
)
def test_a_uri_is_no_folder(uri: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        parsing.folder(uri)
    assert str(caught.value) == f"must be a path, but is the URI {uri!r}: {SHARED}"


@pytest.mark.parametrize("uri", ["file:///tmp/a%20b", "file:/tmp/a b", "FILE://localhost/tmp/a%20b"])
def test_a_local_file_uri_is_refused_with_its_path(uri: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r": give /tmp/a b$"):
        parsing.folder(uri)


def test_the_password_of_a_uri_is_not_printed() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"'s3://\*\*\*@bucket'"):
        parsing.folder("s3://key:secret@bucket")


@pytest.mark.parametrize("text", ["/a:/b", "a/s3://b", "c:", "x:/y", "run:2"])
def test_a_path_with_a_colon_is_a_path(text: str) -> None:
    assert parsing.folder(text) == Path.cwd() / text


def test_a_storage_on_an_object_store_is_refused_with_the_option_for_its_checkpoints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        tune_main.main(["--space", "smoke", "--storage", "s3://bucket/x"])
    cure = "give a folder for the records, and --checkpoints s3://bucket/x for the checkpoints"
    assert f"argument --storage: must be a path, but is the URI 's3://bucket/x': {cure}; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("s3://key:secret@bucket/x", "but has credentials in it: put them into the environment, as AWS_ACCESS_KEY_ID"),
        ("file:///x", "but is 'file:///x'; known kinds: s3, gs, abfs, abfss, hdfs"),
        ("/x", "but is '/x'; known kinds: s3"),
        ("s3:///x", "but is 's3:///x'"),
        ("s3://bucket//x", "but is 's3://bucket//x'"),
    ],
)
def test_what_is_no_address_of_an_object_store_is_refused(uri: str, why: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        parsing.object_store(uri)
    assert str(caught.value).startswith(f"must be an address such as s3://bucket/path, {why}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (tune_main.main, ["--space", "smoke", "--data"]),
        (report.main, ["--out"]),
        (report.main, ["--register", "--data"]),
        (explore.main, ["--data"]),
        (explore.main, ["--out"]),
        (explore.main, ["--write-dataset"]),
        (export.main, ["model", "--out"]),
        (predict.main, ["model", "image", "--out"]),
        (suspects.main, ["sweep", "--out"]),
        (suspects.main, ["sweep", "--data"]),
        (suspects.main, ["sweep", "--write-skip"]),
    ],
)
def test_every_folder_option_refuses_a_uri_and_makes_nothing(
    main: Callable[[list[str]], int],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([*words, "s3://bucket/x"])
    said = capsys.readouterr().err
    assert said.startswith(f"error: argument {words[-1]}: must be a path, but is the URI 's3://bucket/x': {SHARED}; ")
    assert (end.value.code, said.count("\n"), list(tmp_path.iterdir())) == (2, 1, [])
