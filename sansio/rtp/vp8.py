"""VP8 payload descriptors: reading, and writing with other numbers. RFC 7741 §4.2, §4.3.

Key frames are told by the P bit of the payload header, sizes by the uncompressed data chunk (RFC 6386 §9.1). Left out:
the rest of the frame, which is opaque here (and may be encrypted end to end).
"""

from __future__ import annotations

from typing import NamedTuple

from .packet import Buffer, RtpError

_START_CODE = b"\x9d\x01\x2a"
_new_tuple = tuple.__new__


class Vp8Descriptor(NamedTuple):
    """What the descriptor says; numbers that it does not carry are -1."""

    header_bytes: int
    picture_id: int
    picture_id_bits: int
    """0 (absent), 7 or 15."""
    tl0_pic_idx: int
    tid: int
    layer_sync: bool
    key_index: int
    start_of_partition: bool
    partition_id: int
    non_reference: bool
    is_key_frame: bool
    """Only on the first packet of a key frame."""
    width: int
    """Of a key frame whose first bytes are here, else 0."""
    height: int


def parse(data: Buffer, start: int = 0, end: int | None = None) -> Vp8Descriptor:
    """The descriptor of the payload between two offsets; raises RtpError if it is cut short or inconsistent."""
    if end is None:
        end = len(data)
    try:
        return _parse(data, start, end)
    except IndexError as error:
        raise RtpError("VP8 payload descriptor cut short") from error


def _parse(data: Buffer, start: int, end: int) -> Vp8Descriptor:
    if start >= end:
        raise RtpError("empty VP8 payload")
    first = data[start]
    position = start + 1
    picture_id = tl0_pic_idx = tid = key_index = -1
    picture_id_bits = 0
    layer_sync = False
    if first & 0x80:
        flags = data[position]
        position += 1
        if flags & 0x80:
            picture_id, picture_id_bits = data[position], 7
            position += 1
            if picture_id & 0x80:
                picture_id, picture_id_bits = (picture_id & 0x7F) << 8 | data[position], 15
                position += 1
        if flags & 0x40:
            if not flags & 0x20:
                raise RtpError("TL0PICIDX without TID")  # RFC 7741 §4.2: L requires T
            tl0_pic_idx = data[position]
            position += 1
        if flags & 0x30:
            last = data[position]
            position += 1
            if flags & 0x20:
                tid, layer_sync = last >> 6, bool(last & 0x20)
            if flags & 0x10:
                key_index = last & 0x1F
    if position > end:
        raise RtpError("VP8 payload descriptor cut short")
    is_key_frame, width, height = False, 0, 0
    if first & 0x17 == 0x10 and position < end and not data[position] & 1:
        is_key_frame = True
        width, height = _frame_size(data, position, end)
    return _new_tuple(
        Vp8Descriptor,
        (
            position - start,
            picture_id,
            picture_id_bits,
            tl0_pic_idx,
            tid,
            layer_sync,
            key_index,
            bool(first & 0x10),
            first & 0x07,
            bool(first & 0x20),
            is_key_frame,
            width,
            height,
        ),
    )


def _frame_size(data: Buffer, position: int, end: int) -> tuple[int, int]:
    if end - position < 10 or data[position + 3 : position + 6] != _START_CODE:
        return 0, 0
    width = data[position + 6] | (data[position + 7] & 0x3F) << 8
    height = data[position + 8] | (data[position + 9] & 0x3F) << 8
    return width, height


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether the payload begins a key frame; False for what is not VP8."""
    try:
        return parse(data, start, end).is_key_frame
    except RtpError:
        return False


def key_frame_size(data: Buffer, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """(width, height) of the key frame that begins here, (0, 0) where it is not told."""
    try:
        descriptor = parse(data, start, end)
    except RtpError:
        return 0, 0
    return descriptor.width, descriptor.height


def rewrite_descriptor(source: Vp8Descriptor, picture_id: int, tl0_pic_idx: int, key_index: int) -> bytes:
    """`source` with other numbers; those that it does not carry stay absent.

    The picture id is written in 15 bits whatever its width was, so that it may run on across sources of either width.
    Numbers may be extended ones: they are cut to wire width here.
    """
    return encode_descriptor(
        start_of_partition=source.start_of_partition,
        partition_id=source.partition_id,
        non_reference=source.non_reference,
        picture_id=picture_id & 0x7FFF if source.picture_id_bits else -1,
        tl0_pic_idx=tl0_pic_idx & 0xFF if source.tl0_pic_idx >= 0 else -1,
        tid=source.tid,
        layer_sync=source.layer_sync,
        key_index=key_index & 0x1F if source.key_index >= 0 else -1,
    )


def encode_descriptor(
    *,
    start_of_partition: bool,
    partition_id: int = 0,
    non_reference: bool = False,
    picture_id: int = -1,
    tl0_pic_idx: int = -1,
    tid: int = -1,
    layer_sync: bool = False,
    key_index: int = -1,
) -> bytes:
    """A descriptor with the fields that are not -1; the picture id takes 15 bits. TL0PICIDX needs a TID."""
    first = 0x10 * start_of_partition | 0x20 * non_reference | partition_id
    flags = 0
    tail = b""
    if picture_id >= 0:
        flags = 0x80
        tail = bytes((0x80 | picture_id >> 8, picture_id & 0xFF))
    if tl0_pic_idx >= 0:
        flags |= 0x40
        tail += bytes((tl0_pic_idx,))
    if tid >= 0 or key_index >= 0:
        flags |= 0x20 * (tid >= 0) | 0x10 * (key_index >= 0)
        tail += bytes((max(tid, 0) << 6 | 0x20 * layer_sync | max(key_index, 0),))
    return bytes((first | 0x80, flags)) + tail if flags else bytes((first,))
