"""Publishing: from add_track to a track that others are told of, and its end (signalling 7.2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from node_rig import Action, Client, DisconnectReason, Rig, configured

from sansio import LimitConfig
from sansio.config import DEFAULT_CODECS, RoomConfig
from sansio.events import TrackPublished, TrackUnpublished
from sansio.room.track_info import canonical_mime, kind_name
from sansio.rtcp import Pli
from sansio.sdp import parse
from sansio.wire import models, rtc

AUDIO, VIDEO = models.TrackType.AUDIO, models.TrackType.VIDEO
Source = models.TrackSource
Reason = rtc.RequestResponse.Reason
Mode = models.VideoLayer.Mode
Feature = models.AudioTrackFeature
Policy = models.BackupCodecPolicy
LAYERS = [models.VideoLayer(quality=q, width=160 << q, height=90 << q) for q in (2, 0, 1)]  # type: ignore[arg-type]


def add(client: Client, **request: Any) -> Any:
    """Send an add_track; the last answer to it."""
    client.forget()
    client.send(add_track=rtc.AddTrackRequest(**request))
    (message,) = client.messages
    return getattr(message, message.WhichOneof("message") or "")


def info_of(**request: Any) -> models.TrackInfo:
    published = add(Rig().join(), **{"cid": "c"} | request)
    assert isinstance(published, rtc.TrackPublishedResponse)
    assert published.cid == request.get("cid", "c")
    return published.track


# add_track (M-1, M-2, M-4, M-5, M-6)


@pytest.mark.parametrize(
    ("kind", "source", "letters", "stream"),
    [
        (AUDIO, Source.MICROPHONE, "AM", "camera"),
        (AUDIO, Source.SCREEN_SHARE_AUDIO, "As", "screen"),
        (AUDIO, Source.UNKNOWN, "A", "unknown"),
        (VIDEO, Source.CAMERA, "VC", "camera"),
        (VIDEO, Source.SCREEN_SHARE, "VS", "screen"),
    ],
)
def test_sid_and_stream_follow_from_kind_and_source(kind: int, source: int, letters: str, stream: str) -> None:
    info = info_of(type=kind, source=source)
    assert re.fullmatch(f"TR_{letters}[2-9A-Za-z]{{12}}", info.sid)
    assert (info.type, info.source, info.stream) == (kind, source, stream)
    assert info_of(type=kind, source=source, stream="own").stream == "own"


def test_the_info_repeats_the_request() -> None:
    """M-4, M-17: layers sorted by quality."""
    info = info_of(
        type=VIDEO, source=Source.CAMERA, name="cam", muted=True, width=640, height=360, layers=LAYERS,
        encryption=models.Encryption.Type.GCM, backup_codec_policy=Policy.REGRESSION,
        packet_trailer_features=[models.PacketTrailerFeature.PTF_USER_TIMESTAMP],
    )  # fmt: skip
    assert (info.name, info.muted, info.width, info.height) == ("cam", True, 640, 360)
    assert [(layer.quality, layer.width) for layer in info.layers] == [(0, 160), (1, 320), (2, 640)]
    assert (info.encryption, info.backup_codec_policy) == (models.Encryption.Type.GCM, Policy.REGRESSION)
    assert list(info.packet_trailer_features) == [models.PacketTrailerFeature.PTF_USER_TIMESTAMP]
    assert info.simulcast
    assert list(info.audio_features) == []


def test_audio_features_gather_legacy_flags() -> None:
    info = info_of(
        type=AUDIO, stereo=True, disable_dtx=True, disable_red=True,
        audio_features=[Feature.TF_ECHO_CANCELLATION, Feature.TF_ECHO_CANCELLATION, Feature.TF_STEREO],
    )  # fmt: skip
    assert list(info.audio_features) == [Feature.TF_ECHO_CANCELLATION, Feature.TF_STEREO, Feature.TF_NO_DTX]
    assert (info.stereo, info.disable_dtx, info.disable_red) == (True, True, True)


@pytest.mark.parametrize(
    ("kind", "wanted", "shown"),
    [
        (AUDIO, Policy.PREFER_REGRESSION, Policy.SIMULCAST),
        (AUDIO, Policy.SIMULCAST, Policy.SIMULCAST),
        (AUDIO, Policy.REGRESSION, Policy.REGRESSION),
        (VIDEO, Policy.PREFER_REGRESSION, Policy.PREFER_REGRESSION),
    ],
)
def test_backup_policies(kind: int, wanted: int, shown: int) -> None:
    """M-4."""
    assert info_of(type=kind, backup_codec_policy=wanted).backup_codec_policy == shown


CODECS: list[Any] = [
    pytest.param([], "", Mode.ONE_SPATIAL_LAYER_PER_STREAM, True, id="none named"),
    pytest.param(
        [{"codec": "vp8", "cid": "c"}], "video/vp8", Mode.ONE_SPATIAL_LAYER_PER_STREAM, True, id="vp8"
    ),
    pytest.param(
        [{"codec": "VP9", "cid": "c"}], "video/vp9", Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM, False, id="vp9"
    ),
    pytest.param(
        [{"codec": "video/AV1", "cid": "c"}], "video/av1", Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM, False, id="av1"
    ),
    pytest.param(
        [{"codec": "vp9", "cid": "c", "video_layer_mode": Mode.ONE_SPATIAL_LAYER_PER_STREAM}],
        "video/vp9", Mode.ONE_SPATIAL_LAYER_PER_STREAM, True, id="vp9 in simulcast",
    ),
    pytest.param(
        [{"codec": "theora", "cid": "c"}], "video/vp8", Mode.ONE_SPATIAL_LAYER_PER_STREAM, True, id="disabled"
    ),
    pytest.param([{"codec": "", "cid": "c"}], "", Mode.ONE_SPATIAL_LAYER_PER_STREAM, True, id="nameless"),
]  # fmt: skip


@pytest.mark.parametrize(("codecs", "mime", "mode", "simulcast"), CODECS)
def test_codecs_of_a_request(codecs: list[dict[str, Any]], mime: str, mode: int, simulcast: bool) -> None:
    """M-5, M-6."""
    info = info_of(type=VIDEO, layers=LAYERS, simulcast_codecs=[rtc.SimulcastCodec(**codec) for codec in codecs])
    (codec,) = info.codecs
    assert (codec.mime_type, codec.cid, codec.video_layer_mode) == (mime, "c", mode)
    assert (info.mime_type, info.simulcast) == (mime, simulcast)
    assert [layer.quality for layer in codec.layers] == [0, 1, 2]


def test_a_backup_codec_named_at_once_is_the_second() -> None:
    info = info_of(
        type=VIDEO, layers=LAYERS,
        simulcast_codecs=[rtc.SimulcastCodec(codec="vp9", cid="c"), rtc.SimulcastCodec(codec="vp8")],
    )  # fmt: skip
    assert [(codec.mime_type, codec.cid) for codec in info.codecs] == [("video/vp9", "c"), ("video/vp8", "")]


def test_names_of_codecs_and_kinds() -> None:
    assert [canonical_mime("video", name) for name in ("vp8", "h264", "AV1", "novel")] == [
        "video/VP8", "video/H264", "video/AV1", "video/novel",
    ]  # fmt: skip
    assert (kind_name(AUDIO), kind_name(VIDEO)) == ("audio", "video")


# Refusals (M-2, S-4)


@pytest.mark.parametrize(
    ("grants", "request_", "reason"),
    [
        pytest.param({"can_publish": False}, {}, Reason.NOT_ALLOWED, id="may not publish"),
        pytest.param({"can_publish_sources": ("camera",)}, {}, Reason.NOT_ALLOWED, id="may not publish this source"),
        pytest.param({}, {"type": models.TrackType.DATA}, Reason.UNSUPPORTED_TYPE, id="data"),
        pytest.param({}, {"type": 99}, Reason.UNSUPPORTED_TYPE, id="an unknown type"),
        pytest.param({}, {"sid": "TR_none"}, Reason.NOT_FOUND, id="an unknown track to add a codec to"),
        pytest.param({}, {"name": "n" * 100_000}, Reason.LIMIT_EXCEEDED, id="a name of 100 kB"),
        pytest.param({}, {"layers": LAYERS * 2000}, Reason.LIMIT_EXCEEDED, id="6000 layers"),
    ],
)
def test_tracks_that_are_refused(grants: dict[str, Any], request_: dict[str, Any], reason: int) -> None:
    rig = Rig()
    alice = rig.join("alice", **grants)
    request = {"cid": "mic", "type": AUDIO, "source": Source.MICROPHONE} | request_
    response = add(alice, **request)
    assert isinstance(response, rtc.RequestResponse)
    assert (response.reason, response.add_track.cid) == (reason, "mic")
    assert alice.is_open()


def test_an_allowed_source_is_published() -> None:
    """T-6."""
    alice = Rig().join("alice", can_publish_sources=("microphone",))
    assert isinstance(add(alice, cid="m", type=AUDIO, source=Source.MICROPHONE), rtc.TrackPublishedResponse)


def test_too_many_tracks_are_refused() -> None:
    """X-3, M-14."""
    rig = Rig(configured(limit=LimitConfig(max_pending_tracks=3)))
    alice = rig.join()
    kinds = [type(add(alice, cid=f"c{number}", type=AUDIO)) for number in range(5)]
    assert kinds == [rtc.TrackPublishedResponse] * 3 + [rtc.RequestResponse] * 2
    assert alice.last("request_response").reason == Reason.LIMIT_EXCEEDED


def test_a_cid_that_is_taken_queues_until_its_track_ends() -> None:
    """M-2."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    mic = alice.publish("mic")
    rig.run(0.2)
    first = alice.track_sids
    response = add(alice, cid="mic", type=AUDIO, source=Source.MICROPHONE)
    assert (response.reason, response.add_track.cid) == (Reason.QUEUED, "mic")
    alice.forget()
    alice.media.unpublish(mic)
    alice.offer()
    rig.run(0.2)
    published = alice.last("track_published")
    assert published.cid == "mic"
    assert published.track.sid not in first
    assert alice.track_sids == []


