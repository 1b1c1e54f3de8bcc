"""What a room tells its members from time to time: who speaks, and how well everybody is connected.

Both loops run only while there is something to watch. Speakers are read off the kernel's audio levels of microphone tracks
each `audio.update_interval`; only changes are sent. Connection quality is scored every 5 s and sent when some member's
changed; in large rooms some members at a time, so that media never waits long. A member hears of itself and of those whom it
subscribes to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..config import AudioConfig
from ..ids import ParticipantSid
from ..kernel import AudioLevel, Kernel
from ..sfu import ActiveSpeakers, ConnectionQuality
from ..wire import models, rtc
from .member import Member
from .outbox import Frame
from .publication import Publication
from .quality_meter import QualityMeter

QUALITY_INTERVAL_S = 5.0
SCORED_AT_ONCE = 32
"""Members; at ten tracks each this takes about two milliseconds."""
SCORING_PAUSE_S = 0.01
SILENT = 127

_WIRE_QUALITY = {
    ConnectionQuality.EXCELLENT: models.ConnectionQuality.EXCELLENT,
    ConnectionQuality.GOOD: models.ConnectionQuality.GOOD,
    ConnectionQuality.POOR: models.ConnectionQuality.POOR,
    ConnectionQuality.LOST: models.ConnectionQuality.LOST,
}


class SpeakerWatch:
    """Active speakers of one room."""

    __slots__ = ("_config", "_kernel", "_speakers", "due")

    def __init__(self, kernel: Kernel, config: AudioConfig) -> None:
        self._kernel = kernel
        self._config = config
        self._speakers: ActiveSpeakers[ParticipantSid] = ActiveSpeakers(config)
        self.due: float | None = None

    @property
    def interval(self) -> float:
        return self._config.update_interval / 1000

    def observe(self, now: float, members: Iterable[Member]) -> bool:
        """Read the levels since the last call and tell each member of the changes that concern it; whether there were any."""
        members = list(members)
        for member in members:
            for publication in member.publisher.publications.values():
                if publication.info.source == models.TrackSource.MICROPHONE:
                    for level in self._levels(publication):
                        self._speakers.observe(now, member.participant.sid, level)
        changes = self._speakers.changes(now)
        if not changes:
            return False
        infos = {sid: models.SpeakerInfo(sid=sid, level=level, active=active) for sid, level, active in changes}
        tell_speakers(members, infos)
        return True

    def forget(self, sid: ParticipantSid) -> None:
        """The participant left; nobody needs to be told."""
        self._speakers.remove(sid)

    def _levels(self, publication: Publication) -> list[AudioLevel]:
        return [
            self._kernel.take_audio_level(stream, self._config.active_level)
            for codec in publication.codecs
            for stream in codec.streams
            if not publication.is_muted
        ]


def tell_speakers(members: Iterable[Member], infos: dict[ParticipantSid, models.SpeakerInfo]) -> None:
    """Send changed speakers to whom they concern."""
    whole = Frame(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=infos.values())))
    for member in members:
        known = member.subscriber.publishers
        own = [info for sid, info in infos.items() if sid in known or sid == member.participant.sid]
        if len(own) == len(infos):
            member.participant.outbox.send(whole)
        elif own:
            member.participant.outbox.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=own)))


class QualityWatch:
    """Connection quality of the members of one room."""

    __slots__ = ("_kernel", "_meters", "_scores", "_told", "_unscored", "due")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._meters: dict[ParticipantSid, QualityMeter] = {}
        self._told: dict[ParticipantSid, ConnectionQuality] = {}
        self._unscored: deque[Member] = deque()
        self._scores: dict[ParticipantSid, tuple[ConnectionQuality, float]] = {}  # of this round
        self.due: float | None = None

    @property
    def interval(self) -> float:
        """Seconds until it wants to look again."""
        return SCORING_PAUSE_S if self._unscored else QUALITY_INTERVAL_S

    def observe(self, now: float, members: Iterable[Member]) -> bool:
        """Score some of those who are still to be scored in this round. After the last of them tell everybody if some quality
        changed or somebody is new; whether that was so."""
        if not self._unscored:
            self._unscored.extend(members)
        for _ in range(min(SCORED_AT_ONCE, len(self._unscored))):
            member = self._unscored.popleft()
            if not member.is_closed:
                self._scores[member.participant.sid] = self._score(now, member)
        if self._unscored:
            return False
        scores, self._scores = self._scores, {}
        return self._tell(scores, members)

    def _tell(self, scores: dict[ParticipantSid, tuple[ConnectionQuality, float]], members: Iterable[Member]) -> bool:
        qualities = {sid: quality for sid, (quality, _) in scores.items()}
        if qualities == self._told:
            return False
        self._told = qualities
        infos = {
            sid: rtc.ConnectionQualityInfo(participant_sid=sid, quality=_WIRE_QUALITY[quality], score=mos)
            for sid, (quality, mos) in scores.items()
        }
        for member in members:
            known = (member.participant.sid, *member.subscriber.publishers)
            updates = [_for_client(member, infos[sid]) for sid in known if sid in infos]
            update = rtc.ConnectionQualityUpdate(updates=updates)
            member.participant.outbox.send(rtc.SignalResponse(connection_quality=update))
        return True

    def forget(self, sid: ParticipantSid) -> None:
        for table in (self._meters, self._told, self._scores):
            table.pop(sid, None)

    def _score(self, now: float, member: Member) -> tuple[ConnectionQuality, float]:
        meter = self._meters.setdefault(member.participant.sid, QualityMeter(self._kernel))
        score = meter.score(now, list(member.publisher.publications.values()), member.subscriber.down_tracks)
        return score.quality, score.mos


def _for_client(member: Member, info: rtc.ConnectionQualityInfo) -> rtc.ConnectionQualityInfo:
    if info.quality != models.ConnectionQuality.LOST or member.participant.client.knows_quality_lost:
        return info
    return rtc.ConnectionQualityInfo(
        participant_sid=info.participant_sid, quality=models.ConnectionQuality.POOR, score=info.score
    )
