"""VP8 legs: key frames seen, picture ids rewritten, temporal layers dropped."""

from __future__ import annotations

from rig import Peer, Rig, Vp8View, kinds, leg_spec, read_vp8, vp8, write

from sansio.kernel import Codec, Kernel, LegMode, NoticeKind

PATTERN = (0, 2, 1, 2)
"""Temporal ids of L1T3."""


def views(rig: Rig, peer: Peer) -> list[Vp8View]:
    return [read_vp8(one.payload) for one in rig.received(peer)]


class Camera:
    """Writes L1T3 pictures of two packets each."""

    def __init__(self, ssrc: int = 0x1111, number: int = 500, picture: int = 1000, bits: int = 15) -> None:
        self.ssrc, self.number, self.picture, self.bits = ssrc, number, picture, bits
        self.count, self.tl0, self.key_index, self.timestamp = 0, 40, 3, 90000

    def take(self, key: bool = False) -> list[bytes]:
        temporal = 0 if key else PATTERN[self.count % 4]
        if key:
            self.count = 0
            self.key_index += 1
        if temporal == 0:
            self.tl0 += 1
        out = []
        for start in (True, False):
            payload = vp8(
                self.picture, self.tl0, temporal, key_index=self.key_index, start=start, key=key and start,
                sync=self.count in (1, 2), bits=self.bits,
            )  # fmt: skip
            out.append(write(self.number, self.timestamp, payload, ssrc=self.ssrc, marker=not start))
            self.number += 1
        self.count += 1
        self.picture += 1
        self.timestamp += 3000
        return out


def watching(kernel: Kernel, camera: Camera, *, max_temporal: int = 7):  # type: ignore[no-untyped-def]
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP8, ssrc=camera.ssrc)
    kernel.watch_key_frames(stream, True)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.VP8, max_temporal=max_temporal)
    notices = rig.publisher.send(0.0, *camera.take(key=True))
    assert kinds(notices) == [NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME]
    key = notices[1]
    assert (key.position, key.width, key.height, key.timestamp) == (500, 640, 360, 90000)
    kernel.switch(0.0, leg, stream, key.position, 7000)
    return rig, stream, peer, leg


def test_pictures_keep_their_order_and_get_15_bits(kernel: Kernel) -> None:
    camera = Camera(picture=125, bits=7)
    rig, _, peer, _ = watching(kernel, camera)
    for _ in range(6):
        rig.publisher.send(0.1, *camera.take())
    got = views(rig, peer)
    first = got[0].picture
    assert [one.picture - first for one in got] == [i // 2 for i in range(14)]
    assert [one.temporal for one in got[::2]] == [0, 2, 1, 2, 0, 2, 1]


def test_temporal_layers_above_the_ceiling_leave_no_trace(kernel: Kernel) -> None:
    camera = Camera()
    rig, _, peer, leg = watching(kernel, camera, max_temporal=1)
    packets = [packet for _ in range(11) for packet in camera.take()]
    rig.publisher.send(0.1, *packets)
    raw = rig.received(peer)
    got = [read_vp8(one.payload) for one in raw]
    assert [one.number - raw[0].number for one in raw] == list(range(12))
    assert [one.picture - got[0].picture for one in got] == [i // 2 for i in range(12)]
    assert [one.temporal for one in got[::2]] == [0, 1, 0, 1, 0, 1]
    assert kernel.leg_stats(leg).dropped_packets == 12


def test_picture_after_a_gap_passes_whole(kernel: Kernel) -> None:
    camera = Camera()
    rig, _, peer, _ = watching(kernel, camera, max_temporal=0)
    lost = camera.take()
    rig.publisher.send(0.1, *camera.take(), *camera.take(), *camera.take())
    got = rig.received(peer)
    assert len(lost) == 2
    assert [one.number - got[0].number for one in got] == [0, 1, 4, 5, 6, 7]
    assert [read_vp8(one.payload).picture - read_vp8(got[0].payload).picture for one in got] == [0, 0, 2, 2, 3, 3]
    # The lost picture comes late and takes the place that was kept for it.
    rig.publisher.send(0.2, *lost)
    late = rig.received(peer)
    assert [one.number - got[0].number for one in late] == [2, 3]
    assert [read_vp8(one.payload).picture - read_vp8(got[0].payload).picture for one in late] == [1, 1]


def test_ceiling_rises_at_layer_sync(kernel: Kernel) -> None:
    camera = Camera()
    rig, _, peer, leg = watching(kernel, camera, max_temporal=0)
    for _ in range(7):
        rig.publisher.send(0.1, *camera.take())
    kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, max_temporal=2))
    rig.publisher.send(0.2, *camera.take(key=True))
    for _ in range(4):
        rig.publisher.send(0.3, *camera.take())
    assert [one.temporal for one in views(rig, peer)[::2]] == [0, 0, 0, 2, 1, 2, 0]


def test_switch_of_source_continues_all_numbers(kernel: Kernel) -> None:
    low, high = Camera(), Camera(ssrc=0x2222, number=60000, picture=32700)
    rig, _, peer, leg = watching(kernel, low)
    other = rig.stream(Codec.VP8, ssrc=0x2222)
    kernel.watch_key_frames(other, True)
    for _ in range(3):
        rig.publisher.send(0.1, *low.take())
    _, key = rig.publisher.send(0.2, *high.take(key=True))
    kernel.switch(0.2, leg, other, key.position, 30000)
    rig.publisher.send(0.3, *low.take(), *high.take())
    raw = rig.received(peer)
    got = [read_vp8(one.payload) for one in raw]
    assert [one.number - raw[0].number for one in raw] == list(range(12))
    assert [one.picture - got[0].picture for one in got[::2]] == [0, 1, 2, 3, 4, 5]
    assert [one.tl0 - got[0].tl0 for one in got[::2]] == [0, 0, 0, 0, 1, 1]
    assert [one.key_index - got[0].key_index for one in got[::2]] == [0, 0, 0, 0, 1, 1]
    assert raw[8].timestamp == 30000


def test_answer_to_a_nack_has_the_rewritten_descriptor(kernel: Kernel) -> None:
    camera = Camera(picture=20, bits=7)
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP8)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.VP8, rtx_ssrc=0xBBBB, max_temporal=0)
    rig.publisher.send(0.0, *camera.take(key=True))
    kernel.switch(0.0, leg, stream, 500, 1)
    for _ in range(4):
        rig.publisher.send(0.1, *camera.take())
    sent = rig.received(peer)
    assert kernel.retransmit(1.0, leg, [sent[-1].number], 0.1) == 1
    (again,) = rig.received(peer)
    assert again.payload[2:] == sent[-1].payload


def test_blank_picture_of_our_own_fits_in(kernel: Kernel) -> None:
    camera = Camera()
    rig, _, peer, leg = watching(kernel, camera)
    kernel.inject(0.1, leg, vp8(0, 0, 0, key=True), timestamp_step=3000, marker=True)
    rig.publisher.send(0.2, *camera.take())
    raw = rig.received(peer)
    got = [read_vp8(one.payload) for one in raw]
    assert [one.number - raw[0].number for one in raw] == [0, 1, 2, 3, 4]
    assert [one.picture - got[0].picture for one in got] == [0, 0, 1, 2, 2]
    assert [one.tl0 - got[0].tl0 for one in got] == [0, 0, 1, 1, 1]
