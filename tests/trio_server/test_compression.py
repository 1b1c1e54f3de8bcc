"""WebSocket clients that offer compression (RFC 7692), as browsers do."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypercorn.protocol import ws_stream
from server_rig import Server, server
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Message, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

pytestmark = pytest.mark.net

LIMIT = 1 << 20
"""`limit.max_signal_message_size`."""


class Peer:
    """A client on wsproto."""

    def __init__(self, stream: trio.SocketStream, extension: PerMessageDeflate | None) -> None:
        self.stream = stream
        self.machine = WSConnection(ConnectionType.CLIENT)
        self.extension = extension
        self.sent_bytes = self.received_bytes = 0

    async def connect(self, host: str) -> AcceptConnection:
        extensions = [] if self.extension is None else [self.extension]
        await self.send(Request(host=host, target="/rtc?access_token=good", extensions=extensions))
        answer = await self.next()
        assert isinstance(answer, AcceptConnection)
        return answer

    async def send(self, event: Event) -> None:
        await self.write(self.machine.send(event))

    async def write(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        await self.stream.send_all(data)

    async def write_all(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            await self.write(part)
            await trio.sleep(0.001)

    async def next(self) -> Event:
        with trio.fail_after(5):
            while True:
                for event in self.machine.events():
                    if not isinstance(event, Ping):
                        return event
                data = await self.stream.receive_some()
                self.received_bytes += len(data)
                self.machine.receive_data(data or None)

    async def message(self) -> bytes:
        """A whole message; text as UTF-8."""
        parts: list[bytes] = []
        while True:
            event = await self.next()
            assert isinstance(event, Message), event
            parts.append(bytes(event.data) if isinstance(event, BytesMessage) else event.data.encode())
            if event.message_finished:
                return b"".join(parts)


@asynccontextmanager
async def peer(here: Server, extension: PerMessageDeflate | None) -> AsyncIterator[Peer]:
    async with await trio.open_tcp_stream("127.0.0.1", here.running.port) as stream:
        yield Peer(stream, extension)


OFFERS = [
    pytest.param(PerMessageDeflate(), id="both windows"),
    pytest.param(PerMessageDeflate(client_no_context_takeover=True, server_no_context_takeover=True), id="no context"),
    pytest.param(PerMessageDeflate(client_max_window_bits=9, server_max_window_bits=9), id="small windows"),
]


@pytest.mark.parametrize("extension", OFFERS)
async def test_messages_pass_both_ways_compressed(extension: PerMessageDeflate) -> None:
    async with server() as here, peer(here, extension) as client:
        accepted = await client.connect("127.0.0.1")
        assert [found.name for found in accepted.extensions] == ["permessage-deflate"]
        assert await client.message() == b"join"
        before = (client.sent_bytes, client.received_bytes)
        for message in ("offer " * 5000, b"\x00\x01" * 20_000, "", b"", "ünïcödé " * 1000):
            await client.send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))
            assert await client.message() == (message.encode() if isinstance(message, str) else message)
        assert client.sent_bytes - before[0] < 2000
        assert client.received_bytes - before[1] < 2000


async def test_a_message_may_come_in_several_frames() -> None:
    async with server() as here, peer(here, PerMessageDeflate()) as client:
        await client.connect("127.0.0.1")
        await client.message()
        for part, is_last in ((b"one " * 100, False), (b"two " * 100, False), (b"three", True)):
            await client.send(BytesMessage(part, message_finished=is_last))
        assert await client.message() == b"one " * 100 + b"two " * 100 + b"three"


async def test_who_offers_nothing_gets_plain_messages() -> None:
    async with server() as here, peer(here, None) as client:
        assert (await client.connect("127.0.0.1")).extensions == []
        assert await client.message() == b"join"
        await client.send(TextMessage("x" * 1000))
        assert await client.message() == b"x" * 1000
        assert client.received_bytes > 1000


def frame(first: int, payload: bytes) -> bytes:
    """By hand, as no library sends on after a close. Masked with zeros."""
    return bytes([first, 0xFF]) + len(payload).to_bytes(8, "big") + bytes(4) + payload


def endless(is_compressed: bool) -> Iterator[bytes]:
    """The frames of a message that has no end: each a mebibyte of zeros."""
    deflate = zlib.compressobj(wbits=-15)
    first = 0x42 if is_compressed else 0x02
    while True:
        payload = bytes(1 << 20)
        if is_compressed:
            payload = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
        yield frame(first, payload)
        first = 0


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
async def test_a_message_without_end_ends_the_connection(is_compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the first too many is not even unpacked."""
    unpacked: list[int] = []
    gather = ws_stream.WebsocketBuffer.extend

    def counted(self: ws_stream.WebsocketBuffer, event: BytesMessage) -> None:
        unpacked.append(len(event.data))
        gather(self, event)

    monkeypatch.setattr(ws_stream.WebsocketBuffer, "extend", counted)
    async with server() as here, peer(here, PerMessageDeflate()) as client:
        await client.connect("127.0.0.1")
        await client.message()
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await client.write_all(endless(is_compressed))
        with trio.fail_after(5):
            while "disconnect" not in here.core.names():
                await trio.sleep(0.01)
        assert "message" not in here.core.names()
        assert sum(unpacked) < 20 * LIMIT


async def test_who_sends_too_much_at_once_is_told_so() -> None:
    async with server() as here, peer(here, PerMessageDeflate()) as client:
        await client.connect("127.0.0.1")
        await client.message()
        await client.send(BytesMessage(bytes(5 * LIMIT)))
        closed = await client.next()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1009


async def test_what_is_no_deflate_ends_the_connection() -> None:
    async with server() as here, peer(here, PerMessageDeflate()) as client:
        await client.connect("127.0.0.1")
        await client.message()
        await client.write(b"\xc1\x84\0\0\0\0\xff\xff\xff\xff")
        closed = await client.next()
        assert isinstance(closed, CloseConnection)
        assert "message" not in here.core.names()
