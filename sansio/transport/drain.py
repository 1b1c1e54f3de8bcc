"""How fast a data channel drains: bytes per second that the peer acknowledges while more waits to be sent.

Only time with a backlog counts, since a channel that sends all it has tells nothing of what it could carry. Bytes and seconds
both fade with age, so that the rate is that of the last second or two (livekit/livekit measures over 2 s, busy time only).
Whoever owns it takes a sample at each packet from the peer and after each message to it; a stretch between two samples was
busy if something waited at both ends, as only a sample ever follows what changes that.
"""

from __future__ import annotations

_HALF_LIFE = 0.7
"""Seconds after which a sample counts half: on average they are one second old."""
_LEAST_BUSY = 0.1
"""Seconds of backlog, counted with their age, below which there is no rate yet."""


class Drain:
    """The drain of one channel. Read it; its channel feeds it."""

    __slots__ = ("_busy", "_bytes", "_drained_bytes", "_sampled_at", "waiting_bytes", "waiting_since")

    def __init__(self) -> None:
        self.waiting_bytes = 0
        """Not sent even once."""
        self.waiting_since: float | None = None
        """Since when there is a backlog."""
        self._drained_bytes = 0
        self._sampled_at = 0.0
        self._bytes = 0.0
        self._busy = 0.0

    def add_sample(self, now: float, *, drained_bytes: int, waiting_bytes: int) -> None:
        """The channel's state: bytes acknowledged or given up since it began, and bytes that wait."""
        elapsed = now - self._sampled_at
        if elapsed:
            fading = 0.5 ** (elapsed / _HALF_LIFE)
            self._bytes *= fading
            self._busy *= fading
        if self.waiting_bytes and waiting_bytes:
            self._bytes += drained_bytes - self._drained_bytes
            self._busy += elapsed
        self._sampled_at = now
        self._drained_bytes = drained_bytes
        self.waiting_bytes = waiting_bytes
        if not waiting_bytes:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now

    @property
    def bytes_per_second(self) -> float | None:
        """None if there was no backlog lately, or too little of it to tell."""
        return self._bytes / self._busy if self._busy >= _LEAST_BUSY else None
