"""Subscribing: wishes, permissions, sections of both kinds of connections, layers, and what publishers hear of it
(signalling 3.4, 5.5, 7.3)."""

from __future__ import annotations

from typing import Any

import pytest
from node_rig import Client, Rig, configured

from sansio import LimitConfig, PlayoutDelayConfig, RoomConfig
from sansio.events import TrackSubscribed
from sansio.rtcp import Fir, Nack, Pli, ReceiverReport, ReportBlock
from sansio.sdp import PLAYOUT_DELAY, parse
from sansio.wire import models, rtc

AUDIO, VIDEO = models.TrackType.AUDIO, models.TrackType.VIDEO
MODES = pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
Permission = rtc.TrackPermission


def pair(*, v1: bool = False, rig: Rig | None = None, **given: Any) -> tuple[Rig, Client, Client]:
    """A publisher and a subscriber, connected."""
    rig = rig or Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True, v1=v1, **given)
    rig.run(0.5)
    return rig, alice, bob


def calling(*, v1: bool = False, kind: str = "audio", **given: Any) -> tuple[Rig, Client, Client, str]:
    """... where the publisher has published one track."""
    rig, alice, bob = pair(v1=v1)
    alice.publish("track", kind, **given)
    rig.run(0.5)
    return rig, alice, bob, alice.track_sids[0]


def heard(rig: Rig, alice: Client, bob: Client, sid: str, frames: int = 3) -> int:
    """Packets of the track that reach bob now."""
    before = bob.media.received(sid)
    for _ in range(frames):
        for published in alice.media.published.values():
            published.send()
        rig.run(0.03)
    return bob.media.received(sid) - before


def subscribe(client: Client, *sids: str, on: bool = True) -> None:
    client.send(subscription=rtc.UpdateSubscription(track_sids=sids, subscribe=on))


# Automatic (U-2) and the order of messages (P-29, P-30, S-7, J-21)


@MODES
@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_new_track_is_subscribed_announced_first_and_flows(v1: bool, kind: str) -> None:
    rig, alice, bob = pair(v1=v1)
    bob.forget()
    alice.publish("track", kind)
    rig.run(0.5)
    (sid,) = alice.track_sids
    kinds = bob.kinds
    asked = "media_sections_requirement" if v1 else "offer"
    assert kinds.index("update") < kinds.index("subscription_permission_update") < kinds.index(asked)
    update = bob.last("subscription_permission_update")
    assert (update.participant_sid, update.track_sid, update.allowed) == (alice.sid, sid, True)
    assert list(bob.media.tracks.values()) == [sid]
    assert heard(rig, alice, bob, sid) > 0
    assert [event.identity for event in rig.event(TrackSubscribed)] == ["bob"]


