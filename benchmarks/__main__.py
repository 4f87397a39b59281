"""Runs every scenario in a process of its own: `python -m benchmarks`, with the options of all scripts.

Prints the figures of all scenarios at the end; the exit code is 1 if one misses its target or fails.
"""

import re
import subprocess
import sys

from benchmarks.cli import ROOT, parser, show

SCENARIOS = (
    "s0_parity",
    "s1_data",
    "s2_cpu_epoch",
    "s3_cpu_sweep",
    "s4_gpu_trial",
    "s6_packing",
    "s7_overhead",
    "verdict",
)
FIGURE = re.compile(
    r"^(?P<name>[SV]\d .*) (?:ratio|value)=(?P<value>\S+) target=(?P<target>\S+) rounds=(?P<rounds>\d+)$"
)


def main(argv: list[str] | None = None) -> int:
    """Run all scenarios and print their figures."""
    options = parser(str(__doc__))
    options.add_argument("--only", nargs="+", choices=SCENARIOS, default=SCENARIOS, metavar="NAME", help="scenarios")
    arguments = options.parse_args(argv)
    rows, worst = [], 0
    for name in arguments.only:
        code, lines = _run(name, ["--rounds", str(arguments.rounds), "--cache", str(arguments.cache)])
        worst = max(worst, int(code != 0))
        figures = [match.groups() for match in map(FIGURE.match, lines) if match]
        rows += figures or [(f"{name}: {lines[-1] if lines else 'nothing printed'}", "-", "-", "-")]
        rows += [(f"{name} ended with {code}", "-", "-", "-")] if code else []
    show("All scenarios", ("figure", "measured", "target", "rounds"), rows)
    return worst


def _run(name: str, options: list[str]) -> tuple[int, list[str]]:
    """Run a scenario, passing on what it prints, and return its exit code and its lines."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    print(flush=True)
    return process.returncode, [line for line in lines if line]


if __name__ == "__main__":
    sys.exit(main())
