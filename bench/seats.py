"""Clients of the simulator on sockets, for measurements that need more say in what they send and read than a load test gives."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from math import inf
from urllib.parse import urlencode

import trio
from livekit import api
from process import KEY, SECRET, ServerProcess
from trio_websocket import ConnectionClosed, WebSocketConnection, connect_websocket

from sansio.dtls import Certificate
from sansio.outputs import Address, HttpRequest
from sansio.sim import Client, ClientOptions, OpenSocket, SendFrame

HOST = "127.0.0.1"
MOST_READ = 64
QUEUE_BYTES = 4 << 20
PACKET_BYTES = 1172
"""Of stamped payload, which makes RTP packets of 1,200 bytes before encryption, as the floor counts them."""


class Seat:
    """One client on sockets."""

    def __init__(self, server: ServerProcess, identity: str, *, counts_only: bool) -> None:
        self._server = server
        self._counts_only = counts_only
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        self._udp.bind((HOST, 0))
        self._hearing = trio.CancelScope()
        self._listens_again = trio.Event()
        self._udp.setblocking(False)
        self.local: Address = self._udp.getsockname()
        self.received = 0
        self._wake = trio.Event()
        self._frames_out, self._frames_in = trio.open_memory_channel[bytes](inf)
        self.client = Client(
            identity=identity,
            token=token(identity),
            address=self.local,
            entropy=os.urandom,
            certificate=Certificate.generate(0.0),
            options=ClientOptions(resumes=False),
            ports=1,
        )

    async def run(self, nursery: trio.Nursery) -> None:
        """Join, and live until cancelled."""
        self.client.join(trio.current_time())
        nursery.start_soon(self._read)
        (opened,) = (one for one in self.client.poll_commands() if isinstance(one, OpenSocket))
        websocket = await self._connect(nursery, opened.request)
        self.client.handle_accepted(trio.current_time())
        nursery.start_soon(self._write_frames, websocket)
        nursery.start_soon(self._time)
        with suppress(ConnectionClosed):
            while True:
                frame = await websocket.get_message()
                self.do(partial(self.client.handle_frame, trio.current_time(), frame))

    def is_connected(self) -> bool:
        return self.client.is_connected

    def do(self, act: Callable[[], object]) -> None:
        """Let the client do something, and carry out what it wants."""
        act()
        for command in self.client.poll_commands():
            if isinstance(command, SendFrame):
                self._frames_out.send_nowait(command.frame)
        for batch in self.client.poll_transmits():
            for _, remote, data in batch:
                with suppress(OSError):
                    self._udp.sendto(data, remote)
        self.client.poll_events()
        self._wake.set()

    async def _connect(self, nursery: trio.Nursery, request: HttpRequest) -> WebSocketConnection:
        resource = f"{request.path}?{urlencode(request.query)}"
        headers = [(name, value.encode()) for name, value in request.headers.items()]
        return await connect_websocket(nursery, HOST, self._server.port, resource, use_ssl=False, extra_headers=headers)

    async def _write_frames(self, websocket: WebSocketConnection) -> None:
        async for frame in self._frames_in:
            await websocket.send_message(frame)

    async def _time(self) -> None:
        while True:
            at = self.client.poll_timeout()
            with trio.move_on_at(inf if at is None else at):
                self._wake = trio.Event()
                await self._wake.wait()
            at = self.client.poll_timeout()
            if at is not None and at <= trio.current_time():
                self.do(partial(self.client.handle_timeout, trio.current_time()))

    def deafen(self) -> None:
        """Read nothing until `listen`, with the smallest queue, as the sockets of the floor: to read costs the server too, as
        each of its datagrams then wakes this process, and so does filling a queue with memory that nothing has touched."""
        self._hearing.cancel()
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def listen(self) -> None:
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        self._listens_again.set()

    async def _read(self) -> None:
        while True:
            self._listens_again = trio.Event()
            with trio.CancelScope() as self._hearing:
                await self._hear()
            await self._listens_again.wait()

    async def _hear(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._udp)
            batch = []
            with suppress(BlockingIOError):
                for _ in range(MOST_READ):
                    data, remote = self._udp.recvfrom(2048)
                    if 128 <= data[0] < 192 and not 192 <= data[1] <= 223:
                        self.received += 1
                        if self._counts_only:
                            continue
                    batch.append((self.local, remote, data))
            if batch:
                self.do(partial(self.client.handle_datagrams, trio.current_time(), batch))


def token(identity: str) -> str:
    made = api.AccessToken(KEY, SECRET).with_identity(identity).with_ttl(timedelta(minutes=30))
    jwt: str = made.with_grants(api.VideoGrants(room_join=True, room="bench")).to_jwt()
    return jwt


async def wait_for(condition: Callable[[], object], what: str) -> None:
    with trio.move_on_after(60):
        while not condition():
            await trio.sleep(0.05)
        return
    sys.exit(f"{what} did not happen in a minute")
