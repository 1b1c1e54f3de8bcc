"""RoomService: what each method does to a room and its members, and what they see of it (services 2.4 to 2.6)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from api_rig import ROOM, WALL, Action, Answer, Client, DisconnectReason, Rig, call, configured, grants, start
from google.protobuf.message import Message

from sansio import Close, LimitConfig, RoomConfig
from sansio.config import RoomPreset
from sansio.wire import agent_dispatch, models, rtc
from sansio.wire import room as wire

Packet = models.DataPacket
Source = models.TrackSource
Permission = models.ParticipantPermission


def talking() -> tuple[Rig, Client, Client]:
    """Alice publishes a microphone, bob listens."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True, name="Alice", metadata="meta", attributes={"a": "1", "b": "2"}), None
    bob = rig.join("bob", media=True)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    alice.forget()
    bob.forget()
    return rig, alice, bob


def create(rig: Rig, **request: Any) -> Answer:
    return call(rig, "CreateRoom", wire.CreateRoomRequest(**request))


def listed(rig: Rig, *names: str) -> dict[str, models.Room]:
    answer = call(rig, "ListRooms", wire.ListRoomsRequest(names=names)).read(wire.ListRoomsResponse)
    return {room.name: room for room in answer.rooms}


# CreateRoom, ListRooms


def test_a_room_is_created_as_asked() -> None:
    rig = Rig()
    made = create(
        rig, name="r", empty_timeout=120, departure_timeout=7, max_participants=9, metadata="первое", tags={"t": "1"},
        replay_enabled=True, node_id="ND_x", min_playout_delay=1, max_playout_delay=2,
    ).read(models.Room)  # fmt: skip
    assert made.sid.startswith("RM_")
    assert (made.name, made.empty_timeout, made.departure_timeout, made.max_participants) == ("r", 120, 7, 9)
    assert (made.metadata, made.creation_time, made.creation_time_ms) == ("первое", int(WALL), int(WALL * 1000))
    assert {"video/VP8", "audio/opus"} <= {codec.mime for codec in made.enabled_codecs}
    assert (made.num_participants, made.num_publishers, made.active_recording) == (0, 0, False)
    assert listed(rig) == {"r": made}


def test_a_room_that_exists_is_returned_unchanged() -> None:
    """L-7."""
    rig = Rig()
    first = create(rig, name="r", metadata="m").read(models.Room)
    assert create(rig, name="r", empty_timeout=5, max_participants=1, metadata="other").read(models.Room) == first
    assert rig.join("alice", "r").last("join").room.sid == first.sid


def test_what_is_not_said_has_its_default() -> None:
    room = RoomConfig(empty_timeout=11, departure_timeout=12, max_participants=13)
    made = create(Rig(configured(room=room)), name="r").read(models.Room)
    assert (made.empty_timeout, made.departure_timeout, made.max_participants) == (11, 12, 13)


def test_a_preset_fills_what_the_request_leaves_open() -> None:
    """L-9."""
    room = RoomConfig(room_configurations={"small": RoomPreset(max_participants=2, empty_timeout=99)})
    rig = Rig(configured(room=room))
    made = create(rig, name="r", room_preset="small", empty_timeout=5).read(models.Room)
    assert (made.max_participants, made.empty_timeout) == (2, 5)
    answer = create(rig, name="other", room_preset="large")
    assert (answer.code, answer.text) == (
        "invalid_argument", "unknown room configuration in create room request"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        pytest.param({"name": ""}, "invalid_argument", "room name is required", id="no name"),
        pytest.param(
            {"name": "n" * 257}, "invalid_argument", "room name length exceeds limits: max length 256", id="long name"
        ),
        pytest.param(
            {"name": "r", "metadata": "m" * 600_000}, "invalid_argument", "metadata size exceeds limits 524288", id="metadata"
        ),
        pytest.param(
            {"name": "r", "agents": [agent_dispatch.RoomAgentDispatch(metadata="m" * 600_000)]},
            "invalid_argument", "metadata size exceeds limits 524288", id="an agent's metadata",
        ),
        pytest.param(
            {"name": "r", "agents": [agent_dispatch.RoomAgentDispatch(deployment="a_b")]},
            "invalid_argument", "deployment contains reserved character '_'", id="an agent's deployment",
        ),
        pytest.param(
            {"name": "r", "egress": wire.RoomEgress()}, "internal", "egress not connected (redis required)", id="egress"
        ),
    ],
)  # fmt: skip
def test_rooms_that_are_refused(request_: dict[str, Any], code: str, text: str) -> None:
    rig = Rig()
    answer = create(rig, **request_)
    assert (answer.code, answer.text) == (code, text)
    assert rig.rooms() == []


