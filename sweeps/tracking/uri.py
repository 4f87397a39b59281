"""Addresses of MLflow stores: their paths, the secrets in them, and whether a server answers.

A path is quoted when it becomes part of an address, and unquoted when it is read from one, only in this module.
"""

import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweeps.errors import TrackingError
from sweeps.paths import REPORT, TUNE, command, default_folder, short_command
from sweeps.tracking import proxy

VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = ("http", "https")
KNOWN = ("sqlite", "postgresql", "mysql", "mssql", "databricks", *SERVERS)
PROBE_SECONDS = 4

SQLITE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?):///(?P<path>[^?]+)(?P<query>\?.*)?", re.DOTALL)
MEANINGFUL = re.compile(r"[%?#&\x00-\x1f\x7f]")
"""Characters with a meaning in an address: `%` starts a quoted character, `?` and `&` a query."""

DATABASE = "mlflow.db"
"""The database of a storage folder."""

USER = re.compile(r"://(?!/)[^\s'\"]*@")
SECRET = re.compile(r"([?&]\w*(?:user|passw|pwd|token|secret|key)\w*=)[^&\s'\"]*", re.IGNORECASE)


def database_uri(path: Path) -> str:
    """Return the address of a database file; `database_file` gives the path back."""
    return f"sqlite:///{_quoted(Path(path).absolute())}"


def database_file(uri: str) -> Path | None:
    """Return the file of a sqlite store; None for every other kind."""
    match = SQLITE.fullmatch(uri)
    return Path(unquote(match["path"])) if match else None


def folder_of(uri: str) -> Path | None:
    """Return the folder of a `file:` address, or of an absolute path; None for any other address."""
    url = urlsplit(uri)
    path = Path(unquote(url.path)) if url.scheme == "file" and not url.netloc else Path(uri)
    is_local = url.scheme in ("", "file") and path.is_absolute() and ".." not in path.parts
    return path if is_local else None


def default_tracking_uri(root: Path) -> str:
    """Return the address of the database in a storage folder."""
    return database_uri(Path(root) / DATABASE)


def portable_uri(uri: str, storage: Path) -> str:
    """Return an address as it is recorded: without a password, and relative for a database in the storage folder.

    The storage folder may be moved or copied, and its database with it.
    """
    path = database_file(uri)
    if path is None or "?" in uri or not path.is_relative_to(Path(storage).absolute()):
        return hide_password(uri)
    return f"sqlite:///{_quoted(path.relative_to(Path(storage).absolute()))}"


def present_uri(recorded: str, storage: Path, recorded_storage: Path | None = None) -> str:
    """Return the present address for one that `portable_uri` recorded.

    Earlier versions recorded absolute addresses: a database that was in the storage folder then, `recorded_storage`, is
    in the storage folder now.
    """
    path = database_file(recorded)
    if path is None:
        return recorded
    if not path.is_absolute():
        return database_uri(Path(storage) / path)
    if recorded_storage is not None and path.is_relative_to(recorded_storage):
        return database_uri(Path(storage) / path.relative_to(recorded_storage))
    return recorded


def resolve_tracking_uri(uri: str | None, root: Path) -> str:
    """Return the store to record in: the flag, else MLFLOW_TRACKING_URI, else a database in the storage folder `root`.

    A relative path of a database becomes absolute, since processes in other folders must open the same file.

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
    if match and not match["path"].startswith((":memory:", "file:")):
        path = Path(unquote(match["path"])).absolute()
        return f"{match['scheme']}:///{_quoted(path)}{match['query'] or ''}"
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
    """Check that a server answers; a database is not checked.

    Raises:
        TrackingError: when nothing answers within a few seconds, or a proxy refuses the request.
    """
    if scheme_of(uri) not in SERVERS:
        return
    import requests

    shown = hide_password(uri)
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS)
    except requests.exceptions.SSLError:
        return  # a server answers, and MLflow's client knows the user's TLS settings
    except requests.exceptions.RequestException as error:
        if why := proxy.breakdown(uri, f"{type(error).__name__}: {error}"):
            raise TrackingError(f"MLflow at {shown} was not asked: {hide_password(why)}") from None
        raise TrackingError(
            f"no MLflow server answers at {shown} ({_why_silent(error)}): start it with `mlflow server`, "
            f"or leave --tracking-uri and {VARIABLE} out to use a local file"
        ) from None  # the cause may spell the password
    if why := proxy.refusal(uri, answer.status_code, answer.headers):
        raise TrackingError(f"MLflow at {shown} was not asked: {hide_password(why)}")


def scheme_of(uri: str) -> str:
    """Return the kind of a store: `sqlite` of `sqlite+pysqlite:///file.db`."""
    return re.split(r"[+:]", uri, maxsplit=1)[0]


def hide_password(text: str) -> str:
    """Return an address, or a text with addresses, without users, passwords and tokens."""
    return SECRET.sub(r"\1***", USER.sub("://***@", text))


def has_password(uri: str) -> bool:
    """Return whether an address has a part that must not be shown, or had one before it was hidden."""
    return bool(USER.search(uri) or SECRET.search(uri))


def runs_page(uri: str, experiment_id: str) -> str:
    """Return the address of a server's page of all runs, without user and password; "" for a store without pages.

    Without `workflowType` MLflow 3 opens an experiment as one of language models, whose first page shows no runs.
    """
    if scheme_of(uri) not in SERVERS:
        return ""
    url = urlsplit(uri)
    server = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path.rstrip('/')}"
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def tracking_flag(uri: str) -> str:
    """Return `--tracking-uri` for a printed command; an address with a password refers to the environment."""
    return f'--tracking-uri "${VARIABLE}"' if has_password(uri) else f"--tracking-uri {shlex.quote(uri)}"


def report_command(uri: str) -> str:
    """Return the command that reports on sweeps of a store, without the sweep's id and without a password."""
    is_default = uri == default_tracking_uri(default_folder("runs"))
    program = shlex.join(short_command(REPORT))
    return program if is_default else f"{program} {tracking_flag(uri)}"


def start_command(uri: str) -> str:
    """Return the command that records a first sweep in a store."""
    database = database_file(uri)
    if uri == default_tracking_uri(default_folder("runs")):
        where = ""
    elif database and uri == default_tracking_uri(database.parent):
        where = f"--storage {shlex.quote(str(database.parent))} "
    else:
        where = f"{tracking_flag(uri)} "
    return f"{command(TUNE)} {where}--space smoke"


def _quoted(path: Path) -> str:
    """Return a path for an address: characters with a meaning there are quoted, the others stay readable."""
    return MEANINGFUL.sub(lambda match: f"%{ord(match[0]):02X}", str(path))


def _why_silent(error: Exception) -> str:
    reasons = {"timed out": f"silent for {PROBE_SECONDS} s", "refused": "connection refused", "resolve": "unknown host"}
    return next((reason for sign, reason in reasons.items() if sign in str(error)), type(error).__name__)
