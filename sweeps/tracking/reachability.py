"""Whether a server or a database answers, and is one that can be recorded to: one try, a few seconds."""

import os
import re

from sweeps.errors import TrackingError
from sweeps.tracking.failures import reason
from sweeps.tracking.hints import cure_of
from sweeps.tracking.uri import PROBE_SECONDS, SERVERS, check_server, database_file, hide_password, scheme_of

CONNECT_SECONDS = 5
OLDEST = 3
"""The oldest major version of a server: one of version 2 records sweeps and cannot be read for a report."""

SERVER_DATABASES = {"postgresql": "connect_timeout", "mysql": "connect_timeout", "mssql": "timeout"}
"""Kind of database -> its driver's name for the longest time that a connection may take."""


def check_answers(uri: str) -> None:
    """Refuse a server or a database that does not answer or lets nobody in; a database file is not checked.

    Raises:
        TrackingError: within seconds, with address, reason and cure.
    """
    check_server(uri)
    if scheme_of(uri) in SERVER_DATABASES:
        _check_connection(uri)


def check_version(uri: str) -> None:
    """Refuse a server of an earlier MLflow; one that does not say its version is taken.

    Raises:
        TrackingError: with both versions and the cure.
    """
    if scheme_of(uri) not in SERVERS:
        return
    import requests

    user = (os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=PROBE_SECONDS, auth=user if all(user) else None)
    except requests.exceptions.RequestException:
        return  # `check_server` has had an answer, and MLflow's client knows the user's TLS settings
    version = re.fullmatch(r"(\d+)\.\d[\w.+-]*", answer.text.strip()) if answer.ok else None
    if version and int(version[1]) < OLDEST:
        raise TrackingError(
            f"the server at {hide_password(uri)} is MLflow {version[0]}, but must be {OLDEST} or newer: upgrade it "
            "(its database with `mlflow db upgrade`), or choose another --tracking-uri"
        )


def _check_connection(uri: str) -> None:
    """Connect to a database once; MLflow would try ten times, for two minutes."""
    assert database_file(uri) is None
    import sqlalchemy

    options = {SERVER_DATABASES[scheme_of(uri)]: CONNECT_SECONDS}
    try:
        engine = sqlalchemy.create_engine(uri, connect_args=options, poolclass=sqlalchemy.pool.NullPool)
        with engine.connect():
            pass
        engine.dispose()
    except Exception as error:  # noqa: BLE001 - each driver fails in its own way
        cause = getattr(error, "orig", None) or error
        cure = cure_of(cause, uri, "choose another --tracking-uri")
        raise TrackingError(f"{hide_password(uri)} cannot be used ({reason(cause, uri)}): {cure}") from None