# Announcing (M-3, M-7, M-8, M-9)


def joined(**given: Any) -> tuple[Rig, Client, Client]:
    rig = Rig()
    alice, bob = rig.join("alice", media=True, **given), rig.join("bob", media=True)
    rig.run(0.5)
    bob.forget()
    return rig, alice, bob


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
@pytest.mark.parametrize("muted", [False, True], ids=["sounding", "muted"])
def test_a_track_is_announced_when_its_section_is_negotiated(v1: bool, muted: bool) -> None:
    """M-8, M-9, M-12: not before, and without media."""
    rig, alice, bob = joined(v1=v1)
    alice.send(add_track=rtc.AddTrackRequest(cid="mic", type=AUDIO, source=Source.MICROPHONE, muted=muted))
    assert bob.updates == []
    alice.media.add_publish("mic", "audio")
    alice.offer()
    rig.run(0.1)
    track = alice.last("track_published").track
    (shown,) = bob.view["alice"].tracks
    assert (shown.sid, shown.muted, shown.mime_type, shown.type) == (track.sid, muted, "audio/red", AUDIO)
    assert shown.mid == alice.media.published["mic"].mid
    assert bob.view["alice"].is_publisher
    assert rig.event(TrackPublished)[-1].track == track.sid


def test_an_offer_before_its_request_waits_for_it() -> None:
    """M-3."""
    rig, alice, bob = joined()
    alice.media.add_publish("mic", "audio")
    alice.offer()
    rig.run(0.2)
    assert len(bob.view["alice"].tracks) == 0
    alice.send(add_track=rtc.AddTrackRequest(cid="mic", type=AUDIO, source=Source.MICROPHONE))
    rig.run(0.2)
    assert [track.sid for track in bob.view["alice"].tracks] == [alice.last("track_published").track.sid]
    alice.media.published["mic"].send(3)
    rig.run(0.2)
    assert bob.media.received(alice.track_sids[0]) > 0


