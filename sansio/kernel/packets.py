"""The received packet as the kernel passes it on, and how the RTP header is taken apart (RFC 3550 §5.1, RFC 8285 §4).

A packet is parsed once, into a plain tuple of integers and bytes: the cheapest thing to build and to unpack, and one that
the garbage collector soon leaves alone. Left out: CSRCs are skipped, not kept; only extensions that somebody asks for are
looked at again.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias

Packet: TypeAlias = tuple[int, int, int, int, bytes, dict[int, bytes] | None, Any]
"""position, extended timestamp, marker (0x80 or 0), payload type, payload (empty for padding), extensions to pass on (by the
source's ids; None if there are none), what the codec's reader found (None if nothing)."""


class Header(NamedTuple):
    """A parsed RTP packet before it belongs to a stream."""

    marker: int
    """0x80 or 0."""
    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    extensions: dict[int, bytes]
    payload_start: int
    payload_end: int
    """Where padding begins."""


_fixed: Final = Struct("!BBHII").unpack_from
_extension_header: Final = Struct("!HH").unpack_from
_NO_EXTENSIONS: Final[dict[int, bytes]] = {}


def parse_rtp(data: bytes) -> Header | None:
    """Take a plain RTP packet apart; None if it contradicts itself. Every length is checked before it is used."""
    size = len(data)
    if size < 12:
        return None
    first, second, sequence_number, timestamp, ssrc = _fixed(data)
    start = 12 + 4 * (first & 0x0F)
    if first >> 6 != 2 or start > size:
        return None
    extensions = _NO_EXTENSIONS
    if first & 0x10:
        if start + 4 > size:
            return None
        profile, words = _extension_header(data, start)
        begin = start + 4
        start = begin + 4 * words
        if start > size:
            return None
        extensions = _parse_extensions(data, profile, begin, start)
    end = size
    if first & 0x20:
        if end == start or not 0 < data[end - 1] <= end - start:
            return None
        end -= data[end - 1]
    return Header(second & 0x80, second & 0x7F, sequence_number, timestamp, ssrc, extensions, start, end)


def _parse_extensions(data: bytes, profile: int, at: int, end: int) -> dict[int, bytes]:
    if profile == 0xBEDE:
        return _parse_one_byte(data, at, end)
    return _parse_two_byte(data, at, end) if profile & 0xFFF0 == 0x1000 else _NO_EXTENSIONS


def _parse_one_byte(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """RFC 8285 §4.2: an id of 15 ends the block, a zero byte is padding; an element that runs out of the block ends it."""
    found = {}
    while at < end:
        byte = data[at]
        at += 1
        if byte:
            after = at + (byte & 0x0F) + 1
            if byte >= 0xF0 or after > end:
                break
            found[byte >> 4] = data[at:after]
            at = after
    return found


def _parse_two_byte(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """RFC 8285 §4.3: id and length take a byte each; length 0 is allowed."""
    found = {}
    while at < end:
        byte = data[at]
        at += 1
        if byte:
            if at == end:
                break
            after = at + 1 + data[at]
            if after > end:
                break
            found[byte] = data[at + 1 : after]
            at = after
    return found


def encode_extensions(elements: list[tuple[int, bytes]], two_byte: bool) -> bytes:
    """The extension block with its header (RFC 8285 §4); one-byte form where it can say it and `two_byte` is not forced."""
    two_byte = two_byte or any(identifier > 14 or not 0 < len(value) <= 16 for identifier, value in elements)
    body = bytearray()
    for identifier, value in elements:
        if two_byte:
            body += bytes((identifier, len(value)))
        else:
            body.append(identifier << 4 | len(value) - 1)
        body += value
    body += bytes(-len(body) % 4)
    return (b"\x10\x00" if two_byte else b"\xbe\xde") + (len(body) // 4).to_bytes(2, "big") + bytes(body)
