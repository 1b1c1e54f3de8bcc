"""Runs a load test: one nursery for everything, and no task between an input and its outputs.

The tasks are two for all UDP sockets, one for deadlines, one for the table, and three for the WebSocket of each participant
(reader, writer, and that of trio-websocket).
"""

from __future__ import annotations

import gc
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from math import inf

import attrs
import trio

from sansio import HttpRequest, KernelChoice, LocalProtocolError, choose_kernel
from sansio.auth import Claims, VideoGrant, mint
from sansio.load import CloseSocket, Figures, LoadOptions, LoadTest, OpenSocket, Phase, Role, Seat, SendFrame

from ..batch import SocketChoice, choose
from .process import ProcessWatch, Usage
from .signalling import Session
from .sockets import Datagrams, SocketPool
from .target import Found, LoadError, Target, find

TOKEN_TTL = 86_400.0
GOODBYE_TIMEOUT = 3.0
REPORT_INTERVAL = 1.0
MOST_DEADLINES = 32
"""Served before other tasks have a turn."""


@attrs.frozen(kw_only=True)
class Plan:
    """What to run, and against whom."""

    target: Target
    api_key: str
    api_secret: str = attrs.field(repr=False)
    room: str
    publishers: int
    subscribers: int
    listeners: int
    """Of the subscribers."""
    hidden: bool
    """Subscribers that nobody is told of."""
    signalling: str
    """`v0`, `v1`, or `auto`."""
    pid: int | None
    options: LoadOptions

    def token(self, identity: str, *, publishes: bool) -> str:
        now = time.time()
        grant = VideoGrant(
            room_join=True,
            room=self.room,
            can_publish=publishes,
            can_subscribe=True,
            hidden=self.hidden and not publishes,
        )
        claims = Claims(issuer=self.api_key, identity=identity, video=grant, expires_at=now + TOKEN_TTL)
        return mint(claims, self.api_secret, wallclock=now)


@attrs.frozen(kw_only=True)
class Report:
    """What to show."""

    figures: Figures
    server: Usage | None
    """Of the process that was named."""
    own: Usage
    """Of the load test itself."""
    overflows: int
    """Datagrams that the load test was too slow to read."""
    kernel: str
    """What the load test runs on: `native` or `pure`."""
    sockets: str
    """`native` or `python`."""


