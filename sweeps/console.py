"""What every command of the service does alike: misuse in one line, exit codes, no traceback unless asked for."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from bddseg.errors import UserError

FINE, MISUSE, INTERRUPTED = 0, 2, 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSE, f"error: {message}; --help shows all options\n")


def finish(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command and return its exit code; `options` has `debug`."""
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
