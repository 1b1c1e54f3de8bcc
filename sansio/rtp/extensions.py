"""RTP header extensions: blocks of one- and two-byte elements, and the values that an SFU reads or writes. RFC 8285.

Values: audio level (RFC 6464), SDES texts mid, rid and repaired rid (RFC 8843, 8852), transport-wide sequence number
(draft-holmer-rmcat-transport-wide-cc-extensions-01), abs-send-time, abs-capture-time and playout-delay (WebRTC
experiments). The dependency descriptor has a module of its own.

Left out: other people's experiments (color space, video timing and so on) are known by URI at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from struct import Struct

from .packet import Buffer, Header, RtpError

ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
_TWO_BYTE_MASK = 0xFFF0  # the low 4 bits are "appbits" (RFC 8285 §4.3)
_BLOCK_HEADER = Struct("!HH")


class ExtensionUri(StrEnum):
    """Names under which SDP maps extensions to ids."""

    MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
    RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
    PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    FRAME_MARKING = "urn:ietf:params:rtp-hdrext:framemarking"
    VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
    COLOR_SPACE = "http://www.webrtc.org/experiments/rtp-hdrext/color-space"
    VIDEO_CONTENT_TYPE = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
    VIDEO_TIMING = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing"
    TRANSMISSION_OFFSET = "urn:ietf:params:rtp-hdrext:toffset"


# Blocks


def parse_extensions(data: Buffer, header: Header) -> dict[int, bytes]:
    """The elements of a packet by id; of an id that occurs twice the last. Unknown profiles give none.

    Raises RtpError where an element runs past the block.
    """
    profile, start, end = header.extension_profile, header.extension_start, header.extension_end
    if profile == ONE_BYTE_PROFILE:
        return parse_one_byte(data, start, end)
    if profile & _TWO_BYTE_MASK == TWO_BYTE_PROFILE:
        return parse_two_byte(data, start, end)
    return {}


def parse_one_byte(data: Buffer, start: int, end: int) -> dict[int, bytes]:
    """One-byte elements between two offsets (RFC 8285 §4.2)."""
    if type(data) is not bytes:
        data = bytes(data)  # so that slices are bytes
    elements: dict[int, bytes] = {}
    while start < end:
        first = data[start]
        start += 1
        if first == 0:
            continue  # padding
        if first >= 0xF0:
            break  # id 15 ends the processing of the whole block
        after = start + (first & 0x0F) + 1
        if after > end:
            raise RtpError("header extension element runs past its block")
        elements[first >> 4] = data[start:after]
        start = after
    return elements


def parse_two_byte(data: Buffer, start: int, end: int) -> dict[int, bytes]:
    """Two-byte elements between two offsets (RFC 8285 §4.3)."""
    if type(data) is not bytes:
        data = bytes(data)
    elements: dict[int, bytes] = {}
    while start < end:
        identifier = data[start]
        start += 1
        if identifier == 0:
            continue
        if start == end:
            raise RtpError("header extension element without a length")
        after = start + data[start] + 1
        if after > end:
            raise RtpError("header extension element runs past its block")
        elements[identifier] = data[start + 1 : after]
        start = after
    return elements


def encode_extensions(elements: Iterable[tuple[int, bytes]], *, mixed: bool = False) -> bytes:
    """A whole block (profile, length, elements, padding) of (id, value) pairs, or nothing if none is left.

    Id 0 means "not negotiated" and is skipped. The one-byte form is written unless an element needs the other, and that
    only if `mixed` (a=extmap-allow-mixed, RFC 8285 §6); else the elements that do not fit are left out.
    """
    one_byte = b""
    large = False
    kept = []
    for identifier, value in elements:
        if not identifier:
            continue
        if identifier < 15 and 0 < len(value) <= 16:
            one_byte += bytes((identifier << 4 | len(value) - 1,)) + value
        elif mixed and identifier < 256 and len(value) < 256:
            large = True
        else:
            continue
        kept.append((identifier, value))
    if not large:
        return _block(ONE_BYTE_PROFILE, one_byte) if one_byte else b""
    return _block(TWO_BYTE_PROFILE, b"".join(bytes((identifier, len(value))) + value for identifier, value in kept))


def _block(profile: int, elements: bytes) -> bytes:
    words = (len(elements) + 3) // 4
    return _BLOCK_HEADER.pack(profile, words) + elements.ljust(4 * words, b"\0")


# Values


def parse_text(value: Buffer) -> str:
    """A mid or rid (RFC 8852 §3: letters and digits in practice, ASCII in any case)."""
    try:
        text = bytes(value).rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError as error:
        raise RtpError("SDES text that is not ASCII") from error
    if not text:
        raise RtpError("empty SDES text")
    return text


def parse_audio_level(value: Buffer) -> tuple[bool, int]:
    """(voice activity, -dBov from 0 loudest to 127 silent) of RFC 6464 §3."""
    if not value:
        raise RtpError("empty audio level")
    return value[0] >= 0x80, value[0] & 0x7F


def encode_audio_level(is_voice: bool, level: int) -> bytes:
    return bytes((0x80 * is_voice | min(max(level, 0), 127),))


def parse_transport_cc(value: Buffer) -> int:
    """The 16-bit transport-wide sequence number; the request fields of version 2 are ignored."""
    if len(value) < 2:
        raise RtpError("transport-wide sequence number cut short")
    return (value[0] << 8) | value[1]


def encode_transport_cc(sequence_number: int) -> bytes:
    return (sequence_number & 0xFFFF).to_bytes(2, "big")


def parse_abs_send_time(value: Buffer) -> int:
    """Seconds in 6.18 fixed point, 24 bits; wraps every 64 s."""
    if len(value) < 3:
        raise RtpError("abs-send-time cut short")
    return (value[0] << 16) | (value[1] << 8) | value[2]


def encode_abs_send_time(ntp_timestamp: int) -> bytes:
    """From a 64-bit NTP timestamp (32.32 fixed point)."""
    return ((ntp_timestamp >> 14) & 0xFFFFFF).to_bytes(3, "big")


def parse_abs_capture_time(value: Buffer) -> tuple[int, int | None]:
    """(64-bit NTP timestamp, clock offset estimate as signed 32.32 fixed point or None)."""
    if len(value) < 8:
        raise RtpError("abs-capture-time cut short")
    offset = int.from_bytes(value[8:16], "big", signed=True) if len(value) >= 16 else None
    return int.from_bytes(value[:8], "big"), offset


def encode_abs_capture_time(ntp_timestamp: int, offset: int | None = None) -> bytes:
    captured = (ntp_timestamp & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
    return captured if offset is None else captured + offset.to_bytes(8, "big", signed=True)


def parse_playout_delay(value: Buffer) -> tuple[int, int]:
    """(least, greatest) playout delay in ms; the wire has 12 bits each in steps of 10 ms."""
    if len(value) < 3:
        raise RtpError("playout-delay cut short")
    bits = (value[0] << 16) | (value[1] << 8) | value[2]
    return (bits >> 12) * 10, (bits & 0xFFF) * 10


def encode_playout_delay(min_ms: int, max_ms: int) -> bytes:
    least, greatest = (min(max(ms // 10, 0), 0xFFF) for ms in (min_ms, max_ms))
    return (least << 12 | greatest).to_bytes(3, "big")
