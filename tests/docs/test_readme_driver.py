"""The driver in the README, on real sockets, with two clients of the simulator whose signalling is handed over directly."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import pytest
from doc_blocks import ROOT, blocks_in
from server_process import free_port

from sansio import Accept, Close, Command, Config, Reject, Respond, Send, SessionId
from sansio.auth import Claims, VideoGrant, mint
from sansio.dtls import Certificate
from sansio.sim import AudioSink, Client, CloseSocket, OpenSocket, SendFrame, TrackOptions

pytestmark = pytest.mark.net

KEY, SECRET = "key", "a secret of this test, of 32 characters or more"
WAIT = 15.0
AUDIO_FRAMES = 25

Driver: TypeAlias = Any
"""The README's class; it has no types."""


def readme() -> dict[str, Any]:
    """What the README's Python defines."""
    [block] = blocks_in(ROOT / "README.md", "python")
    namespace: dict[str, Any] = {}
    exec(compile(block.text, "README.md", "exec"), namespace)
    return namespace


class Caller(asyncio.DatagramProtocol):
    """One client of the simulator on a socket of its own."""

    def __init__(self, identity: str, session: int, driver: Driver) -> None:
        self.loop = asyncio.get_running_loop()
        self.identity = identity
        self.session = SessionId(session)
        self.driver = driver
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        now = time.time()
        grant = VideoGrant(room_join=True, room="demo")
        claims = Claims(issuer=KEY, identity=self.identity, video=grant, expires_at=now + 600)
        self.udp, self.local = transport, transport.get_extra_info("sockname")
        self.client = Client(
            identity=self.identity,
            token=mint(claims, SECRET, wallclock=now),
            address=self.local,
            entropy=os.urandom,
            certificate=Certificate.generate(now),
        )

    def datagram_received(self, data: bytes, remote: tuple[str, int]) -> None:
        self.do(self.client.handle_datagrams, [(self.local, remote, data)])

    def do(self, verb: Callable[..., object], *what: object) -> None:
        verb(self.loop.time(), *what)
        for batch in self.client.poll_transmits():
            for out in batch:
                self.udp.sendto(out.data, out.remote)
        for command in self.client.poll_commands():
            self.request(command)
        self.client.poll_events()
        if self.timer is not None:
            self.timer.cancel()
        due = self.client.poll_timeout()
        self.timer = None if due is None else self.loop.call_at(due, self.do, self.client.handle_timeout)

    def request(self, command: OpenSocket | SendFrame | CloseSocket) -> None:
        """Hand signalling to the node; not at once, since this may be called from within its driver."""
        node = self.driver.node
        match command:
            case OpenSocket(request):
                self.loop.call_soon(self.driver.feed, node.handle_connect, self.session, request)
            case SendFrame(frame):
                self.loop.call_soon(self.driver.feed, node.handle_message, self.session, frame)
            case CloseSocket():
                self.loop.call_soon(self.driver.feed, node.handle_disconnect, self.session)

    def answer(self, command: Accept | Reject | Send | Close) -> None:
        """Hand the node's signalling to the client."""
        match command:
            case Accept():
                self.do(self.client.handle_accepted)
            case Send(_, frame):
                assert isinstance(frame, bytes)
                self.do(self.client.handle_frame, frame)
            case Reject(status=status, body=body):
                self.do(self.client.handle_rejected, status, body)
            case Close():
                self.do(self.client.handle_socket_closed)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.01)


async def call(check: Callable[[Driver, Caller, Caller], Awaitable[None]]) -> None:
    """Run the README's driver and two clients that have joined, and let `check` look."""
    loop = asyncio.get_running_loop()
    callers: dict[SessionId, Caller] = {}

    def perform(command: Command) -> None:
        assert not isinstance(command, Respond)
        loop.call_soon(callers[command.session].answer, command)

    driver = await readme()["start"](Config(keys={KEY: SECRET}), perform, free_port(socket.SOCK_DGRAM))
    for number, identity in enumerate(("alice", "bob"), 1):
        make_caller = partial(Caller, identity, number, driver)
        _, caller = await loop.create_datagram_endpoint(make_caller, ("127.0.0.1", 0))
        callers[caller.session] = caller
        caller.do(caller.client.join)
    alice, bob = callers.values()
    try:
        await until(lambda: alice.client.is_connected and bob.client.is_connected)
        await check(driver, alice, bob)
    finally:
        driver.feed(driver.node.close)
        for each in (*callers.values(), driver):
            if each.timer is not None:
                each.timer.cancel()
            each.udp.close()


async def _hear(driver: Driver, alice: Caller, bob: Caller) -> None:
    alice.do(
        alice.client.publish,
        TrackOptions(name="microphone", source=2, fps=50, frames=AUDIO_FRAMES, wait_for_subscriber=True),
    )
    await until(lambda: sum(sink.frames for sink in bob.client.sinks("alice", "audio")) >= AUDIO_FRAMES)
    assert all(isinstance(sink, AudioSink) for sink in bob.client.sinks("alice"))


async def _message(driver: Driver, alice: Caller, bob: Caller) -> None:
    await until(lambda: alice.client.is_data_ready and bob.client.is_data_ready)
    alice.do(lambda now: alice.client.send_data(now, b"hello", topic="chat"))
    await until(lambda: bob.client.inbox.messages)
    [received] = bob.client.inbox.messages
    assert (received.payload, received.topic, received.sender) == (b"hello", "chat", "alice")


async def _leave(driver: Driver, alice: Caller, bob: Caller) -> None:
    alice.do(alice.client.leave)
    await until(lambda: not bob.client.view.participants)
    assert driver.node.stats()["participants"] == 1


@pytest.mark.parametrize("check", [_hear, _message, _leave], ids=["hear", "message", "leave"])
def test_two_clients_meet_on_the_driver_of_the_readme(
    check: Callable[[Driver, Caller, Caller], Awaitable[None]],
) -> None:
    asyncio.run(call(check))


def test_the_driver_is_about_forty_lines() -> None:
    [block] = blocks_in(ROOT / "README.md", "python")
    lines = [line for line in block.text.splitlines() if line.strip()]
    assert len(lines) <= 42
