"""Header extension blocks of both forms, and the values inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.rtp import (
    ExtensionUri,
    RtpError,
    encode_abs_capture_time,
    encode_abs_send_time,
    encode_audio_level,
    encode_extensions,
    encode_packet,
    encode_playout_delay,
    encode_transport_cc,
    parse_abs_capture_time,
    parse_abs_send_time,
    parse_audio_level,
    parse_extensions,
    parse_header,
    parse_playout_delay,
    parse_text,
    parse_transport_cc,
)

U64 = st.integers(0, (1 << 64) - 1)


def read(block: bytes) -> dict[int, bytes]:
    data = encode_packet(payload_type=96, sequence_number=1, timestamp=1, ssrc=1, extension=block, payload=b"p")
    return parse_extensions(data, parse_header(data))


def block(profile: int, elements: bytes) -> bytes:
    padded = elements.ljust((len(elements) + 3) // 4 * 4, b"\0")
    return profile.to_bytes(2, "big") + (len(padded) // 4).to_bytes(2, "big") + padded


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(block(0xBEDE, b"\x10\xaa\x21\xbb\xbb"), {1: b"\xaa", 2: b"\xbb\xbb"}, id="one byte, RFC 8285 §4.2"),
        pytest.param(block(0xBEDE, b"\x10\xaa\0\0\x33\1\2\3\4"), {1: b"\xaa", 3: b"\1\2\3\4"}, id="padding between"),
        pytest.param(block(0xBEDE, b"\x10\xaa\xf0\x20\xbb"), {1: b"\xaa"}, id="id 15 ends the block"),
        pytest.param(block(0xBEDE, b"\x10\xaa\x10\xbb"), {1: b"\xbb"}, id="the last of two counts"),
        pytest.param(block(0x1000, b"\1\0\2\1\xbb\0\x10\2\xcc\xdd"), {1: b"", 2: b"\xbb", 16: b"\xcc\xdd"}, id="two byte"),
        pytest.param(block(0x100F, b"\x02\x01\xbb"), {2: b"\xbb"}, id="appbits are ignored"),
        pytest.param(block(0x1234, b"\x10\xaa"), {}, id="unknown profile"),
        pytest.param(block(0xBEDE, b""), {}, id="empty block"),
        pytest.param(b"", {}, id="no extension"),
    ],
)  # fmt: skip
def test_elements_are_read_by_id(data: bytes, expected: dict[int, bytes]) -> None:
    assert read(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        block(0xBEDE, b"\x13\xaa\xaa\xaa"),
        block(0x1000, b"\x01\x03\xaa\xaa"),
        block(0x1000, b"\x02\x01\xaa\x01"),
    ],
    ids=["one byte", "two byte", "two byte without its length"],
)
def test_an_element_past_the_block_is_refused(data: bytes) -> None:
    with pytest.raises(RtpError):
        read(data)


def test_the_one_byte_form_is_chosen_where_it_can_say_everything() -> None:
    assert encode_extensions([(1, b"\xaa"), (14, bytes(16))], mixed=True)[:2] == b"\xbe\xde"


@pytest.mark.parametrize(
    "element", [(15, b"a"), (255, b"a"), (3, b""), (3, bytes(17)), (3, bytes(255))], ids=lambda e: f"{e[0]} {len(e[1])}"
)
def test_one_large_element_moves_all_to_the_two_byte_form_if_that_was_agreed(element: tuple[int, bytes]) -> None:
    elements = [(1, b"\xaa"), element]
    written = encode_extensions(elements, mixed=True)
    assert written[:2] == b"\x10\x00"
    assert read(written) == dict(elements)
    assert read(encode_extensions(elements)) == {1: b"\xaa"}


def test_what_no_form_can_say_is_left_out() -> None:
    assert encode_extensions([(0, b"a"), (300, b"a"), (3, bytes(256))], mixed=True) == b""


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=8))
def test_blocks_come_back_as_they_were_written(elements: dict[int, bytes]) -> None:
    written = encode_extensions(elements.items(), mixed=True)
    assert len(written) % 4 == 0
    assert read(written) == elements


def test_uris_read_as_sdp_writes_them() -> None:
    assert f"{ExtensionUri.AUDIO_LEVEL}" == "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    assert ExtensionUri("urn:ietf:params:rtp-hdrext:sdes:mid") is ExtensionUri.MID


# Values


@given(st.booleans(), st.integers(0, 127))
def test_audio_level(is_voice: bool, level: int) -> None:
    assert parse_audio_level(encode_audio_level(is_voice, level)) == (is_voice, level)


def test_audio_level_is_clamped_to_what_the_wire_can_say() -> None:
    assert parse_audio_level(encode_audio_level(False, 500)) == (False, 127)


@given(st.integers(0, 1 << 40))
def test_transport_wide_number_is_cut_to_16_bits(number: int) -> None:
    assert parse_transport_cc(encode_transport_cc(number)) == number & 0xFFFF


def test_transport_wide_number_of_version_2_is_read() -> None:
    assert parse_transport_cc(b"\x12\x34\x80\x01") == 0x1234


def test_abs_send_time_is_seconds_in_18_bits_of_fraction() -> None:
    assert parse_abs_send_time(encode_abs_send_time((65 << 32) + (1 << 31))) == (1 << 18) + (1 << 17)


@given(U64, st.none() | st.integers(-(1 << 63), (1 << 63) - 1))
def test_abs_capture_time(ntp_timestamp: int, offset: int | None) -> None:
    assert parse_abs_capture_time(encode_abs_capture_time(ntp_timestamp, offset)) == (ntp_timestamp, offset)


@given(st.integers(0, 4095), st.integers(0, 4095))
def test_playout_delay_has_steps_of_10_ms(least: int, greatest: int) -> None:
    written = encode_playout_delay(10 * least + 9, 10 * greatest)
    assert parse_playout_delay(written) == (10 * least, 10 * greatest)


def test_playout_delay_is_clamped() -> None:
    assert parse_playout_delay(encode_playout_delay(-5, 1_000_000)) == (0, 40950)


def test_text_ends_before_its_padding() -> None:
    assert parse_text(b"q\0\0") == "q"


@pytest.mark.parametrize("value", [b"", b"\0", b"\xe4"], ids=["empty", "padding", "not ASCII"])
def test_text_that_names_nothing_is_refused(value: bytes) -> None:
    with pytest.raises(RtpError):
        parse_text(value)
