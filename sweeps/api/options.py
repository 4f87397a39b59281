"""Options of Python calls -> words of a command line; what a command prepares before it reads them."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.environment import prepare_environment
from sweeps.notes import notes, show_notes


def start(*, is_quiet: bool) -> None:
    """Prepare the environment as a command does, and show notes on stderr."""
    show_notes(is_quiet=is_quiet)
    for sentence in prepare_environment():
        notes.info(sentence)


def option_words(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of a command line: `max_concurrent=2` as `--max-concurrent 2`, `fresh=True` as `--fresh`."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif value is not None and value is not False:
            text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
            yield from [f"{flag}={text}"] if text.startswith("-") else [flag, text]