def test_sections_find_their_track_by_cid_then_by_age() -> None:
    """P-35."""
    rig, alice, bob = joined()
    sids = {}
    for cid in ("first", "second", "third"):
        alice.send(add_track=rtc.AddTrackRequest(cid=cid, type=AUDIO, source=Source.MICROPHONE))
        sids[cid] = alice.last("track_published").track.sid
    for cid in ("third", "renamed", "renamed too"):
        alice.media.add_publish(cid, "audio")
    alice.offer()
    rig.run(0.2)
    by_mid = {track.mid: track for track in bob.view["alice"].tracks}
    published = alice.media.published
    assert by_mid[published["third"].mid].sid == sids["third"]
    assert by_mid[published["renamed"].mid].sid == sids["first"]
    assert by_mid[published["renamed too"].mid].sid == sids["second"]
    assert by_mid[published["renamed"].mid].codecs[0].sdp_cid == "renamed"
    assert by_mid[published["third"].mid].codecs[0].sdp_cid == ""


def test_a_renamed_section_does_not_take_the_track_of_one_that_is_named() -> None:
    """P-35: whatever their order in the offer."""
    rig, alice, bob = joined()
    sids = {}
    for cid in ("named", "other"):
        alice.send(add_track=rtc.AddTrackRequest(cid=cid, type=AUDIO, source=Source.MICROPHONE))
        sids[cid] = alice.last("track_published").track.sid
    for cid in ("renamed", "named"):
        alice.media.add_publish(cid, "audio")
    alice.offer()
    rig.run(0.2)
    by_mid = {track.mid: track.sid for track in bob.view["alice"].tracks}
    published = alice.media.published
    assert by_mid == {published["named"].mid: sids["named"], published["renamed"].mid: sids["other"]}