@MODES
def test_who_joins_later_gets_what_is_there_with_the_first_description(v1: bool) -> None:
    """U-2, X-1, J-11: bound before the first answer, or in the first offers."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    alice.publish("mic")
    alice.publish("cam", "video")
    rig.run(0.3)
    bob = rig.join("bob", media=True, v1=v1)
    if v1:
        assert sorted(bob.last("answer").mid_to_track_id.values()) == sorted(alice.track_sids)
    rig.run(0.5)
    assert sorted(bob.media.tracks.values()) == sorted(alice.track_sids)
    assert all(heard(rig, alice, bob, sid) > 0 for sid in alice.track_sids)
    assert "media_sections_requirement" not in bob.kinds


def test_sections_tell_whose_track_they_carry() -> None:
    """P-29, P-32, P-34, J-28: stream and track ids, ssrc lines, FID; the ssrc stays."""
    rig, alice, bob, sid = calling(kind="video")
    description = parse(bob.last("offer").sdp)
    (section,) = [s for s in description.media if s.kind == "video"]
    assert section.msid == (f"{alice.sid}|{sid}", sid)
    assert bob.last("offer").mid_to_track_id == {section.mid: sid}
    ((semantics, (main, repair)),) = section.ssrc_groups
    assert semantics == "FID"
    assert {ssrc.ssrc for ssrc in section.ssrcs} == {main, repair}
    alice.publish("mic")
    rig.run(0.3)
    again = next(s for s in parse(bob.last("offer").sdp).media if s.kind == "video")
    assert again.ssrc_groups == section.ssrc_groups


def test_tracks_of_one_publisher_share_a_stream_where_the_room_wants_it() -> None:
    """P-29, L-8: for clients that group them."""
    rig = Rig(configured(room=RoomConfig(sync_streams=True)))
    rig, alice, bob = pair(rig=rig)
    old = rig.join("old", media=True, protocol=9)
    rig.run(0.3)
    alice.publish("mic")
    alice.publish("cam", "video")
    rig.run(0.5)
    streams = {s.msid[0] for s in parse(bob.last("offer").sdp).media if s.msid}
    assert streams == {f"{alice.sid}|camera"}
    assert len({s.msid[0] for s in parse(old.last("offer").sdp).media if s.msid}) == 2


def test_the_publisher_is_told_of_its_first_subscriber_once() -> None:
    """U-8."""
    rig, alice, _bob, sid = calling()
    rig.join("carol", media=True)
    rig.run(0.5)
    assert [told.track_sid for told in alice.of("track_subscribed")] == [sid]


def test_a_hidden_subscriber_does_not_count_as_one() -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    ghost = rig.join("ghost", media=True, hidden=True)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    assert list(ghost.media.tracks.values()) == alice.track_sids
    assert alice.of("track_subscribed") == []
    rig.join("bob", media=True)
    rig.run(0.5)
    assert len(alice.of("track_subscribed")) == 1


@pytest.mark.parametrize(
    ("given", "subscribes"),
    [
        pytest.param({"query": {"auto_subscribe": "0"}}, False, id="switched off"),
        pytest.param({"v1": True, "settings": {"auto_subscribe": False}}, False, id="switched off in v1"),
        pytest.param({"can_subscribe": False}, False, id="not permitted"),
        pytest.param({}, True, id="on"),
    ],
)
def test_who_subscribes_by_itself(given: dict[str, Any], subscribes: bool) -> None:
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True, **given)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    assert (list(bob.media.tracks.values()) == alice.track_sids) is subscribes
    assert len(bob.view["alice"].tracks) == 1, "it is shown in any case"


# Wishes (U-1)


@MODES
def test_unsubscribing_and_back(v1: bool) -> None:
    rig, alice, bob, sid = calling(v1=v1)
    for _ in range(2):
        subscribe(bob, sid, on=False)
        subscribe(bob, sid, on=False)
        rig.run(0.3)
        assert bob.media.tracks == {}
        assert heard(rig, alice, bob, sid) == 0
        subscribe(bob, sid)
        subscribe(bob, sid)
        rig.run(0.3)
        assert list(bob.media.tracks.values()) == [sid]
        assert heard(rig, alice, bob, sid) > 0


def test_both_lists_of_a_wish_count() -> None:
    rig, alice, bob = pair(query={"auto_subscribe": "0"})
    alice.publish("mic")
    alice.publish("cam", "video")
    rig.run(0.3)
    mic, cam = alice.track_sids
    group = models.ParticipantTracks(participant_sid=alice.sid, track_sids=[cam])
    bob.send(subscription=rtc.UpdateSubscription(track_sids=[mic], participant_tracks=[group], subscribe=True))
    rig.run(0.3)
    assert sorted(bob.media.tracks.values()) == sorted([mic, cam])


def test_a_wish_waits_for_its_track_for_a_minute() -> None:
    """U-1, U-3."""
    rig, alice, bob = pair(query={"auto_subscribe": "0"})
    alice.send(add_track=rtc.AddTrackRequest(cid="mic", type=AUDIO, source=models.TrackSource.MICROPHONE))
    sid = alice.last("track_published").track.sid
    subscribe(bob, sid, "TR_never")
    rig.run(50)
    alice.media.add_publish("mic", "audio")
    alice.offer()
    rig.run(0.5)
    assert list(bob.media.tracks.values()) == [sid]
    rig.run(9)
    assert bob.of("subscription_response") == []
    rig.run(1)
    (response,) = bob.of("subscription_response")
    assert (response.track_sid, response.err) == ("TR_never", models.SubscriptionError.SE_TRACK_NOTFOUND)
    rig.run(70)
    assert len(bob.of("subscription_response")) == 1


def test_a_wish_taken_back_is_not_reported() -> None:
    rig, _alice, bob = pair()
    subscribe(bob, "TR_never")
    subscribe(bob, "TR_never", on=False)
    rig.run(70)
    assert bob.of("subscription_response") == []


def test_the_list_of_wishes_has_an_end_but_tracks_that_ended_leave_it() -> None:
    """X-3."""
    rig = Rig(configured(limit=LimitConfig(max_subscription_wishes=4)))
    rig, alice, bob = pair(rig=rig, query={"auto_subscribe": "0"})
    for _ in range(6):
        mic = alice.publish("mic")
        rig.run(0.2)
        subscribe(bob, alice.track_sids[0])
        rig.run(0.2)
        assert list(bob.media.tracks.values()) == alice.track_sids
        alice.media.unpublish(mic)
        alice.offer()
        rig.run(0.2)
    bob.send(subscription=rtc.UpdateSubscription(track_sids=[f"TR_{n}" for n in range(20_000)], subscribe=True))
    rig.run(61)
    assert 0 < len(bob.of("subscription_response")) <= 4


@pytest.mark.parametrize(
    ("kind", "limit"), [("audio", "subscription_limit_audio"), ("video", "subscription_limit_video")]
)
def test_subscriptions_over_the_limit_stay_pending(kind: str, limit: str) -> None:
    """services 6.1: they come in when there is room again."""
    rig = Rig(configured(limit=LimitConfig(**{limit: 1})))
    rig, alice, bob = pair(rig=rig)
    first = alice.publish("first", kind)
    alice.publish("second", kind)
    alice.publish("other", "video" if kind == "audio" else "audio")
    rig.run(0.5)
    one, two, other = alice.track_sids
    assert sorted(bob.media.tracks.values()) == sorted([one, other])
    alice.media.unpublish(first)
    alice.offer()
    rig.run(0.5)
    assert sorted(bob.media.tracks.values()) == sorted([two, other])


# Permissions of publishers (U-9, U-10)


def permit(client: Client, *entries: Permission, everybody: bool = False) -> None:
    client.send(
        subscription_permission=rtc.SubscriptionPermission(all_participants=everybody, track_permissions=entries)
    )


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        pytest.param({"participant_identity": "bob", "all_tracks": True}, True, id="identity, all"),
        pytest.param({"participant_identity": "bob", "track_sids": ["THE TRACK"]}, True, id="identity, this"),
        pytest.param({"participant_identity": "bob", "track_sids": ["TR_other"]}, False, id="identity, another"),
        pytest.param({"participant_sid": "BOB", "all_tracks": True}, True, id="sid"),
        pytest.param({"participant_sid": "PA_other", "all_tracks": True}, False, id="another sid"),
        pytest.param({"participant_identity": "carol", "all_tracks": True}, False, id="another identity"),
        pytest.param({"all_tracks": True}, False, id="nobody named"),
        pytest.param(None, False, id="empty list"),
    ],
)
def test_a_list_of_permitted_subscribers(entry: dict[str, Any] | None, allowed: bool) -> None:
    rig, alice, bob, sid = calling()
    bob.forget()
    if entry is not None:
        entry = {key: bob.sid if value == "BOB" else value for key, value in entry.items()}
        if "track_sids" in entry:
            entry["track_sids"] = [sid if one == "THE TRACK" else one for one in entry["track_sids"]]
    permit(alice, *([Permission(**entry)] if entry is not None else []))
    rig.run(0.3)
    assert (list(bob.media.tracks.values()) == [sid]) is allowed
    assert [update.allowed for update in bob.of("subscription_permission_update")] == ([] if allowed else [False])
    assert [track.sid for track in bob.view["alice"].tracks] == [sid], "a denied track stays listed"
    permit(alice, everybody=True)
    rig.run(0.3)
    assert list(bob.media.tracks.values()) == [sid]
    assert heard(rig, alice, bob, sid) > 0


def test_later_entries_add_to_earlier_ones_of_the_same_participant() -> None:
    rig, alice, bob = pair()
    alice.publish("mic")
    alice.publish("cam", "video")
    rig.run(0.5)
    mic, cam = alice.track_sids
    permit(
        alice,
        Permission(participant_identity="bob", track_sids=[mic]),
        Permission(participant_identity="bob", participant_sid=bob.sid, track_sids=[cam]),
    )
    rig.run(0.3)
    assert sorted(bob.media.tracks.values()) == sorted([mic, cam])


def test_a_permission_given_before_the_track_counts() -> None:
    rig, alice, bob = pair()
    permit(alice)
    alice.publish()
    rig.run(0.5)
    assert bob.media.tracks == {}
    assert [update.allowed for update in bob.of("subscription_permission_update")] == [False]


def test_recorders_are_exempt() -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    recorder = rig.join("recorder", media=True, recorder=True, hidden=True)
    rig.run(0.5)
    permit(alice)
    alice.publish()
    rig.run(0.5)
    assert list(recorder.media.tracks.values()) == alice.track_sids


def test_a_wish_against_the_list_is_remembered() -> None:
    rig, alice, bob, sid = calling()
    permit(alice)
    subscribe(bob, sid, on=False)
    permit(alice, everybody=True)
    rig.run(0.3)
    assert bob.media.tracks == {}, "it was taken back meanwhile"
    permit(alice)
    subscribe(bob, sid)
    rig.run(61)
    assert bob.of("subscription_response") == [], "denied is not unknown"
    permit(alice, everybody=True)
    rig.run(0.3)
    assert list(bob.media.tracks.values()) == [sid]


def test_a_list_of_100000_entries_is_read_once() -> None:
    """X-3: its length costs nobody anything later."""
    rig, alice, bob, sid = calling()
    crowd = [Permission(participant_identity=f"p{number}", all_tracks=True) for number in range(40_000)]
    permit(alice, *crowd, Permission(participant_identity="bob", all_tracks=True))
    rig.run(0.2)
    assert list(bob.media.tracks.values()) == [sid]


# Sections of single connections (J-26, J-27)


def test_free_sections_are_used_after_an_empty_requirement() -> None:
    rig, alice, bob = pair(v1=True)
    bob.forget()
    alice.publish()
    rig.run(0.5)
    (requirement,) = bob.of("media_sections_requirement")
    assert (requirement.num_audios, requirement.num_videos) == (0, 0)
    assert list(bob.media.tracks.values()) == alice.track_sids


def test_only_what_is_missing_is_asked_for_once() -> None:
    rig, alice, bob = pair(v1=True)
    bob.media.answers = False
    bob.forget()
    for number in range(5):
        alice.publish(f"mic{number}")
    rig.run(0.5)
    asked = bob.of("media_sections_requirement")
    assert [requirement.num_audios for requirement in asked] == [0, 1, 1]
    assert all(requirement.num_videos == 0 for requirement in asked)
    bob.media.answers = True
    for message in [
        message for message in bob.messages if message.WhichOneof("message") == "media_sections_requirement"
    ]:
        for request in bob.media.handle(message):
            bob.send(offer=request.offer)
    rig.run(0.5)
    assert sorted(bob.media.tracks.values()) == sorted(alice.track_sids)


def test_an_offer_with_too_few_sections_is_asked_to_have_more() -> None:
    rig, alice, bob = pair(v1=True)
    bob.media.answers = False
    for number in range(5):
        alice.publish(f"cam{number}", "video")
    rig.run(0.5)
    bob.forget()
    bob.offer()
    assert len(bob.media.tracks) == 3
    requirement = bob.last("media_sections_requirement")
    assert (requirement.num_audios, requirement.num_videos) == (0, 2)


def test_a_removal_asks_for_an_offer_and_frees_its_section() -> None:
    rig, _alice, bob, sid = calling(v1=True)
    (mid,) = bob.media.tracks
    bob.forget()
    subscribe(bob, sid, on=False)
    requirement = bob.last("media_sections_requirement")
    assert (requirement.num_audios, requirement.num_videos) == (0, 0)
    rig.run(0.3)
    section = next(s for s in parse(bob.last("answer").sdp).media if s.mid == mid)
    assert (section.direction, section.msid) == ("inactive", None)


def test_unused_sections_are_answered_without_a_track() -> None:
    """P-28."""
    rig = Rig()
    bob = rig.join("bob", media=True, v1=True)
    sections = [s for s in parse(bob.last("answer").sdp).media if s.kind != "application"]
    assert [(s.direction, s.msid, s.ssrcs) for s in sections] == [("sendonly", None, ())] * 6


# Sections of subscriber connections (P-31, P-33)


@pytest.mark.parametrize(
    ("headers", "reuses"),
    [
        ({}, True),
        ({"user-agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.4 Safari/605.1.15"}, False),
    ],
    ids=["others", "Safari"],
)
def test_freed_sections_are_reused_but_not_for_safari(headers: dict[str, str], reuses: bool) -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True, headers=headers)
    rig.run(0.5)
    for number in range(3):
        mic = alice.publish(f"mic{number}")
        rig.run(0.3)
        assert list(bob.media.tracks.values()) == alice.track_sids
        alice.media.unpublish(mic)
        alice.offer()
        rig.run(0.3)
    sections = [s for s in parse(bob.last("offer").sdp).media if s.kind == "audio"]
    assert len(sections) == (1 if reuses else 3)
    assert all(section.msid is None for section in sections)


@pytest.mark.parametrize(
    ("v1", "headers", "frames"),
    [
        (False, {}, 6),
        (True, {}, 6),
        (False, {"user-agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.4 Safari/605.1.15"}, 0),
    ],
    ids=["dual", "single", "Safari"],
)
def test_a_picture_goes_black_before_its_section_is_used_again(v1: bool, headers: dict[str, str], frames: int) -> None:
    """P-50."""
    rig, alice, bob = pair(v1=v1, headers=headers)
    alice.publish("cam", "video", preferred=("video/VP8",))
    rig.run(0.5)
    (sid,) = alice.track_sids
    assert heard(rig, alice, bob, sid) > 0
    before = bob.media.total
    bob.media.answers = False  # a real client takes its time for that
    subscribe(bob, sid, on=False)
    rig.run(0.5)
    assert bob.media.total - before == frames


@pytest.mark.parametrize("encryption", ["NONE", "GCM"])
def test_silence_on_encrypted_tracks_ends_with_what_clients_were_told(encryption: str) -> None:
    """J-7: by that they know what they need not decrypt."""
    rig, alice, bob = pair()
    alice.publish("mic", encryption=models.Encryption.Type.Value(encryption))
    rig.run(0.5)
    (sid,) = alice.track_sids
    assert heard(rig, alice, bob, sid) > 0
    before = bob.media.payload_bytes(sid)
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    rig.run(2)
    trailer = bob.last("join").sif_trailer if encryption == "GCM" else b""
    assert bob.media.payload_bytes(sid) - before == 50 * (80 + len(trailer))


# Playout delay (U-18, L-8)


@pytest.mark.parametrize(
    ("room", "asked"),
    [
        (RoomConfig(), False),
        (RoomConfig(playout_delay=PlayoutDelayConfig(min=100)), False),
        (RoomConfig(playout_delay=PlayoutDelayConfig(enabled=True, min=100)), True),
        (RoomConfig(playout_delay=PlayoutDelayConfig(enabled=True)), False),
    ],
    ids=["default", "not enabled", "enabled", "no limits"],
)
@pytest.mark.parametrize("kind", ["audio", "video"])
def test_video_is_held_back_where_the_room_says(room: RoomConfig, asked: bool, kind: str) -> None:
    rig, alice, bob = pair(rig=Rig(configured(room=room)))
    alice.publish("track", kind)
    rig.run(0.5)
    (section,) = (s for s in parse(bob.last("offer").sdp).media if s.kind == kind)
    assert any(one.uri == PLAYOUT_DELAY for one in section.extensions) == (asked and kind == "video")


@MODES
def test_the_delay_is_on_the_packets_until_it_has_arrived(v1: bool) -> None:
    room = RoomConfig(playout_delay=PlayoutDelayConfig(enabled=True, min=100))
    rig, alice, bob = pair(v1=v1, rig=Rig(configured(room=room)))
    alice.publish("cam", "video", preferred=("video/VP8",))
    rig.run(0.5)
    (sid,) = alice.track_sids

    def header_size() -> float:
        before = bob.media.header_bytes(sid)
        packets = heard(rig, alice, bob, sid)
        return (bob.media.header_bytes(sid) - before) / packets

    heard(rig, alice, bob, sid)
    size = header_size()
    report = ReportBlock(ssrc=bob.media.ssrc(sid), highest_sequence_number=0)
    bob.media.send_rtcp([ReceiverReport(1, (report,))])
    rig.run(0.1)
    assert header_size() == size - 4


# Layers (U-5, U-6, U-7), dynacast (U-16)


def layered(*, adaptive: bool = False) -> tuple[Rig, Client, Client, str]:
    rig, alice, bob = pair(query={"adaptive_stream": "1"} if adaptive else {})
    alice.publish("cam", "video", rids=("q", "h", "f"))
    rig.run(0.3)
    return rig, alice, bob, alice.track_sids[0]


def qualities(client: Client) -> list[list[bool]]:
    """Of each dynacast message: LOW, MEDIUM, HIGH."""
    found = []
    for update in client.of("subscribed_quality_update"):
        assert [q.quality for q in update.subscribed_qualities] == [0, 1, 2]
        (codec,) = update.subscribed_codecs
        assert list(codec.qualities) == list(update.subscribed_qualities)
        assert codec.codec == "vp8"
        found.append([q.enabled for q in update.subscribed_qualities])
    return found


@pytest.mark.parametrize(
    ("adaptive", "enabled"), [(False, [True, True, True]), (True, [True, False, False])], ids=["plain", "adaptive"]
)
def test_the_first_need_is_told_to_the_publisher(adaptive: bool, enabled: list[bool]) -> None:
    """U-6, U-16."""
    rig, alice, bob, sid = layered(adaptive=adaptive)
    heard(rig, alice, bob, sid)
    assert qualities(alice) == [enabled]
    assert alice.last("subscribed_quality_update").track_sid == sid


@pytest.mark.parametrize(
    ("setting", "enabled"),
    [
        pytest.param({}, [True, False, False], id="only sids: LOW"),
        pytest.param({"quality": models.VideoQuality.MEDIUM}, [True, True, False], id="a quality"),
        pytest.param({"width": 320, "height": 180}, [True, False, False], id="a size"),
        pytest.param({"width": 600, "height": 340}, [True, True, False], id="nearly a size"),
        pytest.param({"width": 4000, "height": 2000}, [True, True, True], id="larger than all"),
        pytest.param({"disabled": True}, [False, False, False], id="nothing"),
        pytest.param({"quality": models.VideoQuality.OFF}, [False, False, False], id="OFF"),
    ],
)
def test_a_track_setting_lowers_what_is_needed_after_five_seconds(setting: dict[str, Any], enabled: list[bool]) -> None:
    """U-5, U-16."""
    rig, alice, bob, sid = layered()
    heard(rig, alice, bob, sid)
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], **setting))
    heard(rig, alice, bob, sid)
    rig.run(4.5)
    assert qualities(alice) == [[True, True, True]]
    rig.run(1)
    assert qualities(alice)[-1] == enabled
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], quality=models.VideoQuality.HIGH))
    rig.run(0.3)
    assert qualities(alice)[-1] == [True, True, True], "raised at once"


def test_settings_may_come_before_the_track() -> None:
    """U-5."""
    rig, alice, bob = pair()
    alice.send(add_track=rtc.AddTrackRequest(cid="cam", type=VIDEO, source=models.TrackSource.CAMERA))
    sid = alice.last("track_published").track.sid
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], disabled=True))
    alice.media.add_publish("cam", "video")
    alice.offer()
    rig.run(0.5)
    assert list(bob.media.tracks.values()) == [sid]
    assert heard(rig, alice, bob, sid) == 0


@MODES
def test_a_disabled_track_stays_subscribed_and_silent(v1: bool) -> None:
    rig, alice, bob, sid = calling(v1=v1)
    heard(rig, alice, bob, sid)
    bob.forget()
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], disabled=True))
    rig.run(1.2)  # a second of silence is sent
    assert heard(rig, alice, bob, sid) == 0
    assert bob.kinds == [], "no renegotiation"
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], disabled=False))
    rig.run(0.2)
    assert heard(rig, alice, bob, sid) > 0


def test_without_subscribers_everything_is_off_after_ten_seconds() -> None:
    """U-16."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.3)
    alice.publish("cam", "video", rids=("q", "h", "f"))
    rig.run(9.5)
    assert qualities(alice) == []
    rig.run(1)
    assert qualities(alice) == [[False, False, False]]


