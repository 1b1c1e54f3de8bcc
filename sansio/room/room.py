"""A room: who is in it, what changes for whom, and when it ends.

    open --last user left, nobody came, deleted, server ends--> closed (final)

The room owns its members and lets specialists act across them: `TrackRouter` (who receives which track), `DataRouter` (data),
`News` (who is told of whose changes), `Media` (what publications and down tracks want of each other). Its own business is
membership: admission, duplicates, resumption, departure, closing, and the draining of members that something happened to.

Whatever acts on a member puts it among the touched ones; `drain` then takes the events of its publisher and subscriber, which
may touch others, until all is quiet, negotiates, and gathers what goes out. Deadlines of the room and its members are in one
heap. A room is fed by its registry only, and asked for frames, sockets to close and events after each input.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TypeAlias

from ..errors import DropReason, Refusal
from ..events import (
    Event,
    ParticipantActive,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    RoomFinished,
    RoomStarted,
)
from ..ids import PeerId, RoomName, RoomSid, SessionId, base62
from ..outputs import Close, Command, Send
from ..timers import DeadlineHeap
from ..wire import models
from .data_router import DataRouter
from .links import Links
from .media import Media
from .member import Member, MemberTimer, Settings
from .member_timers import handle_member_timeout
from .messages import Action, first_info, leave_message
from .news import News
from .options import RoomContext, RoomOptions
from .participant import DisconnectReason, Participant, State
from .rpc import RpcCalls
from .track_events import drain_tracks
from .tracks import TrackRouter

CLOSED_REASON_NAMES = {int(DisconnectReason.ROOM_CLOSED): "idle", int(DisconnectReason.ROOM_DELETED): "deleted"}


class RoomTimer(Enum):
    """Keys of the room's own deadlines in its heap."""

    IDLE = "idle"
    RPC = "rpc"


Timed: TypeAlias = RoomTimer | Member


