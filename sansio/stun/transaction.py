"""The retransmission of one request over UDP (RFC 8489 §6.2.1), without knowing what is asked.

The first copy is sent by the owner when the transaction begins. The wait doubles from `rto` up to `max_rto`, which the
RFC does not have: checks of ICE must still be made at a useful rate near the end of a slow connection set-up.
"""

from __future__ import annotations


class Transaction:
    """One request under way. The owner compares `deadline` with now, and asks `handle_timeout` once it has come."""

    __slots__ = ("_max_rto", "_rto", "data", "deadline", "id", "remaining", "sent_at", "transmissions")

    def __init__(
        self, now: float, transaction_id: bytes, data: bytes, *, rto: float, max_rto: float, max_transmissions: int
    ) -> None:
        self.id = transaction_id
        self.data = data
        self.sent_at = now
        """When a copy was last sent."""
        self.transmissions = 1
        self.remaining = max_transmissions - 1
        self.deadline = now + rto
        self._rto = rto
        self._max_rto = max_rto

    def handle_timeout(self, now: float) -> bool:
        """Whether to send `data` once more; otherwise the transaction has failed."""
        if self.remaining <= 0:
            return False
        self._rto = min(2 * self._rto, self._max_rto)
        self.resent(now)
        return True

    def resent(self, now: float) -> None:
        """A copy was sent, at its time or early; the next waits for the present timeout."""
        self.sent_at = now
        self.transmissions += 1
        self.remaining -= 1
        self.deadline = now + self._rto