@pytest.mark.parametrize("rids", [("q", "h", "f"), ("f", "h", "q"), ("h", "q"), ("2", "1", "0")], ids=" ".join)
def test_simulcast_layers_are_known_by_their_rid(rids: tuple[str, ...]) -> None:
    """M-7, P-36, P-37: whatever their order, the lowest is layer 0."""
    rig, alice, bob = joined()
    cam = alice.publish("cam", "video", rids=rids)
    rig.run(0.2)
    cam.send()
    rig.run(0.2)
    (track,) = bob.view["alice"].tracks
    order = [rid for rid in ("q", "2", "h", "1", "f", "0") if rid in rids]
    assert [layer.rid for layer in track.layers] == order
    assert [layer.ssrc for layer in track.layers] == [cam.ssrcs[rids.index(rid)] for rid in order]
    assert [layer.spatial_layer for layer in track.layers] == list(range(len(rids)))
    assert [layer.rid for layer in track.codecs[0].layers] == order
    assert track.simulcast


def test_the_answer_takes_the_simulcast_and_wants_the_codec_first() -> None:
    """P-14, P-36."""
    _rig, alice, _ = joined()
    cam = alice.publish(
        "cam", "video", rids=("q", "h", "f"), simulcast_codecs=[rtc.SimulcastCodec(codec="vp9", cid="cam")]
    )
    section = next(s for s in parse(alice.last("answer").sdp).media if s.mid == cam.mid)
    assert section.codecs[0].name == "VP9"
    assert section.simulcast_recv == ("q", "h", "f")
    assert section.direction == "recvonly"


