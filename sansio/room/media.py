"""The media machines of a room's members: passing on what they want, and their time.

Publications want feedback sent to their publisher and key frames shown to their down tracks; down tracks want reports sent to
their subscriber and tell dynacast what is watched; two watches look at all of it from time to time. The room says what was
touched; this module drains it at once, so that one machine's output reaches the other in the same input. Deadlines of all
these machines are in one heap, apart from those of members.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from ..config import AudioConfig
from ..kernel import Kernel
from ..sfu import DownTrack, MaxLayerChanged
from ..timers import DeadlineHeap
from .member import Member
from .observers import QualityWatch, SpeakerWatch
from .publication import Publication
from .subscription import Subscription
from .tracks import TrackRouter


class Watch(Enum):
    SPEAKERS = "speakers"
    QUALITY = "quality"


Timed: TypeAlias = Watch | Publication | DownTrack


class Media:
    """What media machines of one room put out. `members`, `by_sid`, `touched` and `unflushed` are the room's own tables."""

    __slots__ = (
        "_by_sid",
        "_deadlines",
        "_down_tracks",
        "_members",
        "_owners",
        "_touched",
        "_tracks",
        "_unflushed",
        "quality",
        "speakers",
    )

    def __init__(
        self,
        members: dict[str, Member],
        by_sid: dict[str, Member],
        touched: dict[str, Member],
        unflushed: dict[str, Member],
        tracks: TrackRouter,
        *,
        kernel: Kernel,
        audio: AudioConfig,
    ) -> None:
        self._members = members
        self._by_sid = by_sid
        self._touched = touched
        self._unflushed = unflushed
        self._tracks = tracks
        self.speakers = SpeakerWatch(kernel, audio)
        self.quality = QualityWatch(kernel)
        self._owners: dict[DownTrack, tuple[Member, Subscription]] = {}
        self._down_tracks: dict[Subscription, DownTrack] = {}
        self._deadlines: DeadlineHeap[Timed] = DeadlineHeap()

    # What begins and ends

    def bound(self, now: float, member: Member, subscription: Subscription) -> None:
        """A down track runs."""
        down_track = subscription.down_track
        if down_track is None:
            return
        self.forget_subscription(subscription)
        self._owners[down_track] = (member, subscription)
        self._down_tracks[subscription] = down_track
        self.drain_down_track(now, down_track)
        self.drain_publication(now, subscription.publication)

    def forget_subscription(self, subscription: Subscription) -> None:
        """Its down track is closed."""
        down_track = self._down_tracks.pop(subscription, None)
        if down_track is not None:
            del self._owners[down_track]
            self._deadlines.set(down_track, None)

    def forget_publication(self, publication: Publication) -> None:
        self._deadlines.set(publication, None)

    def forget_member(self, member: Member) -> None:
        self.speakers.forget(member.participant.sid)
        self.quality.forget(member.participant.sid)

    # Draining

    def drain_publication(self, now: float, publication: Publication) -> None:
        """Pass on what a publication's machines want: feedback to its publisher, key frames to its subscribers."""
        publisher = self._by_sid.get(publication.participant_sid)
        if publisher is None or publication.ended:
            return
        for receiver in publication.receivers:
            receiver.poll_events()
            for down_track in receiver.poll_touched():
                self.drain_down_track(now, down_track)
        packets = publication.poll_rtcp()
        if packets and publisher.links.publisher is not None:
            publisher.links.publisher.peer.send_rtcp(now, packets)
        if publication.dynacast is not None:
            for changed in publication.dynacast.poll_events():
                self._tracks.send_qualities(publication, changed)
                self._touched[publisher.participant.sid] = publisher
        self._deadlines.set(publication, publication.poll_timeout())

    def drain_down_track(self, now: float, down_track: DownTrack) -> None:
        """Pass on what a down track wants: reports to its subscriber, needs to dynacast."""
        owner = self._owners.get(down_track)
        if owner is None:
            return
        member, subscription = owner
        packets = down_track.poll_rtcp()
        if packets and member.links.sending is not None:
            member.links.sending.peer.send_rtcp(now, packets)
        is_changed = False
        for event in down_track.poll_events():
            if isinstance(event, MaxLayerChanged):
                self._tracks.wanted(now, subscription, event.quality)
                is_changed = True
        self._deadlines.set(down_track, down_track.poll_timeout())
        if is_changed:
            self.drain_publication(now, subscription.publication)

    def settings_changed(self, now: float, subscription: Subscription) -> None:
        """A subscriber asked for other layers; settle what follows."""
        if subscription.down_track is not None:
            self.drain_down_track(now, subscription.down_track)
        self.drain_publication(now, subscription.publication)

    # Time

    def start_watches(self, now: float) -> None:
        """Arm the watches that have something to look at and do not run yet."""
        if self.speakers.due is None and self._tracks.has_any:
            self.speakers.due = now + self.speakers.interval
            self._deadlines.set(Watch.SPEAKERS, self.speakers.due)
        if self.quality.due is None and self._members:
            self.quality.due = now + self.quality.interval
            self._deadlines.set(Watch.QUALITY, self.quality.due)

    def handle_timeout(self, now: float) -> None:
        for timed in self._deadlines.pop_due(now):
            match timed:
                case Publication():
                    timed.handle_timeout(now)
                    self.drain_publication(now, timed)
                case DownTrack():
                    timed.handle_timeout(now)
                    self.drain_down_track(now, timed)
                case Watch():
                    self._look(now, self.speakers if timed is Watch.SPEAKERS else self.quality)

    def _look(self, now: float, watch: SpeakerWatch | QualityWatch) -> None:
        watch.due = None
        if watch.observe(now, self._members.values()):
            self.flush_all()
        self.start_watches(now)

    def flush_all(self) -> None:
        """Whoever has something in its outbox is to be given it."""
        self._unflushed.update((sid, member) for sid, member in self._by_sid.items() if member.participant.outbox)

    def poll_timeout(self) -> float | None:
        return self._deadlines.next()
