"""AgentDispatchService: the records of which agents a room asks for (services 1.6, 1.10)."""

from __future__ import annotations

from typing import Any

import pytest
from api_rig import ROOM, WALL, Answer, Rig, call, configured
from google.protobuf.message import Message

from sansio import RoomConfig
from sansio.wire import agent_dispatch as wire
from sansio.wire import room as room_wire

SERVICE = "AgentDispatchService"


def ask(rig: Rig, method: str, request: Message) -> Answer:
    return call(rig, method, request, service=SERVICE)


def create(rig: Rig, **request: Any) -> Answer:
    return ask(
        rig, "CreateDispatch", wire.CreateAgentDispatchRequest(**{"room": ROOM, "agent_name": "helper"} | request)
    )


def listed(rig: Rig, room: str = ROOM, dispatch_id: str = "") -> list[wire.AgentDispatch]:
    answer = ask(rig, "ListDispatch", wire.ListAgentDispatchRequest(room=room, dispatch_id=dispatch_id))
    return list(answer.read(wire.ListAgentDispatchResponse).agent_dispatches)


def names(rig: Rig, room: str = ROOM) -> list[str]:
    return [dispatch.agent_name for dispatch in listed(rig, room)]


def test_a_dispatch_is_recorded_as_asked() -> None:
    rig = Rig()
    rig.join("alice")
    rig.now = 2.0
    made = create(rig, metadata="m", deployment="blue", attributes={"a": "1"}, restart_policy="JRP_NEVER").read(
        wire.AgentDispatch
    )
    assert made.id.startswith("AD_")
    assert (made.agent_name, made.room, made.metadata, made.deployment) == ("helper", ROOM, "m", "blue")
    assert (dict(made.attributes), made.restart_policy) == ({"a": "1"}, 1)
    assert made.state.created_at == int((WALL + 2) * 1e9)
    assert listed(rig, dispatch_id=made.id) == [made]
    assert listed(rig, dispatch_id="AD_other") == []


@pytest.mark.parametrize("how", ["a join", "the API"])
def test_a_room_has_the_nameless_dispatch_unless_others_are_named(how: str) -> None:
    """1.6, L-10."""
    rig = Rig()
    agents = [{"agentName": "one", "metadata": "m"}, {"agentName": "two"}]
    if how == "a join":
        rig.join("alice")
        rig.join("bob", "other", room_config={"agents": agents})
        rig.join("carol", "other", room_config={"agents": [{"agentName": "late"}]})
    else:
        call(rig, "CreateRoom", room_wire.CreateRoomRequest(name=ROOM))
        wanted = [wire.RoomAgentDispatch(agent_name="one", metadata="m"), wire.RoomAgentDispatch(agent_name="two")]
        call(rig, "CreateRoom", room_wire.CreateRoomRequest(name="other", agents=wanted))
        call(rig, "CreateRoom", room_wire.CreateRoomRequest(name="other"))
    assert names(rig) == [""]
    assert names(rig, "other") == ["one", "two"]
    assert listed(rig, "other")[0].metadata == "m"


def test_an_impossible_agent_in_a_token_is_left_out() -> None:
    rig = Rig()
    rig.join("alice", room_config={"agents": [{"deployment": "a_b"}, {"agentName": "two"}]})
    assert names(rig) == ["two"]


def test_a_dispatch_makes_its_room_with_the_nameless_one() -> None:
    rig = Rig()
    create(rig)
    assert rig.rooms() == [ROOM]
    assert sorted(names(rig)) == ["", "helper"]


def test_a_dispatch_makes_no_room_where_rooms_are_not_made() -> None:
    rig = Rig(configured(room=RoomConfig(auto_create=False)))
    answer = create(rig)
    assert (answer.code, answer.text) == ("not_found", "requested room does not exist")
    assert rig.rooms() == []


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"room": ""}, "room name is required"),
        ({"metadata": "m" * 600_000}, "metadata size exceeds limits 524288"),
        ({"deployment": "a_b"}, "deployment contains reserved character '_'"),
        ({"deployment": "a b"}, "deployment contains white space or control characters"),
        ({"deployment": "a\x7f"}, "deployment contains white space or control characters"),
        ({"deployment": "d" * 65}, "deployment is too long"),
    ],
)
def test_dispatches_that_are_refused(request_: dict[str, Any], text: str) -> None:
    rig = Rig()
    answer = create(rig, **request_)
    assert (answer.status, answer.code, answer.text) == (400, "invalid_argument", text)
    assert rig.rooms() == []


def test_a_deleted_dispatch_is_returned_as_it_was() -> None:
    rig = Rig()
    made = create(rig).read(wire.AgentDispatch)
    request = wire.DeleteAgentDispatchRequest(room=ROOM, dispatch_id=made.id)
    assert ask(rig, "DeleteDispatch", request).read(wire.AgentDispatch) == made
    assert names(rig) == [""]
    again = ask(rig, "DeleteDispatch", request)
    assert (again.status, again.code, again.text) == (404, "not_found", "dispatch ID not found")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListDispatch", wire.ListAgentDispatchRequest(room="absent")),
        ("DeleteDispatch", wire.DeleteAgentDispatchRequest(room="absent", dispatch_id="AD_x")),
    ],
)
def test_an_absent_room_is_not_found_at_once(method: str, request_: Message) -> None:
    rig = Rig()
    assert ask(rig, method, request_).code == "not_found"
    assert rig.rooms() == []


def test_dispatches_end_with_their_room() -> None:
    rig = Rig()
    create(rig)
    call(rig, "DeleteRoom", room_wire.DeleteRoomRequest(room=ROOM))
    rig.join("alice")
    assert names(rig) == [""]
