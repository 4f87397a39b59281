"""Answers of an HTTP server, and the errors that come of them."""

from typing import Any

import pytest
import requests


def raw_answer(status: int) -> Exception:
    """What MLflow makes of an answer that is not in its own words: a proxy's, or a server's that fell over."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.rest_utils import verify_rest_response

    with pytest.raises(MlflowException) as raised:
        verify_rest_response(response(status), "/api/2.0/mlflow/runs/log-batch")
    return raised.value


def response(status: int) -> Any:
    response = requests.Response()
    response.status_code, response._content = status, b"<html>sorry</html>"
    return response
