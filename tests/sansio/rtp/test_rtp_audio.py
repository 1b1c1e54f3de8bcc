"""RED (RFC 2198) and the framing of Opus (RFC 6716)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtp import RtpError, opus, red
from sansio.rtp.red import Block

BLOCKS = st.lists(st.tuples(st.integers(0, 127), st.integers(0, (1 << 14) - 1), st.binary(max_size=30)), max_size=4)


@given(st.integers(0, 127), st.binary(max_size=30), BLOCKS)
def test_red_payloads_come_back_as_they_were_written(
    payload_type: int, primary: bytes, redundant: list[tuple[int, int, bytes]]
) -> None:
    data = b"xx" + red.encode(payload_type, primary, redundant) + b"y"
    blocks = red.parse(data, 2, len(data) - 1)
    assert [(block.payload_type, block.timestamp_offset, data[block.start : block.end]) for block in blocks] == [
        *redundant,
        (payload_type, 0, primary),
    ]


def test_red_as_chrome_sends_it() -> None:
    """One redundant block 960 ticks back, then the primary."""
    data = bytes.fromhex("ef0f0003" + "6f") + b"old" + b"new!"
    assert red.parse(data) == [Block(111, 960, 5, 8), Block(111, 0, 8, 12)]
    assert red.encode(111, b"new!", [(111, 960, b"old")]) == data


@pytest.mark.parametrize(
    "data",
    [b"", b"\xef\x0f\x00", b"\xef\x0f\x00\x03", b"\xef\x0f\x00\x03\x6fab"],
    ids=["empty", "header cut short", "no primary", "block cut short"],
)
def test_red_that_does_not_add_up_is_refused(data: bytes) -> None:
    with pytest.raises(RtpError):
        red.parse(data)


@pytest.mark.parametrize("block", [(111, 1 << 14, b"a"), (111, 0, bytes(1024))], ids=["offset", "size"])
def test_red_blocks_that_do_not_fit_are_the_callers_fault(block: tuple[int, int, bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        red.encode(111, b"new", [block])


def test_red_payload_types_are_translated() -> None:
    data = red.encode(111, b"new", [(111, 1920, b"older"), (111, 960, b"old")])
    expected = red.encode(96, b"new", [(96, 1920, b"older"), (96, 960, b"old")])
    assert red.rewrite_payload_types(data, {111: 96}) == expected
    with pytest.raises(RtpError):
        red.rewrite_payload_types(data, {110: 96})


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        pytest.param(opus.SILENCE, 960, id="silence"),
        pytest.param(b"\x00", 480, id="SILK 10 ms"),
        pytest.param(b"\x18", 2880, id="SILK 60 ms"),
        pytest.param(b"\x68", 960, id="hybrid 20 ms"),
        pytest.param(b"\x80", 120, id="CELT 2.5 ms"),
        pytest.param(b"\x79", 1920, id="two equal frames"),
        pytest.param(b"\x7a", 1920, id="two frames"),
        pytest.param(b"\x7b\x03", 2880, id="three frames"),
        pytest.param(b"\x7b\x86", 5760, id="120 ms"),
    ],
)
def test_opus_duration(packet: bytes, samples: int) -> None:
    assert opus.duration(packet) == samples


@pytest.mark.parametrize(
    "packet", [b"", b"\x7b", b"\x7b\x00", b"\x7b\x07"], ids=["empty", "no count", "zero", "140 ms"]
)
def test_opus_packets_without_a_duration(packet: bytes) -> None:
    with pytest.raises(RtpError):
        opus.duration(packet)


def test_opus_dtx_and_stereo() -> None:
    assert opus.is_dtx(b"\xf8\xff")
    assert not opus.is_dtx(opus.SILENCE)
    assert not opus.is_dtx(b"")
    assert opus.is_stereo(0xFC)
    assert not opus.is_stereo(0xF8)


def test_every_opus_packet_can_be_started_from() -> None:
    assert opus.is_key_frame(b"\xf8\xff\xfe")
    assert not opus.is_key_frame(b"")
