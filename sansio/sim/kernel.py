"""The kernel of a simulated client: the server's own, opened at both ends.

What it received, decrypted, with retransmissions folded in and repetitions gone, can be taken out; RTP packets made elsewhere
can be sent.
"""

from __future__ import annotations

from typing import Final, Protocol

from ..entropy import Entropy
from ..kernel import Kernel, Notice, PureKernel
from ..kernel.packets import Packet
from ..kernel.receive import Stream
from ..kernel.srtp import lib

_TRAILER_BYTES: Final = 64


class MediaKernel(Kernel, Protocol):
    """What a client needs of its kernel."""

    def take_packets(self) -> list[tuple[int, list[Packet]]]:
        """Received packets since the last call, by stream, in order of arrival."""

    def send_rtp(self, session: int, packet: bytes) -> bool:
        """Protect and send a packet. False before there is a path."""


class ClientKernel(PureKernel):
    """`MediaKernel` in Python; see the module's text."""

    __slots__ = ("_received",)

    def __init__(self, entropy: Entropy) -> None:
        super().__init__(entropy)
        self._received: list[tuple[int, list[Packet]]] = []

    def take_packets(self) -> list[tuple[int, list[Packet]]]:
        received, self._received = self._received, []
        return received

    def send_rtp(self, session: int, packet: bytes) -> bool:
        found = self._session(session)
        if found.path is None:
            return False
        arena = found.arena
        top = arena.make_room(len(packet) + _TRAILER_BYTES)
        arena.view[top : top + len(packet)] = packet
        arena.length[0] = len(packet)
        if lib.srtp_protect(found.outbound, arena.base + top, arena.length):
            return False
        arena.commit(found.path, top + arena.length[0])
        return True

    def _forward(self, now: float, touched: list[Stream], notices: list[Notice]) -> None:
        self._received += [(stream.slot, stream.pending) for stream in touched if stream.pending]
        super()._forward(now, touched, notices)
