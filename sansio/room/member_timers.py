"""What happens when time is over for a member: a table from its timers (see `member`) to what each does in the room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..wire import models
from .member import REFRESH_INTERVAL_S, Member, MemberTimer
from .messages import Action
from .observers import tell_speakers
from .participant import DisconnectReason

if TYPE_CHECKING:
    from .room import Room


def handle_member_timeout(now: float, room: Room, member: Member) -> None:
    """Act on those of the member's timers that are due."""
    for timer in member.timers.expire(now):
        _HANDLERS[timer](now, room, member)
    room.touch(member)


def _activate(now: float, room: Room, member: Member) -> None:
    if not member.is_active:
        room.leave(now, member, DisconnectReason.JOIN_FAILURE, action=Action.DISCONNECT)


def _resume(now: float, room: Room, member: Member) -> None:
    room.leave(now, member, DisconnectReason.CONNECTION_TIMEOUT, action=Action.DISCONNECT)


def _negotiate(now: float, room: Room, member: Member) -> None:
    # Before the connection was ever up, ACTIVATE watches over the client.
    if member.participant.session is not None and member.links.has_connected:
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)


def _refresh(now: float, room: Room, member: Member) -> None:
    member.participant.token_is_stale = True
    member.timers.set(MemberTimer.REFRESH, now + REFRESH_INTERVAL_S)


def _goodbye(now: float, room: Room, member: Member) -> None:
    if member.participant.session is not None:
        room.send_away(now, member, DisconnectReason.UNKNOWN_REASON, Action.RESUME)


def _subscribe(now: float, room: Room, member: Member) -> None:
    member.subscriber.handle_timeout(now)


def _end_simulated_speech(now: float, room: Room, member: Member) -> None:
    sid = member.participant.sid
    tell_speakers(room.members.values(), {sid: models.SpeakerInfo(sid=sid, level=0.0, active=False)})
    room.media.flush_all()


_HANDLERS: dict[MemberTimer, Callable[[float, Room, Member], None]] = {
    MemberTimer.ACTIVATE: _activate,
    MemberTimer.RESUME: _resume,
    MemberTimer.NEGOTIATE: _negotiate,
    MemberTimer.REFRESH: _refresh,
    MemberTimer.GOODBYE: _goodbye,
    MemberTimer.SUBSCRIBE: _subscribe,
    MemberTimer.SIMULATED_SPEECH: _end_simulated_speech,
}