@pytest.mark.parametrize(
    ("request_", "first", "fmtp"),
    [
        pytest.param({}, "red", "usedtx=1", id="plain"),
        pytest.param({"disable_red": True}, "opus", "usedtx=1", id="without RED"),
        pytest.param({"disable_dtx": True}, "red", "", id="without DTX"),
        pytest.param({"stereo": True}, "red", "stereo=1;maxaveragebitrate=510000", id="stereo"),
    ],
)
def test_the_answer_for_audio(request_: dict[str, Any], first: str, fmtp: str) -> None:
    """P-14, P-15."""
    _rig, alice, _ = joined()
    mic = alice.publish("mic", **request_)
    section = next(s for s in parse(alice.last("answer").sdp).media if s.mid == mic.mid)
    assert section.codecs[0].name == first
    opus = next(codec for codec in section.codecs if codec.name == "opus")
    assert fmtp in opus.fmtp
    assert ("usedtx=1" in opus.fmtp) is (not request_.get("disable_dtx"))


def test_every_offer_is_answered_in_order() -> None:
    """P-22, P-20: repeats too, under the offer's id."""
    _rig, alice, _ = joined()
    alice.forget()
    for _number in range(3):
        alice.offer()
    phone = alice.media.publisher
    assert phone is not None
    assert [answer.id for answer in alice.of("answer")] == [phone.offer_id - 2, phone.offer_id - 1, phone.offer_id]


def test_go_announces_video_at_its_first_packet() -> None:
    """M-8, H-22."""
    rig = Rig()
    alice = rig.join("alice", media=True, query={"sdk": "go"})
    bob = rig.join("bob", media=True)
    rig.run(0.5)
    cam = alice.publish("cam", "video")
    alice.publish("mic")
    rig.run(0.3)
    assert [track.type for track in bob.view["alice"].tracks] == [AUDIO]
    cam.send()
    rig.run(0.3)
    assert sorted(track.type for track in bob.view["alice"].tracks) == [AUDIO, VIDEO]


# Backup codecs (M-10, M-11)


def test_a_backup_codec_joins_its_track() -> None:
    rig, alice, bob = joined()
    codecs = [rtc.SimulcastCodec(codec="vp9", cid="cam"), rtc.SimulcastCodec(codec="vp8")]
    cam = alice.publish("cam", "video", simulcast_codecs=codecs, preferred=("video/VP9",))
    rig.run(0.3)
    (sid,) = alice.track_sids
    alice.forget()
    alice.send(
        add_track=rtc.AddTrackRequest(
            cid="backup", sid=sid, type=VIDEO, source=Source.CAMERA,
            simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="backup")],
        )
    )  # fmt: skip
    published = alice.last("track_published")
    assert (published.cid, published.track.sid) == ("backup", sid)
    backup = alice.media.add_publish("backup", "video", preferred=("video/VP8",))
    alice.offer()
    rig.run(0.3)
    (track,) = bob.view["alice"].tracks
    assert [(codec.mime_type, codec.mid) for codec in track.codecs] == [
        ("video/VP9", cam.mid), ("video/VP8", backup.mid)
    ]  # fmt: skip
    assert (track.mime_type, track.mid) == ("video/VP9", cam.mid)


def test_a_codec_that_was_not_named_before_is_added() -> None:
    rig, alice, _bob = joined()
    alice.publish("cam", "video", simulcast_codecs=[rtc.SimulcastCodec(codec="vp9", cid="cam")])
    rig.run(0.3)
    (sid,) = alice.track_sids
    alice.send(
        add_track=rtc.AddTrackRequest(
            sid=sid, type=VIDEO, source=Source.CAMERA, simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="backup")]
        )
    )
    published = alice.last("track_published")
    assert published.cid == "backup"
    assert [codec.mime_type for codec in published.track.codecs] == ["video/VP9", "video/vp8"]


