"""Audio over the Python kernel: joining, muting, coming back."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from pylibsrtp import Policy, Session

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, PureKernel, SrtpProfile, StreamSpec
from sansio.rtcp import SenderReport
from sansio.sfu import DownTrack, TrackReceiver, WantedLayers

KEYS = bytes(range(28)), bytes(range(28, 56))
TICK = 0.02
NTP_EPOCH = 777.0


class Talk:
    """A microphone, and one listener. Payloads tell the time of capture; silence is the server's."""

    def __init__(self) -> None:
        self.now = 20.0
        self.kernel = PureKernel(SeededEntropy(1))
        self.publisher = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, *KEYS)
        self.listener = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, *KEYS)
        self.kernel.set_path(self.listener, ("10.0.0.9", 9), ("10.0.0.2", 2))
        spec = StreamSpec(
            ssrc=5,
            clock_rate=48_000,
            is_audio=True,
            codecs={111: Codec.OPUS},
            extensions=ExtensionIds(),
            history=200,
        )
        self.stream = self.kernel.add_stream(self.publisher, spec)
        self.receiver = TrackReceiver(
            kernel=self.kernel, kind="audio", mime_type="audio/opus", clock_rate=48_000, nack=False
        )
        self.receiver.add_layer(self.now, 0, self.stream, 5)
        policy = Policy(
            key=KEYS[0], ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        )
        self.inbound = Session(policy)
        self.number, self.clock = 65_500, 4_294_900_000
        self.is_sending = True
        self.has_running_clock = True
        self.down_track: DownTrack | None = None
        self.heard: list[tuple[float, int, int, float | None]] = []  # at, number, timestamp, captured
        self.reports: list[tuple[float, SenderReport]] = []

    def join(self) -> DownTrack:
        leg = Leg(
            session=self.listener,
            ssrc=9,
            payload_types={111: 111},
            mode=LegMode.PLAIN,
            clock_rate=48_000,
            extensions=ExtensionIds(),
        )
        self.down_track = DownTrack(
            kernel=self.kernel, receiver=self.receiver, leg=leg, mid="0", cname="c", entropy=SeededEntropy(2)
        )
        self.down_track.set_wanted(self.now, WantedLayers(0))
        return self.down_track

    def run(self, duration: float) -> None:
        for _ in range(round(duration / TICK)):
            self.now += TICK
            if self.is_sending or self.has_running_clock:
                self.clock += 960
            if self.is_sending:
                self._send()
            self.receiver.handle_timeout(self.now)
            if self.down_track is not None:
                self.down_track.handle_timeout(self.now)
                self.reports += [
                    (self.now, one) for one in self.down_track.poll_rtcp() if isinstance(one, SenderReport)
                ]
            self._hear()

    def report(self) -> None:
        ntp_timestamp = round((NTP_EPOCH + self.now) * (1 << 32))
        self.receiver.handle_sender_report(self.now, self.stream, ntp_timestamp, self.clock, self.now)

    def _send(self) -> None:
        self.number += 1
        header = struct.pack("!BBHII", 0x80, 111, self.number & 0xFFFF, self.clock & 0xFFFFFFFF, 5)
        packet = header + struct.pack("!d", self.now)
        for notice in self.kernel.inject_received(self.now, self.publisher, [packet]):
            self.receiver.handle_notice(self.now, notice)

    def _hear(self) -> None:
        for batch in self.kernel.poll_transmits():
            for transmit in batch:
                packet = self.inbound.unprotect(transmit.data)
                _, _, number, timestamp, _ = struct.unpack_from("!BBHII", packet)
                captured = struct.unpack("!d", packet[12:])[0] if len(packet) == 20 else None
                self.heard.append((self.now, number, timestamp, captured))


def check(talk: Talk) -> None:
    """No number is missing, and time passes as it did."""
    for (at, number, timestamp, _), (later, next_number, next_timestamp, _) in pairwise(talk.heard):
        assert next_number == (number + 1) & 0xFFFF
        step = (next_timestamp - timestamp) & 0xFFFFFFFF
        assert 0 < step < 1 << 31
        assert step / 48_000 == pytest.approx(later - at, abs=0.021)


def test_a_listener_hears_the_next_packet() -> None:
    talk = Talk()
    talk.run(1.0)
    talk.join()
    talk.run(1.0)
    assert len(talk.heard) == 51  # with the one that was newest at the time
    check(talk)


@pytest.mark.parametrize("sends_while_muted", [False, True])
@pytest.mark.parametrize("has_running_clock", [False, True])
@pytest.mark.parametrize("muted_for", [0.1, 0.5, 5.0])
def test_a_mute_leaves_no_hole(sends_while_muted: bool, has_running_clock: bool, muted_for: float) -> None:
    talk = Talk()
    talk.has_running_clock = has_running_clock
    talk.join()
    talk.run(1.0)
    talk.receiver.set_muted(talk.now, True)
    talk.is_sending = sends_while_muted
    talk.run(muted_for)
    silent = [captured for at, _, _, captured in talk.heard if at > 21.0 + 1e-6]
    assert len(silent) == min(round(muted_for / TICK), 50)
    assert set(silent) == {None}
    talk.receiver.set_muted(talk.now, False)
    talk.is_sending = True
    back = talk.now
    talk.run(1.0)
    first = next(at for at, _, _, captured in talk.heard if captured is not None and at > back)
    assert first - back <= 0.045
    check(talk)


def test_reports_keep_lip_sync_over_a_mute_that_stopped_the_clock() -> None:
    talk = Talk()
    talk.has_running_clock = False
    talk.join()
    for _ in range(3):
        talk.run(2.0)
        talk.report()
    talk.receiver.set_muted(talk.now, True)
    talk.is_sending = False
    talk.run(5.0)
    talk.receiver.set_muted(talk.now, False)
    talk.is_sending = True
    for _ in range(4):
        talk.run(2.0)
        talk.report()
    talk.run(1.0)
    assert len(talk.reports) >= 4
    for at, report in talk.reports:
        _, _, timestamp, captured = max(one for one in talk.heard if one[0] <= at and one[3] is not None)
        assert captured is not None
        ahead = (report.rtp_timestamp - timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        assert report.ntp_timestamp / (1 << 32) - NTP_EPOCH - ahead / 48_000 == pytest.approx(captured, abs=0.002)


def test_a_track_that_is_muted_from_the_start_is_announced_by_silence() -> None:
    talk = Talk()
    talk.is_sending = False
    talk.receiver.set_muted(talk.now, True)
    talk.join().send_placeholders(talk.now)
    talk.run(1.0)
    assert len(talk.heard) == pytest.approx(45, abs=1)
    talk.receiver.set_muted(talk.now, False)
    talk.is_sending = True
    talk.run(1.0)
    assert talk.heard[-1][3] is not None
    check(talk)
