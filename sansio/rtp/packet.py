"""RTP packets: a flat view of the fixed header, and its writing. RFC 3550 §5.1; RTX payloads, RFC 4588 §4.

`parse_header` copies nothing of the payload: it gives offsets into the datagram, as a tuple, because it runs for every
packet. It is meant for decrypted packets: under SRTP the padding count is ciphertext.

Left out: contributing sources beyond carrying them, and profiles other than RTP/AVP with the generic header extension
(`extensions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from ..errors import LocalProtocolError, RemoteProtocolError

Buffer = bytes | bytearray | memoryview
"""What the parsers of this package read."""

VERSION = 2
HEADER_BYTES = 12
NO_EXTENSION = -1

_FIXED = Struct("!BBHII")
_WORD_PAIR = Struct("!HH")
_SEQUENCE_NUMBER = Struct("!H")
_new_tuple = tuple.__new__


class RtpError(RemoteProtocolError):
    """An RTP packet, header extension or payload descriptor that its format does not allow."""


class Header(NamedTuple):
    """The fixed header, and where the rest lies in the datagram."""

    marker: bool
    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...]
    extension_profile: int
    """The 16 bits "defined by profile" (RFC 3550 §5.3.1); `NO_EXTENSION` where there is no extension."""
    extension_start: int
    """Of the elements, after profile and length; equal to `extension_end` where there are none."""
    extension_end: int
    payload_start: int
    payload_end: int
    """Without padding; equal to `payload_start` for packets that are padding only."""
    padding: int
    """Bytes of padding after the payload, the count included."""


def parse_header(data: Buffer) -> Header:
    """The header of a decrypted RTP packet; raises RtpError for whatever is cut short or not RTP."""
    size = len(data)
    if size < HEADER_BYTES:
        raise RtpError("shorter than an RTP header")
    first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != VERSION:
        raise RtpError("not RTP version 2")
    position = HEADER_BYTES
    csrcs: tuple[int, ...] = ()
    if first & 0x0F:
        position, csrcs = _parse_csrcs(data, first & 0x0F)
    profile, extension_start, extension_end = NO_EXTENSION, position, position
    if first & 0x10:
        if size < position + 4:
            raise RtpError("header extension cut short")
        profile, words = _WORD_PAIR.unpack_from(data, position)
        extension_start = position + 4
        position = extension_end = extension_start + 4 * words
    if size < position:
        raise RtpError("header extension longer than the packet")
    padding = 0
    if first & 0x20:
        padding = data[size - 1]
        if padding == 0 or padding > size - position:
            raise RtpError("impossible padding count")
    return _new_tuple(
        Header,
        (
            second >= 0x80,
            second & 0x7F,
            sequence_number,
            timestamp,
            ssrc,
            csrcs,
            profile,
            extension_start,
            extension_end,
            position,
            size - padding,
            padding,
        ),
    )


def _parse_csrcs(data: Buffer, count: int) -> tuple[int, tuple[int, ...]]:
    end = HEADER_BYTES + 4 * count
    if len(data) < end:
        raise RtpError("CSRC list cut short")
    return end, Struct(f"!{count}I").unpack_from(data, HEADER_BYTES)


def encode_header(
    payload_type: int,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    marker: bool = False,
    extension: bytes = b"",
    has_padding: bool = False,
) -> bytes:
    """A header without CSRCs. Numbers may be extended ones: they are cut to wire width here.

    `extension` is a whole block as `encode_extensions` gives it (profile and length included), or empty.
    """
    first = 0x80 | (0x10 if extension else 0) | (0x20 if has_padding else 0)
    second = payload_type | 0x80 if marker else payload_type
    return _FIXED.pack(first, second, sequence_number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + extension


def encode_packet(
    *,
    payload_type: int,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    payload: bytes = b"",
    marker: bool = False,
    csrcs: Sequence[int] = (),
    extension: bytes = b"",
    padding: int = 0,
) -> bytes:
    """A whole packet, `padding` bytes of padding included (RFC 3550 §5.1)."""
    if not 0 <= payload_type < 128 or len(csrcs) > 15 or not 0 <= padding < 256 or len(extension) % 4:
        raise LocalProtocolError("an RTP field does not fit the header")
    header = bytearray(encode_header(payload_type, sequence_number, timestamp, ssrc, marker, extension, padding > 0))
    if csrcs:
        header[0] |= len(csrcs)
        header[HEADER_BYTES:HEADER_BYTES] = b"".join(csrc.to_bytes(4, "big") for csrc in csrcs)
    return bytes(header) + payload + encode_padding(padding)


def encode_padding(count: int) -> bytes:
    """`count` bytes (at most 255) that end in their own count, or nothing for 0."""
    return bytes(count - 1) + bytes((count,)) if count else b""


def is_rtcp(data: Buffer) -> bool:
    """Whether a packet on a multiplexed port is RTCP rather than RTP (RFC 5761 §4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def parse_rtx(data: Buffer, start: int, end: int) -> int:
    """The original sequence number (OSN) of an RTX payload; the original payload begins at `start` + 2.

    Raises RtpError if nothing follows: such packets are probes, not repairs.
    """
    if end - start < 3:
        raise RtpError("RTX packet without a payload")
    return (data[start] << 8) | data[start + 1]


def encode_rtx(sequence_number: int, payload: bytes) -> bytes:
    """An RTX payload: the number under which `payload` was sent before, then `payload` (RFC 4588 §4)."""
    return _SEQUENCE_NUMBER.pack(sequence_number & 0xFFFF) + payload
