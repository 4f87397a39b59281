"""Failures of MLflow: transient, permanent, or unclear from one attempt."""

import re

from sweeps.errors import TrackingError
from sweeps.tracking import proxy
from sweeps.tracking.uri import hide_password

PERMANENT = "permanent"
"""Every attempt fails: what was sent can never be stored."""

TRANSIENT = "transient"
"""A later attempt may succeed: no answer, too busy, no permission, locked, no room."""

UNCLEAR = "unclear"
"""Either: only many attempts, while other writes succeed, show which."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST")
PASSING = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
           "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_STATE", "ABORTED", "CANCELLED",
           "RESOURCE_CONFLICT", "ENDPOINT_NOT_FOUND")  # fmt: skip
TOO_LONG = (413, 414, 431)
"""HTTP answers to a request that is too long in itself."""

MALFORMED = (400, 422)
"""HTTP answers to a malformed request: final from MLflow, but a proxy may have sent them."""

OF_A_PROXY = (403, 407, 502, 503, 504)

GONE = "RESOURCE_DOES_NOT_EXIST"
REASON_CHARS = 300


class ArtifactFileError(Exception):
    """A file that is to be uploaded is missing or cannot be read."""


def kind_of(error: Exception) -> str:
    """Return the kind of failure of an exception of MLflow, its stores or the operating system."""
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
    """Return the kind of failure of an upload.

    Only a file that is missing, or too large for the server, fails for good. Any other failure of a file store may be
    transient: stores that are unreachable, full or closed raise exceptions of their own, which cannot be recognised.
    """
    is_final = isinstance(error, ArtifactFileError) or http_status(error) in TOO_LONG
    return PERMANENT if is_final else TRANSIENT


def code_of(error: Exception) -> str:
    """Return MLflow's error code; "" for any other exception."""
    return str(getattr(error, "error_code", ""))


def reason(error: Exception, uri: str = "") -> str:
    """Return the first line of an exception, without passwords; a sentence about the proxy where that failed."""
    text = str(error).strip()
    lines = _proxy(error, text, uri).splitlines() or text.splitlines()
    return hide_password(lines[0])[:REASON_CHARS] if lines else type(error).__name__


def http_status(error: Exception) -> int | None:
    """Return the status of an HTTP answer without MLflow's own error code; None for other exceptions."""
    status = getattr(getattr(error, "response", None), "status_code", None)  # in some libraries it is a dictionary
    if isinstance(status, int):
        return status
    match = re.search(r"API request to endpoint .* failed with error code (\d+)", str(error))
    return int(match[1]) if match else None


def _proxy(error: Exception, text: str, uri: str) -> str:
    """Return a sentence about the proxy where it failed; "" where it did not.

    MLflow's answers have error codes of their own: an answer without one comes from a proxy.
    """
    status = http_status(error)
    if status == proxy.ASKS_FOR_PASSWORD and proxy.proxy_for(uri) is None:
        return "the proxy asks for a user and a password (407)"
    return proxy.breakdown(uri, text) or (proxy.refusal(uri, status) if status in OF_A_PROXY else "")
