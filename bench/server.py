"""What forwarding costs the whole server, driver and system calls included.

    python bench/server.py [--subscribers 1,10,50] [--seconds 10] [--packets 4] [--fps 50]

One publisher sends video of one layer in packets of 1200 bytes, a frame of `--packets` at a time, through a real server to real
transports: WebSocket, ICE, DTLS, SRTP over loopback. The clients are those of `sansio.sim` on sockets, in this process. The
subscribers count packets and do not decrypt them, so that this machine has time left for the server; they report nothing and
ask for nothing again. With `--feedback` they are whole receivers: they decrypt, report, and acknowledge what they get, and what
that costs the server is part of the figure; keep their number small then.

Printed is the CPU time of the server's process by packets sent, user and system together, and how many of them arrived.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import warnings
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
from sansio.sim import Client, ClientOptions, OpenSocket, SendFrame, TrackOptions, VideoLayer
from sansio.wire import models

HOST = "127.0.0.1"
WARM_UP_S = 3.0
MOST_READ = 64
PACKET_BYTES = 1135
"""Of stamped payload, which makes datagrams of 1200 bytes."""


class Seat:
    """One client on sockets."""

    def __init__(self, server: ServerProcess, identity: str, *, counts_only: bool) -> None:
        self._server = server
        self._counts_only = counts_only
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._udp.bind((HOST, 0))
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

    async def _read(self) -> None:
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


async def measure(subscribers: int, arguments: argparse.Namespace) -> None:
    """One line of the table."""
    with ServerProcess("--bind", HOST) as server:
        async with trio.open_nursery() as nursery:
            publisher = Seat(server, "publisher", counts_only=False)
            seats = [Seat(server, f"s{n}", counts_only=not arguments.feedback) for n in range(subscribers)]
            for seat in (publisher, *seats):
                nursery.start_soon(seat.run, nursery)
                await wait_for(seat.is_connected, "a join")
            layer = VideoLayer(rid="", width=1280, height=720, packets=arguments.packets, packet_bytes=PACKET_BYTES)
            camera = TrackOptions(name="camera", source=models.TrackSource.CAMERA, layers=(layer,), fps=arguments.fps)
            publisher.do(partial(publisher.client.publish, trio.current_time(), camera))
            await wait_for(lambda: all(seat.received for seat in seats), "media")
            await trio.sleep(WARM_UP_S)
            (track,) = publisher.client.published.tracks.values()
            cpu, sent, got = server.cpu_seconds(), track.senders[0].number, sum(seat.received for seat in seats)
            await trio.sleep(arguments.seconds)
            cpu = server.cpu_seconds() - cpu
            sent = (track.senders[0].number - sent) * subscribers
            got = sum(seat.received for seat in seats) - got
            print(
                f"{subscribers:11}{sent / arguments.seconds:14.0f}{cpu / sent * 1e6:20.1f}"
                f"{cpu / arguments.seconds * 100:14.0f} %{got / sent * 100:12.1f} %",
                flush=True,
            )
            nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--subscribers", default="1,10,50")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--packets", type=int, default=4, help="packets of a frame")
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--feedback", action="store_true", help="subscribers that decrypt and report")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    print(f"{'subscribers':>11}{'forwarded/s':>14}{'us of CPU each':>20}{'of a core':>16}{'arrived':>14}")
    for count in arguments.subscribers.split(","):
        trio.run(measure, int(count), arguments)


if __name__ == "__main__":
    main()
