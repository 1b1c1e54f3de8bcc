"""RTP headers: what is read, what is refused, and that writing and reading agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtp import (
    RtpError,
    encode_extensions,
    encode_header,
    encode_packet,
    encode_padding,
    encode_rtx,
    is_rtcp,
    parse_extensions,
    parse_header,
    parse_rtx,
)
from sansio.rtp.packet import NO_EXTENSION

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)
PLAIN = bytes.fromhex("80e0123400010203cafebabe")


def test_fixed_header_is_read_field_by_field() -> None:
    header = parse_header(PLAIN + b"payload")
    assert (header.marker, header.payload_type) == (True, 96)
    assert (header.sequence_number, header.timestamp, header.ssrc) == (0x1234, 0x00010203, 0xCAFEBABE)
    assert (header.csrcs, header.extension_profile, header.padding) == ((), NO_EXTENSION, 0)
    assert (header.payload_start, header.payload_end) == (12, 19)


@given(
    payload_type=st.integers(0, 127),
    sequence_number=U16,
    timestamp=U32,
    ssrc=U32,
    marker=st.booleans(),
    csrcs=st.lists(U32, max_size=15),
    elements=st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=5),
    payload=st.binary(max_size=40),
    padding=st.integers(0, 255),
)
def test_packets_come_back_as_they_were_written(
    payload_type: int,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    marker: bool,
    csrcs: list[int],
    elements: dict[int, bytes],
    payload: bytes,
    padding: int,
) -> None:
    data = encode_packet(
        payload_type=payload_type,
        sequence_number=sequence_number,
        timestamp=timestamp,
        ssrc=ssrc,
        marker=marker,
        csrcs=csrcs,
        extension=encode_extensions(elements.items()),
        payload=payload,
        padding=padding,
    )
    header = parse_header(data)
    assert header[:6] == (marker, payload_type, sequence_number, timestamp, ssrc, tuple(csrcs))
    assert data[header.payload_start : header.payload_end] == payload
    assert header.padding == padding
    assert parse_extensions(data, header) == elements


def test_extended_numbers_are_cut_to_wire_width() -> None:
    header = parse_header(encode_header(96, (7 << 16) + 5, (3 << 32) + 9, 1))
    assert (header.sequence_number, header.timestamp) == (5, 9)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PLAIN[:11], id="header cut short"),
        pytest.param(b"\x40" + PLAIN[1:], id="version 1"),
        pytest.param(b"\xc0" + PLAIN[1:], id="version 3"),
        pytest.param(b"\x82" + PLAIN[1:] + bytes(7), id="CSRC list cut short"),
        pytest.param(b"\x90" + PLAIN[1:] + bytes(3), id="extension header cut short"),
        pytest.param(b"\x90" + PLAIN[1:] + b"\xbe\xde\x00\x02" + bytes(7), id="extension cut short"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"ab\x00", id="padding count 0"),
        pytest.param(b"\xa0" + PLAIN[1:] + b"ab\x04", id="padding longer than the payload"),
        pytest.param(b"\xa0" + PLAIN[1:], id="padding of an empty payload"),
    ],
)
def test_what_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(RtpError):
        parse_header(data)


def test_a_packet_may_be_padding_only() -> None:
    header = parse_header(encode_packet(payload_type=96, sequence_number=1, timestamp=2, ssrc=3, padding=255))
    assert header.payload_start == header.payload_end == 12
    assert header.padding == 255


def test_padding_ends_in_its_count() -> None:
    assert encode_padding(0) == b""
    assert encode_padding(1) == b"\x01"
    assert encode_padding(4) == b"\0\0\0\x04"


@pytest.mark.parametrize(
    "fields",
    [{"payload_type": 128}, {"csrcs": range(16)}, {"padding": 256}, {"extension": b"abc"}],
    ids=["payload type", "csrcs", "padding", "extension"],
)
def test_fields_that_do_not_fit_are_the_callers_fault(fields: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_packet(**{"payload_type": 0, "sequence_number": 0, "timestamp": 0, "ssrc": 0} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("second", "expected"),
    [(191, False), (192, True), (200, True), (207, True), (223, True), (224, False), (96, False)],
)
def test_rtcp_is_told_by_the_second_byte(second: int, expected: bool) -> None:
    assert is_rtcp(bytes((0x80, second))) is expected


@given(U16, st.binary(min_size=1, max_size=20))
def test_rtx_payloads_carry_the_original_number(number: int, payload: bytes) -> None:
    data = encode_rtx(number + (1 << 16), payload)
    assert parse_rtx(data, 0, len(data)) == number
    assert data[2:] == payload


def test_rtx_without_a_payload_is_no_repair() -> None:
    with pytest.raises(RtpError):
        parse_rtx(b"\x00\x01", 0, 2)
