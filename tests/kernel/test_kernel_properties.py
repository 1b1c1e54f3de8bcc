"""Properties: nothing raises for remote bytes, numbering is gapless, an index is never used for two packets, and what one
kernel sends another receives."""

from __future__ import annotations

from itertools import pairwise

from conftest import MakeKernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import GCM, Rig, leg_spec, read_vp8, vp8, write

from sansio.kernel import Codec, ExtensionIds, Kernel, Leg, LegMode, NoticeKind, StreamSpec

bounded = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

IDS = ExtensionIds(
    audio_level=1, transport_cc=2, abs_send_time=3, abs_capture_time=4, dependency_descriptor=5, mid=6, mixed=True
)
MODES = {
    Codec.OPAQUE: LegMode.PLAIN,
    Codec.OPUS: LegMode.OPUS_TO_RED,
    Codec.RED: LegMode.RED_TO_OPUS,
    Codec.VP8: LegMode.VP8,
    Codec.VP9: LegMode.SVC,
    Codec.H264: LegMode.PLAIN,
    Codec.H265: LegMode.PLAIN,
    Codec.AV1: LegMode.SVC,
}


class Everything:
    """A stream and a leg for each codec: SSRCs 1, 2, ..., RTX 101, 102, ..., payload types 96 and RTX 97."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.rig = Rig(kernel)
        self.peer = self.rig.subscriber()
        self.streams: dict[int, int] = {}
        self.legs: dict[int, int] = {}
        self.waiting = set()
        for index, (codec, mode) in enumerate(MODES.items(), 1):
            stream = kernel.add_stream(
                self.rig.publisher.session,
                StreamSpec(
                    ssrc=index, clock_rate=48000, is_audio=True, codecs={96: codec, 98: Codec.OPAQUE},
                    extensions=IDS, rtx_ssrc=100 + index, rtx_payload_types={97: 96}, history=64,
                ),
            )  # fmt: skip
            kernel.watch_key_frames(stream, True)
            self.streams[index] = stream
            self.legs[stream] = kernel.add_leg(
                Leg(
                    session=self.peer.session, ssrc=1000 + index, payload_types={96: 106, 98: 108}, mode=mode,
                    clock_rate=48000, extensions=IDS, max_spatial=1, max_temporal=1, red_payload_type=110,
                    rtx_ssrc=2000 + index, rtx_payload_types={106: 107},
                )
            )  # fmt: skip
            self.waiting.add(stream)

    def send(self, now: float, packets: list[bytes]) -> None:
        for notice in self.rig.publisher.send(now, *packets):
            if notice.kind in (NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME) and notice.stream in self.waiting:
                self.waiting.discard(notice.stream)
                self.kernel.switch(now, self.legs[notice.stream], notice.stream, notice.position, 5)


payloads = st.one_of(
    st.binary(max_size=40),
    st.builds(
        vp8,
        st.integers(0, 40000), st.integers(0, 255), st.integers(0, 3),
        key=st.booleans(), start=st.booleans(), bits=st.sampled_from((7, 15)), body=st.binary(max_size=5),
    ),
)  # fmt: skip
extension_maps = st.dictionaries(st.integers(1, 7), st.binary(min_size=1, max_size=16), max_size=4)
rtp_packets = st.builds(
    write,
    st.integers(65500, 65600), st.integers(0, 2**32 - 1), payloads,
    ssrc=st.sampled_from([*range(len(MODES) + 2), *range(101, 103 + len(MODES))]),
    payload_type=st.sampled_from((96, 97, 98, 99)), marker=st.booleans(), extensions=extension_maps,
    padding=st.integers(0, 3), csrcs=st.integers(0, 2),
)  # fmt: skip


@bounded
@given(datagrams=st.lists(st.binary(max_size=80), max_size=10), seed=st.integers(0, 99))
def test_no_datagram_raises(make_kernel: MakeKernel, datagrams: list[bytes], seed: int) -> None:
    everything = Everything(make_kernel(seed))
    session = everything.rig.publisher.session
    everything.kernel.ingest(1.0, session, datagrams)
    everything.kernel.ingest(1.0, session, [b"\x80" + one for one in datagrams])
    everything.kernel.inject_received(1.0, session, datagrams)
    everything.kernel.inject_received(1.0, session, [b"\x90\x60\0\1\0\0\0\1\0\0\0\1" + one for one in datagrams])


@bounded
@given(bursts=st.lists(st.lists(rtp_packets, min_size=1, max_size=6), max_size=12))
def test_no_authentic_packet_raises_and_no_index_is_used_twice(
    make_kernel: MakeKernel, bursts: list[list[bytes]]
) -> None:
    everything = Everything(make_kernel(3))
    kernel = everything.kernel
    seen: dict[tuple[int, int], bytes] = {}
    for step, burst in enumerate(bursts):
        everything.send(step / 10, burst)
        for leg in everything.legs.values():
            kernel.retransmit(step / 10 + 0.05, leg, list(range(0, 1 << 15, 1 << 10)), 0.0)
        for one in everything.rig.received(everything.peer):
            assert seen.setdefault((one.ssrc, one.number), one.raw) == one.raw
    for stream, leg in everything.legs.items():
        kernel.stream_stats(stream)
        kernel.leg_stats(leg)
        kernel.take_audio_level(stream, 40)


class Camera:
    """L1T3 pictures of one to three packets, without gaps; now and then padding."""

    def __init__(self, ssrc: int, number: int, picture: int) -> None:
        self.ssrc, self.number, self.picture = ssrc, number, picture
        self.tl0 = self.key_index = 0
        self.timestamp = 1000
        self.count = 0

    def take(self, packets: int, *, key: bool = False) -> list[bytes]:
        temporal = 0 if key else (0, 2, 1, 2)[self.count % 4]
        self.count = 0 if key else self.count
        self.key_index += key
        self.tl0 += temporal == 0
        out = []
        for index in range(packets):
            payload = vp8(
                self.picture, self.tl0, temporal, key_index=self.key_index, start=index == 0, key=key and index == 0,
                sync=self.count in (1, 2), body=b"%d/%d" % (self.ssrc, self.number),
            )  # fmt: skip
            out.append(write(self.number, self.timestamp, payload, ssrc=self.ssrc, marker=index == packets - 1))
            self.number += 1
        self.picture += 1
        self.count += 1
        self.timestamp += 3000
        return out

    def pad(self) -> bytes:
        packet = write(self.number, self.timestamp, b"", ssrc=self.ssrc, padding=50)
        self.number += 1
        return packet


operations = st.lists(
    st.one_of(
        st.tuples(st.just("picture"), st.integers(1, 3)),
        st.tuples(st.just("padding"), st.just(0)),
        st.tuples(st.just("switch"), st.integers(0, 1)),
        st.tuples(st.just("ceiling"), st.integers(0, 2)),
        st.tuples(st.just("pause"), st.integers(0, 1)),
        st.tuples(st.just("inject"), st.just(0)),
        st.tuples(st.just("blank"), st.just(0)),
    ),
    max_size=40,
)


@bounded
@given(steps=operations, starts=st.tuples(st.integers(65400, 65535), st.integers(0, 65535)))
def test_output_is_gapless_for_gapless_input(
    make_kernel: MakeKernel, steps: list[tuple[str, int]], starts: tuple[int, int]
) -> None:
    kernel = make_kernel(5)
    rig = Rig(kernel)
    cameras = [Camera(0x1111, starts[0], 32760), Camera(0x2222, starts[1], 90)]
    streams = [rig.stream(Codec.VP8, ssrc=camera.ssrc) for camera in cameras]
    for stream in streams:
        kernel.watch_key_frames(stream, True)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.VP8)
    ceiling, paused, timestamp = 7, False, 0

    def switch(to: int) -> None:
        nonlocal timestamp
        timestamp = max(timestamp, kernel.leg_stats(leg).last_timestamp) + 3000
        key = rig.publisher.send(0.0, *cameras[to].take(2, key=True))[-1]
        assert key.kind is NoticeKind.KEY_FRAME
        kernel.switch(0.0, leg, streams[to], key.position, timestamp)

    switch(0)
    for step, (kind, value) in enumerate(steps):
        now = step / 30
        match kind:
            case "picture":
                for camera in cameras:
                    rig.publisher.send(now, *camera.take(value))
            case "padding":
                rig.publisher.send(now, *(camera.pad() for camera in cameras))
            case "switch":
                switch(value)
            case "inject":
                kernel.inject(now, leg, b"", timestamp_step=0, padding=20)
            case "blank":
                kernel.inject(now, leg, vp8(0, 0, 0, key=True), timestamp_step=1)
            case _:
                ceiling, paused = (value, paused) if kind == "ceiling" else (ceiling, bool(value))
                kernel.set_leg(leg, leg_spec(peer, LegMode.VP8, max_temporal=ceiling, paused=paused))
    got = rig.received(peer)
    assert [one.number - got[0].number & 0xFFFF for one in got] == [i & 0xFFFF for i in range(len(got))]
    pictures = [read_vp8(one.payload) for one in got if one.payload]
    for before, after in pairwise(pictures):
        assert after.picture - before.picture & 0x7FFF == (1 if after.start else 0)
        assert after.tl0 - before.tl0 & 0xFF in (0, 1)


@bounded
@given(data=st.data(), mode=st.sampled_from((LegMode.PLAIN, LegMode.VP8)))
def test_order_of_numbers_is_the_order_of_the_source(
    make_kernel: MakeKernel, data: st.DataObject, mode: LegMode
) -> None:
    kernel = make_kernel(6)
    rig = Rig(kernel)
    camera = Camera(0x1111, 65500, 100)
    stream = rig.stream(Codec.VP8)
    peer = rig.subscriber()
    leg = rig.leg(peer, mode, max_temporal=data.draw(st.integers(0, 2)))
    key = camera.take(2, key=True)
    sent = list(key)
    for _ in range(20):
        sent += [camera.pad()] if data.draw(st.integers(0, 5)) == 0 else camera.take(data.draw(st.integers(1, 3)))
    rig.publisher.send(0.0, *key)
    kernel.switch(0.0, leg, stream, 65500, 9)
    # Lost, reordered and repeated packets, in bursts.
    rest = [one for one in sent[2:] for _ in range(data.draw(st.sampled_from((0, 1, 1, 1, 1, 2))))]
    keys = [index + data.draw(st.sampled_from((0, 0, 0, 3, 8))) for index in range(len(rest))]
    mixed = [packet for _, _, packet in sorted(zip(keys, range(len(rest)), rest, strict=True), key=lambda one: one[:2])]
    while mixed:
        size = data.draw(st.integers(1, 6))
        kernel.inject_received(0.1, rig.publisher.session, mixed[:size])
        mixed = mixed[size:]
    got = rig.received(peer)
    numbers = {one.number: one for one in got}
    assert len(numbers) == len(got)
    order = {read_body(packet): index for index, packet in enumerate(sent)}
    media = sorted((one for one in got if one.payload), key=lambda one: one.number - got[0].number & 0xFFFF)
    places = [order[read_body(one.raw)] for one in media]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def read_body(packet: bytes) -> bytes:
    """What marks a packet of a Camera; empty for padding."""
    return packet[packet.rindex(b"/") - 5 :] if b"/" in packet else b""


def test_second_kernel_receives_what_the_first_sent(make_kernel: MakeKernel) -> None:
    first, second = make_kernel(1), make_kernel(2)
    rig = Rig(first)
    stream = rig.stream(Codec.VP8)
    up, down = bytes(range(28)), bytes(range(100, 128))
    outgoing = first.open_session(GCM, up, down)
    incoming = second.open_session(GCM, down, up)
    first.set_path(outgoing, ("192.0.2.1", 1), ("192.0.2.2", 2))
    ids = ExtensionIds(transport_cc=3, abs_send_time=4)
    leg = first.add_leg(
        Leg(
            session=outgoing, ssrc=0xAAAA, payload_types={96: 96}, mode=LegMode.VP8, clock_rate=90000, extensions=ids,
            rtx_ssrc=0xBBBB, rtx_payload_types={96: 97},
        )
    )  # fmt: skip
    received = second.add_stream(
        incoming,
        StreamSpec(
            ssrc=0xAAAA, clock_rate=90000, is_audio=False, codecs={96: Codec.VP8}, extensions=ids,
            rtx_ssrc=0xBBBB, rtx_payload_types={97: 96},
        ),
    )  # fmt: skip
    camera = Camera(0x1111, 65000, 5)
    rig.publisher.send(0.0, *camera.take(3, key=True))
    first.switch(0.0, leg, stream, 65000, 40)
    for step in range(400):
        rig.publisher.send(step / 30, *camera.take(3))
    datagrams = [bytes(one.data) for batch in first.poll_transmits() for one in batch]
    lost = datagrams[100]
    notices = second.ingest(1.0, incoming, [one for one in datagrams if one is not lost])
    (gap,) = [notice for notice in notices if notice.kind is NoticeKind.GAP]
    assert first.retransmit(20.0, leg, [gap.position & 0xFFFF], 0.1) == 0  # older than what is kept
    stats = second.stream_stats(received)
    assert (stats.expected, stats.received, stats.key_frames, stats.frames) == (1203, 1202, 1, 401)
    assert len(second.take_arrivals(incoming)) == 1202
    rig.publisher.send(20.0, *camera.take(2))
    tail = [bytes(one.data) for batch in first.poll_transmits() for one in batch]
    second.ingest(20.0, incoming, tail[1:])
    assert not second.has_packet(received, stats.highest_position + 1)
    assert first.retransmit(21.0, leg, [(stats.highest_position + 1) & 0xFFFF], 0.1) == 1
    second.ingest(21.1, incoming, [bytes(one.data) for batch in first.poll_transmits() for one in batch])
    assert second.has_packet(received, stats.highest_position + 1)
    assert second.stream_stats(received).recovered == 1
