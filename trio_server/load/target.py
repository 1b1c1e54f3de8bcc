"""The server to test: its URL, how to reach it, and which signalling it has."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import attrs
import trio

PROBE_TIMEOUT = 10.0
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


class LoadError(Exception):
    """The load test cannot be run; says why, for people."""


@attrs.frozen
class Target:
    """From a URL as LiveKit's clients take it: ws, wss, http or https, with or without a path."""

    url: str
    host: str
    port: int
    path: str
    """Before that of the request; empty, or with a slash in front and none behind."""
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Target:
        """Raises LoadError for what is no such URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise LoadError(f"{url} is no URL: {error}") from error
        if parts.scheme not in _PORTS:
            raise LoadError(
                f"{url} is no URL of a server; it should be like ws://127.0.0.1:7880 or wss://call.example.org"
            )
        if not parts.hostname:
            raise LoadError(f"{url} names no host")
        if port == 0:
            raise LoadError(f"{url} names port 0, where nothing can be reached")
        tls = parts.scheme in ("wss", "https")
        return cls(url, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"), tls)

    @property
    def is_local(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")

    def resource(self, path: str, query: Mapping[str, str]) -> str:
        """The request target. The padding of base64 may stand in a value (RFC 3986 §3.4); to escape it means to look at each of
        some thousand letters."""
        return f"{self.path}{path}?{urlencode(query, safe='=')}"

    def tls_context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.tls else None


@attrs.frozen
class Found:
    """What a look at the server told."""

    local_host: str
    """Our address on the way to it."""
    has_v1: bool
    """Whether it knows clients with one connection."""


async def find(target: Target, token: str) -> Found:
    """Ask the server for something harmless. Raises LoadError if it cannot be reached."""
    try:
        status, local_host = await trio.to_thread.run_sync(_ask, target, token, abandon_on_cancel=True)
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"cannot reach {target.url}: {_reason(error)}") from error
    return Found(local_host, status != 404)


def _ask(target: Target, token: str) -> tuple[int, str]:
    context = target.tls_context()
    connection = (
        http.client.HTTPConnection(target.host, target.port, timeout=PROBE_TIMEOUT)
        if context is None
        else http.client.HTTPSConnection(target.host, target.port, timeout=PROBE_TIMEOUT, context=context)
    )
    try:
        connection.connect()
        local_host = connection.sock.getsockname()[0]
        connection.request("GET", target.path + "/rtc/v1/validate", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status, local_host
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no host of that name"
    if isinstance(error, TimeoutError):
        return f"no answer in {PROBE_TIMEOUT:.0f} s"
    if isinstance(error, http.client.HTTPException):
        return "what answers there does not speak HTTP"
    return getattr(error, "strerror", None) or str(error)
