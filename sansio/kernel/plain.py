"""Payloads unchanged, or almost: in RED the types of the blocks inside are translated with the packet's (RFC 2198 §3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..rtp import RtpError, red
from .interface import Codec
from .legs import LegState
from .packets import Packet

if TYPE_CHECKING:
    from .receive import Stream


class PlainMode:
    """The common case of a leg."""

    __slots__ = ("_leg", "_red_types", "spatial", "temporal")

    def __init__(self, leg: LegState) -> None:
        self._leg = leg
        self._red_types: frozenset[int] = frozenset()  # of the source, where blocks need translation
        self.spatial = self.temporal = -1

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        leg = self._leg
        if leg.hold(packets):
            return
        types = leg.types
        send = leg.send
        for position, timestamp, marker, payload_type, payload, passed, _ in packets:
            first = types.get(payload_type, 0) if payload else 0
            if payload_type in self._red_types and first:
                payload = self._translate(payload)
                first = first if payload else 0
            if first and position == leg.highest + 1:
                leg.highest = position
                send(now, position - leg.offset, timestamp - leg.time_offset, first | marker, b"", payload, passed)
                continue
            placed = leg.place(now, position, timestamp, first > 0)
            if payload and not first:
                leg.dropped += 1
            if placed is not None:
                if first:
                    send(now, placed[0], placed[1], first | marker, b"", payload, passed)
                else:
                    leg.fill(now, placed[0], placed[1])

    def handle_switch(self, stream: Stream) -> None:
        types = self._leg.spec.payload_types
        self._red_types = frozenset()
        if any(source != target for source, target in types.items()):
            self._red_types = frozenset(one for one, codec in stream.spec.codecs.items() if codec is Codec.RED)

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        return b"", payload

    def _translate(self, payload: bytes) -> bytes:
        """RED with the target's types inside; empty if it has blocks that the target does not know."""
        try:
            return red.rewrite_payload_types(payload, self._leg.spec.payload_types)
        except RtpError:
            return b""
