"""H.264 and H.265 payloads: units in each packet form, key frames, sizes from parameter sets of real encoders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.rtp import RtpError, h264, h265

# Parameter sets as x264 and x265 write them.
SPS_360P = bytes.fromhex("6742c01ed900a02ff9610000030001000003003c8f162e48")
SPS_H265_360P = bytes.fromhex(
    "42010101600000030090000003000003003fa005020171f2e5ba4a4c2e6808000003000800000300f040",
)
PPS = bytes.fromhex("68cb83cb20")
IDR = bytes.fromhex("6588843a")
SLICE = bytes.fromhex("419a246c")
SEI = bytes.fromhex("0605ff")


def sized(*units: bytes, gap: bytes = b"") -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + gap + unit for unit in units)


@pytest.mark.parametrize(
    ("payload", "kinds"),
    [
        pytest.param(IDR, [5], id="single"),
        pytest.param(b"\x78" + sized(SPS_360P, PPS), [7, 8], id="STAP-A"),
        pytest.param(b"\x79\0\0" + sized(SPS_360P, PPS), [7, 8], id="STAP-B"),
        pytest.param(b"\x7a\0\0" + sized(SPS_360P, PPS, gap=bytes(3)), [7, 8], id="MTAP16"),
        pytest.param(b"\x7b\0\0" + sized(SPS_360P, PPS, gap=bytes(4)), [7, 8], id="MTAP24"),
        pytest.param(b"\x7c\x85" + IDR[1:], [5], id="FU-A start"),
        pytest.param(b"\x7c\x05" + IDR[1:], [], id="FU-A middle"),
        pytest.param(b"\x7c", [], id="FU-A cut short"),
        pytest.param(b"\x7d\x87\0\0", [7], id="FU-B start"),
        pytest.param(b"\x78" + sized(SPS_360P) + b"\x00\xff" + PPS, [7], id="STAP-A with a unit cut short"),
        pytest.param(b"\x78" + sized(SPS_360P) + b"\x00\x00" + sized(PPS), [7], id="STAP-A with an empty unit"),
        pytest.param(b"\x78", [], id="STAP-A without units"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_h264_units_that_begin_in_a_packet(payload: bytes, kinds: list[int]) -> None:
    assert [kind for kind, _, _ in h264.nal_units(b"xx" + payload + b"y", 2, 2 + len(payload))] == kinds


@pytest.mark.parametrize(
    ("payload", "is_key", "has_idr"),
    [
        pytest.param(SPS_360P, True, False, id="SPS"),
        pytest.param(b"\x78" + sized(SPS_360P, PPS, IDR), True, True, id="SPS, PPS and IDR"),
        pytest.param(b"\x78" + sized(SEI, SPS_360P), True, False, id="SPS after SEI"),
        pytest.param(b"\x7c\x87" + SPS_360P[1:], True, False, id="fragmented SPS"),
        pytest.param(IDR, False, True, id="IDR without parameter sets"),
        pytest.param(PPS, False, False, id="PPS"),
        pytest.param(SLICE, False, False, id="slice"),
        pytest.param(b"", False, False, id="nothing"),
    ],
)
def test_h264_key_frames_are_told_by_the_sps(payload: bytes, is_key: bool, has_idr: bool) -> None:
    assert h264.is_key_frame(payload) is is_key
    assert h264.has_idr(payload) is has_idr


@pytest.mark.parametrize(
    ("sps", "size"),
    [
        pytest.param(SPS_360P.hex(), (640, 360), id="baseline, cropped"),
        pytest.param("6764001facb200a00b7420000003002000000791e30649", (1280, 720), id="high"),
        pytest.param("674d400dd901519e226840000003004000000f23c50a92", (322, 182), id="main, cropped both ways"),
        pytest.param("677a001ebcb201407ff1f080000003008000001e478b1724", (640, 482), id="4:2:2"),
        pytest.param("67f4001e919640280f6840000003004000000f23c58b92", (640, 480), id="4:4:4"),
        pytest.param("6764001facd940b424d080000003008000001e0f8b16cb", (720, 576), id="interlaced"),
    ],
)
def test_h264_size_is_read_from_the_sps(sps: str, size: tuple[int, int]) -> None:
    unit = bytes.fromhex(sps)
    assert h264.parse_sps_size(unit, 0, len(unit)) == size
    assert h264.key_frame_size(b"\x78" + sized(SEI, unit, PPS)) == size
    assert h264.key_frame_size(unit[:5]) == (0, 0)


def test_h264_size_where_there_is_no_sps_is_zero() -> None:
    assert h264.key_frame_size(IDR) == (0, 0)


def h264_sps(chroma: int, picture_order: str, scaling: str = "0") -> bytes:
    """A high profile SPS of 16 x 16, bit by bit; `picture_order` and `scaling` are strings of bits."""
    ue = {0: "1", 1: "010", 2: "011", 3: "00100"}
    bits = "1" + ue[chroma] + ("0" if chroma == 3 else "") + "1" + "1" + "0" + scaling
    bits += "1" + picture_order + "1" + "0" + "1" + "1" + "1" + "1" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67\x64\x00\x1f" + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(
    ("chroma", "picture_order", "scaling"),
    [
        pytest.param(1, "011", "0", id="picture order 2"),
        pytest.param(1, "010" + "1" + "1" + "1" + "011" + "1" + "010", "0", id="picture order 1 with a cycle of two"),
        pytest.param(1, "1" + "1", "1" + "0" * 8, id="no scaling list present"),
        pytest.param(1, "1" + "1", "1" + "1" + "1" * 16 + "0" * 7, id="flat scaling list"),
        pytest.param(1, "1" + "1", "1" + "1" + "000010001" + "0" * 7, id="scaling list that ends at once (-8)"),
        pytest.param(3, "1" + "1", "1" + "0" * 12, id="twelve scaling lists"),
    ],
)
def test_h264_sps_variants_are_read_past(chroma: int, picture_order: str, scaling: str) -> None:
    sps = h264_sps(chroma, picture_order, scaling)
    assert h264.parse_sps_size(sps, 0, len(sps)) == (16, 16)


def test_h264_picture_order_cycle_is_bounded() -> None:
    sps = h264_sps(1, "010" + "1" + "1" + "1" + "0" * 9 + "1" + "0" * 9)
    with pytest.raises(RtpError, match="cycle"):
        h264.parse_sps_size(sps, 0, len(sps))


def test_h264_size_that_no_picture_has_is_refused() -> None:
    with pytest.raises(RtpError):
        h264.check_size(0, 100)


@given(st.binary(max_size=30))
def test_emulation_prevention_is_undone(rbsp: bytes) -> None:
    escaped = bytearray()
    for byte in rbsp:
        if byte <= 3 and escaped[-2:] == b"\0\0":
            escaped.append(3)
        escaped.append(byte)
    assert h264.unescape(escaped, 0, len(escaped)) == rbsp


# H.265


def h265_unit(kind: int, tid: int = 0) -> bytes:
    return bytes((kind << 1, tid + 1)) + b"\xaf\x12"


@pytest.mark.parametrize(
    ("payload", "kinds"),
    [
        pytest.param(h265_unit(19), [19], id="single"),
        pytest.param(b"\x60\x01" + sized(h265_unit(32), h265_unit(33)), [32, 33], id="aggregation"),
        pytest.param(
            b"\x60\x01" + sized(h265_unit(32)) + b"\x00\xff\x42", [32], id="aggregation with a unit cut short"
        ),
        pytest.param(b"\x62\x01\x93abc", [19], id="fragment start"),
        pytest.param(b"\x62\x01\x13abc", [], id="fragment middle"),
        pytest.param(b"\x62\x01", [], id="cut short"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_h265_units_that_begin_in_a_packet(payload: bytes, kinds: list[int]) -> None:
    assert [kind for kind, _, _ in h265.nal_units(b"xx" + payload + b"y", 2, 2 + len(payload))] == kinds


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(1, False), (15, False), (16, True), (21, True), (22, False), (32, True), (34, True), (39, False)],
)
def test_h265_key_frames_are_parameter_sets_and_random_access_points(kind: int, expected: bool) -> None:
    assert h265.is_key_frame(h265_unit(kind)) is expected
    assert h265.is_key_frame(b"\x60\x01" + sized(h265_unit(35), h265_unit(kind))) is expected
    assert h265.is_key_frame(bytes((0x62, 1, 0x80 | kind, 9))) is expected
    assert not h265.is_key_frame(bytes((0x62, 1, kind, 9)))


@pytest.mark.parametrize(("tid", "expected"), [(0, 0), (2, 2), (6, 6)])
def test_h265_temporal_id(tid: int, expected: int) -> None:
    assert h265.temporal_id(h265_unit(1, tid)) == expected


def test_h265_temporal_id_of_what_is_cut_short() -> None:
    assert h265.temporal_id(b"\x02") == -1


@pytest.mark.parametrize(
    ("sps", "size"),
    [
        pytest.param(SPS_H265_360P.hex(), (640, 360), id="4:2:0"),
        pytest.param(
            "42010101600000030090000003000003005da00280802d1f596e92930b9a020000030002000003003c10",
            (1280, 718),
            id="cropped",
        ),
        pytest.param(
            "4201010408000003009d0800000300003cb00a880c1c445e5ba4a4c2e68080000003008000000f04", (322, 182), id="4:2:2"
        ),
    ],
)
def test_h265_size_is_read_from_the_sps(sps: str, size: tuple[int, int]) -> None:
    unit = bytes.fromhex(sps)
    assert h265.parse_sps_size(unit, 0, len(unit)) == size
    assert h265.key_frame_size(b"\x60\x01" + sized(h265_unit(32), unit)) == size
    assert h265.key_frame_size(unit[:12]) == (0, 0)


def test_h265_sps_with_sub_layers() -> None:
    """Two sub-layers below the top, one with a profile of its own; 4:4:4 with separate planes; 64 x 32."""
    bits = "0000" + "010" + "1" + "0" * 96
    bits += "11" + "01" + "00" * 6 + "0" * 96 + "0" * 8
    bits += "1" + "00100" + "1" + "0000001000001" + "00000100001" + "0"
    bits += "0" * (-len(bits) % 8)
    sps = b"\x42\x01" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert h265.parse_sps_size(sps, 0, len(sps)) == (64, 32)


def test_h265_size_where_there_is_no_sps_is_zero() -> None:
    assert h265.key_frame_size(h265_unit(19)) == (0, 0)
