"""UDP sockets of a load test, thousands of them, since servers tell participants apart by their addresses.

A task for each would be woken, and its socket armed anew, for each frame of each subscriber, which costs more than reading. Here
there are two tasks. One reads sockets as soon as something comes: all of them are in one selector, which is itself readable when
one of them is. The other reads the sockets of those who only count, in turns, each every `ROUND` seconds, whatever has come
meanwhile with one system call. That is a fraction of the wake-ups, and no figure suffers: nothing urgent comes there.

What the system can do to spare the receiver work (UDP_GRO) is left out: over loopback that work is done in the sender's time,
and the server would look cheaper than it is.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from math import ceil
from operator import attrgetter
from typing import TypeAlias

import trio

from sansio import Address, Batch

from ..batch import DatagramSocket, PlainSocket, SocketChoice
from .target import LoadError

BUFFER_BYTES = 1 << 20
"""Asked of the system for what waits to be read, per socket; enough for half a second of video."""
MOST_READ = 64
"""Datagrams of one system call."""
MOST_READS = 8
"""System calls for a socket before it is the next one's turn."""
MOST_SOCKETS = 32
"""Read before other tasks have a turn."""
ROUND = 0.1
"""Seconds in which each socket of those who only count has its turn."""
STEP = 0.005
_SO_RCVBUFFORCE = 33
_PAIR_ATTEMPTS = 50

Datagrams: TypeAlias = Sequence[tuple[Address, Address, bytes]]
Take: TypeAlias = Callable[[int, Datagrams, Sequence[float]], None]
"""Seat, datagrams, and how long each has waited, where that is known."""


class NamedSocket(socket.socket):
    """Bound to all addresses, since the server's media may be elsewhere than its signalling; says that it has the one by which
    the server reaches it."""

    host = ""

    def getsockname(self) -> tuple[str, int]:
        return self.host, super().getsockname()[1]


class QuickSocket(PlainSocket):
    """Does not ask when a datagram came, which halves the cost of reading one by one."""

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

    def __init__(self, local_host: str, choice: SocketChoice) -> None:
        """`local_host` is our address on the way to the server."""
        self._host = local_host
        self._choice = choice
        self._family = socket.AF_INET6 if ":" in local_host else socket.AF_INET
        self._selector = selectors.DefaultSelector()
        self._by_address: dict[Address, DatagramSocket] = {}
        self._of_seat: dict[int, list[DatagramSocket]] = {}
        """Of those that are read as soon as something comes."""
        self._in_turns: list[tuple[int, DatagramSocket]] = []

    def open(self, seat: int, ports: int, *, quick: bool) -> Address:
        """Open so many sockets for a seat; returns the address of the first. `quick`: it does not matter much when something
        came. Raises LoadError."""
        try:
            opened = self._open_neighbours(ports)
            wrapped = [self._wrap(sock, quick=quick) for sock in opened]
        except OSError as error:
            raise LoadError(
                f"cannot open UDP sockets beyond the {len(self._by_address)} that are open: {error.strerror}"
            ) from error
        for each in wrapped:
            self._by_address[each.local] = each
            self._selector.register(each.fileno(), selectors.EVENT_READ, (seat, each))
        self._of_seat[seat] = wrapped
        return wrapped[0].local

    def defer(self, seat: int) -> None:
        """Read what comes for that seat in turns from now on."""
        for each in self._of_seat.pop(seat, ()):
            self._selector.unregister(each.fileno())
            self._in_turns.append((seat, each))

    def send(self, batch: Batch) -> None:
        arena = memoryview(batch.arena)
        for local, runs in groupby(batch.runs, attrgetter("local")):
            self._by_address[local].send(arena, tuple(runs))

    async def run(self, take: Take) -> None:
        """Read until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_at_once, take)
            nursery.start_soon(self._read_in_turns, take)

    def poll_lost(self) -> int:
        """Datagrams that came and found no room in our sockets since the last call, where the system tells."""
        return sum(each.poll_lost() for each in self._by_address.values())

    def close(self) -> None:
        self._selector.close()
        for each in self._by_address.values():
            each.close()

    async def _read_at_once(self, take: Take) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._selector.fileno())
            for count, (key, _) in enumerate(self._selector.select(0), 1):
                seat, each = key.data
                batch, ages = each.receive(MOST_READ)
                if batch:
                    take(seat, batch, ages)
                if count % MOST_SOCKETS == 0:
                    await trio.lowlevel.checkpoint()

    async def _read_in_turns(self, take: Take) -> None:
        turn, read_at = 0, trio.current_time()
        while True:
            await trio.sleep(STEP)
            passed, read_at = min(trio.current_time() - read_at, ROUND), trio.current_time()
            sockets = self._in_turns
            for count in range(1, ceil(len(sockets) * passed / ROUND) + 1):
                turn = (turn + 1) % len(sockets)
                _read_all(*sockets[turn], take)
                if count % MOST_SOCKETS == 0:
                    await trio.lowlevel.checkpoint()

    def _wrap(self, sock: socket.socket, *, quick: bool) -> DatagramSocket:
        return QuickSocket(sock) if quick and self._choice.name == "python" else self._choice.wrap(sock)

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
        sock = NamedSocket(self._family, socket.SOCK_DGRAM)
        sock.host = self._host
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            with suppress(OSError):  # not root, or not Linux
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
            sock.bind(("::" if self._family == socket.AF_INET6 else "0.0.0.0", port))
        except OSError:
            sock.close()
            raise
        return sock


def _read_all(seat: int, each: DatagramSocket, take: Take) -> None:
    """What has come to a socket, or most of it."""
    for _ in range(MOST_READS):
        batch, _ = each.receive(MOST_READ)
        if batch:
            take(seat, batch, ())
        if len(batch) < MOST_READ:
            return
