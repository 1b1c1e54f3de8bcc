"""Signal sessions: from the upgrade request to the last frame, for every client socket of a node.

    asked --refused--> (HTTP status)
          --accepted--> open --client leaves, socket lost, replaced, server ends it--> gone

The answer to an upgrade is decided before it is given: the first message of an accepted socket is `join`, `reconnect` or
`leave`, everything else is an HTTP status. A session then is a member of a room until its socket goes; another socket may
resume the member. Requests go through the table in `requests.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..config import Config
from ..errors import DropReason, Refusal
from ..events import Event, JoinRefused
from ..ids import NodeId, SessionId, mint_participant
from ..outputs import Accept, Close, Command, HttpRequest, Reject
from ..room import (
    Action,
    ClientTraits,
    DisconnectReason,
    Member,
    Participant,
    Room,
    RoomOptions,
    Rooms,
    leave_message,
    permission_of,
)
from ..wire import WireError, parse_dict
from ..wire import room as room_wire
from .admission import check_node
from .framing import decode_request
from .join import ROOM_MISSING, Join, parse_join
from .messages import freshen_token, join_response, reconnect_response
from .requests import HANDLERS


class _Session(NamedTuple):
    room: Room
    member: Member


class SignalSessions:
    """All client sockets of one node."""

    __slots__ = ("_by_id", "_config", "_events", "_node_id", "_rooms", "drops", "is_draining")

    def __init__(self, config: Config, rooms: Rooms, node_id: NodeId) -> None:
        self._config = config
        self._rooms = rooms
        self._node_id = node_id
        self._by_id: dict[SessionId, _Session] = {}
        self._events: list[Event] = []
        self.is_draining = False
        self.drops: dict[DropReason, int] = {}

    # Inputs

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> list[Command]:
        """Answer an upgrade request on `/rtc` or `/rtc/v1`."""
        try:
            join = self._parse(now, request)
            return self._resume(now, session, join) if join.is_reconnect else self._join(now, session, join)
        except Refusal as refusal:
            self._events.append(JoinRefused(status=refusal.status, message=refusal.message))
            return [Reject(session=session, status=refusal.status, body=refusal.message)]

    def validate(self, now: float, request: HttpRequest) -> None:
        """The same checks without a socket. Raises Refusal."""
        join = self._parse(now, request)
        room = self._rooms.get(join.room)
        if room is not None and not join.is_reconnect:
            room.check_admission(self._participant(now, join))

    def handle_message(self, now: float, session: SessionId, frame: bytes | str) -> list[Command]:
        """One frame of a client."""
        known = self._by_id.get(session)
        if known is None or known.member.is_closed or known.member.participant.session != session:
            return []
        room, member = known
        if len(frame) > self._config.limit.max_signal_message_size:
            return self._end(now, session, DropReason.SIGNAL_TOO_LARGE)
        try:
            request = decode_request(frame)
        except WireError:
            return self._end(now, session, DropReason.SIGNAL_MALFORMED)
        member.participant.wants_json = isinstance(frame, str)
        member.participant.last_signal_at = now
        name = request.WhichOneof("message")
        if name is not None:
            HANDLERS[name](now, room, member, getattr(request, name))
        room.touch(member)
        self._rooms.touch(room)
        return []

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        """The socket is gone, by the client or the network."""
        known = self._by_id.pop(session, None)
        if known is not None:
            known.room.socket_lost(now, known.member, session)
            self._rooms.touch(known.room)

    def forget(self, session: SessionId) -> None:
        """The socket was closed from our side."""
        self._by_id.pop(session, None)

    # Joining

    def _parse(self, now: float, request: HttpRequest) -> Join:
        join = parse_join(request, self._config, self._rooms.context.wallclock.seconds(now))
        is_known = self._rooms.get(join.room) is not None
        if join.is_reconnect and is_known:
            return join  # what was let in may come back, however full the node is by now
        if self.is_draining:
            raise Refusal("unavailable", "server is shutting down")
        video = join.claims.video
        creates = self._config.room.auto_create or (video is not None and video.room_create)
        if not creates and not join.is_reconnect and not is_known:
            raise Refusal("not_found", ROOM_MISSING)
        if not join.is_reconnect:
            check_node(now, self._rooms)
        return join

    def _join(self, now: float, session: SessionId, join: Join) -> list[Command]:
        room = self._rooms.get(join.room) or self._rooms.open(now, self._options(join))
        participant = self._participant(now, join)
        member = room.admit(now, participant, join.settings)
        participant.session = session
        participant.outbox.send(join_response(self._config, self._node_id, room, member))
        room.begin(now, member)
        for request in join.add_track_requests:
            HANDLERS["add_track"](now, room, member, request)
        if join.publisher_offer is not None:
            HANDLERS["offer"](now, room, member, join.publisher_offer)
        self._by_id[session] = _Session(room, member)
        self._rooms.touch(room)
        return [Accept(session=session)]

    def _options(self, join: Join) -> RoomOptions:
        """The room as the token's own configuration wants it, should this join make it."""
        claims = join.claims
        if claims.room_config is None:
            return self._rooms.options_for(join.room, preset=claims.room_preset)
        try:
            wanted = parse_dict(room_wire.RoomConfiguration, claims.room_config)
        except WireError:
            raise Refusal("invalid_argument", "room configuration of the token cannot be read") from None
        return self._rooms.options_for(join.room, wanted, preset=claims.room_preset)

    def _participant(self, now: float, join: Join) -> Participant:
        video = join.claims.video
        assert video is not None  # parse_join has looked
        context = self._rooms.context
        return Participant(
            claims=join.claims,
            sid=mint_participant(context.entropy),
            client=ClientTraits(join.client),
            permission=permission_of(video),
            joined_at_ms=context.wallclock.milliseconds(now),
            region=self._config.region,
        )

    def _resume(self, now: float, session: SessionId, join: Join) -> list[Command]:
        room = self._rooms.get(join.room)
        member = None if room is None else room.member(join.claims.identity)
        sid = join.participant_sid
        if room is None or member is None or member.is_closed or (sid and sid != member.participant.sid):
            leave = leave_message(DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
            return [Accept(session=session, frames=(leave.SerializeToString(),)), Close(session=session)]
        simulated = self._simulated_loss(now, member)
        if simulated is False:
            return [Accept(session=session), Close(session=session)]
        earlier = member.participant.session
        if earlier is not None:
            self._by_id.pop(earlier, None)
        member.participant.client = ClientTraits(join.client)
        room.resume(now, member, session)
        if member.participant.client.has_reconnect_message:
            member.participant.outbox.send(reconnect_response(self._config, self._node_id, member))
        room.after_resume(now, member)
        member.session_closing = simulated is True
        self._by_id[session] = _Session(room, member)
        self._rooms.touch(room)
        return [Accept(session=session)]

    @staticmethod
    def _simulated_loss(now: float, member: Member) -> bool | None:
        """A staged loss of the resumed socket: True after its messages, False before any, None for none."""
        staged = member.simulated_signal_loss
        if staged is None or now > staged[1]:
            return None
        with_messages, until, left = staged
        member.simulated_signal_loss = (with_messages, until, left - 1) if left > 1 else None
        return with_messages

    # Outputs

    def refresh_tokens(self, now: float, members: list[Member]) -> None:
        """Give those whose token is stale a new one."""
        wallclock = self._rooms.context.wallclock.seconds(now)
        for member in members:
            freshen_token(self._config, member.participant, wallclock)

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def __len__(self) -> int:
        return len(self._by_id)

    def _end(self, now: float, session: SessionId, reason: DropReason) -> list[Command]:
        """Close a socket whose client breaks the protocol; the member may resume."""
        self._drop(reason)
        self.handle_disconnect(now, session)
        return [Close(session=session)]

    def _drop(self, reason: DropReason) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1
