"""What the kernel reads of a payload: key frames, and for VP8 the descriptor that legs rewrite (RFC 7741 §4.2).

A reader is made per stream, because picture ids are widened along the stream. It is called once per received packet.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, TypeAlias

from ..seqnum import widen
from .interface import Codec, ExtensionIds

Vp8: TypeAlias = tuple[bytes, int, int, int, int, int, bool, bool, int]
"""The payload behind the descriptor, extended picture id, TL0PICIDX, temporal id, layer sync (0x20 or 0), KEYIDX (each -1
if absent, but layer sync), whether a picture starts here, whether it is a key frame, first byte."""


class Reading(NamedTuple):
    """What a reader found in a payload. `info` is for legs of the codec's own mode."""

    starts_key_frame: bool
    width: int
    height: int
    spatial: int
    temporal: int
    info: object


NOTHING: Final = Reading(False, 0, 0, 0, 0, None)


class Reader(Protocol):
    """Reads the payloads of one stream and one codec, in order of arrival."""

    def __call__(self, payload: bytes, extensions: dict[int, bytes], /) -> Reading: ...


def make_reader(codec: Codec, extensions: ExtensionIds) -> Reader | None:
    """A fresh reader; None for codecs of which nothing is read."""
    del extensions
    return Vp8Reader() if codec is Codec.VP8 else None


class Vp8Reader:
    """VP8 payload descriptors with picture ids widened; senders may change between 7 and 15 bits."""

    __slots__ = ("_picture",)

    def __init__(self) -> None:
        self._picture = -1

    def __call__(self, payload: bytes, extensions: dict[int, bytes], /) -> Reading:
        del extensions
        found = parse_vp8(payload)
        if found is None:
            return NOTHING
        info, bits = found
        body, picture, _, temporal, _, _, _, is_key, _ = info
        if picture >= 0:
            picture = self._widen(picture, bits)
            info = (body, picture, *info[2:])
        width = height = 0
        if is_key and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
            width = (body[6] | body[7] << 8) & 0x3FFF
            height = (body[8] | body[9] << 8) & 0x3FFF
        return Reading(is_key, width, height, 0, max(temporal, 0), info)

    def _widen(self, picture: int, bits: int) -> int:
        if self._picture < 0:
            self._picture = picture
            return picture
        wide = widen(picture, self._picture, bits)
        self._picture = max(self._picture, wide)
        return wide


def parse_vp8(payload: bytes) -> tuple[Vp8, int] | None:
    """The descriptor with the picture id as sent, and its width in bits; None if it is cut short."""
    picture = tl0 = temporal = key_index = -1
    sync = bits = 0
    try:
        first = payload[0]
        at = 1
        if first & 0x80:
            flags = payload[1]
            at = 2
            if flags & 0x80:  # I: one byte, or two when its top bit M is set
                picture, bits = payload[at], 7
                at += 1
                if picture & 0x80:
                    picture, bits = (picture & 0x7F) << 8 | payload[at], 15
                    at += 1
            if flags & 0x40:  # L
                tl0 = payload[at]
                at += 1
            if flags & 0x30:  # T and K share a byte
                byte = payload[at]
                at += 1
                if flags & 0x20:
                    temporal, sync = byte >> 6, byte & 0x20
                if flags & 0x10:
                    key_index = byte & 0x1F
        starts = first & 0x17 == 0x10
        is_key = starts and not payload[at] & 1
    except IndexError:
        return None
    body = payload[at:]
    return ((body, picture, tl0, temporal, sync, key_index, starts, is_key, first), bits) if body else None


def encode_vp8(first: int, picture: int, tl0: int, temporal: int, sync: int, key_index: int) -> bytes:
    """A descriptor; -1 leaves a field out. The picture id always takes 15 bits, so that lengths never change in flight."""
    out = [first & 0x37, 0]
    flags = 0
    if picture >= 0:
        flags |= 0x80
        out += (0x80 | picture >> 8 & 0x7F, picture & 0xFF)
    if tl0 >= 0:
        flags |= 0x40
        out.append(tl0)
    if temporal >= 0 or key_index >= 0:
        flags |= (0x20 if temporal >= 0 else 0) | (0x10 if key_index >= 0 else 0)
        out.append(max(temporal, 0) << 6 | sync | max(key_index, 0))
    if not flags:
        return bytes((first & 0x37,))
    out[0] |= 0x80
    out[1] = flags
    return bytes(out)
