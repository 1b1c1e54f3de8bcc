"""The receiving half: binding, numbering, duplicates, counters, key frames, RTCP; and what leaves in which run."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from rig import GCM, KEY_BYTES, Peer, Rig, kinds, leg_spec, vp8, write

from sansio.errors import DropReason, LocalProtocolError
from sansio.kernel import Codec, ExtensionIds, Kernel, Leg, LegMode, NoticeKind, SrtpProfile, StreamSpec
from sansio.outputs import RUN_RECORD
from sansio.rtp import vp8 as vp8_format

RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 0x77)


def test_packet_of_an_unknown_ssrc_is_handed_out_and_taken_back(kernel: Kernel) -> None:
    rig = Rig(kernel)
    packet = write(5, 1, b"x", extensions={1: b"mid"})
    (notice,) = rig.publisher.send(0.5, packet)
    assert (notice.kind, notice.ssrc, notice.data) == (NoticeKind.UNKNOWN_SSRC, 0x1111, packet)
    stream = rig.stream()
    (first,) = kernel.inject_received(0.6, rig.publisher.session, [notice.data])
    assert (first.kind, first.stream, first.position, first.timestamp) == (NoticeKind.FIRST_PACKET, stream, 5, 1)
    assert kernel.has_packet(stream, 5)
    assert kernel.last_arrival(rig.publisher.session) == 0.5


def test_ssrc_is_taken_once(kernel: Kernel) -> None:
    rig = Rig(kernel)
    rig.stream(rtx_ssrc=0x1112)
    other = rig.stream(ssrc=0x2222)
    for ssrc in (0x1111, 0x1112, 0):
        with pytest.raises(LocalProtocolError):
            rig.stream(ssrc=ssrc)
        with pytest.raises(LocalProtocolError):
            kernel.set_rtx(other, ssrc or 0x2222)
    kernel.set_rtx(other, 0x2223)
    kernel.set_rtx(other, 0x2223)
    kernel.set_rtx(other, 0)
    rig.stream(ssrc=0x2223)


def test_removed_stream_is_unknown_again_and_its_legs_stay(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(rtx_ssrc=0x1112)
    peer = rig.subscriber()
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(1, 1, b"x"))
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.remove_stream(stream)
    assert kinds(rig.publisher.send(0.1, write(2, 1, b"y"))) == [NoticeKind.UNKNOWN_SSRC]
    assert kinds(rig.publisher.send(0.1, write(2, 1, b"y", ssrc=0x1112))) == [NoticeKind.UNKNOWN_SSRC]
    assert kernel.leg_stats(leg).stream == -1
    again = rig.stream(rtx_ssrc=0x1112)
    rig.publisher.send(0.2, write(3, 1, b"z"))
    kernel.switch(0.2, leg, again, 3, 9)
    got = rig.received(peer)
    assert [one.payload for one in got] == [b"x", b"z"]
    assert got[1].number == got[0].number + 1


def test_stream_does_not_start_with_padding_or_foreign_types(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    assert rig.publisher.send(0.0, write(1, 1, b"", padding=5), write(2, 1, b"x", payload_type=13)) == []
    assert kernel.stream_stats(stream).first_position == -1
    assert kernel.poll_drops() == {DropReason.RTP_PADDING_ONLY: 1, DropReason.RTP_UNKNOWN_PAYLOAD_TYPE: 1}


def test_counters(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP8, clock_rate=90000)
    rig.publisher.send(1.0, write(65534, 3000, vp8(1, 1, 0, key=True), marker=True))
    rig.publisher.send(1.1, write(65535, 6000, vp8(2, 1, 2), marker=True), write(1, 9000, vp8(4, 1, 1)))
    rig.publisher.send(1.2, write(0, 9000, vp8(3, 1, 2)), write(2, 9000, b"", padding=7))
    kernel.inject_received(1.2, rig.publisher.session, [write(1, 9000, vp8(4, 1, 1))])
    stats = kernel.stream_stats(stream)
    assert (stats.packets, stats.received, stats.expected) == (5, 5, 5)
    assert (stats.first_position, stats.highest_position) == (65534, 65538)
    assert (stats.duplicates, stats.out_of_order, stats.padding_packets) == (1, 1, 1)
    assert (stats.frames, stats.key_frames) == (2, 1)
    assert (stats.last_timestamp, stats.first_arrival, stats.last_arrival) == (9000, 1.0, 1.2)
    assert stats.header_bytes == 5 * 12
    key, delta = len(vp8(1, 1, 0, key=True)), len(vp8(2, 1, 2))
    assert stats.bytes == key + 3 * delta
    assert stats.layer_bytes[:4] == (key, delta, 2 * delta, 0)
    assert sum(stats.layer_bytes) == stats.bytes


def test_jitter_is_smoothed_deviation_of_transit(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(clock_rate=48000)
    rig.publisher.send(0.000, write(1, 0, b"a"))
    rig.publisher.send(0.030, write(2, 960, b"b"))  # 10 ms late
    assert kernel.stream_stats(stream).jitter == pytest.approx(480 / 16)
    rig.publisher.send(0.040, write(3, 960, b"same timestamp"))
    assert kernel.stream_stats(stream).jitter == pytest.approx(480 / 16)


def test_packets_before_the_first_count_if_they_are_near(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    rig.publisher.send(0.0, write(500, 1, b"c"), write(499, 1, b"b"), write(300, 1, b"a"))
    stats = kernel.stream_stats(stream)
    assert (stats.first_position, stats.expected, stats.received) == (499, 2, 2)
    assert kernel.poll_drops() == {DropReason.RTP_TOO_OLD: 1}


def test_what_lies_between_an_earlier_packet_and_the_first_is_missing(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    rig.publisher.send(0.0, write(500, 3, b"d"))
    notices = rig.publisher.send(0.1, write(497, 1, b"a"), write(496, 1, b"-"), write(499, 2, b"c"))
    gaps = [(notice.stream, notice.position, notice.missing) for notice in notices if notice.kind is NoticeKind.GAP]
    assert gaps == [(stream, 498, 2)]
    stats = kernel.stream_stats(stream)
    assert (stats.first_position, stats.expected, stats.received) == (496, 5, 4)


def test_wild_jump_is_believed_when_it_goes_on(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(50000, 1000, b"a"))
    kernel.switch(0.0, leg, stream, 50000, 100)
    for number in (9, 30000, 9):
        kernel.inject_received(0.1, rig.publisher.session, [write(number, 1000, b"wild")])
    assert kernel.stream_stats(stream).received == 1
    restart = [write(7000 + i, 5_000_000 + i, b"%d" % i) for i in range(3)]
    kernel.inject_received(0.2, rig.publisher.session, restart)
    stats = kernel.stream_stats(stream)
    assert stats.highest_position & 0xFFFF == 7002
    assert stats.highest_position > 50000
    assert stats.expected - stats.received == 0
    # To the receiver it is one stream without a hole, whose clock went on.
    got = rig.received(peer)
    assert [one.number - got[0].number for one in got] == [0, 1, 2]
    assert [one.payload for one in got] == [b"a", b"1", b"2"]
    assert got[1].timestamp - got[0].timestamp == round(0.2 * 90000)


def test_timestamp_is_widened_by_the_clock_after_a_long_silence(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    rig.publisher.send(0.0, write(1, 1000, b"a"))
    silence = 1.5 * 2**32 / 90000
    rig.publisher.send(silence, write(2, 1000 + 2**31, b"b"))
    assert kernel.stream_stats(stream).last_timestamp == 1000 + 3 * 2**31


def test_key_frames_are_told_only_while_watched(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.H264)
    sps = bytes((0x67, 0x42, 0xE0, 0x1F, 0x8C, 0x68, 0x05, 0x00, 0x5B, 0xA1, 0, 0, 0x03, 0x00, 0x01))
    assert kinds(rig.publisher.send(0.0, write(1, 1, sps))) == [NoticeKind.FIRST_PACKET]
    kernel.watch_key_frames(stream, True)
    notices = rig.publisher.send(0.1, write(2, 9, sps), write(3, 9, b"\x68\x01"), write(4, 9, sps))
    assert [(one.kind, one.position) for one in notices] == [(NoticeKind.KEY_FRAME, 2)]
    kernel.watch_key_frames(stream, False)
    assert rig.publisher.send(0.2, write(5, 19, sps)) == []
    assert kernel.stream_stats(stream).key_frames == 3


def test_h265_key_frame_is_told(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.H265)
    kernel.watch_key_frames(stream, True)
    notices = rig.publisher.send(0.0, write(1, 1, b"\x02\x01xx"), write(2, 9, b"\x26\x01xx"))
    assert [(one.kind, one.position) for one in notices] == [
        (NoticeKind.FIRST_PACKET, 1), (NoticeKind.KEY_FRAME, 2),
    ]  # fmt: skip


def test_rtcp_is_decrypted_both_ways(kernel: Kernel) -> None:
    rig = Rig(kernel)
    peer = rig.publisher
    (notice,) = kernel.ingest(0.0, peer.session, [bytes(peer.outbound.protect_rtcp(RECEIVER_REPORT))])
    assert (notice.kind, notice.data) == (NoticeKind.RTCP, RECEIVER_REPORT)
    kernel.send_rtcp(peer.session, RECEIVER_REPORT)
    ((remote, data),) = rig.datagrams()
    assert remote == peer.address
    assert bytes(peer.inbound.unprotect_rtcp(data)) == RECEIVER_REPORT
    with pytest.raises(LocalProtocolError):
        kernel.send_rtcp(peer.session, b"short")


def test_rtcp_without_a_path_goes_nowhere(kernel: Kernel) -> None:
    session = kernel.open_session(GCM, bytes(28), bytes(range(28)))
    kernel.send_rtcp(session, RECEIVER_REPORT)
    assert kernel.poll_transmits() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x80\x60", DropReason.TOO_SHORT, id="short"),
        pytest.param(b"\x80\x60" + bytes(9), DropReason.SRTP_MALFORMED, id="no header"),
        pytest.param(b"\x00\x60" + bytes(40), DropReason.SRTP_MALFORMED, id="version 0"),
        pytest.param(b"\x80\x60" + bytes(40), DropReason.SRTP_AUTHENTICATION, id="forged"),
        pytest.param(b"\x80\xc9" + bytes(40), DropReason.SRTP_AUTHENTICATION, id="forged RTCP"),
    ],
)
def test_bad_datagrams_are_counted(kernel: Kernel, data: bytes, reason: DropReason) -> None:
    rig = Rig(kernel)
    assert kernel.ingest(0.0, rig.publisher.session, [data]) == []
    assert kernel.poll_drops() == {reason: 1}
    assert kernel.poll_drops() == {}
    assert kernel.last_arrival(rig.publisher.session) is None


def test_authentic_nonsense_is_counted(kernel: Kernel) -> None:
    rig = Rig(kernel)
    rig.stream()
    rig.publisher.send(0.0, bytes((0xA0,)) + write(1, 1, b"x\xff")[1:])
    kernel.inject_received(0.0, rig.publisher.session, [b"\x90\x60" + bytes(10)])
    assert kernel.poll_drops() == {DropReason.RTP_MALFORMED: 2}


def test_keys_must_have_the_profile_s_length(kernel: Kernel) -> None:
    with pytest.raises(LocalProtocolError):
        kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, bytes(30), bytes(28))


def test_sender_of_many_ssrcs_costs_bounded_memory(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    rig.publisher.send(0.0, write(1, 1, b"x"))
    for ssrc in range(0x5000, 0x5000 + 600):
        rig.publisher.send(0.1, write(1, 1, b"x", ssrc=ssrc))
    # The bound stream is still there, and so is the replay protection of it.
    rig.publisher.send(0.2, write(2, 1, b"x"))
    assert kernel.stream_stats(stream).received == 2


def test_transport_wide_numbers_are_widened_in_order_of_arrival(kernel: Kernel) -> None:
    rig = Rig(kernel)
    rig.stream(extensions=ExtensionIds(transport_cc=7))
    wide = (65534, 65536, 65535, 65537)
    for index, value in enumerate(wide):
        data = struct.pack("!H", value & 0xFFFF)
        rig.publisher.send(index / 10, write(10 + index, 1, b"x", extensions={7: data}))
    assert kernel.take_arrivals(rig.publisher.session) == [(value, index / 10) for index, value in enumerate(wide)]
    assert kernel.take_arrivals(rig.publisher.session) == []


def test_arrivals_of_any_ssrc_count_once_the_extension_is_known(kernel: Kernel) -> None:
    rig = Rig(kernel)
    session = rig.publisher.session

    def probe(value: int, ssrc: int) -> bytes:
        return write(value, 1, b"", ssrc=ssrc, padding=200, extensions={7: struct.pack("!H", value)})

    rig.publisher.send(0.0, probe(1, 0x7777))
    kernel.set_transport_cc(session, 7)
    rig.publisher.send(0.1, probe(2, 0x7777))
    rig.publisher.send(0.2, probe(3, 0))
    rig.stream(extensions=ExtensionIds())
    rig.publisher.send(0.3, probe(4, 0x1111))
    assert kernel.take_arrivals(session) == [(2, 0.1), (3, 0.2), (4, 0.3)]
    kernel.set_transport_cc(session, 0)
    rig.publisher.send(0.4, probe(5, 0x1111))
    assert kernel.take_arrivals(session) == []


def test_packets_that_waited_together_keep_their_own_arrivals(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(extensions=ExtensionIds(transport_cc=7))
    session = rig.publisher.session
    packets = [write(number, 900 * number, b"x", extensions={7: struct.pack("!H", number)}) for number in range(1, 40)]
    at = [0.01 * number for number in range(1, 40)]
    kernel.ingest(5.0, session, [rig.publisher.protect(packet) for packet in packets], at)
    assert kernel.take_arrivals(session) == list(zip(range(1, 40), at, strict=True))
    stats = kernel.stream_stats(stream)
    assert (stats.first_arrival, stats.last_arrival) == (at[0], at[-1])
    assert stats.jitter < 1
    assert kernel.last_arrival(session) == 5.0


def test_equal_packets_of_a_burst_leave_as_one_run(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peers = [rig.subscriber(), rig.subscriber()]
    legs = [rig.leg(peer) for peer in peers]
    rig.publisher.send(0.0, write(1, 1, b"x"))
    for leg in legs:
        kernel.switch(0.0, leg, stream, 1, 1)
    kernel.poll_transmits()
    sizes = (1000, 1000, 1000, 500, 1000, 1001)
    rig.publisher.send(0.1, *(write(2 + i, 1, bytes(size)) for i, size in enumerate(sizes)))
    (batch,) = kernel.poll_transmits()
    wire = 12 + 16
    runs = [(run.remote, run.end - run.start, run.segment_bytes) for run in batch.runs]
    assert runs == [
        (peer.address, total, segment)
        for peer in peers
        for total, segment in ((3500 + 4 * wire, 1000 + wire), (1000 + wire, 1000 + wire), (1001 + wire, 1001 + wire))
    ]
    assert len(batch) == 12


def test_packed_runs_say_the_same(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peers = [rig.subscriber() for _ in range(4)]
    locals_ = [("192.0.2.1", 7882), ("2001:db8::1", 7882)]
    remotes = [("198.51.100.7", 1), ("2001:db8::7", 65535), ("192.0.2.1", 2), ("no address", 3)]
    rig.publisher.send(0.0, write(1, 1, b"x"))
    for number, (peer, remote) in enumerate(zip(peers, remotes, strict=True)):
        kernel.set_path(peer.session, locals_[number % 2], remote)
        kernel.switch(0.0, rig.leg(peer), stream, 1, 1)
    rig.publisher.send(0.1, *(write(2 + i, 1, bytes(100 + i % 3)) for i in range(7)))
    batches = kernel.poll_transmits()
    assert sum(map(len, batches)) == 4 * 8
    for batch in batches:
        if batch.packed is None:
            continue  # the pure kernel leaves it at tuples
        assert batch.packed.locals == tuple(locals_)
        records = list(RUN_RECORD.iter_unpack(batch.packed.records))
        assert len(records) == len(batch.runs)
        for run, (start, end, segment_bytes, port, version, local, address) in zip(batch.runs, records, strict=True):
            assert (run.start, run.end, run.segment_bytes) == (start, end, segment_bytes)
            assert run.local == locals_[local]
            text = {4: str(IPv4Address(address[:4])), 6: str(IPv6Address(address)), 0: "no address"}[version]
            assert run.remote == (text, port if version else 3)


def test_batches_stay_valid_after_later_ones(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(0, 1, bytes(1200)))
    kernel.switch(0.0, leg, stream, 0, 1)
    batches = kernel.poll_transmits()
    for number in range(1, 600):
        rig.publisher.send(0.1, write(number, 1, bytes(1200)))
        if number % 7 == 0:
            batches += kernel.poll_transmits()
    batches += kernel.poll_transmits()
    got = [peer.open(bytes(one.data)) for batch in batches for one in batch]
    assert len({id(batch.arena) for batch in batches}) > 1
    assert [one.number - got[0].number for one in got] == list(range(600))
    assert all(run.end - run.start <= 60000 for batch in batches for run in batch.runs)


def test_large_packets_pass(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer)
    kernel.inject_received(0.0, rig.publisher.session, [write(i, 1, bytes(9000)) for i in range(60)])
    kernel.switch(0.0, leg, stream, 0, 1)
    sizes = [len(data) for _, data in rig.datagrams()]
    assert sizes == [9000 + 12 + 16] * 60


def test_numbering_goes_on_when_an_ssrc_is_used_again(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer, rtx_ssrc=0xBBBB)
    with pytest.raises(LocalProtocolError):
        rig.leg(peer)
    rig.publisher.send(0.0, write(1, 1, b"x"))
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.retransmit(1.0, leg, [kernel.leg_stats(leg).last_sequence_number], 0.1)
    kernel.remove_leg(leg)
    leg = rig.leg(peer, rtx_ssrc=0xBBBB)
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.retransmit(2.0, leg, [kernel.leg_stats(leg).last_sequence_number], 0.1)
    first, repair, second, repair_2 = rig.received(peer)
    assert (second.number, repair_2.number) == (first.number + 1, repair.number + 1)


def test_leg_may_change_its_ssrcs_and_mode(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP8)
    peer = rig.subscriber()
    leg = rig.leg(peer, rtx_ssrc=0xBBBB)
    rig.publisher.send(0.0, write(1, 1, vp8(5, 1, 0, key=True, bits=7)))
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, ssrc=0xCCCC, rtx_ssrc=0xDDDD))
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, ssrc=0xCCCC))
    assert kernel.retransmit(1.0, leg, [kernel.leg_stats(leg).last_sequence_number], 0.1) == 1
    plain, rewritten = rig.datagrams()[:2]
    assert peer.open(plain[1]).ssrc == 0xAAAA
    got = peer.open(rewritten[1])
    assert (got.ssrc, vp8_format.parse(got.payload).picture_id_bits) == (0xCCCC, 15)
    with pytest.raises(LocalProtocolError):
        kernel.set_leg(leg, leg_spec(rig.subscriber()))


def test_closed_session_takes_its_streams_and_legs_along(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(1, 1, b"x"))
    kernel.switch(0.0, leg, stream, 1, 1)
    kernel.close_session(rig.publisher.session)
    for call in (lambda: kernel.stream_stats(stream), lambda: kernel.leg_stats(leg)):
        with pytest.raises(LocalProtocolError):
            call()
    other = rig.leg(peer)
    kernel.close_session(peer.session)
    with pytest.raises(LocalProtocolError):
        kernel.leg_stats(other)


def test_leg_to_the_publisher_s_own_session(kernel: Kernel) -> None:
    """Session and path may be shared by both directions."""
    rig = Rig(kernel)
    stream = rig.stream()
    leg = rig.leg(rig.publisher)
    rig.publisher.send(0.0, write(1, 1, b"echo"))
    kernel.switch(0.0, leg, stream, 1, 1)
    assert [one.payload for one in rig.received(rig.publisher)] == [b"echo"]
    kernel.close_session(rig.publisher.session)


def test_abs_capture_time_passes_under_the_target_s_id(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(extensions=ExtensionIds(abs_capture_time=4, audio_level=1))
    peer = rig.subscriber()
    leg = rig.leg(peer, extensions=ExtensionIds(abs_capture_time=9, transport_cc=3, abs_send_time=2))
    capture = bytes(range(8))
    rig.publisher.send(0.0, write(1, 1, b"a", extensions={4: capture, 1: b"\x05"}), write(2, 1, b"b"))
    kernel.switch(2.0, leg, stream, 1, 1)
    with_capture, without = rig.received(peer)
    assert with_capture.extensions == {9: capture, 3: b"\0\1", 2: (2 << 18).to_bytes(3, "big")}
    assert sorted(without.extensions) == [2, 3]


def test_ids_above_14_take_the_two_byte_form(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer, extensions=ExtensionIds(transport_cc=20))
    rig.publisher.send(0.0, write(1, 1, b"a"))
    kernel.switch(0.0, leg, stream, 1, 1)
    (got,) = rig.received(peer)
    assert (got.raw[12:14], got.extensions) == (b"\x10\x00", {20: b"\0\1"})


def test_late_joiner_is_authenticated_with_its_own_keys(kernel: Kernel) -> None:
    """A session cannot read another's datagrams."""
    rig = Rig(kernel)
    other = Peer(kernel, 99)
    kernel.ingest(0.0, other.session, [rig.publisher.protect(write(1, 1, b"x"))])
    assert kernel.poll_drops() == {DropReason.SRTP_AUTHENTICATION: 1}


