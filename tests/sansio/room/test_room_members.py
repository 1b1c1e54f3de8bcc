"""Who is shown what of whom: the walk of states, versions, updates and their batching, hidden ones, duplicates."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from node_rig import WALL, Action, Client, DisconnectReason, Rig, State, configured

from sansio import Close, RoomConfig, RtcConfig
from sansio.events import ParticipantActive, ParticipantLeft
from sansio.room.updates import CALM_ROOM
from sansio.wire import models, rtc


def states_of(client: Client, identity: str) -> list[int]:
    """Distinct states shown, in order."""
    shown = [info.state for info in client.infos_of(identity)]
    return [state for index, state in enumerate(shown) if index == 0 or shown[index - 1] != state]


# The walk of states (J-15, J-16)


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
def test_others_see_a_participant_join_become_active_and_leave(v1: bool) -> None:
    rig = Rig()
    alice = rig.join("alice")
    bob = rig.join("bob", media=True, v1=v1)
    assert states_of(alice, "bob") == [State.JOINED]
    rig.run(1)
    assert states_of(alice, "bob") == [State.JOINED, State.ACTIVE]
    assert states_of(bob, "bob")[-1] == State.ACTIVE
    bob.send(leave=rtc.LeaveRequest())
    assert states_of(alice, "bob") == [State.JOINED, State.ACTIVE, State.DISCONNECTED]
    (active,) = rig.event(ParticipantActive)
    assert (active.identity, active.after_ms) == ("bob", active.after_ms)
    assert 0 < active.after_ms < 200
    (left,) = rig.event(ParticipantLeft)
    assert (left.reason, left.was_active) == ("CLIENT_INITIATED", True)


def test_a_subscriberless_participant_is_active_by_its_publisher_connection() -> None:
    """J-3: with canSubscribe false the publisher connection is primary."""
    rig = Rig()
    bob = rig.join("bob", media=True, can_subscribe=False)
    rig.run(1)
    assert bob.view["bob"].state == State.ACTIVE
    assert bob.of("offer") == []


def test_who_never_connects_is_removed_after_a_minute() -> None:
    """J-16, R-3: leave JOIN_FAILURE, DISCONNECT, then the close."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob")
    rig.run(59.9)
    assert bob.is_open()
    rig.run(0.2)
    leave = bob.last("leave")
    assert (leave.reason, leave.action, leave.can_reconnect) == (
        DisconnectReason.JOIN_FAILURE, Action.DISCONNECT, False
    )  # fmt: skip
    assert bob.kinds[-1] == "leave"
    assert bob.closed == Close(session=bob.session, code=1000, reason="")
    assert alice.infos_of("bob")[-1].disconnect_reason == DisconnectReason.JOIN_FAILURE


