"""How often a busy socket is read.

Each reading has costs of its own: the event loop's, the core's, a system call's. While packets come quicker than those are worth,
it pays to let a few come together: costs are shared, packets of one frame leave in one segmented send, and a subscriber's state
is fetched once for all of them. So a busy socket, at which something was found twice within `BUSY_S`, is read once in `TICK_S`,
whether or not it says that there is something; else the first packet of each frame would be read alone. That bounds the latency
that this adds. A reading that took as long as a tick is followed by the next at once. A socket is quiet again when nothing was
found for `BUSY_S`, and then read whenever something comes.

Ticks are below the milliseconds that the event loop counts in, so they want the timer of the compiled sockets. Without it every
socket is a quiet one.
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


class Pace:
    """The pace of one socket; use as a context manager."""

    def __init__(self) -> None:
        self._alarm = _alarm()
        self._began = -inf
        self._found = -inf

    def __enter__(self) -> Pace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.close()

    def begin(self) -> None:
        """A reading begins."""
        self._began = trio.current_time()

    async def rest(self, *, found: bool) -> bool:
        """After a reading: if the socket is busy, wait until it is to be read again. False if it is quiet: then to be read when
        it says that there is something."""
        if self._alarm is None:
            return False
        gap = self._began - self._found
        if found:
            self._found = self._began
        pause = TICK_S - (trio.current_time() - self._began)
        if gap > BUSY_S or pause <= 0.0:
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
