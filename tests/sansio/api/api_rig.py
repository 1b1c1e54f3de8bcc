"""The rig of the room's tests, and Twirp calls on it."""

from __future__ import annotations

import json
from typing import Any

import attrs
from google.protobuf.message import Message
from node_rig import ROOM as ROOM
from node_rig import WALL as WALL
from node_rig import Action as Action
from node_rig import Client as Client
from node_rig import DisconnectReason as DisconnectReason
from node_rig import Rig as Rig
from node_rig import State as State
from node_rig import configured as configured
from node_rig import token as token

from sansio import Respond

PROTOBUF, JSON = "application/protobuf", "application/json"
NEEDS = {"CreateRoom": "room_create", "ListRooms": "room_list", "DeleteRoom": "room_create"}
"""Grants of the RoomService's methods; the others need to be admin of the room."""


@attrs.frozen
class Answer:
    """A Twirp answer: `ok` and a message, or the code of an error."""

    respond: Respond

    @property
    def status(self) -> int:
        return self.respond.status

    @property
    def json(self) -> Any:
        return json.loads(self.respond.body)

    @property
    def code(self) -> str:
        return "ok" if self.status == 200 else str(self.json["code"])

    @property
    def text(self) -> str:
        return str(self.json["msg"])

    def read(self, kind: type[Message]) -> Any:
        assert (self.status, self.respond.content_type) == (200, PROTOBUF), self.respond
        return kind.FromString(self.respond.body)


def grants(**given: Any) -> dict[str, str]:
    """An authorization header."""
    made = token("api", str(given.pop("room", "")), **({"room_join": False} | given))
    return {"authorization": f"Bearer {made}"}


def start(
    rig: Rig, method: str, request: Message, *, service: str = "RoomService", auth: dict[str, str] | None = None
) -> int:
    """A call in protobuf, with the grants that it needs unless others are given; its number."""
    if auth is None:
        room = str(getattr(request, "room", ""))
        auth = grants(**{NEEDS[method]: True}) if method in NEEDS else grants(room_admin=True, room=room)
    path = f"/twirp/livekit.{service}/{method}"
    return rig.start_request("POST", path, headers={"content-type": PROTOBUF} | auth, body=request.SerializeToString())


def call(
    rig: Rig, method: str, request: Message, *, service: str = "RoomService", auth: dict[str, str] | None = None
) -> Answer:
    """A call that is answered at once."""
    return Answer(rig.responses[start(rig, method, request, service=service, auth=auth)])
