"""From an upgrade request to the messages after the join, and frames of an open socket (signalling 1, 3)."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import jwt
import pytest
from signalling_rig import ROOM, WALL, Client, DisconnectReason, Rig, State, configured, token, wrap

from sansio import Accept, Close, DropReason, HttpRequest, LimitConfig, Reject, RoomConfig, RtcConfig, SessionId
from sansio.config import RoomPreset
from sansio.events import Dropped, JoinRefused, ParticipantJoined, RoomStarted
from sansio.wire import models, rtc

SDK = models.ClientInfo.SDK
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/{} Safari/605.1.15"


def rejected(client: Client) -> tuple[int, str]:
    assert isinstance(client.answer, Reject)
    assert client.messages == []
    return client.answer.status, client.answer.body


# Before the upgrade is answered


def test_a_join_is_accepted_and_its_first_message_is_join() -> None:
    """H-13, J-9."""
    rig = Rig()
    alice = rig.join()
    assert isinstance(alice.answer, Accept)
    assert alice.kinds[0] == "join"
    assert isinstance(alice.frames[0], bytes)
    assert [event.room for event in rig.event(RoomStarted)] == [ROOM]
    (joined,) = rig.event(ParticipantJoined)
    assert (joined.identity, joined.kind, joined.client) == ("alice", "standard", "JS")


REFUSALS = [
    pytest.param({}, {"room_join": False}, 401, "permissions denied", id="no roomJoin"),
    pytest.param({}, {"room": ""}, 400, "no room name", id="no room"),
    pytest.param({"identity": ""}, {}, 400, "identity cannot be empty", id="no identity"),
    pytest.param({"path": "/rtc/v1"}, {}, 400, "join_request is required", id="v1 without join_request"),
]


@pytest.mark.parametrize(("request_", "grants", "status", "text"), REFUSALS)
def test_refusals_are_http_answers_and_the_same_from_validate(
    request_: dict[str, str], grants: dict[str, Any], status: int, text: str
) -> None:
    """1.4, H-13, H-15: the socket, validate and a plain GET agree."""
    rig = Rig()
    path = request_.get("path", "/rtc")
    jwt_ = token(request_.get("identity", "alice"), **grants)
    client = Client(rig, "alice", ROOM)
    rig.connect(client, jwt=jwt_, path=path)
    assert rejected(client) == (status, text)
    assert rig.event(JoinRefused) == [JoinRefused(status=status, message=text)]
    for asked in (f"{path}/validate", path):
        answer = rig.request("GET", asked, query={"access_token": jwt_})
        assert (answer.status, answer.body) == (status, text.encode())
        assert answer.content_type == "text/plain; charset=utf-8"
    assert rig.rooms() == []


@pytest.mark.parametrize("how", ["query", "header"])
def test_validate_says_success(how: str) -> None:
    """1.4 last row, H-15: JS asks with the query, Rust with the header. Nothing comes to be by it."""
    rig = Rig()
    good = token()
    given = {"query": {"access_token": good}} if how == "query" else {"headers": {"authorization": f"Bearer {good}"}}
    answer = rig.request("GET", "/rtc/validate", **given)  # type: ignore[arg-type]
    assert (answer.status, answer.body) == (200, b"success")
    assert rig.rooms() == []
    wrapped = {"access_token": good, "join_request": wrap(rtc.JoinRequest(client_info=models.ClientInfo(protocol=16)))}
    assert rig.request("GET", "/rtc/v1/validate", query=wrapped).body == b"success"


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1"])
def test_a_plain_get_of_a_socket_is_a_404_that_says_why(path: str) -> None:
    """H-12; LiveKit's has no body, which tells those nothing who try the address by hand."""
    rig = Rig()
    query = {"access_token": token()}
    if path == "/rtc/v1":
        query["join_request"] = wrap(rtc.JoinRequest(client_info=models.ClientInfo(protocol=16)))
    answer = rig.request("GET", path, query=query)
    assert (answer.status, answer.body) == (404, b"404 only WebSockets are answered here\n")


def test_a_missing_room_is_a_404_with_its_text_unless_the_token_may_create() -> None:
    """L-1, H-11."""
    rig = Rig(configured(room=RoomConfig(auto_create=False)))
    assert rejected(rig.join("alice")) == (404, "requested room does not exist")
    answer = rig.request("GET", "/rtc/validate", query={"access_token": token()})
    assert (answer.status, answer.body) == (404, b"requested room does not exist")
    assert rig.join("bob", room_create=True).answered
    assert rig.join("alice").answered, "the room exists now"


