"""The HTTP proxy between this machine and a server: whether there is one, and whether it is what refuses."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

FIRST_ERROR = 400
OF_THE_SERVER = (401, 404)
"""Refusals that no proxy gives in its own name."""

ASKS_FOR_PASSWORD = 407
SIGNS = re.compile(r"^(proxy-|x-squid|x-cache|via$)", re.IGNORECASE)
"""Headers of answers that a proxy gave or passed on."""

TUNNEL = re.compile(r"Tunnel connection failed: ([^'\")]+)")
PROXY_FAILED = re.compile(r"ProxyError|Unable to connect to proxy|Cannot connect to proxy")


@dataclass(frozen=True)
class Proxy:
    """A proxy, the environment variable that names it, and the host of the server behind it."""

    address: str
    variable: str
    host: str

    def sentence(self, complaint: str, *, is_certain: bool = True) -> str:
        """Return in words that the proxy refuses, and what can be done about it."""
        cure = f"add {self.host} to NO_PROXY if it can be reached without one"
        if str(ASKS_FOR_PASSWORD) in complaint:
            cure += f", or put user and password into {self.variable}"
        other = "" if is_certain else ", or what is behind it,"
        return f"the proxy {self.address} ({self.variable}){other} {complaint}: {cure}"


def proxy_for(uri: str) -> Proxy | None:
    """Return the proxy that requests to an address go through, as the environment says; None where they go directly."""
    from requests.utils import get_environ_proxies, select_proxy

    url = urlsplit(uri)
    if url.scheme not in ("http", "https"):
        return None
    address = select_proxy(uri, get_environ_proxies(uri, no_proxy=None))
    return Proxy(address, _variable(url.scheme, address), url.hostname or "") if address else None


def refusal(uri: str, status: int, headers: Mapping[str, str] | None = None) -> str:
    """Return in words that a proxy refused a request; "" when nothing was refused, or there is no proxy."""
    proxy = proxy_for(uri)
    if proxy is None or status < FIRST_ERROR or status in OF_THE_SERVER:
        return ""
    is_certain = status == ASKS_FOR_PASSWORD or any(SIGNS.match(name) for name in headers or {})
    return proxy.sentence(f"refuses requests to it ({status})", is_certain=is_certain)


def breakdown(uri: str, text: str) -> str:
    """Return in words that a proxy cannot be used, by the text of an exception; "" when the text is about no proxy."""
    tunnel = TUNNEL.search(text)
    proxy = proxy_for(uri) if tunnel or PROXY_FAILED.search(text) else None
    if proxy is None:
        return ""
    return proxy.sentence(f"refuses connections to it ({tunnel[1].strip()})" if tunnel else "cannot be reached")


def _variable(scheme: str, address: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name) == address), f"{scheme}_proxy".upper())