class Runner:
    """One load test."""

    def __init__(self, plan: Plan, found: Found, kernel: KernelChoice, sockets: SocketChoice) -> None:
        """Opens all sockets. Raises LoadError."""
        now = trio.current_time()
        two_connections = plan.signalling == "v0" or (plan.signalling == "auto" and not found.has_v1)
        options = attrs.evolve(plan.options, two_connections=two_connections)
        self._plan = plan
        self._context: ssl.SSLContext | None = plan.target.tls_context()
        self._kernel, self._sockets = kernel.name, sockets.name
        self._pool = SocketPool(found.local_host, sockets)
        self._server = None if plan.pid is None else ProcessWatch(plan.pid, now)
        self._own = ProcessWatch(os.getpid(), now)
        self._overflows = 0
        try:
            seats = self._seats(2 if two_connections else 1)
        except BaseException:
            self._pool.close()
            raise
        self.test = LoadTest(
            seats=seats, options=options, entropy=os.urandom, wallclock=time.time(), kernel=kernel.make(os.urandom)
        )
        self._phase = self.test.phase
        self._sessions: dict[int, Session] = {}
        self._nursery: trio.Nursery | None = None
        self._wake = trio.Event()
        self._sleeps_until = inf
        self._over = trio.Event()
        self._all_gone = trio.Event()
        self._last: Report | None = None

    def _seats(self, ports: int) -> list[Seat]:
        plan = self._plan
        roles = [Role.PUBLISHER] * plan.publishers
        roles += subscriber_roles(plan.subscribers, plan.listeners)
        seats = []
        for index, role in enumerate(roles):
            identity = f"{'publisher' if role is Role.PUBLISHER else 'subscriber'}-{index:04}"
            address = self._pool.open(index, ports, quick=role is Role.COUNTER)
            token = plan.token(identity, publishes=role is Role.PUBLISHER)
            seats.append(Seat(identity=identity, role=role, address=address, token=token))
        return seats

    async def run(self, show: Callable[[Report], None] | None) -> bool:
        """Until it is over, or a signal says so; then returns True."""
        interrupted = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._pool.run, self._datagrams)
                nursery.start_soon(self._time)
                if show is not None:
                    nursery.start_soon(self._show, show)
                with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                    self._do(self.test.start)
                    interrupted = await _first(self._over.wait, signals.__anext__) == 1
                    self._do(self.test.stop)
                    with trio.move_on_after(GOODBYE_TIMEOUT):
                        while self._sessions:
                            self._all_gone = trio.Event()
                            await self._all_gone.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._pool.close()
        return interrupted

    def report(self) -> Report:
        """The state of now; once it is over, that of then."""
        if self._last is not None:
            return self._last
        now = trio.current_time()
        self._overflows += self._pool.poll_lost()
        return Report(
            figures=self.test.figures(now),
            server=None if self._server is None else self._server.usage(now),
            own=self._own.usage(now),
            overflows=self._overflows,
            kernel=self._kernel,
            sockets=self._sockets,
        )

    # What sessions report

    def accepted(self, seat: int) -> None:
        self._do(self.test.handle_accepted, seat)

    def rejected(self, seat: int, status: int, reason: str) -> None:
        self._do(self.test.handle_rejected, seat, status, reason)

    def frame(self, seat: int, frame: bytes) -> None:
        self._do(self.test.handle_frame, seat, frame)

    def closed(self, seat: int) -> None:
        self._do(self.test.handle_socket_closed, seat)

    # Input and output

    def _datagrams(self, seat: int, batch: Datagrams, ages: Sequence[float]) -> None:
        now = trio.current_time()
        if self.test.handle_datagrams(now, seat, batch, [now - age for age in ages]):
            self._flush()
        if self.test.has_settled(seat):
            self._pool.defer(seat)

    def _do(self, act: Callable[..., None], *arguments: object) -> None:
        """Let the load test do something, and carry out what it wants."""
        act(trio.current_time(), *arguments)
        self._flush()

    def _flush(self) -> None:
        test = self.test
        while test.seal(trio.current_time()):
            pass
        for batch in test.poll_transmits():
            self._pool.send(batch)
        for seat, command in test.poll_commands():
            self._perform(seat, command)
        if test.phase is not self._phase:
            self._phase_changed()
        at = test.poll_timeout()
        if at is not None and at < self._sleeps_until:
            self._wake.set()

    def _perform(self, seat: int, command: OpenSocket | SendFrame | CloseSocket) -> None:
        match command:
            case OpenSocket():
                assert self._nursery is not None
                self._sessions[seat] = session = Session(self, seat, self._plan.target, self._context)
                self._nursery.start_soon(self._run_session, seat, session, command.request)
            case SendFrame() if seat in self._sessions:
                self._sessions[seat].send(command.frame)
            case CloseSocket() if seat in self._sessions:
                self._sessions[seat].close()
            case _:
                pass  # the socket was lost meanwhile; the participant hears of it

    def _phase_changed(self) -> None:
        self._phase, now = self.test.phase, trio.current_time()
        if self._phase is Phase.WARMING:
            gc.collect()
            gc.freeze()  # a thousand participants live until the end; no collection needs to look at them again
        elif self._phase is Phase.MEASURING:
            self._pool.poll_lost()
            self._overflows = 0
            for watch in filter(None, (self._server, self._own)):
                watch.restart(now)
        elif self._phase is Phase.OVER:
            self._last = self.report()
            self._over.set()

    # Tasks

    async def _run_session(self, seat: int, session: Session, request: HttpRequest) -> None:
        try:
            await session.run(request)
        finally:
            self._sessions.pop(seat, None)
            self._all_gone.set()

    async def _time(self) -> None:
        while True:
            at = self.test.poll_timeout()
            self._sleeps_until = inf if at is None else at
            with trio.move_on_at(self._sleeps_until):
                self._wake = trio.Event()
                await self._wake.wait()
            self._sleeps_until = -inf
            for _ in range(MOST_DEADLINES):
                at = self.test.poll_timeout()
                if at is None or at > trio.current_time():
                    break
                self._do(self.test.handle_timeout)
            await trio.lowlevel.checkpoint()

    async def _show(self, show: Callable[[Report], None]) -> None:
        while True:
            show(self.report())
            await trio.sleep(REPORT_INTERVAL)


def subscriber_roles(subscribers: int, listeners: int) -> list[Role]:
    """Who listens and who counts. Listeners are spread over all, since servers send to one after another, often in the order in
    which they came: the first would measure less latency than there is."""
    before = [index * listeners // max(subscribers, 1) for index in range(subscribers + 1)]
    return [Role.LISTENER if low < high else Role.COUNTER for low, high in pairwise(before)]


async def run_plan(plan: Plan, show: Callable[[Report], None] | None) -> tuple[Report, bool]:
    """Run a load test; the last report, and whether it was interrupted. `show` gets one every second. Raises LoadError."""
    try:
        kernel, sockets = choose_kernel(os.environ.get("ATRIUM_KERNEL", "")), choose()
    except (LocalProtocolError, OSError) as error:
        raise LoadError(str(error)) from error
    found = await find(plan.target, plan.token("probe", publishes=False))
    runner = Runner(plan, found, kernel, sockets)
    interrupted = await runner.run(show)
    return runner.report(), interrupted


async def _first(*waits: Callable[[], Awaitable[object]]) -> int:
    """Wait for one of them; returns which it was."""
    finished: list[int] = []

    async def wait(index: int, each: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
        await each()
        finished.append(index)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        for index, each in enumerate(waits):
            nursery.start_soon(wait, index, each, nursery.cancel_scope)
    return finished[0]
