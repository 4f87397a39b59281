"""What went wrong with MLflow: over next time, the same for ever, or not to be told from one try."""

import re

from sweeps.address import hide_password

PERMANENT = "permanent"
"""The same next time: what was sent can never be stored."""

TRANSIENT = "transient"
"""May be over next time, however often it comes: nobody there, too busy, not let in, locked, no room."""

UNCLEAR = "unclear"
"""Either: only many tries, while other writes succeed, can tell."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST")
PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
           "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_STATE", "ABORTED", "CANCELLED",
           "RESOURCE_CONFLICT", "ENDPOINT_NOT_FOUND")  # fmt: skip
REFUSING_STATUS = (400, 413, 414, 422, 431)
"""HTTP answers to a request that is wrong or too long in itself."""

GONE = "RESOURCE_DOES_NOT_EXIST"
REASON_CHARS = 300


class ArtifactFileError(Exception):
    """A file that is to be uploaded is not there or may not be read."""


def kind_of(error: Exception) -> str:
    """Return what kind of failure an exception of MLflow, its stores or the operating system is."""
    if isinstance(error, ArtifactFileError) or code_of(error) in REFUSALS:
        return PERMANENT
    status = _http_status(error)
    if status is not None:
        return PERMANENT if status in REFUSING_STATUS else TRANSIENT
    is_transport = "API request to" in str(error)
    if code_of(error) in PASSING or is_transport or isinstance(error, OSError):
        return TRANSIENT
    return UNCLEAR


def code_of(error: Exception) -> str:
    """Return MLflow's error code; "" for an exception of another make."""
    return str(getattr(error, "error_code", ""))


def reason(error: Exception) -> str:
    """Return the first line of what an exception says, without passwords."""
    lines = str(error).strip().splitlines()
    return hide_password(lines[0])[:REASON_CHARS] if lines else type(error).__name__


def _http_status(error: Exception) -> int | None:
    """Return the status of an HTTP answer that says nothing in MLflow's own words; None for other exceptions."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return int(answer.status_code)
    match = re.search(r"API request to endpoint .* failed with error code (\d+)", str(error))
    return int(match[1]) if match else None
