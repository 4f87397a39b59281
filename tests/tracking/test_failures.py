"""What is over next time and what is not."""

import sqlite3

import pytest
import requests
from http_answers import raw_answer, response

from sweeps.tracking.failures import PERMANENT, TRANSIENT, UNCLEAR, ArtifactFileError, kind_of, reason


def mlflow_error(message: str, code: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    return MlflowException(message, error_code=ErrorCode.Value(code))


@pytest.mark.parametrize("status", [413, 414, 431])
def test_an_answer_that_the_request_is_too_long_is_permanent(status: int) -> None:
    assert kind_of(raw_answer(status)) == PERMANENT


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_in_other_words_than_mlflows_may_come_from_something_else(status: int) -> None:
    assert kind_of(raw_answer(status)) == UNCLEAR


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504])
def test_an_answer_about_the_server_is_transient(status: int) -> None:
    assert kind_of(raw_answer(status)) == TRANSIENT


@pytest.mark.parametrize(("status", "kind"), [(413, PERMANENT), (503, TRANSIENT), (429, TRANSIENT)])
def test_an_upload_is_judged_by_its_answer(status: int, kind: str) -> None:
    assert kind_of(requests.HTTPError("upload failed", response=response(status))) == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (mlflow_error("Invalid metric name", "INVALID_PARAMETER_VALUE"), PERMANENT),
        (mlflow_error("(sqlite3.OperationalError) database is locked", "TEMPORARILY_UNAVAILABLE"), TRANSIENT),
        (mlflow_error("slow down", "REQUEST_LIMIT_EXCEEDED"), TRANSIENT),
        (mlflow_error("API request to http://there failed with exception", "INTERNAL_ERROR"), TRANSIENT),
        (mlflow_error("Internal Server Error", "INTERNAL_ERROR"), UNCLEAR),
        (requests.ConnectionError("refused"), TRANSIENT),
        (ConnectionResetError("reset"), TRANSIENT),
        (OSError(28, "No space left on device"), TRANSIENT),
        (sqlite3.OperationalError("disk I/O error"), UNCLEAR),
        (RuntimeError("no credentials"), UNCLEAR),
        (ArtifactFileError("there is no file"), PERMANENT),
    ],
)
def test_what_a_failure_is(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_a_reason_is_one_line_without_a_password() -> None:
    error = mlflow_error("API request to http://me:secret@there/api failed\nTraceback ...", "INTERNAL_ERROR")
    assert reason(error) == "API request to http://***@there/api failed"
