"""Routes, encodings and errors of the HTTP API (services 2.1 to 2.3, 2.7 to 2.9)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_rig import JSON, NEEDS, PROTOBUF, WALL, Answer, Rig, call, configured, grants, token
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio import Respond
from sansio.events import RequestServed
from sansio.wire import agent_dispatch, room

ROOMS = "/twirp/livekit.RoomService/"
LIST = grants(room_list=True)


def post(
    rig: Rig, path: str, body: bytes = b"", kind: str | None = JSON, method: str = "POST", **headers: str
) -> Respond:
    sent = LIST | ({"content-type": kind} if kind is not None else {}) | headers
    return rig.request(method, path, headers={name: value for name, value in sent.items() if value}, body=body)


# Routes (1.1, 2.2, 2.8, 2.9)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_is_the_health(method: str) -> None:
    """H-3."""
    answer = Rig().request(method, "/")
    assert (answer.status, answer.body) == (200, b"OK")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/settings/regions"),
        ("GET", "/nothing/here"),
        ("POST", "/"),
        ("POST", "/twirp/"),
        ("POST", "/twirp/livekit.Nope/ListRooms"),
        ("POST", "/twirp/livekit.CloudAgent/X"),
        ("POST", "/twirp/livekit.Connector/X"),
        ("POST", "/twirp/other.RoomService/ListRooms"),
        ("GET", "/agent/"),
        ("GET", "/rtc/v2"),
    ],
)
def test_unknown_paths_are_plain_404s(method: str, path: str) -> None:
    """2.2, 2.8, H-5."""
    answer = post(Rig(), path, method=method)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert answer.content_type.startswith("text/plain")


def test_the_workers_path_is_a_404_for_plain_requests() -> None:
    """1.1."""
    answer = Rig().request("GET", "/agent")
    assert (answer.status, answer.body) == (404, b"404 only WebSockets are answered here\n")


@pytest.mark.parametrize(
    ("method", "path", "kind", "text"),
    [
        pytest.param("GET", "ListRooms", JSON, 'unsupported method "GET" (only POST is allowed)', id="a GET"),
        pytest.param("POST", "ListRooms", "text/plain", 'unexpected Content-Type: "text/plain"', id="another type"),
        pytest.param("POST", "ListRooms", None, 'unexpected Content-Type: ""', id="no type"),
        pytest.param("POST", "ListCows", JSON, f'no handler for path "{ROOMS}ListCows"', id="an unknown method"),
        pytest.param("POST", "", JSON, f'no handler for path "{ROOMS}"', id="no method"),
    ],
)
def test_bad_routes(method: str, path: str, kind: str | None, text: str) -> None:
    """2.2."""
    respond = post(Rig(), ROOMS + path, kind=kind, method=method)
    answer = Answer(respond)
    assert (answer.status, answer.code, answer.text) == (404, "bad_route", text)
    assert respond.content_type == JSON
    assert answer.json["meta"] == {"twirp_invalid_route": f"{method} {ROOMS}{path}"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b'{"names": [', JSON, id="JSON cut short"),
        pytest.param(b'{"names": 5}', JSON, id="JSON of another shape"),
        pytest.param(b"[]", JSON, id="a JSON list"),
        pytest.param(b"\xff\xfe", JSON, id="no text"),
        pytest.param(b'{"names":["\\ud800"]}', JSON, id="half a character"),
        pytest.param(b'{"names":' + b"[" * 2000 + b"]" * 2000 + b"}", JSON, id="2000 levels"),
        pytest.param(b'{"names":' + b"9" * 5000 + b"}", JSON, id="5000 digits"),
        pytest.param(b"\x0a\xff\xff\xff\xff\x0f", PROTOBUF, id="protobuf"),
        pytest.param(b"\x0a\x02\xff\xfe", PROTOBUF, id="protobuf with no UTF-8"),
    ],
)
def test_bodies_that_cannot_be_decoded(body: bytes, kind: str) -> None:
    """2.2."""
    answer = Answer(post(Rig(), ROOMS + "ListRooms", body, kind))
    word = "json" if kind == JSON else "protobuf"
    assert (answer.status, answer.code) == (400, "malformed")
    assert answer.text == f"the {word} request could not be decoded"


# Encodings (2.1, H-31)


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_json_in_json_out(kind: str) -> None:
    rig = Rig()
    body = json.dumps({"name": "r", "emptyTimeout": 33, "metadata": "é✓", "noSuchField": {"a": [1]}}).encode()
    create = grants(room_create=True)
    respond = post(rig, ROOMS + "CreateRoom", body, kind, **create)
    assert (respond.status, respond.content_type) == (200, JSON)
    value = json.loads(respond.body)
    assert (value["name"], value["empty_timeout"], value["metadata"]) == ("r", 33, "é✓")
    assert (value["num_participants"], value["active_recording"]) == (0, False)
    assert value["creation_time"] == str(int(WALL))
    snake = post(rig, ROOMS + "CreateRoom", b'{"name":"r","empty_timeout":5}', **create)
    assert json.loads(snake.body) == value, "the same room, unchanged"


def test_protobuf_in_protobuf_out() -> None:
    rig = Rig()
    call(rig, "CreateRoom", room.CreateRoomRequest(name="r"))
    respond = post(rig, ROOMS + "ListRooms", b"", PROTOBUF)
    assert (respond.status, respond.content_type) == (200, PROTOBUF)
    assert [r.name for r in room.ListRoomsResponse.FromString(respond.body).rooms] == ["r"]


def test_every_call_is_reported() -> None:
    rig = Rig()
    call(rig, "CreateRoom", room.CreateRoomRequest(name="r"))
    call(rig, "DeleteRoom", room.DeleteRoomRequest(room="other"))
    assert rig.event(RequestServed) == [
        RequestServed(method="RoomService.CreateRoom", status=200, code="ok"),
        RequestServed(method="RoomService.DeleteRoom", status=404, code="not_found"),
    ]


# Who asks (2.3)


@pytest.mark.parametrize("path", ["/", "/nothing", ROOMS + "ListRooms", "/twirp/livekit.Nope/X"])
@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("Basic abc", "invalid authorization header. Must start with Bearer "),
        ("Bearer abc", "invalid authorization token"),
        (f"Bearer {token(ttl=-120)}", "invalid token: expired"),
    ],
)
def test_a_bad_token_is_401_on_every_path(path: str, auth: str, text: str) -> None:
    answer = post(Rig(), path, authorization=auth)
    assert (answer.status, answer.body.decode()) == (401, text)
    assert answer.content_type.startswith("text/plain")


def test_the_token_may_be_in_the_query() -> None:
    answer = Rig().request(
        "POST",
        ROOMS + "ListRooms",
        query={"access_token": token("api", "", room_list=True)},
        headers={"content-type": PROTOBUF},
    )
    assert answer.status == 200


METHODS: dict[str, type[Message]] = {
    "CreateRoom": room.CreateRoomRequest,
    "ListRooms": room.ListRoomsRequest,
    "DeleteRoom": room.DeleteRoomRequest,
    "ListParticipants": room.ListParticipantsRequest,
    "GetParticipant": room.RoomParticipantIdentity,
    "RemoveParticipant": room.RoomParticipantIdentity,
    "MutePublishedTrack": room.MuteRoomTrackRequest,
    "UpdateParticipant": room.UpdateParticipantRequest,
    "UpdateSubscriptions": room.UpdateSubscriptionsRequest,
    "SendData": room.SendDataRequest,
    "UpdateRoomMetadata": room.UpdateRoomMetadataRequest,
    "ForwardParticipant": room.ForwardParticipantRequest,
    "MoveParticipant": room.MoveParticipantRequest,
    "PerformRpc": room.PerformRpcRequest,
}
DISPATCH: dict[str, type[Message]] = {
    "CreateDispatch": agent_dispatch.CreateAgentDispatchRequest,
    "DeleteDispatch": agent_dispatch.DeleteAgentDispatchRequest,
    "ListDispatch": agent_dispatch.ListAgentDispatchRequest,
}
ALL_GRANTS = ("room_list", "room_create", "room_join", "ingress_admin", "room_record")


@pytest.mark.parametrize("method", [*METHODS, *DISPATCH])
@pytest.mark.parametrize("who", ["nobody", "other grants", "admin of another room"])
def test_each_method_needs_its_grant(method: str, who: str) -> None:
    """2.3, H-31: 401 unauthenticated, also for rooms that do not exist."""
    rig = Rig()
    service = "RoomService" if method in METHODS else "AgentDispatchService"
    request = (METHODS | DISPATCH)[method]()
    field = "name" if method == "CreateRoom" else "room"
    if field in request.DESCRIPTOR.fields_by_name:
        setattr(request, field, "r")
    auth: dict[str, dict[str, str]] = {
        "nobody": {},
        "other grants": grants(room="r", **{name: True for name in ALL_GRANTS if name != NEEDS.get(method)}),
        "admin of another room": grants(room_admin=True, room="rx"),
    }
    answer = call(rig, method, request, service=service, auth=auth[who])
    assert (answer.status, answer.code, answer.text) == (401, "unauthenticated", "permissions denied")
    assert rig.rooms() == []


# Services that are not there (2.7)


@pytest.mark.parametrize(
    ("service", "method", "given", "text"),
    [
        ("Egress", "ListEgress", {"room_record": True}, "egress not connected (redis required)"),
        ("Egress", "StartRoomCompositeEgress", {"room_record": True}, "egress not connected (redis required)"),
        ("Ingress", "CreateIngress", {"ingress_admin": True}, "ingress not connected (redis required)"),
        ("SIP", "ListSIPInboundTrunk", {"sip_admin": True}, "sip not connected (redis required)"),
        ("SIP", "CreateSIPParticipant", {"sip_call": True}, "sip not connected (redis required)"),
    ],
)
def test_absent_services_say_so_to_who_may_ask(service: str, method: str, given: dict[str, bool], text: str) -> None:
    rig = Rig()
    path = f"/twirp/livekit.{service}/{method}"
    answer = Answer(post(rig, path, b"{}", **grants(**given)))
    assert (answer.status, answer.code, answer.text) == (500, "internal", text)
    for auth in ({"authorization": ""}, grants(room_list=True)):
        refused = Answer(post(rig, path, b"{}", **auth))
        assert (refused.status, refused.code) == (401, "unauthenticated")
    assert Answer(post(rig, f"/twirp/livekit.{service}/Nope", b"{}")).code == "bad_route"


def test_sip_administration_does_not_allow_calls() -> None:
    path = "/twirp/livekit.SIP/CreateSIPParticipant"
    assert Answer(post(Rig(), path, b"{}", **grants(sip_admin=True))).code == "unauthenticated"


# Anything at all

SOME_PATHS = [
    "/",
    ROOMS + "ListRooms",
    ROOMS + "CreateRoom",
    ROOMS + "SendData",
    "/twirp/livekit.Egress/ListEgress",
    "/rtc",
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", ""]),
    st.one_of(st.sampled_from(SOME_PATHS), st.text(max_size=20)),
    st.dictionaries(st.sampled_from(["content-type", "authorization"]), st.one_of(st.just(JSON), st.text(max_size=20))),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    st.binary(max_size=60),
)
def test_any_request_is_answered(
    method: str, path: str, headers: dict[str, str], query: dict[str, str], body: bytes
) -> None:
    answer = Rig(configured()).request(method, path, headers=headers, query=query, body=body)
    assert answer.status in (200, 400, 401, 404)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(METHODS)), st.binary(max_size=60))
def test_any_body_of_an_admin_is_answered(method: str, body: bytes) -> None:
    rig = Rig()
    rig.join("alice")
    everything: dict[str, Any] = dict.fromkeys((*ALL_GRANTS, "room_admin"), True)
    headers = grants(room="room", destination_room="x", **everything) | {"content-type": PROTOBUF}
    rig.start_request("POST", ROOMS + method, headers=headers, body=body)
    rig.run(12)
    (answer,) = rig.responses.values()
    assert answer.status in (200, 400, 401, 404, 408, 412, 500, 501, 503)
