"""Down tracks: when they enter which layer, and what leaves them."""

from __future__ import annotations

import pytest
from fake_kernel import FakeStream, make_leg
from sfu_rig import AUDIO, HIGH, SECOND_NTP, Rig

from sansio.kernel import LegMode, Notice, NoticeKind
from sansio.rtcp import Fir, Nack, Pli, ReceiverReport, ReportBlock, SdesChunk, SenderReport, SourceDescription
from sansio.rtp import vp8
from sansio.sfu import (
    DownTrack,
    LayerChanged,
    MaxLayerChanged,
    PlayoutDelay,
    Quality,
    Started,
    TrackReceiver,
    WantedLayers,
)
from sansio.sfu.receiver import DEFAULT_RTT

LOW, MEDIUM = WantedLayers(0), WantedLayers(1)


def live_rig(**options: object) -> Rig:
    """Three layers that have been running for a second, with sender reports."""
    rig = Rig(**options)  # type: ignore[arg-type]
    rig.send(key=True)
    rig.run(1.0, sending=tuple(rig.streams))
    for stream in rig.streams:
        rig.report(stream)
    rig.plis()
    return rig


def streams_entered(rig: Rig) -> list[int]:
    order = {stream.slot: index for index, stream in enumerate(rig.streams)}
    return [order[switch.stream] for switch in rig.kernel.switches]


# Starting


def test_nothing_is_forwarded_before_a_key_frame() -> None:
    rig = live_rig()
    rig.subscribe(HIGH)
    rig.run(0.1, sending=tuple(rig.streams), interval=0.02)
    assert rig.kernel.switches == []
    assert rig.plis() == [(1.0, rig.streams[2].slot)]


def test_a_late_joiner_starts_at_the_first_key_frame_of_its_layer() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.run(0.05)
    rig.send(rig.streams[2], key=True, packets=5)
    (switch,) = rig.kernel.switches
    last = rig.streams[2].stats
    assert (switch.stream, switch.position) == (rig.streams[2].slot, last.highest_position - 4)
    assert switch.timestamp == last.last_timestamp
    assert rig.down_events[down_track] == [MaxLayerChanged(2, Quality.HIGH), Started(), LayerChanged(2)]


def test_a_lower_key_frame_shows_something_until_the_wanted_layer_comes() -> None:
    rig = live_rig()
    rig.subscribe(HIGH)
    rig.send(rig.streams[0], key=True)
    rig.send(rig.streams[2], key=True)
    assert streams_entered(rig) == [0, 2]
    assert not any(stream.watched for stream in rig.streams)


def test_people_who_join_together_share_a_key_frame() -> None:
    rig = live_rig()
    rig.subscribe(HIGH)
    rig.run(0.05)
    rig.send(rig.streams[2], key=True, packets=4)
    rig.run(0.2, sending=(rig.streams[2],))
    rig.plis()
    rig.subscribe(HIGH)
    assert streams_entered(rig) == [2, 2]
    assert rig.kernel.switches[0].position == rig.kernel.switches[1].position
    assert rig.plis() == []


def test_a_key_frame_of_half_a_second_ago_is_not_replayed() -> None:
    rig = live_rig()
    rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(0.5, sending=(rig.streams[2],))
    rig.subscribe(HIGH)
    assert streams_entered(rig) == [2]


def test_a_subscriber_that_was_there_before_the_publisher_starts_with_its_first_packet() -> None:
    rig = Rig(layers=0)
    rig.subscribe(HIGH)
    stream = rig.add_stream(0)
    rig.send(stream, key=True)
    assert [switch.position for switch in rig.kernel.switches] == [1000]


def test_a_stream_that_begins_without_a_key_frame_is_asked_for_one() -> None:
    rig = Rig(layers=1)
    rig.subscribe(HIGH)
    rig.send(rig.streams[0])
    rig.run(1.2, sending=tuple(rig.streams))
    assert rig.kernel.switches == []
    assert len(rig.plis()) >= 2


def test_key_frame_requests_are_repeated_at_the_pace_of_the_throttle() -> None:
    rig = live_rig()
    rig.subscribe(LOW)
    rig.run(1.9, sending=tuple(rig.streams))
    assert rig.plis() == [(at, rig.streams[0].slot) for at in (1.0, 1.5, 2.0, 2.5)]


# Layers


def test_the_wanted_layer_bounds_the_choice() -> None:
    rig = live_rig()
    rig.subscribe(MEDIUM)
    rig.send(key=True)
    assert streams_entered(rig) == [0, 1]


