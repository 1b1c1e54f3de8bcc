"""TCP connections: hypercorn's server for one of them, and the loop that accepts them.

hypercorn's own loop is left aside for three reasons. It lets an exception in one connection end the process; it shields
writes from cancellation, so that a peer that reads nothing holds its task for ever; and it goes on to gather a WebSocket
message after it has refused it for its size. Here a failed connection is logged and dropped, a write that takes longer than
two seconds ends its connection, and so does a message that is too large.

Messages are compressed for clients that offer it (RFC 7692), which browsers do.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
import trio
from hypercorn import Config
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

log = structlog.get_logger("atrium.http")

WRITE_TIMEOUT = 2.0
"""Seconds that one write may wait for a peer that does not read; LiveKit allows as much."""
PING_INTERVAL = 10.0
"""Seconds between WebSocket PINGs, which keep address translators from forgetting a silent client."""
KEEP_ALIVE_TIMEOUT = 15.0
"""Seconds for a request line and headers to arrive, and between the requests of a connection."""
SILENCE_TIMEOUT = 130
"""Seconds without a byte from the peer until its connection ends: more than any answer takes, and WebSockets have PINGs
to answer."""
MAX_HEADER_BYTES = 128 << 10
"""A join request carries an uncompressed SDP offer in its query: some 20 KiB, and more with many media sections."""
DEAD_PEER_TIMEOUT_MS = 30_000
"""How long sent bytes may stay unacknowledged; finds peers that vanished, since PINGs are sent."""
READ_BYTES = 1 << 14
"""Read at one go: a WebSocket client may compress, and so much can become a thousand times as much."""
TOO_LARGE_TIMEOUT = 1.0
"""Seconds for a peer whose message was too large to read so."""
BACKLOG = 1024
_CLOSE, _MESSAGE_TOO_BIG = b"\x88", (1009).to_bytes(2, "big")


def http_config(*, max_message_bytes: int) -> Config:
    """hypercorn's settings."""
    config = Config()
    config.h11_max_incomplete_size = MAX_HEADER_BYTES
    config.keep_alive_timeout = KEEP_ALIVE_TIMEOUT
    config.read_timeout = SILENCE_TIMEOUT
    config.websocket_ping_interval = PING_INTERVAL
    config.websocket_max_message_size = max_message_bytes
    config.include_server_header = False
    config.accesslog = None  # it would write tokens, which come in the query
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def listen(address: str, port: int) -> socket.socket:
    """A listening TCP socket; `::` takes IPv4 as well. Raises OSError."""
    is_v6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if is_v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # this and the next pass on to accepted sockets
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT_MS)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


async def serve_connections(app: Any, config: Config, sockets: Sequence[socket.socket]) -> None:
    """Accept and serve until cancelled."""
    wrapped, context = ASGIWrapper(app), WorkerContext(None)
    writes: set[trio.CancelScope] = set()

    async def handle(stream: trio.SocketStream) -> None:
        await _Connection(writes, wrapped, config, context, ConnectionState({}), stream).run()

    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
    async with trio.open_nursery() as nursery:
        try:
            await trio.serve_listeners(handle, listeners, handler_nursery=nursery)
        finally:
            for scope in writes:
                scope.shield = False  # the end waits for nobody who does not read


class _Connection(TCPServer):  # type: ignore[misc]
    """One connection."""

    def __init__(self, writes: set[trio.CancelScope], *rest: Any) -> None:
        super().__init__(*rest)
        self._writes = writes
        self._is_too_large = False

    async def run(self) -> None:
        with trio.CancelScope() as self._scope:
            try:
                await super().run()
            except Exception:
                log.exception("connection failed")

    async def protocol_send(self, event: Any) -> None:
        if isinstance(event, RawData):
            self._is_too_large = event.data[:1] == _CLOSE and event.data[2:4] == _MESSAGE_TOO_BIG
            await self._write(event.data)
            return
        await super().protocol_send(event)
        if isinstance(event, Closed):
            self._scope.cancel()  # nothing of it may go on, such as an application that has not read its request

    async def _read_data(self) -> None:
        """hypercorn would go on to gather a message after it has called it too large."""
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError, trio.TooSlowError):
            while not self._is_too_large:
                with trio.fail_after(SILENCE_TIMEOUT):
                    data = await self.stream.receive_some(READ_BYTES)
                await self.protocol.handle(RawData(bytes(data)))
                if not data:
                    break
            with trio.move_on_after(TOO_LARGE_TIMEOUT):
                while self._is_too_large and await self.stream.receive_some(READ_BYTES):
                    pass  # unread bytes would have the peer's socket lose what was sent to it
        await self.protocol.handle(Closed())
        if self._is_too_large:
            self._scope.cancel()

    async def _write(self, data: bytes) -> None:
        """Whole or not at all, even if the writer is cancelled: half a frame would garble all that follows."""
        async with self.send_lock:
            with trio.CancelScope(deadline=trio.current_time() + WRITE_TIMEOUT, shield=True) as scope:
                self._writes.add(scope)
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                    # Busy: the end of the stream is being sent by whoever closes the connection.
                    await self.protocol.handle(Closed())
                    return
                finally:
                    self._writes.discard(scope)
        if scope.cancelled_caught:
            log.info("write timed out")
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())
