"""How often a busy socket is read.

Each reading has costs of its own: the event loop's, the core's, a system call's. While packets come quicker than those are worth,
it pays to let a few come together: costs are shared, packets of one frame leave in one segmented send, and a subscriber's state
is fetched once for all of them. So a socket that was read less than `BUSY_S` ago rests after a reading, until four times as long
has passed as the reading took, and `TICK_S` at most: the latency that this adds is bounded, and a reading that took as long
itself is followed by the next at once. A quiet socket is read whenever something comes.

Rests are below the milliseconds that the event loop counts in, so they want the timer of the compiled sockets. Without it
nothing rests.
"""

from __future__ import annotations

from math import inf
from types import TracebackType
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ._udp import Alarm

TICK_S = 0.001
BUSY_S = 0.002
SHARE = 4.0
"""Of a rest and the reading before it, by the reading alone."""


class Pace:
    """The pace of one socket; use as a context manager."""

    def __init__(self) -> None:
        self._alarm = _alarm()
        self._began = -inf
        self._gap = inf

    def __enter__(self) -> Pace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.close()

    def begin(self) -> None:
        """A reading begins."""
        now = trio.current_time()
        self._gap = now - self._began
        self._began = now

    async def rest(self) -> bool:
        """After a reading that found something: rest if the socket is busy. Whether to read again without being told that
        there is something."""
        if self._alarm is None or self._gap > BUSY_S:
            return False
        took = trio.current_time() - self._began
        pause = min(SHARE * took, TICK_S) - took
        if pause <= 0.0:
            return False
        self._alarm.set(pause)
        await trio.lowlevel.wait_readable(self._alarm.fileno())
        return True


def _alarm() -> Alarm | None:
    try:
        from ._udp import Alarm
    except ImportError:
        return None
    return Alarm()