def test_a_step_up_keeps_the_old_layer_until_the_key_frame() -> None:
    rig = live_rig()
    down_track = rig.subscribe(LOW)
    rig.send(key=True)
    rig.plis()
    down_track.set_wanted(rig.now, HIGH)
    rig.run(0.3, sending=tuple(rig.streams))
    assert down_track.current_spatial == 0
    assert not rig.kernel.detached
    assert [slot for _, slot in rig.plis()] == [rig.streams[2].slot]
    rig.send(rig.streams[2], key=True)
    assert down_track.current_spatial == 2


def test_a_step_down_ends_at_the_key_frame_and_the_old_layer_is_needed_till_then() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(0.5, sending=tuple(rig.streams))
    down_track.set_wanted(rig.now, LOW)
    rig.drain()
    assert down_track.max_spatial == 2
    rig.send(rig.streams[0], key=True)
    assert down_track.current_spatial == 0
    assert rig.down_events[down_track][-1] == MaxLayerChanged(0, Quality.LOW)


def test_a_dead_layer_is_left_for_a_live_one_below() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.plis()
    rig.run(1.1, sending=tuple(rig.streams[:2]))
    assert rig.receiver.layers == (True, True, False)
    assert [slot for _, slot in rig.plis()] == [rig.streams[1].slot]
    rig.send(rig.streams[1], key=True)
    assert down_track.current_spatial == 1


def test_a_layer_that_failed_must_prove_itself_before_subscribers_return() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(1.1, sending=tuple(rig.streams[:2]))
    rig.send(rig.streams[1], key=True)
    rig.run(5.0, sending=tuple(rig.streams))
    rig.send(key=True)
    assert down_track.current_spatial == 1
    rig.run(6.0, sending=tuple(rig.streams))
    rig.send(key=True)
    assert down_track.current_spatial == 2


def test_a_layer_that_nobody_watched_returns_with_its_first_key_frame() -> None:
    rig = live_rig()
    down_track = rig.subscribe(LOW)
    rig.send(key=True)
    rig.run(8.0, sending=tuple(rig.streams[:1]))
    assert rig.receiver.layers == (True, False, False)
    down_track.set_wanted(rig.now, HIGH)
    rig.run(0.3, sending=tuple(rig.streams[:1]))
    rig.send(rig.streams[2], key=True)
    assert down_track.current_spatial == 2


def test_a_track_that_fell_silent_altogether_returns_to_where_it_was() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(0.3, sending=tuple(rig.streams[:2]))
    rig.run(3.0)
    assert rig.receiver.layers == (False, False, False)
    rig.run(1.0, sending=tuple(rig.streams))
    assert rig.receiver.layers == (True, True, True)
    rig.send(rig.streams[0], key=True)
    assert down_track.current_spatial == 2


def test_what_was_already_sent_is_not_shown_again() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(0.1, sending=tuple(rig.streams), interval=0.05)
    down_track.set_wanted(rig.now, None)
    down_track.set_wanted(rig.now, HIGH)
    assert len(rig.kernel.switches) == 1
    rig.run(0.1)
    rig.send(rig.streams[2], key=True)
    assert len(rig.kernel.switches) == 2


def test_only_a_higher_layer_lives() -> None:
    rig = Rig()
    rig.subscribe(LOW)
    rig.send(rig.streams[2], key=True)
    assert streams_entered(rig) == [2]


def test_a_lone_layer_that_pauses_keeps_its_leg() -> None:
    rig = Rig(layers=1)
    down_track = rig.subscribe(HIGH)
    rig.send(key=True)
    rig.run(3.0)
    assert rig.receiver.layers == (False, False, False)
    assert down_track.is_forwarding
    assert rig.kernel.detached == []


def test_a_new_ssrc_of_the_same_layer_is_entered_through_a_key_frame() -> None:
    rig = live_rig(layers=1)
    down_track = rig.subscribe(HIGH)
    rig.send(key=True)
    before = rig.kernel.leg_state[down_track.leg].last_timestamp
    rig.run(0.5)
    stream = rig.add_stream(0)
    assert not down_track.is_forwarding
    rig.send(stream, key=True)
    assert streams_entered(rig)[-1] == len(rig.streams) - 1
    assert rig.kernel.switches[-1].timestamp == before + 45_000


def test_a_removed_layer_is_left_at_once() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(0.4)
    rig.receiver.remove_layer(rig.now, rig.streams[2].slot)
    assert not down_track.is_forwarding
    rig.send(rig.streams[1], key=True)
    assert down_track.current_spatial == 1


# Timestamps