def test_first_number_leaves_room_before_the_wrap(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    rig.publisher.send(0.0, write(1, 1, b"x"))
    for index in range(50):
        size = KEY_BYTES[GCM]
        session = kernel.open_session(GCM, bytes(size), bytes(range(size)))
        kernel.set_path(session, ("192.0.2.1", 1), ("192.0.2.9", index + 1))
        leg = kernel.add_leg(
            Leg(
                session=session, ssrc=5, payload_types={96: 96}, mode=LegMode.PLAIN, clock_rate=90000,
                extensions=ExtensionIds(),
            )
        )  # fmt: skip
        kernel.switch(0.0, leg, stream, 1, 1)
    numbers = set()
    for _, data in rig.datagrams():
        numbers.add(struct.unpack_from("!H", data, 2)[0])
    assert len(numbers) > 40
    assert max(numbers) < 1 << 15


def test_spec_with_history_of_one(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = kernel.add_stream(
        rig.publisher.session,
        StreamSpec(
            ssrc=0x1111, clock_rate=8000, is_audio=True, codecs={0: Codec.OPAQUE}, extensions=ExtensionIds(), history=1
        ),
    )
    rig.publisher.send(0.0, *(write(number, 1, b"x", payload_type=0) for number in range(100)))
    assert kernel.has_packet(stream, 0)
    assert not kernel.has_packet(stream, 100)
    assert not kernel.has_packet(stream, -1)
