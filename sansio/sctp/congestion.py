"""How fast to send, and how long to wait: RFC 9260 §6.3.1 (RTO) and §7.2 (congestion control).

Two plain values without knowledge of chunks: `RoundTrip` learns from samples, `CongestionWindow` from acknowledgements
and losses. Idle decay of the window is left out, since the burst limit does its work (pion leaves it out too).
"""

from __future__ import annotations

from typing import NamedTuple

from .config import SctpConfig

_ALPHA = 1 / 8
_BETA = 1 / 4
_MIN_VARIANCE = 0.22
"""Seconds above the smoothed round trip that a timeout waits at least, as peers delay SACKs by up to 0.2 (dcsctp)."""
_NO_THRESHOLD = 1 << 62


class Path(NamedTuple):
    """What is known of the way to the peer."""

    rtt: float
    """Smoothed, seconds."""
    window_bytes: int
    """May be in flight."""
    is_unsounded: bool
    """Nothing was lost yet, so the way may carry more than the window says."""


class RoundTrip:
    """Smoothed round trip and the retransmission timeout from it."""

    __slots__ = ("_config", "_doublings", "_rto", "minimum", "smoothed", "variance")

    def __init__(self, config: SctpConfig) -> None:
        self._config = config
        self._rto = config.initial_rto
        self._doublings = 0
        self.smoothed = 0.0
        """Seconds; 0 until there is a sample."""
        self.variance = 0.0
        self.minimum = 0.0

    def add_sample(self, seconds: float) -> None:
        """A round trip of something sent once (Karn: never of a retransmission). Ends the backing off."""
        self._doublings = 0
        if not self.smoothed:
            self.smoothed = max(seconds, 1e-6)
            self.variance = seconds / 2
            self.minimum = seconds
        else:
            self.variance += _BETA * (abs(self.smoothed - seconds) - self.variance)
            self.smoothed += _ALPHA * (seconds - self.smoothed)
            self.minimum = min(self.minimum, seconds)
        config = self._config
        self._rto = min(max(self.smoothed + max(4 * self.variance, _MIN_VARIANCE), config.min_rto), config.max_rto)

    def back_off(self) -> None:
        """A timer expired: wait twice as long for the next."""
        self._doublings = min(self._doublings + 1, 16)

    def calm_down(self) -> None:
        """The peer acknowledged something new, so the path is alive."""
        self._doublings = 0

    @property
    def reordering(self) -> float:
        """By how much packets may overtake each other: a quarter of the round trip (RFC 8985 §6.2), more if it varies."""
        return max(self.smoothed / 4, min(self.variance, self.smoothed))

    @property
    def rto(self) -> float:
        """How long to wait for an acknowledgement now."""
        rto = self._rto
        if self._doublings:
            rto = min(rto * (1 << self._doublings), max(self._config.max_backoff, rto))
        return rto


class CongestionWindow:
    """Bytes that may be in flight."""

    __slots__ = ("_acked_bytes", "_recover_until", "_threshold_bytes", "_unit_bytes", "size_bytes")

    def __init__(self, config: SctpConfig, unit_bytes: int) -> None:
        """`unit_bytes` is what the RFC calls the MTU: what one full packet adds to the bytes in flight."""
        self._unit_bytes = unit_bytes
        self.size_bytes = config.initial_window_mtus * unit_bytes
        self._threshold_bytes = _NO_THRESHOLD
        self._acked_bytes = 0
        self._recover_until = -1

    @property
    def is_recovering(self) -> bool:
        return self._recover_until >= 0

    @property
    def is_unsounded(self) -> bool:
        """Whether it has never shrunk."""
        return self._threshold_bytes == _NO_THRESHOLD

    def handle_ack(self, acked_bytes: int, cumulative_tsn: int, *, advanced: bool, was_full: bool) -> None:
        """So many bytes were acknowledged for the first time; `was_full` tells whether the window had held the sender."""
        if self._recover_until >= 0:
            if cumulative_tsn >= self._recover_until:
                self._recover_until = -1
            return
        if not advanced:
            return
        if self.size_bytes <= self._threshold_bytes:  # slow start, RFC 9260 §7.2.1
            if was_full:
                self.size_bytes += min(acked_bytes, self._unit_bytes)
            return
        self._acked_bytes += acked_bytes  # congestion avoidance, §7.2.2
        if self._acked_bytes >= self.size_bytes:
            self._acked_bytes -= self.size_bytes
            if was_full:
                self.size_bytes += self._unit_bytes

    def handle_loss(self, last_tsn: int) -> bool:
        """A chunk was found lost. Halves once until `last_tsn` is acknowledged (§7.2.4); whether it did so now."""
        if self._recover_until >= 0:
            return False
        self._recover_until = last_tsn
        self._threshold_bytes = max(self.size_bytes // 2, 4 * self._unit_bytes)
        self.size_bytes = self._threshold_bytes
        self._acked_bytes = 0
        return True

    def handle_timeout(self) -> None:
        """T3-rtx expired (§7.2.3)."""
        self._recover_until = -1
        self._threshold_bytes = max(self.size_bytes // 2, 4 * self._unit_bytes)
        self.size_bytes = self._unit_bytes
        self._acked_bytes = 0

    def handle_idle(self) -> None:
        """All is acknowledged (§7.2.2): the count towards the next step begins anew."""
        self._acked_bytes = 0
