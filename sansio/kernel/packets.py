"""The received packet as the kernel passes it on, and the header extensions it is sent with (RFC 8285 §4).

A packet is parsed once, into a plain tuple of integers and bytes: the cheapest thing to build and to unpack, and one that
the garbage collector soon leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, TypeAlias

Packet: TypeAlias = tuple[int, int, int, int, bytes, dict[int, bytes] | None, Any]
"""position, extended timestamp, marker (0x80 or 0), payload type, payload (empty for padding), extensions to pass on (by the
source's ids; None if there are none), what the codec's reader found (None if nothing)."""
_WORD: Final = Struct("!H")
_BYTES: Final = tuple(bytes((value,)) for value in range(256))


def encode_extensions(elements: Sequence[tuple[int, bytes]], two_byte: bool) -> bytes:
    """A block with its header; in one-byte form where that can say it and `two_byte` is not asked for.

    Unlike `rtp.encode_extensions` this keeps a stream that may not mix the forms to the two-byte one.
    """
    body = b""
    if not two_byte:
        for identifier, value in elements:
            size = len(value)
            if identifier > 14 or not 0 < size <= 16:
                two_byte = True
                break
            body += _BYTES[identifier << 4 | size - 1] + value
    if two_byte:
        body = b"".join([_BYTES[identifier] + _BYTES[len(value)] + value for identifier, value in elements])
    words = (len(body) + 3) // 4
    return (b"\x10\x00" if two_byte else b"\xbe\xde") + _WORD.pack(words) + body.ljust(words * 4, b"\0")
