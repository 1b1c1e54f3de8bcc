"""SR, RR, SDES, BYE and XR: golden bytes, round trips, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtcp import (
    Dlrr,
    DlrrReport,
    ExtendedReport,
    Goodbye,
    Packet,
    ReceiverReferenceTime,
    ReceiverReport,
    ReportBlock,
    RtcpError,
    SdesChunk,
    SenderReport,
    SourceDescription,
    parse_packet,
)

U8, U32, U64 = st.integers(0, 255), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


def blocks() -> st.SearchStrategy[ReportBlock]:
    return st.builds(
        ReportBlock,
        ssrc=U32,
        fraction_lost=U8,
        cumulative_lost=st.integers(-(1 << 23), (1 << 23) - 1),
        highest_sequence_number=U32,
        jitter=U32,
        last_sender_report=U32,
        delay_since_last_sender_report=U32,
    )


def tuples(element: st.SearchStrategy[object], size: int = 4) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(element, max_size=size).map(tuple)


PACKETS: dict[str, st.SearchStrategy[Packet]] = {
    "SR": st.builds(
        SenderReport,
        ssrc=U32,
        ntp_timestamp=U64,
        rtp_timestamp=U32,
        packet_count=U32,
        octet_count=U32,
        reports=tuples(blocks(), 31),
    ),
    "RR": st.builds(ReceiverReport, U32, tuples(blocks(), 31)),
    "SDES": st.builds(
        SourceDescription, tuples(st.builds(SdesChunk, U32, tuples(st.tuples(st.integers(1, 255), TEXTS))), 31)
    ),
    "BYE": st.builds(Goodbye, tuples(U32, 31), TEXTS),
    "XR": st.builds(
        ExtendedReport,
        U32,
        tuples(st.builds(ReceiverReferenceTime, U64) | st.builds(Dlrr, tuples(st.builds(DlrrReport, U32, U32, U32)))),
    ),
}


@pytest.mark.parametrize("name", PACKETS)
@given(data=st.data())
def test_packets_come_back_as_they_were_written(name: str, data: st.DataObject) -> None:
    packet = data.draw(PACKETS[name])
    assert parse_packet(packet.encode()) == packet


BLOCK = ReportBlock(
    ssrc=0x01020304,
    fraction_lost=0x80,
    cumulative_lost=-2,
    highest_sequence_number=0x00011234,
    jitter=0x11,
    last_sender_report=0xAABBCCDD,
    delay_since_last_sender_report=0x10000,
)
BLOCK_HEX = "01020304 80fffffe 00011234 00000011 aabbccdd 00010000"


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        pytest.param(
            SenderReport(
                ssrc=0xCAFEBABE,
                ntp_timestamp=0x0102030405060708,
                rtp_timestamp=0x11223344,
                packet_count=5,
                octet_count=600,
                reports=(BLOCK,),
            ),
            "81c8000c cafebabe 01020304 05060708 11223344 00000005 00000258" + BLOCK_HEX,
            id="SR",
        ),
        pytest.param(ReceiverReport(0xCAFEBABE, (BLOCK,)), "81c90007 cafebabe" + BLOCK_HEX, id="RR"),
        pytest.param(ReceiverReport(0xCAFEBABE), "80c90001 cafebabe", id="empty RR"),
        pytest.param(SourceDescription.of_cname(1, "abc"), "81ca0003 00000001 0103616263000000", id="CNAME, padded"),
        pytest.param(SourceDescription.of_cname(1, "ab"), "81ca0003 00000001 0102616200000000", id="CNAME, a word of nulls"),
        pytest.param(Goodbye((1, 2)), "82cb0002 00000001 00000002", id="BYE"),
        pytest.param(Goodbye((1,), "bye"), "81cb0002 00000001 03627965", id="BYE with a reason"),
        pytest.param(
            ExtendedReport(1, (ReceiverReferenceTime(0x0102030405060708),)),
            "80cf0004 00000001 04000002 01020304 05060708",
            id="XR RRTR",
        ),
        pytest.param(
            ExtendedReport(1, (Dlrr((DlrrReport(2, 0x03040506, 7),)),)),
            "80cf0005 00000001 05000003 00000002 03040506 00000007",
            id="XR DLRR",
        ),
    ],
)  # fmt: skip
def test_bytes_on_the_wire(packet: Packet, data: str) -> None:
    assert packet.encode() == bytes.fromhex(data)
    assert parse_packet(bytes.fromhex(data)) == packet


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("80c80001 cafebabe", id="SR without sender info"),
        pytest.param("82c90007 cafebabe" + BLOCK_HEX, id="RR with fewer blocks than announced"),
        pytest.param("80c90000", id="RR without SSRC"),
        pytest.param("81ca0000", id="SDES without its chunk"),
        pytest.param("81ca0002 00000001 01ff6162", id="SDES item cut short"),
        pytest.param("81ca0002 00000001 01016101", id="SDES item without its length"),
        pytest.param("82cb0001 00000001", id="BYE with fewer SSRCs than announced"),
        pytest.param("81cb0002 00000001 04627965", id="BYE with its reason cut short"),
        pytest.param("80cf0000", id="XR without SSRC"),
        pytest.param("a0c90001 cafeba00", id="padding count 0"),
        pytest.param("a0c90001 cafeba05", id="padding longer than the packet"),
        pytest.param("80c90002 cafebabe", id="length beyond the data"),
        pytest.param("40c90001 cafebabe", id="version 1"),
        pytest.param("80c9", id="header cut short"),
    ],
)
def test_what_contradicts_itself_is_refused(data: str) -> None:
    with pytest.raises(RtcpError):
        parse_packet(bytes.fromhex(data))


def test_padding_is_taken_off() -> None:
    assert parse_packet(bytes.fromhex("a1cb0003 00000001 03627965 00000004")) == Goodbye((1,), "bye")


def test_extended_numbers_are_cut_and_counts_clamped() -> None:
    block = ReportBlock(
        ssrc=1,
        fraction_lost=300,
        cumulative_lost=1 << 30,
        highest_sequence_number=(1 << 40) + 5,
        jitter=-1,
        last_sender_report=(1 << 32) + 6,
        delay_since_last_sender_report=1 << 40,
    )
    report = SenderReport(
        ssrc=1, ntp_timestamp=(1 << 64) + 7, rtp_timestamp=(1 << 32) + 8, packet_count=1 << 32, reports=(block,)
    )
    read = parse_packet(report.encode())
    assert isinstance(read, SenderReport)
    assert (read.ntp_timestamp, read.rtp_timestamp, read.packet_count) == (7, 8, 0)
    assert read.reports[0] == ReportBlock(
        ssrc=1,
        fraction_lost=255,
        cumulative_lost=(1 << 23) - 1,
        highest_sequence_number=5,
        jitter=0,
        last_sender_report=6,
        delay_since_last_sender_report=(1 << 32) - 1,
    )


def test_middle_of_the_ntp_timestamp() -> None:
    report = SenderReport(ssrc=1, ntp_timestamp=0x0102030405060708, rtp_timestamp=0)
    assert report.last_sender_report == 0x03040506
    assert ReceiverReferenceTime(0x0102030405060708).last_receiver_report == 0x03040506


def test_cname_is_found_among_items() -> None:
    assert SdesChunk(1, ((2, "name"), (1, "cname"))).cname == "cname"
    assert SdesChunk(1, ((2, "name"),)).cname is None


def test_text_that_is_not_utf_8_is_read_all_the_same() -> None:
    packet = parse_packet(bytes.fromhex("81ca0002 00000001 0101ff00"))
    assert packet == SourceDescription((SdesChunk(1, ((1, "\N{REPLACEMENT CHARACTER}"),)),))


def test_unknown_and_broken_extended_report_blocks_are_skipped() -> None:
    data = "80cf0007 00000001 01000001 deadbeef 04000001 00000000 050000ff 00000000"
    assert parse_packet(bytes.fromhex(data)) == ExtendedReport(1)


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(1, (BLOCK,) * 32),
        SourceDescription.of_cname(1, "a" * 256),
        SourceDescription((SdesChunk(1, ((0, "a"),)),)),
        Goodbye((1,), "a" * 256),
    ],
    ids=["32 blocks", "long CNAME", "SDES type 0", "long reason"],
)
def test_what_does_not_fit_is_the_callers_fault(packet: Packet) -> None:
    with pytest.raises(LocalProtocolError):
        packet.encode()
