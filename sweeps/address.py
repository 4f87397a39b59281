"""Where MLflow is: tracking URIs, the secrets in them, and whether anybody answers there."""

import os
import re
import shlex
from pathlib import Path

from sweeps.errors import TrackingError
from sweeps.paths import ROOT, command

VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = ("http", "https")
KNOWN = ("sqlite", "postgresql", "mysql", "mssql", "databricks", *SERVERS)
PROBE_SECONDS = 4

SQLITE = re.compile(r"sqlite(\+\w+)?:///(?P<path>[^?]+)(\?.*)?")
USER = re.compile(r"://(?!/)[^\s'\"]*@")
SECRET = re.compile(r"([?&]\w*(?:user|passw|pwd|token|secret|key)\w*=)[^&\s'\"]*", re.IGNORECASE)


def default_tracking_uri(root: Path) -> str:
    """Return the address of the database in a storage folder."""
    return f"sqlite:///{Path(root).absolute() / 'mlflow.db'}"


def resolve_tracking_uri(uri: str | None, root: Path) -> str:
    """Return where to record: the flag, else MLFLOW_TRACKING_URI, else a database in the storage folder `root`.

    A relative database path is made absolute: processes that work in other folders must mean the same file.

    Raises:
        TrackingError: when MLflow cannot record there.
    """
    return check_uri((uri or os.environ.get(VARIABLE) or default_tracking_uri(root)).strip())


def check_uri(uri: str) -> str:
    """Return the address in full.

    Raises:
        TrackingError: when it is of a kind that MLflow cannot record to.
    """
    match = SQLITE.fullmatch(uri)
    if match and match["path"] != ":memory:":
        path = match["path"]
        return uri.replace(f"///{path}", f"///{Path(path).absolute()}", 1)
    scheme, shown = scheme_of(uri), hide_password(uri)
    if scheme == "sqlite":
        raise TrackingError(
            f"tracking URI {shown!r} names no file, but must be like sqlite:////absolute/path/mlflow.db"
        )
    if scheme in KNOWN:
        return uri
    if scheme == "file" or "://" not in uri:
        raise TrackingError(
            f"tracking URI {shown!r} is a folder, but MLflow records into a database or to a server: "
            f"use sqlite:///{uri.removeprefix('file://').removeprefix('file:').rstrip('/')}/mlflow.db "
            "(`mlflow migrate-filestore` takes old runs along) or http://HOST:PORT"
        )
    raise TrackingError(f"tracking URI {shown!r} is of an unknown kind; known: {', '.join(KNOWN)}")


def check_server(uri: str) -> None:
    """Ask a server for anything at all; a database is not asked.

    Raises:
        TrackingError: when nothing answers within a few seconds.
    """
    if scheme_of(uri) not in SERVERS:
        return
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS)
    except requests.exceptions.SSLError:
        return  # somebody is there; MLflow's client knows the user's TLS settings
    except requests.exceptions.RequestException as error:
        raise TrackingError(
            f"no MLflow server answers at {hide_password(uri)} ({_why_silent(error)}): start it with `mlflow server`, "
            f"or leave --tracking-uri and {VARIABLE} out to use a local file"
        ) from None  # the cause may spell the password


def scheme_of(uri: str) -> str:
    """Return the kind of a store: `sqlite` of `sqlite+pysqlite:///file.db`."""
    return re.split(r"[+:]", uri, maxsplit=1)[0]


def database_file(uri: str) -> Path | None:
    """Return the file of a sqlite store; None for every other kind."""
    match = SQLITE.fullmatch(uri)
    return Path(match["path"]) if match else None


def hide_password(text: str) -> str:
    """Return an address, or a text with addresses in it, without the users, passwords and tokens in them."""
    return SECRET.sub(r"\1***", USER.sub("://***@", text))


def has_password(uri: str) -> bool:
    """Return whether an address holds something that must not be shown, or held it before it was hidden."""
    return bool(USER.search(uri) or SECRET.search(uri))


def tracking_flag(uri: str) -> str:
    """Return the `--tracking-uri` of a command that is printed; one with a password refers to the environment."""
    return f'--tracking-uri "${VARIABLE}"' if has_password(uri) else f"--tracking-uri {shlex.quote(uri)}"


def start_command(uri: str) -> str:
    """Return the command that records a first sweep in a store."""
    database = database_file(uri)
    if uri == default_tracking_uri(ROOT / "runs"):
        where = ""
    elif database and uri == default_tracking_uri(database.parent):
        where = f"--storage {shlex.quote(str(database.parent))} "
    else:
        where = f"{tracking_flag(uri)} "
    return f"{command('tune_main.py')} {where}--space smoke"


def _why_silent(error: Exception) -> str:
    reasons = {"timed out": f"silent for {PROBE_SECONDS} s", "refused": "connection refused", "resolve": "unknown host"}
    return next((reason for sign, reason in reasons.items() if sign in str(error)), type(error).__name__)
