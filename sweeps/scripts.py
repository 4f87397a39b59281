"""The commands of an installed package: each runs a command line as this process and exits with its code."""

from typing import NoReturn

from sweeps.cli.console import run_command


def tune() -> NoReturn:
    """Run `bddseg-tune`."""
    from sweeps.cli.tune_options import main

    run_command(main)


def report() -> NoReturn:
    """Run `bddseg-report`."""
    from sweeps.cli.report_options import main

    run_command(main)


def predict() -> NoReturn:
    """Run `bddseg-predict`."""
    from sweeps.predict import main

    run_command(main)


def export() -> NoReturn:
    """Run `bddseg-export`."""
    from sweeps.export import main

    run_command(main)


def explore() -> NoReturn:
    """Run `bddseg-explore`."""
    from sweeps.explore import main

    run_command(main)


def suspects() -> NoReturn:
    """Run `bddseg-suspects`."""
    from sweeps.suspects import main

    run_command(main)
