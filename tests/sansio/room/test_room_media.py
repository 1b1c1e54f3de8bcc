"""What transports report, on its way to the machines of a member: streams, RTCP, channels, and quality."""

from __future__ import annotations

import pytest
from node_rig import Action, Client, DisconnectReason, Rig, State, configured
from phone import CERTIFICATE

from sansio import RtcConfig
from sansio.dtls import DtlsRole, OpenSslHandshake
from sansio.events import PeerStateChanged
from sansio.rtcp import Goodbye, Pli, ReceiverReport, Remb, ReportBlock, SenderReport, TransportFeedback
from sansio.wire import models, rtc

Quality = models.ConnectionQuality


def calling(kind: str = "video", **given: object) -> tuple[Rig, Client, Client, str]:
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True)
    rig.run(0.5)
    alice.publish("track", kind, **given)  # type: ignore[arg-type]
    rig.run(0.5)
    return rig, alice, bob, alice.track_sids[0]


# Connection states


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
def test_observers_see_the_states_of_connections(v1: bool) -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.join("bob", media=True, v1=v1)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    states: dict[str, list[str]] = {}
    for event in rig.event(PeerStateChanged):
        assert event.room == "room"
        if event.identity == "bob":
            states.setdefault(event.target, []).append(event.state)
    targets = ["publisher"] if v1 else ["publisher", "subscriber"]
    assert {target: way[-1] for target, way in states.items()} == dict.fromkeys(targets, "connected")


@pytest.mark.parametrize("timeout", [2.0, 4.0])
def test_a_handshake_that_stalls_is_given_up_when_the_configuration_says(timeout: float) -> None:
    rig = Rig(configured(rtc=RtcConfig(dtls_handshake_timeout=timeout)), openssl=True)
    alice = rig.join("alice", media=True)
    connection = alice.media.publisher
    assert connection is not None
    assert rig.run_until(lambda: connection.peer.path is not None)
    handshake = OpenSslHandshake(CERTIFICATE)
    handshake.start(rig.now, DtlsRole.CLIENT)
    path = connection.peer.path
    assert path is not None
    for hello in handshake.poll_transmits():
        alice.media.transmit(path[0], path[1], hello)
    began = rig.now

    def failed() -> bool:
        return any(event.state == "failed" for event in rig.event(PeerStateChanged))

    assert rig.run_until(failed, 10.0)
    assert rig.now - began == pytest.approx(timeout, abs=0.1)


# Streams


def test_media_before_its_request_is_not_lost() -> None:
    """M-3, P-41: the section is negotiated and flows before the track has a name."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True)
    rig.run(0.5)
    mic = alice.media.add_publish("mic", "audio")
    alice.offer()
    rig.run(0.2)
    mic.send(3)
    rig.run(0.2)
    alice.send(
        add_track=rtc.AddTrackRequest(cid="mic", type=models.TrackType.AUDIO, source=models.TrackSource.MICROPHONE)
    )
    rig.run(0.5)
    mic.send(3)
    rig.run(0.2)
    assert bob.media.received(alice.track_sids[0]) > 0


def test_a_track_that_was_refused_may_come_later_on_the_same_section() -> None:
    """M-2, M-16."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True, can_publish=False), rig.join("bob", media=True)
    rig.run(0.5)
    mic = alice.publish()
    rig.run(0.2)
    mic.send(3)
    rig.run(0.2)
    assert bob.view["alice"].is_publisher is False
    assert alice.last("request_response").reason == rtc.RequestResponse.Reason.NOT_ALLOWED


def test_simulcast_layers_that_come_one_by_one() -> None:
    """P-37: each is found by its rid when it starts; a subscriber climbs to it."""
    rig, alice, bob, sid = calling(rids=("q", "h", "f"))
    cam = alice.media.published["track"]
    for rids in (("q",), ("q", "h"), ("q", "h", "f")):
        for _ in range(10):
            cam.send(rids=rids)
            rig.run(0.05)
        shown = [layer.rid for layer in bob.view["alice"].tracks[0].layers if layer.ssrc]
        assert shown == [rid for rid in ("q", "h", "f") if rid in rids]
    assert bob.media.received(sid) >= 20


def test_a_layer_that_says_goodbye_ends_and_the_others_go_on() -> None:
    """RFC 3550 §6.6: who watched it falls to what is left at once, not after a while without packets."""
    rig, alice, bob, sid = calling(rids=("q", "h", "f"))
    cam = alice.media.published["track"]
    for _ in range(10):
        cam.send()
        rig.run(0.05)
    before = bob.media.received(sid)
    assert alice.media.publisher is not None
    alice.media.publisher.peer.send_rtcp(rig.now, [Goodbye((cam.ssrcs[2], 4711))])
    rig.run(0.05)
    cam.send(rids=("q", "h"))
    rig.run(0.05)
    cam.send(rids=("q", "h"))
    rig.run(0.05)
    assert bob.media.received(sid) == before + 2
    assert len(bob.view["alice"].tracks) == 1
    assert [layer.rid for layer in bob.view["alice"].tracks[0].layers] == ["q", "h", "f"]