def test_a_node_full_of_rooms_makes_no_more() -> None:
    rig = Rig(configured(limit=LimitConfig(max_rooms=1)))
    create(rig, name="r")
    answer = create(rig, name="other")
    assert (answer.status, answer.code) == (503, "resource_exhausted")
    assert create(rig, name="r").status == 200


def test_listing_shows_all_or_those_named_with_exact_counts() -> None:
    rig, alice, _ = talking()
    create(rig, name="other")
    rig.join("helper", kind="agent")
    rig.join("ghost", hidden=True)
    assert set(listed(rig)) == {ROOM, "other"}
    assert set(listed(rig, "other", "absent")) == {"other"}
    room = listed(rig)[ROOM]
    assert (room.num_participants, room.num_publishers) == (3, 1)
    alice.send(leave=rtc.LeaveRequest())
    assert listed(rig)[ROOM].num_publishers == 0


# DeleteRoom, UpdateRoomMetadata


def test_a_deleted_room_ends_for_everybody() -> None:
    """L-6."""
    rig, alice, bob = talking()
    sid = listed(rig)[ROOM].sid
    assert call(rig, "DeleteRoom", wire.DeleteRoomRequest(room=ROOM)).read(wire.DeleteRoomResponse) is not None
    for client in (alice, bob):
        leave = client.last("leave")
        assert (leave.reason, leave.action) == (DisconnectReason.ROOM_DELETED, Action.DISCONNECT)
        assert client.kinds[-1] == "leave"
        assert client.closed == Close(session=client.session, code=1000, reason="")
    assert listed(rig) == {}
    assert rig.node.stats()["transports"] == 0
    answer = call(rig, "DeleteRoom", wire.DeleteRoomRequest(room=ROOM))
    assert (answer.status, answer.code, answer.text) == (404, "not_found", "requested room does not exist")
    assert create(rig, name=ROOM).read(models.Room).sid != sid


def test_metadata_of_a_room_is_told_to_all() -> None:
    rig, alice, bob = talking()
    for text in ("второе", ""):
        changed = call(rig, "UpdateRoomMetadata", wire.UpdateRoomMetadataRequest(room=ROOM, metadata=text)).read(
            models.Room
        )
        assert changed.metadata == text
        for client in (alice, bob):
            assert client.last("room_update").room == changed
    assert rig.join("late").last("join").room.metadata == ""
    answer = call(rig, "UpdateRoomMetadata", wire.UpdateRoomMetadataRequest(room=ROOM, metadata="m" * 600_000))
    assert (answer.code, answer.text) == ("invalid_argument", "metadata size exceeds limits 524288")


# What does not exist (2.5)


@pytest.mark.parametrize("where", [ROOM, "absent"])
@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetParticipant", wire.RoomParticipantIdentity(identity="nobody")),
        ("RemoveParticipant", wire.RoomParticipantIdentity(identity="nobody")),
        ("UpdateParticipant", wire.UpdateParticipantRequest(identity="nobody", metadata="m")),
        ("MutePublishedTrack", wire.MuteRoomTrackRequest(identity="nobody", track_sid="TR_x", muted=True)),
        ("UpdateSubscriptions", wire.UpdateSubscriptionsRequest(identity="nobody", track_sids=["TR_x"])),
        ("PerformRpc", wire.PerformRpcRequest(destination_identity="nobody", method="m")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nobody_is_not_found_at_once(where: str, method: str, request_: Message) -> None:
    rig = Rig()
    rig.join("alice")
    request = type(request_)()
    request.CopyFrom(request_)
    request.room = where  # type: ignore[attr-defined]
    answer = call(rig, method, request)
    assert (answer.status, answer.code, answer.text) == (404, "not_found", "participant does not exist")
    assert rig.rooms() == [ROOM]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("SendData", wire.SendDataRequest(room="absent", data=b"x")),
        ("UpdateRoomMetadata", wire.UpdateRoomMetadataRequest(room="absent", metadata="m")),
        ("DeleteRoom", wire.DeleteRoomRequest(room="absent")),
    ],
)
def test_an_absent_room_is_not_found_and_does_not_come_to_be(method: str, request_: Message) -> None:
    rig = Rig()
    answer = call(rig, method, request_)
    assert (answer.code, answer.text) == ("not_found", "requested room does not exist")
    assert rig.rooms() == []