def test_codecs_cannot_be_added_without_end() -> None:
    """X-3."""
    rig, alice, _ = joined()
    alice.publish("cam", "video")
    rig.run(0.3)
    (sid,) = alice.track_sids
    for number in range(20):
        codec = rtc.SimulcastCodec(codec=f"novel{number}", cid=f"c{number}")
        alice.send(add_track=rtc.AddTrackRequest(sid=sid, type=VIDEO, source=Source.CAMERA, simulcast_codecs=[codec]))
    assert alice.last("request_response").reason == Reason.LIMIT_EXCEEDED
    assert len(alice.of("track_published")[-1].track.codecs) == 8


def test_the_track_lives_while_one_of_its_codecs_does() -> None:
    rig, alice, bob = joined()
    codecs = [rtc.SimulcastCodec(codec="vp8", cid="cam"), rtc.SimulcastCodec(codec="h264", cid="backup")]
    cam = alice.publish("cam", "video", simulcast_codecs=codecs)
    backup = alice.media.add_publish("backup", "video", preferred=("video/H264",))
    alice.offer()
    rig.run(0.3)
    alice.media.unpublish(backup)
    alice.offer()
    rig.run(0.3)
    assert len(bob.view["alice"].tracks) == 1
    alice.media.unpublish(cam)
    alice.offer()
    rig.run(0.3)
    assert len(bob.view["alice"].tracks) == 0


# Mute (M-12), changes (Req 17, 18)


def published(**given: Any) -> tuple[Rig, Client, Client, str]:
    rig, alice, bob = joined()
    alice.publish(**given)
    rig.run(0.3)
    alice.forget()
    bob.forget()
    return rig, alice, bob, alice.track_sids[0]


def test_a_mute_is_told_to_all_and_to_oneself_once() -> None:
    _rig, alice, bob, sid = published()
    for muted in (True, True, False):
        alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=muted))
    assert [info.tracks[0].muted for info in bob.infos_of("alice")] == [True, False]
    assert [info.tracks[0].muted for info in alice.infos_of("alice")] == [True, False]


def test_a_pending_track_can_be_muted() -> None:
    rig, alice, bob = joined()
    alice.send(add_track=rtc.AddTrackRequest(cid="mic", type=AUDIO, source=Source.MICROPHONE))
    alice.send(mute=rtc.MuteTrackRequest(sid=alice.last("track_published").track.sid, muted=True))
    assert bob.updates == []
    alice.media.add_publish("mic", "audio")
    alice.offer()
    rig.run(0.1)
    assert bob.view["alice"].tracks[0].muted


def test_an_unmuted_video_is_asked_for_a_key_frame() -> None:
    """M-12, U-4."""
    rig, alice, _bob, sid = published(cid="cam", kind="video")
    cam = alice.media.published["cam"]
    cam.send(2)
    rig.run(2)
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    rig.run(3)
    before = len(alice.media.rtcp(Pli))
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=False))
    cam.send(1, key=False)
    rig.run(1)
    assert len(alice.media.rtcp(Pli)) > before


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("mute", rtc.MuteTrackRequest(sid="TR_none", muted=True)),
        ("update_audio_track", rtc.UpdateLocalAudioTrack(track_sid="TR_none")),
        ("update_video_track", rtc.UpdateLocalVideoTrack(track_sid="TR_none")),
    ],
)
def test_requests_about_unknown_tracks(name: str, request_: Any) -> None:
    """4.1, S-4."""
    alice = Rig().join()
    alice.forget()
    alice.send(**{name: request_})
    (response,) = alice.of("request_response")
    assert response.reason == Reason.NOT_FOUND
    assert getattr(response, name) == request_


