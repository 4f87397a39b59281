"""What went wrong with MLflow: over next time, the same for ever, or not to be decided from one attempt."""

import re

from sweeps.errors import TrackingError
from sweeps.tracking import proxy
from sweeps.tracking.uri import hide_password

PERMANENT = "permanent"
"""The same next time: what was sent can never be stored."""

TRANSIENT = "transient"
"""May be over next time, however often it comes: no answer, too busy, no permission, locked, no room."""

UNCLEAR = "unclear"
"""Either: only many attempts, while other writes succeed, can decide."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST")
PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
           "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_STATE", "ABORTED", "CANCELLED",
           "RESOURCE_CONFLICT", "ENDPOINT_NOT_FOUND")  # fmt: skip
TOO_LONG = (413, 414, 431)
"""HTTP answers to a request that is too long in itself."""

MALFORMED = (400, 422)
"""HTTP answers to a malformed request: final from MLflow, but something between it and us may have given them."""

OF_A_PROXY = (403, 407, 502, 503, 504)

GONE = "RESOURCE_DOES_NOT_EXIST"
REASON_CHARS = 300


class ArtifactFileError(Exception):
    """A file that is to be uploaded is missing or may not be read."""


def kind_of(error: Exception) -> str:
    """Return what kind of failure an exception of MLflow, its stores or the operating system is."""
    if isinstance(error, ArtifactFileError) or code_of(error) in REFUSALS:
        return PERMANENT
    if isinstance(error, TrackingError):
        return TRANSIENT
    status = http_status(error)
    if status is not None:
        return PERMANENT if status in TOO_LONG else UNCLEAR if status in MALFORMED else TRANSIENT
    is_transport = "API request to" in str(error)
    if code_of(error) in PASSING or is_transport or isinstance(error, OSError):
        return TRANSIENT
    return UNCLEAR


def kind_of_upload(error: Exception) -> str:
    """Return what kind of failure it is that a file could not be uploaded.

    Only a file that is missing, or too large for the server, stays so. Whatever else a file store raises may be over
    next time: stores that are unreachable, full or closed to us raise exceptions of their own, by which they cannot be
    recognised.
    """
    is_final = isinstance(error, ArtifactFileError) or http_status(error) in TOO_LONG
    return PERMANENT if is_final else TRANSIENT


def code_of(error: Exception) -> str:
    """Return MLflow's error code; "" for an exception of another make."""
    return str(getattr(error, "error_code", ""))


def reason(error: Exception, uri: str = "") -> str:
    """Return the first line of what an exception says, without passwords.

    Where a proxy failed on the way to the server at `uri`, this is said instead.
    """
    text = str(error).strip()
    lines = _proxy(error, text, uri).splitlines() or text.splitlines()
    return hide_password(lines[0])[:REASON_CHARS] if lines else type(error).__name__


def http_status(error: Exception) -> int | None:
    """Return the status of an HTTP answer that says nothing in MLflow's own words; None for other exceptions."""
    status = getattr(getattr(error, "response", None), "status_code", None)  # of some libraries it is a dictionary
    if isinstance(status, int):
        return status
    match = re.search(r"API request to endpoint .* failed with error code (\d+)", str(error))
    return int(match[1]) if match else None


def _proxy(error: Exception, text: str, uri: str) -> str:
    """Return in words that a proxy is what failed; "" when it is not.

    MLflow answers in words of its own: an answer in other words has come from something else.
    """
    status = http_status(error)
    if status == proxy.ASKS_FOR_PASSWORD and proxy.proxy_for(uri) is None:
        return "the proxy asks for a user and a password (407)"
    return proxy.breakdown(uri, text) or (proxy.refusal(uri, status) if status in OF_A_PROXY else "")
