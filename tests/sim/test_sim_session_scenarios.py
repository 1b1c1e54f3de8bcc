"""Sessions of simulated clients: joins on bad networks, lost sockets and paths, departures, rooms that end."""

from __future__ import annotations

import attrs
import pytest

from sansio import Config, RoomConfig, RtcConfig
from sansio.auth import VideoGrant
from sansio.events import JoinRefused, ParticipantJoined, ParticipantLeft, ParticipantResumed, RoomFinished
from sansio.sim import Joined, Link, Participant, Resumed, World
from sansio.wire import rtc

HOME = Link(latency=0.020, jitter=0.004, loss=0.01)
BOTH = pytest.mark.parametrize("single", [True, False], ids=["one connection", "two connections"])


def world_of(seed: int | str, link: Link = HOME, config: Config | None = None) -> World:
    world = World(seed=seed, link=link)
    world.add_node("n1", config)
    return world


def call(seed: int | str, link: Link = HOME, *, single: bool = True) -> tuple[World, Participant, Participant]:
    """Two people who hear and see each other."""
    world = world_of(seed, link)
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    for one in (alice, bob):
        one.publish_video(fps=15)
        one.publish_audio()
    world.run_until(lambda: in_call(alice, bob), deadline=6.0)
    return world, alice, bob


def in_call(*people: Participant) -> bool:
    return all(
        len(one.sinks(other)) >= 2 and all(sink.frames for sink in one.sinks(other))
        for one in people
        for other in people
        if one is not other
    )


def goes_on(world: World, alice: Participant, bob: Participant, within: float = 5.0) -> None:
    """Wait for media both ways, counted from now."""
    before = [(one.frames_from(other), one.audio_from(other)) for one, other in ((alice, bob), (bob, alice))]

    def both_ways() -> bool:
        now = [(one.frames_from(other), one.audio_from(other)) for one, other in ((alice, bob), (bob, alice))]
        return all(n[0] > b[0] + 10 and n[1] > b[1] + 20 for n, b in zip(now, before, strict=True))

    world.run_until(both_ways, deadline=within)


def reasons(world: World) -> list[tuple[str, str]]:
    return [(event.identity, event.reason) for event in world.nodes["n1"].events_of(ParticipantLeft)]


# Joining


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_a_join_succeeds_at_thirty_percent_loss(seed: int, single: bool) -> None:
    world = world_of(seed, Link(latency=0.050, loss=0.30))
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    alice.publish_audio()
    world.run_until(lambda: alice.is_connected and bob.is_connected, deadline=15.0)
    world.run_until(lambda: bob.audio_from(alice) > 50, deadline=15.0)


def test_a_refused_join_says_why() -> None:
    world = world_of("refused", config=Config(room=RoomConfig(auto_create=False)))
    alice = world.join("nowhere", "alice")
    world.run_until(lambda: alice.is_gone, deadline=2.0)
    assert (alice.why_left, alice.client.left) == ("requested room does not exist", alice.client.left)
    assert alice.client.left is not None
    assert alice.client.left.status == 404
    assert world.nodes["n1"].events_of(JoinRefused)
    world.call("CreateRoom", {"name": "nowhere"})
    bob = world.join("nowhere", "bob")
    world.run_until(lambda: bob.is_connected, deadline=3.0)


def test_a_full_room_refuses_one_more() -> None:
    world = world_of("full", config=Config(room=RoomConfig(max_participants=2)))
    first = [world.join("room", f"guest {number}") for number in range(2)]
    world.run_until(lambda: all(one.is_connected for one in first), deadline=3.0)
    late = world.join("room", "late")
    world.run_until(lambda: late.is_gone, deadline=2.0)
    assert "max participants" in late.why_left
    first[0].leave()
    world.run(0.5)
    again = world.join("room", "again")
    world.run_until(lambda: again.is_connected, deadline=3.0)


# Lost sockets


@BOTH
def test_a_lost_socket_is_resumed_while_media_flows(single: bool) -> None:
    world, alice, bob = call("socket", single=single)
    sid = alice.sid
    alice.lose_socket()
    world.run_until(lambda: any(isinstance(event, Resumed) for event in alice.events), deadline=2.0)
    goes_on(world, alice, bob)
    world.run(5.0)
    assert alice.sid == sid
    assert alice.is_connected
    assert [event.identity for event in world.nodes["n1"].events_of(ParticipantResumed)] == ["alice"]
    assert not reasons(world)
    assert all(sink.is_whole for sink in (*alice.sinks(), *bob.sinks())), [s.faults for s in alice.sinks()]
    assert all(not sink.restarts for sink in (*alice.sinks(), *bob.sinks()))


