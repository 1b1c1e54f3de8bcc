"""What the members of a room are told of each other and of the room: updates, snapshots, counts.

Changes of members go through `Updates`, which decides when they are due. The room's own message goes out at once when its
metadata or its recording state changes, and for counts alone at most every few seconds. A member that comes back after its
socket was lost gets the whole picture, and those who left meanwhile first.
"""

from __future__ import annotations

from ..wire import models, rtc
from .member import Member
from .messages import count
from .outbox import Frame
from .participant import Participant
from .updates import Departures, Updates

COUNTS_INTERVAL_S = 5.0
"""Least seconds between two room updates that only change counts."""


class News:
    """What is still to be told in one room. `members` and `unflushed` are the room's own tables."""

    __slots__ = ("_counts_due", "_departures", "_info", "_members", "_unflushed", "_updates")

    def __init__(
        self, members: dict[str, Member], unflushed: dict[str, Member], info: models.Room, *, target_bytes: int
    ) -> None:
        self._members = members
        self._unflushed = unflushed
        self._info = info
        self._updates = Updates(target_bytes)
        self._departures = Departures()
        self._counts_due: float | None = None

    # Changes

    def changed(self, now: float, member: Member, *, urgent: bool) -> None:
        """What is public of the member has changed; a hidden one alone is told of itself."""
        member.participant.touch()
        if member.participant.is_hidden:
            own = rtc.ParticipantUpdate(participants=[member.participant.info()])
            member.participant.outbox.send(rtc.SignalResponse(update=own))
            self._unflushed[member.participant.sid] = member
        else:
            urgent = urgent or member.participant.is_publisher
            self._updates.push(now, member.participant, urgent=urgent, room_size=len(self._members))

    def left(self, now: float, participant: Participant, *, is_replaced: bool) -> None:
        """The participant is gone; with `is_replaced` another session of its identity comes in its place."""
        self._departures.add(now, participant)
        # Clients that know one identity by its newest sid need no goodbye to the older one.
        if is_replaced and all(m.participant.client.replaces_by_identity for m in self._members.values()):
            return
        urgent = participant.is_publisher or participant.is_agent
        self._updates.push(now, participant, urgent=urgent, room_size=len(self._members))

    def hidden(self, now: float, participant: Participant) -> None:
        """The participant was shown to the others and is not any more."""
        self._updates.withdraw(now, participant)
        self.flush(now)

    def count_changed(self, now: float) -> None:
        """Somebody came, left or began to publish."""
        was_recording = self._info.active_recording
        self.room_info()
        if self._info.active_recording != was_recording:
            self.tell_room()
        elif self._counts_due is None:
            self._counts_due = now + COUNTS_INTERVAL_S

    def set_metadata(self, metadata: str) -> None:
        self._info.metadata = metadata
        self.tell_room()

    # Telling

    def flush(self, now: float) -> None:
        """Tell all members what is due."""
        infos = self._updates.take_due(now)
        for frame in self._updates.frames(infos):
            self.broadcast(frame)

    def tell_of(self, now: float, member: Member) -> None:
        """Tell the others of the member now if its last change still waits."""
        if self._updates.hurry(now, member.participant.identity):
            self.flush(now)

    def tell_room(self) -> None:
        """Tell all members of the room itself."""
        self._counts_due = None
        self.broadcast(self._room_update())

    def tell_all(self, now: float, member: Member) -> None:
        """Give a member that has come back the whole picture."""
        participant = member.participant
        infos = self._gone_since_heard_of(participant)
        infos += [m.participant.info() for m in self._members.values() if not m.participant.is_hidden or m is member]
        participant.last_signal_at = now
        for frame in self._updates.frames(infos):
            participant.outbox.send(frame)
        participant.outbox.send(self._room_update())

    def broadcast(self, message: rtc.SignalResponse | Frame) -> None:
        """Send one message to every member."""
        frame = message if isinstance(message, Frame) else Frame(message)
        for member in self._members.values():
            member.participant.outbox.send(frame)
            self._unflushed[member.participant.sid] = member

    # Time and getters

    def handle_timeout(self, now: float) -> None:
        self.flush(now)
        if self._counts_due is not None and self._counts_due <= now:
            self.tell_room()

    def poll_timeout(self) -> float | None:
        deadlines = (self._updates.poll_timeout(), self._counts_due)
        return min((at for at in deadlines if at is not None), default=None)

    def is_due(self, now: float) -> bool:
        """Whether some update should go out now."""
        due = self._updates.poll_timeout()
        return due is not None and due <= now

    def room_info(self) -> models.Room:
        """The room as it is now."""
        count(self._info, self._members.values())
        return self._info

    def _room_update(self) -> rtc.SignalResponse:
        return rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.room_info()))

    def _gone_since_heard_of(self, participant: Participant) -> list[models.ParticipantInfo]:
        """Who left since the client last spoke and may not have been told of; none whose identity is back."""
        if not participant.client.wants_disconnected_on_resume:
            return []
        gone = self._departures.since(participant.last_signal_at)
        return [info for info in gone if info.identity not in self._members]
