"""The WebSocket of one participant: connects, reads, and writes from a bounded queue."""

from __future__ import annotations

import ssl
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, connect_websocket
from wsproto.utilities import ProtocolError

from sansio import HttpRequest

from .target import Target

CONNECT_TIMEOUT = 15.0
CLOSE_TIMEOUT = 1.0
MOST_WAITING = 512
"""Frames that a slow server may leave unread; beyond that the session is over."""
MOST_MESSAGE_BYTES = 16 << 20
_MOST_REASON = 200


class Owner(Protocol):
    """Whom a session reports to."""

    def accepted(self, seat: int) -> None: ...
    def rejected(self, seat: int, status: int, reason: str) -> None: ...
    def frame(self, seat: int, frame: bytes) -> None: ...
    def closed(self, seat: int) -> None: ...


class Session:
    """One attempt of one participant, from the upgrade to the end of the socket."""

    def __init__(self, owner: Owner, seat: int, target: Target, context: ssl.SSLContext | None) -> None:
        self._owner = owner
        self._seat = seat
        self._target = target
        self._context = context
        self._outbox, self._frames = trio.open_memory_channel[bytes](MOST_WAITING)
        self._scope = trio.CancelScope()

    def send(self, frame: bytes) -> None:
        try:
            self._outbox.send_nowait(frame)
        except trio.WouldBlock:
            self._scope.cancel()

    def close(self) -> None:
        """Close after what was sent before."""
        self._outbox.close()

    async def run(self, request: HttpRequest) -> None:
        """Until the socket is over."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    websocket = await self._connect(nursery, request)
                    if websocket is not None:
                        self._owner.accepted(self._seat)
                        nursery.start_soon(self._write, websocket, nursery.cancel_scope)
                        await self._read(websocket)
                    nursery.cancel_scope.cancel()
        except* ConnectionRejected as errors:  # one with a body comes from the task that reads it
            self._rejected(_leaf(errors))
        except* (ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            # From the task that reads it too: a ping that meets our goodbye, or a connection cut short.
            self._owner.closed(self._seat)
        if self._scope.cancelled_caught:  # the queue was full
            self._owner.closed(self._seat)

    async def _connect(self, nursery: trio.Nursery, request: HttpRequest) -> WebSocketConnection | None:
        headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                return await connect_websocket(
                    nursery,
                    self._target.host,
                    self._target.port,
                    self._target.resource(request.path, request.query),
                    use_ssl=self._context or False,
                    extra_headers=headers,
                    max_message_size=MOST_MESSAGE_BYTES,
                )
        except ConnectionRejected as error:
            self._rejected(error)
        except trio.TooSlowError:
            self._owner.rejected(self._seat, 0, f"no answer in {CONNECT_TIMEOUT:.0f} s")
        except (HandshakeError, OSError, trio.BrokenResourceError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._owner.rejected(self._seat, 0, f"no connection: {reason}")
        return None

    def _rejected(self, error: BaseException) -> None:
        assert isinstance(error, ConnectionRejected)
        body = (error.body or b"").decode(errors="replace").strip()[:_MOST_REASON]
        self._owner.rejected(self._seat, error.status_code, body or "the upgrade was refused")

    async def _read(self, websocket: WebSocketConnection) -> None:
        try:
            while True:
                frame = await websocket.get_message()
                if isinstance(frame, bytes):
                    self._owner.frame(self._seat, frame)
        except ConnectionClosed:
            self._owner.closed(self._seat)

    async def _write(self, websocket: WebSocketConnection, scope: trio.CancelScope) -> None:
        try:
            async for frame in self._frames:
                await websocket.send_message(frame)
            with trio.move_on_after(CLOSE_TIMEOUT):
                await websocket.aclose()
        except ConnectionClosed:
            return  # the reader says so
        scope.cancel()


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is no group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
