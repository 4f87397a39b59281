"""On a terminal: no colours where NO_COLOR is set, no escape sequences at all where TERM is dumb."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8;[\d;]+)m")
BOARD = """
import sys
sys.path.insert(0, "tests/helpers")
from trial_events import end, epoch, make_board, start
from sweeps.cli.tables import print_table
from sweeps.execution.progress import LiveView
with LiveView(make_board()) as view:
    for event in (start("a"), epoch("a", 1), end("a")):
        view.apply(event)
print_table(("space", "question"), [("smoke", "does it run?")])
"""


def on_terminal(command: list[str], **variables: str) -> str:
    """Return what a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | variables
    ) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the last writer has closed the terminal
            pass
    os.close(ours)
    assert process.returncode == 0, text
    return text.decode()


def test_no_color_leaves_no_colour() -> None:
    text = on_terminal(["-c", BOARD], NO_COLOR="1", TERM="xterm-256color")
    assert "does it run?" in text and "\x1b[" in text and not COLOUR.search(text)


def test_a_dumb_terminal_gets_no_escape_sequence() -> None:
    text = on_terminal(["-c", BOARD], TERM="dumb")
    assert "does it run?" in text and "\x1b" not in text


def test_colours_are_recognised_where_they_are_allowed() -> None:
    assert COLOUR.search(on_terminal(["-c", BOARD], TERM="xterm-256color"))