def test_a_layer_switch_keeps_time_by_sender_reports() -> None:
    rig = live_rig()
    down_track = rig.subscribe(LOW)
    rig.send(rig.streams[0], key=True)
    down_track.set_wanted(rig.now, HIGH)
    rig.run(0.25)
    rig.streams[2].send(rig.now, elapsed=0.25)  # a clock in step with arrivals
    rig.send(rig.streams[2], key=True)
    first, second = rig.kernel.switches
    assert second.timestamp - first.timestamp == pytest.approx(0.25 * 90_000, abs=2)


def test_a_layer_switch_without_reports_keeps_time_by_arrival() -> None:
    rig = Rig()
    rig.send(key=True)
    rig.run(1.0, sending=tuple(rig.streams))
    down_track = rig.subscribe(LOW)
    rig.send(rig.streams[0], key=True)
    down_track.set_wanted(rig.now, HIGH)
    rig.run(0.25)
    rig.send(rig.streams[2], key=True)
    first, second = rig.kernel.switches
    assert second.timestamp - first.timestamp == pytest.approx(0.25 * 90_000, abs=2)


def test_a_switch_into_the_past_is_refused_a_few_times() -> None:
    rig = live_rig()
    down_track = rig.subscribe(LOW)
    rig.send(rig.streams[0], key=True)
    down_track.set_wanted(rig.now, HIGH)
    for attempt in range(4):
        assert down_track.current_spatial == 0, attempt
        rig.run(0.1)
        rig.send(rig.streams[0])
        notice = rig.streams[2].send(rig.now, key=True, elapsed=0.0)  # its clock stands still: ever older frames
        rig.receiver.handle_notice(rig.now, notice)
    assert down_track.current_spatial == 2
    assert rig.kernel.switches[-1].timestamp > rig.kernel.switches[0].timestamp


# Off and on


def test_a_disabled_subscription_returns_through_a_key_frame() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    down_track.set_wanted(rig.now, None)
    rig.drain()
    assert rig.kernel.detached == [down_track.leg]
    assert rig.down_events[down_track][-1] == MaxLayerChanged(-1, Quality.OFF)
    assert down_track.poll_timeout() is None
    rig.run(1.0, sending=tuple(rig.streams))
    rig.plis()
    down_track.set_wanted(rig.now, HIGH)
    rig.drain()
    assert [slot for _, slot in rig.plis()] == [rig.streams[2].slot]
    rig.send(rig.streams[2], key=True)
    assert down_track.is_forwarding
    assert rig.kernel.switches[1].timestamp - rig.kernel.switches[0].timestamp == pytest.approx(90_000, abs=2)


def test_a_publishers_mute_keeps_the_wanted_layer_upstream() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.down_events[down_track].clear()
    rig.receiver.set_muted(rig.now, True)
    rig.drain()
    assert not down_track.is_forwarding
    assert down_track.max_spatial == 2
    assert rig.down_events[down_track] == []
    assert rig.receiver.poll_timeout() is None


def test_unmute_asks_for_a_key_frame_at_once_and_takes_the_first() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.receiver.set_muted(rig.now, True)
    rig.run(10.0)
    rig.plis()
    rig.receiver.set_muted(rig.now, False)
    rig.drain()
    assert [slot for _, slot in rig.plis()] == [rig.streams[2].slot]
    rig.run(0.7)  # a camera needs its time; that is no failure
    rig.send(rig.streams[2], key=True)
    assert down_track.current_spatial == 2


def test_time_does_not_stand_still_over_a_mute() -> None:
    rig = live_rig(layers=1)
    rig.subscribe(HIGH)
    rig.send(key=True)
    rig.receiver.set_muted(rig.now, True)
    rig.run(10.0)
    rig.receiver.set_muted(rig.now, False)
    stream = rig.streams[0]
    rig.receiver.handle_notice(rig.now, stream.send(rig.now, key=True, elapsed=0.03))  # its clock stood still
    first, second = rig.kernel.switches
    assert second.timestamp - first.timestamp == pytest.approx(900_000, abs=2)


def test_a_down_track_made_while_the_publisher_is_muted_starts_after_it() -> None:
    rig = live_rig()
    rig.receiver.set_muted(rig.now, True)
    down_track = rig.subscribe(HIGH)
    assert rig.plis() == []
    rig.receiver.set_muted(rig.now, False)
    rig.send(rig.streams[2], key=True)
    assert down_track.is_forwarding