def test_a_full_node_refuses_joins_with_503() -> None:
    """1.4, services 6.1."""
    rig = Rig(configured(limit=LimitConfig(num_tracks=1)))
    alice = rig.join("alice", media=True)
    alice.publish()
    rig.run(0.5)
    assert rejected(rig.join("bob"))[0] == 503
    alice.resume()
    assert alice.kinds[0] == "reconnect", "who is in already may come back"


def test_a_node_with_all_its_traffic_refuses_joins_until_it_has_less() -> None:
    """Services 6.1: bytes in and out, averaged over ten seconds."""
    rig = Rig(configured(limit=LimitConfig(bytes_per_sec=20_000)))
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True)
    rig.run(1)
    assert rig.join("carol").answered
    for _ in range(100):
        alice.media.send_data(models.DataPacket(user=models.UserPacket(payload=bytes(1500))))
        rig.run(0.1)
    assert rejected(rig.join("dave")) == (503, "node has exceeded its configured limit")
    assert rig.request("GET", "/rtc/validate", query={"access_token": token("dave")}).status == 503
    alice.resume()
    assert alice.kinds[0] == "reconnect", "who is in already may come back"
    assert bob.is_open()
    rig.run(11)
    assert rig.join("dave").answered


def test_a_node_with_all_its_rooms_refuses_new_ones() -> None:
    rig = Rig(configured(limit=LimitConfig(max_rooms=1)))
    assert rig.join("alice").answered
    assert rejected(rig.join("bob", "other"))[0] == 503
    assert rig.join("bob").answered


def test_a_full_room_refuses_with_a_final_status() -> None:
    """L-4, H-14: 403, which ends the client's retries; the twin of somebody inside and agents still come in."""
    rig = Rig(configured(room=RoomConfig(max_participants=1)))
    rig.join("alice")
    assert rejected(rig.join("bob")) == (403, "room has exceeded its max participants")
    answer = rig.request("GET", "/rtc/validate", query={"access_token": token("bob")})
    assert (answer.status, answer.body) == (403, b"room has exceeded its max participants")
    assert rig.join("helper", kind="agent").answered
    twin = rig.join("alice")
    assert twin.answered
    twin.send(leave=rtc.LeaveRequest())
    assert rig.join("bob").answered


def test_an_unknown_preset_is_refused_and_a_known_one_makes_the_room() -> None:
    """L-9, T-13."""
    room = RoomConfig(room_configurations={"small": RoomPreset(max_participants=2, metadata="from the preset")})
    rig = Rig(configured(room=room))
    status, _ = rejected(rig.join("alice", room_preset="large"))
    assert 400 <= status < 500
    assert rig.rooms() == []
    joined = rig.join("alice", room_preset="small").last("join")
    assert (joined.room.max_participants, joined.room.metadata) == (2, "from the preset")


