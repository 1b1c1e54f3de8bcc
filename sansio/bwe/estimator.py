"""How much a transport can carry: the interface that congestion control stands behind, and the first thing behind it.

`BandwidthEstimator` is what a transport's owner feeds and asks. `PassiveEstimator` keeps what was acknowledged and what the
receiver itself estimated (REMB), offers both to be read, and limits nothing: until an estimator by delay and loss exists, a
server that holds layers back on a guess does more harm than one that trusts the receivers' own adaptive streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from ..kernel import SentPacket
from ..rtcp import Remb, TransportFeedback
from .history import AckedPacket, SentHistory

INITIAL_BPS = 100_000_000.0
"""Until something is known nothing is held back (LiveKit's initial capacity)."""
MEASURED_OVER = 1.0
"""Seconds over which acknowledged bytes make a bitrate."""
KEPT = 2048
REMB_VALID_FOR = 10.0


class BandwidthEstimator(Protocol):
    """One transport's congestion control, towards its peer."""

    def handle_sent(self, now: float, packets: Sequence[SentPacket]) -> None:
        """What `Kernel.take_sent` gave."""

    def handle_feedback(self, now: float, feedback: TransportFeedback) -> None:
        """The peer's transport-wide feedback."""

    def handle_remb(self, now: float, remb: Remb) -> None:
        """The peer's own estimate."""

    @property
    def estimate_bps(self) -> float:
        """What may be sent."""

    @property
    def is_congested(self) -> bool:
        """Whether less should be sent than is."""


class PassiveEstimator:
    """Observes and never limits."""

    __slots__ = ("_acked", "_history", "_remb")

    def __init__(self) -> None:
        self._history = SentHistory()
        self._acked: deque[AckedPacket] = deque(maxlen=KEPT)
        self._remb: tuple[float, int] | None = None

    def handle_sent(self, now: float, packets: Sequence[SentPacket]) -> None:  # noqa: ARG002 - the protocol's
        self._history.handle_sent(packets)

    def handle_feedback(self, now: float, feedback: TransportFeedback) -> None:  # noqa: ARG002 - the protocol's
        self._acked.extend(self._history.handle_feedback(feedback))

    def handle_remb(self, now: float, remb: Remb) -> None:
        self._remb = (now, remb.bitrate_bps)

    @property
    def estimate_bps(self) -> float:
        return INITIAL_BPS

    @property
    def is_congested(self) -> bool:
        return False

    @property
    def acked(self) -> Sequence[AckedPacket]:
        """The last packets that feedback settled, losses included, oldest first."""
        return tuple(self._acked)

    @property
    def in_flight_bytes(self) -> int:
        return self._history.in_flight_bytes

    @property
    def lost_messages(self) -> int:
        return self._history.lost_messages

    def remb_bps(self, now: float) -> int | None:
        """The receiver's last estimate, unless it is old."""
        if self._remb is None or now - self._remb[0] > REMB_VALID_FOR:
            return None
        return self._remb[1]

    def acked_bps(self) -> float:
        """The rate at which what was sent in the last second of known packets arrived."""
        arrived = [packet for packet in self._acked if packet.received_at is not None]
        if len(arrived) < 2:
            return 0.0
        newest = arrived[-1].sent_at
        recent = [packet for packet in arrived if newest - packet.sent_at <= MEASURED_OVER]
        return sum(packet.size_bytes for packet in recent) * 8 / MEASURED_OVER

    def loss(self) -> float:
        """The share of lost packets among those known."""
        if not self._acked:
            return 0.0
        arrived = {packet.sequence_number for packet in self._acked if packet.received_at is not None}
        lost = {packet.sequence_number for packet in self._acked if packet.received_at is None} - arrived
        return len(lost) / (len(arrived) + len(lost))