def test_temporal_layers_are_the_kernels_ceiling() -> None:
    rig = live_rig()
    down_track = rig.subscribe(WantedLayers(2, 1), mode=LegMode.VP8)
    assert rig.kernel.legs[down_track.leg].max_temporal == 1
    down_track.set_wanted(rig.now, WantedLayers(2, 3))
    assert rig.kernel.legs[down_track.leg].max_temporal == 3
    down_track.set_leg(make_leg(ssrc=down_track.ssrc, payload_types={96: 120}))
    assert rig.kernel.legs[down_track.leg].max_temporal == 3
    assert rig.kernel.legs[down_track.leg].payload_types == {96: 120}


# SVC


def test_svc_has_one_source_and_ceilings() -> None:
    rig = Rig(layers=1, is_svc=True)
    down_track = rig.subscribe(MEDIUM, mode=LegMode.SVC)
    rig.send(key=True)
    assert len(rig.kernel.switches) == 1
    assert rig.kernel.legs[down_track.leg].max_spatial == 1
    rig.receiver.handle_notice(rig.now, Notice(NoticeKind.MARKED_SWITCH, leg=down_track.leg, spatial=1, temporal=2))
    rig.drain()
    assert down_track.current_spatial == 1
    assert LayerChanged(1) in rig.down_events[down_track]
    down_track.set_wanted(rig.now, HIGH)
    assert rig.kernel.legs[down_track.leg].max_spatial == 2
    assert len(rig.kernel.switches) == 1


def watched(rig: Rig) -> list[FakeStream]:
    return [stream for stream in rig.streams if stream.watched]


def test_svc_asks_for_a_key_frame_when_it_wants_more_and_when_the_kernel_does() -> None:
    rig = Rig(layers=1, is_svc=True)
    down_track = rig.subscribe(LOW, mode=LegMode.SVC)
    stream = rig.streams[0]
    rig.send(key=True)
    for layer in (0, 4, 8):
        stream.send(rig.now, layer=layer)
    rig.receiver.handle_notice(rig.now, Notice(NoticeKind.MARKED_SWITCH, leg=down_track.leg, spatial=0, temporal=0))
    rig.run(0.6)
    rig.plis()
    assert all(rig.receiver.layers)
    down_track.set_wanted(rig.now, HIGH)
    rig.drain()
    assert len(rig.plis()) == 1
    rig.receiver.handle_notice(rig.now, Notice(NoticeKind.MARKED_SWITCH, leg=down_track.leg, spatial=2, temporal=0))
    assert watched(rig) == []
    rig.run(1.0, sending=(stream,))
    rig.receiver.handle_notice(rig.now, Notice(NoticeKind.LEG_NEEDS_KEY_FRAME, leg=down_track.leg))
    rig.drain()
    assert len(rig.plis()) == 1
    assert watched(rig) == [stream]
    rig.send(stream, key=True)
    assert watched(rig) == []
    assert len(rig.kernel.switches) == 1


# Audio


def audio_rig() -> Rig:
    rig = Rig(kind="audio", layers=1)
    rig.send()
    rig.run(0.5, sending=tuple(rig.streams), interval=0.02)
    return rig


def test_audio_starts_at_the_newest_packet() -> None:
    rig = audio_rig()
    rig.subscribe(AUDIO)
    (switch,) = rig.kernel.switches
    assert switch.position == rig.streams[0].stats.highest_position
    assert rig.rtcp == []


def test_audio_that_never_came_starts_with_its_first_packet() -> None:
    rig = Rig(kind="audio", layers=1)
    rig.subscribe(AUDIO)
    rig.send()
    assert [switch.position for switch in rig.kernel.switches] == [1000]


def test_audio_that_fell_silent_starts_with_the_next_packet() -> None:
    rig = audio_rig()
    rig.run(5.0)
    rig.subscribe(AUDIO)
    rig.run(2.0)
    assert rig.kernel.switches == []
    stream = rig.streams[0]
    stream.send(rig.now, elapsed=7.0)
    rig.run(0.1)
    assert [switch.position for switch in rig.kernel.switches] == [stream.stats.highest_position]
    assert rig.receiver.poll_timeout() is None


def test_a_mute_ends_in_a_second_of_silence() -> None:
    rig = audio_rig()
    down_track = rig.subscribe(AUDIO)
    rig.receiver.set_muted(rig.now, True)
    rig.run(3.0)
    assert len(rig.kernel.injected) == 50
    times = [at for at, *_ in rig.kernel.injected]
    assert times[-1] - times[0] == pytest.approx(0.98)
    _, leg, payload, step, padding = rig.kernel.injected[0]
    assert (leg, payload[:3], len(payload), step, padding) == (down_track.leg, b"\xf8\xff\xfe", 80, 960, 0)


