"""The frame of every command: parser, exit codes, errors in one line, streams that cannot fail."""

import argparse
import atexit
import errno
import gc
import io
import os
import re
import select
import signal
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
from sweeps.execution.signals import ignore_further
from sweeps.version import describe_version

MODEL_HELP = "@champion, NAME@ALIAS, NAME@SWEEP, models:/NAME/VERSION, the id of a run, or a file or folder"

INCOMPLETE = 1
"""Exit code when a part of the work was done and a part failed."""

FINE, UNUSABLE, MISUSE = 0, 1, 2

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's own is 700."""

UNKNOWN = re.compile(r"unrecognized arguments: (--[\w-]+)")
"""Argparse's message about an unknown option."""


@dataclass(frozen=True)
class Option:
    """An option's default and the verbs it goes with, which argparse does not know."""

    name: str
    default: Any
    verbs: tuple[str, ...]
    """Verbs for which it has an effect; empty for all."""


class PrintVersion(argparse.Action):
    """Prints the command and its version on stdout, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(parser.prog, describe_version())
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Accepts options by their whole names only, reports misuse in one line, refuses options without effect.

    Args:
        verbs: verb -> how messages call it; the first one is the default. A verb is given as an option of its name.
        terms: arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *, verbs: Mapping[str, str] = MappingProxyType({"": "it"}), **terms: Any) -> None:
        super().__init__(allow_abbrev=False, **terms)
        self._verbs = verbs
        self._options: dict[str, Option] = {}
        self._is_raising = False
        self.add_argument("--version", action=PrintVersion, nargs=0, default=argparse.SUPPRESS,
                          help="print the version and exit")  # fmt: skip

    def option(
        self, group: "argparse._ActionsContainer", *names: str, verbs: str = "", default: Any = None, **terms: Any
    ) -> None:
        """Add an option to a group.

        Args:
            group: the parser, or one of its groups.
            names: of the option; the last one is used in messages.
            verbs: those for which it has an effect, separated by blanks; empty for all.
            default: its value where it is not given.
            terms: other arguments of argparse's `add_argument`.
        """
        action = group.add_argument(*names, default=argparse.SUPPRESS, **terms)
        self._options[action.dest] = Option(names[-1], default, tuple(verbs.split()))

    def parse(self, words: Sequence[str] | None = None, *, is_raising: bool = False) -> argparse.Namespace:
        """Return the options of a command line; `verb` is the action, `words` the command line itself.

        Misuse ends the program, or raises a `UserError` where that is wanted.
        """
        self._is_raising = is_raising
        arguments = self.parse_args(words)
        arguments.words = list(sys.argv[1:] if words is None else words)
        default_verb, *further_verbs = self._verbs
        arguments.verb = next((verb for verb in further_verbs if verb in arguments), default_verb)
        self._check_verb(arguments)
        for dest, option in self._options.items():
            if dest not in arguments:
                setattr(arguments, dest, option.default)
        return arguments

    def _check_verb(self, arguments: argparse.Namespace) -> None:
        options = [option for dest, option in self._options.items() if dest in arguments and option.verbs]
        wrong = [option for option in options if arguments.verb not in option.verbs]
        if wrong:
            names = ", ".join(option.name for option in wrong)
            self.error(f"{self._verbs[arguments.verb]} does not go with {names}: {'; '.join(map(self._home, wrong))}")

    def _home(self, option: Option) -> str:
        """Return the verbs of an option as a clause of a message."""
        if option.name in self._verbs.values():
            return f"give {option.name} by itself"
        return f"{option.name} goes with {', '.join(self._verbs[verb] for verb in option.verbs)}"

    def error(self, message: str) -> NoReturn:
        unknown = UNKNOWN.match(message)
        hint = nearest(unknown[1], self._option_string_actions) if unknown else ""
        if self._is_raising:
            raise UserError(f"{printable(message)}; {hint}{self.prog} --help shows all options")
        self.exit(MISUSE, f"error: {printable(message)}; {hint}--help shows all options\n")


def run_command(main: Callable[[], int]) -> NoReturn:
    """Run a command line as this process and exit with its code.

    Libraries load hundreds of thousands of objects that live until the end: collecting garbage among them repeatedly
    takes a fifth of the loading time, and destroying them at exit takes two seconds. So the collector runs rarely, and
    the process ends with `os._exit` after the steps of a normal exit: threads are joined, `atexit` functions are
    called, streams are flushed. The two private functions are those that `Py_FinalizeEx` calls; if a Python lacks
    them, `sys.exit(code)` is correct, only slower.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    outlets = protect_streams()
    code = _prepare() or _code_of(main)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if outlets and (failure := outlets[0].failure) and failure.errno != errno.EPIPE:
        print(f"error: stdout cannot be written: {failure.strerror}", file=sys.stderr, flush=True)
        code = code or UNUSABLE
    os._exit(code)


