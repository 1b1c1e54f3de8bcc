"""Tracks in several codecs: backup codecs and their policies, sections that stop, codecs that turn out to be others
(signalling 7.2, M-10 and M-11), RED, and what is
cut off frames."""

from __future__ import annotations

from typing import Any

import pytest
from node_rig import Client, Rig, configured
from phone import KEY_FRAME, Published

from sansio import AudioConfig, VideoConfig
from sansio.transport import StreamBound
from sansio.wire import models, rtc

VIDEO = models.TrackType.VIDEO
Policy = models.BackupCodecPolicy
OPUS_FRAME_BYTES = len(b"opus frame")
VP8_ONLY = ("video/VP8", "audio/opus")
ON, OFF = [True] * 3, [False] * 3


class Call:
    """Alice sends VP9 and can send VP8, bob takes VP8 alone, carol takes both."""

    def __init__(
        self, *, policy: int = Policy.PREFER_REGRESSION, threshold: int = 5, first: str = "vp9", bobs: int = 1
    ) -> None:
        self.rig = Rig(configured(video=VideoConfig(codec_regression_threshold=threshold)))
        self.alice = self.rig.join("alice", media=True)
        self.carol = self.rig.join("carol", media=True)
        self.bobs = [self.rig.join(f"bob{n}", media=True, mimes=VP8_ONLY) for n in range(bobs)]
        self.rig.run(0.5)
        codecs = [rtc.SimulcastCodec(codec=first, cid="cam"), rtc.SimulcastCodec(codec="vp8")]
        self.cam = self.alice.publish(
            "cam", "video", preferred=(f"video/{first.upper()}",), simulcast_codecs=codecs, backup_codec_policy=policy
        )
        self.rig.run(0.5)
        (self.sid,) = self.alice.track_sids
        self.backup: Published | None = None

    def add_backup(self) -> Published:
        """Alice publishes the other codec, and its media comes."""
        self.alice.send(
            add_track=rtc.AddTrackRequest(
                cid="backup", sid=self.sid, type=VIDEO, source=models.TrackSource.CAMERA,
                simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="backup")],
            )
        )  # fmt: skip
        self.backup = self.alice.media.add_publish("backup", "video", preferred=("video/VP8",))
        self.alice.offer()
        self.rig.run(0.3)
        self.backup.send()
        self.rig.run(0.1)
        return self.backup

    def stop(self, published: Published) -> None:
        self.alice.media.unpublish(published)
        self.alice.offer()
        self.rig.run(0.3)

    def seen(self, client: Client, published: Published, frames: int = 5) -> int:
        """How much of what is sent in that section now reaches the client."""
        before = client.media.received(self.sid)
        for _ in range(frames):
            published.send()
            self.rig.run(0.05)
        return client.media.received(self.sid) - before

    @property
    def wanted(self) -> dict[str, list[bool]]:
        """What alice was told to send."""
        update = self.alice.last("subscribed_quality_update")
        return {c.codec: [q.enabled for q in c.qualities] for c in update.subscribed_codecs}


@pytest.mark.parametrize(
    ("policy", "bobs", "threshold", "moves"),
    [
        (Policy.SIMULCAST, 1, 5, False),
        (Policy.REGRESSION, 1, 5, True),
        (Policy.REGRESSION, 4, 5, True),
        (Policy.PREFER_REGRESSION, 1, 5, True),
        (Policy.PREFER_REGRESSION, 2, 5, True),
        (Policy.PREFER_REGRESSION, 3, 5, False),
        (Policy.PREFER_REGRESSION, 1, 2, False),
        (Policy.PREFER_REGRESSION, 4, 0, True),
    ],
    ids=["simulcast", "regress", "regress large", "prefer", "below", "at threshold", "low threshold", "always"],
)
def test_the_policy_says_whether_all_move_to_the_backup_codec(
    policy: int, bobs: int, threshold: int, moves: bool
) -> None:
    call = Call(policy=policy, bobs=bobs, threshold=threshold)
    assert call.wanted == {"vp9": ON, "vp8": ON}
    assert call.seen(call.carol, call.cam) > 0
    backup = call.add_backup()
    assert call.wanted == {"vp9": OFF if moves else ON, "vp8": ON}, "and that at once"
    assert (call.seen(call.carol, backup) > 0, call.seen(call.carol, call.cam) > 0) == (moves, not moves)
    assert all(call.seen(bob, backup) > 0 for bob in call.bobs)


def test_who_joins_after_the_move_gets_the_backup_codec() -> None:
    call = Call()
    backup = call.add_backup()
    dave = call.rig.join("dave", media=True)
    call.rig.run(0.5)
    assert call.seen(dave, backup) > 0
    assert call.wanted == {"vp9": OFF, "vp8": ON}


def test_the_first_codec_goes_on_for_who_cannot_take_the_backup() -> None:
    call = Call(policy=Policy.REGRESSION)
    erin = call.rig.join("erin", media=True, mimes=("video/VP9", "audio/opus"))
    call.rig.run(0.5)
    backup = call.add_backup()
    assert call.wanted == {"vp9": ON, "vp8": ON}
    assert call.seen(erin, call.cam) > 0
    assert call.seen(call.carol, backup) > 0


def test_sequence_numbers_go_on_without_a_hole_across_the_move() -> None:
    call = Call()
    before = call.seen(call.carol, call.cam)
    after = call.seen(call.carol, call.add_backup())
    assert before > 0
    assert after > 0
    assert call.carol.media.received(call.sid) > before + after - 1
    assert call.carol.media.missed(call.sid) == 0
    assert len({event.stream for event in call.carol.media.of(StreamBound)}) == 1


