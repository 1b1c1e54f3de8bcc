"""All rooms of a node: by name, made on demand, drained when something happened to them.

The registry knows which room and member each transport belongs to, keeps one deadline a room, and gathers what rooms put out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import DropReason, Refusal
from ..events import Event
from ..ids import PeerId, RoomName, mint_room
from ..outputs import Command
from ..timers import DeadlineHeap
from ..transport import PeerEvent
from .member import Member
from .messages import Action
from .options import RoomContext, RoomOptions, RoomWishes
from .participant import DisconnectReason
from .room import Room
from .rpc import RpcResult
from .transport_input import handle_peer_event


class Rooms:
    """The rooms of one node."""

    __slots__ = (
        "_by_name",
        "_deadlines",
        "_events",
        "_finished_rpc",
        "_owners",
        "_touched",
        "_unflushed",
        "context",
        "drops",
    )

    def __init__(self, context: RoomContext) -> None:
        self.context = context
        self._by_name: dict[str, Room] = {}
        self._owners: dict[PeerId, tuple[Room, Member]] = {}
        self._touched: dict[str, Room] = {}
        self._unflushed: dict[str, Room] = {}
        self._deadlines: DeadlineHeap[str] = DeadlineHeap()
        self._events: list[Event] = []
        self._finished_rpc: list[RpcResult] = []
        self.drops: dict[DropReason, int] = {}

    # Rooms

    def get(self, name: str) -> Room | None:
        return self._by_name.get(name)

    def open(self, now: float, options: RoomOptions) -> Room:
        """The room of that name, made if need be. Raises Refusal at the node's limit."""
        room = self._by_name.get(options.name)
        if room is None:
            limit = self.context.config.limit.max_rooms
            if limit and len(self._by_name) >= limit:
                raise Refusal("resource_exhausted", "node has exceeded its configured limit", status=503)
            room = Room(now, mint_room(self.context.entropy), options, self.context)
            self._by_name[options.name] = room
            self.touch(room)
        return room

    def default_options(self, name: str) -> RoomOptions:
        config = self.context.config.room
        delay = config.playout_delay
        return RoomOptions(
            name=RoomName(name),
            empty_timeout=config.empty_timeout,
            departure_timeout=config.departure_timeout,
            max_participants=config.max_participants,
            sync_streams=config.sync_streams,
            min_playout_delay=delay.min if delay.enabled else 0,
            max_playout_delay=delay.max if delay.enabled else 0,
        )

    def options_for(self, name: str, *wishes: RoomWishes, preset: str = "") -> RoomOptions:
        """The options of a new room: the defaults, then the preset of that name, then the wishes. Raises Refusal for a
        preset that does not exist."""
        options = self.default_options(name)
        if preset:
            known = self.context.config.room.room_configurations.get(preset)
            if known is None:
                raise Refusal("invalid_argument", "unknown room configuration in create room request")
            options.fill(known)
        for wanted in wishes:
            options.fill(wanted)
        return options

    def close(self, now: float, reason: int = DisconnectReason.SERVER_SHUTDOWN) -> None:
        """End all rooms."""
        for room in list(self):
            room.close(now, reason)
            self.touch(room)

    def remove(self, now: float, name: str, identity: str, sid: str) -> None:
        """Take somebody out of a room, if that very participant is still there."""
        room = self._by_name.get(RoomName(name))
        member = None if room is None else room.member(identity)
        if room is not None and member is not None and member.participant.sid == sid:
            room.leave(now, member, DisconnectReason.PARTICIPANT_REMOVED, action=Action.DISCONNECT)
            self.touch(room)

    def touch(self, room: Room) -> None:
        self._touched[room.name] = room

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def num_tracks(self) -> int:
        return sum(len(m.publisher.publications) for room in self._by_name.values() for m in room.members.values())

    # Inputs

    def handle_peer_events(self, now: float, events: Iterable[tuple[PeerId, PeerEvent]]) -> None:
        """Bring transports' events to their rooms."""
        for peer, event in events:
            owner = self._owners.get(peer)
            if owner is None:
                continue
            room, member = owner
            handle_peer_event(now, room, member, peer, event)
            self.touch(room)

    def handle_timeout(self, now: float) -> None:
        for name in self._deadlines.pop_due(now):
            room = self._by_name.get(name)
            if room is not None:
                room.handle_timeout(now)
                self.touch(room)

    # Outputs

    def settle(self, now: float) -> list[Member]:
        """Let the consequences of all inputs happen; returns members whose token is stale."""
        stale: list[Member] = []
        while self._touched:
            touched, self._touched = self._touched, {}
            for room in touched.values():
                stale += room.settle(now)
                self._unflushed[room.name] = room
        return stale

    def flush(self) -> list[Command]:
        """What goes to sockets since the last call; ended rooms are forgotten."""
        commands: list[Command] = []
        for room in self._unflushed.values():
            commands += room.flush()
            self._collect(room)
        self._unflushed.clear()
        return commands

    def _collect(self, room: Room) -> None:
        for peer, member in room.new_peers:
            self._owners[peer] = (room, member)
        room.new_peers.clear()
        for peer in room.gone_peers:
            self._owners.pop(peer, None)
        room.gone_peers.clear()
        self._events += room.poll_events()
        self._finished_rpc += room.rpc.poll_results()
        for reason, count in room.poll_drops().items():
            self.drops[reason] = self.drops.get(reason, 0) + count
        if room.is_closed:
            self._deadlines.set(room.name, None)
            if self._by_name.get(room.name) is room:
                del self._by_name[room.name]
        else:
            self._deadlines.set(room.name, room.poll_timeout())

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def poll_rpc_results(self) -> list[RpcResult]:
        results, self._finished_rpc = self._finished_rpc, []
        return results

    def poll_timeout(self) -> float | None:
        return self._deadlines.next()
