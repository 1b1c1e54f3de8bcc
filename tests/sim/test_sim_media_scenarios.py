"""Media between simulated clients and a node: starts, mutes, permissions, layers, speakers.

All of it happens on the kernel in Python, and again on both kernels as one, which must answer the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from kernels import need_native, nodes_on

from sansio import Config
from sansio.auth import VideoGrant
from sansio.events import TrackPublished, TrackUnpublished
from sansio.sim import Link, Participant, World

HOME = Link(latency=0.020, jitter=0.004, loss=0.01)
BOTH = pytest.mark.parametrize("single", [True, False], ids=["one connection", "two connections"])


@pytest.fixture(params=["pure", "twins"], autouse=True)
def _kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param != "pure":
        need_native()
    with nodes_on(request.param):
        yield


def world_of(seed: int | str, link: Link = HOME, config: Config | None = None) -> World:
    world = World(seed=seed, link=link)
    world.add_node("n1", config)
    return world


def pair(seed: int | str, link: Link = HOME, *, single: bool = True) -> tuple[World, Participant, Participant]:
    world = world_of(seed, link)
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    world.run_until(lambda: alice.is_connected and bob.is_connected, deadline=5.0)
    return world, alice, bob


@BOTH
def test_video_is_whole_after_five_percent_loss(single: bool) -> None:
    world = world_of(7, Link(latency=0.040, loss=0.05))
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    alice.publish_video(frames=60)
    world.run_until(lambda: bob.frames_from(alice) == 60, deadline=6.0)
    assert all(sink.is_whole for sink in bob.sinks())


@BOTH
def test_audio_is_whole_after_five_percent_loss(single: bool) -> None:
    world, alice, bob = pair("audio", Link(latency=0.030, loss=0.05), single=single)
    alice.publish_audio(frames=200)
    world.run_until(lambda: bob.audio_from(alice) == 200, deadline=8.0)


@BOTH
def test_redundant_audio_needs_nothing_sent_again(single: bool) -> None:
    world, alice, bob = pair("red", Link(latency=0.200, loss=0.02), single=single)
    alice.publish_audio(frames=300, red=True)
    world.run_until(lambda: bob.audio_sinks(alice) and bob.audio_sinks(alice)[0].extra_frames > 120, deadline=10.0)
    sink = bob.audio_sinks(alice)[0]
    assert sink.frames >= 298  # two in a row may be lost
    assert sink.first_frame == 0


def test_media_survives_bursts_of_loss_and_repetition() -> None:
    link = Link(latency=0.030, jitter=0.015, loss=0.03, burst=4, reorder=0.05, duplicate=0.02)
    world, alice, bob = pair("bursts", link)
    alice.publish_video(frames=150)
    alice.publish_audio(frames=200)
    world.run_until(lambda: bob.frames_from(alice) == 150 and bob.audio_from(alice) == 200, deadline=9.0)
    assert all(sink.is_whole for sink in bob.sinks())


@BOTH
def test_a_late_joiner_sees_video_within_one_key_frame(single: bool) -> None:
    world, alice, _ = pair("late", single=single)
    alice.publish_video(simulcast=True)
    world.run(3.0)
    carol = world.join("room", "carol", single=single)
    world.run_until(lambda: carol.is_connected and carol.sinks(alice), deadline=3.0)
    found_at = world.now
    world.run_until(lambda: carol.frames_from(alice) > 0, deadline=0.5)
    assert world.now - found_at <= 0.3  # a round trip to the publisher, one to the server, a frame


def test_newcomers_at_the_same_time_share_one_key_frame() -> None:
    world, alice, _ = pair("crowd")
    alice.publish_video()
    world.run(2.0)
    crowd = [world.join("room", f"guest {number}") for number in range(6)]
    world.run_until(lambda: all(one.frames_from(alice) for one in crowd), deadline=4.0)
    world.run(2.0)
    assert all(sink.is_whole for one in crowd for sink in one.sinks())
    assert max(sink.key_frames for one in crowd for sink in one.video_sinks(alice)) <= 3


@BOTH
def test_mute_stops_and_unmute_resumes_both_kinds(single: bool) -> None:
    world, alice, bob = pair("mute", single=single)
    camera, microphone = alice.publish_video(), alice.publish_audio()
    world.run_until(lambda: bob.frames_from(alice) > 30 and bob.audio_from(alice) > 50, deadline=5.0)
    alice.mute(camera)
    alice.mute(microphone)
    world.run_until(lambda: all(track.muted for track in bob.sees(alice).tracks), deadline=1.0)  # type: ignore[union-attr]
    world.run(1.0)
    before = bob.frames_from(alice), bob.audio_from(alice)
    world.run(2.0)
    assert (bob.frames_from(alice), bob.audio_from(alice)) == before
    alice.mute(camera, False)
    alice.mute(microphone, False)
    world.run_until(
        lambda: bob.frames_from(alice) > before[0] + 30 and bob.audio_from(alice) > before[1] + 50, deadline=3.0
    )
    # The server stops at the request, which may overtake the last frames.
    assert all(sink.faults.keys() <= {"missing"} and sink.missing <= 3 for sink in bob.sinks())
    assert len(bob.sinks()) == 2


@BOTH
def test_unpublished_tracks_end_and_their_sections_serve_the_next(single: bool) -> None:
    world, alice, bob = pair("unpublish", single=single)
    for number in range(4):
        track = alice.publish_video(frames=15, name=f"camera {number}")
        world.run_until(lambda n=number: bob.frames_from(alice) == 15 * (n + 1), deadline=4.0)  # type: ignore[misc]
        alice.unpublish(track)
        world.run_until(lambda: bob.sees(alice) and not bob.sees(alice).tracks, deadline=3.0)  # type: ignore[union-attr]
    node = world.nodes["n1"]
    assert len(node.events_of(TrackPublished)) == len(node.events_of(TrackUnpublished)) == 4
    assert all(sink.is_whole for sink in bob.sinks())


@BOTH
def test_a_track_can_be_unsubscribed_and_subscribed_again(single: bool) -> None:
    world, alice, bob = pair("again", single=single)
    track = alice.publish_video()
    world.run_until(lambda: bob.frames_from(alice) > 10, deadline=4.0)
    for _ in range(3):
        bob.subscribe(track, False)
        world.run(1.0)
        before = bob.frames_from(alice)
        world.run(1.0)
        assert bob.frames_from(alice) == before
        bob.subscribe(track)
        world.run_until(lambda n=before: bob.frames_from(alice) > n + 10, deadline=3.0)  # type: ignore[misc]


@BOTH
def test_without_auto_subscribe_only_wishes_count(single: bool) -> None:
    world = world_of("wishes")
    alice = world.join("room", "alice")
    bob = world.join("room", "bob", single=single, auto_subscribe=False)
    wanted, other = alice.publish_audio(name="one"), alice.publish_audio(name="two")
    world.run_until(lambda: wanted.sid and other.sid and bob.is_connected, deadline=4.0)
    world.run(1.0)
    assert not bob.sinks()
    bob.subscribe(wanted)
    world.run_until(lambda: bob.audio_from(alice) > 20, deadline=3.0)
    assert [sink.sid for sink in bob.sinks()] == [wanted.sid]


@BOTH
def test_only_permitted_subscribers_receive(single: bool) -> None:
    world, alice, bob = pair("permission", single=single)
    carol = world.join("room", "carol", single=single)
    alice.allow("carol")
    world.run(0.2)
    track = alice.publish_audio()
    world.run_until(lambda: carol.audio_from(alice) > 20, deadline=4.0)
    assert not bob.sinks(alice)
    assert bob.client.view.subscription_allowed == {track.sid: False}
    alice.allow("bob")
    world.run_until(lambda: bob.audio_from(alice) > 20, deadline=4.0)
    world.run(0.5)
    before = carol.audio_from(alice)
    world.run(1.0)
    assert carol.audio_from(alice) == before
    assert carol.client.view.subscription_allowed[track.sid] is False


def test_layers_change_at_key_frames_as_the_subscriber_asks() -> None:
    world, alice, bob = pair("quality")
    track = alice.publish_video(simulcast=True)
    world.run_until(lambda: [sink.layer for sink in bob.video_sinks(alice)] == [2], deadline=5.0)
    sink = bob.video_sinks(alice)[0]
    for quality in (0, 2, 1, 0, 1, 2):
        bob.set_quality(track, quality)
        world.run_until(lambda q=quality: sink.layer == q, deadline=3.0)  # type: ignore[misc]
        world.run(0.7)
        assert sink.layer == quality
    assert sink.is_whole, sink.faults
    assert sink.clock_error_s < 0.03
    assert all(earlier[0] < later[0] for earlier, later in pairwise(sink.layers))


def test_two_viewers_may_watch_different_layers() -> None:
    world, alice, bob = pair("viewers")
    carol = world.join("room", "carol")
    track = alice.publish_video(simulcast=True)
    world.run_until(lambda: bob.frames_from(alice) and carol.frames_from(alice), deadline=4.0)
    bob.set_quality(track, 0)
    world.run_until(
        lambda: bob.video_sinks(alice)[0].layer == 0 and carol.video_sinks(alice)[0].layer == 2, deadline=3.0
    )
    world.run(2.0)
    assert (bob.video_sinks(alice)[0].layer, carol.video_sinks(alice)[0].layer) == (0, 2)


def test_a_disabled_track_pauses_and_comes_back() -> None:
    world, alice, bob = pair("disabled")
    track = alice.publish_video()
    world.run_until(lambda: bob.frames_from(alice) > 10, deadline=4.0)
    bob.set_quality(track, 2, disabled=True)
    world.run(0.5)
    before = bob.frames_from(alice)
    world.run(1.0)
    assert bob.frames_from(alice) == before
    bob.set_quality(track, 2)
    world.run_until(lambda: bob.frames_from(alice) > before + 10, deadline=2.0)


def test_publishers_send_only_layers_that_are_watched() -> None:
    world, alice, bob = pair("dynacast")
    track = alice.publish_video(simulcast=True)
    world.run_until(lambda: bob.frames_from(alice) > 0, deadline=4.0)
    bob.set_quality(track, 0)
    world.run_until(lambda: [one.is_active for one in track.encoders] == [True, False, False], deadline=8.0)
    bob.set_quality(track, 2)
    world.run_until(lambda: all(one.is_active for one in track.encoders), deadline=1.0)
    sink = bob.video_sinks(alice)[0]
    world.run_until(lambda: sink.layer == 2, deadline=3.0)
    assert sink.is_whole, sink.faults
    bob.subscribe(track, False)
    world.run_until(lambda: not any(one.is_active for one in track.encoders), deadline=8.0)


def test_whoever_is_loud_is_told_to_be_speaking() -> None:
    world, alice, bob = pair("speakers")
    microphone = alice.publish_audio()
    world.run_until(lambda: list(bob.client.view.speakers) == [alice.sid], deadline=5.0)
    assert list(alice.client.view.speakers) == [alice.sid]
    microphone.level = 127
    world.run_until(lambda: not bob.client.view.speakers, deadline=3.0)


def test_a_hidden_subscriber_is_seen_by_nobody() -> None:
    world, alice, bob = pair("hidden")
    alice.publish_video()
    spy = world.join("room", "spy", grant=VideoGrant(hidden=True, can_publish=False))
    world.run_until(lambda: spy.frames_from(alice) > 10, deadline=4.0)
    assert sorted(spy.others) == ["alice", "bob"]
    assert bob.others == ["alice"]


def test_who_may_not_publish_is_refused() -> None:
    world = world_of("refused")
    alice = world.join("room", "alice", grant=VideoGrant(can_publish=False))
    world.run_until(lambda: alice.is_connected, deadline=3.0)
    track = alice.publish_audio()
    world.run_until(lambda: alice.client.view.refusals, deadline=1.0)
    assert not track.sid


@BOTH
def test_who_may_not_subscribe_gets_nothing(single: bool) -> None:
    world, alice, _ = pair("deaf", single=single)
    alice.publish_audio()
    carol = world.join("room", "carol", single=single, grant=VideoGrant(can_subscribe=False))
    world.run_until(lambda: carol.is_connected, deadline=3.0)
    world.run(2.0)
    assert not carol.sinks()


def test_the_server_mutes_a_track_by_its_api() -> None:
    world, alice, bob = pair("api")
    track = alice.publish_audio()
    world.run_until(lambda: bob.audio_from(alice) > 10, deadline=4.0)
    world.call("MutePublishedTrack", {"room": "room", "identity": "alice", "trackSid": track.sid, "muted": True})
    world.run_until(lambda: track.is_muted, deadline=1.0)
    world.run_until(lambda: bob.sees(alice).tracks[0].muted, deadline=1.0)  # type: ignore[union-attr]


def test_many_tracks_at_once_all_arrive() -> None:
    world, alice, bob = pair("many")
    for number in range(6):
        alice.publish_video(frames=20, name=f"camera {number}", fps=10)
        alice.publish_audio(frames=50, name=f"microphone {number}")
    world.run_until(lambda: bob.frames_from(alice) == 120 and bob.audio_from(alice) == 300, deadline=12.0)
    assert len(bob.sinks(alice)) == 12
    assert all(sink.is_whole for sink in bob.sinks())


def test_a_narrow_link_loses_and_repairs() -> None:
    world, alice, bob = pair("narrow", Link(latency=0.02, rate_bps=1_500_000, queue_bytes=20_000))
    alice.publish_video(frames=90)
    world.run_until(lambda: bob.frames_from(alice) == 90, deadline=8.0)