def test_a_slow_joiner_gets_the_tracks_that_were_published_meanwhile() -> None:
    """J-15: what appeared before it was active is not missed."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    bob = rig.join("bob", media=True)
    rig.lost = lambda source, destination: bob.media.host in (source[0], destination[0])
    alice.publish()
    rig.run(3)
    rig.lost = lambda source, destination: False
    rig.run(3)
    assert bob.view["bob"].state == State.ACTIVE
    assert list(bob.media.tracks.values()) == alice.track_sids


# Versions and content (J-18, J-19, J-25)


def test_each_info_is_whole_and_its_version_grows() -> None:
    rig = Rig()
    alice = rig.join(
        "alice", media=True, name="Alice", metadata="m", attributes={"k": "v"}, can_update_own_metadata=True
    )
    bob = rig.join("bob")
    rig.run(1)
    mic = alice.publish()
    rig.run(0.5)
    mic.send()
    rig.run(0.2)
    alice.send(mute=rtc.MuteTrackRequest(sid=alice.track_sids[0], muted=True))
    alice.send(update_metadata=rtc.UpdateParticipantMetadata(attributes={"k": "", "n": "w"}, request_id=1))
    infos = bob.infos_of("alice")
    assert all(info.name == "Alice" and info.metadata == "m" and info.HasField("permission") for info in infos)
    assert all(info.joined_at == int(WALL) and info.sid == alice.sid for info in infos)
    versions = [info.version for info in infos]
    assert versions == sorted(set(versions)), "each change has a higher version"
    assert dict(infos[-1].attributes) == {"n": "w"}
    assert [track.muted for track in infos[-1].tracks] == [True]
    for earlier, later in pairwise(infos):
        assert {t.sid for t in earlier.tracks} <= {t.sid for t in later.tracks}
    assert bob.view["alice"] == alice.view["alice"], "oneself is shown the same"


def test_a_change_of_nothing_that_is_shown_sends_nothing() -> None:
    rig = Rig()
    alice = rig.join("alice")
    alice.forget()
    alice.send(ping=1).send(mute=rtc.MuteTrackRequest(sid="TR_none", muted=True))
    assert alice.updates == []


def test_a_kind_detail_is_shown() -> None:
    rig = Rig()
    rig.join("alice", kind="agent", kind_details=("cloud_agent", "novel"))
    info = rig.join("bob").view["alice"]
    assert [models.ParticipantInfo.KindDetail.Name(detail) for detail in info.kind_details] == ["CLOUD_AGENT"]


# Hidden participants (J-17)


def test_a_hidden_participant_is_nowhere_but_sees_all() -> None:
    rig = Rig()
    alice = rig.join("alice")
    ghost = rig.join("ghost", media=True, hidden=True, can_update_own_metadata=True)
    bob = rig.join("bob")
    rig.run(1)
    ghost.send(update_metadata=rtc.UpdateParticipantMetadata(name="boo", request_id=1))
    ghost.send(leave=rtc.LeaveRequest())
    assert alice.infos_of("ghost") == bob.infos_of("ghost") == []
    assert [info.identity for info in bob.last("join").other_participants] == ["alice"]
    assert set(ghost.view) == {"alice", "bob", "ghost"}
    assert ghost.view["ghost"].state == State.ACTIVE
    assert ghost.view["ghost"].name == "boo"


# Disconnect (J-22, R-2)


def test_the_update_of_a_leaver_has_its_reason_and_no_tracks() -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob")
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    sid = alice.sid
    alice.send(leave=rtc.LeaveRequest(reason=DisconnectReason.USER_REJECTED))
    gone = bob.infos_of("alice")[-1]
    assert (gone.sid, gone.state, gone.disconnect_reason) == (sid, State.DISCONNECTED, DisconnectReason.USER_REJECTED)
    assert list(gone.tracks) == []
    assert gone.is_publisher


# Duplicates (R-6, J-23)


@pytest.mark.parametrize(
    ("protocol", "told"), [pytest.param(16, False, id="new client"), pytest.param(9, True, id="old client")]
)
def test_a_twin_takes_the_place_of_its_older_session(protocol: int, told: bool) -> None:
    rig = Rig()
    watcher = rig.join("watcher", protocol=protocol)
    first = rig.join("alice", media=True)
    rig.run(0.5)
    watcher.forget()
    second = rig.join("alice")
    leave = first.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.DUPLICATE_IDENTITY, Action.DISCONNECT)
    assert first.closed == Close(session=first.session, code=1000, reason="")
    assert second.sid != first.sid
    shown = [(info.sid, info.state) for info in watcher.infos_of("alice")]
    goodbye = (first.sid, State.DISCONNECTED)
    assert (goodbye in shown) is told
    assert shown[-1] == (second.sid, State.JOINED)
    if told:
        assert shown.index(goodbye) < shown.index((second.sid, State.JOINED))
    assert watcher.view["alice"].sid == second.sid
    assert [info.identity for info in second.last("join").other_participants] == ["watcher"]
    assert second.is_open()
    rig.node.handle_disconnect(rig.now, first.session)
    rig.settle()
    assert second.is_open(), "the older socket's end is not the newer one's"


def test_the_tracks_of_the_older_session_go_with_it() -> None:
    rig = Rig()
    bob = rig.join("bob", media=True)
    first = rig.join("alice", media=True)
    rig.run(0.5)
    first.publish()
    rig.run(0.5)
    assert list(bob.media.tracks.values()) == first.track_sids
    rig.join("alice")
    rig.run(0.5)
    assert bob.media.tracks == {}
    assert list(bob.view["alice"].tracks) == []


# Batching and chunks (J-20, J-24)


def crowd(rig: Rig, size: int) -> list[Client]:
    return [rig.join(f"p{number}") for number in range(size)]


def test_in_a_small_room_nothing_waits() -> None:
    rig = Rig()
    first = crowd(rig, CALM_ROOM)[0]
    assert f"p{CALM_ROOM - 1}" in first.view


def test_in_a_large_room_silent_ones_are_told_by_the_tick_and_publishers_at_once() -> None:
    rig = Rig()
    clients = crowd(rig, 40)
    publisher = rig.join("publisher", media=True)
    rig.run(3)
    for client in clients:
        client.forget()
    late = [rig.join(f"late{number}") for number in range(3)]
    assert clients[0].messages == []
    rig.run(1)
    (update,) = clients[0].of("update")
    assert {info.identity for info in update.participants} == {"late0", "late1", "late2"}
    late[0].send(leave=rtc.LeaveRequest())
    assert len(clients[0].of("update")) == 1
    publisher.publish()
    rig.run_until(lambda: len(clients[0].of("update")) > 1, 0.05)
    told = [info.identity for info in clients[0].of("update")[-1].participants]
    assert set(told) == {"publisher", "late0"}, "what is urgent takes along what waits"


def test_of_each_identity_only_the_newest_is_told() -> None:
    rig = Rig()
    clients = crowd(rig, 20)
    rig.run(3)
    clients[0].forget()
    rig.join("x")
    second = rig.join("x")
    rig.run(3)
    assert [info.sid for info in clients[0].infos_of("x")] == [second.sid]


def test_an_agent_is_told_at_once_even_in_a_large_room() -> None:
    rig = Rig()
    clients = crowd(rig, 30)
    rig.run(3)
    rig.join("helper", kind="agent")
    assert "helper" in clients[0].view


def test_large_updates_are_cut_into_several_messages() -> None:
    rig = Rig(configured(room=RoomConfig(update_batch_target_size=2000)))
    clients = crowd(rig, 20)
    rig.run(3)
    clients[0].forget()
    for number in range(6):
        rig.join(f"big{number}", metadata="m" * 900)
    rig.run(3)
    updates = clients[0].of("update")
    assert len(updates) >= 3
    assert all(update.ByteSize() < 2200 for update in updates)
    assert {f"big{number}" for number in range(6)} <= set(clients[0].view)


def test_one_info_larger_than_the_limit_still_goes_out() -> None:
    rig = Rig(configured(room=RoomConfig(update_batch_target_size=100)))
    alice = rig.join("alice")
    rig.join("bob", metadata="m" * 5000)
    assert alice.view["bob"].metadata == "m" * 5000


# Attributes, names and metadata of oneself (S-3, S-4, S-6)

OWN: dict[str, Any] = {"can_update_own_metadata": True}
Reason = rtc.RequestResponse.Reason


def test_changing_oneself_is_told_to_all_then_confirmed() -> None:
    rig = Rig()
    alice = rig.join("alice", name="Alice", metadata="m", attributes={"a": "1", "b": "2"}, **OWN)
    bob = rig.join("bob")
    alice.forget()
    request = rtc.UpdateParticipantMetadata(name="", metadata="", attributes={"a": "", "c": "3"}, request_id=7)
    alice.send(update_metadata=request)
    response = alice.last("request_response")
    assert (response.request_id, response.reason, response.update_metadata) == (7, Reason.OK, request)
    assert alice.kinds == ["update", "refresh_token", "request_response"]
    for client in (alice, bob):
        info = client.view["alice"]
        assert (info.name, info.metadata, dict(info.attributes)) == ("Alice", "m", {"b": "2", "c": "3"})
    alice.send(update_metadata=rtc.UpdateParticipantMetadata(name="Al", metadata="n"))
    assert (bob.view["alice"].name, bob.view["alice"].metadata) == ("Al", "n")


@pytest.mark.parametrize(
    ("grants", "update", "reason", "text"),
    [
        pytest.param({}, {"name": "x"}, Reason.NOT_ALLOWED, "does not have permission to update own metadata", id="no grant"),
        pytest.param(OWN, {"name": "x" * 257}, Reason.LIMIT_EXCEEDED, "exceeds name length limit", id="name"),
        pytest.param(OWN, {"metadata": "x" * 600_000}, Reason.LIMIT_EXCEEDED, "exceeds metadata size limit", id="metadata"),
        pytest.param(
            OWN, {"attributes": {"k": "x" * 65_536}}, Reason.LIMIT_EXCEEDED, "exceeds attributes size limit", id="attributes"
        ),
        pytest.param(
            OWN | {"attributes": {"old": "x" * 40_000}}, {"attributes": {"k": "x" * 40_000}},
            Reason.LIMIT_EXCEEDED, "exceeds attributes size limit", id="attributes with those there are",
        ),
    ],
)  # fmt: skip
def test_changes_of_oneself_that_are_refused(
    grants: dict[str, Any], update: dict[str, Any], reason: int, text: str
) -> None:
    rig = Rig()
    alice = rig.join("alice", **grants)
    alice.forget()
    request = rtc.UpdateParticipantMetadata(request_id=3, **update)
    alice.send(update_metadata=request)
    (response,) = alice.of("request_response")
    assert (response.request_id, response.reason, response.message) == (3, reason, text)
    assert response.update_metadata == request
    assert alice.kinds == ["request_response"]


def test_attributes_that_are_replaced_do_not_count_twice() -> None:
    rig = Rig()
    alice = rig.join("alice", attributes={"k": "x" * 40_000}, **OWN)
    alice.send(update_metadata=rtc.UpdateParticipantMetadata(attributes={"k": "y" * 60_000}))
    assert alice.view["alice"].attributes["k"] == "y" * 60_000


@pytest.mark.parametrize(
    ("sdk", "protocol", "ok", "error"),
    [
        pytest.param("js", 16, True, True, id="new"),
        pytest.param("js", 14, False, True, id="old"),
        pytest.param("rust", 9, False, False, id="old Rust"),
        pytest.param("rust", 10, False, True, id="newer Rust"),
    ],
)
def test_request_responses_go_to_clients_that_know_them(sdk: str, protocol: int, ok: bool, error: bool) -> None:
    """S-5, J-30."""
    rig = Rig()
    alice = rig.join("alice", protocol=protocol, query={"sdk": sdk}, **OWN)
    alice.send(update_metadata=rtc.UpdateParticipantMetadata(name="x", request_id=1))
    assert bool(alice.of("request_response")) is ok
    alice.forget()
    alice.send(mute=rtc.MuteTrackRequest(sid="TR_none"))
    assert bool(alice.of("request_response")) is error


# Room updates (L-12, L-13)


def test_counts_are_told_within_five_seconds() -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(1)
    rig.join("bob")
    rig.join("helper", kind="agent")
    alice.forget()
    rig.run(3.9)
    assert alice.of("room_update") == []
    rig.run(0.3)
    (update,) = alice.of("room_update")
    assert (update.room.num_participants, update.room.num_publishers) == (2, 0)
    alice.publish()
    rig.run(5.1)
    assert alice.last("room_update").room.num_publishers == 1
    rig.run(20)
    assert len(alice.of("room_update")) == 2, "nothing is told while nothing changes"


@pytest.mark.parametrize("claims", [{"recorder": True, "hidden": True}, {"kind": "egress"}], ids=["recorder", "egress"])
def test_a_recorder_shows_at_once(claims: dict[str, Any]) -> None:
    rig = Rig()
    alice = rig.join("alice")
    recorder = rig.join("recorder", **claims)
    assert alice.last("room_update").room.active_recording
    assert recorder.last("join").room.active_recording
    recorder.send(leave=rtc.LeaveRequest())
    assert not alice.last("room_update").room.active_recording


# The end of rooms (L-2, L-3, L-5, L-6)


def test_a_room_ends_after_its_last_user_left_whoever_else_stays() -> None:
    rig = Rig()
    alice = rig.join("alice")
    helper = rig.join("helper", kind="agent", media=True)
    rig.run(1)
    sid = alice.last("join").room.sid
    alice.send(leave=rtc.LeaveRequest())
    rig.run(19.9)
    assert rig.rooms() == ["room"]
    rig.run(0.2)
    leave = helper.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.ROOM_CLOSED, Action.DISCONNECT)
    assert rig.rooms() == []
    assert rig.join("alice").last("join").room.sid != sid


def test_an_agent_alone_does_not_keep_a_room() -> None:
    rig = Rig(configured(room=RoomConfig(empty_timeout=30)))
    helper = rig.join("helper", kind="agent", media=True)
    rig.run(29.9)
    assert helper.is_open()
    rig.run(0.2)
    assert helper.last("leave").reason == DisconnectReason.ROOM_CLOSED


def test_someone_coming_back_in_time_keeps_the_room() -> None:
    rig = Rig(configured(room=RoomConfig(departure_timeout=10, empty_timeout=5), rtc=RtcConfig(active_timeout=1000)))
    alice = rig.join("alice")
    rig.run(20)
    sid = alice.last("join").room.sid
    alice.send(leave=rtc.LeaveRequest())
    rig.run(9)
    again = rig.join("alice")
    rig.run(30)
    assert again.is_open()
    assert again.last("join").room.sid == sid
    again.send(leave=rtc.LeaveRequest())
    rig.run(9.9)
    assert rig.rooms() == ["room"]
    rig.run(0.2)
    assert rig.rooms() == []
    assert rig.node.is_empty


def test_a_late_leaver_that_is_no_user_prolongs_the_room() -> None:
    """services 1.11: any removal counts for the departure timeout."""
    rig = Rig()
    alice = rig.join("alice")
    helper = rig.join("helper", kind="agent")
    alice.send(leave=rtc.LeaveRequest())
    rig.run(15)
    helper.send(leave=rtc.LeaveRequest())
    rig.run(19.9)
    assert rig.rooms() == ["room"]
    rig.run(0.2)
    assert rig.rooms() == []
