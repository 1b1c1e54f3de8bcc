"""What is said of a room and its members in messages: the room itself, who else is there, and goodbye."""

from __future__ import annotations

from collections.abc import Iterable

from ..ids import Identity, RoomSid, base62
from ..wire import models, rtc
from .member import Member
from .options import RoomContext, RoomOptions

Action = rtc.LeaveRequest.Action


def first_info(now: float, sid: RoomSid, options: RoomOptions, context: RoomContext) -> models.Room:
    """What is said of a new room."""
    created_ms = context.wallclock.milliseconds(now)
    return models.Room(
        sid=sid,
        name=options.name,
        empty_timeout=options.empty_timeout,
        departure_timeout=options.departure_timeout,
        max_participants=options.max_participants,
        creation_time=created_ms // 1000,
        creation_time_ms=created_ms,
        turn_password=base62(context.entropy, 32),
        enabled_codecs=[models.Codec(mime=c.mime, fmtp_line=c.fmtp_line) for c in context.config.room.enabled_codecs],
        metadata=options.metadata,
    )


def count(info: models.Room, members: Iterable[Member]) -> None:
    """Bring the counts in line with who is there."""
    participants = [member.participant for member in members]
    info.num_participants = sum(not participant.is_dependent for participant in participants)
    info.num_publishers = sum(participant.is_publisher for participant in participants)
    info.active_recording = any(participant.is_recorder for participant in participants)


def leave_message(reason: int, action: int) -> rtc.SignalResponse:
    """A `leave` that old clients understand as well."""
    leave = rtc.LeaveRequest(can_reconnect=action != Action.DISCONNECT, reason=reason, action=action)  # type: ignore[arg-type]
    return rtc.SignalResponse(leave=leave)


def others(members: Iterable[Member], but: Identity) -> list[models.ParticipantInfo]:
    """What a newcomer is shown of everybody else."""
    return [m.participant.info() for m in members if m.participant.identity != but and not m.participant.is_hidden]
