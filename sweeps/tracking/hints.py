"""Cures for an MLflow store that cannot be used, by its error."""

import os
import re
import shlex
from pathlib import Path

from sweeps.tracking.failures import code_of, http_status
from sweeps.tracking.uri import VARIABLE, has_password

NOT_LET_IN = ("PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED")
UNAUTHORISED = 401
NOT_LET_IN_STATUS = (UNAUTHORISED, 403)
SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+)")
MODULE = re.compile(r"No module named '(\w+)")
USER_VARIABLES = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
CURES = {
    "password authentication failed|no password supplied|role .* does not exist|Access denied":
        f"correct user and password in the address, best in {VARIABLE}",
    r"database \"?\S+ does not exist|Unknown database": "create that database, for example with `createdb`",
    "[Cc]onnection refused|resolve host|translate host|timeout|timed out|Can't connect":
        "check host and port, and that the database server runs",
    "permission denied for|must be owner|read-only transaction": "use a database user who may create and write tables",
    "mlflow-artifacts URI": "name the server, not its database, as --tracking-uri",
    "NoSuchBucket|bucket does not exist": "create that bucket",
    "Unable to locate credentials|InvalidAccessKeyId|SignatureDoesNotMatch":
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}  # fmt: skip
"""What an error of a database or a store of files says -> the cure."""

PACKAGES = {"boto3": "'bddseg-sweeps[s3]'", "botocore": "'bddseg-sweeps[s3]'", "psycopg": "'bddseg-sweeps[postgres]'",
            "google": "google-cloud-storage", "azure": "azure-storage-blob", "MySQLdb": "mysqlclient"}  # fmt: skip
"""Missing module -> what to install for it, where the names differ."""


def cure_of(error: Exception, uri: str, otherwise: str) -> str:
    """Return the cure for an error of a store, to be printed after its reason; `otherwise` where none is known."""
    text = str(error)
    if schema := SCHEMA.search(text):
        return _schema_cure(schema[1], uri)
    if module := missing_module(error):
        return install_cure(module)
    if http_status(error) in NOT_LET_IN_STATUS or code_of(error) in NOT_LET_IN:
        return _access_cure(error, uri)
    for signs, cure in CURES.items():
        if re.search(signs, text):
            return cure
    return otherwise


def missing_module(error: BaseException) -> str:
    """Return the module that could not be imported; "" where an error has another cause."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    match = MODULE.search(str(error))
    return match[1] if match else ""


def install_cure(module: str) -> str:
    """Return the command that installs a module."""
    return f"install it with `pip install {PACKAGES.get(module, module)}`"


def _access_cure(error: Exception, uri: str) -> str:
    """Return the cure where a server does not let the user in, or does not let it write."""
    if http_status(error) != UNAUTHORISED:
        return f"set {USER_VARIABLES} to a user who may write there, or choose another --experiment"
    is_named = has_password(uri) or bool(os.environ.get("MLFLOW_TRACKING_USERNAME"))
    return f"correct {USER_VARIABLES}" if is_named else f"set {USER_VARIABLES}"


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
