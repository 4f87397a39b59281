"""What every command of the service does alike: misuse in one line, exit codes, no traceback unless asked for."""

import argparse
import atexit
import contextlib
import gc
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from bddseg.errors import UserError, nearest
from sweeps.surroundings import settle_surroundings

FINE, MISUSE, INTERRUPTED = 0, 2, 130

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's own is 700."""

UNKNOWN = re.compile(r"unrecognized arguments: (--[\w-]+)")
"""What argparse says of an option that there is not."""


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names alone, and says what is wrong in one line."""

    def __init__(self, **terms: Any) -> None:
        super().__init__(allow_abbrev=False, **terms)

    def error(self, message: str) -> NoReturn:
        unknown = UNKNOWN.match(message)
        hint = nearest(unknown[1], self._option_string_actions) if unknown else ""
        self.exit(MISUSE, f"error: {message}; {hint}--help shows all options\n")


def become(main: Callable[[], int]) -> NoReturn:
    """Let a command line be this process, from its first import to its exit code.

    Libraries load hundreds of thousands of objects that stay: looking for garbage among them each time some more have
    come costs a fifth of loading, and taking them apart at the end two seconds. Everything else is done as Python ends:
    threads are waited for, what was registered with `atexit` is called, what was printed is written.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    code = _settled() or main()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by whoever started us
        with contextlib.suppress(BrokenPipeError):  # whoever read it has seen enough
            stream.flush()
    os._exit(code)


def _settled() -> int:
    """Settle what the machine lacks, saying what was replaced; return the exit code, 0 where the command can run."""
    try:
        for sentence in settle_surroundings():
            print(f"note: {sentence}", file=sys.stderr)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return FINE


def finish(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command and return its exit code; `options` has `debug`."""
    if code := _settled():
        return code
    try:
        return run(options)
    except UserError as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
