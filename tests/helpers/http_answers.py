"""Answers of an HTTP server, and the errors that come of them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@contextmanager
def answering(texts: Mapping[str, str]) -> Iterator[str]:
    """Run a server that answers these paths with texts, and every other one with 404; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = texts.get(self.path)
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()