def test_all_return_when_the_backup_codec_stops() -> None:
    call = Call()
    backup = call.add_backup()
    assert call.seen(call.carol, backup) > 0
    call.stop(backup)
    assert call.wanted["vp9"] == ON
    assert call.seen(call.carol, call.cam) > 0
    (track,) = call.carol.view["alice"].tracks
    assert [(codec.mime_type, codec.mid) for codec in track.codecs] == [("video/VP9", call.cam.mid), ("video/VP8", "")]


def test_the_other_codec_is_followed_when_the_first_one_stops() -> None:
    call = Call(policy=Policy.SIMULCAST)
    backup = call.add_backup()
    assert call.seen(call.carol, call.cam) > 0
    call.stop(call.cam)
    assert call.wanted["vp8"] == ON
    assert call.seen(call.carol, backup) > 0


def test_a_codec_that_stops_is_asked_for_again_where_no_other_fits() -> None:
    call = Call(policy=Policy.SIMULCAST)
    (bob,) = call.bobs
    backup = call.add_backup()
    assert call.seen(bob, backup) > 0
    call.stop(backup)
    assert bob.of("subscription_response") == []
    assert call.wanted == {"vp9": ON, "vp8": ON}
    assert call.seen(bob, call.add_backup()) > 0


def test_a_codec_that_turns_out_to_be_another_is_forwarded_as_that() -> None:
    """The answer puts one codec first, the packets are of another; layers then are counted under the new name."""
    rig = Rig()
    alice, bob = (rig.join(name, media=True) for name in ("alice", "bob"))
    rig.run(0.5)
    cam = alice.publish("cam", "video", preferred=("video/VP9",))
    rig.run(0.5)
    (sid,) = alice.track_sids
    for _ in range(5):
        cam.send(codec="VP8")
        rig.run(0.05)
    (track,) = bob.view["alice"].tracks
    assert (track.mime_type, track.codecs[0].mime_type) == ("video/VP8", "video/VP8")
    update = alice.last("subscribed_quality_update")
    assert [(c.codec, [q.enabled for q in c.qualities]) for c in update.subscribed_codecs] == [("vp8", ON)]
    assert bob.media.received(sid) > 0
    alice.forget()
    bob.send(subscription=rtc.UpdateSubscription(track_sids=[sid], subscribe=False))
    rig.run(6)
    update = alice.last("subscribed_quality_update")
    assert [(c.codec, [q.enabled for q in c.qualities]) for c in update.subscribed_codecs] == [("vp8", OFF)]


# RED (media 4.6)


@pytest.mark.parametrize(
    ("active", "publisher", "subscriber", "given", "makes_red"),
    [
        (True, ("audio/opus",), (), {}, True),
        (False, ("audio/opus",), (), {}, False),
        (True, ("audio/opus",), ("audio/opus",), {}, False),
        (True, ("audio/opus",), (), {"encryption": models.Encryption.Type.GCM}, False),
        (True, ("audio/opus",), (), {"disable_red": True}, False),
        (True, ("audio/PCMU", "audio/opus"), (), {}, True),
        (True, (), (), {}, False),
    ],
    ids=["made", "not by default", "not taken", "encrypted", "not wished", "beside others", "there is some"],
)
def test_red_is_made_of_opus_where_it_may_be(
    active: bool, publisher: tuple[str, ...], subscriber: tuple[str, ...], given: dict[str, Any], makes_red: bool
) -> None:
    rig = Rig(configured(audio=AudioConfig(active_red_encoding=active)))
    alice, bob = rig.join("alice", media=True, mimes=publisher), rig.join("bob", media=True, mimes=subscriber)
    rig.run(0.5)
    mic = alice.publish(**given)
    rig.run(0.5)
    (sid,) = alice.track_sids
    for _ in range(10):
        mic.send()
        rig.run(0.02)
    packets, size = bob.media.received(sid), bob.media.payload_bytes(sid)
    assert packets > 5
    assert (size > 2 * packets * OPUS_FRAME_BYTES) == makes_red
    assert makes_red or size == packets * OPUS_FRAME_BYTES


def test_nobody_makes_red_for_browsers_that_take_it_badly() -> None:
    rig = Rig(configured(audio=AudioConfig(active_red_encoding=True)))
    alice = rig.join("alice", media=True, mimes=("audio/opus",))
    bob = rig.join("bob", media=True, headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"})
    rig.run(0.5)
    mic = alice.publish()
    rig.run(0.5)
    mic.send(5)
    rig.run(0.1)
    (sid,) = alice.track_sids
    assert bob.media.payload_bytes(sid) == bob.media.received(sid) * OPUS_FRAME_BYTES > 0


# Packet trailers (M-18)


@pytest.mark.parametrize(
    ("capabilities", "features", "is_cut"),
    [
        ("", [models.PacketTrailerFeature.PTF_USER_TIMESTAMP], True),
        ("CAP_PACKET_TRAILER", [models.PacketTrailerFeature.PTF_USER_TIMESTAMP], False),
        ("", [], False),
    ],
    ids=["unknown to the client", "known", "not announced"],
)
def test_trailers_of_frames_are_cut_off_for_clients_that_do_not_know_them(
    capabilities: str, features: list[int], is_cut: bool
) -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True, query={"capabilities": capabilities})
    rig.run(0.5)
    cam = alice.publish("cam", "video", preferred=("video/VP8",), packet_trailer_features=features)
    rig.run(0.5)
    trailer = b"\xfe\xf7" + bytes(8) + b"\xf0LKTS"
    cam.send(tail=trailer)
    rig.run(0.1)
    cam.send(3, tail=trailer)
    rig.run(0.1)
    (sid,) = alice.track_sids
    packets = bob.media.received(sid)
    assert packets >= 3
    assert bob.media.payload_bytes(sid) == packets * (len(KEY_FRAME) + (0 if is_cut else len(trailer)))
