"""A load test as one machine: it lets participants join one after another, measures for a while, and lets them go.

    joining --everybody is in, or will not be--> warming --1 s--> measuring --duration--> over
       '--nobody is in--> over                        (`stop` ends it from anywhere)

Publishers come first; subscribers come when no publisher is on its way any more, so that each finds media. A limit of those who
are on their way keeps the load test from timing out its own joins. Counts begin anew when measuring begins; one that is stopped
before keeps those from the start.

It has the verbs of all machines here, with the number of a seat where one participant is meant. After each call, `seal` until
there is no more to seal, each time with the time of that moment, which goes into the packet; then drain `poll_transmits` and
`poll_commands`. `handle_timeout` serves one participant at a time, so that what it sends bears the time when it was sent: call it
again, with a new `now`, while a deadline is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from ..dtls import Certificate, HandshakeFactory, OpenSslHandshake
from ..entropy import Entropy
from ..kernel import Kernel, PureKernel
from ..outputs import Address, Batch
from ..sim.session import ClientCommand
from ..timers import DeadlineHeap, TimerTable
from .figures import Figures, Flow, Quantiles
from .histogram import Histogram
from .options import LoadOptions, Role, Seat
from .participant import Participant, State
from .sealing import Sealer


class Phase(Enum):
    JOINING = "joining"
    WARMING = "warming up"
    MEASURING = "measuring"
    OVER = "over"


class _Timer(Enum):
    NEXT_JOIN = "the next participant may join"
    WARM = "measuring begins"
    END = "measuring ends"


class LoadTest:
    """See the module's text."""

    def __init__(
        self, *, seats: Sequence[Seat], options: LoadOptions, entropy: Entropy, wallclock: float = 0.0,
        certificate: Certificate | None = None, handshake: HandshakeFactory = OpenSslHandshake,
        kernel: Kernel | None = None,
    ) -> None:  # fmt: skip
        """All participants share a certificate, made at `wallclock` if none is given, and a kernel, the pure one by default."""
        certificate = certificate or Certificate.generate(wallclock)
        kernel = kernel or PureKernel(entropy)
        self.phase = Phase.JOINING
        self._options = options
        ordered = sorted(range(len(seats)), key=lambda index: seats[index].role is not Role.PUBLISHER)
        self._order = iter(ordered)
        self._coming = next(self._order, None)
        self._sealer = Sealer()
        self._participants = [
            Participant(
                seat, options, entropy=entropy, certificate=certificate, handshake=handshake, kernel=kernel, sealer=self._sealer
            )
            for seat in seats
        ]  # fmt: skip
        self._joining: set[int] = set()
        self._began = 0.0
        self._final: Figures | None = None
        self._next_join = 0.0
        self._deadlines: DeadlineHeap[int] = DeadlineHeap()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._commands: list[tuple[int, ClientCommand]] = []
        self._transmits: list[Batch] = []

    # Input

    def handle_accepted(self, now: float, seat: int) -> None:
        """The WebSocket of that participant is open."""
        self._participants[seat].client.handle_accepted(now)
        self._settle(now, seat)

    def handle_rejected(self, now: float, seat: int, status: int, reason: str) -> None:
        """Its WebSocket was refused; status 0 where there was no answer at all."""
        self._participants[seat].client.handle_rejected(now, status, reason)
        self._settle(now, seat)

    def handle_frame(self, now: float, seat: int, frame: bytes) -> None:
        if self._participants[seat].handle_frame(now, frame):
            self._settle(now, seat)

    def handle_socket_closed(self, now: float, seat: int) -> None:
        self._participants[seat].client.handle_socket_closed(now)
        self._settle(now, seat)

    def handle_datagrams(
        self, now: float, seat: int, batch: Sequence[tuple[Address, Address, bytes]], arrivals: Sequence[float] = ()
    ) -> bool:
        """(local, remote, data) each, and when each came if not now. Whether there is anything to drain."""
        is_news = self._participants[seat].handle_datagrams(now, batch, arrivals)
        if is_news:
            self._settle(now, seat, came=arrivals[-1] if arrivals else now)
        return is_news

    def handle_timeout(self, now: float) -> None:
        """Serve whoever is due first."""
        due = self._timers.expire(now)
        for timer in due:
            self._expired(now, timer)
        first = self._deadlines.next()
        if not due and first is not None and first <= now:
            seat = self._deadlines.next_owner()
            assert seat is not None
            self._participants[seat].handle_timeout(now)
            self._settle(now, seat)

    # Commands

    def start(self, now: float) -> None:
        self._began = self._next_join = now
        self._admit(now)

    def stop(self, now: float) -> None:
        """Everybody leaves; what was measured stays."""
        if self.phase is Phase.OVER:
            return
        self._final = self._figures(now)
        self.phase = Phase.OVER
        self._coming = None
        self._timers.cancel_all()
        for seat, participant in enumerate(self._participants):
            if participant.state in (State.JOINING, State.IN):
                participant.client.leave(now)
                self._drain(seat)

    # Output

    def poll_commands(self) -> list[tuple[int, ClientCommand]]:
        """Seat and command each."""
        commands, self._commands = self._commands, []
        return commands

    def seal(self, now: float) -> bool:
        """Make the next packet of media ready, which then says that it was sent `now`; False if there is none. A server sees the
        packets of a frame together, so seal all of them before any is sent."""
        return self._sealer.seal(now)

    def poll_transmits(self) -> list[Batch]:
        transmits, self._transmits = self._transmits, []
        return transmits + self._sealer.poll_transmits()

    def poll_timeout(self) -> float | None:
        return min((at for at in (self._timers.next(), self._deadlines.next()) if at is not None), default=None)

    # Getters

    def figures(self, now: float) -> Figures:
        """What was measured so far; once it is over, what was measured then."""
        return self._final or self._figures(now)

    def has_settled(self, seat: int) -> bool:
        """Whether that participant will only count from now on, so that it matters little when its datagrams are read."""
        participant = self._participants[seat]
        is_in = participant.state is State.IN and participant.first_media_at is not None
        return is_in and participant.seat.role is Role.COUNTER

    # Joining

    def _admit(self, now: float) -> None:
        """Let those join whose time has come."""
        while self._coming is not None and self._may_join(now):
            seat, self._coming = self._coming, next(self._order, None)
            self._joining.add(seat)
            self._next_join += 1 / self._options.joins_per_second
            self._participants[seat].start(now)
            self._drain(seat)
        if self._coming is not None and now < self._next_join:
            self._timers.set(_Timer.NEXT_JOIN, self._next_join)
        elif self._coming is not None:
            self._next_join = now  # who waited for others does not make up for it in a burst
        elif not self._joining and self.phase is Phase.JOINING:
            self._all_settled(now)

    def _may_join(self, now: float) -> bool:
        if now < self._next_join or len(self._joining) >= self._options.most_joining:
            return False
        assert self._coming is not None
        is_publisher = self._participants[self._coming].seat.role is Role.PUBLISHER
        return is_publisher or all(self._participants[one].seat.role is not Role.PUBLISHER for one in self._joining)

    def _all_settled(self, now: float) -> None:
        if any(participant.state is State.IN for participant in self._participants):
            self.phase = Phase.WARMING
            self._timers.set(_Timer.WARM, now + self._options.warm_up)
        else:
            self.stop(now)

    def _expired(self, now: float, timer: _Timer) -> None:
        match timer:
            case _Timer.NEXT_JOIN:
                self._admit(now)
            case _Timer.WARM:
                self.phase = Phase.MEASURING
                self._began = now
                for participant in self._participants:
                    participant.restart_counts()
                self._timers.set(_Timer.END, now + self._options.duration)
            case _Timer.END:
                self.stop(now)

    # Draining

    def _settle(self, now: float, seat: int, *, came: float | None = None) -> None:
        """What follows from an input to a participant, which came earlier if that is given."""
        participant = self._participants[seat]
        participant.handle_events(now, now if came is None else came)
        self._drain(seat)
        if seat in self._joining and participant.state is not State.JOINING:
            self._joining.discard(seat)
            self._admit(now)

    def _drain(self, seat: int) -> None:
        participant = self._participants[seat]
        self._commands += [(seat, command) for command in participant.client.poll_commands()]
        self._transmits += participant.client.poll_transmits()
        self._deadlines.set(seat, participant.poll_timeout())

    # Figures

    def _figures(self, now: float) -> Figures:
        all_of_them = self._participants
        inside = [one for one in all_of_them if one.state is State.IN]
        publishers = [one for one in all_of_them if one.seat.role is Role.PUBLISHER]
        subscribers = [one for one in all_of_them if one.seat.role is not Role.PUBLISHER]
        return Figures(
            phase=self.phase.value,
            seconds=now - self._began,
            wanted=len(all_of_them),
            joining=len(self._joining),
            publishers=sum(one.seat.role is Role.PUBLISHER for one in inside),
            subscribers=sum(one.seat.role is not Role.PUBLISHER for one in inside),
            refused=_reasons(all_of_them, State.REFUSED),
            dropped=_reasons(all_of_them, State.DROPPED),
            sent_packets=sum(one.sent_packets for one in publishers),
            received=_flows(subscribers),
            latency=_latencies(subscribers),
            joined=_since_start(all_of_them, [one.joined_at for one in all_of_them]),
            connected=_since_start(all_of_them, [one.connected_at for one in all_of_them]),
            first_media=_since_start(subscribers, [one.first_media_at for one in subscribers]),
        )


def _reasons(participants: Iterable[Participant], state: State) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for one in participants:
        if one.state is state:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    return reasons


def _flows(subscribers: Iterable[Participant]) -> dict[str, Flow]:
    total: dict[str, Flow] = {}
    for one in subscribers:
        for kind, flow in one.flows().items():
            total[kind] = total.get(kind, Flow()) + flow
    return total


def _latencies(subscribers: Iterable[Participant]) -> dict[str, Quantiles]:
    parts: dict[str, list[Histogram]] = {}
    for one in subscribers:
        for kind, histogram in one.latencies():
            parts.setdefault(kind, []).append(histogram)
    whole = {kind: Histogram.of(histograms) for kind, histograms in parts.items()}
    return {kind: Quantiles.of(histogram) for kind, histogram in whole.items() if histogram.count}


def _since_start(participants: Sequence[Participant], times: Sequence[float | None]) -> Quantiles:
    histogram = Histogram()
    for one, at in zip(participants, times, strict=True):
        if at is not None:
            histogram.add(at - one.started_at)
    return Quantiles.of(histogram)
