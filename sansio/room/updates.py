"""Who is told of whose changes, and when: participant updates, gathered so that joins stay cheap in large rooms.

Every change of a participant is pushed here. An *urgent* one (a publisher's, a change of name, metadata, attributes or
permission, anything of an agent) leaves at once, and takes along what waits. Others wait for a tick whose length grows with
the room: none up to `CALM_ROOM` participants, then 10 ms for each participant, at most 3 s. A message carries the newest
info of each identity once, and is split near a size limit.

Hidden participants appear in nobody's updates but their own.

Who left is remembered for a while, for members that come back after their socket was lost: what they were not told of, they
would show for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ..ids import Identity
from ..wire import models, rtc
from .outbox import Frame
from .participant import Participant

CALM_ROOM = 16
"""Participants up to which nothing waits."""
TICK_PER_PARTICIPANT_S = 0.010
LONGEST_TICK_S = 3.0  # livekit/livekit batches non-publishers this long whatever the size of the room

REMEMBERED_S = 300.0
REMEMBERED_DEPARTURES = 1000


class Departures:
    """The newest departures of one room."""

    __slots__ = ("_gone",)

    def __init__(self) -> None:
        self._gone: deque[tuple[float, models.ParticipantInfo]] = deque(maxlen=REMEMBERED_DEPARTURES)

    def add(self, now: float, participant: Participant) -> None:
        """The participant has left; a hidden one was never shown."""
        while self._gone and self._gone[0][0] < now - REMEMBERED_S:
            self._gone.popleft()
        if not participant.is_hidden:
            self._gone.append((now, participant.info()))

    def since(self, at: float) -> list[models.ParticipantInfo]:
        """Who left at or after `at`, in order."""
        return [info for when, info in self._gone if when >= at]


class Updates:
    """Changes of one room that are still to be told."""

    __slots__ = ("_due", "_target_bytes", "_waiting")

    def __init__(self, target_bytes: int) -> None:
        self._waiting: dict[Identity, list[models.ParticipantInfo]] = {}
        self._due: float | None = None
        self._target_bytes = target_bytes

    def push(self, now: float, participant: Participant, *, urgent: bool, room_size: int) -> None:
        """Note the participant's current info for the others. A hidden one's is never noted."""
        if participant.is_hidden:
            return
        info = participant.info()
        older = self._waiting.get(participant.identity, [])
        # A new sid replaces the older one's news, except that its end must still be told where it was shown.
        kept = [i for i in older if i.sid != info.sid and i.state == models.ParticipantInfo.State.DISCONNECTED]
        self._waiting[participant.identity] = [*kept, info]
        at = now if urgent else now + tick(room_size)
        self._due = at if self._due is None else min(self._due, at)

    def withdraw(self, now: float, participant: Participant) -> None:
        """The participant was shown and is hidden from now on: to the others it has left."""
        gone = models.ParticipantInfo()
        gone.CopyFrom(participant.info())
        gone.state = models.ParticipantInfo.State.DISCONNECTED
        del gone.tracks[:]
        del gone.data_tracks[:]
        self._waiting[participant.identity] = [gone]
        self._due = now

    def hurry(self, now: float, identity: Identity) -> bool:
        """Make what waits due now if there is anything of that participant among it."""
        if identity not in self._waiting:
            return False
        self._due = now
        return True

    def poll_timeout(self) -> float | None:
        return self._due

    def take_due(self, now: float) -> list[models.ParticipantInfo]:
        """What is to be told now, oldest change first."""
        if self._due is None or self._due > now:
            return []
        infos = [info for waiting in self._waiting.values() for info in waiting]
        self._waiting.clear()
        self._due = None
        return infos

    def frames(self, infos: Sequence[models.ParticipantInfo]) -> list[Frame]:
        """Update messages that hold those, each near the size limit."""
        return [
            Frame(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=chunk))) for chunk in self.chunks(infos)
        ]

    def chunks(self, infos: Iterable[models.ParticipantInfo]) -> Iterator[list[models.ParticipantInfo]]:
        chunk: list[models.ParticipantInfo] = []
        size = 0
        for info in infos:
            length = info.ByteSize()
            if chunk and size + length > self._target_bytes:
                yield chunk
                chunk, size = [], 0
            chunk.append(info)
            size += length
        if chunk:
            yield chunk


def tick(room_size: int) -> float:
    """Seconds that a change without hurry waits in a room of that size."""
    return 0.0 if room_size <= CALM_ROOM else min(LONGEST_TICK_S, room_size * TICK_PER_PARTICIPANT_S)
