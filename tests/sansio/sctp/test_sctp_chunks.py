"""Chunks and packets: vectors written out from the RFCs, round trips, lying lengths, any bytes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.sctp.checksum import crc32c, is_intact, seal
from sansio.sctp.chunks import (
    Cause,
    ChunkType,
    Init,
    SctpError,
    describe_causes,
    encode_chunk,
    encode_data,
    encode_error,
    encode_forward_tsn,
    encode_packet,
    encode_parameter,
    encode_sack,
    parse_forward_tsn,
    parse_packet,
    parse_parameters,
    parse_sack,
)

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(bytes(32), 0x8A9136AA, id="zeros"),
        pytest.param(b"\xff" * 32, 0x62A8AB43, id="ones"),
        pytest.param(bytes(range(32)), 0x46DD794E, id="rising"),
        pytest.param(bytes(range(31, -1, -1)), 0x113FDB5C, id="falling"),
        pytest.param(b"123456789", 0xE3069283, id="digits"),
    ],
)
def test_crc32c_gives_the_values_of_rfc_3720(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def test_the_checksum_is_stored_least_significant_byte_first() -> None:
    packet = bytes.fromhex("13881388 00000000 00000000 01000004")
    sealed = seal(packet)
    assert int.from_bytes(sealed[8:12], "little") == crc32c(packet)
    assert is_intact(sealed)
    assert not is_intact(sealed[:-1] + b"\x05")


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        pytest.param(
            encode_data(3, 0x01020304, 5, 6, 53, b"abcde"),
            "00030015 01020304 0005 0006 00000035 6162636465 000000",
            id="DATA, padded",
        ),
        pytest.param(
            encode_sack(0xFFFFFFFF, 0x100000, [(2, 3), (5, 5)], [7]),
            "0300001c ffffffff 00100000 0002 0001 0002 0003 0005 0005 00000007",
            id="SACK",
        ),
        pytest.param(encode_forward_tsn(9, [(1, 2)]), "c000000c 00000009 0001 0002", id="FORWARD TSN"),
        pytest.param(encode_chunk(ChunkType.COOKIE_ACK), "0b000004", id="COOKIE ACK"),
        pytest.param(
            encode_error(Cause.USER_INITIATED_ABORT, b"bye", kind=ChunkType.ABORT),
            "0600000b 000c0007 627965 00",
            id="ABORT",
        ),
        pytest.param(
            Init(
                tag=1,
                receive_window_bytes=1500,
                outbound_streams=2,
                inbound_streams=3,
                initial_tsn=4,
                forward_tsn=True,
                re_config=True,
                zero_checksum=True,
            ).encode(ChunkType.INIT),
            "01000028 00000001 000005dc 0002 0003 00000004 c0000004 80080006 82c0 0000 80010008 00000001",
            id="INIT",
        ),
    ],
)
def test_encoded_chunks_are_the_bytes_of_the_rfcs(chunk: bytes, expected: str) -> None:
    assert chunk.hex() == expected.replace(" ", "")


def test_the_padding_of_the_last_chunk_may_be_missing() -> None:
    packet = encode_packet((1, 2), 3, [encode_data(3, 1, 2, 3, 4, b"x")], checksum=False)
    assert parse_packet(packet) == parse_packet(packet[:-3])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="no chunk"),
        pytest.param("0b000003", id="length below the header"),
        pytest.param("0b000000", id="length zero"),
        pytest.param("0b000008", id="length past the end"),
        pytest.param("0b00ffff", id="length far past the end"),
        pytest.param("0b000004 00", id="one byte too many"),
        pytest.param("0b000004 0b0000", id="half a chunk"),
    ],
)
def test_packets_with_lying_lengths_are_refused(body: str) -> None:
    with pytest.raises(SctpError):
        parse_packet(bytes(12) + bytes.fromhex(body))


@pytest.mark.parametrize("body", ["0001", "00010003", "00010005", "0001000412", "00010000"])
def test_parameters_with_lying_lengths_are_refused(body: str) -> None:
    with pytest.raises(SctpError):
        parse_parameters(bytes.fromhex(body))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("00000001 00001000 0001 0001 000000", id="short"),
        pytest.param("00000000 00001000 0001 0001 00000001", id="tag zero"),
        pytest.param("00000001 00001000 0000 0001 00000001", id="no outbound streams"),
        pytest.param("00000001 00001000 0001 0000 00000001", id="no inbound streams"),
        pytest.param("00000001 00001000 0001 0001 00000001 8008", id="half a parameter"),
        pytest.param("00000001 00001000 0001 0001 00000001 000b0008 61626300", id="host name"),
    ],
)
def test_an_init_that_no_peer_may_send_is_refused(body: str) -> None:
    with pytest.raises(SctpError):
        Init.parse(bytes.fromhex(body))


@pytest.mark.parametrize(
    ("parameter", "goes_on", "is_reported"),
    [
        pytest.param(0x3FFF, False, False, id="00"),
        pytest.param(0x7FFF, False, True, id="01"),
        pytest.param(0xBFFF, True, False, id="10"),
        pytest.param(0xFFFF, True, True, id="11"),
    ],
)
def test_unknown_init_parameters_are_treated_by_their_top_bits(
    parameter: int, goes_on: bool, is_reported: bool
) -> None:
    unknown = encode_parameter(parameter, b"what")
    known = encode_parameter(0xC000)
    init = Init.parse(bytes.fromhex("00000001 00001000 0001 0001 00000001") + unknown + known)
    assert init.forward_tsn is goes_on
    assert init.unrecognized == ((unknown,) if is_reported else ())


def test_reports_of_unknown_parameters_are_bounded() -> None:
    unknown = b"".join(encode_parameter(0xFF00 + i, bytes(100)) for i in range(200))
    init = Init.parse(bytes.fromhex("00000001 00001000 0001 0001 00000001") + unknown)
    assert len(init.unrecognized) == 2


def test_zero_checksum_is_believed_only_for_dtls() -> None:
    fixed = bytes.fromhex("00000001 00001000 0001 0001 00000001")
    assert Init.parse(fixed + bytes.fromhex("80010008 00000001")).zero_checksum
    assert not Init.parse(fixed + bytes.fromhex("80010008 00000002")).zero_checksum


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "no cause given"),
        ("0009 0008 00000001", "no user data"),
        ("000c 0007 62796500", "user initiated abort: bye"),
        ("1234 0004", "cause 4660"),
        ("0009 00ff", "malformed cause"),
    ],
)
def test_causes_are_told_in_words(body: str, expected: str) -> None:
    assert describe_causes(bytes.fromhex(body)) == expected


@given(U32, U32, st.lists(st.tuples(U16, U16), max_size=20), st.lists(U32, max_size=5))
def test_a_sack_survives_the_wire(tsn: int, window: int, gaps: list[tuple[int, int]], duplicates: list[int]) -> None:
    _, chunks = parse_packet(encode_packet((1, 2), 3, [encode_sack(tsn, window, gaps, duplicates)], checksum=True))
    assert parse_sack(chunks[0][2]) == (tsn, window, gaps)


@given(U32, st.dictionaries(U16, U16, max_size=20))
def test_a_forward_tsn_survives_the_wire(tsn: int, skipped: dict[int, int]) -> None:
    _, chunks = parse_packet(encode_packet((1, 2), 3, [encode_forward_tsn(tsn, skipped.items())], checksum=True))
    assert parse_forward_tsn(chunks[0][2]) == (tsn, list(skipped.items()))


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40)), min_size=1, max_size=6), U32
)
def test_chunks_survive_the_wire(chunks: list[tuple[int, int, bytes]], tag: int) -> None:
    packet = encode_packet((5000, 5000), tag, [encode_chunk(*chunk) for chunk in chunks], checksum=True)
    assert is_intact(packet)
    assert parse_packet(packet) == (tag, chunks)


@given(
    tag=st.integers(1, 0xFFFFFFFF),
    window=U32,
    streams=st.tuples(st.integers(1, 0xFFFF), st.integers(1, 0xFFFF)),
    tsn=U32,
    abilities=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    cookie=st.binary(max_size=60),
)
def test_init_survives_the_wire(
    tag: int, window: int, streams: tuple[int, int], tsn: int, abilities: tuple[bool, bool, bool], cookie: bytes
) -> None:
    init = Init(
        tag=tag,
        receive_window_bytes=window,
        outbound_streams=streams[0],
        inbound_streams=streams[1],
        initial_tsn=tsn,
        forward_tsn=abilities[0],
        re_config=abilities[1],
        zero_checksum=abilities[2],
        cookie=cookie,
    )
    packet = encode_packet((1, 2), 0, [init.encode(ChunkType.INIT_ACK)], checksum=True)
    assert Init.parse(parse_packet(packet)[1][0][2]) == init


@pytest.mark.parametrize("parse", [parse_packet, parse_parameters, Init.parse, parse_sack, parse_forward_tsn])
@given(data=st.binary(max_size=120))
def test_any_bytes_give_a_value_or_the_one_error(parse: object, data: bytes) -> None:
    assert callable(parse)
    with suppress(SctpError):
        parse(data)