def test_a_draining_node_refuses_joins_but_not_resumes() -> None:
    """R-21."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(1)
    rig.node.drain(rig.now)
    assert rejected(rig.join("bob"))[0] == 503
    alice.drop_socket()
    alice.resume()
    assert alice.kinds[0] == "reconnect"


def test_the_token_makes_the_room_by_its_configuration() -> None:
    """L-9: fields that are given count, the rest are defaults; later joiners change nothing."""
    rig = Rig()
    first = rig.join("alice", room_config={"emptyTimeout": 77, "maxParticipants": 4, "metadata": "from the token"})
    room = first.last("join").room
    assert (room.empty_timeout, room.departure_timeout, room.max_participants) == (77, 20, 4)
    assert room.metadata == "from the token"
    assert rig.join("bob", room_config={"metadata": "later"}).last("join").room.metadata == "from the token"
    assert rejected(rig.join("carol", "other", room_config={"emptyTimeout": "soon"}))[0] == 400


# The join message (3.1)


def test_the_join_message_says_all_that_clients_need() -> None:
    """J-1, J-2, J-4, J-5, J-7, J-8, L-11, T-7."""
    rig = Rig(attrs.evolve(configured(), region="eu"))
    join = rig.join("alice", name="Alice", metadata="m", attributes={"a": "1"}).last("join")
    info = join.server_info
    assert tuple(int(part) for part in info.version.split(".")) >= (1, 8, 0)
    assert (info.edition, info.protocol, info.agent_protocol, info.region) == (0, 17, 1, "eu")
    assert info.node_id == rig.node.id
    assert info.node_id.startswith("ND_")
    assert (join.server_version, join.server_region, join.alternative_url) == (info.version, "eu", "")
    assert (join.ping_timeout, join.ping_interval) == (15, 5)
    assert [codec.mime for codec in join.enabled_publish_codecs][:2] == ["video/VP8", "video/H264"]
    assert "video/rtx" not in [codec.mime for codec in join.enabled_publish_codecs]
    assert len(join.sif_trailer) >= 40
    assert join.fast_publish
    me = join.participant
    assert (me.identity, me.name, me.metadata, dict(me.attributes)) == ("alice", "Alice", "m", {"a": "1"})
    assert (me.state, me.joined_at, me.joined_at_ms) == (State.JOINING, int(WALL), int(WALL * 1000))
    assert re.fullmatch("PA_[A-Za-z0-9]{12}", me.sid)
    assert me.permission == models.ParticipantPermission(can_subscribe=True, can_publish=True, can_publish_data=True)
    assert list(me.tracks) == []
    room = join.room
    assert re.fullmatch("RM_[A-Za-z0-9]{12}", room.sid)
    assert (room.name, room.empty_timeout, room.departure_timeout) == (ROOM, 300, 20)
    assert (room.creation_time, room.creation_time_ms) == (int(WALL), int(WALL * 1000))
    assert room.turn_password
    assert {"audio/opus", "audio/red", "video/VP8", "video/rtx"} <= {codec.mime for codec in room.enabled_codecs}
    assert not join.HasField("client_configuration")


def test_the_trailer_is_the_rooms_own() -> None:
    """J-7."""
    rig = Rig()
    first, second = (rig.join(name).last("join").sif_trailer for name in ("alice", "bob"))
    assert first == second != rig.join("carol", "other").last("join").sif_trailer


@pytest.mark.parametrize(
    ("given", "primary"),
    [
        pytest.param({}, True, id="dual"),
        pytest.param({"protocol": 2}, False, id="old protocol"),
        pytest.param({"can_subscribe": False}, False, id="may not subscribe"),
        pytest.param({"v1": True}, False, id="single"),
    ],
)
def test_which_connection_is_primary(given: dict[str, Any], primary: bool) -> None:
    """J-3, J-10: a dual client that subscribes is offered its connection at once, with nothing but data in it."""
    client = Rig().join("alice", **given)
    assert client.last("join").subscriber_primary is primary
    offers = client.of("offer")
    assert len(offers) == primary
    if primary:
        assert [line for line in offers[0].sdp.splitlines() if line.startswith("m=")] == [
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
        ]
        assert 1 <= offers[0].id <= 256


def test_ice_servers_are_those_of_the_configuration() -> None:
    """J-12."""
    rtc_config = RtcConfig(stun_servers=("stun.example:3478", "stuns:other.example", "2001:db8::1"))
    servers = Rig(configured(rtc=rtc_config)).join().last("join").ice_servers
    assert [list(server.urls) for server in servers] == [
        ["stun:stun.example:3478", "stuns:other.example", "stun:2001:db8::1"]
    ]
    assert list(Rig().join().last("join").ice_servers) == []


@pytest.mark.parametrize(
    ("agent", "model", "never", "publish"),
    [
        pytest.param(SAFARI.format("17.1"), "", ["video/AV1"], [], id="Safari"),
        pytest.param(SAFARI.format("18.4"), "", ["video/AV1"], ["video/VP9"], id="new Safari"),
        pytest.param(FIREFOX, "", [], ["video/H264"], id="Firefox on Linux"),
        pytest.param(CHROME, "Xiaomi 2201117TI", [], ["video/H264"], id="one phone"),
        pytest.param(CHROME, "", None, None, id="Chrome"),
    ],
)
def test_codecs_that_a_client_should_not_use(
    agent: str, model: str, never: list[str] | None, publish: list[str] | None
) -> None:
    """J-14, in the join and again at the resume."""
    rig = Rig()
    query = {"device_model": model}
    client = rig.join("alice", query=query, headers={"user-agent": agent}, media=True)
    rig.run(0.5)
    messages = [client.last("join")]
    client.resume(headers={"user-agent": agent})
    messages += client.of("reconnect") if not model else []
    for message in messages:
        if never is None:
            assert not message.HasField("client_configuration")
        else:
            disabled = message.client_configuration.disabled_codecs
            assert [codec.mime for codec in disabled.codecs] == never
            assert [codec.mime for codec in disabled.publish] == publish


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"kind": "agent"}, models.ParticipantInfo.Kind.AGENT),
        ({"kind": "sip"}, models.ParticipantInfo.Kind.SIP),
        ({"kind": "novel"}, models.ParticipantInfo.Kind.STANDARD),
        ({}, models.ParticipantInfo.Kind.STANDARD),
    ],
)
def test_kinds_of_participants(claims: dict[str, Any], shown: int) -> None:
    """T-8."""
    assert Rig().join("alice", **claims).last("join").participant.kind == shown


def test_client_protocol_and_capabilities_are_passed_on_truthfully() -> None:
    """D-19."""
    rig = Rig()
    rig.join("alice", query={"client_protocol": "2", "capabilities": "CAP_PACKET_TRAILER"})
    seen = rig.join("bob").view["alice"]
    assert seen.client_protocol == 2
    assert list(seen.capabilities) == [models.ClientInfo.Capability.CAP_PACKET_TRAILER]
    assert list(rig.join("carol").view["bob"].capabilities) == []


# After the join (3.2)


def test_what_follows_a_dual_join() -> None:
    """3.2: the offer of the subscriber connection and a fresh token."""
    client = Rig().join("alice")
    assert client.kinds[0] == "join"
    assert {"offer", "refresh_token"} <= set(client.kinds)


def test_what_follows_a_single_join() -> None:
    """J-11: tracks asked for in the join are confirmed before the answer to its offer."""
    rig = Rig()
    plain = rig.join("alice", v1=True, media=True)
    assert plain.kinds[0] == "join"
    assert {"answer", "refresh_token"} <= set(plain.kinds)
    assert "offer" not in plain.kinds
    join = rtc.JoinRequest(add_track_requests=[rtc.AddTrackRequest(cid="mic", source=models.TrackSource.MICROPHONE)])
    join.publisher_offer.CopyFrom(plain.media.open_publisher().offer())
    eager = rig.join("eve", v1=True, join=join)
    assert eager.kinds.index("join") < eager.kinds.index("track_published") < eager.kinds.index("answer")
    assert eager.last("track_published").cid == "mic"


def test_others_are_in_the_join_with_their_tracks() -> None:
    """J-6: all of them, but never oneself."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    bob = rig.join("bob")
    (other,) = bob.last("join").other_participants
    assert (other.identity, other.sid, other.state) == ("alice", alice.sid, State.ACTIVE)
    assert [track.sid for track in other.tracks] == alice.track_sids
    assert other.is_publisher


