"""--notify: what became of a sweep, as JSON, posted to an address or piped into a command.

The address and the command may have a token in them, so that neither is printed or recorded. A notification that fails
is only a warning.
"""

import json
import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bddseg.errors import UserError
from sweeps.execution.signals import Interrupted
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.execution.spec import SweepResult

VARIABLE = "BDDSEG_NOTIFY"
WEB = ("http", "https")
SECONDS = 20
"""Longest time for an answer, or for the command."""


def find_target(given: str | None) -> str | None:
    """Return the target of the option, else of the environment; refuse a wrong one without printing it.

    Raises:
        UserError: when it is empty, or an address of another kind than http.
    """
    target = os.environ.get(VARIABLE) or None if given is None else given
    if target is None:
        return None
    if not target.strip() or "\0" in target:
        raise UserError("--notify is empty, but must be a command or an address that starts with http:// or https://")
    url = urlsplit(target) if _is_address(target) else None
    if url and (url.scheme not in WEB or not url.hostname):
        raise UserError(
            f"--notify is an address of the kind {url.scheme[:20]}, but must be a command, or start with http://HOST "
            "or https://HOST"
        )
    return target


def run_and_notify(
    target: str | None, run: "Callable[[], SweepResult | int | None]", close: "Callable[[SweepResult], int]"
) -> int:
    """Train, print the result and send what became of the sweep; return the exit code, which a failure never changes.

    An error or a signal is sent too, and raised again.
    """
    try:
        result = run()
    except BaseException as error:
        if target:
            send(target, describe_error(error))
        raise
    if result is None or isinstance(result, int):  # a dry run, or a sweep that was finished before
        return result or 0
    code = close(result)
    if target:
        send(target, describe_result(result))
    return code


def describe_result(result: "SweepResult") -> dict[str, Any]:
    """Return what became of a sweep."""
    best = result.board.best()
    outcome = "interrupted" if result.is_interrupted else "finished" if best else "failed"
    return {
        "outcome": outcome,
        "sweep": result.sweep_id,
        "leader": best.name if best else None,
        "score": best.best_miou if best else None,
        "exit_code": result.exit_code,
        "report_command": result.report_command if best else None,
        "resume_command": result.resume_command if result.is_interrupted else None,
        "error": None,
    }


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return what ended a sweep, or prevented it: then its id is null."""
    from sweeps.tracking.uri import hide_password

    if isinstance(error, KeyboardInterrupt):
        code = 128 + (error.number if isinstance(error, Interrupted) else 2)
    else:
        code = error.exit_code if isinstance(error, UserError) else 1
    return {
        "outcome": "interrupted" if isinstance(error, KeyboardInterrupt) else "failed",
        "sweep": getattr(error, "sweep_id", None),
        "leader": None,
        "score": None,
        "exit_code": code,
        "report_command": None,
        "resume_command": getattr(error, "resume_command", None) or None,
        "error": hide_password(str(error)) if isinstance(error, UserError) else type(error).__name__,
    }


def send(target: str, facts: dict[str, Any]) -> None:
    """Post the facts, or pipe them into a command; a failure is a warning without address and command."""
    content = json.dumps(facts, allow_nan=False).encode()
    why = _post(target, content) if _is_address(target) else _pipe(target, content)
    if why:
        notes.warning(f"warning: the notification failed: {why}")


def _is_address(target: str) -> bool:
    """Return whether a target is an address rather than a command."""
    return "://" in target.split()[0]


def _post(address: str, content: bytes) -> str:
    import requests

    host = urlsplit(address).hostname
    try:
        answer = requests.post(address, data=content, headers={"Content-Type": "application/json"}, timeout=SECONDS)
    except (requests.exceptions.RequestException, ValueError) as error:  # its words spell the address
        return f"{host}: {type(error).__name__}"
    return "" if answer.ok else f"{host} answered {answer.status_code}"


def _pipe(command: str, content: bytes) -> str:
    try:
        done = subprocess.run(
            ["sh", "-c", command], input=content, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the command did not end within {SECONDS} s"
    except OSError as error:
        return f"the command did not start: {error.strerror}"
    return "" if done.returncode == 0 else f"the command ended with {done.returncode}"