def test_when_the_last_subscriber_goes_everything_is_off() -> None:
    rig, alice, bob, sid = layered()
    heard(rig, alice, bob, sid)
    bob.send(leave=rtc.LeaveRequest())
    rig.run(5.5)
    assert qualities(alice)[-1] == [False, False, False]


def test_a_muted_track_is_silent_about_qualities_and_repeats_them_after() -> None:
    """M-12, U-16."""
    rig, alice, bob, sid = layered()
    heard(rig, alice, bob, sid)
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    alice.forget()
    subscribe(bob, sid, on=False)
    rig.run(6)
    subscribe(bob, sid)
    rig.run(1)
    assert qualities(alice) == []
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=False))
    assert qualities(alice) == [[True, True, True]]


def test_unknown_settings_do_no_harm() -> None:
    """bad_input."""
    rig, alice, bob, sid = calling()
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=["TR_x", ""], width=2**32 - 1, fps=2**32 - 1))
    bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[f"TR_{n}" for n in range(20_000)]))
    assert heard(rig, alice, bob, sid) > 0


# Codecs (U-3, P-17)


def test_an_opus_only_subscriber_hears_a_red_publisher() -> None:
    """P-17."""
    _rig, _alice, bob, _sid = calling()
    assert bob.view["alice"].tracks[0].mime_type == "audio/red"
    offer = parse(bob.last("offer").sdp)
    assert {codec.name for s in offer.media for codec in s.codecs} >= {"opus", "red"}


