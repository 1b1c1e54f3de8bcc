"""The peer connections of one participant, and the data channels on them.

A dual client has two: the *publisher* connection, which it offers, opened when its first offer comes; and the *subscriber*
connection, which we offer, opened at the join if it may subscribe. A single-connection client has one, offered by the client,
that serves as both. The *primary* connection is the one whose transport decides when the participant is active.

Data to the participant goes out on the channels that we opened on the subscriber connection where that is primary, else on
those that the client opened. Reliable packets that come before these channels are open wait in a short bounded queue.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from ..config import Config
from ..entropy import Entropy, random_below, random_bits
from ..errors import DropReason
from ..ice import Role
from ..ids import PeerId
from ..sdp import Capabilities, Negotiation
from ..transport import Endpoint
from .connection import PUBLISHER, SUBSCRIBER, Connection
from .data_limits import is_late, is_overdue

RELIABLE_LABEL = "_reliable"
LOSSY_LABEL = "_lossy"
DATA_TRACK_LABEL = "_data_track"

WAITING_BYTES = 1 << 20
"""Reliable packets kept for channels that are still opening."""


class Links:
    """The connections of one participant."""

    __slots__ = (
        "_capabilities", "_channels", "_config", "_drops", "_endpoint", "_entropy", "_lite", "_waiting", "_waiting_bytes",
        "is_single", "publisher", "subscriber", "subscriber_primary",
    )  # fmt: skip

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        capabilities: Capabilities,
        config: Config,
        entropy: Entropy,
        is_single: bool,
        subscriber_primary: bool,
        lite: bool,
        drops: Counter[DropReason],
    ) -> None:
        self._endpoint = endpoint
        self._capabilities = capabilities
        self._config = config
        self._entropy = entropy
        self._lite = lite
        self.is_single = is_single
        self.subscriber_primary = subscriber_primary
        self.publisher: Connection | None = None
        self.subscriber: Connection | None = None
        self._channels: dict[tuple[PeerId, str], int] = {}
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._drops = drops

    # Opening and closing

    def open_publisher(self, now: float) -> Connection:
        """The connection that the client offers; made at its first offer."""
        if self.publisher is None:
            self.publisher = self._open(now, PUBLISHER, Role.CONTROLLED)
        return self.publisher

    def open_subscriber(self, now: float) -> Connection:
        """The connection that we offer, with our three data channels."""
        if self.subscriber is None:
            connection = self.subscriber = self._open(now, SUBSCRIBER, Role.CONTROLLING)
            connection.negotiation.add_application()
            connection.peer.open_channel(now, RELIABLE_LABEL, ordered=True, max_retransmits=None)
            connection.peer.open_channel(now, LOSSY_LABEL, ordered=False, max_retransmits=0)
            connection.peer.open_channel(now, DATA_TRACK_LABEL, ordered=False, max_retransmits=0)
            connection.needs_offer = True
        return self.subscriber

    def _open(self, now: float, target: int, role: Role) -> Connection:
        single = self.is_single
        return Connection(
            target=target,
            peer=self._endpoint.open_peer(now, role=role, lite=self._lite),
            negotiation=Negotiation(
                session_id=random_bits(self._entropy, 62),
                capabilities=self._capabilities,
                is_single=single,
                limit_characters=self._config.limit.max_sdp_size,
            ),
            first_offer_id=1 + random_below(self._entropy, 256),
            drops=self._drops,
            is_single=single,
            max_candidates=self._config.limit.max_remote_candidates,
        )

    def close(self, now: float) -> None:
        for connection in self:
            self._endpoint.close_peer(now, connection.peer)
        self.publisher = self.subscriber = None
        self._waiting.clear()

    # Getters

    def __iter__(self) -> Iterator[Connection]:
        for connection in (self.publisher, self.subscriber):
            if connection is not None:
                yield connection

    def of_peer(self, peer: PeerId) -> Connection | None:
        return next((connection for connection in self if connection.peer.id == peer), None)

    def of_target(self, target: int) -> Connection | None:
        return self.subscriber if target == SUBSCRIBER and not self.is_single else self.publisher

    @property
    def primary(self) -> Connection | None:
        return self.subscriber if self.subscriber_primary else self.publisher

    @property
    def sending(self) -> Connection | None:
        """The connection that carries tracks to the client."""
        return self.publisher if self.is_single else self.subscriber

    @property
    def has_connected(self) -> bool:
        """Whether any transport was ever up."""
        return any(connection.was_connected for connection in self)

    # Data

    def channel_opened(self, now: float, peer: PeerId, label: str, channel: int) -> None:
        self._channels.setdefault((peer, label), channel)
        if label == RELIABLE_LABEL and self._data_channel(RELIABLE_LABEL) is not None:
            waiting, self._waiting = self._waiting, deque()
            self._waiting_bytes = 0
            for data in waiting:
                self.send_reliable(now, data)

    def channel_closed(self, peer: PeerId, label: str, channel: int) -> None:
        if self._channels.get((peer, label)) == channel:
            del self._channels[peer, label]

    def send_reliable(self, now: float, data: bytes) -> bool:
        """Send, or keep until the channel opens. False if the receiver is too slow to be sent anything more."""
        found = self._data_channel(RELIABLE_LABEL)
        if found is None:
            self._wait(data)
            return True
        connection, channel = found
        if is_overdue(now, self._config.rtc, connection.peer, channel, len(data)):
            self._drops[DropReason.DATA_SLOW_RECEIVER] += 1
            return False
        connection.peer.send_data(now, channel, data)
        return True

    def send_lossy(self, now: float, data: bytes, label: str = LOSSY_LABEL) -> None:
        """Send unless the receiver lags."""
        found = self._data_channel(label)
        if found is None:
            self._drops[DropReason.DATA_NO_RECEIVER] += 1
            return
        connection, channel = found
        rtc = self._config.rtc
        is_track = label == DATA_TRACK_LABEL
        latency = rtc.datachannel_data_track_target_latency if is_track else rtc.datachannel_lossy_target_latency
        if is_late(now, rtc, connection.peer, channel, latency):
            self._drops[DropReason.DATA_SLOW_RECEIVER] += 1
        else:
            connection.peer.send_data(now, channel, data)

    def _data_channel(self, label: str) -> tuple[Connection, int] | None:
        connection = self.subscriber if self.subscriber_primary else self.publisher
        if connection is None:
            return None
        channel = self._channels.get((connection.peer.id, label))
        return None if channel is None else (connection, channel)

    def _wait(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        while self._waiting_bytes > WAITING_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft())
            self._drops[DropReason.DATA_NO_RECEIVER] += 1