# Participants


def test_participants_are_listed_with_hidden_ones_and_agents() -> None:
    rig, _alice, bob = talking()
    rig.join("ghost", hidden=True)
    rig.join("helper", kind="agent")
    request = wire.ListParticipantsRequest(room=ROOM)
    listed = call(rig, "ListParticipants", request).read(wire.ListParticipantsResponse).participants
    assert {info.identity for info in listed} == {"alice", "bob", "ghost", "helper"}
    (one,) = [info for info in listed if info.identity == "alice"]
    assert one == bob.view["alice"]
    got = call(rig, "GetParticipant", wire.RoomParticipantIdentity(room=ROOM, identity="alice"))
    assert got.read(models.ParticipantInfo) == one
    absent = call(rig, "ListParticipants", wire.ListParticipantsRequest(room="absent"))
    assert list(absent.read(wire.ListParticipantsResponse).participants) == []


def test_a_removed_participant_leaves() -> None:
    rig, alice, bob = talking()
    answer = call(
        rig, "RemoveParticipant", wire.RoomParticipantIdentity(room=ROOM, identity="alice", revoke_token_ts=5)
    )
    assert answer.read(wire.RemoveParticipantResponse) is not None
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.PARTICIPANT_REMOVED, Action.DISCONNECT)
    assert not alice.is_open()
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
    assert rig.join("alice").answered, "and may come again"


def update(rig: Rig, **request: Any) -> Answer:
    return call(rig, "UpdateParticipant", wire.UpdateParticipantRequest(room=ROOM, identity="alice", **request))


def test_what_is_public_of_a_participant_can_be_changed() -> None:
    rig, alice, bob = talking()
    changed = update(rig, metadata="new", name="Alicia", attributes={"a": "9", "b": "", "c": "3"})
    info = changed.read(models.ParticipantInfo)
    assert (info.metadata, info.name, dict(info.attributes)) == ("new", "Alicia", {"a": "9", "c": "3"})
    assert info == bob.view["alice"] == alice.view["alice"]
    kept = update(rig, attributes={"d": "4"}).read(models.ParticipantInfo)
    assert (kept.metadata, kept.name, dict(kept.attributes)) == ("new", "Alicia", {"a": "9", "c": "3", "d": "4"})
    claims = jwt.decode(alice.last("refresh_token"), options={"verify_signature": False})
    assert (claims["name"], claims["metadata"]) == ("Alicia", "new")
    assert claims["attributes"] == {"a": "9", "c": "3", "d": "4"}


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        pytest.param({"metadata": "x" * 600_000}, "metadata size exceeds limits 524288", id="metadata"),
        pytest.param({"name": "x" * 300}, "name length exceeds limits 256", id="name"),
        pytest.param({"attributes": {"big": "x" * 70_000}}, "attribute size exceeds limits 65536", id="attributes"),
    ],
)
def test_changes_over_the_limits_are_refused(request_: dict[str, Any], text: str) -> None:
    """6.1."""
    rig, _alice, bob = talking()
    answer = update(rig, **request_)
    assert (answer.status, answer.code, answer.text) == (400, "invalid_argument", text)
    assert answer.json["meta"] == {"argument": next(iter(request_))}
    assert bob.updates == []


def test_a_full_node_makes_no_rooms() -> None:
    """6.1."""
    rig = Rig(configured(limit=LimitConfig(num_tracks=1)))
    alice = rig.join("alice", media=True)
    assert create(rig, name="before").code == "ok"
    alice.publish()
    rig.run(0.5)
    answer = create(rig, name="after")
    assert (answer.status, answer.code, answer.text) == (
        503, "resource_exhausted", "node has exceeded its configured limit",
    )  # fmt: skip
    assert create(rig, name="before").code == "ok", "it is there already"


ALL = {"can_subscribe": True, "can_publish": True, "can_publish_data": True}


def permit(rig: Rig, **permission: Any) -> models.ParticipantInfo:
    info = update(rig, permission=Permission(**permission)).read(models.ParticipantInfo)
    assert isinstance(info, models.ParticipantInfo)
    return info


