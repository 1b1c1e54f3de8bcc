"""A participant with all that is its own: state, connections, tracks published, tracks received, data.

The member takes what concerns it alone (its SDP, its candidates, its transports) and leaves to the room what concerns others.
What it wants of time is in its timer table:

    ACTIVATE    the primary transport must be up by then
    RESUME      the client must resume by then, its transport or socket having failed
    NEGOTIATE   our offer must be answered by then
    REFRESH     the client gets a new token
    SUBSCRIBE   some wish or subscription is overdue
    GOODBYE     the client closed its transport and must have left or resumed by then
    SIMULATED_SPEECH   a staged speaker falls silent
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import NamedTuple

from ..bwe import BandwidthEstimator, PassiveEstimator
from ..config import Config
from ..entropy import Entropy
from ..errors import DropReason
from ..kernel import Kernel
from ..sdp import SdpError
from ..timers import TimerTable
from ..wire import rtc
from .connection import SUBSCRIBER, Connection
from .data import Sender
from .data_tracks import DataSubscriptions, DataTracks
from .links import Links
from .participant import Participant, State
from .permission import Audience
from .publisher import Publisher
from .subscriber import Subscriber

REFRESH_INTERVAL_S = 300.0


class MemberTimer(Enum):
    ACTIVATE = "activate"
    RESUME = "resume"
    NEGOTIATE = "negotiate"
    REFRESH = "refresh"
    SUBSCRIBE = "subscribe"
    GOODBYE = "goodbye"
    SIMULATED_SPEECH = "simulated speech"


class Settings(NamedTuple):
    """How the client wants to take part (v0 query parameters, v1 connection settings)."""

    is_single: bool = False
    auto_subscribe: bool = True
    auto_subscribe_data_track: bool = False
    adaptive_stream: bool = False
    disable_ice_lite: bool = False
    sync_streams: bool = False
    """The room's wish, where the client can."""
    playout_delay: tuple[int, int] | None = None
    """The room's limits in ms, where the client can."""