@pytest.mark.parametrize("phase", [0.0, 0.003, 0.017])
def test_silence_ends_when_the_talker_is_back(phase: float) -> None:
    rig = audio_rig()
    rig.subscribe(AUDIO)
    rig.receiver.set_muted(rig.now, True)
    rig.run(0.3 + phase, sending=tuple(rig.streams), interval=0.02)
    count = len(rig.kernel.injected)
    rig.receiver.set_muted(rig.now, False)
    rig.run(0.045, sending=tuple(rig.streams), interval=0.02)
    assert len(rig.kernel.injected) == count
    assert len(rig.kernel.switches) == 2
    assert rig.kernel.switches[1].timestamp > rig.kernel.switches[0].timestamp


PLAIN = LegMode.PLAIN
OPUS, RED = b"\xf8\xff\xfe", b"\x6f\xf8\xff\xfe"


@pytest.mark.parametrize(
    ("mime_type", "mode", "payload_types", "start", "payload_type"),
    [
        ("audio/opus", PLAIN, {111: 109, 63: 63, 0: 0}, OPUS, 109),
        ("audio/opus", PLAIN, {96: 96}, OPUS, None),
        ("audio/red", PLAIN, {111: 111, 63: 63}, OPUS, 111),
        ("audio/red", PLAIN, {63: 63}, RED, None),
        ("audio/red", LegMode.RED_TO_OPUS, {63: 111}, OPUS, None),
        ("audio/opus", LegMode.OPUS_TO_RED, {111: 109}, OPUS, 109),
        ("audio/PCMU", PLAIN, {111: 111, 0: 0}, b"\xff\xff", 0),
        ("audio/PCMA", PLAIN, {8: 8}, b"\xd5\xd5", 8),
    ],
)
def test_silence_is_in_the_subscribers_codec(
    mime_type: str, mode: LegMode, payload_types: dict[int, int], start: bytes, payload_type: int | None
) -> None:
    rig = Rig(kind="audio", layers=1, mime_type=mime_type)
    rig.send()
    rig.subscribe(AUDIO, mode=mode, payload_types=payload_types)
    rig.receiver.set_muted(rig.now, True)
    rig.run(0.1)
    assert len(rig.kernel.injected) == 6
    assert all(entry[2].startswith(start) for entry in rig.kernel.injected)
    assert set(rig.kernel.injected_types) == {payload_type}


def test_unknown_codecs_fall_silent_without_help() -> None:
    rig = Rig(kind="audio", layers=1, mime_type="audio/G722")
    rig.send()
    rig.subscribe(AUDIO)
    rig.receiver.set_muted(rig.now, True)
    rig.run(0.1)
    assert rig.kernel.injected == []


@pytest.mark.parametrize("mime_type", ["audio/opus", "audio/red", "audio/PCMU", "audio/PCMA"])
def test_silence_on_an_encrypted_track_ends_with_the_rooms_trailer(mime_type: str) -> None:
    """E2EE clients pass on undecrypted what ends so."""
    rig = Rig(kind="audio", layers=1, mime_type=mime_type)
    rig.send()
    rig.subscribe(AUDIO, trailer=b"of the room", payload_types={63: 63})
    rig.receiver.set_muted(rig.now, True)
    rig.run(0.1)
    assert len(rig.kernel.injected) == 6
    assert all(payload.endswith(b"of the room") for _, _, payload, _, _ in rig.kernel.injected)


@pytest.mark.parametrize(("kind", "interval", "padding"), [("audio", 0.02, 0), ("video", 0.1, 255)])
def test_placeholders_for_a_muted_track_last_five_seconds(kind: str, interval: float, padding: int) -> None:
    rig = Rig(kind=kind, layers=1)
    rig.receiver.set_muted(rig.now, True)
    down_track = rig.subscribe(HIGH)
    down_track.send_placeholders(rig.now)
    rig.run(8.0)
    assert len(rig.kernel.injected) == round(5.0 / interval)
    assert {entry[4] for entry in rig.kernel.injected} == {padding}
    assert rig.kernel.injected[0][0] == pytest.approx(100.1)


def test_placeholders_end_with_the_first_receiver_report() -> None:
    rig = Rig(kind="video", layers=1)
    rig.receiver.set_muted(rig.now, True)
    down_track = rig.subscribe(HIGH)
    down_track.send_placeholders(rig.now)
    rig.run(0.35)
    down_track.handle_rtcp(rig.now, ReceiverReport(1, (ReportBlock(ssrc=down_track.ssrc),)))
    count = len(rig.kernel.injected)
    rig.run(3.0)
    assert len(rig.kernel.injected) == count == 3


# Reports


