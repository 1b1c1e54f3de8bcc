"""Deadlines: a small table per machine, and a heap for whoever owns many machines.

Both are pull-style: nothing fires by itself. A machine's `poll_timeout` returns the minimum of its table and its
`handle_timeout(now)` asks which timers are due.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

E = TypeVar("E", bound=Enum)
K = TypeVar("K", bound=Hashable)


class TimerTable(Generic[E]):
    """The timers of one machine by name; at most one deadline each."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[E, float] = {}

    def set(self, timer: E, at: float) -> None:
        """Arm `timer` for `at`, replacing its earlier deadline."""
        self._deadlines[timer] = at

    def set_if_unset(self, timer: E, at: float) -> None:
        self._deadlines.setdefault(timer, at)

    def cancel(self, timer: E) -> None:
        self._deadlines.pop(timer, None)

    def cancel_all(self) -> None:
        self._deadlines.clear()

    def get(self, timer: E) -> float | None:
        return self._deadlines.get(timer)

    def expire(self, now: float) -> list[E]:
        """Disarm and return the timers whose deadline has come, earliest first."""
        if not self._deadlines:
            return []
        due = [timer for timer, at in self._deadlines.items() if at <= now]
        if len(due) > 1:
            due.sort(key=self._deadlines.__getitem__)
        for timer in due:
            del self._deadlines[timer]
        return due

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        return min(self._deadlines.values(), default=None)

    def next_timer(self) -> tuple[float, E] | None:
        """The earliest deadline and its name, for logs."""
        if not self._deadlines:
            return None
        timer = min(self._deadlines, key=self._deadlines.__getitem__)
        return self._deadlines[timer], timer


class DeadlineHeap(Generic[K]):
    """Deadlines of many owners; moving one is O(log n), stale entries are skipped and compacted."""

    __slots__ = ("_current", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._current: dict[K, tuple[float, int]] = {}
        self._order = 0

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: K, at: float | None) -> None:
        """Move `key` to `at`; None removes it."""
        known = self._current.get(key)
        if at is None:
            if known is not None:
                del self._current[key]
            return
        if known is not None and known[0] == at:
            return
        self._order += 1
        self._current[key] = (at, self._order)
        heappush(self._heap, (at, self._order, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._current):
            self._heap = [(when, order, owner) for owner, (when, order) in self._current.items()]
            heapify(self._heap)

    def pop_due(self, now: float) -> list[K]:
        """Remove and return the owners whose deadline has come, in order of deadline."""
        due: list[K] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, order, key = heappop(heap)
            if self._current.get(key) == (at, order):
                del self._current[key]
                due.append(key)
        return due

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        heap = self._heap
        while heap:
            at, order, key = heap[0]
            if self._current.get(key) == (at, order):
                return at
            heappop(heap)
        return None

    def next_owner(self) -> K | None:
        """Who owns the earliest deadline, for logs."""
        return None if self.next() is None else self._heap[0][2]