def test_a_permission_replaces_the_earlier_one() -> None:
    """M-16: at once, with a fresh token."""
    rig, alice, bob = talking()
    assert permit(rig, can_subscribe=True, can_publish=True).permission == Permission(
        can_subscribe=True, can_publish=True
    )
    assert bob.view["alice"].permission == Permission(can_subscribe=True, can_publish=True)
    video = jwt.decode(alice.last("refresh_token"), options={"verify_signature": False})["video"]
    assert (video["canPublish"], video["canSubscribe"], video["canPublishData"]) == (True, True, False)


def test_revoked_publishing_ends_tracks() -> None:
    """M-15, M-16."""
    rig, alice, bob = talking()
    (mic,) = alice.track_sids
    alice.publish("cam", "video")
    rig.run(0.3)
    cam = next(sid for sid in alice.track_sids if sid != mic)
    alice.forget()
    permit(rig, **ALL | {"can_publish_sources": [Source.CAMERA]})
    assert [told.track_sid for told in alice.of("track_unpublished")] == [mic]
    rig.run(0.3)
    assert [track.sid for track in bob.view["alice"].tracks] == [cam]
    assert list(bob.media.tracks.values()) == [cam]
    permit(rig, **ALL | {"can_publish": False})
    rig.run(0.3)
    assert len(bob.view["alice"].tracks) == 0
    request = rtc.AddTrackRequest(cid="x", type=models.TrackType.AUDIO, source=Source.MICROPHONE)
    alice.send(add_track=request)
    assert alice.last("request_response").reason == rtc.RequestResponse.Reason.NOT_ALLOWED


def test_the_section_of_an_ended_track_takes_no_other() -> None:
    """M-15, P-35: the client still offers it, and says nothing of what it carries."""
    rig, alice, bob = talking()
    permit(rig, **ALL | {"can_publish": False})
    permit(rig, **ALL)
    rig.run(0.2)
    again = alice.publish("again")
    rig.run(0.3)
    (track,) = bob.view["alice"].tracks
    assert track.mid == again.mid
    again.send(2)
    rig.run(0.2)
    before = bob.media.received(track.sid)
    assert before > 0
    alice.media.published["mic"].send(5)
    rig.run(0.2)
    assert bob.media.received(track.sid) == before, "what the old section carries goes nowhere"
    alice.media.unpublish(alice.media.published["mic"])
    alice.offer()
    rig.run(0.2)
    assert [t.sid for t in bob.view["alice"].tracks] == [track.sid]


def test_an_old_client_is_not_told_of_its_ended_tracks() -> None:
    """J-30, gate 6."""
    rig = Rig()
    alice = rig.join("alice", media=True, protocol=6)
    rig.run(0.5)
    alice.publish()
    rig.run(0.3)
    permit(rig, can_subscribe=True)
    assert alice.of("track_unpublished") == []
    assert len(alice.view["alice"].tracks) == 0


def test_revoked_and_regained_subscribing() -> None:
    """M-16."""
    rig, alice, bob = talking()
    bob.publish("bobs")
    rig.run(0.3)
    sids = bob.track_sids
    assert list(alice.media.tracks.values()) == sids
    permit(rig, **ALL | {"can_subscribe": False})
    rig.run(0.3)
    assert alice.media.tracks == {}
    permit(rig, **ALL)
    rig.run(0.3)
    assert list(alice.media.tracks.values()) == sids


def test_subscribing_that_was_not_allowed_at_the_join_gets_its_connection() -> None:
    rig = Rig()
    alice, bob = rig.join("alice", media=True, can_subscribe=False), rig.join("bob", media=True)
    rig.run(0.5)
    bob.publish()
    rig.run(0.3)
    assert alice.media.subscriber is None
    permit(rig, **ALL)
    rig.run(0.5)
    assert list(alice.media.tracks.values()) == bob.track_sids
    bob.media.published["mic"].send(3)
    rig.run(0.2)
    assert alice.media.received(bob.track_sids[0]) > 0


def test_revoked_data() -> None:
    rig, alice, bob = talking()
    alice.send(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="n"))
    assert len(bob.view["alice"].data_tracks) == 1
    permit(rig, **ALL | {"can_publish_data": False})
    assert len(bob.view["alice"].data_tracks) == 0
    alice.media.send_data(Packet(user=models.UserPacket(payload=b"x")))
    rig.run(0.2)
    assert bob.media.data() == []