def test_a_codec_that_the_subscriber_lacks_is_reported() -> None:
    """U-3."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True, mimes=("video/H264", "audio/opus"))
    rig.run(0.5)
    alice.publish(
        "cam", "video", preferred=("video/VP8",), simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="cam")]
    )
    rig.run(0.5)
    (response,) = bob.of("subscription_response")
    assert (response.track_sid, response.err) == (alice.track_sids[0], models.SubscriptionError.SE_CODEC_UNSUPPORTED)
    rig.run(70)
    assert len(bob.of("subscription_response")) == 1


def test_a_backup_codec_serves_who_lacks_the_first() -> None:
    """M-10, M-11: it is asked for by dynacast, and bound when it comes."""
    rig = Rig()
    alice, carol = (rig.join(name, media=True) for name in ("alice", "carol"))
    bob = rig.join("bob", media=True, mimes=("video/VP8", "audio/opus"))
    rig.run(0.5)
    codecs = [rtc.SimulcastCodec(codec="vp9", cid="cam"), rtc.SimulcastCodec(codec="vp8")]
    policy = models.BackupCodecPolicy.SIMULCAST
    alice.publish("cam", "video", preferred=("video/VP9",), simulcast_codecs=codecs, backup_codec_policy=policy)
    rig.run(0.5)
    (sid,) = alice.track_sids
    assert bob.of("subscription_response") == []
    wanted = {
        c.codec: [q.enabled for q in c.qualities] for c in alice.last("subscribed_quality_update").subscribed_codecs
    }
    assert wanted == {"vp9": [True] * 3, "vp8": [True] * 3}
    request = rtc.AddTrackRequest(
        cid="backup", sid=sid, type=VIDEO, source=models.TrackSource.CAMERA,
        simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="backup")],
    )  # fmt: skip
    alice.send(add_track=request)
    backup = alice.media.add_publish("backup", "video", preferred=("video/VP8",))
    alice.offer()
    rig.run(0.5)
    for _ in range(5):
        backup.send()
        rig.run(0.05)
    assert bob.media.received(sid) > 0
    assert carol.media.received(sid) == 0, "who has the first codec stays with it"


def test_media_that_cannot_be_bound_is_reported_after_fifteen_seconds() -> None:
    """U-3."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True)
    rig.run(0.5)
    bob.media.answers = False
    alice.publish()
    rig.run(14)
    assert bob.of("subscription_response") == []
    rig.run(1.2)
    (response,) = bob.of("subscription_response")
    assert (response.track_sid, response.err) == (alice.track_sids[0], models.SubscriptionError.SE_UNKNOWN)


