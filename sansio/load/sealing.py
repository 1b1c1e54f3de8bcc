"""Media packets on their way out: each is stamped and sealed at the last moment before it is sent.

Whoever publishes makes the packets of a whole frame at once, and writes into each when that was. Making and sealing them takes
far longer than a server takes to forward them, so a packet waits here, in plain, until whoever drives the load test is about to
send it. Then it gets the time of that moment, and is sealed, which takes some microseconds. A packet that is sent again keeps its
first time, for it has been on its way since then.

The keys are those of the transport. RTCP of the same transport is sealed in its kernel; that is safe since the two have
different session keys, and indices of their own (RFC 3711 §3.2.3).
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from ..kernel.arena import Arena, Path
from ..kernel.srtp import Srtp, lib
from ..outputs import Batch

_TIME: Final = Struct("!Q")
_MOST_HEAD_BYTES: Final = 160
"""Of RTP header, extensions and codec header before the time in a packet."""
_TRAILER_BYTES: Final = 64


class Sealer:
    """What all publishers of a load test send. A session is the `Srtp` that seals it."""

    __slots__ = ("_arena", "_made", "_waiting")

    def __init__(self) -> None:
        self._arena = Arena()
        self._made: bytes | None = None
        self._waiting: deque[tuple[Srtp, Path, bytes, int]] = deque()

    def expect_frames(self, made: float | None) -> None:
        """The packets that come now are new, and say that they were made at `made`; None: they are sent again."""
        self._made = None if made is None else _TIME.pack(round(made * 1e6))

    def add(self, srtp: Srtp, path: Path, packet: bytes) -> None:
        """A packet in plain."""
        at = -1 if self._made is None else packet.find(self._made, 0, _MOST_HEAD_BYTES)
        self._waiting.append((srtp, path, packet, at))

    def seal(self, now: float) -> bool:
        """Seal the packet that has waited longest, and have it say that it is sent now. False if none waits."""
        if not self._waiting:
            return False
        srtp, path, packet, at = self._waiting.popleft()
        arena = self._arena
        size = len(packet)
        top = arena.make_room(size + _TRAILER_BYTES)
        arena.view[top : top + size] = packet
        if at >= 0:
            _TIME.pack_into(arena.view, top + at, round(now * 1e6))
        arena.length[0] = size
        if not lib.srtp_protect(srtp.outbound, arena.base + top, arena.length):
            arena.commit(path, top + arena.length[0])
        return True

    def poll_transmits(self) -> list[Batch]:
        return self._arena.poll_transmits()
