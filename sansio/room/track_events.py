"""What members' publishers and subscribers report, carried out across the room.

A track that is announced is told to all, then offered to them; a change of it is told, and gives subscribers another codec
where another fits best now; its end takes it from all. What subscribers report makes down tracks run and tells dynacast what
is needed. All of it may touch other members, which the room drains in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import TrackPublished, TrackSubscribed, TrackUnpublished
from ..wire import rtc
from .publisher import Announced, Changed, Unpublished
from .subscriber import BackupWanted, Bound, Unsubscribed

if TYPE_CHECKING:
    from .member import Member
    from .publication import Publication
    from .room import Room
    from .subscription import Subscription


def drain_tracks(now: float, room: Room, member: Member) -> None:
    """Act on what happened to the tracks that the member publishes and receives."""
    for published in member.publisher.poll_events():
        match published:
            case Announced(publication):
                _announced(now, room, member, publication)
            case Changed(publication):
                _changed(now, room, member, publication)
            case Unpublished(publication=publication, by_server=by_server):
                _unpublished(now, room, member, publication, by_server)
    for received in member.subscriber.poll_events():
        match received:
            case Bound(subscription):
                _bound(now, room, member, subscription)
            case BackupWanted(subscription=subscription, mime_type=mime_type):
                room.tracks.wants_backup(now, subscription, mime_type, member.subscriber.initial_quality)
                room.media.drain_publication(now, subscription.publication)
            case Unsubscribed(subscription):
                room.media.forget_subscription(subscription)
                room.tracks.unwanted(now, subscription)
                room.media.drain_publication(now, subscription.publication)


def _announced(now: float, room: Room, member: Member, publication: Publication) -> None:
    was_publisher = member.participant.is_publisher
    member.participant.set_tracks(member.publisher.infos)
    room.announce(now, member, urgent=True)
    room.news.flush(now)  # subscribers must know the track before it is offered to them
    room.observe(
        TrackPublished(
            room=room.name,
            identity=member.participant.identity,
            track=publication.sid,
            kind=publication.kind,
            mime_type=publication.info.mime_type,
        )
    )
    if not was_publisher:
        room.news.count_changed(now)
    publication.routed_as = publication.sent_as
    room.tracks.offer(now, publication)
    room.media.start_watches(now)
    room.media.drain_publication(now, publication)


def _changed(now: float, room: Room, member: Member, publication: Publication) -> None:
    member.participant.set_tracks(member.publisher.infos)
    room.announce(now, member, urgent=True)
    threshold = room.context.config.video.codec_regression_threshold
    is_given_up = publication.regress(len(room.members), threshold)
    for down_track in room.tracks.changed(now, publication):
        room.media.drain_down_track(now, down_track)
    if is_given_up and publication.dynacast is not None:
        publication.dynacast.settle()
    room.media.drain_publication(now, publication)


def _unpublished(now: float, room: Room, member: Member, publication: Publication, by_server: bool) -> None:
    participant = member.participant
    if by_server and participant.client.wants_track_unpublished:
        message = rtc.TrackUnpublishedResponse(track_sid=publication.sid)
        participant.outbox.send(rtc.SignalResponse(track_unpublished=message))
    room.tracks.unpublished(now, publication)
    room.media.forget_publication(publication)
    participant.set_tracks(member.publisher.infos)
    if not member.is_closed:
        room.announce(now, member, urgent=True)
    room.observe(TrackUnpublished(room=room.name, identity=participant.identity, track=publication.sid))


def _bound(now: float, room: Room, member: Member, subscription: Subscription) -> None:
    publication = subscription.publication
    room.tracks.bound(publication, member)
    room.observe(TrackSubscribed(room=room.name, identity=member.participant.identity, track=publication.sid))
    room.media.bound(now, member, subscription)
