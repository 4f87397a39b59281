"""What compiled code writes to stderr is kept, and later output is shown again."""

import os

import pytest

from sweeps.execution.native_stderr import kept_stderr


def test_lines_are_kept_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with kept_stderr() as lines:
        os.write(2, b"from below\n")
    os.write(2, b"afterwards\n")
    assert (lines, capfd.readouterr().err) == (["from below"], "afterwards\n")


def test_an_error_leaves_the_stream_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), kept_stderr():
        raise ValueError("x")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
