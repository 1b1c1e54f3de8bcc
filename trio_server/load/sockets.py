"""UDP sockets of a load test, thousands of them, read by one task.

A task for each would be woken, and its socket armed anew, for each frame of each subscriber, which costs more than reading. Here
all sockets are in one selector, which is itself readable when one of them is.

What the system can do to spare the receiver work (UDP_GRO) is left out: over loopback that work is done in the sender's time,
and the server would look cheaper than it is.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import trio

from sansio import Address, Batch

from ..batch import DatagramSocket, PlainSocket, wrap
from .target import LoadError

BUFFER_BYTES = 1 << 20
"""Asked of the system for what waits to be read, per socket; enough for half a second of video."""
MOST_READ = 32
"""Datagrams of a socket before it is the next one's turn."""
MOST_SOCKETS = 64
"""Read before other tasks have a turn."""
_SO_RCVBUFFORCE = 33
_PAIR_ATTEMPTS = 50

Datagrams: TypeAlias = Sequence[tuple[Address, Address, bytes]]
Take: TypeAlias = Callable[[int, Datagrams, Sequence[float]], None]
"""Seat, datagrams, and how long each has waited, where that is known."""


class QuickSocket(PlainSocket):
    """Does not ask when a datagram came, which halves the cost of reading."""

    def receive(self, limit: int) -> tuple[list[tuple[Address, Address, bytes]], list[float]]:
        out: list[tuple[Address, Address, bytes]] = []
        receive, local, is_v6 = self._socket.recvfrom, self.local, self._is_v6
        try:
            for _ in range(limit):
                data, remote = receive(2048)
                out.append((local, remote[:2] if is_v6 else remote, data))
        except OSError:
            pass  # empty, or an ICMP error of an earlier datagram
        return out, []


class SocketPool:
    """All UDP sockets; those of a seat have neighbouring ports."""

    def __init__(self, local_host: str) -> None:
        """`local_host` is our address on the way to the server. Sockets are bound to all addresses, since the server's media
        may be elsewhere than its signalling."""
        self._host = local_host
        self._family = socket.AF_INET6 if ":" in local_host else socket.AF_INET
        self._selector = selectors.DefaultSelector()
        self._by_address: dict[Address, DatagramSocket] = {}

    def open(self, seat: int, ports: int, *, quick: bool) -> Address:
        """Open so many sockets for a seat; returns the address of the first. Raises LoadError."""
        try:
            opened = self._open_neighbours(ports)
        except OSError as error:
            raise LoadError(
                f"cannot open UDP sockets beyond the {len(self._by_address)} that are open: {error.strerror}"
            ) from error
        first = opened[0].getsockname()[1]
        for index, sock in enumerate(opened):
            each = QuickSocket(sock) if quick else wrap(sock)
            each.local = (self._host, first + index)
            self._by_address[each.local] = each
            self._selector.register(each.fileno(), selectors.EVENT_READ, (seat, each))
        return self._host, first

    def send(self, batch: Batch) -> None:
        arena = memoryview(batch.arena)
        for run in batch.runs:
            self._by_address[run.local].send(arena, (run,))

    async def run(self, take: Take) -> None:
        """Read until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._selector.fileno())
            for count, (key, _) in enumerate(self._selector.select(0), 1):
                seat, each = key.data
                batch, ages = each.receive(MOST_READ)
                if batch:
                    take(seat, batch, ages)
                if count % MOST_SOCKETS == 0:
                    await trio.lowlevel.checkpoint()

    def overflows(self) -> int:
        """Datagrams that came and found no room in our sockets, where the system tells."""
        own = {str(os.fstat(each.fileno()).st_ino) for each in self._by_address.values()}
        total = 0
        for name in ("/proc/net/udp", "/proc/net/udp6"):
            try:
                rows = Path(name).read_text().splitlines()[1:]
            except OSError:
                continue
            total += sum(int(fields[12]) for fields in map(str.split, rows) if fields[9] in own)
        return total

    def close(self) -> None:
        self._selector.close()
        for each in self._by_address.values():
            each.close()

    def _open_neighbours(self, ports: int) -> list[socket.socket]:
        for attempt in range(_PAIR_ATTEMPTS):
            opened = [self._bind(0)]
            try:
                first = opened[0].getsockname()[1]
                opened += [self._bind(first + index) for index in range(1, ports)]
            except (OSError, OverflowError):
                for sock in opened:
                    sock.close()
                if attempt == _PAIR_ATTEMPTS - 1:
                    raise
            else:
                return opened
        raise AssertionError("the last attempt raises")

    def _bind(self, port: int) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            with suppress(OSError):  # not root, or not Linux
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
            sock.bind(("::" if self._family == socket.AF_INET6 else "0.0.0.0", port))
        except OSError:
            sock.close()
            raise
        return sock
