"""AV1 payloads: aggregation header, OBUs, key frames, sizes. AV1 RTP specification §4.4; AV1 bitstream §5.3, §5.5.

Layers of AV1 are told by the dependency descriptor, not here. Left out: tiles, and everything behind the headers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from .bits import BitReader
from .packet import Buffer, RtpError


class ObuType(IntEnum):
    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    FRAME = 6


class Aggregation(NamedTuple):
    """The aggregation header of a payload."""

    continues: bool
    """Z: the first element goes on from the packet before."""
    is_continued: bool
    """Y: the last element goes on in the next packet."""
    elements: int
    """W: how many elements there are, 0 if each has its size."""
    starts_sequence: bool
    """N: first packet of a coded video sequence."""


_MAX_SEQUENCE_HEADER_BYTES = 256
_new_tuple = tuple.__new__


def parse_aggregation(data: Buffer, start: int = 0, end: int | None = None) -> Aggregation:
    """The aggregation header; raises RtpError for an empty payload."""
    if start >= (len(data) if end is None else end):
        raise RtpError("empty AV1 payload")
    head = data[start]
    return _new_tuple(Aggregation, (head >= 0x80, bool(head & 0x40), head >> 4 & 3, bool(head & 8)))


def obu_elements(data: Buffer, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """(start, end) of each OBU element of the payload, fragments included; raises RtpError if one runs past it."""
    if end is None:
        end = len(data)
    if start >= end:
        raise RtpError("empty AV1 payload")
    count = data[start] >> 4 & 3
    position = start + 1
    elements: list[tuple[int, int]] = []
    while position < end:
        if count and len(elements) == count - 1:
            size = end - position
        else:
            size, position = _read_leb128(data, position, end)
        if position + size > end:
            raise RtpError("OBU element runs past the payload")
        elements.append((position, position + size))
        position += size
    return elements


def _read_leb128(data: Buffer, position: int, end: int) -> tuple[int, int]:
    """(value, offset after it) of a little-endian base 128 number."""
    value = 0
    for shift in range(0, 56, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise RtpError("leb128 number cut short or too long")


def obu_header(data: Buffer, start: int, end: int) -> tuple[int, int]:
    """(type, offset of the OBU's payload); raises RtpError if the header is cut short."""
    if start >= end:
        raise RtpError("empty OBU")
    head = data[start]
    position = start + 1 + (head >> 2 & 1)
    if head & 2:
        _, position = _read_leb128(data, position, end)
    if position > end:
        raise RtpError("OBU header cut short")
    return head >> 3 & 15, position


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether the payload begins a coded video sequence with a key frame; False for what is not AV1."""
    try:
        return _sequence_header(data, start, end) is not None
    except RtpError:
        return False


def key_frame_size(data: Buffer, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """(width, height) by the sequence header in the payload, (0, 0) if there is none that can be read."""
    try:
        found = _sequence_header(data, start, end)
        return (0, 0) if found is None else parse_sequence_size(data, *found)
    except RtpError:
        return 0, 0


def _sequence_header(data: Buffer, start: int, end: int | None) -> tuple[int, int] | None:
    """Bounds of the sequence header's payload if a key frame begins here.

    The sequence header comes first, but for a temporal delimiter, which senders should have dropped. A frame that
    follows it here must be a key frame that is shown; if none follows, the N bit is believed.
    """
    aggregation = parse_aggregation(data, start, end)
    if aggregation.continues or not aggregation.starts_sequence:
        return None
    found = None
    for begin, after in obu_elements(data, start, end):
        if begin == after:
            continue
        kind, body = obu_header(data, begin, after)
        if kind == ObuType.SEQUENCE_HEADER and found is None:
            found = body, after
        elif kind in (ObuType.FRAME_HEADER, ObuType.FRAME):
            # show_existing_frame, then frame_type: both 0 in a key frame
            return found if body < after and not data[body] & 0xE0 else None
        elif found is None and kind != ObuType.TEMPORAL_DELIMITER:
            return None
    return found


def parse_sequence_size(data: Buffer, start: int, end: int) -> tuple[int, int]:
    """(max_frame_width, max_frame_height) of a sequence header OBU's payload (AV1 bitstream §5.5.1)."""
    reader = BitReader(bytes(data[start : min(end, start + _MAX_SEQUENCE_HEADER_BYTES)]))
    reader.skip(4)  # seq_profile, still_picture
    if reader.flag():  # reduced_still_picture_header
        reader.skip(5)
    else:
        _skip_operating_points(reader)
    width_bits, height_bits = reader.read(4) + 1, reader.read(4) + 1
    return reader.read(width_bits) + 1, reader.read(height_bits) + 1


def _skip_operating_points(reader: BitReader) -> None:
    delay_bits = 0
    if reader.flag():  # timing_info_present_flag
        reader.skip(64)
        if reader.flag():
            reader.exp_golomb()
        if reader.flag():  # decoder_model_info_present_flag
            delay_bits = reader.read(5) + 1
            reader.skip(42)
    has_display_delay = reader.flag()
    for _ in range(reader.read(5) + 1):
        reader.skip(12)
        if reader.read(5) > 7:
            reader.skip(1)
        if delay_bits and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if has_display_delay and reader.flag():
            reader.skip(4)
