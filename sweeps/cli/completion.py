"""--print-completion: a script by which a shell completes options, spaces and sweeps of an installed command."""

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from sweeps.paths import EXPERIMENTS, SCRIPTS, shipped_file

if TYPE_CHECKING:
    from sweeps.cli.console import Parser

SHELLS = ("bash", "zsh")

SPACES = """awk '/^spaces:/{s=1;next} /^[^ #]/{s=0} s&&/^  [A-Za-z0-9_]/{sub(/:.*/,"");print $1}' """
SWEEPS = "ls -1 runs 2>/dev/null | grep -E -- '-[0-9]{8}-[0-9]{6}-[0-9a-f]+$'"

FILE_FUNCTION = """\
_bddseg_file() {{ if [ -e "$BDDSEG_EXPERIMENTS" ]; then echo "$BDDSEG_EXPERIMENTS";
  elif [ -e experiments.yaml ]; then echo experiments.yaml; else echo '{file}'; fi; }}
"""
PREAMBLE = {
    "bash": FILE_FUNCTION
    + """\
_bddseg_spaces() {{ compgen -W "$({spaces} "$(_bddseg_file)" 2>/dev/null)" -- "$1"; }}
_bddseg_sweeps() {{ compgen -W "$({sweeps})" -- "$1"; }}
""",
    "zsh": FILE_FUNCTION
    + """\
_bddseg_spaces() {{ compadd -- ${{(f)"$({spaces} "$(_bddseg_file)" 2>/dev/null)"}}; }}
_bddseg_sweeps() {{ compadd -- ${{(f)"$({sweeps})"}}; }}
""",
}
"""Functions that list spaces and the sweeps of ./runs without starting Python."""

FUNCTIONS = {"space": "_bddseg_spaces"} | dict.fromkeys(
    ("confirm", "resume", "status", "sync", "sweep", "sweeps"), "_bddseg_sweeps"
)
"""Option -> the function that lists its values."""


class PrintCompletion(argparse.Action):
    """Prints the script for a shell on stdout, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, __: Any = None) -> NoReturn:
        print(render_completion(parser, str(shell)))
        parser.exit()


def add_completion(parser: "Parser", file: str) -> None:
    """Add --print-completion to the parser of a program of the project."""
    parser.set_defaults(program_file=file)
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        default=argparse.SUPPRESS,
        metavar="SHELL",
        help="print a script that completes the installed command in bash or zsh",
    )


def render_completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for a shell."""
    import shtab

    for action in parser._actions:
        if function := FUNCTIONS.get(action.dest):
            action.complete = {shell: function}  # type: ignore[attr-defined]
        elif action.metavar in ("FILE", "PATH"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    parser.prog = SCRIPTS[parser.get_default("program_file")]
    preamble = PREAMBLE[shell].format(file=shipped_file(EXPERIMENTS), spaces=SPACES, sweeps=SWEEPS)
    return str(shtab.complete(parser, shell, preamble={shell: preamble}))  # type: ignore[arg-type]
