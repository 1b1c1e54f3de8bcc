"""WebSocket sessions over an ASGI connection in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from fake_core import FakeCore

from sansio.errors import DropReason
from sansio.outputs import Batch, Close, HttpRequest, Send
from trio_server.engine import Engine
from trio_server.websocket import CLOSE_TIMEOUT, VERDICT_TIMEOUT, Message, WebSocketSession


class NoUdp:
    def send(self, batch: Batch) -> None:
        raise AssertionError

    def poll_drops(self) -> dict[DropReason, int]:
        return {}


class Peer:
    """The ASGI server's side of one WebSocket."""

    def __init__(self, path: str = "/rtc", query: dict[str, str] | None = None, *, max_messages: int = 10) -> None:
        self.core = FakeCore()
        self.engine = Engine(self.core, NoUdp(), lambda _: None)
        request = HttpRequest(method="GET", path=path, query=query or {})
        self.session = WebSocketSession(self.engine, request, max_messages=max_messages)
        self.sent: list[Any] = []
        self.stalled = False
        self._to_app, self._from_server = trio.open_memory_channel[Message](100)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Runs the session until the end of the block; it must end by itself."""
        async with trio.open_nursery() as nursery:
            await self.tell("websocket.connect")
            nursery.start_soon(self.session.run, self._from_server.receive, self._send)
            await trio.testing.wait_all_tasks_blocked()
            yield

    async def tell(self, what: str, **fields: object) -> None:
        await self._to_app.send({"type": what, **fields})
        await trio.testing.wait_all_tasks_blocked()

    async def _send(self, message: Message) -> None:
        if self.stalled:
            await trio.sleep_forever()
        self.sent.append(tuple(message.values()))


async def test_accept_comes_before_the_first_frame() -> None:
    peer = Peer()
    async with peer.connected():
        assert peer.sent == [("websocket.accept",), ("websocket.send", b"join")]
        await peer.tell("websocket.disconnect", code=1000)


async def test_messages_of_both_kinds_go_both_ways() -> None:
    peer = Peer()
    async with peer.connected():
        await peer.tell("websocket.receive", bytes=b"binary", text=None)
        await peer.tell("websocket.receive", bytes=None, text="text")
        await peer.tell("websocket.receive", bytes=b"", text=None)
        await peer.tell("websocket.disconnect", code=1000)
    assert peer.sent[2:] == [("websocket.send", b"binary"), ("websocket.send", "text"), ("websocket.send", b"")]


async def test_a_refusal_is_a_plain_response() -> None:
    peer = Peer(query={"access_token": "bad"})
    async with peer.connected():
        pass
    (start, body) = peer.sent
    assert start[:2] == ("websocket.http.response.start", 401)
    assert (b"content-length", b"13") in start[2]
    assert body == ("websocket.http.response.body", b"invalid token")
    assert peer.core.names() == ["connect"]


async def test_a_peer_that_goes_while_it_waits_for_the_verdict() -> None:
    peer = Peer(path="/slow")
    peer.core.silent_paths.add("/slow")
    async with peer.connected():
        await peer.tell("websocket.disconnect", code=1006)
    assert peer.sent == []
    assert peer.core.names() == ["connect", "disconnect"]


async def test_without_a_verdict_the_upgrade_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer(path="/slow")
    peer.core.silent_paths.add("/slow")
    start = trio.current_time()
    async with peer.connected():
        pass
    assert trio.current_time() - start == pytest.approx(VERDICT_TIMEOUT)
    assert peer.sent[0][:2] == ("websocket.http.response.start", 503)
    assert peer.core.names() == ["connect", "disconnect"]


async def test_close_follows_the_last_message_and_waits_for_the_peer(autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer()
    start = trio.current_time()
    async with peer.connected():
        await peer.tell("websocket.receive", bytes=b"leave")
        assert peer.sent[-2:] == [("websocket.send", b"bye"), ("websocket.close", 1000, "")]
        await trio.sleep(0.25)
        await peer.tell("websocket.disconnect", code=1000)
    assert trio.current_time() - start == pytest.approx(0.25)
    assert "disconnect" not in peer.core.names()


async def test_a_peer_that_does_not_answer_the_close_is_left(autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer()
    start = trio.current_time()
    async with peer.connected():
        await peer.tell("websocket.receive", bytes=b"leave")
    assert trio.current_time() - start == pytest.approx(CLOSE_TIMEOUT)


async def test_a_reason_travels_with_the_close(autojump_clock: trio.testing.MockClock) -> None:
    peer = Peer()
    async with peer.connected():
        session = next(iter(peer.core.sessions))
        peer.core.commands.append(Close(session=session, code=1001, reason="moving"))
        peer.engine.flush()
        await trio.testing.wait_all_tasks_blocked()
    assert peer.sent[-1] == ("websocket.close", 1001, "moving")


async def test_an_outbox_that_overflows_ends_the_session() -> None:
    peer = Peer(max_messages=5)
    async with peer.connected():
        peer.stalled = True
        await peer.tell("websocket.receive", bytes=b"flood")
        assert peer.core.names() == ["connect", "message", "disconnect"]
        await peer.tell("websocket.disconnect", code=1006)
    assert len(peer.sent) == 2


async def test_an_outbox_is_bounded_in_bytes_too() -> None:
    peer = Peer(max_messages=10_000)
    async with peer.connected():
        peer.stalled = True
        await peer.tell("websocket.receive", bytes=b"flood")
        assert peer.core.names()[-1] == "disconnect"
        await peer.tell("websocket.disconnect", code=1006)


async def test_room_in_the_outbox_comes_back_as_it_is_read() -> None:
    peer = Peer(max_messages=3)
    async with peer.connected():
        session = next(iter(peer.core.sessions))
        for _ in range(20):
            peer.core.commands.append(Send(session, b"x"))
            peer.engine.flush()
            await trio.testing.wait_all_tasks_blocked()
        assert peer.sent.count(("websocket.send", b"x")) == 20
        await peer.tell("websocket.disconnect", code=1000)


async def test_the_end_of_the_server_is_told_to_the_core() -> None:
    peer = Peer()
    with trio.CancelScope() as scope:
        async with peer.connected():
            scope.cancel()
    assert peer.core.names() == ["connect", "disconnect"]
    await peer.engine.wait_all_over()
