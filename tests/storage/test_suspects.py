"""The record of suspect labels: written and read, by anyone."""

import json
from typing import Any

import pytest

from sweeps.storage.suspects import RecordedSuspect, RecordedSuspects, read_suspects


def make_suspects(images: int = 40) -> RecordedSuspects:
    suspects = tuple(RecordedSuspect(f"image{n}", (images - n) / 100, "road is missing") for n in range(images))
    return RecordedSuspects("made-1", "f" * 16, "out of fold", images, images, ("a", "b"), suspects)


def test_what_is_written_is_read() -> None:
    suspects = make_suspects()
    assert read_suspects(json.loads(json.dumps(suspects.to_dict()))) == suspects


def test_the_most_suspect_are_a_share_of_the_images_rounded_up() -> None:
    assert [suspect.name for suspect in make_suspects(41).most_suspect()] == ["image0", "image1", "image2"]


def test_an_image_without_a_fault_is_never_most_suspect() -> None:
    suspects = RecordedSuspects(
        "s", "f", "validation", 2, 2, (), (RecordedSuspect("a", 0.1, "x"), RecordedSuspect("b", 0, ""))
    )
    assert [suspect.name for suspect in suspects.most_suspect(1.0)] == ["a"]


@pytest.mark.parametrize("record", [None, {}, {"version": 2}, {"version": 1, "suspects": 3, "models": []}])
def test_a_record_of_another_form_counts_as_none(record: dict[str, Any] | None) -> None:
    assert read_suspects(record) is None


def test_entries_of_another_form_are_left_out() -> None:
    record = {
        **make_suspects(1).to_dict(),
        "models": [],
        "suspects": [3, {"name": "a"}, {"name": "b", "score": 0.5, "reason": "r"}],
    }
    read = read_suspects(record)
    assert read is not None and [suspect.name for suspect in read.suspects] == ["b"]
