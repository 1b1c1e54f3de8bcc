"""Datagrams in and out of one socket, many per wake-up, behind one interface.

`PlainSocket` uses a system call per datagram. `SegmentingSocket` gives the kernel a whole run of equal datagrams at once
(Linux UDP_SEGMENT, udp(7)), which costs a sixth for a key frame of thirty packets. Neither ever waits: receiving stops when
the socket has no more, sending drops when the socket takes no more.

Linux stamps each datagram as it comes in (SO_TIMESTAMPNS, socket(7)). So those that waited while the process was busy keep
the gaps between them, by which senders judge the path; without, a probe for bandwidth that was read at one go would look
infinitely fast, and a pause of ours like a queue in the network.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from sansio import Address, DropReason, Run

RECEIVE_BYTES = 2048
"""Room for one datagram. What peers send fits an Ethernet frame; anything longer is cut and fails authentication."""

UDP_SEGMENT = 103
"""Socket option and control message of Linux; the standard library has no name for it."""

SO_TIMESTAMPNS = 35
"""Socket option of Linux, and the type of the control message with it: a `struct timespec` of the wall clock."""
MAX_AGE = 5.0
"""Seconds that a datagram may have waited. Beyond that the wall clock was set meanwhile, and the age is not known."""

_TIMESPEC = struct.Struct("@ll")
_CONTROL_BYTES = 64
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


class DatagramSocket(Protocol):
    """A bound, non-blocking socket with its own way to move many datagrams."""

    local: Address

    def receive(self, limit: int) -> tuple[list[tuple[Address, Address, bytes]], list[float]]:
        """What has arrived, at most `limit`, oldest first; and for how many seconds each has waited, or nothing where the
        system does not tell."""

    def send(self, arena: memoryview, runs: Sequence[Run]) -> dict[DropReason, int]:
        """Send these runs; returns what had to be dropped, usually nothing."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


class PlainSocket:
    """One system call per datagram."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._is_v6 = sock.family == socket.AF_INET6
        self._is_stamped = _ask_for_stamps(sock)
        self.local: Address = sock.getsockname()[:2]

    def receive(self, limit: int) -> tuple[list[tuple[Address, Address, bytes]], list[float]]:
        out: list[tuple[Address, Address, bytes]] = []
        stamps: list[float] = []
        receive, local, is_v6 = self._socket.recvmsg, self.local, self._is_v6
        room = _CONTROL_BYTES if self._is_stamped else 0
        try:
            for _ in range(limit):
                data, control, _, remote = receive(RECEIVE_BYTES, room)
                out.append((local, remote[:2] if is_v6 else remote, data))
                stamps.append(_stamp(control) if control else 0.0)
        except OSError:
            # Empty; or an ICMP error of an earlier datagram, which says nothing about those that wait behind it.
            pass
        return out, _ages(stamps) if self._is_stamped else []

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


def _ask_for_stamps(sock: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def _stamp(control: list[tuple[int, int, bytes]]) -> float:
    """The wall clock when the datagram came; 0 if the control messages do not say."""
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(value) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            return float(seconds + nanoseconds * 1e-9)
    return 0.0


def _ages(stamps: Sequence[float]) -> list[float]:
    wall = time.time()
    ages = [wall - stamp for stamp in stamps]
    return [age if 0.0 <= age <= MAX_AGE else 0.0 for age in ages]


def _count(drops: dict[DropReason, int], error: OSError, count: int) -> None:
    reason = DropReason.SOCKET_FULL if error.errno in _FULL else DropReason.UNREACHABLE
    drops[reason] = drops.get(reason, 0) + count
