"""A load test and a node in virtual time, with a wire between them that delays and sometimes loses."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from sansio.auth import Claims, VideoGrant, mint
from sansio.config import Config
from sansio.entropy import SeededEntropy
from sansio.ids import SessionId
from sansio.kernel import Kernel
from sansio.load import CloseSocket, LoadOptions, LoadTest, OpenSocket, Phase, Role, Seat, SendFrame
from sansio.node import Node
from sansio.outputs import Accept, Address, Close, Reject, Send, Transmit
from sansio.sim import SeededDtls

KEY, SECRET = "key", "secret-of-thirty-two-characters-"
SERVER = ("10.9.0.1", 7882)
WALLCLOCK = 1_700_000_000.0

Action = Callable[[], None]


def seats(publishers: int = 1, listeners: int = 1, counters: int = 1, *, secret: str = SECRET) -> list[Seat]:
    roles = [Role.LISTENER] * listeners + [Role.COUNTER] * counters + [Role.PUBLISHER] * publishers
    return [_seat(index, role, secret) for index, role in enumerate(roles)]


def _seat(index: int, role: Role, secret: str) -> Seat:
    identity = f"{role.value}-{index}"
    claims = Claims(
        issuer=KEY, identity=identity, video=VideoGrant(room_join=True, room="load"), expires_at=WALLCLOCK + 3600
    )
    token = mint(claims, secret, wallclock=WALLCLOCK)
    return Seat(identity=identity, role=role, address=(f"10.0.{index >> 8}.{index & 255}", 40_000), token=token)


class LoadWorld:
    def __init__(
        self, seats: list[Seat], options: LoadOptions, *, latency: float = 0.020, loses: Callable[[int], bool] | None = None,
        kernel: Kernel | None = None, sealing: float = 0.0, reading: float = 0.0,
    ) -> None:  # fmt: skip
        """`loses` is asked for every datagram from the server, with its number. Between making a frame and sealing it `sealing`
        seconds pass, and datagrams wait `reading` seconds to be read."""
        dtls = SeededDtls(5)
        self.now = 100.0
        self._latency = latency
        self._loses = loses or (lambda _: False)
        self._sealing, self._reading = sealing, reading
        self._datagrams = 0
        self._hosts = {seat.address[0]: index for index, seat in enumerate(seats)}
        self._addresses = [seat.address[0] for seat in seats]
        self.node = Node(
            Config(keys={KEY: SECRET}), entropy=SeededEntropy(3), wallclock_offset=WALLCLOCK,
            certificate=dtls.certificate("node"), handshake=dtls.handshake,
        )  # fmt: skip
        self.node.add_socket(SERVER, [SERVER])
        self.test = LoadTest(
            seats=seats, options=options, entropy=SeededEntropy(4), certificate=dtls.certificate("load"),
            handshake=dtls.handshake, kernel=kernel,
        )  # fmt: skip
        self.open: set[int] = set()
        """Seats whose WebSocket is open."""
        self._arrivals: list[tuple[float, int, Action]] = []
        self._order = 0

    def run(self, seconds: float = 600.0) -> None:
        """Until it is over and everybody has left, or so long."""
        until = self.now + seconds
        while not (self.test.phase is Phase.OVER and not self._arrivals):
            at = min(self._arrivals[0][0] if self._arrivals else until + 1, *self._deadlines(until))
            if at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            while self._arrivals and self._arrivals[0][0] <= self.now:
                heappop(self._arrivals)[2]()
                self.flush()
            for machine in (self.node, self.test):
                due = machine.poll_timeout()
                if due is not None and due <= self.now:
                    machine.handle_timeout(self.now)
                    self.flush()

    def start(self) -> None:
        self.test.start(self.now)
        self.flush()

    def flush(self) -> None:
        while self.test.seal(self.now + self._sealing):
            pass
        for batch in self.test.poll_transmits():
            for transmit in batch:
                self._up(transmit)
        for seat, request in self.test.poll_commands():
            self._later(lambda seat=seat, request=request: self._request(seat, request))  # type: ignore[misc]
        for batch in self.node.poll_transmits():
            for transmit in batch:
                self._down(transmit)
        for command in self.node.poll_commands():
            if isinstance(command, Accept | Reject | Send | Close):
                self._later(lambda command=command: self._answer(command))  # type: ignore[misc]
        self.node.poll_events()

    def _deadlines(self, until: float) -> list[float]:
        return [until + 1 if at is None else at for at in (self.node.poll_timeout(), self.test.poll_timeout())]

    def _later(self, action: Action, *, extra: float = 0.0) -> None:
        self._order += 1
        heappush(self._arrivals, (self.now + self._latency + extra, self._order, action))

    def _up(self, transmit: Transmit) -> None:
        local, remote, data = transmit
        self._later(lambda: self.node.handle_datagrams(self.now, [(remote, local, data)]), extra=self._sealing)

    def _down(self, transmit: Transmit) -> None:
        local, remote, data = transmit
        self._datagrams += 1
        seat = self._hosts.get(remote[0])
        if seat is not None and not self._loses(self._datagrams):
            datagram: tuple[Address, Address, bytes] = (remote, local, data)
            came = self.now + self._latency
            self._later(lambda: self._take(seat, datagram, came), extra=self._reading)

    def _take(self, seat: int, datagram: tuple[Address, Address, bytes], came: float) -> None:
        self.test.handle_datagrams(self.now, seat, [datagram], [came])

    def _request(self, seat: int, command: OpenSocket | SendFrame | CloseSocket) -> None:
        session = SessionId(seat)
        match command:
            case OpenSocket():
                self.node.handle_connect(self.now, session, command.request)
            case SendFrame():
                self.node.handle_message(self.now, session, command.frame)
            case CloseSocket():
                self.open.discard(seat)
                self.node.handle_disconnect(self.now, session)

    def _answer(self, command: Accept | Reject | Send | Close) -> None:
        seat, test = int(command.session), self.test
        match command:
            case Accept():
                self.open.add(seat)
                test.handle_accepted(self.now, seat)
                for frame in command.frames:
                    self._frame(seat, frame)
            case Send():
                self._frame(seat, command.frame)
            case Reject():
                test.handle_rejected(self.now, seat, command.status, command.body)
            case Close():
                self.open.discard(seat)
                test.handle_socket_closed(self.now, seat)

    def _frame(self, seat: int, frame: bytes | str) -> None:
        self.test.handle_frame(self.now, seat, frame if isinstance(frame, bytes) else frame.encode())