def test_audio_features_and_sizes_can_change() -> None:
    """Req 17, 18."""
    rig, alice, bob, sid = published()
    features = [Feature.TF_STEREO, Feature.TF_NO_DTX, Feature.TF_STEREO]
    alice.send(update_audio_track=rtc.UpdateLocalAudioTrack(track_sid=sid, features=features))
    (shown,) = bob.view["alice"].tracks
    assert list(shown.audio_features) == [Feature.TF_STEREO, Feature.TF_NO_DTX]
    assert (shown.stereo, shown.disable_dtx) == (True, True)
    alice.send(update_video_track=rtc.UpdateLocalVideoTrack(track_sid=sid, width=1, height=2))
    assert alice.last("request_response").reason == Reason.NOT_FOUND, "not a video"
    alice.publish("cam", "video")
    rig.run(0.3)
    cam = next(track.sid for track in bob.view["alice"].tracks if track.type == VIDEO)
    alice.send(update_video_track=rtc.UpdateLocalVideoTrack(track_sid=cam, width=1280, height=720))
    assert [(t.width, t.height) for t in bob.view["alice"].tracks if t.sid == cam] == [(1280, 720)]
    alice.send(update_audio_track=rtc.UpdateLocalAudioTrack(track_sid=cam))
    assert alice.last("request_response").reason == Reason.NOT_FOUND, "not an audio"


# The end of tracks (M-14, M-15, M-16)


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
def test_a_section_that_goes_inactive_ends_its_track(v1: bool) -> None:
    """M-14, P-28."""
    rig, alice, bob = joined(v1=v1)
    mic = alice.publish()
    rig.run(0.3)
    (sid,) = alice.track_sids
    assert sid in bob.media.tracks.values()
    alice.forget()
    alice.media.unpublish(mic)
    alice.offer()
    rig.run(0.3)
    section = next(s for s in parse(alice.last("answer").sdp).media if s.mid == mic.mid)
    assert section.direction == "inactive"
    assert len(bob.view["alice"].tracks) == 0
    assert bob.view["alice"].is_publisher, "that stays"
    assert bob.media.tracks == {}
    assert alice.of("track_unpublished") == []
    assert [event.track for event in rig.event(TrackUnpublished)] == [sid]


def test_a_track_can_be_published_again_after_its_end() -> None:
    rig, alice, bob = joined()
    mic = alice.publish()
    rig.run(0.3)
    first = alice.track_sids
    alice.media.unpublish(mic)
    alice.offer()
    rig.run(0.3)
    again = alice.publish()
    rig.run(0.3)
    assert alice.track_sids != first
    again.send(3)
    rig.run(0.3)
    assert bob.media.received(alice.track_sids[0]) > 0


def test_garbage_offers_do_no_harm_to_others() -> None:
    """X-4: the sender joins anew, the others hear on."""
    rig, alice, bob = joined()
    mic = bob.publish("bobs")
    rig.run(0.3)
    alice.send(offer=rtc.SessionDescription(type="offer", sdp="nonsense", id=5))
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
    assert not alice.is_open()
    mic.send(2)
    rig.run(0.2)
    assert bob.is_open()


def test_an_offer_larger_than_the_limit_is_no_offer() -> None:
    """X-3."""
    rig = Rig(configured(limit=LimitConfig(max_sdp_size=3000)))
    alice = rig.join("alice", media=True)
    rig.run(0.3)
    assert alice.is_open()
    text = alice.media.open_publisher().offer()
    alice.send(offer=rtc.SessionDescription(type="offer", sdp=text.sdp + "a=x:y\r\n" * 500, id=9))
    assert alice.last("leave").action == Action.RECONNECT


def test_only_enabled_codecs_are_answered() -> None:
    room = RoomConfig(
        enabled_codecs=tuple(codec for codec in DEFAULT_CODECS if codec.mime in ("video/VP8", "audio/opus"))
    )
    rig = Rig(configured(room=room))
    alice = rig.join("alice", media=True)
    rig.run(0.3)
    cam = alice.publish("cam", "video")
    section = next(s for s in parse(alice.last("answer").sdp).media if s.mid == cam.mid)
    assert {codec.name for codec in section.codecs} == {"VP8"}
