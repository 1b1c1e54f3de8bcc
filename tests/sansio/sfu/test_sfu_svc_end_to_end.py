"""VP9 with three spatial layers in one stream, over the Python kernel."""

from __future__ import annotations

import struct
from itertools import pairwise

from pylibsrtp import Policy, Session

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, PureKernel, SrtpProfile, StreamSpec
from sansio.rtcp import Pli
from sansio.sfu import DownTrack, LayerChanged, TrackReceiver, WantedLayers

KEYS = bytes(range(28)), bytes(range(28, 56))
FRAME = 1 / 30


class Svc:
    """A camera in L3T1_KEY, and one viewer that notes the layers of each picture."""

    def __init__(self) -> None:
        self.now = 20.0
        self.kernel = PureKernel(SeededEntropy(1))
        publisher = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, *KEYS)
        viewer = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, *KEYS)
        self.publisher = publisher
        self.kernel.set_path(viewer, ("10.0.0.9", 9), ("10.0.0.2", 2))
        spec = StreamSpec(ssrc=5, clock_rate=90_000, is_audio=False, codecs={98: Codec.VP9}, extensions=ExtensionIds())
        self.stream = self.kernel.add_stream(publisher, spec)
        self.receiver = TrackReceiver(
            kernel=self.kernel, kind="video", mime_type="video/VP9", clock_rate=90_000, is_svc=True
        )
        self.receiver.add_layer(self.now, 0, self.stream, 5)
        leg = Leg(
            session=viewer,
            ssrc=9,
            payload_types={98: 98},
            mode=LegMode.SVC,
            clock_rate=90_000,
            extensions=ExtensionIds(),
        )
        self.down_track = DownTrack(
            kernel=self.kernel, receiver=self.receiver, leg=leg, mid="0", cname="c", entropy=SeededEntropy(2)
        )
        policy = Policy(
            key=KEYS[0], ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        )
        self.inbound = Session(policy)
        self.number = self.picture = 0
        self.wants_key = True
        self.plis = 0
        self.pictures: dict[int, list[int]] = {}  # by timestamp
        self.markers: list[tuple[int, int]] = []  # timestamp and layer
        self.numbers: list[int] = []

    def run(self, duration: float) -> None:
        for _ in range(round(duration / FRAME)):
            self.now += FRAME
            self._send(key=self.wants_key)
            self.receiver.handle_timeout(self.now)
            self.down_track.handle_timeout(self.now)
            self._drain()

    def _send(self, *, key: bool) -> None:
        self.wants_key = False
        self.picture += 1
        packets = []
        for spatial in range(3):
            self.number += 1
            flags = 0x80 | 0x20 | 0x08 | 0x04 | (0 if key else 0x40)
            descriptor = bytes((flags, self.picture & 0x7F, spatial << 1 | (key and spatial > 0), self.picture & 0xFF))
            header = struct.pack(
                "!BBHII", 0x80, 98 | (0x80 if spatial == 2 else 0), self.number, self.picture * 3000, 5
            )
            packets.append(header + descriptor + (b"\x82" if key and spatial == 0 else b"\x86") + bytes(50))
        for notice in self.kernel.inject_received(self.now, self.publisher, packets):
            self.receiver.handle_notice(self.now, notice)

    def _drain(self) -> None:
        for packet in self.receiver.poll_rtcp():
            if isinstance(packet, Pli):
                self.plis += 1
                self.wants_key = True
        for batch in self.kernel.poll_transmits():
            for transmit in batch:
                packet = self.inbound.unprotect(transmit.data)
                _, second, number, timestamp, _ = struct.unpack_from("!BBHII", packet)
                spatial = packet[14] >> 1 & 7
                self.pictures.setdefault(timestamp, []).append(spatial)
                self.numbers.append(number)
                if second & 0x80:
                    self.markers.append((timestamp, spatial))


def shown(svc: Svc) -> list[list[int]]:
    return list(svc.pictures.values())


def test_ceilings_follow_what_is_wanted() -> None:
    svc = Svc()
    svc.run(1.0)
    svc.down_track.set_wanted(svc.now, WantedLayers(0))
    svc.run(1.0)
    assert {tuple(layers) for layers in shown(svc)} == {(0,)}
    assert svc.down_track.current_spatial == 0
    svc.down_track.set_wanted(svc.now, WantedLayers(2))
    svc.run(1.0)
    assert shown(svc)[-1] == [0, 1, 2]
    assert svc.down_track.current_spatial == 2
    before = svc.plis
    svc.down_track.set_wanted(svc.now, WantedLayers(1))
    svc.run(1.0)
    assert shown(svc)[-1] == [0, 1]
    assert svc.plis == before
    assert [event.spatial for event in svc.down_track.poll_events() if isinstance(event, LayerChanged)] == [0, 2, 1]
    svc.down_track.set_wanted(svc.now, None)
    svc.run(0.5)
    svc.down_track.set_wanted(svc.now, WantedLayers(2))
    svc.run(1.2)
    assert shown(svc)[-1] == [0, 1, 2]
    assert svc.plis <= 4
    for number, after in pairwise(svc.numbers):
        assert after == (number + 1) & 0xFFFF
    assert [spatial for _, spatial in svc.markers] == [max(layers) for layers in shown(svc)]


def test_a_settled_viewer_asks_for_nothing() -> None:
    svc = Svc()
    svc.down_track.set_wanted(svc.now, WantedLayers(2))
    svc.run(2.0)
    before = svc.plis
    svc.run(10.0)
    assert svc.plis == before
    assert svc.receiver.layers == (True, True, True)
    assert svc.receiver.bitrate(2) > svc.receiver.bitrate(0) > 0
