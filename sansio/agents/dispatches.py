"""The dispatches of rooms: which agents a room asks for (`AgentDispatch`), as the API makes, lists and deletes them.

A room has the dispatches that it was made with, or one nameless dispatch if none were given, and those that were added since.
They live as long as the room. Jobs are not made from them yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from ..config import LimitConfig
from ..entropy import Entropy
from ..errors import Refusal
from ..ids import mint
from ..wallclock import WallClock
from ..wire import agent_dispatch
from .worker import ProtocolBreak, check_deployment

NANOSECONDS = 1_000_000_000


class Dispatches:
    """Dispatches by room sid."""

    __slots__ = ("_by_room", "_entropy", "_limit", "_wallclock")

    def __init__(self, entropy: Entropy, wallclock: WallClock, limit: LimitConfig) -> None:
        self._entropy = entropy
        self._wallclock = wallclock
        self._limit = limit
        self._by_room: dict[str, dict[str, agent_dispatch.AgentDispatch]] = {}

    def check(self, request: agent_dispatch.RoomAgentDispatch | agent_dispatch.CreateAgentDispatchRequest) -> None:
        """Raises Refusal if such a dispatch cannot be made."""
        limit = self._limit.max_metadata_size
        if limit and len(request.metadata.encode()) > limit:
            raise Refusal("invalid_argument", f"metadata size exceeds limits {limit}", meta={"argument": "metadata"})
        try:
            check_deployment(request.deployment)
        except ProtocolBreak as broken:
            raise Refusal("invalid_argument", str(broken)) from None

    def create(
        self,
        now: float,
        room_sid: str,
        room_name: str,
        request: agent_dispatch.RoomAgentDispatch | agent_dispatch.CreateAgentDispatchRequest,
    ) -> agent_dispatch.AgentDispatch:
        """Add a dispatch to a room. Raises Refusal."""
        self.check(request)
        dispatch = agent_dispatch.AgentDispatch(
            id=mint("AD_", self._entropy),
            agent_name=request.agent_name,
            room=room_name,
            metadata=request.metadata,
            restart_policy=request.restart_policy,
            deployment=request.deployment,
            attributes=request.attributes,
            state=agent_dispatch.AgentDispatchState(created_at=int(self._wallclock.seconds(now) * NANOSECONDS)),
        )
        self._by_room.setdefault(room_sid, {})[dispatch.id] = dispatch
        return dispatch

    def room_made(
        self, now: float, room_sid: str, room_name: str, wanted: Iterable[agent_dispatch.RoomAgentDispatch]
    ) -> None:
        """A room begins: with these dispatches, or the nameless one. Once is enough; what cannot be is left out."""
        if room_sid in self._by_room:
            return
        self._by_room[room_sid] = {}
        for request in list(wanted) or [agent_dispatch.RoomAgentDispatch()]:
            with suppress(Refusal):
                self.create(now, room_sid, room_name, request)

    def of_room(self, room_sid: str, dispatch_id: str = "") -> Sequence[agent_dispatch.AgentDispatch]:
        """All of a room, or the one with that id if there is one."""
        known = self._by_room.get(room_sid, {})
        return [dispatch for dispatch in known.values() if not dispatch_id or dispatch.id == dispatch_id]

    def delete(self, room_sid: str, dispatch_id: str) -> agent_dispatch.AgentDispatch:
        """Remove one; returned as it was. Raises Refusal."""
        dispatch = self._by_room.get(room_sid, {}).pop(dispatch_id, None)
        if dispatch is None:
            raise Refusal("not_found", "dispatch ID not found")
        return dispatch

    def room_ended(self, room_sid: str) -> None:
        self._by_room.pop(room_sid, None)
