"""Answers to NACKs, with RTX and without; retransmissions received."""

from __future__ import annotations

import struct

from rig import Rig, kinds, write

from sansio.kernel import ExtensionIds, Kernel, NoticeKind

STAMPED = ExtensionIds(transport_cc=3, abs_send_time=5)


def following(kernel: Kernel, *, rtx: bool, extensions: ExtensionIds | None = None):  # type: ignore[no-untyped-def]
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer, rtx_ssrc=0xBBBB if rtx else 0, extensions=extensions)
    rig.publisher.send(0.0, *(write(100 + i, 1000 + i, b"%d" % i, marker=True) for i in range(5)))
    kernel.switch(0.0, leg, stream, 100, 1)
    datagrams = [data for _, data in rig.datagrams()]
    return rig, peer, leg, datagrams, [peer.open(data) for data in datagrams]


def test_nack_is_answered_on_rtx(kernel: Kernel) -> None:
    rig, peer, leg, _, sent = following(kernel, rtx=True)
    assert kernel.retransmit(0.2, leg, [sent[1].number, sent[3].number], 0.04) == 2
    first, second = rig.received(peer)
    assert (first.ssrc, first.payload_type, first.timestamp, first.marker) == (0xBBBB, 107, sent[1].timestamp, 1)
    assert first.payload == struct.pack("!H", sent[1].number) + b"1"
    assert second.payload == struct.pack("!H", sent[3].number) + b"3"
    assert second.number == first.number + 1
    stats = kernel.leg_stats(leg)
    assert (stats.packets, stats.retransmitted_packets) == (5, 2)


def test_without_rtx_the_same_bytes_are_sent_again(kernel: Kernel) -> None:
    rig, _, leg, datagrams, sent = following(kernel, rtx=False, extensions=STAMPED)
    assert kernel.retransmit(7.7, leg, [sent[2].number], 0.04) == 1
    assert [data for _, data in rig.datagrams()] == [datagrams[2]]


def test_each_packet_is_sent_again_three_times_at_most(kernel: Kernel) -> None:
    rig, peer, leg, _, sent = following(kernel, rtx=True)
    number = [sent[0].number]
    assert kernel.retransmit(0.05, leg, number, 0.2) == 0  # within 0.1 s of the first
    assert [kernel.retransmit(1.0 + i, leg, number, 0.2) for i in range(5)] == [1, 1, 1, 0, 0]
    assert kernel.retransmit(9.0, leg, [(sent[0].number - 1) & 0xFFFF, sent[4].number + 1], 0.2) == 0
    assert len(rig.received(peer)) == 3


def test_stamps_count_per_session_and_are_fresh_on_rtx(kernel: Kernel) -> None:
    rig, peer, leg, _, sent = following(kernel, rtx=True, extensions=STAMPED)
    assert [struct.unpack("!H", one.extensions[3])[0] for one in sent] == [1, 2, 3, 4, 5]
    kernel.retransmit(1.0, leg, [sent[0].number], 0.04)
    (again,) = rig.received(peer)
    assert again.extensions == {3: struct.pack("!H", 6), 5: (1 << 18).to_bytes(3, "big")}
    records = kernel.take_sent(peer.session)
    assert [(one.sequence_number, one.is_retransmission) for one in records] == [
        (1, False), (2, False), (3, False), (4, False), (5, False), (6, True),
    ]  # fmt: skip
    assert records[5].size_bytes == len(again.raw) + 16
    assert kernel.take_sent(peer.session) == []


def test_received_retransmission_fills_the_gap(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(rtx_ssrc=0x1112)
    peer = rig.subscriber()
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(100, 1000, b"a"))
    kernel.switch(0.0, leg, stream, 100, 1)
    rig.publisher.send(0.1, write(102, 3000, b"c"))
    assert not kernel.has_packet(stream, 101)
    rtx = write(9, 2000, struct.pack("!H", 101) + b"b", ssrc=0x1112, payload_type=97)
    assert rig.publisher.send(0.2, rtx) == []
    assert kernel.has_packet(stream, 101)
    assert [one.payload for one in rig.received(peer)] == [b"a", b"c", b"b"]
    stats = kernel.stream_stats(stream)
    assert (stats.received, stats.expected, stats.recovered, stats.out_of_order) == (3, 3, 1, 0)


def test_retransmission_starts_no_stream(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    kernel.set_rtx(stream, 0x1112)
    rtx = write(9, 2000, struct.pack("!H", 101) + b"b", ssrc=0x1112, payload_type=97)
    assert rig.publisher.send(0.2, rtx) == []
    assert kernel.stream_stats(stream).first_position == -1
    assert kinds(rig.publisher.send(0.3, write(102, 1, b"c"))) == [NoticeKind.FIRST_PACKET]


def test_padding_on_rtx_is_only_a_probe(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(rtx_ssrc=0x1112, extensions=ExtensionIds(transport_cc=2))
    rig.publisher.send(0.0, write(100, 1000, b"a", extensions={2: b"\0\1"}))
    probe = write(9, 2000, b"", ssrc=0x1112, payload_type=97, padding=100, extensions={2: b"\0\2"})
    zero = write(1, 2000, b"", ssrc=0, padding=100, extensions={2: b"\0\3"})
    assert rig.publisher.send(0.1, probe, zero) == []
    assert kernel.take_arrivals(rig.publisher.session) == [(1, 0.0), (2, 0.1), (3, 0.1)]
    assert kernel.stream_stats(stream).received == 1
