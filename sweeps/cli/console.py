"""What all commands share: misuse in one line, exit codes, no traceback unless asked for, streams that never fail."""

import argparse
import atexit
import errno
import gc
import io
import os
import re
import select
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from bddseg.errors import DataError, UserError, nearest, printable
from sweeps.environment import prepare_environment

MODEL_HELP = "@champion, NAME@ALIAS, NAME@SWEEP, models:/NAME/VERSION, the id of a run, or a file or folder"

INCOMPLETE = 1
"""Exit code where something was done, and something failed."""

FINE, UNUSABLE, MISUSE, INTERRUPTED = 0, 1, 2, 130

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's own is 700."""

UNKNOWN = re.compile(r"unrecognized arguments: (--[\w-]+)")
"""What argparse says of an option that there is not."""


@dataclass(frozen=True)
class Option:
    """What is known of an option besides what argparse knows."""

    name: str
    default: Any
    verbs: tuple[str, ...]
    """With which it has an effect; none for all."""


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names alone, says what is wrong in one line, refuses options without effect.

    `verbs` has the words of a command's verbs by name; the first is meant where no other is given. A verb is an option
    of the same name.
    """

    def __init__(self, *, verbs: Mapping[str, str] = MappingProxyType({"": "it"}), **terms: Any) -> None:
        super().__init__(allow_abbrev=False, **terms)
        self._verbs = verbs
        self._options: dict[str, Option] = {}

    def option(
        self, group: "argparse._ActionsContainer", *names: str, verbs: str = "", default: Any = None, **terms: Any
    ) -> None:
        """Add an option to a group, with the verbs that it has an effect with, in one text; none for all."""
        action = group.add_argument(*names, default=argparse.SUPPRESS, **terms)
        self._options[action.dest] = Option(names[-1], default, tuple(verbs.split()))

    def parse(self, words: Sequence[str] | None = None) -> argparse.Namespace:
        """Return the options of a command line, as `verb` what is to be done, as `words` what was typed.

        Misuse ends the program.
        """
        arguments = self.parse_args(words)
        arguments.words = list(sys.argv[1:] if words is None else words)
        usual, *others = self._verbs
        arguments.verb = next((verb for verb in others if verb in arguments), usual)
        self._check_verb(arguments)
        for dest, option in self._options.items():
            if dest not in arguments:
                setattr(arguments, dest, option.default)
        return arguments

    def _check_verb(self, arguments: argparse.Namespace) -> None:
        given = [option for dest, option in self._options.items() if dest in arguments and option.verbs]
        wrong = [option for option in given if arguments.verb not in option.verbs]
        if wrong:
            names = ", ".join(option.name for option in wrong)
            self.error(f"{self._verbs[arguments.verb]} does not go with {names}: {'; '.join(map(self._home, wrong))}")

    def _home(self, option: Option) -> str:
        """Return in words what an option goes with."""
        if option.name in self._verbs.values():
            return f"ask for {option.name} by itself"
        return f"{option.name} goes with {', '.join(self._verbs[verb] for verb in option.verbs)}"

    def error(self, message: str) -> NoReturn:
        unknown = UNKNOWN.match(message)
        hint = nearest(unknown[1], self._option_string_actions) if unknown else ""
        self.exit(MISUSE, f"error: {printable(message)}; {hint}--help shows all options\n")


def run_command(main: Callable[[], int]) -> NoReturn:
    """Let a command line be this process, from its first import to its exit code.

    Libraries load hundreds of thousands of objects that stay: looking for garbage among them each time some more have
    come costs a fifth of loading, and taking them apart at the end two seconds. Everything else is done as Python ends:
    threads are waited for, what was registered with `atexit` is called, what was printed is written.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    outlets = protect_streams()
    code = _settled() or _code_of(main)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if outlets and (failure := outlets[0].failure) and failure.errno != errno.EPIPE:
        print(f"error: stdout cannot be written: {failure.strerror}", file=sys.stderr, flush=True)
        code = code or UNUSABLE
    os._exit(code)


def _code_of(main: Callable[[], int]) -> int:
    """Run a command line to its end; return its exit code, also where argparse ends it, as --help does."""
    try:
        return main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or FINE
        print(end.code, file=sys.stderr)
        return UNUSABLE


class Outlet(io.RawIOBase):
    """Writes to a file descriptor; from its first failure on everything is dropped, so that no print ends a command.

    A reader may have seen enough, and a disk may be full, while a sweep still trains or a model is being registered.
    """

    def __init__(self, handle: int, name: str) -> None:
        self.name = name
        self._handle = handle
        self.failure: OSError | None = None
        """Why nothing is written any more."""

    def writable(self) -> bool:
        """Return whether it takes bytes: always."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._handle

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._handle)

    def write(self, content: Any, /) -> int:
        """Write, or drop what cannot be written; return how many bytes that were."""
        size = memoryview(content).nbytes
        while self.failure is None:
            try:
                return os.write(self._handle, content)
            except BlockingIOError:  # the terminal was made non-blocking by another program
                select.select([], [self._handle], [])
            except OSError as error:
                self.failure = error
        return size


def protect_streams() -> tuple[Outlet, ...]:
    r"""Replace stdout and stderr by streams that no text and no reader can make fail; return where they write to.

    Letters that the encoding does not have are written as `\xdf`. A stream that was closed by whoever started this
    process is replaced by one that drops everything.
    """
    outlets = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        setattr(sys, f"__{name}__", stream)  # so that it stays open
        stream.flush()
        outlets.append(Outlet(stream.fileno(), f"<{name}>"))
        settled = io.TextIOWrapper(
            io.BufferedWriter(outlets[-1]),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        settled.mode = "w"  # type: ignore[misc]
        setattr(sys, name, settled)
    return tuple(outlets)


def _settled() -> int:
    """Settle what the machine lacks, saying what was replaced; return the exit code, 0 where the command can run."""
    try:
        for sentence in prepare_environment():
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


def make_folder(out: Path) -> None:
    """Make the folder where there is none, and see that a file can be written there.

    Raises:
        DataError: when that is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {out} cannot be made: {error.strerror}; choose another folder") from error
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise DataError(f"--out {out} cannot be written: {error.strerror}; choose another folder") from error
