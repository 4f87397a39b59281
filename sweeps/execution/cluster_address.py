"""Addresses of Ray clusters: what can be joined, what is refused with a better way, and whether something answers."""

import os
import re
import socket

from sweeps.errors import ClusterError
from sweeps.execution.ray_patches import running_ray_address
from sweeps.execution.ray_session import PROBE_SECONDS
from sweeps.execution.ray_variables import ADDRESS

AUTO, LOCALLY = "auto", "--address local"

SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z+.-]*)://(?P<host>.*)")

SUBMIT = "ray job submit --address {url} --working-dir . -- python tune_main.py ... --storage FOLDER"
"""The command that runs a sweep on a cluster that is reached by its dashboard."""


def check_address(address: str) -> None:
    """Check that something listens at host:port, or at the address that "auto" finds.

    Ray itself would wait for minutes and could not be interrupted.

    Raises:
        ClusterError: when nothing answers, or the address is not one of a cluster's head.
    """
    _refuse_scheme(address)
    try:
        target = running_ray_address() if address == AUTO else address
        host, _, port = target.rpartition(":")
        if host and port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
        elif address != AUTO:
            raise ValueError("an address is HOST:PORT, auto or local")
        else:
            raise ClusterError(f"no Ray runs on this machine: start one with `ray start --head`, or give {LOCALLY}")
    except (OSError, OverflowError, ValueError) as error:
        raise ClusterError(
            f"no Ray answers at {_named(address)}: {first_line(error)}; on this machine alone: {LOCALLY}"
        ) from error


def _refuse_scheme(address: str) -> None:
    """Refuse the addresses of Ray's client server and of its dashboard, from which no sweep can be driven."""
    match = SCHEME.fullmatch(address)
    if match is None:
        return
    is_page = match["scheme"].lower() in ("http", "https")
    host = match["host"].rstrip("/").rpartition(":")[0] or match["host"].rstrip("/")
    what = "Ray's dashboard" if is_page else "Ray's client server, which cannot run a sweep"
    url = address.rstrip("/") if is_page else f"http://{host}:8265"
    raise ClusterError(
        f"{_named(address)} is the address of {what}: use `{SUBMIT.format(url=url)}`, or on a machine of the cluster "
        f"--address {host}:6379"
    )


def _named(address: str) -> str:
    """Return the address, with the variable that it comes from."""
    return f"{address} ({ADDRESS})" if os.environ.get(ADDRESS) == address else address


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type."""
    message = getattr(error, "strerror", None) or str(error)
    return next((line.strip() for line in message.splitlines() if line.strip()), type(error).__name__)
