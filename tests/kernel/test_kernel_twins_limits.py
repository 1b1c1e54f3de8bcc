"""The limits of a kernel, walked up to and past by both twins: what one still knows or refuses, the other does too.

There is little to see here: each answer is compared by `twins.py`. What the limits are for is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pytest
from bad_packets import layers
from rig import KEY_BYTES, Peer, Rig, leg_spec, vp8, write
from sealing import Sealer
from test_kernel_svc import SOURCE_ID, TARGET_ID, Layers

from sansio.kernel import Codec, ExtensionIds, Kernel, LegMode, Notice, NoticeKind, SrtpProfile
from sansio.rtp import dependency_descriptor, red

pytestmark = pytest.mark.parametrize("make_kernel", ["twins"], indirect=True)
PROFILES = pytest.mark.parametrize("profile", list(KEY_BYTES), ids=lambda profile: profile.name)


class Line:
    """A stream and a leg that follows it from number 1 on. Packets are handed over decrypted."""

    def __init__(
        self, kernel: Kernel, mode: LegMode = LegMode.PLAIN, codec: Codec = Codec.OPAQUE, first: bytes = b"first",
        start: int = 1, history: int = 512, clock_rate: int = 90000, max_temporal: int = 7, **extensions: int,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.rig = Rig(kernel)
        source = ExtensionIds(dependency_descriptor=SOURCE_ID) if codec is Codec.AV1 else ExtensionIds()
        self.stream = self.rig.stream(codec, history=history, clock_rate=clock_rate, extensions=source)
        self.peer: Peer = self.rig.subscriber()
        self.spec = leg_spec(
            self.peer, mode, rtx_ssrc=0xBBBB, clock_rate=clock_rate, extensions=ExtensionIds(mixed=True, **extensions),
            max_temporal=max_temporal,
        )  # fmt: skip
        self.leg = kernel.add_leg(self.spec)
        self.told: list[Notice] = []
        self.take(0.0, [write(start, 1, first)])
        kernel.switch(0.0, self.leg, self.stream, start, 1)

    def take(self, now: float, packets: Iterable[bytes]) -> None:
        self.kernel.inject_received(now, self.rig.publisher.session, list(packets))

    def sent(self) -> int:
        """Packets that left since the last call."""
        return len(self.rig.datagrams())


@pytest.mark.parametrize("way", [0, 7500])
@pytest.mark.parametrize("limit", [-65, -4000, -32768, 1, 3000, 32768])
def test_steps_of_numbers(kernel: Kernel, way: int, limit: int) -> None:
    for near in range(-2, 3):
        line = Line(kernel, start=20000)
        line.take(0.1, [write(20000 + done, done, b"x") for done in range(0, way + 1, 2500)])
        number = 20000 + way + limit + near
        line.take(0.2, [write(number, way, b"x"), write(number + 1, way, b"x"), write(number, way, b"x")])
        assert line.sent()


@pytest.mark.parametrize("gap", range(2045, 2052))
def test_gaps_on_a_leg(kernel: Kernel, gap: int) -> None:
    line = Line(kernel)
    line.take(0.1, [write(2, 2, b"x"), write(2 + gap, 3, b"x"), write(1 + gap, 3, b"late"), write(3, 3, b"later")])
    assert line.sent() >= 3


def test_offsets_of_late_packets(kernel: Kernel) -> None:
    line = Line(kernel)
    for index in range(1, 121):
        line.take(0.01 * index, [write(1 + 2 * index, index, b"even")])
        kernel.inject(0.01 * index, line.leg, b"own", timestamp_step=1)
    line.sent()
    line.take(1.3, [write(2 * index, index, b"odd") for index in range(120, 0, -1)])
    assert 90 < line.sent() < 110


@pytest.mark.parametrize("clock_rate", [90000, 48000])
def test_packets_that_a_leg_can_send_again(kernel: Kernel, clock_rate: int) -> None:
    line = Line(kernel, clock_rate=clock_rate)
    line.take(0.0, [write(number, number, b"x") for number in range(2, 700)])
    last = kernel.leg_stats(line.leg).last_sequence_number
    again = [kernel.retransmit(1.0, line.leg, [last - back & 0xFFFF], 0.0) for back in range(600)]
    assert 0 < sum(again) < 600


def test_how_long_a_leg_can_send_again(kernel: Kernel) -> None:
    kept = set()
    for count in range(80, 125):
        line = Line(kernel)
        for index in range(count):
            line.take(index / 20, [write(2 + index, index, b"x")])
        last = kernel.leg_stats(line.leg).last_sequence_number
        kept.add(kernel.retransmit(count / 20, line.leg, [last - back & 0xFFFF for back in range(count)], 0.0))
    assert 40 <= min(kept) < max(kept) <= 81


@pytest.mark.parametrize("rtt", [0.0, 0.02, 0.04, 0.05, 0.06])
def test_how_often_and_how_soon_it_is_sent_again(kernel: Kernel, rtt: float) -> None:
    line = Line(kernel)
    last = kernel.leg_stats(line.leg).last_sequence_number
    sent = sum(kernel.retransmit(step / 128, line.leg, [last & 0xFFFF], rtt) for step in range(64))
    assert sent == 3


@pytest.mark.parametrize("jump", [-20.0, -1.0, 0.0, 8.0, 9.0, 9.9, 10.0, 10.1, 11.0])
@pytest.mark.parametrize("waited", [0.5, 30.0])
def test_timestamps_after_a_pause(kernel: Kernel, jump: float, waited: float) -> None:
    line = Line(kernel)
    kernel.set_leg(line.leg, attrs.evolve(line.spec, paused=True))
    line.take(0.1, [write(2, 9000, b"unseen")])
    kernel.set_leg(line.leg, line.spec)
    line.take(waited, [write(3, round((waited + jump) * 90000), b"seen")])
    assert line.sent() == 2


def test_packets_recovered_from_redundancy(kernel: Kernel) -> None:
    """Of four numbers the first is lost and recovered, the third is late."""
    plain = red.encode(111, b"opus", [])
    line = Line(kernel, LegMode.RED_TO_OPUS, Codec.RED, plain, clock_rate=48000)
    for number in range(3, 200, 4):
        at = 960 * number
        carrier = write(number, at, red.encode(111, b"opus", [(111, 960, b"lost %d" % number)]))
        line.take(0.02 * number, [carrier, write(number + 2, at + 1920, plain)])
    assert line.sent() == 1 + 50 * 3
    line.take(
        4.1, [write(number - back, 960 * (number - back), plain) for number in range(3, 200, 4) for back in (1, -1)]
    )
    assert 30 < line.sent() < 36


def test_redundancy_that_fits(kernel: Kernel) -> None:
    for mtu in range(160, 300):
        line = Line(kernel, LegMode.OPUS_TO_RED, clock_rate=48000)
        kernel.set_leg(line.leg, attrs.evolve(line.spec, red_payload_type=63, mtu=mtu))
        for index, size in enumerate((50, 51, 52, 50, 1023, 1024, 40)):
            line.take(0.1, [write(2 + index, 961 + 960 * index, bytes(size))])
        assert line.sent() == 8


@PROFILES
def test_arrivals_and_departures_that_are_kept(kernel: Kernel, profile: SrtpProfile) -> None:
    session = kernel.open_session(profile, bytes(KEY_BYTES[profile]), bytes(range(KEY_BYTES[profile])))
    kernel.set_transport_cc(session, 3)
    kernel.set_path(session, ("192.0.2.1", 1), ("192.0.2.2", 2))
    seal = Sealer(profile, bytes(range(KEY_BYTES[profile])))
    packets = (write(n, n, b"x", extensions={3: (n & 0xFFFF).to_bytes(2, "big")}) for n in range(8300))
    kernel.ingest(1.0, session, [seal.rtp(packet) for packet in packets])
    assert len(kernel.take_arrivals(session)) == 8192
    assert kernel.take_arrivals(session) == []
    line = Line(kernel, transport_cc=3)
    line.take(0.1, [write(number, number, b"x") for number in range(2, 2200)])
    assert len(kernel.take_sent(line.peer.session)) == 2048
    assert kernel.take_sent(line.peer.session) == []


@pytest.mark.parametrize("history", [1, 16, 17, 500, 512, 513])
def test_packets_to_start_from(kernel: Kernel, history: int) -> None:
    line = Line(kernel, history=history)
    line.take(0.1, [write(number, number, b"x") for number in range(2, 1200)])
    line.sent()
    kernel.switch(0.2, line.leg, line.stream, 1, 5)
    assert line.sent() >= history


def test_numbers_that_were_heard(kernel: Kernel) -> None:
    line = Line(kernel)
    line.take(0.1, [write(number, number, b"x") for number in range(2, 8400) if number % 5])
    highest = kernel.stream_stats(line.stream).highest_position
    assert [kernel.has_packet(line.stream, highest - back) for back in (-1, 0, 8191, 8192)] == [
        False,
        True,
        True,
        False,
    ]
    line.take(0.2, [write(number, number, b"x") for number in range(5, 8400, 5)])


@pytest.mark.parametrize("others", range(60, 68))
def test_numbering_of_ssrcs_that_come_back(kernel: Kernel, others: int) -> None:
    line = Line(kernel)
    kernel.remove_leg(line.leg)
    for ssrc in range(1, others + 1):
        kernel.remove_leg(kernel.add_leg(attrs.evolve(line.spec, ssrc=ssrc, rtx_ssrc=0)))
    assert kernel.leg_stats(kernel.add_leg(line.spec)).packets == 0


@PROFILES
@pytest.mark.parametrize("limit", [-1024, -32768, 32768, 65536])
def test_indices_that_are_believed(kernel: Kernel, profile: SrtpProfile, limit: int) -> None:
    key = bytes(range(KEY_BYTES[profile]))
    for start in (5000, 40000, 65535, 70000, 200000):
        for near in range(-2, 3):
            session = kernel.open_session(profile, key, key)
            seal = Sealer(profile, key)
            for index in (*range(30000, start, 30000), start, start + limit + near, start + 1):
                number = write(index, 1, b"x")
                kernel.ingest(0.0, session, [seal.rtp(number, index >> 16), seal.rtp(number, (index >> 16) + 1)])
            kernel.poll_drops()


@PROFILES
def test_reports_that_come_twice(kernel: Kernel, profile: SrtpProfile) -> None:
    key = bytes(range(KEY_BYTES[profile]))
    session, seal = kernel.open_session(profile, key, key), Sealer(profile, key)
    for index in (1, 500, 500, 373, 372, 371, 374, 374, 499, 501, 629, 628, 502, 501, 1 << 20, (1 << 31) - 1, 0):
        kernel.ingest(0.0, session, [seal.rtcp(b"\x80\xc9\x00\x01bob ", index)])
    assert sum(kernel.poll_drops().values()) >= 4


@pytest.mark.parametrize("last", [1, 2, 3])
def test_layers_are_decided_once_a_frame(kernel: Kernel, last: int) -> None:
    source = Layers(number=2)
    line = Line(kernel, LegMode.SVC, Codec.AV1, dependency_descriptor=TARGET_ID)
    late: list[bytes] = []
    for index in range(110):
        unit = source.unit(key=index == 0, layers=3 if index < 109 else last)
        line.take(0.01, unit[::2])
        late += unit[1::2]
    kernel.set_leg(line.leg, attrs.evolve(line.spec, max_spatial=0))
    line.sent()
    line.take(0.02, reversed(late))
    assert line.sent()


def test_requests_for_a_key_frame(kernel: Kernel) -> None:
    source = Layers(number=2)
    line = Line(kernel, LegMode.SVC, Codec.AV1, dependency_descriptor=TARGET_ID)
    kernel.set_leg(line.leg, attrs.evolve(line.spec, max_spatial=0))
    line.take(0.0, source.unit(key=True))
    line.take(0.0, source.unit())
    kernel.set_leg(line.leg, line.spec)
    session = line.rig.publisher.session
    for step in range(200):
        line.told += kernel.inject_received(step / 64, session, source.unit())
    assert [notice.kind for notice in line.told] == [NoticeKind.LEG_NEEDS_KEY_FRAME] * 7


def test_descriptors_that_just_fit(kernel: Kernel) -> None:
    structure = layers(0, 2, 1)
    for count in range(300, 350):
        line = Line(kernel, LegMode.SVC, Codec.AV1, dependency_descriptor=TARGET_ID)
        kernel.set_leg(line.leg, attrs.evolve(line.spec, max_spatial=0))
        for number in range(2, 4):
            raw = dependency_descriptor.encode(
                structure, template=0, frame_number=number, start_of_frame=True, end_of_frame=True, attach=number == 2,
                frame_diffs=None if number == 2 else [1] * count + [17] * (count % 2),
            )  # fmt: skip
            if len(raw) <= 255:
                line.take(0.0, [write(number, 1, b"frame", extensions={SOURCE_ID: raw}, two_byte=True)])
        assert line.sent() >= 2


def test_pictures_that_were_dropped(kernel: Kernel) -> None:
    """Of three pictures the first and third have another packet, which is late; the second comes after a gap, so that it may
    not be dropped, and the third is."""
    line = Line(kernel, LegMode.VP8, Codec.VP8, vp8(1, 1, 0, key=True), max_temporal=0)
    late = []
    number = 2
    for picture in range(2, 450, 3):
        for step, (temporal, packets) in enumerate(((0, 2), (0, 1), (2, 2))):
            at = 3000 * (picture + step)
            line.take(0.01, [write(number, at, vp8(picture + step, 1, temporal))])
            if packets == 2:
                late.append(write(number + 1, at, vp8(picture + step, 1, temporal, start=False)))
            number += packets
    line.sent()
    line.take(0.02, reversed(late))
    assert 150 < line.sent() < 250
    assert kernel.leg_stats(line.leg).dropped_packets > 200


def test_a_ceiling_that_rises_in_vain(kernel: Kernel) -> None:
    line = Line(kernel, LegMode.VP8, Codec.VP8, vp8(1, 1, 0, key=True), max_temporal=0)
    kernel.set_leg(line.leg, attrs.evolve(line.spec, max_temporal=2))
    line.take(0.1, [write(1 + index, 3000 * index, vp8(1 + index, 1, index % 3)) for index in range(1, 400)])
    assert line.sent() > 134


def test_packets_of_every_size(kernel: Kernel) -> None:
    for profile in KEY_BYTES:
        rig = Rig(kernel, profile)
        stream, peer = rig.stream(), rig.subscriber()
        leg = kernel.add_leg(leg_spec(peer, ssrc=0xAAAA))
        rig.publisher.send(0.0, write(1, 1, b"x"))
        kernel.switch(0.0, leg, stream, 1, 1)
        sizes = (0, 1, 2, 15, 16, 17, 1199, 1200, 1201, 1500, 9000, 60000, 65000, 65400, 65479)
        rig.publisher.kernel.inject_received(
            0.1, rig.publisher.session, [write(2 + index, index, bytes(size)) for index, size in enumerate(sizes)]
        )
        assert len(rig.datagrams()) >= len(sizes) - 4
