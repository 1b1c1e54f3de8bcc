"""One WebSocket, client or agent worker alike: a reader, a writer and a bounded outbox.

The upgrade is decided by the core before anything is answered: the request waits for `accept` or `reject`, and a refusal
leaves as a plain HTTP response (ASGI extension `websocket.http.response`), so that clients can read the status. After
that the reader hands each message to the engine at once, and the writer sends what the engine queues, in order.

    waiting --accept--> open --close--> closing --peer's close, or 1 s--> over
       |                 '--peer gone, outbox full--> over
       '--reject, peer gone, no verdict--> over

PING frames every ten seconds and the deadline of a write belong to the connection below (`connection.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import attrs
import structlog
import trio

from sansio import HttpRequest, SessionId

from .engine import Engine

log = structlog.get_logger("atrium.http")

VERDICT_TIMEOUT = 15.0
"""Seconds that the core may think about an upgrade; clients wait no longer than that."""
CLOSE_TIMEOUT = 1.0
"""Seconds for the peer to answer our close frame, so that what was sent before is read before the socket goes."""
MAX_OUTBOX_BYTES = 16 << 20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@attrs.frozen
class _Accept:
    pass


@attrs.frozen
class _Reject:
    status: int
    body: str


@attrs.frozen
class _Close:
    code: int
    reason: str


class WebSocketSession:
    """Runs one WebSocket; the engine sees it as an Outlet."""

    def __init__(self, engine: Engine, request: HttpRequest, *, max_messages: int) -> None:
        self._engine = engine
        self._request = request
        self._max_messages = max_messages
        self._outbox: deque[_Accept | _Reject | _Close | bytes | str] = deque()
        self._outbox_bytes = 0
        self._wake = trio.Event()

    async def run(self, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        session = self._engine.connect(self, self._request)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope, send)
                await self._read(session, receive)
                nursery.cancel_scope.cancel()  # nobody is left to write to
        except* Exception as errors:  # hypercorn's, when the peer broke the handshake
            log.info("connection failed", error=repr(errors.exceptions[0]))
        finally:
            self._engine.over(session)

    # Outlet

    def accept(self, frames: Sequence[bytes | str]) -> None:
        self._queue(_Accept())
        for frame in frames:
            self.send(frame)

    def reject(self, status: int, body: str) -> None:
        self._queue(_Reject(status, body))

    def send(self, frame: bytes | str) -> bool:
        if len(self._outbox) >= self._max_messages or self._outbox_bytes > MAX_OUTBOX_BYTES:
            self._outbox.clear()  # nobody reads it
            return False
        self._outbox_bytes += len(frame)
        self._queue(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        self._queue(_Close(code, reason))

    # Private

    def _queue(self, item: _Accept | _Reject | _Close | bytes | str) -> None:
        self._outbox.append(item)
        self._wake.set()

    async def _read(self, session: SessionId, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            data = message.get("bytes")
            self._engine.message(session, message.get("text") or "" if data is None else data)

    async def _write(self, end: trio.CancelScope, send: Send) -> None:
        """Writes until the session is closed or refused, then ends it."""
        with trio.move_on_after(VERDICT_TIMEOUT) as verdict:
            await self._next()
        if verdict.cancelled_caught:
            self._queue(_Reject(503, "no answer in time"))
        while True:
            match item := self._outbox.popleft():
                case bytes():
                    self._outbox_bytes -= len(item)
                    await send({"type": "websocket.send", "bytes": item})
                case str():
                    self._outbox_bytes -= len(item)
                    await send({"type": "websocket.send", "text": item})
                case _Accept():
                    await send({"type": "websocket.accept"})
                case _Reject():
                    await _refuse(send, item)
                    break
                case _Close():
                    await send({"type": "websocket.close", "code": item.code, "reason": item.reason})
                    await trio.sleep(CLOSE_TIMEOUT)
                    break
            await self._next()
        end.cancel()

    async def _next(self) -> None:
        while not self._outbox:
            self._wake = trio.Event()
            await self._wake.wait()


async def _refuse(send: Send, refusal: _Reject) -> None:
    body = refusal.body.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
