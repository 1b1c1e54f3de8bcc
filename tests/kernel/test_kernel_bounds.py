"""Long runs, corners of legs, and state that must stay bounded."""

from __future__ import annotations

import struct

import attrs
import pytest
from rig import Peer, Rig, Rtp, leg_spec, read_vp8, vp8, write

from sansio.errors import DropReason, LocalProtocolError
from sansio.kernel import Codec, ExtensionIds, Kernel, LegMode, NoticeKind
from sansio.rtp import Structure, dependency_descriptor
from sansio.rtp.dependency_descriptor import Template


def following(kernel: Kernel, mode: LegMode = LegMode.PLAIN, **leg_fields: object) -> tuple[Rig, int, Peer, int]:
    """A leg that follows a stream from number 1 on."""
    rig = Rig(kernel)
    codec = Codec.VP8 if mode is LegMode.VP8 else Codec.OPAQUE
    stream = rig.stream(codec, extensions=ExtensionIds(abs_capture_time=4))
    peer = rig.subscriber()
    leg = rig.leg(peer, mode, **leg_fields)  # type: ignore[arg-type]
    payload = vp8(1, 1, 0, key=True) if mode is LegMode.VP8 else b"first"
    rig.publisher.send(0.0, write(1, 1, payload))
    kernel.switch(0.0, leg, stream, 1, 1)
    return rig, stream, peer, leg


def pictures(got: list[Rtp]) -> list[tuple[int, int]]:
    """Number and picture id by step from the first, of what is not empty."""
    views = [(one.number, read_vp8(one.payload).picture) for one in got if one.payload]
    return [(number - views[0][0], picture - views[0][1]) for number, picture in views]


@pytest.mark.parametrize("stamp", [0, 2])
@pytest.mark.parametrize("transport", [0, 3])
@pytest.mark.parametrize("capture", [False, True])
def test_every_layout_of_extensions_is_repeated_byte_for_byte(
    kernel: Kernel, stamp: int, transport: int, capture: bool
) -> None:
    ids = ExtensionIds(abs_send_time=stamp, transport_cc=transport, abs_capture_time=9)
    rig, _, peer, leg = following(kernel, extensions=ids)
    extensions = {4: bytes(8)} if capture else None
    rig.publisher.send(1.5, write(2, 1, b"x", extensions=extensions))
    _, (_, data) = rig.datagrams()
    got = peer.open(data)
    assert set(got.extensions) == {one for one in (stamp, transport, 9 if capture else 0) if one}
    kernel.inject(1.6, leg, b"later", timestamp_step=1)
    rig.datagrams()
    assert kernel.retransmit(3.0, leg, [got.number], 0.1) == 1
    assert [again for _, again in rig.datagrams()] == [data]


def test_ceiling_rises_by_one_layer_at_a_sync_picture(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, LegMode.VP8, max_temporal=0)
    kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, max_temporal=2))
    order = [(2, True), (1, False), (2, True), (0, False), (1, True), (2, False), (1, False), (2, True), (2, False)]
    for index, (temporal, sync) in enumerate(order):
        rig.publisher.send(0.1, write(2 + index, 3000 * index, vp8(2 + index, 1, temporal, sync=sync)))
    assert [read_vp8(one.payload).temporal for one in rig.received(peer)] == [0, 0, 1, 1, 2, 2]
    assert kernel.leg_stats(leg).temporal == 2


def test_ceiling_rises_after_many_pictures_without_sync(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, LegMode.VP8, max_temporal=0)
    kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, max_temporal=1))
    for index in range(300):
        rig.publisher.send(0.1, write(2 + index, 3000 * index, vp8(2 + index, 1, index % 2)))
    temporals = [read_vp8(one.payload).temporal for one in rig.received(peer)]
    assert temporals[:60] == [0] * 60
    assert temporals[-4:] == [0, 1, 0, 1]


def test_long_run_of_temporal_drops_stays_gapless(kernel: Kernel) -> None:
    rig, _, peer, _ = following(kernel, LegMode.VP8, max_temporal=0)
    got = []
    for index in range(1000):
        rig.publisher.send(index / 30, write(2 + index, 3000 * index, vp8(2 + index, 1, 0 if index % 4 == 3 else 2)))
        got += rig.received(peer)
    assert pictures(got) == [(i, i) for i in range(251)]


def test_rest_of_a_dropped_picture_that_shows_a_gap_is_replaced(kernel: Kernel) -> None:
    rig, _, peer, _ = following(kernel, LegMode.VP8, max_temporal=0)
    # Picture 2 has three packets and is dropped; the second is lost, and comes late.
    parts = [write(2 + i, 3000, vp8(2, 1, 2, start=i == 0)) for i in range(3)]
    rig.publisher.send(0.1, parts[0], parts[2], write(5, 6000, vp8(3, 2, 0)))
    rig.publisher.send(0.2, parts[1])
    got = rig.received(peer)
    assert [one.number - got[0].number for one in got] == [0, 2, 3, 1]
    assert [bool(one.payload) for one in got] == [True, False, True, False]
    assert pictures(got) == [(0, 0), (3, 1)]