def test_who_becomes_hidden_vanishes_for_the_others() -> None:
    """J-17."""
    rig, alice, bob = talking()
    permit(rig, **ALL | {"hidden": True})
    rig.run(0.3)
    assert "alice" not in bob.view
    assert alice.view["alice"].permission.hidden
    permit(rig, **ALL)
    rig.run(0.3)
    assert "alice" in bob.view


# Tracks


def test_muting_from_outside() -> None:
    """M-13."""
    rig, alice, bob = talking()
    (sid,) = alice.track_sids
    request = wire.MuteRoomTrackRequest(room=ROOM, identity="alice", track_sid=sid, muted=True)
    muted = call(rig, "MutePublishedTrack", request).read(wire.MuteRoomTrackResponse)
    assert (muted.track.sid, muted.track.muted) == (sid, True)
    assert alice.last("mute") == rtc.MuteTrackRequest(sid=sid, muted=True)
    assert [track.muted for track in bob.view["alice"].tracks] == [True]
    request.muted = False
    answer = call(rig, "MutePublishedTrack", request)
    assert (answer.status, answer.code, answer.text) == (412, "failed_precondition", "remote unmute not enabled")
    assert [track.muted for track in bob.view["alice"].tracks] == [True]
    unknown = wire.MuteRoomTrackRequest(room=ROOM, identity="alice", track_sid="TR_x", muted=True)
    assert not call(rig, "MutePublishedTrack", unknown).read(wire.MuteRoomTrackResponse).HasField("track")
    assert alice.last("mute").sid == "TR_x"


def test_unmuting_from_outside_where_it_is_enabled() -> None:
    rig = Rig(configured(room=RoomConfig(enable_remote_unmute=True)))
    alice = rig.join("alice", media=True)
    rig.run(0.3)
    alice.publish(muted=True)
    rig.run(0.3)
    request = wire.MuteRoomTrackRequest(room=ROOM, identity="alice", track_sid=alice.track_sids[0], muted=False)
    assert call(rig, "MutePublishedTrack", request).status == 200
    assert not alice.view["alice"].tracks[0].muted


def test_subscriptions_from_outside() -> None:
    rig, alice, bob = talking()
    (sid,) = alice.track_sids
    request = wire.UpdateSubscriptionsRequest(room=ROOM, identity="bob", track_sids=[sid, "TR_unknown"])
    assert call(rig, "UpdateSubscriptions", request).read(wire.UpdateSubscriptionsResponse) is not None
    rig.run(0.3)
    assert bob.media.tracks == {}
    group = models.ParticipantTracks(participant_sid=alice.sid, track_sids=[sid])
    request = wire.UpdateSubscriptionsRequest(room=ROOM, identity="bob", participant_tracks=[group], subscribe=True)
    call(rig, "UpdateSubscriptions", request)
    rig.run(0.3)
    assert list(bob.media.tracks.values()) == [sid]


# SendData (D-11)


def send(rig: Rig, **request: Any) -> Answer:
    return call(rig, "SendData", wire.SendDataRequest(room=ROOM, **{"data": b"x"} | request))


@pytest.mark.parametrize("kind", ["RELIABLE", "LOSSY"])
def test_data_from_outside_has_no_sender(kind: str) -> None:
    rig, alice, bob = talking()
    assert send(rig, kind=Packet.Kind.Value(kind), topic="news").read(wire.SendDataResponse) is not None
    rig.run(0.1)
    for client in (alice, bob):
        (packet,) = client.media.data(f"_{kind.lower()}")
        assert (packet.participant_identity, packet.participant_sid) == ("", "")
        assert (packet.user.payload, packet.user.topic) == (b"x", "news")
        assert packet.kind == Packet.Kind.Value(kind)
        assert (packet.user.participant_identity, packet.user.participant_sid) == ("", "")


def test_data_from_outside_goes_to_whom_it_names() -> None:
    rig, alice, bob = talking()
    send(rig, data=b"1", destination_identities=["bob", "nobody"])
    send(rig, data=b"2", destination_sids=[alice.sid])
    send(rig, data=b"3", destination_sids=["PA_nobody"])
    rig.run(0.1)
    assert [packet.user.payload for packet in bob.media.data()] == [b"1"]
    assert [packet.user.payload for packet in alice.media.data()] == [b"2"]
    assert not bob.media.data()[0].user.HasField("topic")


