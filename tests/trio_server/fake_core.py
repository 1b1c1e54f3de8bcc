"""A stand-in for the core: the same verbs, answers by a script, remembers what it was fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sansio.events import Event
from sansio.ids import SessionId
from sansio.outputs import Accept, Address, Batch, Close, Command, HttpRequest, Reject, Respond, Send, Transmit
from trio_server.engine import Datagram

Answer = Callable[["FakeCore", SessionId, HttpRequest], None]


class FakeCore:
    """Accepts upgrades, echoes messages and datagrams, answers requests with what they asked."""

    def __init__(self) -> None:
        self.fed: list[tuple[str, object]] = []
        self.requests: list[HttpRequest] = []
        self.sockets: list[tuple[Address, Sequence[Address]]] = []
        self.commands: list[Command] = []
        self.transmits: list[Transmit] = []
        self.events: list[Event] = []
        self.deadline: float | None = None
        self.timeouts: list[float] = []
        self.ages: list[float] = []
        self.sessions: set[SessionId] = set()
        self.is_empty = True
        self.fail: set[str] = set()
        self.silent_paths: set[str] = set()
        """Requests and upgrades of these paths get no answer."""

    # Input

    def add_socket(self, local: Address, advertised: Sequence[Address]) -> None:
        self.sockets.append((local, advertised))

    def handle_datagrams(self, now: float, batch: Sequence[Datagram], arrivals: Sequence[float]) -> None:
        self._note("datagrams", list(batch))
        self.ages += [now - at for at in arrivals]
        self.transmits += [Transmit(local, remote, data) for local, remote, data in batch]

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> None:
        self._note("connect", session)
        self.requests.append(request)
        token = request.query.get("access_token", "")
        if request.path in self.silent_paths:
            return
        if token == "bad":
            self.commands.append(Reject(session=session, status=401, body="invalid token"))
            return
        self.sessions.add(session)
        self.commands.append(Accept(session=session, frames=(b"join",)))

    def handle_message(self, now: float, session: SessionId, data: bytes | str) -> None:
        self._note("message", (session, data))
        if data == b"leave":
            self.commands += [Send(session, b"bye"), Close(session=session)]
        elif data == b"fills":
            self.commands += [Send(session, bytes(1 << 16)) for _ in range(200)]
        elif data == b"flood":
            self.commands += [Send(session, bytes(1 << 16)) for _ in range(2000)]
        else:
            self.commands.append(Send(session, data))

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        self._note("disconnect", session)
        self.sessions.discard(session)

    def handle_request(self, now: float, ref: int, request: HttpRequest) -> None:
        self._note("request", request.path)
        self.requests.append(request)
        if request.path in self.silent_paths:
            return
        status = 200 if request.path in ("/", "/rtc/validate") else 404
        body = b"OK" if request.path == "/" else f"{request.method} {request.path}".encode()
        self.commands.append(Respond(ref=ref, status=status, body=body))

    def handle_timeout(self, now: float) -> None:
        self._note("timeout", now)
        self.timeouts.append(now)
        self.deadline = None

    # Output

    def poll_transmits(self) -> list[Batch]:
        transmits, self.transmits = self.transmits, []
        return [Batch.of(transmits)] if transmits else []

    def poll_commands(self) -> list[Command]:
        commands, self.commands = self.commands, []
        return commands

    def poll_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def poll_timeout(self) -> float | None:
        return self.deadline

    # Commands

    def set_wallclock(self, offset: float) -> None:
        self._note("wallclock", offset)

    def drain(self, now: float) -> None:
        self._note("drain", now)

    def close(self, now: float) -> None:
        self._note("close", now)
        for session in sorted(self.sessions):
            self.commands += [Send(session, b"server shutdown"), Close(session=session)]

    # For tests

    def names(self) -> list[str]:
        """What was fed, by name."""
        return [name for name, _ in self.fed]

    def _note(self, name: str, what: object) -> None:
        self.fed.append((name, what))
        if name in self.fail:
            raise RuntimeError(f"{name} fails as told")
