"""What compiled code writes to the standard error stream, kept instead of shown."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

STDERR = 2


@contextlib.contextmanager
def kept_stderr() -> Iterator[list[str]]:
    """Yield a list that has, at the end of the context, the lines that were written to the descriptor meanwhile."""
    lines: list[str] = []
    sys.stderr.flush()
    shown = os.dup(STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), STDERR)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(shown, STDERR)
            os.close(shown)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
