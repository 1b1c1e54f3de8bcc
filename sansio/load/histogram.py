"""Durations in buckets that grow by a fixed factor: bounded memory, and quantiles that are right to a hundredth."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log

_LEAST_S = 1e-6
_STEP = log(1.02)
_BUCKETS = 1200
"""Up to some hours."""


class Histogram:
    """Durations in seconds."""

    __slots__ = ("_buckets", "count", "max")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.max = 0.0

    def add(self, seconds: float) -> None:
        """Below a microsecond (and below zero, which clocks of two machines can give) counts as one."""
        index = 0 if seconds <= _LEAST_S else min(int(log(seconds / _LEAST_S) / _STEP), _BUCKETS)
        self._buckets[index] = self._buckets.get(index, 0) + 1
        self.count += 1
        self.max = max(self.max, seconds)

    def clear(self) -> None:
        self._buckets.clear()
        self.count = 0
        self.max = 0.0

    def quantile(self, share: float) -> float:
        """What so much of them stays below, such as 0.95; 0 where there is nothing."""
        wanted = share * self.count
        below = 0
        for index in sorted(self._buckets):
            below += self._buckets[index]
            if below >= wanted:
                return min(self.max, _LEAST_S * exp((index + 0.5) * _STEP))
        return 0.0

    @classmethod
    def of(cls, parts: Iterable[Histogram]) -> Histogram:
        """All of them in one."""
        whole = cls()
        for part in parts:
            whole.count += part.count
            whole.max = max(whole.max, part.max)
            for index, count in part._buckets.items():
                whole._buckets[index] = whole._buckets.get(index, 0) + count
        return whole
