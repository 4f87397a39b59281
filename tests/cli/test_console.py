"""A command line as a process: what it prints and what it returns come through, however it ends."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tune_main
from bddseg.errors import printable
from sweeps.notes import notes, show_notes

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import atexit, sys
from sweeps.cli.console import run_command

atexit.register(print, "called at the end")

def main():
    print("printed", end=" ")
    {body}

run_command(main)
"""


QUIET = "from sweeps.cli.console import run_command; run_command(lambda: 7)"


def run(body: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_was_printed_and_the_exit_code_come_through() -> None:
    done = run("return 143")
    assert (done.returncode, done.stdout, done.stderr) == (143, "printed called at the end\n", "")


def test_an_exception_ends_as_under_python() -> None:
    done = run("raise ValueError('of its own making')")
    assert done.returncode == 1 and "ValueError: of its own making" in done.stderr


def test_misuse_ends_as_argparse_ends_it() -> None:
    assert run("raise SystemExit(2)").returncode == 2


def test_no_stdout_is_no_error() -> None:
    assert (
        subprocess.run(["sh", "-c", f"exec {sys.executable} -c '{QUIET}' >&- 2>&-"], cwd=ROOT, check=False).returncode
        == 7
    )


def test_a_reader_who_has_seen_enough_changes_no_exit_code() -> None:
    command, buffered = [sys.executable, "-c", PROGRAM.format(body="return 143")], {"PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | buffered
    )
    assert process.stdout
    process.stdout.close()
    assert process.stderr and (process.wait(), process.stderr.read()) == (143, b"")


def piped(body: str, reader: str, **environment: str) -> tuple[int, bytes, bytes]:
    """Return the exit code of a command line, what the shell's reader saw of it, and what it said on stderr."""
    program = PROGRAM.format(body=body)
    line = f"{{ {shlex.quote(sys.executable)} -c {shlex.quote(program)}; echo code $? >&2; }} {reader}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, capture_output=True, env=os.environ | environment, timeout=60, check=False
    )
    said, code = done.stderr.rsplit(b"code ", 1)
    return int(code), done.stdout, said


def test_letters_that_the_terminal_does_not_have_are_written_out() -> None:
    body = "print('stra\\xdfe \\u2713 \\udcff'); return 3"
    code, seen, said = piped(body, "| cat", PYTHONIOENCODING="latin-1")
    assert (code, said) == (3, b"") and b"printed stra\xdfe \\u2713 \\udcff\n" in seen


def test_what_is_done_after_the_reader_has_gone_is_still_done() -> None:
    code, _, said = piped("print('x' * 10**6, flush=True); print('registered', file=sys.stderr); return 0", "| true")
    assert (code, said) == (0, b"registered\n")


def test_results_that_a_full_disk_did_not_take_are_no_success() -> None:
    code, _, said = piped(
        "print('x' * 10**6, flush=True); print('registered', file=sys.stderr); return 0", ">/dev/full"
    )
    assert (code, said) == (1, b"registered\nerror: stdout cannot be written: No space left on device\n")


def test_help_that_a_full_disk_did_not_take_is_no_success() -> None:
    command = f"{sys.executable} tune_main.py --help >/dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: stdout cannot be written: No space left on device\n")


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert printable("a\x1b[2Jb\r\nc\u202ed") == "a\\x1b[2Jb\\r\\nc\\u202ed"
    assert printable("stra\xdfe d'été 中") == "stra\xdfe d'été 中"


def test_a_refusal_writes_control_characters_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--space", "smoke\x1b[2J", "--profile", "quick"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_signal_during_the_last_words_changes_no_exit_code() -> None:
    program = """
import os, signal, sys
import tune_main
from sweeps.cli import tune as commands
from sweeps.cli.console import run_command
from sweeps.execution.signals import Interrupted

def run(arguments):
    sys.stderr = Impatient()
    raise Interrupted(signal.SIGTERM)

class Impatient:
    def __getattr__(self, name):
        os.kill(os.getpid(), signal.SIGINT)
        return getattr(sys.__stderr__, name)

commands.VERBS["space"] = run
run_command(lambda: tune_main.main(["--space", "smoke"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "interrupted\n")


def test_a_note_is_one_printable_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show_notes()
    notes.info("50 % of \x1b[2Jeverything")
    assert capsys.readouterr() == ("", "50 % of \\x1b[2Jeverything\n")


def test_quiet_commands_print_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    show_notes(is_quiet=True)
    notes.info("starting Ray")
    show_notes()
    assert capsys.readouterr() == ("", "")