@BOTH
def test_requests_made_during_a_resume_are_carried_out_after_it(single: bool) -> None:
    world, alice, bob = call("gap", single=single)
    alice.lose_socket()
    track = next(iter(alice.client.published.tracks.values()))
    alice.mute(track)
    screen = alice.publish_video(name="screen", fps=5)
    world.run_until(lambda: bob.sees(alice) is not None and any(t.muted for t in bob.sees(alice).tracks), deadline=3.0)  # type: ignore[union-attr]
    world.run_until(lambda: any(sink.sid == screen.sid and sink.frames > 5 for sink in bob.sinks(alice)), deadline=4.0)


def test_several_resumes_in_a_row_end_in_one_session() -> None:
    world, alice, bob = call("flapping")
    for _ in range(4):
        alice.lose_socket()
        world.run(0.15)
    world.run(3.0)
    goes_on(world, alice, bob)
    assert not reasons(world)
    assert alice.others == ["bob"]


def test_a_socket_lost_while_others_come_and_go_leaves_the_right_picture() -> None:
    world, alice, bob = call("picture")
    carol = world.join("room", "carol")
    world.run_until(lambda: carol.is_connected and sorted(alice.others) == ["bob", "carol"], deadline=4.0)
    alice.client.phase, phase = alice.client.phase, alice.client.phase
    assert phase is alice.client.phase
    alice.set_link(Link(latency=2.0))
    alice.lose_socket()
    carol.leave()
    dave = world.join("room", "dave")
    world.run(1.0)
    alice.set_link(HOME)
    world.run_until(lambda: sorted(alice.others) == ["bob", "dave"], deadline=10.0)
    world.run_until(lambda: dave.is_connected, deadline=3.0)
    goes_on(world, alice, bob)


# Lost paths


@BOTH
def test_an_outage_of_five_seconds_is_survived(single: bool) -> None:
    world, alice, bob = call("outage", single=single)
    alice.cut()
    world.run(5.0)
    alice.restore()
    goes_on(world, alice, bob)
    assert not reasons(world)


@BOTH
def test_an_outage_of_half_a_minute_ends_in_a_new_connection(single: bool) -> None:
    world, alice, bob = call("long outage", single=single)
    alice.cut()
    world.run(30.0)
    alice.restore()
    world.run_until(lambda: alice.is_connected, deadline=40.0)
    goes_on(world, alice, bob, within=15.0)
    assert alice.others == ["bob"]
    assert bob.others == ["alice"]


@BOTH
def test_who_vanishes_is_noticed_and_reported(single: bool) -> None:
    world, alice, bob = call("vanished", single=single)
    alice.vanish()
    world.run_until(lambda: not bob.others, deadline=25.0)
    assert reasons(world)[0][0] == "alice"
    assert not bob.is_gone
    assert len(world.nodes["n1"].node.rooms) == 1


@BOTH
def test_ice_restarts_while_media_flows(single: bool) -> None:
    world, alice, bob = call("restart", single=single)
    for _ in range(3):
        before = alice.client.publisher.credentials if alice.client.publisher else None
        alice.restart_ice()
        world.run(2.0)
        assert alice.client.publisher is not None
        assert alice.client.publisher.credentials != before
    goes_on(world, alice, bob)
    assert all(sink.is_whole for sink in (*alice.sinks(), *bob.sinks()))


@BOTH
def test_a_new_address_behind_a_nat_is_followed(single: bool) -> None:
    world, alice, bob = call("nat", single=single)
    alice.rebind()
    world.run(4.0)
    goes_on(world, alice, bob)
    assert not reasons(world)
    assert not any(isinstance(event, Resumed) for event in alice.events)


@BOTH
def test_both_sides_of_a_server_restart_meet_again(single: bool) -> None:
    world, alice, bob = call("server leave", single=single)
    alice.request(rtc.SignalRequest(simulate=rtc.SimulateScenario(leave_request_full_reconnect=True)))
    world.run_until(lambda: sum(isinstance(event, Joined) for event in alice.events) == 2, deadline=3.0)
    goes_on(world, alice, bob)
    assert alice.others == ["bob"]
    assert bob.others == ["alice"]
    assert [sid for identity, sid in sids(world) if identity == "alice"][-1] == alice.sid


def sids(world: World) -> list[tuple[str, str]]:
    return [(event.identity, event.sid) for event in world.nodes["n1"].events_of(ParticipantJoined)]


