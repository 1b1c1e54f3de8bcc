"""NACK, PLI, FIR and REMB, and compounds of them with reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtcp import (
    Fir,
    Goodbye,
    Nack,
    Packet,
    Pli,
    ReceiverReport,
    Remb,
    RtcpError,
    SourceDescription,
    encode_compound,
    parse_compound,
    parse_packet,
)

U32 = st.integers(0, (1 << 32) - 1)


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        pytest.param(Pli(1, 2), "81ce0002 00000001 00000002", id="PLI"),
        pytest.param(Fir(sender_ssrc=1, entries=((2, 7),)), "84ce0004 00000001 00000000 00000002 07000000", id="FIR"),
        pytest.param(
            Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=(10, 11, 26, 27)),
            "81cd0004 00000001 00000002 000a8001 001b0000",
            id="NACK",
        ),
        pytest.param(
            Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=(0xFFFF, 0, 3)),
            "81cd0003 00000001 00000002 ffff0009",
            id="NACK over the wrap",
        ),
        pytest.param(
            Remb(sender_ssrc=1, bitrate_bps=1_000_000, ssrcs=(2, 3)),
            "8fce0006 00000001 00000000 52454d42 020bd090 00000002 00000003",
            id="REMB",
        ),
    ],
)
def test_bytes_on_the_wire(packet: Packet, data: str) -> None:
    assert packet.encode() == bytes.fromhex(data)
    assert parse_packet(bytes.fromhex(data)) == packet


@given(st.lists(st.integers(0, 1 << 20), max_size=200))
def test_nack_names_all_numbers_and_no_others(numbers: list[int]) -> None:
    read = parse_packet(Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=tuple(numbers)).encode())
    assert isinstance(read, Nack)
    assert set(read.sequence_numbers) == {number & 0xFFFF for number in numbers}


@given(st.lists(st.integers(0, 1000), unique=True, max_size=200).map(sorted))
def test_numbers_in_order_come_back_in_order_and_share_entries(numbers: list[int]) -> None:
    data = Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=tuple(numbers)).encode()
    read = parse_packet(data)
    assert isinstance(read, Nack)
    assert read.sequence_numbers == tuple(numbers)
    assert len(data) <= 12 + 4 * min(len(numbers), 1 + 1000 // 17)


def test_a_nack_for_thousands_is_capped() -> None:
    body = bytes(8) + b"".join((17 * index).to_bytes(2, "big") + b"\xff\xff" for index in range(200))
    read = Nack.parse(body)
    assert read.sequence_numbers == tuple(range(1000))


@given(U32, st.lists(st.tuples(U32, st.integers(0, 255)), max_size=5).map(tuple))
def test_fir_comes_back_as_it_was_written(sender_ssrc: int, entries: tuple[tuple[int, int], ...]) -> None:
    packet = Fir(sender_ssrc=sender_ssrc, entries=entries)
    assert parse_packet(packet.encode()) == packet


@given(st.integers(0, (1 << 81) - 1), st.lists(U32, max_size=5).map(tuple))
def test_remb_is_rounded_down_to_18_bits(bitrate: int, ssrcs: tuple[int, ...]) -> None:
    read = parse_packet(Remb(sender_ssrc=1, bitrate_bps=bitrate, ssrcs=ssrcs).encode())
    assert isinstance(read, Remb)
    assert read.ssrcs == ssrcs
    assert 0 <= bitrate - read.bitrate_bps <= bitrate >> 17


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(Remb(sender_ssrc=1, bitrate_bps=1 << 81), id="too much"),
        pytest.param(Remb(sender_ssrc=1, bitrate_bps=-1), id="negative"),
        pytest.param(Remb(sender_ssrc=1, bitrate_bps=1, ssrcs=(1,) * 256), id="too many sources"),
    ],
)
def test_what_does_not_fit_is_the_callers_fault(packet: Packet) -> None:
    with pytest.raises(LocalProtocolError):
        packet.encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("81cd0001 00000001", id="NACK without media SSRC"),
        pytest.param("81ce0001 00000001", id="PLI without media SSRC"),
        pytest.param("84ce0001 00000001", id="FIR without media SSRC"),
        pytest.param("8fce0004 00000001 00000000 52454d43 02000000", id="other application layer feedback"),
        pytest.param("8fce0004 00000001 00000000 52454d42 01000000", id="REMB without its SSRC"),
    ],
)
def test_what_contradicts_itself_is_refused(data: str) -> None:
    with pytest.raises(RtcpError):
        parse_packet(bytes.fromhex(data))


# Compounds

PARTS: list[Packet] = [
    ReceiverReport(1),
    SourceDescription.of_cname(1, "cname"),
    Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=(3, 4)),
    Pli(1, 2),
    Goodbye((1,)),
]


@given(st.lists(st.sampled_from(PARTS)))
def test_compounds_come_back_as_they_were_written(packets: list[Packet]) -> None:
    assert parse_compound(encode_compound(packets)) == packets


@pytest.mark.parametrize(
    "between",
    [
        pytest.param("80cc0001 00000001", id="APP"),
        pytest.param("82ce0002 00000001 00000002", id="unknown feedback format"),
        pytest.param("80d00000", id="unknown type"),
        pytest.param("81c90001 00000001", id="RR with fewer blocks than announced"),
    ],
)
def test_what_is_unknown_or_broken_is_skipped(between: str) -> None:
    data = PARTS[0].encode() + bytes.fromhex(between) + PARTS[3].encode()
    assert parse_compound(data) == [PARTS[0], PARTS[3]]


@pytest.mark.parametrize(
    "rest",
    ["81ce0003 00000001 00000002", "41ce0002 00000001 00000002", "81ce", ""],
    ids=["long", "version", "cut", "end"],
)
def test_what_has_no_bounds_ends_the_compound(rest: str) -> None:
    assert parse_compound(PARTS[0].encode() + bytes.fromhex(rest)) == [PARTS[0]]
