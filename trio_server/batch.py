"""Datagrams in and out of one socket, many per wake-up, behind one interface.

`PlainSocket` uses a system call per datagram. `SegmentingSocket` gives the kernel a whole run of equal datagrams at once
(Linux UDP_SEGMENT, udp(7)), which costs a sixth for a key frame of thirty packets. Neither ever waits: receiving stops when
the socket has no more, sending drops when the socket takes no more.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import Protocol

from sansio import Address, DropReason, Run

RECEIVE_BYTES = 2048
"""Room for one datagram. What peers send fits an Ethernet frame; anything longer is cut and fails authentication."""

UDP_SEGMENT = 103
"""Socket option and control message of Linux; the standard library has no name for it."""

_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


class DatagramSocket(Protocol):
    """A bound, non-blocking socket with its own way to move many datagrams."""

    local: Address

    def receive(self, limit: int) -> list[tuple[Address, Address, bytes]]:
        """What has arrived, at most `limit`, oldest first."""

    def send(self, arena: memoryview, runs: Sequence[Run]) -> dict[DropReason, int]:
        """Send these runs; returns what had to be dropped, usually nothing."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


class PlainSocket:
    """One `recvfrom` or `sendto` per datagram."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._is_v6 = sock.family == socket.AF_INET6
        self.local: Address = sock.getsockname()[:2]

    def receive(self, limit: int) -> list[tuple[Address, Address, bytes]]:
        out: list[tuple[Address, Address, bytes]] = []
        receive, local = self._socket.recvfrom, self.local
        try:
            for _ in range(limit):
                data, remote = receive(RECEIVE_BYTES)
                out.append((local, remote[:2] if self._is_v6 else remote, data))
        except OSError:
            # Empty; or an ICMP error of an earlier datagram, which says nothing about those that wait behind it.
            pass
        return out

    def send(self, arena: memoryview, runs: Sequence[Run]) -> dict[DropReason, int]:
        drops: dict[DropReason, int] = {}
        send = self._socket.sendto
        for _, remote, start, end, segment_bytes in runs:
            for at in range(start, end, segment_bytes):
                try:
                    send(arena[at : min(at + segment_bytes, end)], remote)
                except OSError as error:
                    _count(drops, error, 1)
        return drops

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


class SegmentingSocket(PlainSocket):
    """Leaves it to the kernel to cut runs."""

    def send(self, arena: memoryview, runs: Sequence[Run]) -> dict[DropReason, int]:
        drops: dict[DropReason, int] = {}
        for run in runs:
            _, remote, start, end, segment_bytes = run
            try:
                if end - start <= segment_bytes:
                    self._socket.sendto(arena[start:end], remote)
                else:
                    cut = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", segment_bytes))]
                    self._socket.sendmsg([arena[start:end]], cut, 0, remote)
            except OSError as error:
                if error.errno in _FULL or end - start <= segment_bytes:
                    _count(drops, error, -(-(end - start) // segment_bytes))
                else:
                    # Datagrams above the path's MTU, or a device that cannot cut: one by one, which may still work.
                    for reason, count in super().send(arena, (run,)).items():
                        drops[reason] = drops.get(reason, 0) + count
        return drops


def wrap(sock: socket.socket) -> DatagramSocket:
    """The best class for this socket."""
    try:
        sock.getsockopt(socket.SOL_UDP, UDP_SEGMENT)
    except (OSError, AttributeError):  # an older Linux, or another system
        return PlainSocket(sock)
    return SegmentingSocket(sock)


def _count(drops: dict[DropReason, int], error: OSError, count: int) -> None:
    reason = DropReason.SOCKET_FULL if error.errno in _FULL else DropReason.UNREACHABLE
    drops[reason] = drops.get(reason, 0) + count
