"""Between RED and Opus (RFC 2198 §3): one side of a subscription may know what the other does not.

From RED to Opus the primary block is the packet; up to two packets before it that are missing are taken from the redundant
blocks, each under the number that was its own, so the receiver sees no loss. If the packet itself comes after all, it is not
sent. From Opus to RED up to two packets before are repeated, if they are near enough in number and time; what would not fit
is left out, and an Opus packet too large for a RED block leaves as Opus.

Payloads that are encrypted end to end must not pass here; which legs may is for policy to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..rtp.red import MAX_BLOCK_BYTES, MAX_TIMESTAMP_OFFSET, encode
from .interface import Codec
from .legs import WAITING, LegState
from .packets import Packet
from .payloads import Red

if TYPE_CHECKING:
    from .receive import Stream

MAX_DISTANCE: Final = 2
"""How many packets back redundancy is used, either way."""
_MAX_REMEMBERED: Final = 32
_HEADER_BYTES: Final = 64  # RTP header, extensions and tag beside a RED payload


class RedToOpusMode:
    """A RED source for a receiver of Opus."""

    __slots__ = ("_leg", "_recovered", "_red_types", "spatial", "temporal")

    def __init__(self, leg: LegState) -> None:
        self._leg = leg
        self._red_types: frozenset[int] = frozenset()
        self._recovered: dict[int, None] = {}  # positions sent out of redundancy, oldest first
        self.spatial = self.temporal = -1

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        leg = self._leg
        if leg.hold(packets):
            return
        for position, timestamp, marker, payload_type, payload, passed, info in packets:
            first = leg.types.get(payload_type, 0) if payload else 0
            if first and payload_type in self._red_types:
                if info is None:
                    first = 0
                else:
                    self._recover(now, position, timestamp, first, info)
                    payload = info[0]
            if position in self._recovered:
                continue
            first = first if payload else 0
            placed = leg.place(now, position, timestamp, first > 0)
            if placed is None:
                continue
            if first:
                leg.send(now, placed[0], placed[1], first | marker, b"", payload, passed)
            else:
                leg.fill(now, placed[0], placed[1])

    def handle_switch(self, stream: Stream) -> None:
        self._recovered.clear()
        self._red_types = frozenset(one for one, codec in stream.spec.codecs.items() if codec is Codec.RED)

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        return b"", payload

    def _recover(self, now: float, position: int, timestamp: int, first: int, info: Red) -> None:
        """Send what is missing right before a packet, oldest first."""
        leg = self._leg
        stream = leg.stream
        if leg.highest == WAITING or position - leg.highest < 2 or stream is None:
            return
        newest = leg.last_timestamp + leg.time_offset
        for back, age, block in info[1]:
            missing = position - back
            if back > MAX_DISTANCE or missing <= leg.highest or stream.has_arrived(missing):
                continue
            # Number and time must agree, or the block is not what its place says.
            if not newest < timestamp - age < timestamp:
                continue
            placed = leg.place(now, missing, timestamp - age, True)
            if placed is not None:
                newest = timestamp - age
                self._remember(missing)
                leg.send(now, placed[0], placed[1], first, b"", block, None)

    def _remember(self, position: int) -> None:
        self._recovered[position] = None
        if len(self._recovered) > _MAX_REMEMBERED:
            oldest = next(iter(self._recovered))
            del self._recovered[oldest]
            # Up to there nothing late is sent: it might go out twice under one number, with other bytes.
            self._leg.base = max(self._leg.base, oldest + 1)


class OpusToRedMode:
    """An Opus source for a receiver of RED."""

    __slots__ = ("_leg", "spatial", "temporal")

    def __init__(self, leg: LegState) -> None:
        self._leg = leg
        self.spatial = self.temporal = -1

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        leg = self._leg
        if leg.hold(packets):
            return
        for packet in packets:
            position, timestamp, marker, payload_type, payload, passed, _ = packet
            first = leg.types.get(payload_type, 0) if payload else 0
            placed = leg.place(now, position, timestamp, first > 0)
            if placed is None:
                continue
            if not first:
                leg.fill(now, placed[0], placed[1])
                continue
            red_type = leg.spec.red_payload_type
            if red_type and len(payload) <= MAX_BLOCK_BYTES:
                payload = encode(first & 0x7F, payload, self._redundant(packet, first & 0x7F))
                first = 0x8000 | red_type
            leg.send(now, placed[0], placed[1], first | marker, b"", payload, passed)

    def handle_switch(self, stream: Stream) -> None:
        del stream

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        return b"", payload

    def _redundant(self, packet: Packet, block_type: int) -> list[tuple[int, int, bytes]]:
        """Blocks to repeat, oldest first."""
        leg = self._leg
        stream = leg.stream
        blocks: list[tuple[int, int, bytes]] = []
        if stream is None:
            return blocks
        position, timestamp, _, payload_type, payload, _, _ = packet
        size = len(payload)
        for earlier in range(max(position - MAX_DISTANCE, leg.base), position):
            found = stream.packet(earlier)
            if found is None or not found[4] or found[3] != payload_type:
                continue
            age = timestamp - found[1]
            if 0 < age <= MAX_TIMESTAMP_OFFSET and len(found[4]) <= MAX_BLOCK_BYTES:
                blocks.append((block_type, age, found[4]))
                size += 4 + len(found[4])
        return blocks if size + _HEADER_BYTES <= leg.spec.mtu else []
