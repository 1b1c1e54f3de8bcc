"""Data across the members of one room: packets to their destinations, data tracks to their subscribers.

Reliable packets also go into the room's short memory, from which a member that resumes is given what it missed. A member that
is still connecting gets reliable packets when its channels open; lossy ones only reach active members. A receiver that does not
drain its channel is cut off rather than waited for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..errors import DropReason
from ..wire import models, rtc
from .data import LOSSY, RELIABLE, Nonces, Replay, Routed, accept
from .data_tracks import DataTrack, DataTrackRefusal, handle_of, with_handle
from .links import DATA_TRACK_LABEL
from .member import Member

Reason = rtc.RequestResponse.Reason


class DataRouter:
    """Forwards data. `members` and `touched` are the room's own tables."""

    __slots__ = ("_drops", "_members", "_nonces", "_owners", "_replay", "_touched", "slow")

    def __init__(self, members: dict[str, Member], touched: dict[str, Member], drops: Counter[DropReason]) -> None:
        self._members = members
        self._touched = touched
        self._nonces = Nonces()
        self._replay = Replay()
        self._drops = drops
        self._owners: dict[str, Member] = {}
        """Members that have data tracks, by sid."""
        self.slow: list[Member] = []
        """Members found too slow; the room disconnects them."""

    # Packets

    def handle_packet(self, now: float, sender: Member, data: bytes, *, reliable: bool) -> Routed | None:
        """A packet of a member; returns it as it was routed, None if it was dropped."""
        routed = accept(sender.sender, data, RELIABLE if reliable else LOSSY, self._nonces)
        if isinstance(routed, DropReason):
            self._drops[routed] += 1
            return None
        self.forward(now, routed, reliable=reliable, sender=sender)
        return routed

    def is_new(self, nonce: bytes) -> bool:
        """Whether an API call with that nonce has not been seen lately."""
        return not nonce or self._nonces.is_new(nonce)

    def forward(self, now: float, routed: Routed, *, reliable: bool, sender: Member | None = None) -> None:
        """Send a stamped packet to its destinations, never back to its sender."""
        if reliable:
            self._replay.add(now, routed)
        for member in self._destinations(routed, sender):
            if not reliable:
                if member.is_active:
                    member.links.send_lossy(now, routed.data)
            elif not member.links.send_reliable(now, routed.data):
                self.slow.append(member)

    def _destinations(self, routed: Routed, sender: Member | None) -> list[Member]:
        if routed.identities and not routed.sids:
            found = [self._members[identity] for identity in routed.identities if identity in self._members]
        else:
            found = [m for m in self._members.values() if routed.is_for(m.participant.identity, m.participant.sid)]
        return [member for member in found if member is not sender and not member.is_closed]

    def replay(self, now: float, member: Member, states: Iterable[rtc.DataChannelReceiveState]) -> None:
        """Send a resuming member what it has not seen of the last reliable packets."""
        last = {state.publisher_sid: state.last_seq for state in states}
        who = member.participant
        for routed in self._replay.newer_than(last):
            if routed.packet.participant_sid != who.sid and routed.is_for(who.identity, who.sid):
                member.links.send_reliable(now, routed.data)

    # Data tracks

    def publish_track(
        self, request: rtc.PublishDataTrackRequest, member: Member, sid: str, max_encoding_length: int
    ) -> DataTrack:
        """A new data track of `member`. Raises DataTrackRefusal."""
        if not member.participant.permission.can_publish_data:
            raise DataTrackRefusal(Reason.NOT_ALLOWED, "does not have permission to publish data")
        member.data_tracks.check(request, max_encoding_length)
        info = models.DataTrackInfo(
            pub_handle=request.pub_handle, sid=sid, name=request.name, encryption=request.encryption
        )
        if request.HasField("frame_encoding"):
            info.frame_encoding.CopyFrom(request.frame_encoding)
        if request.HasField("schema"):
            info.schema.CopyFrom(request.schema)
        track = DataTrack(info, member.participant.sid, member.participant.identity)
        member.data_tracks.add(track)
        self._owners[member.participant.sid] = member
        member.participant.set_data_tracks(member.data_tracks.infos())
        self.offer(member)
        return track

    def offer(self, owner: Member) -> None:
        """A member's data tracks, or whom it lets subscribe, have changed: settle them with everybody."""
        for track in owner.data_tracks:
            for member in self._members.values():
                self._settle(member, owner, track)

    def unpublish_track(self, member: Member, handle: int) -> DataTrack | None:
        track = member.data_tracks.pop(handle)
        if track is not None:
            self._end(track)
            member.participant.set_data_tracks(member.data_tracks.infos())
        return track

    def update_subscription(self, member: Member, update: rtc.UpdateDataSubscription.Update) -> None:
        """A member's wish for a data track."""
        member.wish_for_data(update.track_sid, update.subscribe)
        owner, track = self._find(update.track_sid)
        if owner is not None and track is not None:
            self._settle(member, owner, track)

    def reconcile(self, member: Member) -> None:
        """Settle a member with all data tracks of the others."""
        for owner in self._owners.values():
            for track in owner.data_tracks:
                self._settle(member, owner, track)

    def _settle(self, member: Member, owner: Member, track: DataTrack) -> None:
        if member is owner:
            return
        wished = member.data_wishes.get(track.sid, member.auto_subscribe_data_track)
        allowed = member.participant.permission.can_subscribe and owner.lets_subscribe(member, track.sid)
        change = member.data_subscriptions.add if wished and allowed else member.data_subscriptions.remove
        if change(track, member.participant.sid):
            self._tell_handles(member)

    def _tell_handles(self, member: Member) -> None:
        member.participant.outbox.send(member.data_subscriptions.message())
        self._touched[member.participant.sid] = member

    def leave(self, member: Member) -> None:
        """End what the member published and what it received."""
        self._owners.pop(member.participant.sid, None)
        for track in member.data_tracks.clear():
            self._end(track)
        for track in member.data_subscriptions.tracks:
            member.data_subscriptions.remove(track, member.participant.sid)

    def _end(self, track: DataTrack) -> None:
        for member in self._members.values():
            if member.data_subscriptions.remove(track, member.participant.sid):
                self._tell_handles(member)

    def _find(self, sid: str) -> tuple[Member | None, DataTrack | None]:
        for member in self._owners.values():
            for track in member.data_tracks:
                if track.sid == sid:
                    return member, track
        return None, None

    def handle_track_packet(self, now: float, sender: Member, data: bytes) -> None:
        """A packet of a data track: rewrite its handle for each subscriber."""
        handle = handle_of(data)
        track = None if handle is None else sender.data_tracks.get(handle)
        if track is None or not sender.sender.may_send:
            self._drops[DropReason.DATA_MALFORMED if handle is None else DropReason.DATA_NOT_ALLOWED] += 1
            return
        for member in list(self._members.values()):
            own = track.subscribers.get(member.participant.sid)
            if own is not None and member.is_active:
                member.links.send_lossy(now, with_handle(data, own), DATA_TRACK_LABEL)