def test_nonces_of_data_from_outside() -> None:
    """D-9."""
    rig, alice, _ = talking()
    for length in (1, 15, 17):
        answer = send(rig, nonce=bytes(length))
        assert (answer.code, answer.text) == (
            "invalid_argument", f"nonce should be 16-bytes or not present, got: {length} bytes"
        )  # fmt: skip
    for data in (b"1", b"2"):
        assert send(rig, data=data, nonce=b"n" * 16).status == 200
    rig.run(0.1)
    assert [packet.user.payload for packet in alice.media.data()] == [b"1"]


# ForwardParticipant, MoveParticipant


@pytest.mark.parametrize(
    ("method", "kind"),
    [("ForwardParticipant", wire.ForwardParticipantRequest), ("MoveParticipant", wire.MoveParticipantRequest)],
)
def test_forwarding_is_not_there(method: str, kind: type[Message]) -> None:
    rig, _, _ = talking()

    def asked(destination: str, *, identity: str = "alice", granted: str | None = None) -> Answer:
        auth = grants(room_admin=True, room=ROOM, destination_room=destination if granted is None else granted)
        request = kind(room=ROOM, identity=identity, destination_room=destination)
        return call(rig, method, request, auth=auth)

    assert asked("other").text == "not implemented"
    assert asked("other").status in (500, 501)
    assert asked("other", granted="another").code == "unauthenticated"
    assert asked("other", identity="nobody").code == "not_found"
    same = asked(ROOM)
    assert (same.code, same.text) == ("invalid_argument", "destination room cannot be the same as source room")


# PerformRpc (D-21, 2.6)


def perform(rig: Rig, **request: Any) -> int:
    full = {"room": ROOM, "destination_identity": "alice", "method": "greet", "payload": "hi"} | request
    return start(rig, "PerformRpc", wire.PerformRpcRequest(**full))


def asked(client: Client) -> models.RpcRequest:
    """The one request that came."""
    (packet,) = [packet for packet in client.media.data() if packet.HasField("rpc_request")]
    assert packet.participant_identity == packet.rpc_request.id, "the caller is the id of the call"
    return packet.rpc_request


def reply(client: Client, **packet: Any) -> None:
    client.media.send_data(Packet(**packet, destination_identities=["caller"]))


def test_a_call_is_answered_by_its_participant() -> None:
    rig, alice, bob = talking()
    ref = perform(rig, response_timeout_ms=5000)
    rig.run(0.1)
    assert ref not in rig.responses
    request = asked(alice)
    assert (request.method, request.payload, request.response_timeout_ms, request.version) == ("greet", "hi", 5000, 1)
    assert bob.media.data() == []
    reply(alice, rpc_ack=models.RpcAck(request_id=request.id))
    rig.run(3)
    assert ref not in rig.responses
    reply(alice, rpc_response=models.RpcResponse(request_id=request.id, payload="hello"))
    rig.run(0.1)
    assert Answer(rig.responses[ref]).read(wire.PerformRpcResponse).payload == "hello"
    assert len([p for p in alice.media.data() if p.HasField("rpc_request")]) == 1, "delivered once"


def test_only_the_callee_can_answer() -> None:
    """X-4."""
    rig, alice, bob = talking()
    ref = perform(rig)
    rig.run(0.1)
    request = asked(alice)
    reply(bob, rpc_ack=models.RpcAck(request_id=request.id))
    reply(bob, rpc_response=models.RpcResponse(request_id=request.id, payload="stolen"))
    reply(alice, rpc_response=models.RpcResponse(request_id="another", payload="?"))
    reply(alice, rpc_ack=models.RpcAck(request_id="another"))
    rig.run(0.1)
    assert ref not in rig.responses
    reply(alice, rpc_response=models.RpcResponse(request_id=request.id, payload="mine"))
    rig.run(0.1)
    assert Answer(rig.responses[ref]).read(wire.PerformRpcResponse).payload == "mine"


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (1400, 400, "invalid_argument"),
        (1401, 404, "not_found"),
        (1402, 400, "invalid_argument"),
        (1403, 501, "unimplemented"),
        (1404, 501, "unimplemented"),
        (1500, 500, "internal"),
        (1503, 503, "unavailable"),
        (1505, 500, "internal"),
        (7, 500, "internal"),
    ],
)
def test_errors_of_the_callee(given: int, status: int, code: str) -> None:
    """2.6."""
    rig, alice, _ = talking()
    ref = perform(rig)
    rig.run(0.1)
    error = models.RpcError(code=given, message="why")
    reply(alice, rpc_response=models.RpcResponse(request_id=asked(alice).id, error=error))
    rig.run(0.1)
    answer = Answer(rig.responses[ref])
    assert (answer.status, answer.code, answer.text) == (status, code, f"RpcError {given}: why")


