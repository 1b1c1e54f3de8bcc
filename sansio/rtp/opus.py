"""Opus packets: the table of contents byte, durations, and the frame of silence. RFC 6716 §3.1, §3.2.

Left out: everything behind the framing; payloads may be encrypted end to end.
"""

from __future__ import annotations

from .packet import Buffer, RtpError

CLOCK_RATE = 48000
SILENCE = b"\xf8\xff\xfe".ljust(80, b"\0")
"""20 ms of silence (CELT, full band, mono), padded so that it does not pass for DTX."""

_SILK_MS = (10, 20, 40, 60)
_HYBRID_MS = (10, 20)
_CELT_MS = (2.5, 5, 10, 20)


def frame_duration(toc: int) -> int:
    """Samples at 48 kHz of one frame, by the table of contents byte (RFC 6716 table 2)."""
    config = toc >> 3
    if config < 12:
        milliseconds: float = _SILK_MS[config & 3]
    elif config < 16:
        milliseconds = _HYBRID_MS[config & 1]
    else:
        milliseconds = _CELT_MS[config & 3]
    return int(milliseconds * CLOCK_RATE / 1000)


def duration(data: Buffer, start: int = 0, end: int | None = None) -> int:
    """Samples at 48 kHz of a packet; raises RtpError if it is empty or cut short, or holds more than 120 ms."""
    if end is None:
        end = len(data)
    if start >= end:
        raise RtpError("empty Opus packet")
    code = data[start] & 3
    if code < 3:
        count = 1 if code == 0 else 2
    elif start + 1 < end:
        count = data[start + 1] & 0x3F
    else:
        raise RtpError("Opus packet without its frame count")
    samples = count * frame_duration(data[start])
    if not 0 < samples <= CLOCK_RATE * 120 // 1000:
        raise RtpError("impossible Opus duration")
    return samples


def is_stereo(toc: int) -> bool:
    return bool(toc & 4)


def is_dtx(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether a packet only keeps the stream alive in a pause: a table of contents byte and at most one more."""
    return 0 < (len(data) if end is None else end) - start <= 2


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Every packet that is not empty can be decoded by itself."""
    return start < (len(data) if end is None else end)
