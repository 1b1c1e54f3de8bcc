"""The received packet as the kernel passes it on, and the header extensions it is sent with (RFC 8285 §4).

A packet is parsed once, into a plain tuple of integers and bytes: the cheapest thing to build and to unpack, and one that
the garbage collector soon leaves alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Packet: TypeAlias = tuple[int, int, int, int, bytes, dict[int, bytes] | None, Any]
"""position, extended timestamp, marker (0x80 or 0), payload type, payload (empty for padding), extensions to pass on (by the
source's ids; None if there are none), what the codec's reader found (None if nothing)."""


def encode_extensions(elements: list[tuple[int, bytes]], two_byte: bool) -> bytes:
    """A block with its header; in one-byte form where that can say it and `two_byte` is not asked for.

    Unlike `rtp.encode_extensions` this keeps a stream that may not mix the forms to the two-byte one.
    """
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
