"""VP8 payload descriptors: RFC 7741 §4.2 by cases, rewriting by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.rtp import RtpError, Vp8Descriptor, vp8

KEY_FRAME = bytes.fromhex("5008009d012ab000900000470885")  # 176x144, as libvpx writes it
DELTA_FRAME = bytes.fromhex("d104000710e40018076f")


@pytest.mark.parametrize(
    ("descriptor", "expected"),
    [
        pytest.param("10", (1, -1, 0, -1, -1, False, -1), id="bare"),
        pytest.param("9000", (2, -1, 0, -1, -1, False, -1), id="extended without fields"),
        pytest.param("908011", (3, 0x11, 7, -1, -1, False, -1), id="7-bit picture id"),
        pytest.param("90809234", (4, 0x1234, 15, -1, -1, False, -1), id="15-bit picture id"),
        pytest.param("90808005", (4, 5, 15, -1, -1, False, -1), id="small 15-bit picture id"),
        pytest.param("90e011fe60", (5, 0x11, 7, 0xFE, 1, True, -1), id="layers"),
        pytest.param("9020c0", (3, -1, 0, -1, 3, False, -1), id="TID alone"),
        pytest.param("9010ff", (3, -1, 0, -1, -1, False, 31), id="KEYIDX alone: TID and Y mean nothing"),
        pytest.param("90f0923412a5", (6, 0x1234, 15, 0x12, 2, True, 5), id="everything"),
    ],
)
def test_fields_are_read(descriptor: str, expected: tuple[object, ...]) -> None:
    assert vp8.parse(bytes.fromhex(descriptor) + DELTA_FRAME)[:7] == expected


@pytest.mark.parametrize("data", ["", "90", "9080", "908091", "90c0", "90e0", "90e011", "9020"])
def test_a_descriptor_that_is_cut_short_is_refused(data: str) -> None:
    with pytest.raises(RtpError):
        vp8.parse(bytes.fromhex(data))


def test_a_descriptor_that_goes_past_the_end_given_is_refused() -> None:
    with pytest.raises(RtpError):
        vp8.parse(bytes.fromhex("90809234") + KEY_FRAME, 0, 3)


def test_tl0picidx_needs_a_tid() -> None:
    with pytest.raises(RtpError, match="TL0PICIDX"):
        vp8.parse(bytes.fromhex("904012") + DELTA_FRAME)


def test_key_frame_and_its_size() -> None:
    packet = b"before" + bytes.fromhex("90809234") + KEY_FRAME + b"after"
    descriptor = vp8.parse(packet, 6, len(packet) - 5)
    assert descriptor.is_key_frame
    assert (descriptor.width, descriptor.height) == (176, 144)
    assert vp8.is_key_frame(packet, 6)
    assert vp8.key_frame_size(packet, 6) == (176, 144)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b"\x10" + KEY_FRAME, True, id="first packet"),
        pytest.param(b"\x10" + KEY_FRAME[:3], True, id="cut after the first bytes"),
        pytest.param(b"\x00" + KEY_FRAME, False, id="inside a partition"),
        pytest.param(b"\x11" + KEY_FRAME, False, id="start of another partition"),
        pytest.param(b"\x10" + DELTA_FRAME, False, id="inter frame"),
        pytest.param(b"\x10", False, id="no frame"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"\x90\x40", False, id="broken"),
    ],
)
def test_key_frames_are_told_by_their_first_packet(payload: bytes, expected: bool) -> None:
    assert vp8.is_key_frame(payload) is expected


@pytest.mark.parametrize("frame", [KEY_FRAME[:9], b"\x50\x08\x00\x9d\x01\x2b" + KEY_FRAME[6:]], ids=["short", "code"])
def test_a_size_that_cannot_be_read_is_zero(frame: bytes) -> None:
    assert vp8.key_frame_size(b"\x10" + frame) == (0, 0)


def test_size_of_what_is_not_vp8_is_zero() -> None:
    assert vp8.key_frame_size(b"") == (0, 0)


@st.composite
def descriptors(draw: st.DrawFn) -> bytes:
    """A well-formed descriptor of either width."""
    tid = draw(st.integers(-1, 3))
    data = vp8.encode_descriptor(
        start_of_partition=draw(st.booleans()),
        partition_id=draw(st.integers(0, 7)),
        non_reference=draw(st.booleans()),
        picture_id=draw(st.integers(-1, 0x7FFF)),
        tl0_pic_idx=draw(st.integers(-1, 255)) if tid >= 0 else -1,
        tid=tid,
        layer_sync=tid >= 0 and draw(st.booleans()),
        key_index=draw(st.integers(-1, 31)),
    )
    if len(data) > 3 and data[1] & 0x80 and draw(st.booleans()):
        data = data[:2] + bytes((data[3] & 0x7F,)) + data[4:]
    return data


@given(descriptors(), st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_rewriting_changes_the_numbers_and_nothing_else(data: bytes, picture: int, tl0: int, key: int) -> None:
    source = vp8.parse(data + DELTA_FRAME)
    rewritten = vp8.rewrite_descriptor(source, picture, tl0, key)
    expected: Vp8Descriptor = source._replace(
        header_bytes=len(rewritten),
        picture_id=picture & 0x7FFF if source.picture_id >= 0 else -1,
        picture_id_bits=15 if source.picture_id_bits else 0,
        tl0_pic_idx=tl0 & 0xFF if source.tl0_pic_idx >= 0 else -1,
        key_index=key & 0x1F if source.key_index >= 0 else -1,
    )
    assert vp8.parse(rewritten + DELTA_FRAME) == expected
    assert len(rewritten) - len(data) in (0, 1)


@given(descriptors())
def test_rewriting_with_the_same_numbers_keeps_the_bytes_of_15_bit_descriptors(data: bytes) -> None:
    source = vp8.parse(data + DELTA_FRAME)
    if source.picture_id_bits != 7:
        assert vp8.rewrite_descriptor(source, source.picture_id, source.tl0_pic_idx, source.key_index) == data
