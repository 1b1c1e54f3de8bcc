"""Which packets to ask a publisher for again, and when (RFC 4585 §6.2.1).

A gap may only be reordering, so a number is first asked for when it has been missing for 20 ms; then up to five times, with
an interval that grows from the round trip. What arrived meanwhile is found out when its turn comes, so that arriving
packets cost nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_AFTER = 0.020
MIN_INTERVAL = 0.020
MAX_INTERVAL = 0.400
MAX_TRIES = 5
CAPACITY = 100
GROWTH = 1.25


class NackQueue:
    """Missing positions of one stream."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[int, tuple[float, int]] = {}  # position: (when due, tries so far)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, now: float, position: int, count: int) -> None:
        """`count` numbers from `position` on are missing; the oldest beyond the capacity are given up."""
        for missing in range(position, position + count):
            self._entries.setdefault(missing, (now + FIRST_AFTER, 0))
        while len(self._entries) > CAPACITY:
            del self._entries[min(self._entries)]

    def clear(self) -> None:
        self._entries.clear()

    def take_due(self, now: float, rtt: float, has_packet: Callable[[int], bool]) -> list[int]:
        """Positions to ask for now, in order; forgets those that came and those asked for often enough."""
        due = sorted(position for position, (at, _) in self._entries.items() if at <= now)
        asked = []
        for position in due:
            tries = self._entries[position][1]
            if has_packet(position):
                del self._entries[position]
                continue
            asked.append(position)
            if tries + 1 >= MAX_TRIES:
                del self._entries[position]
            else:
                interval = min(max(rtt * GROWTH**tries, MIN_INTERVAL), MAX_INTERVAL)
                self._entries[position] = (now + interval, tries + 1)
        return asked

    def next(self) -> float | None:
        """When `take_due` should be called."""
        return min((at for at, _ in self._entries.values()), default=None)
