"""The HTTP side: what is the driver's in it, and the way to the core for all else.

The core answers requests with status, body and content type. Around that, for every answer alike, refusals included: any
origin is allowed (a browser that may not read a 401 takes it for a dead server), preflights are answered here, a doubled
leading slash is collapsed (clients join base URL and path naively), HEAD is a GET without its body, bodies have a limit.
`/demo` serves the demo's files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount

from sansio import HttpRequest

from . import demo
from .engine import Engine
from .websocket import Receive, Send, WebSocketSession

BODY_TIMEOUT = 30.0
"""Seconds for a request body to arrive."""
ANSWER_TIMEOUT = 120.0
"""Seconds for the core to answer; above every timeout of its own."""
METHODS = "OPTIONS, HEAD, GET, POST, PATCH, DELETE"
HTTP_VERSIONS = ("1.0", "1.1", "2")
WEBSOCKET_PATHS = frozenset({"/rtc", "/rtc/v1", "/agent"})

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_app(
    engine: Engine,
    *,
    max_body_bytes: int,
    max_outbox_messages: int,
    static: Path = demo.STATIC,
    demo_keys: Mapping[str, str] | None = None,
) -> App:
    """The ASGI application. With `demo_keys` the demo page can ask for tokens; for development only."""
    gateway = Gateway(engine, max_body_bytes=max_body_bytes, max_outbox_messages=max_outbox_messages)
    app = Starlette(routes=[*demo.routes(static, demo_keys), Mount("/", app=gateway)])
    return Front(app)


class Front:
    """Outermost: slashes, preflights, and the headers that every answer carries."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope_headers(scope)
        cors = _cors(headers)
        if scope["http_version"] not in HTTP_VERSIONS:
            await PlainTextResponse("HTTP version not supported", 505, headers=cors)(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=cors | _preflight(headers))(scope, receive, send)
            return
        if scope["path"].startswith("//"):
            scope = {**scope, "path": scope["path"][1:], "raw_path": scope.get("raw_path", b"")[1:]}

        async def send_with_cors(message: MutableMapping[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                added = [(name.lower().encode(), value.encode("latin-1")) for name, value in cors.items()]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        await self._app(scope, receive, send_with_cors)


class Gateway:
    """Requests and upgrades that the core answers."""

    def __init__(self, engine: Engine, *, max_body_bytes: int, max_outbox_messages: int) -> None:
        self._engine = engine
        self._max_body_bytes = max_body_bytes
        self._max_outbox_messages = max_outbox_messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._upgrade(scope, receive, send)
        else:
            response = await self._answer(scope, receive)
            await response(scope, receive, send)

    async def _upgrade(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in WEBSOCKET_PATHS:
            await receive()
            await PlainTextResponse("404 page not found\n", 404)(scope, receive, send)
            return
        session = WebSocketSession(self._engine, http_request(scope), max_messages=self._max_outbox_messages)
        await session.run(receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        with trio.move_on_after(BODY_TIMEOUT) as reading:
            body = await self._body(scope, receive)
        if reading.cancelled_caught:
            return PlainTextResponse("request body did not arrive", 408, headers={"connection": "close"})
        if body is None:
            return PlainTextResponse("request body too large", 413, headers={"connection": "close"})
        with trio.move_on_after(ANSWER_TIMEOUT):
            answer = await self._engine.request(http_request(scope, body))
            return Response(answer.body, answer.status, headers={"content-type": answer.content_type})
        return PlainTextResponse("no answer in time", 504)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, or None if it is longer than allowed."""
        said = scope_headers(scope).get("content-length", "")
        if said.isdecimal() and int(said) > self._max_body_bytes:
            return None
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            more = message.get("more_body", False)
        return bytes(body)


def http_request(scope: Scope, body: bytes = b"") -> HttpRequest:
    """What the core sees of a request."""
    client = scope.get("client")
    method = scope.get("method", "GET")
    return HttpRequest(
        method="GET" if method == "HEAD" else method,
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=scope_headers(scope),
        body=body,
        remote=client[0].removeprefix("::ffff:") if client else "",
    )


def scope_headers(scope: Scope) -> dict[str, str]:
    """Header names in lower case; repeated ones joined (RFC 9110 §5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _cors(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": headers.get("origin", "*"),
        "Access-Control-Expose-Headers": "*",
        "Vary": "Origin",
    }


def _preflight(headers: Mapping[str, str]) -> dict[str, str]:
    answer = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": "86400"}
    if wanted := headers.get("access-control-request-headers"):
        answer["Access-Control-Allow-Headers"] = wanted
    if headers.get("access-control-request-private-network") == "true":
        answer["Access-Control-Allow-Private-Network"] = "true"
    return answer
