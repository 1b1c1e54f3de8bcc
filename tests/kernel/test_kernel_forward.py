"""Plain legs: numbering, timestamps, switches, padding, late packets, pauses."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rig import GCM, Rig, kinds, leg_spec, write

from sansio.errors import DropReason, LocalProtocolError
from sansio.kernel import Kernel, LegMode, NoticeKind, SrtpProfile


def started(kernel: Kernel, profile: SrtpProfile = GCM, mode: LegMode = LegMode.PLAIN):  # type: ignore[no-untyped-def]
    """A rig whose one leg follows its one stream from number 100, timestamp 1000 on; that packet is delivered."""
    rig = Rig(kernel, profile)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer, mode)
    notices = rig.publisher.send(0.0, write(100, 1000, b"first"))
    assert kinds(notices) == [NoticeKind.FIRST_PACKET]
    kernel.switch(0.0, leg, stream, notices[0].position, 5000)
    (first,) = rig.received(peer)
    return rig, stream, peer, leg, first


@pytest.mark.parametrize("profile", list(SrtpProfile), ids=lambda one: one.name)
def test_packet_is_rewritten_and_protected_for_the_subscriber(kernel: Kernel, profile: SrtpProfile) -> None:
    rig, _, peer, _, first = started(kernel, profile)
    assert (first.ssrc, first.payload_type, first.timestamp, first.payload) == (0xAAAA, 106, 5000, b"first")
    assert first.number < 1 << 15
    rig.publisher.send(0.02, write(101, 1960, b"second", marker=True), write(102, 2920, b"third"))
    second, third = rig.received(peer)
    assert (second.number, second.timestamp, second.marker) == (first.number + 1, 5960, 1)
    assert (third.number, third.timestamp, third.marker) == (first.number + 2, 6920, 0)


def test_padding_only_packet_leaves_no_hole(kernel: Kernel) -> None:
    rig, _, peer, _, first = started(kernel)
    rig.publisher.send(0.02, write(101, 1000, b"", padding=200), write(102, 1960, b"next"))
    (following,) = rig.received(peer)
    assert (following.number, following.payload) == (first.number + 1, b"next")


def test_padding_only_packet_after_a_gap_becomes_an_empty_packet(kernel: Kernel) -> None:
    rig, _, peer, _, first = started(kernel)
    rig.publisher.send(0.02, write(102, 1000, b"", padding=20), write(103, 1960, b"next"))
    filler, following = rig.received(peer)
    assert (filler.number, filler.payload, filler.padding) == (first.number + 2, b"", 0)
    assert following.number == first.number + 3


def test_gap_is_forwarded_and_filled_by_the_late_packet(kernel: Kernel) -> None:
    rig, stream, peer, _, first = started(kernel)
    notices = rig.publisher.send(0.02, write(103, 3000, b"d"))
    assert [(one.kind, one.stream, one.position, one.missing) for one in notices] == [(NoticeKind.GAP, stream, 101, 2)]
    rig.publisher.send(0.03, write(102, 2000, b"c"), write(101, 1500, b"b"))
    got = rig.received(peer)
    assert [(one.number - first.number, one.timestamp, one.payload) for one in got] == [
        (3, 7000, b"d"), (2, 6000, b"c"), (1, 5500, b"b"),
    ]  # fmt: skip


def test_late_packet_uses_the_offset_valid_at_its_number(kernel: Kernel) -> None:
    rig, _, peer, _, first = started(kernel)
    rig.publisher.send(0.02, write(102, 1000, b"c"), write(103, 1000, b"", padding=9), write(104, 1000, b"e"))
    rig.publisher.send(0.03, write(101, 1000, b"b"))
    assert [(one.number - first.number, one.payload) for one in rig.received(peer)] == [(2, b"c"), (3, b"e"), (1, b"b")]


def test_switch_goes_on_with_the_next_number_and_drops_what_is_older(kernel: Kernel) -> None:
    rig, _, peer, leg, first = started(kernel)
    other = rig.stream(ssrc=0x2222)
    (notice,) = rig.publisher.send(0.02, write(7000, 90, b"x", ssrc=0x2222), write(7001, 180, b"y", ssrc=0x2222))
    kernel.switch(0.03, leg, other, notice.position, 5003)
    rig.publisher.send(0.04, write(101, 1960, b"old"), write(6999, 45, b"late", ssrc=0x2222))
    rig.publisher.send(0.05, write(7002, 270, b"z", ssrc=0x2222))
    got = rig.received(peer)
    assert [(one.number - first.number, one.timestamp, one.payload) for one in got] == [
        (1, 5003, b"x"), (2, 5093, b"y"), (3, 5183, b"z"),
    ]  # fmt: skip
    assert kernel.leg_stats(leg).stream == other


def test_replayed_datagram_is_dropped(kernel: Kernel) -> None:
    rig, _, peer, _, _ = started(kernel)
    data = rig.publisher.protect(write(101, 1960, b"x"))
    kernel.ingest(0.1, rig.publisher.session, [data, data])
    assert len(rig.received(peer)) == 1
    assert kernel.poll_drops() == {DropReason.SRTP_REPLAY: 1}


def test_pause_leaves_no_hole_and_keeps_timing(kernel: Kernel) -> None:
    rig, _, peer, leg, first = started(kernel)
    kernel.set_leg(leg, leg_spec(peer, paused=True))
    rig.publisher.send(0.02, write(101, 1960, b"x"), write(102, 2920, b"y"))
    assert rig.received(peer) == []
    kernel.set_leg(leg, leg_spec(peer))
    rig.publisher.send(0.06, write(103, 3880, b"z"), write(102, 2920, b"y"))
    (got,) = rig.received(peer)
    assert (got.number, got.timestamp, got.payload) == (first.number + 1, 7880, b"z")


def test_sequence_numbers_wrap(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    peer = rig.subscriber()
    leg = rig.leg(peer)
    kernel.switch(0.0, leg, stream, 65000, 77)
    count = 70000
    got = []
    for start in range(0, count, 500):
        packets = [write(65000 + i, (2**32 - 100) + i, b"%d" % i) for i in range(start, start + 500)]
        rig.publisher.send(start / 1000, *packets)
        got += rig.received(peer)
    assert [one.payload for one in got] == [b"%d" % i for i in range(count)]
    assert {(b.number - a.number) & 0xFFFF for a, b in pairwise(got)} == {1}
    stats = kernel.stream_stats(stream)
    assert (stats.expected, stats.received, stats.highest_position) == (count, count, 65000 + count - 1)
    assert kernel.leg_stats(leg).last_timestamp == 77 + count - 1


def test_unknown_payload_type_is_closed_up(kernel: Kernel) -> None:
    rig, _, peer, _, first = started(kernel)
    rig.publisher.send(0.02, write(101, 1000, b"dtmf", payload_type=126), write(102, 1960, b"next"))
    (following,) = rig.received(peer)
    assert (following.number, following.payload) == (first.number + 1, b"next")


def test_injected_frame_takes_the_next_number(kernel: Kernel) -> None:
    rig, _, peer, leg, first = started(kernel)
    kernel.inject(0.02, leg, b"silence", timestamp_step=960, marker=True)
    kernel.inject(0.03, leg, b"", timestamp_step=0, padding=100)
    rig.publisher.send(0.04, write(101, 4000, b"next"))
    silence, padding, following = rig.received(peer)
    assert (silence.number, silence.timestamp, silence.marker) == (first.number + 1, 5960, 1)
    assert (padding.number, padding.padding, padding.payload) == (first.number + 2, 100, b"")
    assert (following.number, following.timestamp) == (first.number + 3, 8000)


def test_without_a_path_nothing_is_sent(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream()
    session = kernel.open_session(GCM, bytes(28), bytes(range(28)))
    peer = rig.subscriber()
    peer.session = session
    leg = rig.leg(peer)
    rig.publisher.send(0.0, write(1, 1, b"x"))
    kernel.switch(0.0, leg, stream, 1, 1)
    assert kernel.poll_transmits() == []


def test_slots_are_checked(kernel: Kernel) -> None:
    for call in (
        lambda: kernel.close_session(9), lambda: kernel.remove_stream(9), lambda: kernel.remove_leg(9),
        lambda: kernel.leg_stats(9), lambda: kernel.stream_stats(9), lambda: kernel.take_arrivals(9),
    ):  # fmt: skip
        with pytest.raises(LocalProtocolError):
            call()