def test_an_offer_that_is_no_sdp_in_the_join_sends_the_client_to_join_anew() -> None:
    """J-11, X-4."""
    client = Rig().join("alice", v1=True, join=rtc.JoinRequest(publisher_offer=rtc.SessionDescription(sdp="nonsense")))
    assert client.kinds[0] == "join"
    assert client.last("leave").action == rtc.LeaveRequest.Action.RECONNECT
    assert not client.is_open()


# Tokens afterwards


def claims_of(message: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(message, options={"verify_signature": False})
    return claims


def test_a_refreshed_token_has_the_grants_of_now() -> None:
    """T-10."""
    rig = Rig()
    alice = rig.join(
        "alice", ttl=100, name="Alice", metadata="m", kind="agent", room_preset="", attributes={"a": "1"},
        can_publish_sources=("camera",), can_update_own_metadata=True,
    )  # fmt: skip
    claims = claims_of(alice.last("refresh_token"))
    assert (claims["iss"], claims["sub"], claims["kind"]) == ("api-key", "alice", "agent")
    assert (claims["name"], claims["metadata"], claims["attributes"]) == ("Alice", "m", {"a": "1"})
    video = claims["video"]
    assert (video["roomJoin"], video["room"], video["canPublishSources"]) == (True, ROOM, ["camera"])
    assert (video["canPublish"], video["canSubscribe"], video["canUpdateOwnMetadata"]) == (True, True, True)
    assert claims["exp"] == int(WALL + 600), "never shorter than ten minutes"
    assert rig.join("alice", jwt=alice.last("refresh_token")).answered


def test_a_refreshed_token_keeps_a_longer_life() -> None:
    assert claims_of(Rig().join(ttl=3600).last("refresh_token"))["exp"] == int(WALL + 3600)


def test_tokens_are_refreshed_every_five_minutes_and_expiry_ends_nothing() -> None:
    """T-10, T-11."""
    rig = Rig()
    alice = rig.join("alice", ttl=60, media=True)
    rig.run(1)
    alice.forget()
    rig.run(298)
    assert alice.of("refresh_token") == []
    rig.run(2)
    (fresh,) = alice.of("refresh_token")
    assert claims_of(fresh)["exp"] == int(WALL + 300 + 600)
    rig.run(300)
    assert len(alice.of("refresh_token")) == 2
    assert alice.is_open()


# Frames


def test_json_frames_are_answered_in_json_until_the_next_binary_one() -> None:
    """H-24, H-25."""
    client = Rig().join("alice")
    assert all(isinstance(frame, bytes) for frame in client.frames)
    client.forget()
    client.send_frame('{"pingReq": {"timestamp": "7", "novel": true}}')
    (frame,) = client.frames
    assert isinstance(frame, str)
    assert json.loads(frame) == {"pongResp": {"lastPingTimestamp": "7", "timestamp": str(int(WALL * 1000))}}
    client.send(ping=1)
    assert isinstance(client.frames[-1], bytes)


def test_pings_are_answered_with_the_servers_time() -> None:
    """H-27."""
    rig = Rig()
    client = rig.join("alice")
    rig.now = 2.5
    client.send(ping=123).send(ping_req=rtc.Ping(timestamp=2**60, rtt=5))
    assert client.last("pong") == int((WALL + 2.5) * 1000)
    assert client.last("pong_resp") == rtc.Pong(last_ping_timestamp=2**60, timestamp=int((WALL + 2.5) * 1000))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(b"\xff" * 20, DropReason.SIGNAL_MALFORMED, id="garbage"),
        pytest.param("{hello", DropReason.SIGNAL_MALFORMED, id="garbage text"),
        pytest.param('{"addTrack": [1, 2]}', DropReason.SIGNAL_MALFORMED, id="JSON of another shape"),
        pytest.param(bytes(1 << 20) + b"x", DropReason.SIGNAL_TOO_LARGE, id="too large"),
    ],
)
def test_a_frame_that_is_no_request_closes_the_socket(frame: bytes | str, reason: DropReason) -> None:
    """H-28, X-3: code 1000, no words; others see nothing but, for one who was never connected, the leaving."""
    rig = Rig()
    bob = rig.join("bob")
    client = rig.join("alice")
    bob.forget()
    client.send_frame(frame)
    assert client.closed == Close(session=client.session, code=1000, reason="")
    assert Dropped(reason=reason, count=1) in rig.events
    assert bob.is_open()
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.SIGNAL_CLOSE


