"""The engine: feeds the core, carries out what it answers, and sleeps until its next deadline.

Every input is one step: feed the core, then flush, with no `await` between. So the core is never entered twice, needs no
lock, and whatever it decides leaves before the next input is read. A flush hands datagrams to the UDP sockets (which drop
rather than wait), commands to the WebSockets and to waiting HTTP requests, and events to the log.

The core promises not to raise for what a peer sent. Should it raise nevertheless, the step is logged and given up, since
one peer's message must not end everybody's calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol, assert_never

import structlog
import trio

from sansio import (
    Accept,
    Address,
    Batch,
    Close,
    Command,
    DropReason,
    Event,
    HttpRequest,
    Reject,
    Respond,
    Send,
    SessionId,
)
from sansio.events import Dropped

log = structlog.get_logger("atrium.engine")

TIMER_INTERVAL = 0.005
"""Seconds between two timer steps at least. Every participant has some deadlines each second; of many participants these come
nearly all the time, and a step for each would cost more than what is to be done. It also keeps a deadline in the past from
starving other tasks."""
HOUSEKEEPING_INTERVAL = 10.0
"""Seconds between corrections of the wall clock and reports of drops."""
FAILURE_LOG_INTERVAL = 1.0

Datagram = tuple[Address, Address, bytes]
"""Local address, remote address, content."""


class Core(Protocol):
    """What the driver uses of `sansio.Node`."""

    @property
    def is_empty(self) -> bool: ...

    def add_socket(self, local: Address, advertised: Sequence[Address], /) -> None: ...
    def handle_datagrams(self, now: float, batch: Sequence[Datagram], arrivals: Sequence[float], /) -> None: ...
    def handle_connect(self, now: float, session: SessionId, request: HttpRequest, /) -> None: ...
    def handle_message(self, now: float, session: SessionId, data: bytes | str, /) -> None: ...
    def handle_disconnect(self, now: float, session: SessionId, /) -> None: ...
    def handle_request(self, now: float, ref: int, request: HttpRequest, /) -> None: ...
    def handle_timeout(self, now: float, /) -> None: ...
    def poll_transmits(self) -> list[Batch]: ...
    def poll_commands(self) -> list[Command]: ...
    def poll_events(self) -> list[Event]: ...
    def poll_timeout(self) -> float | None: ...
    def set_wallclock(self, offset: float, /) -> None: ...
    def drain(self, now: float, /) -> None: ...
    def close(self, now: float, /) -> None: ...


class Transmitter(Protocol):
    """Where datagrams go."""

    def send(self, batch: Batch) -> None: ...
    def poll_drops(self) -> dict[DropReason, int]: ...


class Outlet(Protocol):
    """One WebSocket as the engine sees it: calls that queue and return."""

    def accept(self, frames: Sequence[bytes | str]) -> None: ...
    def reject(self, status: int, body: str) -> None: ...
    def send(self, frame: bytes | str) -> bool:
        """False if the outbox is full; the session is lost then."""

    def close(self, code: int, reason: str) -> None: ...


class _Waiter:
    """An HTTP request that waits for its answer."""

    __slots__ = ("answer", "arrived")

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.answer: Respond | None = None


class Engine:
    def __init__(
        self,
        core: Core,
        udp: Transmitter,
        report: Callable[[Event], None],
        *,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._core = core
        self._udp = udp
        self._report = report
        self._clock = clock
        self._sessions: dict[SessionId, Outlet] = {}
        """Sessions that the core knows."""
        self._open: set[SessionId] = set()
        """Sessions whose socket still has something to do."""
        self._all_over = trio.Event()
        self._waiting: dict[int, _Waiter] = {}
        self._last_session = 0
        self._last_ref = 0
        self._lost: list[SessionId] = []
        self._sleep = trio.CancelScope()
        self._due = inf
        """The core's deadline as of the last step."""
        self._armed = inf
        self._timed_at = -inf
        self._failures = 0
        self._failure_logged = -inf

    # Input

    def datagrams(self, batch: Sequence[Datagram], ages: Sequence[float] = ()) -> None:
        """What was read from a socket, and for how many seconds each had waited there."""
        now = self._clock()
        self._step(self._core.handle_datagrams, batch, [now - age for age in ages], may_be_due=True)

    def connect(self, outlet: Outlet, request: HttpRequest) -> SessionId:
        """A WebSocket asks to be let in; the verdict reaches `outlet`, perhaps before this returns."""
        self._last_session += 1
        session = SessionId(self._last_session)
        self._sessions[session] = outlet
        self._open.add(session)
        if not self._step(self._core.handle_connect, session, request) and session in self._sessions:
            del self._sessions[session]
            outlet.reject(500, "internal error")
        return session

    def message(self, session: SessionId, data: bytes | str) -> None:
        if session in self._sessions:
            self._step(self._core.handle_message, session, data)

    def disconnect(self, session: SessionId) -> None:
        """The WebSocket is gone; of no effect if the core closed it or knows already."""
        if self._sessions.pop(session, None) is not None:
            self._step(self._core.handle_disconnect, session)

    def over(self, session: SessionId) -> None:
        """The session's task is at its end."""
        self.disconnect(session)
        self._open.discard(session)
        if not self._open:
            self._all_over.set()

    async def request(self, request: HttpRequest) -> Respond:
        """Hand in a plain HTTP request and wait for the answer."""
        self._last_ref += 1
        ref, waiter = self._last_ref, _Waiter()
        self._waiting[ref] = waiter
        try:
            if not self._step(self._core.handle_request, ref, request) and waiter.answer is None:
                return Respond(ref=ref, status=500, body=b"internal error")
            await waiter.arrived.wait()
        finally:
            del self._waiting[ref]
        assert waiter.answer is not None
        return waiter.answer

    # Commands

    def drain(self) -> None:
        """Refuse new joins."""
        self._step(self._core.drain)

    def close(self) -> None:
        """Tell everybody that the server stops, and close all sessions."""
        self._step(self._core.close)

    def flush(self) -> None:
        """Carry out all that the core has asked for."""
        try:
            while True:
                self._drain()
                if not self._lost:
                    break
                lost, self._lost = self._lost, []
                for session in lost:
                    self._core.handle_disconnect(self._clock(), session)
        finally:
            self._arm()

    async def wait_all_over(self) -> None:
        """Wait until no session has anything left to do."""
        while self._open:
            self._all_over = trio.Event()
            await self._all_over.wait()

    async def run(self) -> None:
        """The timer: wakes the core at its deadlines. Runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_house)
            self._look_at_deadline()
            while True:
                self._armed = self._next_wake()
                with trio.CancelScope(deadline=self._armed) as self._sleep:
                    await trio.sleep_forever()
                self._armed = inf
                if self._next_wake() <= self._clock():
                    self._step(may_be_due=True)

    @property
    def is_empty(self) -> bool:
        """Whether no room has anybody in it."""
        return self._core.is_empty

    # Private

    def _step(self, feed: Callable[..., None] | None = None, *args: object, may_be_due: bool = False) -> bool:
        """One input, and with it what was to be done by now. False if the core failed."""
        try:
            now = self._clock()
            if feed is not None:
                feed(now, *args)
            if may_be_due and self._next_wake() <= now:
                self._timed_at = now
                self._core.handle_timeout(now)
            self.flush()
        except Exception:
            self._log_failure(getattr(feed, "__name__", "handle_timeout"))
            return False
        return True

    def _drain(self) -> None:
        for batch in self._core.poll_transmits():
            self._udp.send(batch)
        for command in self._core.poll_commands():
            self._perform(command)
        for event in self._core.poll_events():
            self._report(event)

    def _perform(self, command: Command) -> None:
        match command:
            case Send(session, frame):
                outlet = self._sessions.get(session)
                if outlet is not None and not outlet.send(frame):
                    self._overflow(session)
            case Accept():
                if (outlet := self._sessions.get(command.session)) is not None:
                    outlet.accept(command.frames)
            case Reject():
                if (outlet := self._sessions.pop(command.session, None)) is not None:
                    outlet.reject(command.status, command.body)
            case Close():
                if (outlet := self._sessions.pop(command.session, None)) is not None:
                    outlet.close(command.code, command.reason)
            case Respond():
                if (waiter := self._waiting.get(command.ref)) is not None:
                    waiter.answer = command
                    waiter.arrived.set()
            case _:
                assert_never(command)

    def _overflow(self, session: SessionId) -> None:
        """A client that does not read what it is sent: give the session up, as if its socket had gone."""
        self._sessions.pop(session).close(1008, "too slow")
        self._lost.append(session)
        self._report(Dropped(reason=DropReason.OUTBOX_FULL, count=1))

    def _look_at_deadline(self) -> None:
        deadline = self._core.poll_timeout()
        self._due = inf if deadline is None else deadline

    def _arm(self) -> None:
        """Move the timer if it would wake too late. A wake too early costs less than moving it for every packet."""
        self._look_at_deadline()
        if self._due < self._armed:
            self._armed = self._next_wake()
            self._sleep.deadline = self._armed

    def _next_wake(self) -> float:
        return max(self._due, self._timed_at + TIMER_INTERVAL)

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_INTERVAL)
            self._core.set_wallclock(time.time() - self._clock())
            for reason, count in self._udp.poll_drops().items():
                self._report(Dropped(reason=reason, count=count))

    def _log_failure(self, verb: str) -> None:
        """Log the exception being handled, but not more often than once a second."""
        self._failures += 1
        now = self._clock()
        if now - self._failure_logged >= FAILURE_LOG_INTERVAL:
            log.exception("core failed", verb=verb, failures=self._failures)
            self._failures, self._failure_logged = 0, now
