"""Pings of a simulated client, and how it notices that its server has fallen silent."""

from __future__ import annotations

from enum import Enum

from ..timers import TimerTable


class Due(Enum):
    """What it is time for."""

    PING = "a ping"
    GIVE_UP = "the server says nothing"


class Heartbeat:
    """Seconds, as the join message has them. Nothing is due before `start`."""

    __slots__ = ("_heard_at", "_interval", "_timeout", "_timers")

    def __init__(self) -> None:
        self._heard_at = 0.0
        self._interval = self._timeout = 0
        self._timers: TimerTable[Due] = TimerTable()

    def hear(self, now: float) -> None:
        """The server said something."""
        self._heard_at = now

    def start(self, now: float, interval: int = 0, timeout: int = 0) -> None:
        """A session begins or goes on; 0 is as before."""
        self._interval, self._timeout = interval or self._interval, timeout or self._timeout
        if self._interval:
            self._timers.set(Due.PING, now + self._interval)
            self._timers.set(Due.GIVE_UP, now + self._timeout)

    def stop(self) -> None:
        self._timers.cancel_all()

    def handle_timeout(self, now: float) -> list[Due]:
        """What is due now."""
        due = []
        for timer in self._timers.expire(now):
            if timer is Due.PING:
                self._timers.set(Due.PING, now + self._interval)
            elif now - self._heard_at < self._timeout:
                self._timers.set(Due.GIVE_UP, self._heard_at + self._timeout)
                continue
            due.append(timer)
        return due

    def poll_timeout(self) -> float | None:
        return self._timers.next()
