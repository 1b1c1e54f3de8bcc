"""AgentDispatchService: the dispatches of a room, and the jobs that came of them."""

from __future__ import annotations

from google.protobuf.message import Message

from ..agents import Agents
from ..config import Config
from ..errors import Refusal
from ..ids import RoomName
from ..room import Room, Rooms
from ..wire import agent_dispatch as wire
from .grants import require_admin
from .twirp import Call, Method


class DispatchService:
    """The methods of `livekit.AgentDispatchService`."""

    def __init__(self, config: Config, rooms: Rooms, agents: Agents) -> None:
        self._config = config
        self._rooms = rooms
        self._agents = agents
        self.methods: dict[str, tuple[type[Message], Method]] = {
            "CreateDispatch": (wire.CreateAgentDispatchRequest, self.create_dispatch),
            "DeleteDispatch": (wire.DeleteAgentDispatchRequest, self.delete_dispatch),
            "ListDispatch": (wire.ListAgentDispatchRequest, self.list_dispatch),
        }

    def create_dispatch(self, now: float, call: Call) -> Message:
        """Add a dispatch, to a room made for it if need be."""
        request = call.message
        assert isinstance(request, wire.CreateAgentDispatchRequest)
        require_admin(call, request.room)
        if not request.room:
            raise Refusal("invalid_argument", "room name is required", meta={"argument": "room"})
        self._agents.check_dispatch(request)
        room = self._rooms.get(request.room)
        if room is None and self._config.room.auto_create:
            room = self._rooms.open(now, self._rooms.default_options(RoomName(request.room)))
            self._agents.room_started(now, room.sid, room.name, ())
        if room is None:
            raise Refusal("not_found", "requested room does not exist")
        return self._agents.create_dispatch(now, room.sid, request)

    def delete_dispatch(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.DeleteAgentDispatchRequest)
        require_admin(call, request.room)
        return self._agents.delete_dispatch(now, self._room(request.room).sid, request.dispatch_id)

    def list_dispatch(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.ListAgentDispatchRequest)
        require_admin(call, request.room)
        found = self._agents.list_dispatches(self._room(request.room).sid, request.dispatch_id)
        return wire.ListAgentDispatchResponse(agent_dispatches=found)

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise Refusal("not_found", "requested room does not exist")
        return room
