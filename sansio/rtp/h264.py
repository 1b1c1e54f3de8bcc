"""H.264 payloads: which NAL units begin in a packet, key frames, sizes. RFC 6184 §5; ITU-T H.264 §7.3.2.1.1.

A key frame is told by its sequence parameter set: encoders for real-time use put SPS and PPS before each IDR picture,
and a decoder can start nowhere else. Left out: slices, and temporal layers (H.264 has them only by NAL reference
importance or SVC extensions, which no client sends).
"""

from __future__ import annotations

from enum import IntEnum

from .bits import BitReader
from .packet import Buffer, RtpError


class NalType(IntEnum):
    """NAL unit types that matter here (RFC 6184 table 1, H.264 table 7-1)."""

    SLICE = 1
    IDR = 5
    SPS = 7
    PPS = 8
    STAP_A = 24
    STAP_B = 25
    MTAP16 = 26
    MTAP24 = 27
    FU_A = 28
    FU_B = 29


_AGGREGATES = {
    # type: (bytes before the first unit, bytes between a unit's size and the unit)
    NalType.STAP_A: (1, 0),
    NalType.STAP_B: (3, 0),
    NalType.MTAP16: (3, 3),
    NalType.MTAP24: (3, 4),
}
_CHROMA_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
_MAX_SPS_BYTES = 512  # far above any real one: bounds the work per packet


def nal_units(data: Buffer, start: int = 0, end: int | None = None) -> list[tuple[int, int, int]]:
    """(type, start, end) of each NAL unit that begins in the payload; a fragment's start is that of its FU header.

    What is cut short ends the list without an error.
    """
    if end is None:
        end = len(data)
    if start >= end:
        return []
    kind = data[start] & 0x1F
    if kind in (NalType.FU_A, NalType.FU_B):
        if start + 1 < end and data[start + 1] & 0x80:
            return [(data[start + 1] & 0x1F, start + 1, end)]
        return []
    layout = _AGGREGATES.get(kind)  # type: ignore[call-overload]
    if layout is None:
        return [(kind, start, end)]
    return _aggregated(data, start + layout[0], end, layout[1])


def _aggregated(data: Buffer, position: int, end: int, gap: int) -> list[tuple[int, int, int]]:
    units = []
    while position + 2 + gap < end:
        size = data[position] << 8 | data[position + 1]
        position += 2 + gap
        if size == 0 or position + size > end:
            break
        units.append((data[position] & 0x1F, position, position + size))
        position += size
    return units


def is_key_frame(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether a sequence parameter set begins in the payload, which is where a decoder can start."""
    return any(kind == NalType.SPS for kind, _, _ in nal_units(data, start, end))


def has_idr(data: Buffer, start: int = 0, end: int | None = None) -> bool:
    """Whether an IDR picture begins in the payload (with or without parameter sets)."""
    return any(kind == NalType.IDR for kind, _, _ in nal_units(data, start, end))


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
    """(width, height) of the cropped picture, of an SPS whose NAL header is at `start`."""
    reader = BitReader(unescape(data, start + 1, min(end, start + _MAX_SPS_BYTES)))
    profile = reader.read(8)
    reader.skip(16)  # constraint flags, level
    reader.exp_golomb()
    chroma = 1
    if profile in _CHROMA_PROFILES:
        chroma = _read_high_profile(reader)
    reader.exp_golomb()  # log2_max_frame_num_minus4
    _skip_picture_order(reader)
    reader.exp_golomb()  # max_num_ref_frames
    reader.skip(1)
    width = 16 * (reader.exp_golomb() + 1)
    map_units = reader.exp_golomb() + 1
    is_progressive = reader.flag()
    fields = 1 if is_progressive else 2
    height = 16 * map_units * fields
    if not is_progressive:
        reader.skip(1)
    reader.skip(1)  # direct_8x8_inference_flag
    if reader.flag():
        unit_x, unit_y = {1: (2, 2), 2: (2, 1)}.get(chroma, (1, 1))
        width -= unit_x * (reader.exp_golomb() + reader.exp_golomb())
        height -= unit_y * fields * (reader.exp_golomb() + reader.exp_golomb())
    return check_size(width, height)


def check_size(width: int, height: int) -> tuple[int, int]:
    """The pair itself; raises RtpError for what no picture can have."""
    if not 0 < width < 1 << 16 or not 0 < height < 1 << 16:
        raise RtpError("impossible picture size")
    return width, height


def unescape(data: Buffer, start: int, end: int) -> bytes:
    """A NAL unit's payload without emulation prevention bytes (H.264 §7.4.1)."""
    return bytes(data[start:end]).replace(b"\0\0\3", b"\0\0")


def _read_high_profile(reader: BitReader) -> int:
    """Fields of the high profiles; gives chroma_format_idc, 0 for separately coded planes."""
    chroma = reader.exp_golomb()
    if chroma == 3 and reader.flag():
        chroma = 0
    reader.exp_golomb()  # bit depths
    reader.exp_golomb()
    reader.skip(1)
    if reader.flag():
        for index in range(8 if chroma != 3 else 12):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed_exp_golomb()) % 256
        last = following or last


def _skip_picture_order(reader: BitReader) -> None:
    kind = reader.exp_golomb()
    if kind == 0:
        reader.exp_golomb()
    elif kind == 1:
        reader.skip(1)
        reader.exp_golomb()
        reader.exp_golomb()
        count = reader.exp_golomb()
        if count > 255:
            raise RtpError("too many reference frames in a picture order cycle")
        for _ in range(count):
            reader.exp_golomb()
