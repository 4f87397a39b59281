"""Cures for an MLflow store that cannot be used, by its error."""

import re
import shlex
from pathlib import Path

from sweeps.tracking.failures import code_of, http_status
from sweeps.tracking.uri import VARIABLE, has_password

NOT_LET_IN = ("PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED")
NOT_LET_IN_STATUS = (401, 403)
SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+)")
MODULE = re.compile(r"No module named '(\w+)")
DISTRIBUTIONS = {"botocore": "boto3", "psycopg": "'psycopg[binary]'", "google": "google-cloud-storage",
                 "azure": "azure-storage-blob"}  # fmt: skip
"""Missing module -> the package that contains it, where the names differ."""


def cure_of(error: Exception, uri: str, otherwise: str) -> str:
    """Return the cure for an error of a store, to be printed after its reason; `otherwise` where none is known."""
    text = str(error)
    if schema := SCHEMA.search(text):
        return _schema_cure(schema[1], uri)
    if module := MODULE.search(text):
        return f"install it with `pip install {DISTRIBUTIONS.get(module[1], module[1])}`"
    if http_status(error) in NOT_LET_IN_STATUS or code_of(error) in NOT_LET_IN:
        return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user who may write there"
    return otherwise


def restore_cure(experiment_id: str, uri: str) -> str:
    """Return the command that restores a deleted experiment."""
    where = "" if has_password(uri) else f"{VARIABLE}={shlex.quote(uri)} "
    return f"bring it back with `{where}mlflow experiments restore -x {experiment_id}`"


def _schema_cure(version: str, uri: str) -> str:
    """Return the cure for a database of another version of MLflow: the older of the two is upgraded."""
    if _is_known_schema(version):
        shown = f'"${VARIABLE}"' if has_password(uri) else shlex.quote(uri)
        return f"make a copy of the database, then run `mlflow db upgrade {shown}`"
    return "a newer MLflow made this database, so install that version of MLflow here"


def _is_known_schema(version: str) -> bool:
    """Return whether the installed MLflow knows a version of the schema; it knows all up to its own."""
    import mlflow

    versions = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    return any(versions.glob(f"{version}_*.py"))
