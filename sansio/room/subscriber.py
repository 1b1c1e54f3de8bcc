"""What one participant receives: its wishes, its subscriptions, and their place in its SDP.

A wish (explicit, or automatic for all tracks) becomes a `Subscription` when the track exists and its publisher allows it.
With two connections we add a section and offer; with one, the client alone can offer, so a subscription takes a free recvonly
section in the next answer, and `media_sections_requirement` asks for an offer with as many sections as are missing.

What happens to subscriptions comes out as events; the room tells the publisher, and settles dynacast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from ..config import Config
from ..entropy import Entropy
from ..ids import ParticipantSid, TrackSid
from ..kernel import Kernel
from ..sdp import NegotiatedSection, Outgoing
from ..sfu import DownTrack, Quality
from ..wire import models, rtc
from .connection import Connection
from .participant import Participant
from .publication import Publication
from .subscription import Binding, Subscription, choose_backup, choose_binding, new_outgoing

SubscriptionError = models.SubscriptionError
BIND_PATIENCE_S = 15.0
"""A negotiated subscription without media binding is reported after so long (livekit/livekit pkg/rtc)."""
TRACK_PATIENCE_S = 60.0
"""A wish for a track that does not appear is reported and forgotten after so long."""


@attrs.frozen
class Bound:
    """Media of the subscription is now forwarded."""

    subscription: Subscription


@attrs.frozen
class Unsubscribed:
    subscription: Subscription


@attrs.frozen(kw_only=True)
class BackupWanted:
    """Nothing that is published fits the subscriber, but a codec that its publisher has named does."""

    subscription: Subscription
    mime_type: str


SubscriberEvent: TypeAlias = Bound | Unsubscribed | BackupWanted


class Subscriber:
    """The subscriptions of one participant."""

    __slots__ = (
        "_asked",
        "_by_ssrc",
        "_config",
        "_entropy",
        "_events",
        "_kernel",
        "_participant",
        "_playout_delay",
        "_settings",
        "_sif_trailer",
        "_ssrcs", "_sync_streams",
        "_wish_deadlines",
        "_wishes",
        "auto_subscribe",
        "initial_quality",
        "last_mids",
        "subscriptions",
    )  # fmt: skip

    def __init__(
        self,
        participant: Participant,
        *,
        kernel: Kernel,
        config: Config,
        entropy: Entropy,
        auto_subscribe: bool,
        adaptive_stream: bool,
        sync_streams: bool = False,
        sif_trailer: bytes = b"",
        playout_delay: tuple[int, int] | None = None,
    ) -> None:
        self._participant = participant
        self._kernel = kernel
        self._config = config
        self._entropy = entropy
        self._sync_streams = sync_streams
        self._sif_trailer = sif_trailer
        self._playout_delay = playout_delay
        self.auto_subscribe = auto_subscribe
        self.initial_quality = Quality.LOW if adaptive_stream else Quality.HIGH
        self.subscriptions: dict[TrackSid, Subscription] = {}
        self._wishes: dict[str, bool] = {}
        self._wish_deadlines: dict[str, float] = {}
        self._settings: dict[str, rtc.UpdateTrackSettings] = {}
        self._by_ssrc: dict[int, Subscription] = {}
        self._ssrcs: set[int] = set()
        self._asked: tuple[int, int] | None = None
        """Audio and video sections asked for since the client's last offer, None if nothing was asked."""
        self._events: list[SubscriberEvent] = []
        self.last_mids: dict[str, TrackSid] = {}
        """Which track each section carried last."""

    # Wishes

    def wishes(self, publication: Publication) -> bool:
        return self._wishes.get(publication.sid, self.auto_subscribe)

    def set_wish(self, now: float, sid: str, wish: bool, *, known: bool) -> None:
        """Remember an explicit wish; one for an unknown track is given up after a while."""
        if sid not in self._wishes and len(self._wishes) >= self._config.limit.max_subscription_wishes:
            return
        self._wishes[sid] = wish
        if wish and not known:
            self._wish_deadlines.setdefault(sid, now + TRACK_PATIENCE_S)
        else:
            self._wish_deadlines.pop(sid, None)

    def found(self, sid: str) -> None:
        """A wished track has appeared, whether or not its publisher allows it."""
        self._wish_deadlines.pop(sid, None)

    def forget(self, sid: str) -> None:
        """The track has ended for good."""
        self._wishes.pop(sid, None)
        self._wish_deadlines.pop(sid, None)
        self._settings.pop(sid, None)

    def set_settings(self, now: float, settings: rtc.UpdateTrackSettings) -> list[Subscription]:
        """Apply or keep settings; returns the subscriptions that they touch."""
        touched = []
        for sid in settings.track_sids:
            if sid not in self._settings and len(self._settings) >= self._config.limit.max_subscription_wishes:
                continue
            own = rtc.UpdateTrackSettings()
            own.CopyFrom(settings)
            del own.track_sids[:]
            self._settings[sid] = own
            subscription = self.subscriptions.get(TrackSid(sid))
            if subscription is not None:
                subscription.set_settings(now, own, self.initial_quality)
                touched.append(subscription)
        return touched

    def set_disabled(self, now: float, sids: Iterable[str]) -> None:
        """Mark tracks as disabled, as a resuming client reports them."""
        for sid in sids:
            settings = rtc.UpdateTrackSettings(disabled=True)
            settings.track_sids.append(sid)
            self.set_settings(now, settings)

    # Subscriptions

    def subscribe(self, now: float, publication: Publication) -> Subscription | None:
        """Start a subscription; None if there is one or nothing may be subscribed."""
        if (
            publication.sid in self.subscriptions
            or not self._participant.permission.can_subscribe
            or self._is_full(publication)
        ):
            return None
        outgoing = new_outgoing(publication, self._entropy, self._ssrcs, sync_streams=self._sync_streams)
        takes_trailers = self._participant.client.takes_trailers
        subscription = Subscription(now, publication, self._participant.sid, outgoing, takes_trailers=takes_trailers)
        subscription.settings = self._settings.get(publication.sid)
        self.subscriptions[publication.sid] = subscription
        publication.subscriptions[self._participant.sid] = subscription
        return subscription

    def _is_full(self, publication: Publication) -> bool:
        limit = self._config.limit
        most = limit.subscription_limit_video if publication.is_video else limit.subscription_limit_audio
        return most > 0 and sum(s.publication.kind == publication.kind for s in self.subscriptions.values()) >= most

    @property
    def is_limited(self) -> bool:
        """Whether there may be wishes that wait for a place."""
        limit = self._config.limit
        return limit.subscription_limit_video > 0 or limit.subscription_limit_audio > 0

    def unsubscribe(self, now: float, sid: TrackSid, connection: Connection | None) -> Subscription | None:
        """End a subscription and free its section."""
        subscription = self.subscriptions.pop(sid, None)
        if subscription is None:
            return None
        subscription.publication.subscriptions.pop(self._participant.sid, None)
        subscription.unbind(now, blank=connection is not None and self._reuses_sections(connection))
        for ssrc in (subscription.outgoing.ssrc, subscription.outgoing.rtx_ssrc):
            self._by_ssrc.pop(ssrc, None)
            self._ssrcs.discard(ssrc)
        if subscription.mid is not None and connection is not None:
            if connection.is_single:
                self._asked = self._asked or (0, 0)
                self._send_requirement(0, 0)
            else:
                connection.negotiation.remove_outgoing(subscription.mid)
                connection.needs_offer = True
        self._events.append(Unsubscribed(subscription))
        return subscription

    # Placing

    def place_in_offer(self, connection: Connection) -> None:
        """Two connections: a section of our own for each subscription without one."""
        for subscription in self._unplaced():
            outgoing = subscription.outgoing
            reuse = self._reuses_sections(connection)
            mid = connection.negotiation.add_outgoing(
                subscription.publication.kind, outgoing, reuse=reuse and not self._would_repeat(subscription)
            )
            self._placed(subscription, mid)
            connection.needs_offer = True

    def _reuses_sections(self, connection: Connection) -> bool:
        """Whether a section that becomes free may carry another track."""
        return connection.is_single or (self._participant.client.reuses_transceivers and not self._sync_streams)

    def place_in_answer(self, connection: Connection) -> dict[str, Outgoing]:
        """One connection: what goes into the client's recvonly sections of the offer just taken."""
        self._asked = None
        free = {kind: list(connection.negotiation.free_receivers(kind)) for kind in ("audio", "video")}
        for subscription in self._unplaced():
            mids = free[subscription.publication.kind]
            if not mids:
                continue
            mid = next((m for m in mids if self.last_mids.get(m) != subscription.sid), mids[0])
            mids.remove(mid)
            self._placed(subscription, mid)
        return {s.mid: s.outgoing for s in self.subscriptions.values() if s.mid is not None}

    def ask_for_sections(self, connection: Connection) -> None:
        """One connection: ask the client for an offer while something has no place in the last one."""
        waiting = list(self._unplaced())
        if not waiting:
            return
        negotiation = connection.negotiation
        audio = sum(s.publication.kind == "audio" for s in waiting) - len(negotiation.free_receivers("audio"))
        video = sum(s.publication.kind == "video" for s in waiting) - len(negotiation.free_receivers("video"))
        wanted = (max(0, audio), max(0, video))
        asked = self._asked
        if asked is None:
            self._asked = wanted
            self._send_requirement(*wanted)
        elif wanted[0] > asked[0] or wanted[1] > asked[1]:
            self._asked = (max(wanted[0], asked[0]), max(wanted[1], asked[1]))
            self._send_requirement(max(0, wanted[0] - asked[0]), max(0, wanted[1] - asked[1]))

    def _send_requirement(self, audios: int, videos: int) -> None:
        requirement = rtc.MediaSectionsRequirement(num_audios=audios, num_videos=videos)
        self._participant.outbox.send(rtc.SignalResponse(media_sections_requirement=requirement))

    def _unplaced(self) -> Iterable[Subscription]:
        return [s for s in self.subscriptions.values() if s.mid is None and not s.failed]

    def _would_repeat(self, subscription: Subscription) -> bool:
        """Some clients do not notice a section that comes back with the same track."""
        return subscription.sid in self.last_mids.values()

    def _placed(self, subscription: Subscription, mid: str) -> None:
        subscription.mid = mid
        self.last_mids[mid] = subscription.sid

    def mid_to_track(self) -> dict[str, str]:
        return {s.mid: s.sid for s in self.subscriptions.values() if s.mid is not None}

    # Binding

    def negotiated(self, now: float, connection: Connection) -> None:
        """A description was agreed: what was placed can be bound now, or as soon as the transport is up."""
        for subscription in self.subscriptions.values():
            if subscription.mid is not None:
                subscription.negotiated = True
        self.bind_all(now, connection)

    def bind_all(self, now: float, connection: Connection) -> None:
        """Bind whatever can be bound."""
        session = connection.peer.session
        if session is None or not connection.was_connected:
            return
        for subscription in list(self.subscriptions.values()):
            if subscription.negotiated and subscription.down_track is None and not subscription.failed:
                self._bind(now, connection, subscription, session)

    def _bind(self, now: float, connection: Connection, subscription: Subscription, session: int) -> None:
        section = connection.negotiation.section(subscription.mid or "")
        if section is None:
            return
        binding = self._choose(subscription, section)
        if binding is None:
            self._cannot_bind(subscription, section)
            return
        down_track = subscription.bind(
            now,
            binding,
            section,
            session,
            kernel=self._kernel,
            entropy=self._entropy,
            initial=self.initial_quality,
            trailer=self._sif_trailer,
            playout_delay=self._playout_delay,
        )
        self._by_ssrc[subscription.outgoing.ssrc] = subscription
        if subscription.outgoing.rtx_ssrc:
            self._by_ssrc[subscription.outgoing.rtx_ssrc] = subscription
        if self._participant.client.is_go and subscription.publication.is_muted:
            down_track.send_placeholders(now)  # else it would never show the muted track
        self._events.append(Bound(subscription))

    def _cannot_bind(self, subscription: Subscription, section: NegotiatedSection) -> None:
        """Ask for a codec that was named and is not sent yet, or say that there is none."""
        backup = choose_backup(subscription.publication, section)
        if backup is not None:
            self._events.append(BackupWanted(subscription=subscription, mime_type=backup))
        elif subscription.publication.sent_codecs:
            subscription.failed = True
            self._send_error(subscription.sid, SubscriptionError.SE_CODEC_UNSUPPORTED)

    def _choose(self, subscription: Subscription, section: NegotiatedSection) -> Binding | None:
        make_red = self._config.audio.active_red_encoding and self._participant.client.takes_red
        return choose_binding(subscription.publication, section, make_red=make_red)

    def rebind(self, now: float, connection: Connection, subscription: Subscription) -> DownTrack | None:
        """The track is sent in another codec: follow the one that fits best. Returns a down track that this touched."""
        section = connection.negotiation.section(subscription.mid or "")
        session = connection.peer.session
        if section is None or session is None:
            return None
        down_track = subscription.down_track
        binding = self._choose(subscription, section)
        if binding is None:
            if down_track is None:
                return None
            subscription.unbind(now)
            self._cannot_bind(subscription, section)
        elif down_track is None:
            subscription.failed = False
            self.bind_all(now, connection)
            return None
        elif not subscription.follow(now, binding, section, session):
            return None
        return down_track

    def _send_error(self, sid: str, error: int) -> None:
        response = rtc.SubscriptionResponse(track_sid=sid, err=error)  # type: ignore[arg-type]
        self._participant.outbox.send(rtc.SignalResponse(subscription_response=response))

    # RTCP, timers, outputs

    def of_ssrc(self, ssrc: int) -> Subscription | None:
        return self._by_ssrc.get(ssrc)

    def handle_timeout(self, now: float) -> None:
        for sid, at in list(self._wish_deadlines.items()):
            if at <= now:
                del self._wish_deadlines[sid]
                self._wishes.pop(sid, None)
                self._send_error(sid, SubscriptionError.SE_TRACK_NOTFOUND)
        for subscription in self.subscriptions.values():
            if self._is_overdue(subscription, now):
                subscription.since = float("inf")
                self._send_error(subscription.sid, SubscriptionError.SE_UNKNOWN)

    @staticmethod
    def _is_overdue(subscription: Subscription, now: float) -> bool:
        return not subscription.was_bound and not subscription.failed and subscription.since + BIND_PATIENCE_S <= now

    def poll_timeout(self) -> float | None:
        deadlines = list(self._wish_deadlines.values())
        deadlines += [
            s.since + BIND_PATIENCE_S for s in self.subscriptions.values() if not s.was_bound and not s.failed
        ]
        at = min(deadlines, default=None)
        return None if at == float("inf") else at

    def poll_events(self) -> list[SubscriberEvent]:
        events, self._events = self._events, []
        return events

    def close(self, now: float) -> None:
        for sid in list(self.subscriptions):
            self.unsubscribe(now, sid, None)

    @property
    def down_tracks(self) -> list[DownTrack]:
        return [s.down_track for s in self.subscriptions.values() if s.down_track is not None]

    @property
    def publishers(self) -> dict[ParticipantSid, None]:
        """Whom this participant hears or sees something of, in order."""
        return dict.fromkeys(s.publication.participant_sid for s in self.subscriptions.values())
