"""How long a subscriber is asked to hold video back (the playout-delay header extension of WebRTC).

The delay follows what the subscriber reports: ten times its jitter, since then hardly a frame comes too late, and more where
most packets need to be sent again; a screen share has no rhythm and so no jitter worth the name. It moves slowly, for each
change shows as a picture that runs too fast or too slow, and stays within the room's limits.

A value is written on each packet until the subscriber reports a packet that had it; then the packets go without, which
keeps them short.
"""

from __future__ import annotations

JITTER_FACTOR = 10
FREE_NACK_PERCENT = 60
MS_PER_NACK_PERCENT = 2
MAX_CHANGE_MS_PER_S = 80.0
STEP_MS = 10
"""Of the extension."""
MOST_MS = 10_000
"""Greatest delay where only a least one is given."""


class PlayoutDelay:
    """The delay of one down track. `value` is what packets are to carry now, None for nothing."""

    __slots__ = (
        "_carried_from", "_delay_ms", "_ignores_jitter", "_max_ms", "_min_ms", "_moved_at", "_nacked", "_packets", "value",
    )  # fmt: skip

    def __init__(self, now: float, min_ms: int, max_ms: int, *, ignores_jitter: bool = False) -> None:
        self._min_ms = min_ms
        self._max_ms = max(max_ms or MOST_MS, min_ms)
        self._ignores_jitter = ignores_jitter
        self._delay_ms = float(min_ms)
        self._moved_at = now
        self._nacked = self._packets = 0
        self._carried_from: int | None = None  # None: by all packets so far
        self.value: tuple[int, int] | None = (min_ms, self._max_ms)

    def handle_nack(self, count: int) -> None:
        """So many packets are asked for again."""
        self._nacked += count

    def handle_report(
        self, now: float, *, jitter_ms: float, highest_received: int, last_sent: int, packets: int
    ) -> bool:
        """The subscriber reports; whether `value` changed. `highest_received` and `last_sent` are sequence numbers, of which
        16 bits count; `packets` is how many were sent so far."""
        before, told = self.value, self._rounded
        if before is not None and self._has_arrived(highest_received):
            self.value = None
        self._move(now, jitter_ms, self._nack_percent(packets))
        if self._rounded != told:
            self.value = (self._rounded, self._max_ms)
            self._carried_from = last_sent + 1
        return self.value != before

    @property
    def _rounded(self) -> int:
        return int(self._delay_ms) // STEP_MS * STEP_MS

    def _has_arrived(self, number: int) -> bool:
        """Whether a packet of that number went out with the value."""
        return self._carried_from is None or (number - self._carried_from) & 0xFFFF < 0x8000

    def _nack_percent(self, packets: int) -> float:
        """Of the packets since the last report, those that were asked for again."""
        nacked, self._nacked = self._nacked, 0
        sent, self._packets = packets - self._packets, packets
        return min(100.0, 100 * nacked / sent) if sent > 0 else 0.0

    def _move(self, now: float, jitter_ms: float, nack_percent: float) -> None:
        wanted = 0.0 if self._ignores_jitter else JITTER_FACTOR * jitter_ms
        wanted += MS_PER_NACK_PERCENT * max(0.0, nack_percent - FREE_NACK_PERCENT)
        wanted = min(max(wanted, self._min_ms), self._max_ms)
        most = MAX_CHANGE_MS_PER_S * (now - self._moved_at)
        self._moved_at = now
        self._delay_ms += min(max(wanted - self._delay_ms, -most), most)
