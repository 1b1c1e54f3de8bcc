"""Who receives which track: wishes against permissions, across the members of one room.

A track is subscribed for a member when the member wishes it (by default all), may subscribe at all, and the publisher's list of
permitted subscribers includes it. Each of these can change; `reconcile` brings one member in line with all tracks, `offer` one
track with all members. Recorders are exempt from the publisher's list.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..sfu import DownTrack, QualitiesChanged, Quality
from ..wire import models, rtc
from .member import Member
from .permission import Audience
from .publication import Publication
from .subscription import Subscription


class TrackRouter:
    """Subscriptions between the members of a room. `members` is the room's own table, by identity."""

    __slots__ = ("_by_sid", "_members", "_publications", "_touched")

    def __init__(self, members: dict[str, Member], by_sid: dict[str, Member], touched: dict[str, Member]) -> None:
        self._members = members
        self._by_sid = by_sid
        self._touched = touched
        self._publications: dict[str, Publication] = {}
        """Announced tracks by sid."""

    # Bringing in line

    def offer(self, now: float, publication: Publication) -> None:
        """A track appeared, or its permissions changed: settle it with every member."""
        self._publications[publication.sid] = publication
        for member in list(self._members.values()):
            self._settle(now, member, publication)

    def reconcile(self, now: float, member: Member) -> None:
        """A member appeared, or its rights changed: settle it with every track."""
        for publication in list(self._publications.values()):
            self._settle(now, member, publication)

    def _settle(self, now: float, member: Member, publication: Publication) -> None:
        if publication.participant_sid == member.participant.sid or member.is_closed:
            return
        subscription = member.subscriber.subscriptions.get(publication.sid)
        wished = member.subscriber.wishes(publication) and member.participant.permission.can_subscribe
        allowed = self.allows(publication, member)
        if wished:
            member.subscriber.found(publication.sid)
            self._tell_allowed(member, publication, allowed)
        if wished and allowed:
            if subscription is None and member.subscriber.subscribe(now, publication) is not None:
                self._touch(member)
        elif subscription is not None:
            self.end(now, member, subscription)

    def _tell_allowed(self, member: Member, publication: Publication, allowed: bool) -> None:
        if member.told_allowed.get(publication.sid) == allowed:
            return
        member.told_allowed[publication.sid] = allowed
        update = rtc.SubscriptionPermissionUpdate(
            participant_sid=publication.participant_sid, track_sid=publication.sid, allowed=allowed
        )
        member.participant.outbox.send(rtc.SignalResponse(subscription_permission_update=update))

    def allows(self, publication: Publication, member: Member) -> bool:
        """Whether the publisher lets that member subscribe to the track."""
        publisher = self._by_sid.get(publication.participant_sid)
        return publisher is None or publisher.lets_subscribe(member, publication.sid)

    def end(self, now: float, member: Member, subscription: Subscription) -> None:
        """Unsubscribe."""
        member.subscriber.unsubscribe(now, subscription.sid, member.links.sending)
        self._touch(member)
        self._fill(now, member)

    def _fill(self, now: float, member: Member) -> None:
        """A place may have become free for a member that may not have everything it wishes at once."""
        if not member.subscriber.is_limited or member.is_closed:
            return
        for publication in list(self._publications.values()):
            if publication.sid not in member.subscriber.subscriptions:
                self._settle(now, member, publication)

    def changed(self, now: float, publication: Publication) -> list[DownTrack]:
        """What a track is sent in may have changed: give every subscriber the codec that fits best. Returns down tracks that
        this touched."""
        touched: list[DownTrack] = []
        sent_as = publication.sent_as
        if sent_as == publication.routed_as:
            return touched  # most changes are of other kinds, and a room may be large
        publication.routed_as = sent_as
        for sid, subscription in publication.subscriptions.items():
            member = self._by_sid.get(sid)
            if member is None or member.links.sending is None:
                continue
            was_waiting = subscription.down_track is None
            down_track = member.subscriber.rebind(now, member.links.sending, subscription)
            if was_waiting or down_track is not None:
                self._touch(member)
            if down_track is not None:
                touched.append(down_track)
        return touched

    # Requests

    def update_subscription(
        self,
        now: float,
        member: Member,
        sids: Iterable[str],
        groups: Iterable[models.ParticipantTracks],
        subscribe: bool,
    ) -> None:
        """A wish for those tracks, which need not exist yet."""
        wanted = dict.fromkeys(sids)
        for group in groups:
            wanted.update(dict.fromkeys(group.track_sids))
        for sid in wanted:
            publication = self._publications.get(sid)
            member.subscriber.set_wish(now, sid, subscribe, known=publication is not None)
            if publication is not None:
                self._settle(now, member, publication)
        self._touch(member)

    def set_permissions(self, now: float, publisher: Member, permissions: rtc.SubscriptionPermission) -> None:
        """Replace the publisher's list of who may subscribe."""
        publisher.audience = Audience(permissions)
        for publication in list(publisher.publisher.publications.values()):
            self.offer(now, publication)

    def unpublished(self, now: float, publication: Publication) -> None:
        """A track ended: end its subscriptions."""
        self._publications.pop(publication.sid, None)
        subscribers = [self._by_sid[sid] for sid in publication.subscriptions if sid in self._by_sid]
        for member in subscribers:
            member.subscriber.unsubscribe(now, publication.sid, member.links.sending)
            self._touch(member)
        for member in self._members.values():
            member.told_allowed.pop(publication.sid, None)
            member.subscriber.forget(publication.sid)
        for member in subscribers:
            self._fill(now, member)
        publication.subscriptions.clear()

    # Feedback to publishers

    def bound(self, publication: Publication, subscriber: Member) -> None:
        """Media flows to a subscriber; the publisher is told of the first one that is not hidden."""
        publisher = self._by_sid.get(publication.participant_sid)
        if publisher is None:
            return
        self._touch(publisher)
        if not publication.subscribed_told and not subscriber.participant.is_hidden:
            publication.subscribed_told = True
            message = rtc.TrackSubscribed(track_sid=publication.sid)
            publisher.participant.outbox.send(rtc.SignalResponse(track_subscribed=message))

    def wanted(self, now: float, subscription: Subscription, quality: Quality) -> None:
        """A subscriber needs a video track in up to that quality."""
        publication = subscription.publication
        if publication.dynacast is not None and subscription.codec is not None and not publication.ended:
            mime_type = subscription.codec.mime_type.lower()
            publication.dynacast.set_subscriber(now, subscription.subscriber, mime_type, quality)

    def wants_backup(self, now: float, subscription: Subscription, mime_type: str, quality: Quality) -> None:
        """A subscriber can only take a codec that the publisher has named and does not send yet."""
        publication = subscription.publication
        if publication.dynacast is not None and not publication.ended:
            publication.dynacast.set_subscriber(now, subscription.subscriber, mime_type.lower(), quality)

    def unwanted(self, now: float, subscription: Subscription) -> None:
        """A subscription ended."""
        publication = subscription.publication
        if publication.dynacast is not None and not publication.ended:
            publication.dynacast.remove_subscriber(now, subscription.subscriber)

    def send_qualities(self, publication: Publication, changed: QualitiesChanged) -> None:
        """Tell the publisher which layers are watched."""
        publisher = self._by_sid.get(publication.participant_sid)
        if publisher is None:
            return
        update = rtc.SubscribedQualityUpdate(track_sid=publication.sid)
        for mime_type, enabled in changed.codecs:
            codec = rtc.SubscribedCodec(codec=mime_type.lower().removeprefix("video/"))
            for quality, flag in enumerate(enabled):
                codec.qualities.append(rtc.SubscribedQuality(quality=quality, enabled=flag))  # type: ignore[arg-type]
            update.subscribed_codecs.append(codec)
        if update.subscribed_codecs:
            update.subscribed_qualities.extend(update.subscribed_codecs[0].qualities)
        publisher.participant.outbox.send(rtc.SignalResponse(subscribed_quality_update=update))

    @property
    def has_any(self) -> bool:
        """Whether anything is published."""
        return bool(self._publications)

    def _touch(self, member: Member) -> None:
        self._touched[member.participant.sid] = member