def test_vp8_without_picture_ids_is_cut_all_the_same(kernel: Kernel) -> None:
    rig, _, peer, _ = following(kernel, LegMode.VP8, max_temporal=0)
    short = [bytes((0x90, 0x20, temporal << 6)) + b"\x01x" for temporal in (2, 2, 0)]
    rig.publisher.send(0.1, *(write(2 + i, 3000 * (i + 1), payload) for i, payload in enumerate(short)))
    rig.publisher.send(0.2, write(5, 12000, b"\x10\x01bare"), write(6, 12000, b"\x90"))
    got = rig.received(peer)
    assert [one.number - got[0].number for one in got] == [0, 1, 2]
    assert [one.payload for one in got[1:]] == [short[2], b"\x10\x01bare"]


def test_inject_of_what_is_not_vp8_passes_as_it_is(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, LegMode.VP8)
    kernel.inject(0.1, leg, b"\x90", timestamp_step=1)
    assert rig.received(peer)[1].payload == b"\x90"


def test_first_frame_of_our_own_starts_a_leg(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP8)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.VP8)
    kernel.inject(0.0, leg, vp8(7, 1, 0, key=True), timestamp_step=3000, payload_type=99)
    rig.publisher.send(0.1, write(1, 1, vp8(500, 9, 0, key=True)))
    kernel.switch(0.1, leg, stream, 1, kernel.leg_stats(leg).last_timestamp + 9000)
    own, first = rig.received(peer)
    assert (own.payload_type, first.number - own.number, first.timestamp - own.timestamp) == (99, 1, 9000)
    assert pictures([own, first]) == [(0, 0), (1, 1)]


def test_misuse_of_inject_is_refused(kernel: Kernel) -> None:
    _, _, _, leg = following(kernel)
    with pytest.raises(LocalProtocolError):
        kernel.inject(0.1, leg, b"", timestamp_step=0, padding=256)


def test_nothing_leaves_without_a_path(kernel: Kernel) -> None:
    rig = Rig(kernel)
    peer = rig.subscriber()
    peer.session = kernel.open_session(rig.profile, bytes(28), bytes(range(28)))
    for index, mode in enumerate(LegMode, 1):
        stream = rig.stream(Codec.VP8, ssrc=100 + index)
        leg = rig.leg(peer, mode, ssrc=200 + index)
        rig.publisher.send(0.0, write(1, 1, vp8(1, 1, 0, key=True), ssrc=100 + index))
        kernel.switch(0.0, leg, stream, 1, 1)
        kernel.inject(0.0, leg, b"x", timestamp_step=1)
        assert kernel.retransmit(1.0, leg, [1], 0.1) == 0
        assert not kernel.leg_stats(leg).started
        kernel.set_leg(leg, leg_spec(peer, mode, ssrc=200 + index, paused=True))
        kernel.remove_leg(leg)
    assert kernel.poll_transmits() == []


def test_pause_and_resume_keep_pictures_in_order(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, LegMode.VP8)
    for index in range(1, 10):
        kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, paused=3 <= index <= 6))
        rig.publisher.send(index / 30, write(1 + index, 3000 * index, vp8(1 + index, 1, 0)))
    assert pictures(rig.received(peer)) == [(i, i) for i in range(6)]


def test_gap_too_long_to_repair_is_closed(kernel: Kernel) -> None:
    rig, _, peer, _ = following(kernel)
    rig.publisher.send(0.1, write(2, 2, b"a"), write(2900, 3, b"b"), write(2899, 3, b"late"), write(2901, 4, b"c"))
    got = rig.received(peer)
    assert [one.number - got[0].number for one in got] == [0, 1, 2, 3]
    assert [one.payload for one in got] == [b"first", b"a", b"b", b"c"]


def test_many_repairs_are_remembered_within_bounds(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, rtx_ssrc=0xBBBB)
    for index in range(2, 1800):
        rig.publisher.send(index / 100, write(index, index, b"x"))
        last = kernel.leg_stats(leg).last_sequence_number
        assert kernel.retransmit(index / 100 + 1, leg, [last & 0xFFFF], 0.0) == 1
        if index % 100 == 0:
            rig.received(peer)
    assert kernel.retransmit(100.0, leg, [(last - 199) & 0xFFFF, (last - 512) & 0xFFFF], 0.0) == 1


def test_what_was_sent_is_forgotten_after_some_seconds(kernel: Kernel) -> None:
    rig, _, peer, leg = following(kernel, rtx_ssrc=0xBBBB)
    for index in range(2, 100):
        rig.publisher.send(index / 10, write(index, index, b"x"))
        last = kernel.leg_stats(leg).last_sequence_number
        for age, count in ((19, 1), (41, 0)):
            numbers = [(last - age) & 0xFFFF] if index > 42 else []
            assert kernel.retransmit(index / 10, leg, numbers, 0.0) == (count if numbers else 0)
    assert rig.received(peer)