@pytest.mark.parametrize(
    ("asked_ms", "header", "timeout_ms"),
    [
        pytest.param(0, "", 10_000, id="neither"),
        pytest.param(5000, "", 5000, id="only the request"),
        pytest.param(0, "4000", 4000, id="only the header"),
        pytest.param(5000, "4000", 4000, id="header below"),
        pytest.param(5000, "6000", 5000, id="header above"),
        pytest.param(0, "20000", 10_000, id="header above the default"),
        pytest.param(5000, "0", 5000, id="header 0"),
        pytest.param(5000, "-1", 5000, id="header negative"),
        pytest.param(5000, "4s", 5000, id="header no number"),
        pytest.param(5000, "9" * 20, 5000, id="header enormous"),
    ],
)
def test_a_call_waits_no_longer_than_its_caller(asked_ms: int, header: str, timeout_ms: int) -> None:
    """2.1: X-Twirp-Timeout-Ms."""
    rig, alice, _ = talking()
    request = wire.PerformRpcRequest(
        room=ROOM, destination_identity="alice", method="greet", response_timeout_ms=asked_ms
    )
    auth = grants(room_admin=True, room=ROOM) | {"x-twirp-timeout-ms": header}
    ref = start(rig, "PerformRpc", request, auth=auth)
    rig.run(0.1)
    assert asked(alice).response_timeout_ms == timeout_ms
    reply(alice, rpc_ack=models.RpcAck(request_id=asked(alice).id))
    rig.run(timeout_ms / 1000 - 0.2)
    assert ref not in rig.responses
    rig.run(0.2)
    answer = Answer(rig.responses[ref])
    assert (answer.status, answer.code, answer.text) == (408, "canceled", "RpcError 1502: Response timeout")


def test_calls_that_nobody_acknowledges_answers_or_outlives() -> None:
    """2.6: 1501 after 2 s, 1502 after the timeout, 1503 at once, 1504."""
    rig, _alice, bob = talking()
    first = perform(rig)
    rig.run(1.9)
    assert first not in rig.responses
    rig.run(0.2)
    answer = Answer(rig.responses[first])
    assert (answer.status, answer.code, answer.text) == (408, "canceled", "RpcError 1501: Connection timeout")
    second = perform(rig, destination_identity="bob", response_timeout_ms=3000)
    rig.run(0.1)
    reply(bob, rpc_ack=models.RpcAck(request_id=asked(bob).id))
    rig.run(2.8)
    assert second not in rig.responses
    rig.run(0.2)
    answer = Answer(rig.responses[second])
    assert (answer.status, answer.text) == (408, "RpcError 1502: Response timeout")
    third = perform(rig, destination_identity="bob")
    rig.run(0.1)
    bob.send(leave=rtc.LeaveRequest())
    answer = Answer(rig.responses[third])
    assert (answer.status, answer.code, answer.text) == (503, "unavailable", "RpcError 1503: Recipient disconnected")


def test_payloads_have_a_limit_both_ways() -> None:
    rig, alice, _ = talking()
    answer = Answer(rig.responses[perform(rig, payload="p" * 15_361)])
    assert (answer.status, answer.code) == (400, "invalid_argument")
    assert answer.text.startswith("RpcError 1402")
    ref = perform(rig, payload="p" * 15_360)
    rig.run(0.1)
    reply(alice, rpc_response=models.RpcResponse(request_id=asked(alice).id, payload="p" * 15_361))
    rig.run(0.1)
    answer = Answer(rig.responses[ref])
    assert (answer.status, answer.text) == (500, "RpcError 1504: Response payload too large")


def test_a_call_needs_a_destination() -> None:
    rig, _, _ = talking()
    answer = Answer(rig.responses[perform(rig, destination_identity="")])
    assert (answer.code, answer.text) == ("invalid_argument", "destination identity is required")


def test_a_deleted_room_ends_its_calls() -> None:
    rig, _, _ = talking()
    ref = perform(rig)
    rig.run(0.1)
    call(rig, "DeleteRoom", wire.DeleteRoomRequest(room=ROOM))
    assert Answer(rig.responses[ref]).code == "unavailable"
