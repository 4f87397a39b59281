"""Report on sweeps: `python report.py`; installed, the command is `bddseg-report`."""

from sweeps.cli.console import run_command
from sweeps.cli.report_options import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    run_command(main)