class Room:
    """One room."""

    __slots__ = (
        "_by_sid", "_close_sessions", "_deadlines", "_drops", "_events", "_touched", "_unflushed", "context", "created_at",
        "data", "gone_peers", "is_closed", "last_left_at", "media", "members", "new_peers", "news", "options", "rpc", "sid",
        "sif_trailer", "someone_joined", "tracks",
    )  # fmt: skip

    def __init__(self, now: float, sid: RoomSid, options: RoomOptions, context: RoomContext) -> None:
        self.sid = sid
        self.options = options
        self.context = context
        self.members: dict[str, Member] = {}
        self._by_sid: dict[str, Member] = {}
        self._touched: dict[str, Member] = {}
        self._unflushed: dict[str, Member] = {}
        self.tracks = TrackRouter(self.members, self._by_sid, self._touched)
        self._drops: Counter[DropReason] = Counter()
        self.data = DataRouter(self.members, self._touched, self._drops)
        self.rpc = RpcCalls(context.entropy)
        self.media = Media(
            self.members,
            self._by_sid,
            self._touched,
            self._unflushed,
            self.tracks,
            kernel=context.kernel,
            audio=context.config.audio,
        )
        self._deadlines: DeadlineHeap[Timed] = DeadlineHeap()
        self._events: list[Event] = []
        self._close_sessions: list[SessionId] = []
        self.new_peers: list[tuple[PeerId, Member]] = []
        """Transports opened since the registry last looked."""
        self.gone_peers: list[PeerId] = []
        """Transports closed since then."""
        self.created_at = now
        self.last_left_at: float | None = None
        self.someone_joined = False
        self.is_closed = False
        self.sif_trailer = base62(context.entropy, 32).encode()
        """Ends frames that the server makes itself on encrypted tracks; clients were told of it."""
        self.news = News(
            self.members,
            self._unflushed,
            first_info(now, sid, options, context),
            target_bytes=context.config.room.update_batch_target_size,
        )
        self._deadlines.set(RoomTimer.IDLE, now + options.empty_timeout)
        self._events.append(RoomStarted(room=options.name, sid=sid))

    # Membership

    def admit(self, now: float, participant: Participant, settings: Settings) -> Member:
        """A new member, not told of anything yet; its socket gets the join message next. Raises Refusal."""
        self.check_admission(participant)
        earlier = self.members.get(participant.identity)
        if earlier is not None:
            self.leave(now, earlier, DisconnectReason.DUPLICATE_IDENTITY, action=Action.DISCONNECT, is_replaced=True)
        dual_primary = (
            not settings.is_single and participant.client.subscriber_primary and participant.permission.can_subscribe
        )
        config = self.context.config
        links = Links(
            endpoint=self.context.endpoint,
            capabilities=self.context.capabilities_for(self.options),
            config=config,
            entropy=self.context.entropy,
            is_single=settings.is_single,
            subscriber_primary=dual_primary,
            lite=config.rtc.use_ice_lite and not settings.disable_ice_lite and participant.client.allows_ice_lite,
            drops=self._drops,
        )
        settings = settings._replace(
            sync_streams=self.options.sync_streams and participant.client.syncs_streams,
            playout_delay=self.options.playout_delay,
        )
        member = Member(
            now,
            participant,
            links,
            settings,
            kernel=self.context.kernel,
            config=config,
            entropy=self.context.entropy,
            drops=self._drops,
            sif_trailer=self.sif_trailer,
        )
        self.members[participant.identity] = member
        self._by_sid[participant.sid] = member
        self.someone_joined = self.someone_joined or not participant.is_dependent
        participant.outbox.is_open = True
        self.news.count_changed(now)
        return member

    def check_admission(self, participant: Participant) -> None:
        """Raises Refusal if the participant may not come in."""
        if self.is_closed:
            raise Refusal("unavailable", "room is closing")
        most = self.options.max_participants
        if not most or participant.is_dependent:
            return
        others = (m.participant for m in self.members.values() if m.participant.identity != participant.identity)
        if sum(not other.is_dependent for other in others) >= most:
            raise Refusal("permission_denied", "room has exceeded its max participants")

    def begin(self, now: float, member: Member) -> None:
        """The join message is out: announce the member, give it its first connection and the tracks of the others."""
        participant = member.participant
        participant.move_to(State.JOINED)
        participant.last_signal_at = now
        participant.token_is_stale = True
        self._events.append(
            ParticipantJoined(
                room=self.options.name,
                identity=participant.identity,
                sid=participant.sid,
                kind=models.ParticipantInfo.Kind.Name(participant.kind).lower(),
                client=f"{models.ClientInfo.SDK.Name(participant.client.info.sdk)} {participant.client.info.version}".strip(),
                is_dependent=participant.is_dependent,
            )
        )
        if member.links.subscriber_primary:
            member.links.open_subscriber(now)
        self.announce(now, member, urgent=participant.is_agent)
        self.tracks.reconcile(now, member)
        self.data.reconcile(member)
        self.media.start_watches(now)
        self.touch(member)

    def resume(self, now: float, member: Member, session: SessionId) -> None:
        """A lost socket is replaced; the caller sends `reconnect` first, then calls `after_resume`."""
        participant = member.participant
        if participant.session is not None:
            self._close_sessions.append(participant.session)
        participant.outbox.poll()
        participant.outbox.is_open = True
        participant.session = session
        member.session_closing = False
        member.timers.cancel(MemberTimer.RESUME)
        member.timers.cancel(MemberTimer.GOODBYE)

    def after_resume(self, now: float, member: Member) -> None:
        """Send the whole picture to a member that has come back, and restart ICE where we offer."""
        participant = member.participant
        self.news.tell_all(now, member)
        participant.token_is_stale = True
        if member.links.subscriber is not None:
            member.links.subscriber.restart(now)
        self._events.append(
            ParticipantResumed(room=self.options.name, identity=participant.identity, sid=participant.sid)
        )
        self.touch(member)

    def socket_lost(self, now: float, member: Member, session: SessionId) -> None:
        """The member's socket is gone. It stays while its transport lives; before that was ever up, it leaves."""
        participant = member.participant
        if participant.session != session or member.is_closed:
            return
        participant.session = None
        participant.outbox.is_open = False
        participant.outbox.poll()
        primary = member.links.primary
        if not member.links.has_connected:
            self.leave(now, member, DisconnectReason.SIGNAL_CLOSE, action=None)
        elif member.timers.get(MemberTimer.GOODBYE) is not None:
            self.leave(now, member, DisconnectReason.CLIENT_INITIATED, action=None)
        elif primary is None or not primary.is_usable:
            member.timers.set(MemberTimer.RESUME, now + self.context.config.rtc.resume_grace)
            self.touch(member)

    def leave(self, now: float, member: Member, reason: int, *, action: int | None, is_replaced: bool = False) -> None:
        """End a membership: tell the member (unless `action` is None), then the others, and let everything go."""
        if member.is_closed:
            return
        participant = member.participant
        was_active = member.is_active
        if action is not None:
            participant.outbox.send(leave_message(reason, action))
        self._take_down(now, member)
        participant.disconnect(reason)
        self.news.left(now, participant, is_replaced=is_replaced)
        self.rpc.participant_left(participant.identity)
        self.media.forget_member(member)
        self.last_left_at = now
        self.news.count_changed(now)
        self._set_idle_deadline(now)
        self._events.append(
            ParticipantLeft(
                room=self.options.name,
                identity=participant.identity,
                sid=participant.sid,
                reason=DisconnectReason.Name(reason),
                was_active=was_active,
            )
        )

    def _take_down(self, now: float, member: Member) -> None:
        participant = member.participant
        member.is_closed = True
        member.timers.cancel_all()
        member.publisher.close(now)
        member.subscriber.close(now)
        drain_tracks(now, self, member)
        self.data.leave(member)
        self.gone_peers += [connection.peer.id for connection in member.links]
        member.links.close(now)
        if self.members.get(participant.identity) is member:
            del self.members[participant.identity]
        self._by_sid.pop(participant.sid, None)
        self._deadlines.set(member, None)
        member.session_closing = True
        self._touched[participant.sid] = member

    def send_away(self, now: float, member: Member, reason: int, action: int) -> None:
        """Ask the client to resume or reconnect: leave message, socket closed, membership kept for the grace time."""
        participant = member.participant
        participant.outbox.send(leave_message(reason, action))
        member.session_closing = True
        member.timers.set(MemberTimer.RESUME, now + self.context.config.rtc.resume_grace)
        self.touch(member)

    def close(self, now: float, reason: int) -> None:
        """End the room for everybody."""
        if self.is_closed:
            return
        self.is_closed = True
        for member in list(self.members.values()):
            self.leave(now, member, reason, action=Action.DISCONNECT)
        self._events.append(
            RoomFinished(
                room=self.options.name, sid=self.sid, reason=CLOSED_REASON_NAMES.get(reason, "server shutdown")
            )
        )

    def perform_rpc(self, now: float, ref: int, identity: str, method: str, payload: str, timeout_ms: int) -> None:
        """Call a member's RPC method; the result comes out of `rpc.poll_results` under `ref`."""
        routed = self.rpc.start(now, ref, identity, method, payload, timeout_ms)
        self.data.forward(now, routed, reliable=True)
        self._deadlines.set(RoomTimer.RPC, self.rpc.poll_timeout())

    # What members are told

    def announce(self, now: float, member: Member, *, urgent: bool) -> None:
        """The member's public info changed: tell itself and the others."""
        self.news.changed(now, member, urgent=urgent)
        self.touch(member)

    def update_participant(self, now: float, member: Member, *, name: str, metadata: str, attributes: dict[str, str],
                           permission: models.ParticipantPermission | None = None) -> None:  # fmt: skip
        """Change what is public of a member; empty name and metadata leave theirs, an empty attribute deletes its key. A
        permission replaces the earlier one, and what it no longer allows ends."""
        participant = member.participant
        participant.name = name or participant.name
        participant.metadata = metadata or participant.metadata
        participant.merge_attributes(attributes)
        if permission is not None:
            self._set_permission(now, member, permission)
        participant.token_is_stale = True
        self.announce(now, member, urgent=True)
        self.news.flush(now)  # ahead of the request's response: SDKs build their next change on what they were told

    def _set_permission(self, now: float, member: Member, permission: models.ParticipantPermission) -> None:
        kept = models.ParticipantPermission()
        kept.CopyFrom(permission)
        was_hidden = member.participant.is_hidden
        member.participant.permission = kept
        if kept.hidden and not was_hidden:
            self.news.hidden(now, member.participant)
        member.sync_sender()
        member.publisher.enforce_permission(now)
        if not kept.can_publish_data:
            for track in list(member.data_tracks):
                self.data.unpublish_track(member, track.info.pub_handle)
        if kept.can_subscribe and not member.links.is_single and member.links.subscriber is None:
            member.links.open_subscriber(now)
        self.tracks.reconcile(now, member)
        self.data.reconcile(member)

    # Draining

    def touch(self, member: Member) -> None:
        """Something happened to the member; it is drained before this input ends."""
        self._touched[member.participant.sid] = member

    def settle(self, now: float) -> list[Member]:
        """Let all consequences of what touched members happen; returns those whose token is stale."""
        drained: dict[str, Member] = {}
        while self._touched or self.data.slow or self.news.is_due(now):
            for member in self.data.slow:
                self.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
            self.data.slow.clear()
            touched = dict(self._touched)
            self._touched.clear()
            drained |= touched
            for member in touched.values():
                self._drain_member(now, member)
            self.news.flush(now)
        self._unflushed |= drained
        for member in drained.values():
            self._negotiate(now, member)
        return [member for member in self._unflushed.values() if member.participant.token_is_stale]

    def flush(self) -> list[Command]:
        """Frames for sockets, and sockets to close, since the last call."""
        commands: list[Command] = []
        for member in self._unflushed.values():
            commands += self._frames(member)
        self._unflushed.clear()
        commands += [Close(session=session) for session in self._close_sessions]
        self._close_sessions.clear()
        return commands

    def _drain_member(self, now: float, member: Member) -> None:
        drain_tracks(now, self, member)
        for connection in member.links:
            if not connection.is_registered:
                connection.is_registered = True
                self.new_peers.append((connection.peer.id, member))

    def _negotiate(self, now: float, member: Member) -> None:
        if member.is_closed:
            return
        member.negotiate(now, self.context.config.rtc.negotiation_timeout)
        self._deadlines.set(member, member.poll_timeout())

    def _frames(self, member: Member) -> list[Command]:
        participant = member.participant
        session = participant.session
        if session is None:
            participant.outbox.poll()
            return []
        commands: list[Command] = [
            Send(session, frame.encode(participant.wants_json)) for frame in participant.outbox.poll()
        ]
        if member.session_closing:
            commands.append(Close(session=session))
            participant.session = None
            participant.outbox.is_open = False
            member.session_closing = False
        return commands

    # Time

    def handle_timeout(self, now: float) -> None:
        self.media.handle_timeout(now)
        self.news.handle_timeout(now)
        for timed in self._deadlines.pop_due(now):
            match timed:
                case Member():
                    handle_member_timeout(now, self, timed)
                case RoomTimer():
                    self._room_due(now, timed)

    def poll_timeout(self) -> float | None:
        deadlines = (self._deadlines.next(), self.media.poll_timeout(), self.news.poll_timeout())
        return min((at for at in deadlines if at is not None), default=None)

    def _room_due(self, now: float, timer: RoomTimer) -> None:
        match timer:
            case RoomTimer.IDLE:
                self._check_idle(now)
            case RoomTimer.RPC:
                self.rpc.handle_timeout(now)
                self._deadlines.set(RoomTimer.RPC, self.rpc.poll_timeout())

    def _set_idle_deadline(self, now: float) -> None:
        if any(not m.participant.is_dependent for m in self.members.values()):
            return
        self._deadlines.set(RoomTimer.IDLE, self._idle_at())

    def _idle_at(self) -> float:
        if self.someone_joined and self.last_left_at is not None:
            return self.last_left_at + self.options.departure_timeout
        return self.created_at + self.options.empty_timeout

    def _check_idle(self, now: float) -> None:
        if any(not m.participant.is_dependent for m in self.members.values()):
            return
        at = self._idle_at()
        if at <= now:
            self.close(now, DisconnectReason.ROOM_CLOSED)
        else:
            self._deadlines.set(RoomTimer.IDLE, at)

    # Outputs and getters

    def activated(self, now: float, member: Member) -> None:
        """The primary transport is up."""
        if member.participant.state != State.JOINED:
            return
        member.participant.move_to(State.ACTIVE)
        member.timers.cancel(MemberTimer.ACTIVATE)
        self._events.append(
            ParticipantActive(
                room=self.options.name,
                identity=member.participant.identity,
                sid=member.participant.sid,
                after_ms=int((now - member.joined_at) * 1000),
            )
        )
        self.announce(now, member, urgent=member.participant.is_agent)

    def room_info(self) -> models.Room:
        """What is said of the room now."""
        return self.news.room_info()

    def member(self, identity: str) -> Member | None:
        return self.members.get(identity)

    def observe(self, event: Event) -> None:
        """Something happened that observers are to see."""
        self._events.append(event)

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        """What members sent and was thrown away, by reason, since the last call."""
        drops = dict(self._drops)
        self._drops.clear()
        return drops

    @property
    def name(self) -> RoomName:
        return self.options.name

    @property
    def is_empty(self) -> bool:
        return not self.members
