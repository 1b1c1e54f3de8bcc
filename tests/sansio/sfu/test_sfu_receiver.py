"""Receivers: liveness, repair, and the merging of key frame requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_kernel import FakeStream
from hypothesis import given, settings
from hypothesis import strategies as st
from sfu_rig import AUDIO, HIGH, Rig

from sansio.config import PliThrottleConfig
from sansio.kernel import AudioLevel, Notice, NoticeKind
from sansio.rtcp import Nack, Pli
from sansio.sfu import DimensionsChanged, FirstMedia, KeyFrame, LayersChanged, WantedLayers


def gap(stream: int, position: int, missing: int) -> Notice:
    return Notice(NoticeKind.GAP, stream, position=position, missing=missing)


def nacked(rig: Rig) -> list[tuple[float, tuple[int, ...]]]:
    return [(round(at - 100, 3), packet.sequence_numbers) for at, packet in rig.rtcp if isinstance(packet, Nack)]


# Liveness


def test_layers_are_live_with_their_first_packet() -> None:
    rig = Rig()
    rig.send(rig.streams[0])
    rig.send(rig.streams[2])
    changed = [event for event in rig.events if isinstance(event, LayersChanged)]
    assert changed == [LayersChanged((True, False, False)), LayersChanged((True, False, True))]
    assert rig.events.count(FirstMedia()) == 1
    assert rig.receiver.max_seen_spatial == 2
    assert rig.receiver.has_media


def test_a_stream_that_already_has_packets_is_live_when_it_is_added() -> None:
    rig = Rig(layers=0)
    stream = rig.kernel.stream()
    stream.send(rig.now, key=True)
    rig.receiver.add_layer(rig.now, 1, stream.slot, 7)
    rig.receiver.add_layer(rig.now, 1, stream.slot, 7)
    assert rig.receiver.layers == (False, True, False)
    assert rig.receiver.bound == (False, True, False)
    assert rig.receiver.poll_events() == [FirstMedia(), LayersChanged((False, True, False))]


def test_a_silent_layer_stops_within_two_cycles() -> None:
    rig = Rig()
    rig.send()
    rig.run(1.0, sending=tuple(rig.streams[:2]))
    assert rig.receiver.layers == (True, True, False)


def test_a_removed_layer_is_not_live() -> None:
    rig = Rig()
    rig.send()
    rig.receiver.remove_layer(rig.now, rig.streams[1].slot)
    rig.receiver.remove_layer(rig.now, 999)
    assert rig.receiver.layers == (True, False, True)
    assert rig.receiver.streams() == [rig.streams[0].slot, rig.streams[2].slot]
    assert rig.receiver.stream_of(1) is None
    assert rig.receiver.stats(1) is None
    for stream in (rig.streams[0], rig.streams[2]):
        rig.receiver.remove_layer(rig.now, stream.slot)
    assert rig.receiver.poll_timeout() is None


def test_a_goodbye_ends_its_layer_alone_until_the_next_key_frame() -> None:
    """RFC 3550 §6.6: libwebrtc says it of a layer that it pauses."""
    rig = Rig()
    down_track = rig.subscribe(HIGH)
    rig.send(key=True)
    third = rig.streams[2]
    assert rig.kernel.switches[-1].stream == third.slot
    rig.receiver.handle_notice(rig.now, gap(third.slot, 7, 2))
    rig.receiver.handle_goodbye(rig.now, third.slot)
    assert rig.receiver.layers == (True, True, False)
    rig.send(third)  # was under way
    rig.run(1.1, sending=tuple(rig.streams[:2]))
    assert rig.receiver.layers == (True, True, False)
    assert nacked(rig) == []
    rig.send(*rig.streams[:2], key=True)
    assert rig.kernel.switches[-1].stream == rig.streams[1].slot
    rig.send(key=True)
    assert rig.receiver.layers == (True, True, True)
    assert rig.kernel.switches[-1].stream == third.slot
    assert down_track.current_spatial == 2


def test_goodbyes_without_meaning_change_nothing() -> None:
    rig = Rig()
    rig.send()
    rig.receiver.handle_goodbye(rig.now, 999)
    assert rig.receiver.layers == (True, True, True)
    audio = Rig(kind="audio", layers=1)
    audio.send()
    audio.receiver.handle_goodbye(audio.now, audio.streams[0].slot)
    assert audio.receiver.layers == (True, False, False)
    rig.receiver.set_muted(rig.now, True)
    rig.receiver.handle_goodbye(rig.now, rig.streams[0].slot)
    rig.receiver.set_muted(rig.now, False)
    rig.send()
    rig.run(0.6, sending=tuple(rig.streams))
    assert rig.receiver.layers == (True, True, True)


def test_screen_shares_may_be_slow() -> None:
    rig = Rig(layers=1, is_screen_share=True)
    rig.send()
    rig.run(10.0, sending=tuple(rig.streams), interval=1.5)
    assert rig.receiver.layers == (True, False, False)


def test_nothing_is_judged_while_muted() -> None:
    rig = Rig()
    rig.send()
    rig.receiver.set_muted(rig.now, True)
    rig.run(10.0)
    assert all(rig.receiver.layers)
    assert rig.receiver.poll_timeout() is None
    rig.receiver.set_muted(rig.now, False)
    assert rig.receiver.layers == (False, False, False)
    rig.run(0.6)
    rig.send(rig.streams[2])
    rig.run(0.5, sending=(rig.streams[2],))
    assert rig.receiver.layers == (False, False, True)


def test_bitrates_are_measured_every_second() -> None:
    rig = Rig()
    rig.send()
    rig.run(5.0, sending=(rig.streams[1],), interval=0.1)
    assert rig.receiver.bitrate(1) == pytest.approx(80_000, rel=0.11)
    assert rig.receiver.bitrate(0) == 0
    assert rig.receiver.bitrate(5) == 0


def test_svc_layers_live_and_add_up_by_their_bytes() -> None:
    rig = Rig(layers=1, is_svc=True)
    stream = rig.streams[0]
    rig.send(key=True)
    for _ in range(20):
        rig.run(0.1)
        for layer in (0, 1, 4):
            stream.send(rig.now, layer=layer)
    rig.run(0.05)
    assert rig.receiver.layers == (True, True, False)
    assert rig.receiver.bound == (True, True, True)
    assert rig.receiver.bitrate(0, 0) == pytest.approx(80_000, rel=0.2)
    assert rig.receiver.bitrate(0, 1) == pytest.approx(160_000, rel=0.2)
    assert rig.receiver.bitrate(1) == pytest.approx(240_000, rel=0.2)


def test_audio_has_no_cycles() -> None:
    rig = Rig(kind="audio", layers=1)
    rig.send()
    assert rig.receiver.layers == (True, False, False)
    assert rig.receiver.poll_timeout() is None


def test_audio_levels_are_the_kernels() -> None:
    rig = Rig(kind="audio", layers=0)
    assert rig.receiver.take_audio_level(35) == AudioLevel(0.0, 0.0, 127)
    stream = rig.add_stream()
    stream.level = AudioLevel(400.0, 300.0, 12)
    assert rig.receiver.take_audio_level(35) == AudioLevel(400.0, 300.0, 12)
    rig.kernel.forget()
    assert rig.receiver.take_audio_level(35).observed_ms == 0


def test_notices_of_other_tracks_are_ignored() -> None:
    rig = Rig()
    for kind in NoticeKind:
        rig.receiver.handle_notice(rig.now, Notice(kind, stream=999))
        rig.receiver.handle_notice(rig.now, Notice(kind, leg=999))
    rig.receiver.handle_notice(rig.now, Notice(NoticeKind.RTCP, stream=rig.streams[0].slot))
    assert rig.receiver.poll_events() == []


# Repair


def test_a_gap_is_nacked_after_a_moment_and_until_it_is_filled() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    stream = rig.streams[0]
    stream.send(rig.now, packets=10)
    stream.missing |= {1005, 1006}
    rig.receiver.handle_notice(rig.now, gap(stream.slot, 1005, 2))
    rig.run(0.05)
    stream.missing.discard(1005)
    rig.run(0.3)
    numbers = nacked(rig)
    assert numbers[0] == (0.02, (1005, 1006))
    assert [one for _, one in numbers[1:3]] == [(1006,), (1006,)]
    stream.missing.clear()
    rig.rtcp.clear()
    rig.run(1.0)
    assert nacked(rig) == []


def test_nacks_carry_16_bits_and_the_media_ssrc() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 65_535, 2))
    rig.run(0.03)
    ((_, packet),) = [(at, packet) for at, packet in rig.rtcp if isinstance(packet, Nack)]
    assert packet.sequence_numbers == (65_535, 0)
    assert packet.media_ssrc == 100 + rig.streams[0].slot


def test_no_nacks_where_they_were_not_agreed() -> None:
    rig = Rig(kind="audio", layers=1, nack=False)
    rig.send()
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 1001, 2))
    rig.run(1.0)
    assert rig.rtcp == []


def test_a_wide_gap_asks_for_a_key_frame_instead() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 1001, 101))
    rig.run(0.2)
    assert [type(packet) for _, packet in rig.rtcp] == [Pli]


def test_a_muted_track_is_not_repaired() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 1001, 1))
    rig.receiver.set_muted(rig.now, True)
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 1005, 1))
    rig.receiver.request_key_frame(rig.now, 0)
    rig.run(1.0)
    assert rig.rtcp == []


def test_the_round_trip_paces_nacks() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    rig.receiver.set_rtt(0.2)
    assert rig.receiver.rtt == 0.2
    rig.receiver.handle_notice(rig.now, gap(rig.streams[0].slot, 5000, 1))
    rig.run(0.5)
    assert [at for at, _ in nacked(rig)] == [0.02, 0.22, 0.47]


# Key frame requests


def test_requests_are_merged_and_a_throttled_one_is_sent_when_the_throttle_ends() -> None:
    rig = Rig()
    rig.send(key=True)
    for _ in range(3):
        rig.receiver.request_key_frame(rig.now, 0)
    rig.run(0.2, sending=tuple(rig.streams))
    rig.receiver.request_key_frame(rig.now, 0)
    rig.run(2.0, sending=tuple(rig.streams))
    assert [at for at, _ in rig.plis()] == [0.0, 0.5]


def test_a_key_frame_that_came_meanwhile_serves_a_throttled_request() -> None:
    rig = Rig(layers=1)
    rig.send(key=True)
    rig.receiver.request_key_frame(rig.now, 0)
    rig.receiver.request_key_frame(rig.now, 0)
    rig.run(0.2)
    rig.send(key=True)
    rig.run(2.0)
    assert [at for at, _ in rig.plis()] == [0.0]


@pytest.mark.parametrize(("spatial", "interval"), [(0, 0.4), (1, 0.8), (2, 1.2)])
def test_each_layer_has_its_throttle(spatial: int, interval: float) -> None:
    throttle = PliThrottleConfig(low_quality=0.4, mid_quality=0.8, high_quality=1.2)
    rig = Rig(throttle=throttle)
    rig.send(key=True)
    rig.receiver.request_key_frame(rig.now, spatial)
    rig.run(0.01)
    rig.receiver.request_key_frame(rig.now, spatial)
    rig.run(3.0)
    assert [at for at, _ in rig.plis()] == pytest.approx([0.0, interval])


def test_requests_for_what_is_not_there_are_dropped() -> None:
    rig = Rig(layers=1)
    rig.receiver.request_key_frame(rig.now, 2)
    audio = Rig(kind="audio", layers=1)
    audio.receiver.request_key_frame(rig.now, 0)
    rig.drain()
    audio.drain()
    assert rig.rtcp == audio.rtcp == []


def test_many_who_wait_cost_one_request() -> None:
    rig = Rig()
    rig.send(key=True)
    rig.run(1.0, sending=tuple(rig.streams))
    rig.plis()
    for _ in range(50):
        rig.subscribe(HIGH)
        rig.run(0.01)
    assert len(rig.plis()) == 1
    rig.send(rig.streams[2], key=True)
    assert len(rig.kernel.switches) == 50
    assert all(down_track.current_spatial == 2 for down_track in rig.down_tracks)
    rig.run(0.9, sending=tuple(rig.streams))
    assert rig.plis() == []


def test_streams_are_watched_only_while_it_matters() -> None:
    rig = Rig()
    assert all(stream.watched for stream in rig.streams)
    rig.send(key=True)
    rig.run(1.0, sending=tuple(rig.streams))
    assert not any(stream.watched for stream in rig.streams)
    rig.subscribe(HIGH)
    assert all(stream.watched for stream in rig.streams)
    rig.send(rig.streams[2], key=True)
    assert not any(stream.watched for stream in rig.streams)


def test_key_frames_are_told_with_their_size() -> None:
    rig = Rig(layers=1)
    rig.subscribe(HIGH)
    rig.send()
    rig.events.clear()
    stream = rig.streams[0]
    for _ in range(2):
        notice = stream.send(rig.now, key=True)._replace(width=640, height=360)
        rig.receiver.handle_notice(rig.now, notice)
    rig.drain()
    key_frame, dimensions, *rest = rig.events
    assert isinstance(key_frame, KeyFrame)
    assert (key_frame.spatial, key_frame.stream, key_frame.width) == (0, stream.slot, 640)
    assert dimensions == DimensionsChanged(spatial=0, width=640, height=360)
    assert len(rest) == 1
    assert rig.receiver.dimensions(0) == (640, 360)
    assert rig.receiver.dimensions(1) is None


def test_a_new_track_is_asked_for_its_first_key_frame_for_half_a_minute() -> None:
    rig = Rig(layers=1)
    rig.run(40.0, sending=tuple(rig.streams))
    assert len(rig.plis()) == pytest.approx(29, abs=1)


def test_a_key_frame_that_came_unseen_ends_the_asking() -> None:
    rig = Rig(layers=1)
    rig.send()
    rig.streams[0].watched = False
    rig.send(key=True)
    rig.run(3.0, sending=tuple(rig.streams))
    assert rig.plis() == []


def test_sender_reports_are_kept_unless_they_go_back() -> None:
    rig = Rig(layers=1)
    slot = rig.streams[0].slot
    rig.receiver.handle_sender_report(1.0, slot, 100 << 32, 5000, 1.0)
    rig.receiver.handle_sender_report(2.0, slot, 99 << 32, 6000, 2.0)
    rig.receiver.handle_sender_report(2.0, slot, 101 << 32, 4000, 2.0)
    rig.receiver.handle_sender_report(2.0, 999, 102 << 32, 9000, 2.0)
    report = rig.receiver.sender_report(0)
    assert report is not None
    assert report.rtp_timestamp == 5000
    assert rig.receiver.sender_report(1) is None


# Everything at once


class Chaos:
    """A track to which anything may happen; each operation takes two small numbers."""

    def __init__(self, kind: str) -> None:
        self.is_simulcast = kind == "video"
        self.wanted = AUDIO if kind == "audio" else HIGH
        self.rig = Rig(kind="audio" if kind == "audio" else "video", layers=0, is_svc=kind == "svc")
        self.layers: dict[int, FakeStream] = {}
        self.operations: dict[str, Callable[[int, int], object]] = {
            "send": lambda a, b: self.send(a, b, key=False),
            "key": lambda a, b: self.send(a, b, key=True),
            "wait": lambda a, b: self.rig.run((0.01, 0.3, 1.1, 8.0)[b]),
            "want": lambda a, b: self.want(b, WantedLayers(a, b)),
            "off": lambda a, b: self.want(b, None),
            "mute": lambda a, b: self.rig.receiver.set_muted(self.rig.now, True),
            "unmute": lambda a, b: self.rig.receiver.set_muted(self.rig.now, False),
            "replace": lambda a, b: self.replace(a),
            "remove": lambda a, b: self.remove(a),
            "report": lambda a, b: self.rig.report(self.layers[a]) if a in self.layers else None,
            "gap": lambda a, b: self.gap(a, b),
            "join": lambda a, b: self.rig.subscribe(self.wanted),
            "leave": lambda a, b: self.leave(b),
        }

    def send(self, spatial: int, packets: int, *, key: bool) -> None:
        if spatial in self.layers:
            self.rig.send(self.layers[spatial], key=key, packets=1 + packets)

    def want(self, number: int, wanted: WantedLayers | None) -> None:
        if self.rig.down_tracks:
            self.rig.down_tracks[number % len(self.rig.down_tracks)].set_wanted(self.rig.now, wanted)

    def replace(self, spatial: int) -> None:
        spatial = spatial if self.is_simulcast else 0
        self.layers[spatial] = self.rig.add_stream(spatial)

    def remove(self, spatial: int) -> None:
        if spatial in self.layers:
            self.rig.receiver.remove_layer(self.rig.now, self.layers.pop(spatial).slot)

    def gap(self, spatial: int, width: int) -> None:
        if spatial in self.layers:
            self.rig.receiver.handle_notice(self.rig.now, gap(self.layers[spatial].slot, 1000, width * 40))

    def leave(self, number: int) -> None:
        if self.rig.down_tracks:
            self.rig.down_tracks.pop(number % len(self.rig.down_tracks)).close(self.rig.now)

    def settle(self) -> None:
        """Peace, and key frames on every layer."""
        self.rig.receiver.set_muted(self.rig.now, False)
        self.rig.run(3.0)
        for spatial in range(3 if self.is_simulcast else 1):
            if spatial not in self.layers:
                self.replace(spatial)
        for _ in range(4):  # switches into the past may be refused a few times
            self.rig.run(0.6)
            self.rig.send(*self.layers.values(), key=True)
        self.rig.run(0.1)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(sorted(Chaos("video").operations)), st.integers(0, 2), st.integers(0, 3)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.sampled_from(["video", "audio", "svc"]))
def test_whatever_happens_time_goes_forward_and_nobody_is_forgotten(
    operations: list[tuple[str, int, int]], kind: str
) -> None:
    chaos = Chaos(kind)
    rig = chaos.rig
    for operation, first, second in operations:
        chaos.operations[operation](first, second)
        rig.drain()
    chaos.settle()
    timestamps: dict[int, int] = {}
    for switch in rig.kernel.switches:
        assert switch.timestamp > timestamps.get(switch.leg, -1)
        timestamps[switch.leg] = switch.timestamp
    for down_track in rig.down_tracks:
        assert down_track.is_forwarding == (down_track.wanted is not None)
