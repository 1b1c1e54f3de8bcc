"""VP8 on a leg: picture ids rewritten, temporal layers above the ceiling dropped (RFC 7741 §4.2).

PictureID, TL0PICIDX and KEYIDX go out as incoming less an offset, set at each change of source so that they step by one.
A dropped picture shifts the picture ids after it; the offsets are kept as ranges for packets that come late. A picture can
be dropped only if it begins in order: after a gap its numbers are promised, so it passes whole. The ceiling sinks when a
picture begins; it rises at a key frame, or by one layer at a picture that depends on the base layer alone (Y set), or, since
some encoders never say so, after many pictures in vain.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING, Final

from ..rtp.vp8 import encode_descriptor
from .interface import Codec
from .legs import MAX_GAP, WAITING, LegState
from .packets import Packet
from .payloads import Vp8, read_vp8

if TYPE_CHECKING:
    from .receive import Stream

_NONE: Final = -2  # equal to no picture, nor to the absence of an id
_MAX_RANGES: Final = 100
_MAX_DROPPED: Final = 128  # more than there are ranges, so that none of these is ever named
_PATIENCE_PICTURES: Final = 90
_pack_full: Final = Struct("!BBHBB").pack


class Vp8Mode:
    """The VP8 side of one leg."""

    __slots__ = (
        "_ceiling", "_current", "_dropped", "_epoch", "_exempt", "_key_offset", "_last_key", "_last_picture", "_last_tl0",
        "_leg", "_picture_offset", "_prefixes", "_ranges", "_tl0_offset", "_types", "_vain", "spatial", "temporal",
    )  # fmt: skip

    def __init__(self, leg: LegState) -> None:
        self._leg = leg
        self.spatial = self.temporal = -1
        self._types: frozenset[int] = frozenset()
        self._ceiling = leg.spec.max_temporal
        self._epoch = leg.epoch
        self._exempt = -1  # a picture that passes although it is above the ceiling
        self._dropped: dict[int, None] = {}  # pictures, oldest first
        self._ranges: list[tuple[int, int]] = []  # from picture, offset
        self._picture_offset = self._tl0_offset = self._key_offset = 0
        self._last_picture = self._last_tl0 = self._last_key = -1  # as sent
        self._vain = 0
        self._current = _NONE  # the picture that is being forwarded in order, by extended id
        self._prefixes: dict[int, bytes] = {}  # its descriptors, by first byte as it came

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        leg = self._leg
        if leg.hold(packets):
            return
        types = leg.types
        send = leg.send
        known_types = self._types
        for position, timestamp, marker, payload_type, payload, passed, info in packets:
            first = types.get(payload_type, 0) if payload and info is not None and payload_type in known_types else 0
            if first and info[1] == self._current and position == leg.highest + 1:
                leg.highest = position
                prefix = self._prefixes.get(info[8]) or self._continue(info[8])
                send(
                    now, position - leg.offset, timestamp - leg.time_offset, first | marker, prefix, info[0], passed
                )  # fmt: skip
                continue
            wanted = first > 0 and self._wants(position - leg.highest, timestamp, info)
            if payload and not wanted:
                leg.dropped += 1
            placed = leg.place(now, position, timestamp, wanted)
            if placed is None:
                continue
            in_order = placed[0] > leg.last_number
            prefix = self._describe(placed[0], timestamp, info) if wanted else b""
            if in_order:
                self._current = info[1] if prefix and info[1] >= 0 else _NONE
                self._prefixes = {info[8]: prefix} if prefix else {}
            if prefix:
                send(now, placed[0], placed[1], first | marker, prefix, info[0], passed)
            else:
                leg.fill(now, placed[0], placed[1])

    def handle_switch(self, stream: Stream) -> None:
        # What another codec's reader made of a packet is none of ours: such packets are dropped like unknown types.
        self._types = frozenset(one for one, codec in stream.spec.codecs.items() if codec is Codec.VP8)
        self._ceiling = self._leg.spec.max_temporal
        self._current = _NONE

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        found = read_vp8(payload)
        if found is None:
            return b"", payload
        body, picture, tl0, temporal, sync, key_index, _, _, first = found[1]
        self._current = _NONE
        if self._last_picture >= 0:
            picture = self._last_picture + 1
        if self._last_tl0 >= 0:
            tl0, temporal = self._last_tl0 + 1 & 0xFF, max(temporal, 0)
        if self._last_key >= 0:
            key_index = self._last_key + 1 & 0x1F
        self._last_picture, self._last_tl0, self._last_key = picture, tl0, key_index
        if self._leg.highest != WAITING and self._ranges:
            self._picture_offset -= 1
            self._tl0_offset -= 1
            self._key_offset -= 1
            self._add_range(picture + self._picture_offset + 1)
        return _encode(first, picture & 0x7FFF if picture >= 0 else -1, tl0, temporal, sync, key_index), body

    def _continue(self, first: int) -> bytes:
        """The descriptor of another packet of the current picture: it differs in the first byte at most."""
        known = next(iter(self._prefixes.values()))
        prefix = bytes((known[0] & 0x80 | first & 0x37,)) + known[1:]
        self._prefixes[first] = prefix
        return prefix

    def _wants(self, step: int, timestamp: int, info: Vp8) -> bool:
        """Whether a packet passes the ceiling; takes note of pictures that do not."""
        _, picture, _, temporal, sync, _, starts, is_key, _ = info
        if picture < 0:
            picture = timestamp
        if step > MAX_GAP:
            self._ceiling = self._leg.spec.max_temporal
            return True
        if picture in self._dropped:
            return False
        if step <= 0:
            return True
        if starts:
            self._move_ceiling(temporal, sync, is_key)
        if temporal <= self._ceiling or picture == self._exempt:
            return True
        if step > 1 or not starts:
            self._exempt = picture
            return True
        self._drop(picture)
        return False

    def _move_ceiling(self, temporal: int, sync: int, is_key: bool) -> None:
        wanted = self._leg.spec.max_temporal
        if is_key or wanted <= self._ceiling:
            self._ceiling = wanted
            self._vain = 0
        elif self._ceiling < temporal <= wanted:
            self._vain += 1
            if (sync and temporal == self._ceiling + 1) or self._vain > _PATIENCE_PICTURES:
                self._ceiling = temporal
                self._vain = 0

    def _drop(self, picture: int) -> None:
        dropped = self._dropped
        dropped[picture] = None
        if len(dropped) > _MAX_DROPPED:
            del dropped[next(iter(dropped))]
        self._picture_offset += 1
        self._add_range(picture + 1)

    def _describe(self, number: int, timestamp: int, info: Vp8) -> bytes:
        """The descriptor of a packet that got a number; empty if its picture is too old to name."""
        _, picture, tl0, temporal, sync, key_index, _, _, first = info
        leg = self._leg
        if leg.epoch != self._epoch:
            self._rebase(timestamp, picture, tl0, key_index)
        offset = self._picture_offset
        if number > leg.last_number:
            if picture >= 0:
                self._last_picture = picture - offset
            if tl0 >= 0:
                self._last_tl0 = tl0 - self._tl0_offset & 0xFF
            if key_index >= 0:
                self._last_key = key_index - self._key_offset & 0x1F
            self.spatial = 0
            self.temporal = max(temporal, 0)
        elif picture >= 0:
            found = next((one for start, one in reversed(self._ranges) if picture >= start), None)
            if found is None:
                return b""
            offset = found
        if picture >= 0:
            picture = picture - offset & 0x7FFF
        if tl0 >= 0:
            tl0 = tl0 - self._tl0_offset & 0xFF
        if key_index >= 0:
            key_index = key_index - self._key_offset & 0x1F
            if tl0 >= 0 and picture >= 0 and temporal >= 0:
                return _pack_full(
                    first & 0x37 | 0x80, 0xF0, 0x8000 | picture, tl0, temporal << 6 | sync | key_index
                )  # the form that browsers send
        return _encode(first, picture, tl0, temporal, sync, key_index)

    def _rebase(self, timestamp: int, picture: int, tl0: int, key_index: int) -> None:
        """The first packet of another source: each number goes on by one."""
        self._epoch = self._leg.epoch
        self._picture_offset = picture - self._last_picture - 1 if picture >= 0 and self._last_picture >= 0 else 0
        self._tl0_offset = tl0 - self._last_tl0 - 1 if tl0 >= 0 and self._last_tl0 >= 0 else 0
        self._key_offset = key_index - self._last_key - 1 if key_index >= 0 and self._last_key >= 0 else 0
        self._dropped.clear()
        self._exempt = -1
        self._ranges = [(picture if picture >= 0 else timestamp, self._picture_offset)]

    def _add_range(self, start: int) -> None:
        ranges = self._ranges
        if ranges and ranges[-1][0] == start:
            ranges.pop()
        ranges.append((start, self._picture_offset))
        if len(ranges) > _MAX_RANGES:
            del ranges[0]


def _encode(first: int, picture: int, tl0: int, temporal: int, sync: int, key_index: int) -> bytes:
    """Any form of the descriptor; -1 leaves a field out."""
    return encode_descriptor(
        start_of_partition=first & 0x10 > 0,
        partition_id=first & 0x07,
        non_reference=first & 0x20 > 0,
        picture_id=picture,
        tl0_pic_idx=tl0,
        tid=temporal,
        layer_sync=sync > 0,
        key_index=key_index,
    )