def test_a_garbage_frame_of_a_connected_client_costs_only_its_socket() -> None:
    """R-5, H-28."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True)
    rig.run(1)
    bob.forget()
    alice.send_frame(b"\xff" * 9)
    rig.run(1)
    assert not alice.is_open()
    assert bob.updates == []
    alice.resume()
    assert alice.kinds[0] == "reconnect"


@pytest.mark.parametrize("frame", [b"", bytes.fromhex("ba3e03616263"), "{}", '{"novel": {}}'])
def test_an_empty_or_newer_request_is_ignored(frame: bytes | str) -> None:
    """S-1."""
    client = Rig().join("alice")
    client.send_frame(frame).send(ping=1)
    assert client.is_open()
    assert client.kinds[-1] == "pong"


def test_frames_of_unknown_sockets_are_ignored() -> None:
    rig = Rig()
    rig.node.handle_message(0.0, SessionId(99), b"\xff")
    rig.node.handle_disconnect(0.0, SessionId(99))
    assert rig.node.poll_commands() == []


def test_a_socket_elsewhere_is_a_404() -> None:
    """1.1."""
    rig = Rig()
    client = Client(rig, "alice", ROOM)
    rig.connect(client, path="/nothing/here")
    assert rejected(client) == (404, "404 page not found\n")


def test_a_node_without_keys_lets_nobody_in_but_does_not_fail() -> None:
    rig = Rig(attrs.evolve(configured(), keys={}))
    assert rejected(rig.join("alice"))[0] == 401
    rig.node.handle_connect(0.0, SessionId(5), HttpRequest(method="GET", path="/rtc"))
    (answer,) = rig.node.poll_commands()
    assert isinstance(answer, Reject)
