"""CRC-32c of SCTP packets (RFC 9260 appendix A), by google-crc32c; the only module that imports it.

The sum is stored least significant byte first, unlike every other field of the packet.
"""

from __future__ import annotations

import google_crc32c

_AT = 8
"""Where the checksum lies in the common header."""


def crc32c(data: bytes) -> int:
    """CRC-32c (Castagnoli) of `data`."""
    return int(google_crc32c.value(data))


def seal(packet: bytes) -> bytes:
    """The packet with its checksum filled in; the field must be zero before."""
    return packet[:_AT] + crc32c(packet).to_bytes(4, "little") + packet[_AT + 4 :]


def is_intact(packet: bytes) -> bool:
    """Whether the checksum of a packet as received is right."""
    found = int.from_bytes(packet[_AT : _AT + 4], "little")
    return crc32c(packet[:_AT] + b"\0\0\0\0" + packet[_AT + 4 :]) == found
