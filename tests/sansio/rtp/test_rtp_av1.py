"""AV1 payloads: OBU elements, key frames, sizes from real sequence headers."""

from __future__ import annotations

import pytest

from sansio.rtp import RtpError, av1
from sansio.rtp.bits import BitWriter

# As SVT-AV1 writes them: the sequence header OBU without its size field, and the first bytes of frames.
SEQUENCE_360P = b"\x08" + bytes.fromhex("0000000cc4ff6712be4010")
SEQUENCE_182P = b"\x08" + bytes.fromhex("000000043d06d44af90040")
KEY_FRAME = b"\x30" + bytes.fromhex("10008c208145082040000003250e47")
DELTA_FRAME = b"\x30" + bytes.fromhex("2802002492491123001c70c30800")
FRAME_HEADER = b"\x18" + KEY_FRAME[1:6]
DELIMITER = b"\x10"
METADATA = b"\x28\x01\x02"


def payload(*obus: bytes, head: int = 0x08, counted: bool = True) -> bytes:
    """An RTP payload of whole OBUs; with `counted` the last one goes without its size (W)."""
    if counted:
        head |= len(obus) << 4
    out = bytes((head,))
    for index, obu in enumerate(obus):
        out += obu if counted and index == len(obus) - 1 else bytes((len(obu),)) + obu
    return out


def test_aggregation_header_is_read() -> None:
    assert av1.parse_aggregation(b"\xa8") == av1.Aggregation(True, False, 2, True)
    assert av1.parse_aggregation(b"\x50") == av1.Aggregation(False, True, 1, False)


@pytest.mark.parametrize("counted", [True, False], ids=["W = 3", "W = 0"])
def test_elements_are_found(counted: bool) -> None:
    data = payload(SEQUENCE_360P, METADATA, KEY_FRAME, counted=counted)
    assert [data[start:end] for start, end in av1.obu_elements(data)] == [SEQUENCE_360P, METADATA, KEY_FRAME]
    assert av1.obu_elements(data, 0, 1) == []


def test_sizes_may_take_several_bytes() -> None:
    data = b"\x00\x80\x01" + bytes(128)
    assert av1.obu_elements(data) == [(3, 131)]


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x05abc", b"\x00\x80", b"\x00" + b"\x80" * 9], ids=["", "long", "cut", "huge"]
)
def test_elements_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(RtpError):
        av1.obu_elements(data)


@pytest.mark.parametrize(
    ("obu", "expected"),
    [(b"\x08x", (1, 1)), (b"\x0c\x20x", (1, 2)), (b"\x0a\x01x", (1, 2)), (b"\x36\x20\x01x", (6, 3))],
    ids=["plain", "with extension", "with size", "with both"],
)
def test_obu_header(obu: bytes, expected: tuple[int, int]) -> None:
    assert av1.obu_header(obu, 0, len(obu)) == expected


@pytest.mark.parametrize("obu", [b"", b"\x0c", b"\x0a"])
def test_obu_header_cut_short(obu: bytes) -> None:
    with pytest.raises(RtpError):
        av1.obu_header(obu, 0, len(obu))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(payload(SEQUENCE_360P, KEY_FRAME), True, id="sequence header and key frame"),
        pytest.param(payload(SEQUENCE_360P, KEY_FRAME, counted=False), True, id="the same with sizes"),
        pytest.param(payload(SEQUENCE_360P, FRAME_HEADER), True, id="with a frame header"),
        pytest.param(payload(SEQUENCE_360P, METADATA, KEY_FRAME), True, id="metadata between"),
        pytest.param(payload(DELIMITER, SEQUENCE_360P, KEY_FRAME), True, id="after a temporal delimiter"),
        pytest.param(payload(b"", SEQUENCE_360P, KEY_FRAME), True, id="after an empty element"),
        pytest.param(payload(SEQUENCE_360P), True, id="frame in the next packet: N is believed"),
        pytest.param(payload(SEQUENCE_360P, KEY_FRAME, head=0), False, id="N not set"),
        pytest.param(payload(SEQUENCE_360P, KEY_FRAME, head=0x88), False, id="Z set"),
        pytest.param(payload(SEQUENCE_360P, DELTA_FRAME), False, id="inter frame"),
        pytest.param(payload(SEQUENCE_360P, b"\x18\x80"), False, id="shows an existing frame"),
        pytest.param(payload(SEQUENCE_360P, b"\x30"), False, id="frame without its header"),
        pytest.param(payload(KEY_FRAME), False, id="no sequence header"),
        pytest.param(payload(METADATA, SEQUENCE_360P), False, id="sequence header not first"),
        pytest.param(b"\x08\x7f", False, id="broken"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_key_frames_begin_a_sequence(data: bytes, expected: bool) -> None:
    assert av1.is_key_frame(data) is expected
    assert av1.is_key_frame(b"xx" + data + b"y", 2, 2 + len(data)) is expected


@pytest.mark.parametrize(
    ("sequence", "size"), [(SEQUENCE_360P, (640, 360)), (SEQUENCE_182P, (322, 182))], ids=["640x360", "322x182"]
)
def test_size_is_read_from_the_sequence_header(sequence: bytes, size: tuple[int, int]) -> None:
    assert av1.key_frame_size(payload(sequence, KEY_FRAME)) == size


@pytest.mark.parametrize(
    "data", [payload(KEY_FRAME), payload(SEQUENCE_360P[:4], KEY_FRAME), b""], ids=["no header", "cut short", "nothing"]
)
def test_size_that_is_not_told_is_zero(data: bytes) -> None:
    assert av1.key_frame_size(data) == (0, 0)


def size_fields(writer: BitWriter) -> bytes:
    for value, bits in ((9, 4), (8, 4), (639, 10), (359, 9)):
        writer.write(value, bits)
    return writer.to_bytes()


def test_reduced_still_picture_header() -> None:
    writer = BitWriter()
    for value, bits in ((0, 3), (1, 1), (1, 1), (4, 5)):
        writer.write(value, bits)
    data = size_fields(writer)
    assert av1.parse_sequence_size(data, 0, len(data)) == (640, 360)


@pytest.mark.parametrize("has_model", [True, False], ids=["decoder model", "timing alone"])
def test_timing_and_operating_points_are_read_past(has_model: bool) -> None:
    writer = BitWriter()
    fields = [(0, 3), (0, 1), (0, 1), (1, 1), (1, 32), (30, 32), (1, 1), (2, 3), (int(has_model), 1)]
    if has_model:
        fields += [(9, 5), (1, 32), (4, 5), (4, 5)]
    fields += [(1, 1), (1, 5)]  # initial display delay, two operating points
    for level, tier in ((4, None), (8, 1)):
        fields += [(0x101, 12), (level, 5)]
        if tier is not None:
            fields.append((tier, 1))
        if has_model:
            fields += [(1, 1), (5, 10), (6, 10), (0, 1)]
        fields += [(1, 1), (7, 4)]
    for value, bits in fields:
        writer.write(value, bits)
    data = size_fields(writer)
    assert av1.parse_sequence_size(data, 0, len(data)) == (640, 360)