# RTCP between them (U-4)


def test_key_frame_requests_and_losses_of_a_subscriber_reach_the_publisher() -> None:
    rig, alice, bob, sid = calling(kind="video")
    heard(rig, alice, bob, sid)
    subscriber = bob.media.subscriber
    assert subscriber is not None
    assert subscriber.remote is not None
    ssrc = next(s.layer_ssrcs[0] for s in subscriber.remote.sections if s.kind == "video")
    cam = alice.media.published["track"]
    for packet in (Pli(sender_ssrc=1, media_ssrc=ssrc), Fir(sender_ssrc=1, media_ssrc=0, entries=((ssrc, 1),))):
        rig.run(2)
        before = len(alice.media.rtcp(Pli))
        bob.media.send_rtcp([packet])
        rig.run(0.2)
        assert len(alice.media.rtcp(Pli)) == before + 1
        assert alice.media.rtcp(Pli)[-1].media_ssrc == cam.ssrcs[0]
        cam.send()
        rig.run(0.1)
    before = bob.media.received(sid)
    bob.media.send_rtcp(
        [Nack(sender_ssrc=1, media_ssrc=ssrc, sequence_numbers=(1, 2)), ReceiverReport(ssrc=1, reports=())]
    )
    bob.media.send_rtcp([Pli(sender_ssrc=1, media_ssrc=12345)])
    rig.run(0.2)
    assert bob.is_open()


