"""Who receives which track: wishes against permissions, across the members of one room.

A track is subscribed for a member when the member wishes it (by default all), may subscribe at all, and the publisher's list of
permitted subscribers includes it. Each of these can change; `reconcile` brings one member in line with all tracks, `offer` one
track with all members. Recorders are exempt from the publisher's list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..sfu import QualitiesChanged, Quality
from ..wire import models, rtc
from .member import Member
from .publication import Publication
from .subscription import Subscription


class TrackRouter:
    """Subscriptions between the members of a room. `members` is the room's own table, by identity."""

    __slots__ = ("_by_sid", "_members", "_touched")

    def __init__(self, members: dict[str, Member], by_sid: dict[str, Member], touched: dict[str, Member]) -> None:
        self._members = members
        self._by_sid = by_sid
        self._touched = touched

    # Bringing in line

    def offer(self, now: float, publication: Publication) -> None:
        """A track appeared, or its permissions changed: settle it with every member."""
        for member in list(self._members.values()):
            self._settle(now, member, publication)

    def reconcile(self, now: float, member: Member) -> None:
        """A member appeared, or its rights changed: settle it with every track."""
        for publication in list(self._publications()):
            self._settle(now, member, publication)

    def _settle(self, now: float, member: Member, publication: Publication) -> None:
        if publication.participant_sid == member.participant.sid or member.is_closed:
            return
        subscription = member.subscriber.subscriptions.get(publication.sid)
        wished = member.subscriber.wishes(publication) and member.participant.permission.can_subscribe
        allowed = self.allows(publication, member)
        if wished:
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
        return publisher is None or permits(publisher.permissions, member, publication.sid)

    def end(self, now: float, member: Member, subscription: Subscription) -> None:
        """Unsubscribe."""
        member.subscriber.unsubscribe(now, subscription.sid, member.links.sending)
        self._touch(member)

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
            publication = self.find(sid)
            member.subscriber.set_wish(now, sid, subscribe, known=publication is not None)
            if publication is not None:
                self._settle(now, member, publication)
        self._touch(member)

    def set_permissions(self, now: float, publisher: Member, permissions: rtc.SubscriptionPermission) -> None:
        """Replace the publisher's list of who may subscribe."""
        kept = rtc.SubscriptionPermission()
        kept.CopyFrom(permissions)
        publisher.permissions = kept
        for publication in list(publisher.publisher.publications.values()):
            self.offer(now, publication)

    def unpublished(self, now: float, publication: Publication) -> None:
        """A track ended: end its subscriptions."""
        for sid in list(publication.subscriptions):
            member = self._by_sid.get(sid)
            if member is not None:
                member.told_allowed.pop(publication.sid, None)
                member.subscriber.unsubscribe(now, publication.sid, member.links.sending)
                self._touch(member)
        publication.subscriptions.clear()

    # Feedback to publishers

    def bound(self, publication: Publication, subscriber: Member) -> None:
        """Media flows to a subscriber; the publisher is told of the first one that is not hidden."""
        publisher = self._by_sid.get(publication.participant_sid)
        if publication.subscribed_told or publisher is None or subscriber.participant.is_hidden:
            return
        publication.subscribed_told = True
        message = rtc.TrackSubscribed(track_sid=publication.sid)
        publisher.participant.outbox.send(rtc.SignalResponse(track_subscribed=message))

    def wanted(self, now: float, subscription: Subscription, quality: Quality) -> None:
        """A subscriber needs a video track in up to that quality."""
        publication = subscription.publication
        if publication.dynacast is not None and subscription.codec is not None and not publication.ended:
            publication.dynacast.set_subscriber(now, subscription.subscriber, subscription.codec.mime_type, quality)

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

    # Getters

    def find(self, sid: str) -> Publication | None:
        for member in self._members.values():
            publication = member.publisher.publications.get(sid)  # type: ignore[call-overload]
            if publication is not None:
                found: Publication = publication
                return found
        return None

    def _publications(self) -> Iterator[Publication]:
        for member in self._members.values():
            yield from member.publisher.publications.values()

    def _touch(self, member: Member) -> None:
        self._touched[member.participant.sid] = member


def permits(permissions: rtc.SubscriptionPermission | None, member: Member, sid: str) -> bool:
    """Whether a publisher's list lets that member have that track."""
    if permissions is None or permissions.all_participants or member.participant.is_recorder:
        return True
    who = member.participant
    return any(
        (entry.participant_identity == who.identity or (entry.participant_sid and entry.participant_sid == who.sid))
        and (entry.all_tracks or sid in entry.track_sids)
        for entry in permissions.track_permissions
    )