def test_sender_reports_carry_the_publishers_clock() -> None:
    rig = live_rig(layers=1)
    rig.subscribe(HIGH)
    rig.send(key=True)
    entered_at, outgoing = rig.now, rig.kernel.switches[0].timestamp
    rig.run(0.1)
    rig.send()
    rig.report(rig.streams[0])
    rig.run(7.0)
    assert len(rig.reports) == 3
    for (at, down_track, (report, description)), gap in zip(rig.reports, (None, 3.0, 3.0), strict=True):
        assert isinstance(report, SenderReport)
        assert report.ssrc == down_track.ssrc
        assert report.ntp_timestamp / SECOND_NTP == pytest.approx(at + 1000)
        assert report.rtp_timestamp == pytest.approx(outgoing + (at - entered_at) * 90_000, abs=3)
        assert description == SourceDescription((SdesChunk(down_track.ssrc, ((1, "alice"), (15, "0"))),))
        assert gap is None or at - rig.reports[0][0] >= gap - 1e-6
    assert rig.reports[0][0] - entered_at < 1


def test_a_late_joiners_report_may_use_what_the_publisher_said_before() -> None:
    rig = live_rig(layers=1)
    rig.run(1.0, sending=tuple(rig.streams))
    rig.subscribe(HIGH)
    rig.send(key=True)
    rig.run(1.0)
    assert len(rig.reports) == 1


def test_no_report_from_before_a_switch_is_used_after_it() -> None:
    rig = live_rig(layers=1)
    rig.subscribe(HIGH)
    rig.send(key=True)
    rig.receiver.set_muted(rig.now, True)
    rig.run(10.0)
    rig.receiver.set_muted(rig.now, False)
    rig.run(0.1)
    rig.send(key=True)
    rig.reports.clear()
    rig.run(4.0, sending=tuple(rig.streams))
    assert rig.reports == []
    rig.report(rig.streams[0])
    rig.run(1.0)
    assert len(rig.reports) == 1


def test_a_paused_track_sends_no_reports() -> None:
    rig = live_rig(layers=1)
    down_track = rig.subscribe(HIGH)
    rig.send(key=True)
    rig.run(1.0)
    down_track.set_wanted(rig.now, None)
    rig.reports.clear()
    rig.run(10.0)
    assert rig.reports == []


# Feedback


def playing() -> tuple[Rig, DownTrack]:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.run(2.0, sending=tuple(rig.streams))
    rig.plis()
    return rig, down_track


def test_a_nack_is_answered_by_the_kernel() -> None:
    rig, down_track = playing()
    down_track.handle_rtcp(rig.now, Nack(sender_ssrc=1, media_ssrc=down_track.ssrc, sequence_numbers=(5, 6)))
    down_track.handle_rtcp(rig.now, Nack(sender_ssrc=1, media_ssrc=down_track.ssrc + 1, sequence_numbers=(7,)))
    assert rig.kernel.retransmitted == [(down_track.leg, (5, 6), DEFAULT_RTT)]


@pytest.mark.parametrize("is_fir", [False, True])
def test_a_subscribers_key_frame_request_goes_upstream(is_fir: bool) -> None:
    rig, down_track = playing()
    ssrc = down_track.ssrc
    packet = Fir(sender_ssrc=1, entries=((ssrc, 1),)) if is_fir else Pli(1, ssrc)
    down_track.handle_rtcp(rig.now, packet)
    down_track.handle_rtcp(rig.now, Pli(1, ssrc + 1))
    rig.drain()
    assert [slot for _, slot in rig.plis()] == [rig.streams[2].slot]
    assert down_track.current_spatial == 2


def gets_repair(rig: Rig, down_track: DownTrack) -> bool:
    """Whether a NACK of the subscriber is answered now."""
    rig.kernel.retransmitted.clear()
    down_track.handle_rtcp(rig.now, Nack(sender_ssrc=1, media_ssrc=down_track.ssrc, sequence_numbers=(5,)))
    return bool(rig.kernel.retransmitted)


def test_nacks_wait_for_the_key_frame_that_was_asked_for() -> None:
    rig, down_track = playing()
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    assert not gets_repair(rig, down_track)
    rig.send(rig.streams[2], key=True)
    assert gets_repair(rig, down_track)


def test_nacks_do_not_wait_for_long() -> None:
    """The publisher was asked once; to ask for the same again changes nothing while the throttle holds that back."""
    rig, down_track = playing()
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    rig.run(0.3)
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    assert not gets_repair(rig, down_track)
    rig.run(0.2)
    assert gets_repair(rig, down_track)


