"""Rooms without media: people come, publish and go, agents too; dispatches are made and deleted; rooms end.

A room tells `Agents` what a real one would, through its `AgentsWorld`. It ends 20 s after the last person has gone, agents or
not, and sometimes because somebody deletes it. Names are used again by later rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import ParticipantJoined, ParticipantLeft, RoomFinished, TrackPublished
from ..wire import agent_dispatch

if TYPE_CHECKING:
    from .agent_process import SimAgent
    from .agents import AgentsWorld

DEPARTURE_TIMEOUT_S = 20.0
NO_RESTARTS = agent_dispatch.JobRestartPolicy.JRP_NEVER
MAX_PEOPLE = 4


class SimRoom:
    """One life of a room."""

    __slots__ = ("agents", "dice", "dispatches", "is_over", "name", "num_departures", "people", "sid", "world")

    def __init__(self, world: AgentsWorld, name: str, sid: str) -> None:
        self.world = world
        self.name = name
        self.sid = sid
        self.dice = world.dice.child(sid)
        self.people: dict[str, str] = {}
        """Sids by identity."""
        self.agents: dict[str, SimAgent] = {}
        """By identity."""
        self.dispatches: dict[str, agent_dispatch.AgentDispatch] = {}
        self.num_departures = 0
        self.is_over = False

    def start(self) -> None:
        """Open it by a call or by a first person, with agents or with none asked for."""
        wanted = [self._wanted() for _ in range(self.dice.draw(((5, 0), (3, 1), (2, 2))))]
        self.world.start_room(self, wanted)
        self.dispatches = {one.id: one for one in self.world.agents.list_dispatches(self.sid)}
        for number in range(self.dice.count(1, MAX_PEOPLE)):
            self.world.after(self.dice.between(0.0, 20.0) if number else 0.0, self.person_joins, f"user-{number}")
        for _ in range(self.dice.count(0, 2)):
            self.world.after(self.dice.between(0.0, 60.0), self.create_dispatch)
        if self.dice.chance(0.15):
            self.world.after(self.dice.between(5.0, 80.0), self.end, "ROOM_DELETED")

    # People

    def person_joins(self, identity: str) -> None:
        if self.is_over or self.world.is_closing:
            return
        if identity in self.people:
            self.person_leaves(identity, "DUPLICATE_IDENTITY", is_back=True)
        self.people[identity] = sid = self.world.new_sid("PA_")
        self._tell_joined(identity, sid, "standard")
        if self.dice.chance(0.7):
            self.world.after(self.dice.between(0.05, 3.0), self.person_publishes, identity, sid)
        self.world.after(self.dice.between(5.0, 90.0), self.person_goes, identity, sid)

    def person_publishes(self, identity: str, sid: str) -> None:
        if self.people.get(identity) == sid:
            self.world.tell(
                TrackPublished(room=self.name, identity=identity, track="TR_1", kind="audio", mime_type="audio/opus")
            )

    def person_goes(self, identity: str, sid: str) -> None:
        """Leave, some to come back."""
        if self.people.get(identity) != sid:
            return
        if self.dice.chance(0.1):
            self.person_joins(identity)
            return
        self.person_leaves(identity, self.dice.one_of(("CLIENT_INITIATED", "CONNECTION_TIMEOUT")))
        if self.dice.chance(0.3):
            self.world.after(self.dice.between(0.5, 25.0), self.person_joins, identity)

    def person_leaves(self, identity: str, reason: str, *, is_back: bool = False) -> None:
        sid = self.people.pop(identity)
        self._tell_left(identity, sid, reason)
        if not self.people and not is_back:
            self.num_departures += 1
            self.world.after(DEPARTURE_TIMEOUT_S, self._end_if_empty, self.num_departures)

    # Dispatches

    def create_dispatch(self) -> None:
        if self.is_over or self.world.is_closing:
            return
        wanted = self._wanted()
        request = agent_dispatch.CreateAgentDispatchRequest(
            room=self.name, agent_name=wanted.agent_name, restart_policy=wanted.restart_policy
        )
        made = self.world.create_dispatch(self, request)
        if self.dice.chance(0.4):
            self.world.after(self.dice.between(0.0, 40.0), self.delete_dispatch, made.id)

    def delete_dispatch(self, dispatch_id: str) -> None:
        if not self.is_over:
            self.world.delete_dispatch(self, dispatch_id)

    def _wanted(self) -> agent_dispatch.RoomAgentDispatch:
        policy = agent_dispatch.JobRestartPolicy.JRP_ON_FAILURE if self.dice.chance(0.85) else NO_RESTARTS
        return agent_dispatch.RoomAgentDispatch(
            agent_name=self.dice.one_of(self.world.agent_names), restart_policy=policy, metadata="for a test"
        )

    # Agents

    def agent_joins(self, one: SimAgent) -> None:
        """Another one of the same identity goes, as in any room."""
        self.agent_leaves(one.identity, "DUPLICATE_IDENTITY")
        self.agents[one.identity] = one
        one.sid = self.world.new_sid("PA_")
        self.world.ledger.agent_came(one)
        self._tell_joined(one.identity, one.sid, "agent")

    def agent_leaves(self, identity: str, reason: str, sid: str = "") -> None:
        """Take an agent out, if it is there and is the one with the sid."""
        one = self.agents.get(identity)
        if one is None or (sid and one.sid != sid):
            return
        del self.agents[identity]
        gone, one.sid = one.sid, ""
        self.world.ledger.agent_went(one, reason)
        self._tell_left(identity, gone, reason)
        one.handle_left(reason)

    # Its end

    def end(self, reason: str) -> None:
        if self.is_over:
            return
        self.is_over = True
        for identity in list(self.people):
            self._tell_left(identity, self.people.pop(identity), reason)
        for identity in list(self.agents):
            self.agent_leaves(identity, reason)
        self.world.end_room(self, RoomFinished(room=self.name, sid=self.sid, reason=reason))

    def _end_if_empty(self, departure: int) -> None:
        if not self.people and departure == self.num_departures:
            self.end("ROOM_CLOSED")

    def _tell_joined(self, identity: str, sid: str, kind: str) -> None:
        self.world.tell(
            ParticipantJoined(
                room=self.name, identity=identity, sid=sid, kind=kind, client="sim", is_dependent=kind == "agent"
            )
        )

    def _tell_left(self, identity: str, sid: str, reason: str) -> None:
        self.world.tell(ParticipantLeft(room=self.name, identity=identity, sid=sid, reason=reason, was_active=True))
