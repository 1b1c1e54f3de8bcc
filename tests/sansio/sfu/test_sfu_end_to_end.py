"""Real packets: a simulcast publisher, the Python kernel, and a subscriber that checks what it gets."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import NamedTuple

import pytest
from pylibsrtp import Policy, Session

from sansio.entropy import SeededEntropy, random_below, random_bits, random_unit
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, NoticeKind, PureKernel, SrtpProfile, StreamSpec
from sansio.rtcp import Nack, Pli, SenderReport
from sansio.seqnum import widen
from sansio.sfu import DownTrack, TrackReceiver, WantedLayers
from sansio.sfu.layers import MAX_SPATIAL

NTP_EPOCH = 5000.0
"""Publisher's NTP time at our zero."""
FRAME = 1 / 30
SIZES = ((320, 180), (640, 360), (1280, 720))
GCM_KEYS = bytes(range(28)), bytes(range(28, 56))


class Frame(NamedTuple):
    """One frame as the subscriber got it."""

    at: float
    timestamp: int
    size: tuple[int, int] | None
    """Of a key frame."""
    captured: float
    """When, as the payload says."""


def vp8(picture: int, body: bytes, *, is_start: bool) -> bytes:
    return bytes((0x90 if is_start else 0x80, 0x80, 0x80 | picture >> 8 & 0x7F, picture & 0xFF)) + body


class Encoder:
    """One simulcast layer: its own SSRC, numbering and clock."""

    def __init__(self, spatial: int, entropy: SeededEntropy) -> None:
        self.spatial = spatial
        self.ssrc = 1000 + spatial
        self.number = random_bits(entropy, 16)
        self.origin = random_bits(entropy, 32)
        self.picture = random_bits(entropy, 15)
        self.wants_key = True

    def timestamp(self, captured: float) -> int:
        return (self.origin + round(captured * 90_000)) & 0xFFFFFFFF

    def encode(self, captured: float) -> list[bytes]:
        """The packets of one frame; its payload tells the time of capture."""
        width, height = SIZES[self.spatial]
        stamp = struct.pack("!d", captured)
        if self.wants_key:
            head = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + stamp
        else:
            head = b"\x11\x02\x00" + stamp
        count = (2 + 2 * self.spatial) * (3 if self.wants_key else 1)
        self.wants_key = False
        packets = []
        for index in range(count):
            body = head if index == 0 else bytes(300)
            header = struct.pack(
                "!BBHII",
                0x80,
                96 | (0x80 if index == count - 1 else 0),
                self.number & 0xFFFF,
                self.timestamp(captured),
                self.ssrc,
            )
            packets.append(header + vp8(self.picture, body, is_start=index == 0))
            self.number += 1
        self.picture = (self.picture + 1) & 0x7FFF
        return packets


