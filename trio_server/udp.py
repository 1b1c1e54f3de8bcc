"""The UDP sockets: one per local address, all on one port, read in batches and written without waiting.

A socket is bound to each address rather than to the wildcard, since ICE must know which address a check came in on and
answers must leave by the same one.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import structlog
import trio

from sansio import Address, Batch, DropReason, Run

from .batch import DatagramSocket, NativeSocket, SocketChoice, choose
from .pace import Pace

log = structlog.get_logger("atrium.udp")

BATCH = 64
"""Datagrams read before the core sees them."""
BUFFER_BYTES = 8 << 20
"""Asked of the kernel for each direction; it may grant less (sysctl net.core.rmem_max)."""

_SO_FORCE = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}  # SO_RCVBUFFORCE, SO_SNDBUFFORCE on Linux, for root


class PortInUse(Exception):  # noqa: N818 - a condition rather than a defect
    """No port of those allowed is free."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


class Receiver(Protocol):
    def datagrams(self, batch: Sequence[tuple[Address, Address, bytes]], ages: Sequence[float], /) -> None: ...


class UdpSockets:
    """All UDP sockets of the server; routes what is sent by its local address."""

    def __init__(self, sockets: Iterable[DatagramSocket]) -> None:
        self._sockets = {each.local: each for each in sockets}
        self._native = {local: each for local, each in self._sockets.items() if isinstance(each, NativeSocket)}
        self._drops: dict[DropReason, int] = {}

    @property
    def addresses(self) -> list[Address]:
        return list(self._sockets)

    def send(self, batch: Batch) -> None:
        arena, packed = memoryview(batch.arena), batch.packed
        if packed is not None and self._native.keys() >= set(packed.locals):
            for local in packed.locals:
                self._count(self._native[local].send_packed(arena, packed))
            return
        if len(self._sockets) == 1 or len(batch.runs) == 1:
            self._send_from(batch.runs[0].local if batch.runs else ("", 0), arena, batch.runs)
            return
        for local, runs in groupby(batch.runs, itemgetter(0)):  # neighbours together, in order
            self._send_from(local, arena, list(runs))

    def poll_drops(self) -> dict[DropReason, int]:
        """Datagrams dropped by reason since the last call."""
        lost = sum(each.poll_lost() for each in self._sockets.values())
        if lost:
            self._count({DropReason.RECEIVE_QUEUE_FULL: lost})
        drops, self._drops = self._drops, {}
        return drops

    async def run(self, receiver: Receiver) -> None:
        """Read all sockets until cancelled."""
        async with trio.open_nursery() as nursery:
            for each in self._sockets.values():
                nursery.start_soon(_read, each, receiver.datagrams)

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()

    def _send_from(self, local: Address, arena: memoryview, runs: Sequence[Run]) -> None:
        if not runs:
            return
        each = self._sockets.get(local)
        if each is None:
            self._count({DropReason.UNREACHABLE: len(runs)})
            return
        self._count(each.send(arena, runs))

    def _count(self, drops: dict[DropReason, int]) -> None:
        for reason, count in drops.items():
            self._drops[reason] = self._drops.get(reason, 0) + count


async def _read(
    each: DatagramSocket, take: Callable[[Sequence[tuple[Address, Address, bytes]], Sequence[float]], None]
) -> None:
    with Pace() as pace:
        while True:
            await trio.lowlevel.wait_readable(each.fileno())
            is_busy = True
            while is_busy:
                pace.begin()
                batch, ages = each.receive(BATCH)
                if batch:
                    take(batch, ages)
                is_busy = await pace.rest(found=bool(batch))


def open_sockets(addresses: Sequence[str], ports: Sequence[int], *, choice: SocketChoice | None = None) -> UdpSockets:
    """Bind all addresses on the first of `ports` that is free on each; port 0 picks any. Addresses that the host does
    not have are left out with a warning, unless none remains (OSError). Raises PortInUse."""
    choice = choice or choose()
    for port in ports if 0 not in ports else [0] * 16:
        try:
            bound = _bind_all(addresses, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return UdpSockets(map(choice.wrap, bound))
    raise PortInUse(ports[0])


def _bind_all(addresses: Sequence[str], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for address in addresses:
            try:
                bound.append(_bind(address, port))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                log.warning("address left out", address=address, error=error.strerror)
                missing = error
                continue
            port = port or bound[0].getsockname()[1]
        if not bound:
            raise missing or OSError(errno.EADDRNOTAVAIL, "no address for media")
    except OSError:
        for sock in bound:
            sock.close()
        raise
    return bound


def _bind(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, forced in _SO_FORCE.items():
            _grow(sock, option, forced)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _grow(sock: socket.socket, option: int, forced: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
    except OSError:  # not root, or not Linux
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
