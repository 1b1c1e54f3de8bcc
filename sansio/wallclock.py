"""Wall-clock time for what leaves the server: monotonic `now` plus an offset that the driver sets and may correct."""

from __future__ import annotations

NTP_EPOCH_OFFSET_S = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 §6)."""


class WallClock:
    """Turns `now` into Unix and NTP time."""

    __slots__ = ("offset",)

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def seconds(self, now: float) -> float:
        """Unix seconds."""
        return now + self.offset

    def milliseconds(self, now: float) -> int:
        return int((now + self.offset) * 1000)

    def ntp(self, now: float) -> int:
        """64-bit NTP timestamp."""
        return int((now + self.offset + NTP_EPOCH_OFFSET_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