def test_nacks_do_not_wait_for_a_key_frame_that_the_throttle_holds_back() -> None:
    """A subscriber whose request crosses a key frame on its way can only be helped by repair of that one."""
    rig, down_track = playing()
    other = rig.subscribe(HIGH)
    rig.run(0.1)
    rig.send(rig.streams[2], key=True)
    rig.run(0.05)
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    assert gets_repair(rig, down_track)
    rig.run(0.8)
    assert gets_repair(rig, down_track)
    rig.run(0.1)
    assert len(rig.plis()) == 2
    assert not gets_repair(rig, down_track), "the throttle has ended, the publisher is asked"
    assert gets_repair(rig, other), "it asked for nothing"


def test_another_layer_makes_up_for_the_key_frame_that_was_asked_for() -> None:
    rig, down_track = playing()
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    down_track.set_wanted(rig.now, MEDIUM)
    rig.run(0.1)
    rig.send(rig.streams[1], key=True)
    assert down_track.current_spatial == 1
    assert gets_repair(rig, down_track)


@pytest.mark.parametrize("in_sender_report", [False, True])
def test_round_trip_and_loss_are_read_from_report_blocks(in_sender_report: bool) -> None:
    rig, down_track = playing()
    rig.report(rig.streams[2])
    rig.reports.clear()
    rig.run(3.0)
    at, _, (report, _) = rig.reports[-1]
    assert isinstance(report, SenderReport)
    rig.now = at + 0.25
    block = ReportBlock(
        ssrc=down_track.ssrc,
        fraction_lost=64,
        cumulative_lost=7,
        jitter=90,
        last_sender_report=report.last_sender_report,
        delay_since_last_sender_report=round(0.1 * 65536),
    )
    if in_sender_report:
        packet: object = SenderReport(ssrc=1, ntp_timestamp=0, rtp_timestamp=0, reports=(block,))
    else:
        packet = ReceiverReport(1, (ReportBlock(ssrc=4), block))
    down_track.handle_rtcp(rig.now, packet)
    stats = down_track.stats()
    assert stats.rtt == pytest.approx((0.07 + 0.15) / 2, abs=1e-3)
    assert (stats.fraction_lost, stats.cumulative_lost, stats.jitter) == (0.25, 7, 90)
    assert stats.last_report_at == rig.now


def test_a_playout_delay_is_written_until_the_subscriber_has_it_and_follows_its_jitter() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH, playout_delay=PlayoutDelay(rig.now, 100, 400))
    rig.send(rig.streams[2], key=True)

    def written() -> tuple[int, int] | None:
        return rig.kernel.legs[down_track.leg].playout_delay_ms

    assert written() == (100, 400)
    down_track.set_leg(make_leg(payload_types={97: 97}))
    assert written() == (100, 400)
    down_track.handle_rtcp(rig.now, ReceiverReport(1, (ReportBlock(ssrc=down_track.ssrc),)))
    assert written() is None
    rig.now += 1
    down_track.handle_rtcp(rig.now, Nack(sender_ssrc=1, media_ssrc=down_track.ssrc, sequence_numbers=(1, 2)))
    down_track.handle_rtcp(rig.now, ReceiverReport(1, (ReportBlock(ssrc=down_track.ssrc, jitter=90 * 15),)))
    assert written() == (150, 400)


# Codec change and end


def test_another_codec_takes_over_on_the_same_leg() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    rig.report(rig.streams[2])
    other = TrackReceiver(kernel=rig.kernel, kind="video", mime_type="video/H264", clock_rate=90_000)
    stream = rig.kernel.stream(timestamp=77)
    other.add_layer(rig.now, 0, stream.slot, 9)
    down_track.set_receiver(rig.now, other, make_leg(payload_types={108: 108}))
    assert not down_track.is_forwarding
    assert rig.kernel.legs[down_track.leg].payload_types == {108: 108}
    rig.now += 0.5
    other.handle_notice(rig.now, stream.send(rig.now, key=True))
    first, second = rig.kernel.switches
    assert second.stream == stream.slot
    assert second.timestamp - first.timestamp == pytest.approx(45_000, abs=2)
    assert rig.receiver.down_tracks == []


def units(payload: bytes) -> list[bytes]:
    """NAL units of a STAP-A packet (RFC 6184 §5.7.1)."""
    assert payload[0] == 24
    found, at = [], 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        found.append(payload[at + 2 : at + 2 + size])
        at += 2 + size
    assert at == len(payload)
    return found