def _code_of(main: Callable[[], int]) -> int:
    """Run a command line; return its exit code, also when argparse ends it, as for --help."""
    try:
        return main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or FINE
        print(end.code, file=sys.stderr)
        return UNUSABLE


class Outlet(io.RawIOBase):
    """Writes to a file descriptor and drops everything after its first failure, so that no print ends a command.

    The reader of a pipe may have closed it, or a disk may be full, while a sweep is training.
    """

    def __init__(self, handle: int, name: str) -> None:
        self.name = name
        self._handle = handle
        self.failure: OSError | None = None
        """The failure after which everything is dropped."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._handle

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._handle)

    def write(self, content: Any, /) -> int:
        """Write the bytes, or drop them after a failure; return their number."""
        size = memoryview(content).nbytes
        while self.failure is None:
            try:
                return os.write(self._handle, content)
            except BlockingIOError:  # another program made the terminal non-blocking
                select.select([], [self._handle], [])
            except OSError as error:
                self.failure = error
        return size


def protect_streams() -> tuple[Outlet, ...]:
    r"""Replace stdout and stderr by streams that never raise; return their outlets.

    Characters that the encoding lacks are written as `\xdf`. A stream that is closed already is replaced by one that
    drops everything.
    """
    outlets = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        setattr(sys, f"__{name}__", stream)  # so that it stays open
        stream.flush()
        outlets.append(Outlet(stream.fileno(), f"<{name}>"))
        wrapped = io.TextIOWrapper(
            io.BufferedWriter(outlets[-1]),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        wrapped.mode = "w"  # type: ignore[misc]
        setattr(sys, name, wrapped)
    return tuple(outlets)


def _prepare() -> int:
    """Prepare the environment and print what was replaced in it; return 0, or the exit code of a failure."""
    try:
        for sentence in prepare_environment():
            print(f"note: {sentence}", file=sys.stderr)
    except UserError as error:
        return print_error(error)
    return FINE


def execute(verb: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a function of a command and return the exit code: its own, a user error's, or 128 and a signal's number.

    Args:
        verb: takes the options and returns an exit code.
        options: have `debug`: print the traceback of a user error too.
    """
    try:
        return verb(options)
    except UserError as error:
        return print_error(error, with_traceback=options.debug)
    except KeyboardInterrupt as interrupt:
        ignore_further()
        print("interrupted", file=sys.stderr)
        if command := getattr(interrupt, "resume_command", ""):
            print(f"resume with: {command}", file=sys.stderr)
        return 128 + getattr(interrupt, "number", signal.SIGINT)


def print_error(error: UserError, sweep: str = "", *, with_traceback: bool = False) -> int:
    """Print an error in one line, with the sweep that it concerns; return its exit code."""
    if with_traceback:
        traceback.print_exception(error)
    print(f"error: {f'{sweep}: ' if sweep and sweep not in str(error) else ''}{error}", file=sys.stderr)
    return error.exit_code


def make_folder(out: Path) -> None:
    """Create the folder if it is missing, and check that a file can be written there.

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
