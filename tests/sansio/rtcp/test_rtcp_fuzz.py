"""Any bytes give a value or the package's one error; compounds give a list whatever they hold."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from sansio.rtcp import RtcpError, encode_compound, parse_compound, parse_packet

KINDS = st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207, 208])


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """A packet of true length and known type with any body, so that the parsers of bodies are reached."""
    words = draw(st.integers(0, 12))
    body = draw(st.binary(min_size=4 * words, max_size=4 * words))
    first = 0x80 | draw(st.sampled_from([0, 0, 0x20])) | draw(st.sampled_from([0, 1, 2, 4, 15, 31]))
    return bytes((first, draw(KINDS), 0, words)) + body


@given(st.binary(max_size=100) | framed())
@example(b"")
@example(b"\x80\xc8\xff\xff")
def test_any_bytes_give_a_packet_or_the_one_error(data: bytes) -> None:
    with suppress(RtcpError):
        parse_packet(data)


@given(st.lists(framed() | st.binary(max_size=12), max_size=6).map(b"".join))
@example(b"\x80" * 5)
def test_any_compound_gives_a_list(data: bytes) -> None:
    parse_compound(data)


@given(framed())
def test_what_was_read_can_be_written_and_read_again(data: bytes) -> None:
    packets = parse_compound(data)
    assert parse_compound(encode_compound(packets)) == packets
