"""Faults that a client asks the server to stage, for test pages and suites (`SimulateScenario`)."""

from __future__ import annotations

from ..room import Action, DisconnectReason, Member, MemberTimer, Room
from ..room.observers import tell_speakers
from ..wire import models, rtc

SIGNAL_LOSS_WINDOW_S = 5.0
SIGNAL_LOSS_TIMES = 3
SIMULATED_LEVEL = 0.9


def simulate(now: float, room: Room, member: Member, scenario: rtc.SimulateScenario) -> None:
    """Stage the scenario; unknown ones do nothing."""
    match scenario.WhichOneof("scenario"):
        case "speaker_update":
            _speak(now, room, member, scenario.speaker_update)
        case "node_failure" | "migration":
            room.leave(now, member, DisconnectReason.MIGRATION, action=None)
        case "server_leave":
            room.leave(now, member, DisconnectReason.SERVER_SHUTDOWN, action=Action.DISCONNECT)
        case "switch_candidate_protocol":
            _restart(now, room, member)
        case "disconnect_signal_on_resume":
            member.simulated_signal_loss = (True, now + SIGNAL_LOSS_WINDOW_S, 1)
        case "disconnect_signal_on_resume_no_messages":
            member.simulated_signal_loss = (False, now + SIGNAL_LOSS_WINDOW_S, SIGNAL_LOSS_TIMES)
        case "leave_request_full_reconnect":
            room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
        case _:
            pass  # subscriber_bandwidth: there is no allocator to cap yet


def _speak(now: float, room: Room, member: Member, seconds: int) -> None:
    """Show the member as speaking for so long."""
    sid = member.participant.sid
    info = models.SpeakerInfo(sid=sid, level=SIMULATED_LEVEL, active=True)
    tell_speakers(room.members.values(), {sid: info})
    member.timers.set(MemberTimer.SIMULATED_SPEECH, now + max(0, seconds))
    room.media.flush_all()


def _restart(now: float, room: Room, member: Member) -> None:
    """Another candidate protocol: only UDP is offered so far, so this exercises an ICE restart."""
    if member.links.subscriber is not None:
        member.links.subscriber.restart(now)
    else:
        room.send_away(now, member, DisconnectReason.UNKNOWN_REASON, Action.RESUME)
