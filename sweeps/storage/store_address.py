"""Addresses of object stores, as a command line gives them."""

from urllib.parse import urlsplit

SCHEMES = ("s3", "gs", "abfs", "abfss", "hdfs")
"""Kinds of stores that pyarrow opens by itself."""

EXAMPLE = "must be an address such as s3://bucket/path"


def why_no_store(uri: str) -> str:
    """Return why a text is no address of an object store, "" where it is one; credentials in it are not repeated."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        return f"{EXAMPLE}, but cannot be read: {error}"
    if "@" in uri:
        return (
            f"{EXAMPLE}, but has credentials in it: put them into the environment, as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if parts.scheme not in SCHEMES:
        return f"{EXAMPLE}, but is {uri[:200]!r}; known kinds: {', '.join(SCHEMES)}"
    if not parts.netloc or not uri.isprintable() or set("#\\ ") & set(uri) or "//" in parts.path:
        return f"{EXAMPLE}, but is {uri[:200]!r}"
    return ""
