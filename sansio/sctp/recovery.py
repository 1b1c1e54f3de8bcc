"""Which chunks were overtaken: loss judged by time, the idea of RACK (RFC 8985 §6.2) applied to SCTP.

A chunk is behind one that has arrived if it was sent earlier, or at the same moment with a lower TSN. Behind, it may still
be on its way by another path, so it is given the reordering window beyond the round trip that the other one took. Not done:
widening the window by reports of duplicates.
"""

from __future__ import annotations

from .congestion import RoundTrip


class Overtaking:
    """The chunk sent last of all that have arrived, and what follows for those still out."""

    __slots__ = ("_elapsed", "_latest", "_round_trip")

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self._latest = (-1.0, -1)  # when it was sent, and its TSN
        self._elapsed = 0.0

    def note_arrival(self, now: float, sent_at: float, tsn: int, *, is_repeated: bool) -> None:
        """A chunk was acknowledged. One sent again may be acknowledged for its earlier copy: too soon does not count."""
        elapsed = now - sent_at
        if (sent_at, tsn) > self._latest and not (is_repeated and elapsed < self._round_trip.minimum):
            self._latest = (sent_at, tsn)
            self._elapsed = elapsed

    def deadline(self, sent_at: float, tsn: int) -> float | None:
        """When a chunk that is still out is to be taken for lost; None if nothing has overtaken it."""
        if (sent_at, tsn) >= self._latest:
            return None
        return sent_at + self._elapsed + self._round_trip.reordering
