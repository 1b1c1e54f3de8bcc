"""VP9 payload descriptors. RFC 9628 §4.2; sizes also from the uncompressed frame header (VP9 bitstream specification
§6.2).

Left out: writing. A VP9 stream goes on as it came; the picture id is only read.
"""

from __future__ import annotations

from typing import NamedTuple

from .bits import BitReader
from .packet import Buffer, RtpError

_SYNC_CODE = 0x498342
_SRGB = 7
_new_tuple = tuple.__new__


class ScalabilityStructure(NamedTuple):
    """What the descriptor of a key picture says of the layers to come (RFC 9628 §4.2.1)."""

    spatial_layers: int
    resolutions: tuple[tuple[int, int], ...]
    """(width, height) by spatial layer, lowest first; empty if not told."""
    pictures: tuple[tuple[int, bool, tuple[int, ...]], ...]
    """(TID, switching up point, reference differences) by picture of the group; empty if not told."""


class Vp9Descriptor(NamedTuple):
    """What the descriptor says; numbers that it does not carry are -1."""

    header_bytes: int
    picture_id: int
    picture_id_bits: int
    """0 (absent), 7 or 15."""
    is_inter_picture: bool
    """P: the frame is predicted from earlier pictures."""
    is_flexible: bool
    """F: references are told frame by frame."""
    begin_of_frame: bool
    """B: first packet of a (layer) frame."""
    end_of_frame: bool
    """E."""
    not_reference: bool
    """Z: no higher spatial layer of the picture refers to this frame."""
    tid: int
    switching_up: bool
    """U: from here on the receiver may go up to the temporal layer of this frame."""
    sid: int
    inter_layer: bool
    """D: the frame is predicted from the lower spatial layer of its picture."""
    tl0_pic_idx: int
    references: tuple[int, ...]
    """Picture id differences (flexible mode)."""
    structure: ScalabilityStructure | None
    is_key_frame: bool
    """First packet of a key picture: what a receiver can start from."""
    width: int
    """Of a key picture, its highest spatial layer, else 0."""
    height: int


def parse(data: Buffer, start: int = 0, end: int | None = None) -> Vp9Descriptor:
    """The descriptor of the payload between two offsets; raises RtpError if it is cut short."""
    if end is None:
        end = len(data)
    if start >= end:
        raise RtpError("empty VP9 payload")
    try:
        return _parse(data, start, end)
    except IndexError as error:
        raise RtpError("VP9 payload descriptor cut short") from error


def _parse(data: Buffer, start: int, end: int) -> Vp9Descriptor:
    first = data[start]
    position = start + 1
    picture_id = tid = sid = tl0_pic_idx = -1
    picture_id_bits = 0
    switching_up = inter_layer = False
    if first & 0x80:
        picture_id, picture_id_bits = data[position], 7
        position += 1
        if picture_id & 0x80:
            picture_id, picture_id_bits = (picture_id & 0x7F) << 8 | data[position], 15
            position += 1
    if first & 0x20:
        layer = data[position]
        position += 1
        tid, switching_up, sid, inter_layer = layer >> 5, bool(layer & 0x10), layer >> 1 & 7, bool(layer & 1)
        if not first & 0x10:
            tl0_pic_idx = data[position]
            position += 1
    references: tuple[int, ...] = ()
    if first & 0x50 == 0x50:
        position, references = _parse_references(data, position)
    structure = None
    if first & 0x02:
        position, structure = _parse_structure(data, position)
    if position > end:
        raise RtpError("VP9 payload descriptor cut short")
    is_key, width, height = False, 0, 0
    if first & 0x48 == 0x08 and sid <= 0:
        is_key, width, height = _inspect_frame(data, position, end)
        if is_key and structure is not None and structure.resolutions:
            width, height = structure.resolutions[-1]
    return _new_tuple(
        Vp9Descriptor,
        (
            position - start,
            picture_id,
            picture_id_bits,
            bool(first & 0x40),
            bool(first & 0x10),
            bool(first & 0x08),
            bool(first & 0x04),
            bool(first & 0x01),
            tid,
            switching_up,
            sid,
            inter_layer,
            tl0_pic_idx,
            references,
            structure,
            is_key,
            width,
            height,
        ),
    )


def _parse_references(data: Buffer, position: int) -> tuple[int, tuple[int, ...]]:
    """Up to three differences, each with a bit that says whether one more follows."""
    references = []
    while True:
        value = data[position]
        position += 1
        references.append(value >> 1)
        if not value & 1:
            return position, tuple(references)
        if len(references) == 3:
            raise RtpError("more than three VP9 references")


def _parse_structure(data: Buffer, position: int) -> tuple[int, ScalabilityStructure]:
    head = data[position]
    position += 1
    layers = (head >> 5) + 1
    resolutions = []
    if head & 0x10:
        for _ in range(layers):
            width = data[position] << 8 | data[position + 1]
            height = data[position + 2] << 8 | data[position + 3]
            resolutions.append((width, height))
            position += 4
    pictures = []
    if head & 0x08:
        count = data[position]
        position += 1
        for _ in range(count):
            picture = data[position]
            after = position + 1 + (picture >> 2 & 3)
            differences = tuple(data[position + 1 : after])
            pictures.append((picture >> 5, bool(picture & 0x10), differences))
            position = after
    return position, _new_tuple(ScalabilityStructure, (layers, tuple(resolutions), tuple(pictures)))


def _inspect_frame(data: Buffer, start: int, end: int) -> tuple[bool, int, int]:
    """(is a key frame, width, height) by the uncompressed header of a frame that predicts from nothing.

    The descriptor alone cannot tell key frames from intra-only ones. A header that is no VP9 header is taken for an
    encrypted one: then the descriptor is believed.
    """
    reader = BitReader(bytes(data[start : min(end, start + 16)]))
    try:
        if reader.read(2) != 2:
            return True, 0, 0
        profile = reader.read(1) | reader.read(1) << 1
        if profile == 3:
            reader.skip(1)
        shows_existing, is_inter = reader.flag(), reader.flag()
    except RtpError:
        return start < end, 0, 0
    if shows_existing or is_inter:
        return False, 0, 0
    try:
        return True, *_frame_size(reader, profile)
    except RtpError:
        return True, 0, 0


def _frame_size(reader: BitReader, profile: int) -> tuple[int, int]:
    reader.skip(2)  # show_frame, error_resilient_mode
    if reader.read(24) != _SYNC_CODE:
        return 0, 0
    if profile >= 2:
        reader.skip(1)
    if reader.read(3) != _SRGB:
        reader.skip(1 if profile in (0, 2) else 4)
    elif profile in (1, 3):
        reader.skip(1)
    return reader.read(16) + 1, reader.read(16) + 1


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether the payload begins a key picture; False for what is not VP9."""
    try:
        return parse(data, start, end).is_key_frame
    except RtpError:
        return False


def key_frame_size(data: Buffer, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """(width, height) of the key picture that begins here, (0, 0) where it is not told."""
    try:
        descriptor = parse(data, start, end)
    except RtpError:
        return 0, 0
    return descriptor.width, descriptor.height
