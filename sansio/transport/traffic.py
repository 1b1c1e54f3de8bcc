"""How many bytes pass the sockets in a second, both ways, over the last ten: LiveKit's measure for `limit.bytes_per_sec`."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 10.0
_BUCKET_S = 1.0


class Traffic:
    """Bytes in buckets of a second. What is added counts for the time that was told last."""

    __slots__ = ("_buckets", "_total_bytes")

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # [when it began, bytes]
        self._total_bytes = 0.0

    def advance(self, now: float) -> None:
        """Time passes: what is too old is forgotten."""
        buckets = self._buckets
        while buckets and buckets[0][0] <= now - _WINDOW_S:
            self._total_bytes -= buckets.popleft()[1]
        if not buckets or now >= buckets[-1][0] + _BUCKET_S:
            buckets.append([now, 0])

    def add(self, size_bytes: int) -> None:
        if self._buckets:
            self._buckets[-1][1] += size_bytes
            self._total_bytes += size_bytes

    def bytes_per_second(self, now: float) -> float:
        self.advance(now)
        return self._total_bytes / _WINDOW_S
