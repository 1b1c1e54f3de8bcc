"""H.265 payloads: which NAL units begin in a packet, key frames, temporal ids, sizes. RFC 7798 §4.4; ITU-T H.265
§7.3.2.2.

Left out: PACI packets and DON fields (sprop-max-don-diff is never offered).
"""

from __future__ import annotations

from enum import IntEnum

from .bits import BitReader
from .h264 import check_size, unescape
from .packet import Buffer, RtpError


class NalType(IntEnum):
    """NAL unit types that matter here (H.265 table 7-1, RFC 7798 §4.4)."""

    BLA_W_LP = 16
    CRA = 21
    VPS = 32
    SPS = 33
    PPS = 34
    AGGREGATION = 48
    FRAGMENTATION = 49


_MAX_SPS_BYTES = 512


def nal_units(data: Buffer, start: int = 0, end: int | None = None) -> list[tuple[int, int, int]]:
    """(type, start, end) of each NAL unit that begins in the payload; a fragment's start is that of its FU header.

    What is cut short ends the list without an error.
    """
    if end is None:
        end = len(data)
    if end - start < 3:
        return []
    kind = data[start] >> 1 & 0x3F
    if kind == NalType.FRAGMENTATION:
        return [(data[start + 2] & 0x3F, start + 2, end)] if data[start + 2] & 0x80 else []
    if kind != NalType.AGGREGATION:
        return [(kind, start, end)]
    units = []
    position = start + 2
    while position + 2 < end:
        size = data[position] << 8 | data[position + 1]
        position += 2
        if size == 0 or position + size > end:
            break
        units.append((data[position] >> 1 & 0x3F, position, position + size))
        position += size
    return units


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether parameter sets or an intra random access picture begin in the payload."""
    return any(
        NalType.VPS <= kind <= NalType.PPS or NalType.BLA_W_LP <= kind <= NalType.CRA
        for kind, _, _ in nal_units(data, start, end)
    )


def temporal_id(data: Buffer, start: int = 0, end: int | None = None) -> int:
    """TID of the payload's (first) NAL unit, -1 if it is cut short or forbidden."""
    if (len(data) if end is None else end) - start < 2:
        return -1
    return (data[start + 1] & 7) - 1


def key_frame_size(data: Buffer, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """(width, height) by the sequence parameter set in the payload, (0, 0) if there is none that can be read."""
    for kind, begin, after in nal_units(data, start, end):
        if kind == NalType.SPS:
            try:
                return parse_sps_size(data, begin, after)
            except RtpError:
                return 0, 0
    return 0, 0


def parse_sps_size(data: Buffer, start: int, end: int) -> tuple[int, int]:
    """(width, height) of the conformance window, of an SPS whose two-byte NAL header is at `start`."""
    reader = BitReader(unescape(data, start + 2, min(end, start + _MAX_SPS_BYTES)))
    reader.skip(4)
    sub_layers = reader.read(3)
    reader.skip(1)
    _skip_profile_tier_level(reader, sub_layers)
    reader.exp_golomb()
    chroma = reader.exp_golomb()
    if chroma == 3 and reader.flag():
        chroma = 0
    width, height = reader.exp_golomb(), reader.exp_golomb()
    if reader.flag():
        unit_x, unit_y = {1: (2, 2), 2: (2, 1)}.get(chroma, (1, 1))
        width -= unit_x * (reader.exp_golomb() + reader.exp_golomb())
        height -= unit_y * (reader.exp_golomb() + reader.exp_golomb())
    return check_size(width, height)


def _skip_profile_tier_level(reader: BitReader, sub_layers: int) -> None:
    reader.skip(96)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        reader.skip(88 * has_profile + 8 * has_level)