class Member:
    """One participant in its room."""

    __slots__ = (
        "_max_wishes", "audience", "auto_subscribe_data_track", "bandwidth", "data_subscriptions", "data_tracks", "data_wishes",
        "drops", "is_closed", "joined_at", "links", "participant", "publisher", "sender", "session_closing",
        "simulated_signal_loss", "subscriber", "timers", "told_allowed",
    )  # fmt: skip

    def __init__(
        self,
        now: float,
        participant: Participant,
        links: Links,
        settings: Settings,
        *,
        kernel: Kernel,
        config: Config,
        entropy: Entropy,
        drops: Counter[DropReason],
        sif_trailer: bytes = b"",
    ) -> None:
        self.participant = participant
        self.links = links
        self.publisher = Publisher(participant, kernel=kernel, config=config, entropy=entropy)
        self.subscriber = Subscriber(
            participant,
            kernel=kernel,
            config=config,
            entropy=entropy,
            auto_subscribe=settings.auto_subscribe,
            adaptive_stream=settings.adaptive_stream,
            sync_streams=settings.sync_streams,
            sif_trailer=sif_trailer,
            playout_delay=settings.playout_delay,
        )
        self.sender = Sender(identity=participant.identity, sid=participant.sid)
        self.data_tracks = DataTracks(config.limit.max_pending_tracks)
        self.data_subscriptions = DataSubscriptions()
        self.data_wishes: dict[str, bool] = {}
        self._max_wishes = config.limit.max_subscription_wishes
        self.auto_subscribe_data_track = settings.auto_subscribe_data_track
        self.bandwidth: BandwidthEstimator = PassiveEstimator()
        self.audience: Audience | None = None
        """Whom this publisher lets subscribe; None lets everybody."""
        self.told_allowed: dict[str, bool] = {}
        """What this subscriber was told of its permission, by track."""
        self.session_closing = False
        """Whether the socket is to be closed once the outbox is empty."""
        self.simulated_signal_loss: tuple[bool, float, int] | None = None
        """Test scenario: (whether messages pass before the socket closes, until when, how often)."""
        self.is_closed = False
        self.joined_at = now
        self.drops = drops
        """The room's, shared by all that is the member's."""
        self.timers: TimerTable[MemberTimer] = TimerTable()
        self.timers.set(MemberTimer.ACTIVATE, now + config.rtc.active_timeout)
        self.timers.set(MemberTimer.REFRESH, now + REFRESH_INTERVAL_S)
        self.sync_sender()

    def wish_for_data(self, sid: str, wish: bool) -> None:
        """Remember a wish for a data track; of too many, the oldest is forgotten."""
        self.data_wishes.pop(sid, None)
        self.data_wishes[sid] = wish
        if len(self.data_wishes) > self._max_wishes:
            del self.data_wishes[next(iter(self.data_wishes))]

    def sync_sender(self) -> None:
        """Take what data stamping needs from the participant's permission."""
        permission = self.participant.permission
        self.sender.may_send = permission.can_publish_data
        self.sender.is_hidden = permission.hidden
        self.sender.is_agent = self.participant.is_agent

    # Negotiation

    def handle_offer(self, now: float, description: rtc.SessionDescription) -> bool:
        """Answer the client's offer on its publisher (or only) connection; False if it is no SDP."""
        connection = self.links.open_publisher(now)
        try:
            remote = connection.handle_offer(now, description.sdp)
        except SdpError:
            self.drops[DropReason.SDP_MALFORMED] += 1
            return False
        plan = dict(self.publisher.match(now, remote.sections))
        outgoing = self.subscriber.place_in_answer(connection) if connection.is_single else {}
        text = connection.answer(now, remote, {**plan, **outgoing})
        answer = rtc.SessionDescription(type="answer", sdp=text, id=description.id)
        if connection.is_single:
            answer.mid_to_track_id.update(self.subscriber.mid_to_track())
        self.participant.outbox.send(rtc.SignalResponse(answer=answer))
        self.publisher.negotiated(now, connection)
        if connection.is_single:
            self.subscriber.negotiated(now, connection)
        return True

    def handle_answer(self, now: float, description: rtc.SessionDescription) -> bool:
        """Take the client's answer to our offer; False if it is no SDP."""
        connection = self.links.subscriber
        if connection is None:
            self.drops[DropReason.SIGNAL_UNEXPECTED] += 1
            return True
        try:
            taken = connection.handle_answer(now, description.sdp, description.id)
        except SdpError:
            self.drops[DropReason.SDP_MALFORMED] += 1
            return False
        if not taken:
            self.drops[DropReason.SIGNAL_UNEXPECTED] += 1
            return True
        self.timers.cancel(MemberTimer.NEGOTIATE)
        self.subscriber.negotiated(now, connection)
        return True

    def handle_trickle(self, now: float, trickle: rtc.TrickleRequest) -> bool:
        """Take a candidate; False if it is malformed."""
        connection = self.links.of_target(trickle.target)
        if connection is None and trickle.target == SUBSCRIBER:
            self.drops[DropReason.SIGNAL_UNEXPECTED] += 1
            return True
        if connection is None:
            connection = self.links.open_publisher(now)
        return connection.handle_candidate(now, trickle.candidateInit)

    def negotiate(self, now: float, timeout: float) -> None:
        """Place what has no place yet, and ask or offer where that needs the client."""
        if self.is_closed:
            return
        connection = self.links.sending
        if connection is None:
            return
        if connection.is_single:
            if connection.has_remote:
                self.subscriber.ask_for_sections(connection)
            return
        self.subscriber.place_in_offer(connection)
        if connection.needs_offer and not connection.awaits_answer and self.participant.outbox.is_open:
            self._send_offer(now, connection, timeout)

    def _send_offer(self, now: float, connection: Connection, timeout: float) -> None:
        number, text = connection.offer(now)
        offer = rtc.SessionDescription(type="offer", sdp=text, id=number)
        offer.mid_to_track_id.update(self.subscriber.mid_to_track())
        self.participant.outbox.send(rtc.SignalResponse(offer=offer))
        self.timers.set(MemberTimer.NEGOTIATE, now + timeout)

    # Getters

    def lets_subscribe(self, subscriber: Member, track: str) -> bool:
        """Whether this publisher's list lets that member have that track; recorders are exempt."""
        who = subscriber.participant
        return self.audience is None or who.is_recorder or self.audience.allows(who.identity, who.sid, track)

    @property
    def is_active(self) -> bool:
        return self.participant.state == State.ACTIVE

    def poll_timeout(self) -> float | None:
        overdue = self.subscriber.poll_timeout()
        if overdue is None:
            self.timers.cancel(MemberTimer.SUBSCRIBE)
        else:
            self.timers.set(MemberTimer.SUBSCRIBE, overdue)
        return self.timers.next()