@BOTH
@pytest.mark.parametrize("scenario", ["node_failure", "migration", "disconnect_signal_on_resume"])
def test_staged_faults_are_survived(scenario: str, single: bool) -> None:
    world, alice, bob = call(scenario, single=single)
    alice.request(rtc.SignalRequest(simulate=rtc.SimulateScenario(**{scenario: True})))  # type: ignore[arg-type]
    world.run(0.5)
    if scenario == "disconnect_signal_on_resume":
        alice.lose_socket()
    world.run_until(lambda: alice.is_connected and in_call(alice, bob), deadline=10.0)
    goes_on(world, alice, bob)


# Leaving


@BOTH
def test_a_goodbye_is_heard_at_once(single: bool) -> None:
    world, alice, bob = call("goodbye", single=single)
    alice.leave()
    world.run_until(lambda: not bob.others, deadline=0.5)
    assert reasons(world) == [("alice", "CLIENT_INITIATED")]
    world.run(1.0)
    assert alice.is_gone


@BOTH
def test_an_identity_that_comes_again_replaces_the_first(single: bool) -> None:
    world, alice, bob = call("twice", single=single)
    second = world.join("room", "alice", single=single)
    second.publish_audio()
    world.run_until(lambda: alice.is_gone and second.is_connected, deadline=4.0)
    assert alice.why_left == "DUPLICATE_IDENTITY"
    world.run_until(lambda: any(sink.frames > 20 for sink in second.sinks(bob)), deadline=4.0)
    world.run_until(lambda: bob.others == ["alice"] and bob.sees(second).sid == second.sid, deadline=2.0)  # type: ignore[union-attr]
    assert not second.is_gone


def test_who_is_removed_by_the_api_does_not_come_back() -> None:
    world, alice, bob = call("removed")
    world.call("RemoveParticipant", {"room": "room", "identity": "alice"})
    world.run_until(lambda: alice.is_gone and not bob.others, deadline=1.0)
    assert alice.why_left == "PARTICIPANT_REMOVED"


def test_a_page_that_is_reloaded_is_back_at_once() -> None:
    world, alice, bob = call("reload")
    alice.vanish()
    again = world.join("room", "alice")
    again.publish_video(fps=15)
    again.publish_audio()
    world.run_until(lambda: again.is_connected and in_call(again, bob), deadline=4.0)
    assert bob.others == ["alice"]


# Rooms


def test_a_room_closes_after_its_last_participant_left() -> None:
    config = Config(room=RoomConfig(departure_timeout=20, empty_timeout=300))
    world = world_of("closing", config=config)
    alice = world.join("room", "alice")
    world.run_until(lambda: alice.is_connected, deadline=3.0)
    alice.leave()
    world.run_until(lambda: reasons(world), deadline=1.0)
    left_at = world.now
    node = world.nodes["n1"]
    world.run_until(lambda: node.events_of(RoomFinished), deadline=30.0)
    assert world.now - left_at == pytest.approx(20.0, abs=0.01)
    assert node.node.rooms == ()


def test_a_room_that_somebody_returns_to_stays_open() -> None:
    world = world_of("return")
    alice = world.join("room", "alice")
    world.run_until(lambda: alice.is_connected, deadline=3.0)
    alice.leave()
    world.run(15.0)
    again = world.join("room", "alice")
    world.run(15.0)
    assert again.is_connected
    assert not world.nodes["n1"].events_of(RoomFinished)


def test_a_room_that_nobody_joins_closes() -> None:
    world = world_of("empty", config=Config(room=RoomConfig(empty_timeout=60)))
    world.call("CreateRoom", {"name": "waiting"})
    world.run_until(lambda: world.nodes["n1"].events_of(RoomFinished), deadline=61.0)


def test_deleting_a_room_sends_everybody_away() -> None:
    world, alice, bob = call("deleted")
    world.call("DeleteRoom", {"room": "room"})
    world.run_until(lambda: alice.is_gone and bob.is_gone, deadline=1.0)
    assert alice.why_left == bob.why_left == "ROOM_DELETED"


def test_a_server_that_ends_says_so() -> None:
    world, alice, bob = call("shutdown")
    node = world.nodes["n1"]
    node.node.drain(world.now)
    late = world.join("room", "late")
    world.run_until(lambda: late.is_gone, deadline=1.0)
    node.node.close(world.now)
    world.flush_node(node)
    world.run_until(lambda: alice.is_gone and bob.is_gone, deadline=1.0)
    assert alice.why_left == bob.why_left == "SERVER_SHUTDOWN"