def test_packets_to_start_from_are_forgotten_after_some_seconds(kernel: Kernel) -> None:
    rig, stream, peer, leg = following(kernel)
    for index in range(2, 100):
        rig.publisher.send(index / 10, write(index, index, b"x"))
    rig.received(peer)
    kernel.switch(10.0, leg, stream, 1, 5000)
    assert 10 <= len(rig.received(peer)) <= 20


def test_many_legs_come_and_go(kernel: Kernel) -> None:
    rig, stream, peer, _ = following(kernel)
    for index in range(200):
        leg = rig.leg(peer, ssrc=1000 + index, rtx_ssrc=5000 + index)
        kernel.switch(index / 10, leg, stream, 1, 1)
        kernel.remove_leg(leg)
    assert [one.ssrc for one in rig.received(peer)] == [0xAAAA, *range(1000, 1200)]


def test_oversized_datagrams_are_dropped(kernel: Kernel) -> None:
    rig, _, _, _ = following(kernel)
    assert kernel.ingest(0.0, rig.publisher.session, [b"\x80\x60" + bytes(70000)]) == []
    assert len(kernel.poll_drops()) == 1


def test_too_many_bound_ssrcs_shut_out_unknown_ones(kernel: Kernel) -> None:
    rig = Rig(kernel)
    for ssrc in range(1, 258):
        rig.stream(ssrc=ssrc)
        rig.publisher.send(0.0, write(1, 1, b"x", ssrc=ssrc))
    assert rig.publisher.send(0.0, write(1, 1, b"x", ssrc=9999)) == []
    report = struct.pack("!BBHI", 0x80, 201, 1, 8888)
    session = rig.publisher.session
    assert kernel.ingest(0.0, session, [bytes(rig.publisher.outbound.protect_rtcp(report))]) == []
    assert sum(kernel.poll_drops().values()) >= 2


def test_av1_key_frame_is_seen_in_the_payload(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.AV1)
    kernel.watch_key_frames(stream, True)
    # One sequence header OBU and a shown key frame, new coded video sequence.
    payload = bytes((0x28, 3, 0x08, 0x00, 0x00, 0x30, 0x10, 0x00))
    kinds = [notice.kind for notice in rig.publisher.send(0.0, write(1, 1, payload), write(2, 2, b"\x10\x30\x10"))]
    assert kinds == [NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME]


def test_playout_delay_is_written_while_it_is_set(kernel: Kernel) -> None:
    ids = ExtensionIds(playout_delay=7, transport_cc=3)
    rig, _, peer, leg = following(kernel, extensions=ids)
    spec = leg_spec(peer, extensions=ids)
    kernel.set_leg(leg, attrs.evolve(spec, playout_delay_ms=(100, 400)))
    rig.publisher.send(0.1, write(2, 1, b"x"))
    kernel.set_leg(leg, spec)
    rig.publisher.send(0.1, write(3, 1, b"x"))
    found = [one.extensions.get(7) for one in rig.received(peer)]
    assert found == [None, (10 << 12 | 40).to_bytes(3, "big"), None]


def test_contexts_of_malformed_packets_are_bounded_too(kernel: Kernel) -> None:
    rig = Rig(kernel)
    lying = [rig.publisher.protect(b"\xa0" + write(1, 1, b"\xff", ssrc=ssrc)[1:]) for ssrc in range(1, 300)]
    kernel.ingest(0.0, rig.publisher.session, lying)
    assert kernel.poll_drops() == {DropReason.RTP_MALFORMED: 299}
    kernel.ingest(0.0, rig.publisher.session, [lying[0], lying[-1]])
    # The oldest context is gone, and with it the memory of its packets.
    assert kernel.poll_drops() == {DropReason.RTP_MALFORMED: 1, DropReason.SRTP_REPLAY: 1}


def test_descriptor_that_would_outgrow_its_extension_goes_on_as_it_came(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.AV1, extensions=ExtensionIds(dependency_descriptor=5))
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.SVC, extensions=ExtensionIds(dependency_descriptor=6), max_spatial=0)
    templates = (Template(0, 0, (2, 2), (), ()), Template(1, 0, (0, 2), (1,), ()))
    structure = Structure(template_id_offset=0, decode_targets=2, templates=templates)
    sizes = []
    for number in range(1, 4):
        raw = dependency_descriptor.encode(
            structure, template=0, frame_number=number, start_of_frame=True, end_of_frame=True, attach=number == 1,
            frame_diffs=None if number < 3 else [1] * 333 + [17],
        )  # fmt: skip
        notices = rig.publisher.send(0.1, write(number, 1, b"frame", extensions={5: raw}, two_byte=True))
        if number == 1:
            kernel.switch(0.1, leg, stream, notices[0].position, 1)
        sizes.append(len(raw))
    assert sizes[2] == 255
    assert [len(one.extensions[6]) for one in rig.received(peer)] == [sizes[0], sizes[1] + 1, 255]