class World:
    """Time in frames; feedback takes 40 ms to the publisher. `loss` strikes what the publisher sends and hears."""

    def __init__(self, seed: int, *, layers: int = 3, loss: float = 0.0) -> None:
        self.entropy = SeededEntropy(seed)
        self.now = 50.0
        self.kernel = PureKernel(self.entropy.child("kernel"))
        self.publisher = self._open(("10.0.0.1", 1))
        self.receiver = TrackReceiver(kernel=self.kernel, kind="video", mime_type="video/VP8", clock_rate=90_000)
        self.encoders = [Encoder(spatial, self.entropy) for spatial in range(layers)]
        self.active = set(range(layers))
        self.loss = loss
        self.sent: dict[tuple[int, int], bytes] = {}  # by layer and number, for retransmission
        self.requests: list[tuple[float, Nack | Pli]] = []
        self.received: list[set[int]] = []
        self.streams: dict[int, int] = {}
        self.down_tracks: list[DownTrack] = []
        self.frames: list[list[Frame]] = []
        self.reports: list[list[tuple[float, SenderReport]]] = []
        self.numbers: list[int] = []
        self.inbound: list[Session] = []
        self.key_frames = 0
        self.report_every = 1.0
        for encoder in self.encoders:
            spec = StreamSpec(
                ssrc=encoder.ssrc,
                clock_rate=90_000,
                is_audio=False,
                codecs={96: Codec.VP8},
                extensions=ExtensionIds(),
            )
            self.streams[encoder.spatial] = self.kernel.add_stream(self.publisher, spec)
            self.receiver.add_layer(self.now, encoder.spatial, self.streams[encoder.spatial], encoder.ssrc)

    def _open(self, remote: tuple[str, int]) -> int:
        session = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, *GCM_KEYS)
        self.kernel.set_path(session, ("10.0.0.9", 9), remote)
        return session

    def subscribe(self, wanted: WantedLayers) -> int:
        index = len(self.down_tracks)
        session = self._open(("10.1.0.0", index))
        policy = Policy(
            key=GCM_KEYS[0], ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        )
        self.inbound.append(Session(policy))
        leg = Leg(
            session=session,
            ssrc=7000 + index,
            payload_types={96: 100},
            mode=LegMode.VP8,
            clock_rate=90_000,
            extensions=ExtensionIds(),
        )
        down_track = DownTrack(
            kernel=self.kernel, receiver=self.receiver, leg=leg, mid="1", cname="c", entropy=self.entropy
        )
        self.down_tracks.append(down_track)
        self.frames.append([])
        self.reports.append([])
        self.numbers.append(-1)
        self.received.append(set())
        down_track.set_wanted(self.now, wanted)
        self._drain()
        return index

    def run(self, duration: float) -> None:
        end = self.now + duration
        while self.now < end - 1e-9:
            self._tick()

    def _tick(self) -> None:
        self.now += FRAME
        due, self.requests = (
            [r for r in self.requests if r[0] <= self.now],
            [r for r in self.requests if r[0] > self.now],
        )
        resent = [packet for _, request in due for packet in self._answer(request)]
        self._deliver(resent)
        jitter = random_unit(self.entropy) * 0.004
        for spatial in sorted(self.active):
            encoder = self.encoders[spatial]
            self.key_frames += encoder.wants_key
            packets = encoder.encode(self.now - 0.020 - jitter)
            for packet in packets:
                self.sent[spatial, struct.unpack_from("!H", packet, 2)[0]] = packet
            self._deliver(packets)
            if self.report_every and random_below(self.entropy, round(self.report_every / FRAME)) == 0:
                self._report(encoder)
        self.receiver.handle_timeout(self.now)
        for down_track in self.down_tracks:
            down_track.handle_timeout(self.now)
        self._drain()

    def _answer(self, request: Nack | Pli) -> list[bytes]:
        spatial = request.media_ssrc - 1000
        if isinstance(request, Pli):
            self.encoders[spatial].wants_key = True
            return []
        return [self.sent[spatial, number] for number in request.sequence_numbers if (spatial, number) in self.sent]

    def _deliver(self, packets: list[bytes]) -> None:
        arrived = [packet for packet in packets if random_unit(self.entropy) >= self.loss]
        for notice in self.kernel.inject_received(self.now, self.publisher, arrived):
            assert notice.kind in (NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME, NoticeKind.GAP)
            self.receiver.handle_notice(self.now, notice)

    def _report(self, encoder: Encoder) -> None:
        """The sender report of this instant, which took 20 ms to come."""
        sent = self.now - 0.020
        stats = self.kernel.stream_stats(self.streams[encoder.spatial])
        behind = (encoder.timestamp(sent) - stats.last_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        ntp_timestamp = round((NTP_EPOCH + sent) * (1 << 32))
        rtp_timestamp = stats.last_timestamp + behind
        self.receiver.handle_sender_report(
            self.now, self.streams[encoder.spatial], ntp_timestamp, rtp_timestamp, self.now
        )

    def _drain(self) -> None:
        for packet in self.receiver.poll_rtcp():
            if random_unit(self.entropy) >= self.loss:
                self.requests.append((self.now + 0.040, packet))
        for index, down_track in enumerate(self.down_tracks):
            packets = down_track.poll_rtcp()
            self.reports[index] += [(self.now, packet) for packet in packets if isinstance(packet, SenderReport)]
        for batch in self.kernel.poll_transmits():
            for transmit in batch:
                self._receive(transmit.remote[1], transmit.data)

    def _receive(self, index: int, data: bytes) -> None:
        packet = self.inbound[index].unprotect(data)
        _, second, number, timestamp, ssrc = struct.unpack_from("!BBHII", packet)
        assert ssrc == 7000 + index
        assert second & 0x7F == 100
        extended = widen(number, self.numbers[index]) if self.numbers[index] >= 0 else number
        if self.numbers[index] >= 0 and not self.loss:
            assert extended == self.numbers[index] + 1, "numbers must not show what was switched"
        self.numbers[index] = max(extended, self.numbers[index])
        assert extended not in self.received[index]
        self.received[index].add(extended)
        payload = packet[12 + 4 :]  # the descriptor: two bytes and 15 bits of picture id
        if packet[12] & 0x10 == 0:
            return
        size: tuple[int, int] | None = None
        if not payload[0] & 1:
            width, height = struct.unpack_from("<HH", payload, 6)
            size = (width, height)
        at = 10 if size else 3
        (captured,) = struct.unpack_from("!d", payload, at)
        self.frames[index].append(Frame(self.now, timestamp, size, captured))


def check(world: World, index: int, *, tolerance: float) -> None:
    """The first frame is a key frame; timestamps advance as capture did."""
    frames = world.frames[index]
    assert frames[0].size is not None
    for before, after in pairwise(frames):
        step = (after.timestamp - before.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        assert step > 0
        assert step / 90_000 == pytest.approx(after.captured - before.captured, abs=tolerance)


def sizes(world: World, index: int) -> list[tuple[int, int]]:
    return [frame.size for frame in world.frames[index] if frame.size is not None]


@pytest.mark.parametrize("seed", range(5))
def test_a_late_joiner_sees_video_within_a_key_frames_time(seed: int) -> None:
    world = World(seed)
    world.run(3.0)
    joined = world.now
    index = world.subscribe(WantedLayers(2))
    world.run(1.0)
    first = world.frames[index][0]
    assert first.at - joined <= 0.040 + 2 * FRAME + 1e-6, f"seed {seed}"
    assert sizes(world, index)[-1] == SIZES[2]
    check(world, index, tolerance=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_layers_change_without_a_seam(seed: int) -> None:
    world = World(seed)
    index = world.subscribe(WantedLayers(0))
    world.run(4.0)
    for spatial in (2, 1, 0, 2, 0):
        world.down_tracks[index].set_wanted(world.now, WantedLayers(spatial))
        world.run(2.0)
        assert world.down_tracks[index].current_spatial == spatial, f"seed {seed}"
    assert sizes(world, index)[0] == SIZES[0]
    check(world, index, tolerance=0.001)


@pytest.mark.parametrize("seed", range(3))
def test_without_reports_the_seam_is_as_wide_as_the_jitter(seed: int) -> None:
    world = World(seed)
    world.report_every = 0
    index = world.subscribe(WantedLayers(0))
    world.run(1.0)
    world.down_tracks[index].set_wanted(world.now, WantedLayers(2))
    world.run(2.0)
    assert world.down_tracks[index].current_spatial == 2, f"seed {seed}"
    check(world, index, tolerance=0.010)
    assert world.reports[index] == []


def test_a_dead_layer_is_replaced_within_two_cycles() -> None:
    world = World(3)
    index = world.subscribe(WantedLayers(2))
    world.run(3.0)
    world.active = {0, 1}
    died = world.now
    world.run(2.0)
    replaced = next(frame for frame in world.frames[index] if frame.size == SIZES[1] and frame.at > died)
    assert replaced.at - died < 1.2
    check(world, index, tolerance=0.001)


def test_sender_reports_tell_when_frames_were_captured() -> None:
    world = World(11)
    index = world.subscribe(WantedLayers(0))
    world.run(5.0)
    world.down_tracks[index].set_wanted(world.now, WantedLayers(2))
    world.run(12.0)
    reports = world.reports[index]
    assert len(reports) >= 5
    for at, report in reports:
        frame = max((one for one in world.frames[index] if one.at <= at), key=lambda one: one.at)
        ahead = (report.rtp_timestamp - frame.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        captured = report.ntp_timestamp / (1 << 32) - NTP_EPOCH - ahead / 90_000
        assert captured == pytest.approx(frame.captured, abs=0.001)


def test_off_and_on_again_leaves_no_seam() -> None:
    world = World(5)
    index = world.subscribe(WantedLayers(2))
    world.run(3.0)
    down_track = world.down_tracks[index]
    for pause in (0.2, 1.0, 6.0):
        down_track.set_wanted(world.now, None)
        stopped = len(world.frames[index])
        world.run(pause)
        assert len(world.frames[index]) == stopped
        down_track.set_wanted(world.now, WantedLayers(2))
        world.run(1.0)
        assert world.frames[index][stopped].size is not None
    check(world, index, tolerance=0.001)


def test_a_publishers_mute_is_a_pause_for_everyone() -> None:
    world = World(6)
    indices = [world.subscribe(WantedLayers(spatial)) for spatial in range(MAX_SPATIAL + 1)]
    world.run(3.0)
    world.receiver.set_muted(world.now, True)
    world.active.clear()
    world.run(10.0)
    world.receiver.set_muted(world.now, False)
    world.run(0.5)
    world.active = {0, 1, 2}
    back = world.now
    world.run(2.0)
    for spatial, index in enumerate(indices):
        first = next(frame for frame in world.frames[index] if frame.at > back)
        assert first.size is not None
        assert first.at - back < 1.1
        assert world.down_tracks[index].current_spatial == spatial
        check(world, index, tolerance=0.010)


def test_a_hundred_joiners_need_few_key_frames() -> None:
    world = World(8)
    world.run(3.0)
    before = world.key_frames
    for _ in range(100):
        world.subscribe(WantedLayers(2))
        if random_below(world.entropy, 4) == 0:
            world._tick()
    world.run(1.2)
    assert all(down_track.current_spatial == 2 for down_track in world.down_tracks)
    assert world.key_frames - before <= 3
    for index in range(100):
        check(world, index, tolerance=0.001)


@pytest.mark.parametrize("seed", range(8))
def test_loss_towards_the_server_is_repaired_and_never_blinds(seed: int) -> None:
    world = World(seed, loss=0.1)
    world.run(2.0)
    indices = [world.subscribe(WantedLayers(spatial)) for spatial in (0, 2, 2)]
    joined = world.now
    world.run(3.0)
    world.down_tracks[indices[0]].set_wanted(world.now, WantedLayers(2))
    world.down_tracks[indices[1]].set_wanted(world.now, WantedLayers(1))
    world.run(4.0)
    for index, spatial in zip(indices, (2, 1, 2), strict=True):
        assert world.frames[index][0].at - joined < 2.5, f"seed {seed}"
        assert world.frames[index][0].size is not None, f"seed {seed}"
        assert world.down_tracks[index].current_spatial == spatial, f"seed {seed}"
        numbers = world.received[index]
        settled = [number for number in numbers if number < max(numbers) - 60]
        holes = max(settled) - min(numbers) + 1 - len(settled)
        assert holes <= len(settled) * 0.01, f"seed {seed}"