@pytest.mark.parametrize("trailer", [b"", b"of the room"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("mime_type", ["video/VP8", "video/H264"])
def test_a_picture_that_ends_for_another_goes_black(mime_type: str, trailer: bytes) -> None:
    rig = live_rig(mime_type=mime_type)
    down_track = rig.subscribe(HIGH, trailer=trailer)
    rig.send(rig.streams[2], key=True)
    rig.now += 0.5
    down_track.close(rig.now, blank=True)
    assert rig.kernel.legs == {}
    assert [step for *_, step, _ in rig.kernel.injected] == [45_000] + [3_000] * 5
    assert {at for at, *_ in rig.kernel.injected} == {rig.now}
    (payload,) = {payload for _, _, payload, _, _ in rig.kernel.injected}
    assert payload.endswith(trailer)
    if mime_type == "video/VP8":
        found = vp8.parse(payload)
        assert (found.is_key_frame, found.width, found.height) == (True, 8, 8)
    else:
        assert [unit[0] & 31 for unit in units(payload)] == [7, 8, 5]


@pytest.mark.parametrize("case", ["never began", "no codec of ours", "audio", "session is gone"])
def test_no_black_picture_where_none_helps(case: str) -> None:
    if case == "audio":
        rig = audio_rig()
    else:
        rig = live_rig(mime_type="video/AV1" if case == "no codec of ours" else "video/VP8")
    down_track = rig.subscribe(HIGH)
    if case != "never began":
        rig.send(rig.streams[-1], key=True)
    if case == "session is gone":
        rig.kernel.legs.clear()
        rig.kernel.leg_state.clear()
    down_track.close(rig.now, blank=True)
    assert rig.kernel.injected == []


def test_closing_forgets_everything() -> None:
    rig = live_rig()
    down_track = rig.subscribe(HIGH)
    rig.send(rig.streams[2], key=True)
    down_track.close(rig.now)
    down_track.close(rig.now)
    assert rig.kernel.legs == {}
    assert rig.receiver.down_tracks == []
    assert down_track.poll_timeout() is None
    rig.drain()
    assert rig.down_events[down_track][-1] == MaxLayerChanged(-1, Quality.OFF)
    down_track.set_wanted(rig.now, HIGH)
    down_track.handle_rtcp(rig.now, Pli(1, down_track.ssrc))
    rig.send(key=True)
    assert len(rig.kernel.switches) == 1


@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize("state", ["waiting", "playing", "filling", "svc"])
def test_a_session_that_died_before_its_owners_heard_does_no_harm(kind: str, state: str) -> None:
    rig = Rig(kind=kind, layers=1, is_svc=state == "svc")
    down_track = rig.subscribe(LOW, mode=LegMode.SVC if state == "svc" else LegMode.PLAIN)
    if state != "waiting":
        rig.send(key=True)
    if state == "filling":
        rig.receiver.set_muted(rig.now, True)
    stream = rig.streams[0].slot
    rig.kernel.forget()
    for notice in NoticeKind:
        rig.receiver.handle_notice(rig.now, Notice(notice, stream))
        rig.receiver.handle_notice(rig.now, Notice(notice, stream, down_track.leg, spatial=1))
    down_track.set_wanted(rig.now, HIGH)
    down_track.set_leg(make_leg(ssrc=down_track.ssrc))
    rig.run(10.0)
    ssrc = down_track.ssrc
    for packet in (Pli(1, ssrc), Nack(sender_ssrc=1, media_ssrc=ssrc, sequence_numbers=(1,))):
        down_track.handle_rtcp(rig.now, packet)
    assert down_track.stats().packets == 0
    down_track.send_placeholders(rig.now)
    rig.run(10.0)
    rig.receiver.set_muted(rig.now, state != "filling")
    rig.receiver.request_key_frame(rig.now, 0)
    rig.receiver.remove_layer(rig.now, stream)
    down_track.close(rig.now)
    rig.receiver.close(rig.now)
    assert rig.receiver.poll_timeout() is None
    assert down_track.poll_timeout() is None
    assert rig.kernel.injected == []


def test_a_subscribers_session_may_die_alone() -> None:
    rig = live_rig()
    one, two = rig.subscribe(HIGH), rig.subscribe(HIGH)
    rig.kernel.remove_leg(one.leg)
    rig.send(rig.streams[2], key=True)
    assert two.is_forwarding
    assert not one.is_forwarding
    one.close(rig.now)
    assert rig.receiver.down_tracks == [two]


def test_touched_down_tracks_are_named_once() -> None:
    rig = live_rig()
    one, two = rig.subscribe(HIGH), rig.subscribe(LOW)
    rig.receiver.poll_touched()
    rig.send(key=True)
    assert set(rig.receiver.poll_touched()) == {one, two}
    assert rig.receiver.poll_touched() == []
