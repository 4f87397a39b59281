"""A proxy that refuses, or cannot be reached, is named; the server behind it is not blamed."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from http_answers import raw_answer
from recording import SWEEP, start

from sweeps.errors import TrackingError
from sweeps.storage.outbox import Outbox
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.failures import reason
from sweeps.tracking.proxy import proxy_for
from sweeps.tracking.uri import check_server

SERVER = "http://mlflow.example:5000"
"""Behind the proxy: nothing looks this name up."""


class Refusing(BaseHTTPRequestHandler):
    """A proxy that answers every request itself."""

    status, headers_sent = 407, {"Proxy-Authenticate": "Basic"}

    def do_GET(self) -> None:
        self.send_response(self.status)
        for key, value in self.headers_sent.items():
            self.send_header(key, value)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://me:secret@127.0.0.1:{server.server_port}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        yield address.replace("me:secret", "***")
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "headers", "complaint"),
    [
        (407, {}, r"\(http_proxy\) refuses requests to it \(407\): .* or put user and password into http_proxy"),
        (
            403,
            {"Via": "1.1 corporate"},
            r"\(http_proxy\) refuses requests to it \(403\): add mlflow.example to NO_PROXY",
        ),
        (403, {}, r"\(http_proxy\), or what is behind it, refuses requests to it \(403\)"),
        (503, {"X-Squid-Error": "ERR_DNS_FAIL"}, r"\(http_proxy\) refuses requests to it \(503\)"),
    ],
)
def test_a_refusal_by_a_proxy_is_named_as_the_proxys(
    proxy: str, status: int, headers: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Refusing, "status", status)
    monkeypatch.setattr(Refusing, "headers_sent", headers)
    with pytest.raises(TrackingError, match=complaint) as refusal:
        check_server(SERVER)
    assert f"MLflow at {SERVER} was not asked: the proxy {proxy} " in str(refusal.value)


def test_a_tunnel_that_is_refused_is_named_as_the_proxys(proxy: str) -> None:
    with pytest.raises(TrackingError, match=r"\(https_proxy\) refuses connections to it \(407"):
        check_server(SERVER.replace("http:", "https:"))


def test_a_proxy_that_does_not_answer_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"the proxy http://127.0.0.1:9 \(http_proxy\) cannot be reached"):
        check_server(SERVER)


def test_a_server_that_is_reached_without_the_proxy_is_itself_to_blame(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert proxy_for("http://127.0.0.1:9") is None
    with pytest.raises(TrackingError, match=r"no MLflow server answers at http://127\.0\.0\.1:9"):
        check_server("http://127.0.0.1:9")


def test_a_proxy_that_refuses_in_the_middle_of_a_sweep_is_named(
    proxy: str, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.append(start())
    assert Delivery(outbox, SERVER, SWEEP).close(1) == 1
    assert f"the proxy {proxy} (http_proxy) refuses requests to it (407)" in caplog.text


def test_a_server_that_refuses_without_a_proxy_says_so_itself() -> None:
    assert reason(raw_answer(403), "http://127.0.0.1:5000").startswith("API request to endpoint")
