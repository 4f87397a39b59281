"""Events and their lines: what this version writes, and what it makes of lines that it does not write."""

import json
from pathlib import Path
from typing import Any

import pytest
from earlier import VERSIONS, unpack

from sweeps.storage.events import Artifact, End, Epoch, Event, Line, Start, Unreadable, decode, encode

SWEEP = Path("/runs/smoke-1")

LINES: list[tuple[Event, str]] = [
    (
        Start("a", "unet", {"optim.lr": 0.1}, {"sweep.id": "s"}, time_ms=5),
        '{"trial":"a","time_ms":5,"kind":"start","name":"unet","params":{"optim.lr":0.1},"tags":{"sweep.id":"s"}}',
    ),
    (Start("", time_ms=5), '{"trial":"","time_ms":5,"kind":"start","params":{},"tags":{}}'),
    (
        Epoch("a", 1, {"val/miou": None}, time_ms=5),
        '{"trial":"a","time_ms":5,"kind":"epoch","step":1,"metrics":{"val/miou":null}}',
    ),
    (
        Epoch("a", 1, {}, "plateau", time_ms=5),
        '{"trial":"a","time_ms":5,"kind":"epoch","step":1,"metrics":{},"ending":"plateau"}',
    ),
    (
        End("a", "KILLED", step=2, time_ms=5),
        '{"trial":"a","time_ms":5,"kind":"end","status":"KILLED","tags":{},"metrics":{},"step":2,"note":null}',
    ),
    (
        Artifact("a", SWEEP / "logs" / "a.log", time_ms=5),
        '{"trial":"a","time_ms":5,"kind":"artifact","path":"logs/a.log","folder":""}',
    ),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_an_event_is_one_line_and_comes_back_from_it(event: Event, line: str) -> None:
    assert json.dumps(encode(event, SWEEP), separators=(",", ":")) == line
    assert decode(json.loads(line), SWEEP) == event


def test_fields_of_a_newer_version_are_written_again() -> None:
    content = {"trial": "a", "time_ms": 5, "kind": "epoch", "step": 1, "metrics": {}, "energy_j": 3}
    event = decode(content, SWEEP)
    assert isinstance(event, Epoch) and event.newer == {"energy_j": 3}
    assert encode(event, SWEEP) == content


UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"kind": "lunch", "trial": "a"}, "kind is 'lunch', but must be one of start, epoch, end, artifact"),
    ({"kind": ["start"]}, "kind is ['start'], but must be one of start, epoch, end, artifact"),
    ({"kind": "artifact", "trial": "a", "time_ms": 1, "path": 3, "folder": ""}, "path is 3, but must be text"),
]


@pytest.mark.parametrize(("content", "why"), UNREADABLE)
def test_a_line_that_is_no_event_keeps_its_content_and_says_why(content: dict[str, Any], why: str) -> None:
    line: Line = decode(content, SWEEP)
    assert isinstance(line, Unreadable) and why in line.why
    assert encode(line, SWEEP) == content


@pytest.mark.parametrize("state", ["finished", "interrupted", "killed"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_line_of_an_earlier_version_is_an_event_and_is_written_alike(
    version: str, state: str, tmp_path: Path
) -> None:
    record = unpack(version, state, tmp_path)
    lines = [decode(content, record.folder) for content in record.events]
    assert not [line for line in lines if isinstance(line, Unreadable)]
    assert [encode(line, record.folder) for line in lines] == record.events
