"""Run a sweep: `python tune_main.py --space grid_lr_loss`; installed, the command is `bddseg-tune`."""

from sweeps.cli.console import run_command
from sweeps.cli.tune_options import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    run_command(main)
