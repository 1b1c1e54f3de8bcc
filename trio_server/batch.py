"""Datagrams in and out of one socket, many per wake-up, behind one interface.

`PlainSocket` uses a system call per datagram. `SegmentingSocket` gives the kernel a whole run of equal datagrams at once
(Linux UDP_SEGMENT, udp(7)), which costs a sixth for a key frame of thirty packets. `NativeSocket` does the same for up to 64
runs at once, and receives as many datagrams, through the compiled `native/udp` where that was built. None ever waits:
receiving stops when the socket has no more, sending drops when the socket takes no more. `ATRIUM_UDP=python` in the environment
keeps the compiled one out, `ATRIUM_UDP=native` insists on it.

Linux stamps each datagram as it comes in (SO_TIMESTAMPNS, socket(7)). So those that waited while the process was busy keep
the gaps between them, by which senders judge the path; without, a probe for bandwidth that was read at one go would look
infinitely fast, and a pause of ours like a queue in the network.

What comes while the socket's receive queue is full is lost. Linux counts it per socket, and the counter is read now and then
(SO_MEMINFO: the number that SO_RXQ_OVFL would add to each datagram, at no cost for each).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sansio import Address, DropReason, Packed, Run

if TYPE_CHECKING:
    from ._udp import BatchSocket

RECEIVE_BYTES = 2048
"""Room for one datagram. What peers send fits an Ethernet frame; anything longer is cut and fails authentication."""

UDP_SEGMENT = 103
"""Socket option and control message of Linux; the standard library has no name for it."""

SO_TIMESTAMPNS = 35
"""Socket option of Linux, and the type of the control message with it: a `struct timespec` of the wall clock."""
MAX_AGE = 5.0
"""Seconds that a datagram may have waited. Beyond that the wall clock was set meanwhile, and the age is not known."""

SO_MEMINFO = 55
"""Socket option of Linux: numbers of 32 bits about the socket's memory."""
_MEMINFO = struct.Struct("@9I")
_MEMINFO_DROPS = 8

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

    def poll_lost(self) -> int:
        """How many datagrams were lost since the last call because nobody read them in time."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


class PlainSocket:
    """One system call per datagram."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._is_v6 = sock.family == socket.AF_INET6
        self._is_stamped = _ask_for_stamps(sock)
        self._lost = 0
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

    def poll_lost(self) -> int:
        before, self._lost = self._lost, _lost(self._socket)
        return (self._lost - before) & 0xFFFFFFFF

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


class NativeSocket(PlainSocket):
    """Many runs, and many datagrams that came in, with one system call."""

    def __init__(self, sock: socket.socket, make: Callable[[int, Address, bool], BatchSocket]) -> None:
        super().__init__(sock)
        self._batches = make(sock.fileno(), self.local, True)

    def receive(self, limit: int) -> tuple[list[tuple[Address, Address, bytes]], list[float]]:
        batch, ages = self._batches.receive(limit)
        return batch, ages if self._is_stamped else []

    def send(self, arena: memoryview, runs: Sequence[Run]) -> dict[DropReason, int]:
        return self._drops(*self._batches.send(arena, runs))

    def send_packed(self, arena: memoryview, packed: Packed) -> dict[DropReason, int]:
        """Those of these runs that leave from this socket, without an object for each."""
        return self._drops(*self._batches.send_packed(arena, packed.records, packed.locals.index(self.local)))

    def _drops(self, full: int, unreachable: int) -> dict[DropReason, int]:
        drops = {}
        if full:
            drops[DropReason.SOCKET_FULL] = full
        if unreachable:
            drops[DropReason.UNREACHABLE] = unreachable
        return drops

    def close(self) -> None:
        self._batches.close()
        super().close()


class SocketChoice(NamedTuple):
    """What `choose` settled on."""

    name: str
    """`native` or `python`."""
    reason: str
    """Why, for people."""
    wrap: Callable[[socket.socket], DatagramSocket]


def choose(wanted: str | None = None) -> SocketChoice:
    """The kind of that name; without one what the environment names, or else the best there is. Raises OSError if the one
    asked for is not here."""
    if wanted is None:
        wanted = os.environ.get("ATRIUM_UDP", "")
    if wanted == "python":
        return SocketChoice("python", "asked for", wrap)
    try:
        from ._udp import BatchSocket
    except ImportError as error:
        if wanted == "native":
            raise OSError(errno.ENOSYS, f"native sockets are not here: {error}") from error
        return SocketChoice("python", f"native sockets are not here: {error}", wrap)
    reason = "asked for" if wanted == "native" else "it is installed"
    return SocketChoice("native", reason, lambda sock: NativeSocket(sock, BatchSocket))


def wrap(sock: socket.socket) -> DatagramSocket:
    """The best class for this socket without the compiled one."""
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


def _lost(sock: socket.socket) -> int:
    """The system's counter of datagrams that were lost on their way into the socket; it goes round at 32 bits."""
    if sys.platform != "linux":
        return 0
    try:
        numbers = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
    except OSError:  # before Linux 4.12
        return 0
    return int(_MEMINFO.unpack(numbers)[_MEMINFO_DROPS]) if len(numbers) == _MEMINFO.size else 0


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