# Speakers and quality (U-12, U-14)


@MODES
def test_speakers_are_told_as_they_begin_and_stop(v1: bool) -> None:
    rig, alice, bob, _sid = calling(v1=v1)
    mic = alice.media.published["track"]
    for _ in range(60):
        mic.send(level=10)
        rig.run(0.02)
    for client in (alice, bob):
        (speaker,) = client.last("speakers_changed").speakers
        assert (speaker.sid, speaker.active) == (alice.sid, True)
        assert speaker.level > 0.3
        assert speaker.level * 8 == int(speaker.level * 8)
    for _ in range(60):
        mic.send(level=127)
        rig.run(0.02)
    (speaker,) = bob.last("speakers_changed").speakers
    assert (speaker.sid, speaker.active, speaker.level) == (alice.sid, False, 0.0)


def test_who_does_not_subscribe_to_a_speaker_is_not_told() -> None:
    rig, alice, bob, sid = calling()
    subscribe(bob, sid, on=False)
    for _ in range(60):
        alice.media.published["track"].send(level=10)
        rig.run(0.02)
    assert alice.of("speakers_changed")
    assert bob.of("speakers_changed") == []


def test_quality_is_told_of_oneself_and_those_one_subscribes_to() -> None:
    rig, alice, bob, _sid = calling()
    rig.run(6)
    update = bob.last("connection_quality")
    assert {u.participant_sid for u in update.updates} == {alice.sid, bob.sid}
    assert all(u.quality == models.ConnectionQuality.EXCELLENT for u in update.updates)
    assert {u.participant_sid for u in alice.last("connection_quality").updates} == {alice.sid}
    count = len(bob.of("connection_quality"))
    rig.run(20)
    assert len(bob.of("connection_quality")) <= count + 2, "only changes"