def test_an_idle_call_of_ten_minutes_stays_up() -> None:
    world = world_of("idle")
    alice, bob = world.join("room", "alice"), world.join("room", "bob", single=False)
    world.run(600.0)
    assert alice.is_connected
    assert bob.is_connected
    assert not reasons(world)
    assert alice.times_connected == 1


def test_a_permission_taken_away_ends_what_it_allowed() -> None:
    world, alice, bob = call("revoked")
    permission = {"canPublish": False, "canSubscribe": True, "canPublishData": False}
    world.call("UpdateParticipant", {"room": "room", "identity": "alice", "permission": permission})
    world.run_until(lambda: bob.sees(alice) is not None and not bob.sees(alice).tracks, deadline=2.0)  # type: ignore[union-attr]
    world.run_until(lambda: not alice.client.published.tracks, deadline=2.0)
    before = alice.audio_from(bob)
    world.run(1.0)
    assert alice.audio_from(bob) > before + 40


def test_nothing_remains_of_those_who_left() -> None:
    world = world_of("leaks")
    grant = attrs.evolve(VideoGrant(), can_publish=True)
    for round_ in range(3):
        people = [world.join("room", f"p{number}", grant=grant, single=number % 2 == 0) for number in range(4)]
        for one in people:
            one.publish_video(fps=10, simulcast=True)
            one.publish_audio()
        world.run_until(lambda p=people: in_call(*p), deadline=8.0)  # type: ignore[misc]
        for one in people:
            one.leave()
        world.run(1.0)
        assert world.nodes["n1"].node.stats() == {
            "rooms": 1, "participants": 0, "tracks": 0, "subscriptions": 0, "transports": 0, "sessions": 0, "workers": 0,
            "jobs": 0,
        }, round_  # fmt: skip


# Servers and clients of other kinds


def test_a_server_with_ice_lite_is_joined() -> None:
    config = Config(rtc=attrs.evolve(RtcConfig(), use_ice_lite=True))
    world = world_of("lite", Link(latency=0.040, loss=0.05), config)
    people = [world.join("room", "alice"), world.join("room", "bob", single=False)]
    for one in people:
        one.publish_video(fps=15)
        one.publish_audio()
    world.run_until(lambda: in_call(*people), deadline=8.0)
    people[0].rebind()
    goes_on(world, people[0], people[1], within=15.0)


@pytest.mark.parametrize("protocol", [3, 6, 8, 9, 12, 14, 15, 16])
def test_clients_of_earlier_protocols_take_part(protocol: int) -> None:
    world = world_of(f"protocol {protocol}")
    old = world.join("room", "old", single=False, protocol=protocol)
    new = world.join("room", "new")
    for one in (old, new):
        one.publish_video(fps=15)
        one.publish_audio()
        one.send(b"hello")
    world.run_until(lambda: in_call(old, new), deadline=6.0)
    world.run_until(lambda: old.payloads() == new.payloads() == [b"hello"], deadline=3.0)
    old.lose_socket()
    world.run(2.0)
    goes_on(world, old, new)


def test_a_client_that_does_not_subscribe_gets_data_on_its_publisher_connection() -> None:
    world = world_of("no subscriber")
    deaf = world.join("room", "deaf", single=False, grant=VideoGrant(can_subscribe=False))
    other = world.join("room", "other")
    world.run_until(lambda: deaf.client.is_data_ready and other.client.is_data_ready, deadline=4.0)
    world.run(0.5)
    other.send(b"for all")
    world.run_until(lambda: deaf.payloads() == [b"for all"], deadline=2.0)
    assert deaf.client.subscriber is None


def test_a_room_of_ten_is_whole() -> None:
    world = world_of("ten")
    people = [world.join("room", f"p{number}", single=number % 3 > 0) for number in range(10)]
    for one in people:
        one.publish_audio()
    world.run_until(
        lambda: all(one.audio_from(other) > 5 for one in people for other in people if one is not other), deadline=8.0
    )
    world.run(1.0)
    assert all(sink.is_whole for one in people for sink in one.sinks())
    assert world.nodes["n1"].node.stats()["subscriptions"] == 90


@BOTH
def test_a_server_that_starts_anew_is_joined_again(single: bool) -> None:
    world, alice, bob = call("anew", single=single)
    world.restart_node("n1")
    world.run_until(lambda: alice.is_connected and bob.is_connected and in_call(alice, bob), deadline=20.0)
    goes_on(world, alice, bob)
    assert alice.others == ["bob"]
    assert [sum(isinstance(event, Joined) for event in one.events) for one in (alice, bob)] == [2, 2]