def test_a_layer_that_comes_back_under_another_ssrc() -> None:
    """P-37: senders do that when they replace what they send."""
    rig, alice, bob, sid = calling(rids=("q", "h", "f"))
    cam = alice.media.published["track"]
    cam.send(3)
    rig.run(3)
    cam.ssrcs = tuple(ssrc + 1000 for ssrc in cam.ssrcs)
    before = bob.media.received(sid)
    for _ in range(10):
        cam.send()
        rig.run(0.05)
    assert [layer.ssrc for layer in bob.view["alice"].tracks[0].layers] == list(cam.ssrcs)
    assert bob.media.received(sid) > before


def test_media_of_a_stopped_section_goes_nowhere() -> None:
    rig, alice, bob, sid = calling("audio")
    mic = alice.media.published["track"]
    mic.send(2)
    rig.run(0.2)
    alice.media.unpublish(mic)
    alice.offer()
    rig.run(0.2)
    before = bob.media.received(sid)
    mic.connection.send_plain(b"\x80\x6f\x00\x01" + bytes(4) + mic.ssrcs[0].to_bytes(4, "big") + b"opus")
    rig.run(0.2)
    assert bob.media.received(sid) == before


# RTCP


def test_sender_reports_come_through_with_a_common_time() -> None:
    """P-49."""
    rig, alice, bob, _sid = calling("audio")
    mic = alice.media.published["track"]
    for step in range(200):
        if step % 50 == 0:
            report = SenderReport(
                ssrc=mic.ssrcs[0], ntp_timestamp=(int(rig.now) + 1000) << 32, rtp_timestamp=mic.timestamp,
                packet_count=step, octet_count=0, reports=(),
            )  # fmt: skip
            mic.connection.peer.send_rtcp(rig.now, [report])
        mic.send()
        rig.run(0.02)
    reports = bob.media.rtcp(SenderReport)
    assert reports
    assert all(report.packet_count > 0 for report in reports)


def test_estimates_and_reports_of_subscribers_are_taken() -> None:
    """P-48, P-13."""
    rig, alice, bob, _sid = calling()
    alice.media.published["track"].send(3)
    rig.run(0.2)
    subscriber = bob.media.subscriber
    assert subscriber is not None
    assert subscriber.remote is not None
    ssrc = next(s.layer_ssrcs[0] for s in subscriber.remote.sections if s.kind == "video")
    block = ReportBlock(
        ssrc=ssrc,
        fraction_lost=10,
        cumulative_lost=1,
        highest_sequence_number=5,
        jitter=3,
        last_sender_report=0,
        delay_since_last_sender_report=0,
    )
    bob.media.send_rtcp([ReceiverReport(ssrc=1, reports=(block,))])
    bob.media.send_rtcp([Remb(sender_ssrc=1, bitrate_bps=500_000, ssrcs=(ssrc,))])
    feedback = TransportFeedback(
        sender_ssrc=1,
        media_ssrc=ssrc,
        base_sequence_number=0,
        reference_time=0,
        feedback_count=0,
        deltas=(0, None, 250),
    )
    bob.media.send_rtcp([feedback])
    rig.run(0.2)
    assert bob.is_open()
    alice.media.send_rtcp([Pli(sender_ssrc=1, media_ssrc=ssrc)])
    rig.run(0.2)
    assert alice.is_open()


# Channels


def test_an_association_that_breaks_sends_the_client_to_join_anew() -> None:
    """Only a new session brings data back."""
    rig, alice, bob, _ = calling("audio")
    publisher = alice.media.publisher
    assert publisher is not None
    publisher.abort_data()
    rig.run(0.5)
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
    assert not alice.is_open()
    assert bob.is_open()


def test_a_channel_may_be_closed_and_opened_again() -> None:
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True, v1=True)
    rig.run(0.5)
    publisher = bob.media.publisher
    assert publisher is not None
    publisher.peer.close_channel(rig.now, publisher.channels["_reliable"])
    rig.run(0.5)
    alice.media.send_data(models.DataPacket(user=models.UserPacket(payload=b"waits")))
    alice.media.send_data(models.DataPacket(user=models.UserPacket(payload=b"lost")), "_lossy")
    rig.run(0.2)
    assert bob.media.data() == []
    bob.media.open_channel("_reliable")
    rig.run(0.5)
    assert [packet.user.payload for packet in bob.media.data()] == [b"waits"]


# Quality (U-14, U-15)


def quality_of(client: Client, sid: str) -> int:
    found = [
        u.quality for update in client.of("connection_quality") for u in update.updates if u.participant_sid == sid
    ]
    assert found
    return int(found[-1])


def test_quality_falls_when_media_stops_and_rises_again() -> None:
    """U-14."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True)
    rig.run(0.5)
    mic = alice.publish()
    for _ in range(500):
        mic.send()
        rig.run(0.02)
    assert quality_of(bob, alice.sid) == Quality.EXCELLENT
    rig.run(40)
    assert quality_of(bob, alice.sid) == Quality.POOR
    for _ in range(3000):
        mic.send()
        rig.run(0.02)
    assert quality_of(bob, alice.sid) in (Quality.GOOD, Quality.EXCELLENT)


def test_a_muted_track_does_not_count() -> None:
    """M-12."""
    rig, alice, bob, sid = calling("audio")
    mic = alice.media.published["track"]
    for _ in range(300):
        mic.send()
        rig.run(0.02)
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    rig.run(30)
    assert quality_of(bob, alice.sid) == Quality.EXCELLENT
    assert bob.view["alice"].state == State.ACTIVE
