"""The sockets of agent workers: the upgrade on `/agent`, frames, registration in time, and ends for a reason.

    connected --register within 10 s--> registered --socket lost, protocol broken, server ends--> gone

Frames are protobuf or JSON; a worker is answered in the encoding of its last one. The first frame that the server sends is the
answer to `register`. What a registered worker says is handed on as it is; whoever breaks the protocol is closed with a reason.
"""

from __future__ import annotations

from typing import NamedTuple

from ..auth import bearer, verify
from ..config import Config
from ..errors import DropReason, Refusal
from ..ids import SessionId
from ..outputs import Accept, Close, Command, HttpRequest, Reject, Send
from ..timers import DeadlineHeap
from ..wallclock import WallClock
from ..wire import WireError, agent, encode_json, parse, parse_json
from .pool import Worker

REGISTER_TIMEOUT_S = 10.0
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
GOING_AWAY = 1001
BEFORE_REGISTRATION = frozenset({"register", "ping"})


class WorkerSession:
    """One socket."""

    __slots__ = ("id", "issuer", "wants_json", "worker")

    def __init__(self, session: SessionId, issuer: str) -> None:
        self.id = session
        self.issuer = issuer
        self.wants_json = False
        self.worker: Worker | None = None
        """Once it has registered."""


class Received(NamedTuple):
    """What a worker said."""

    session: WorkerSession
    name: str
    message: object
    """One of those that `agent.WorkerMessage` may hold, by the name."""


class WorkerSessions:
    """All worker sockets of a node."""

    __slots__ = ("_by_session", "_commands", "_config", "_deadlines", "_gone", "_wallclock", "drops")

    def __init__(self, config: Config, wallclock: WallClock) -> None:
        self._config = config
        self._wallclock = wallclock
        self._by_session: dict[SessionId, WorkerSession] = {}
        self._deadlines: DeadlineHeap[SessionId] = DeadlineHeap()
        self._commands: list[Command] = []
        self._gone: list[tuple[Worker, str]] = []
        self.drops: dict[DropReason, int] = {}

    # Inputs

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> None:
        """Answer an upgrade request."""
        try:
            token = bearer(request.headers, request.query)
            claims = None if token is None else verify(token, self._config.keys, self._wallclock.seconds(now))
        except Refusal as refusal:
            self._commands.append(Reject(session=session, status=refusal.status, body=refusal.message))
            return
        if claims is None or claims.video is None or not claims.video.agent:
            self._commands.append(Reject(session=session, status=401, body="no permissions to access the room"))
            return
        self._by_session[session] = WorkerSession(session, claims.issuer)
        self._deadlines.set(session, now + REGISTER_TIMEOUT_S)
        self._commands.append(Accept(session=session))

    def handle_message(self, session_id: SessionId, frame: bytes | str) -> Received | None:
        """One frame; None if there is nothing to do about it."""
        session = self._by_session.get(session_id)
        if session is None:
            return None
        if len(frame) > self._config.limit.max_signal_message_size:
            self.end(session, "message too large", DropReason.SIGNAL_TOO_LARGE)
            return None
        session.wants_json = isinstance(frame, str)
        try:
            message = (parse_json if isinstance(frame, str) else parse)(agent.WorkerMessage, frame)  # type: ignore[arg-type]
        except WireError:
            self.end(session, "message cannot be decoded", DropReason.SIGNAL_MALFORMED, code=PROTOCOL_ERROR)
            return None
        name = message.WhichOneof("message")
        if name is None:
            self.end(session, "message without content")
        elif session.worker is None and name not in BEFORE_REGISTRATION:
            self.end(session, f"{name} before register")
        else:
            return Received(session, name, getattr(message, name))
        return None

    def handle_disconnect(self, session_id: SessionId) -> None:
        """The socket is gone."""
        session = self._forget(session_id)
        if session is not None and session.worker is not None:
            self._gone.append((session.worker, "disconnected"))

    def handle_timeout(self, now: float) -> None:
        """Close sockets that did not register in time."""
        for session_id in self._deadlines.pop_due(now):
            self.end(self._by_session[session_id], "did not register in time")

    # Commands

    def register(self, session: WorkerSession, worker: Worker) -> None:
        session.worker = worker
        self._deadlines.set(session.id, None)

    def send(self, session_id: SessionId, message: agent.ServerMessage) -> None:
        """Say something to a worker, if its socket is still there."""
        session = self._by_session.get(session_id)
        if session is not None:
            frame = encode_json(message) if session.wants_json else message.SerializeToString()
            self._commands.append(Send(session_id, frame))

    def end(
        self,
        session: WorkerSession,
        text: str,
        reason: DropReason = DropReason.SIGNAL_UNEXPECTED,
        *,
        code: int = POLICY_VIOLATION,
    ) -> None:
        """Close the socket of a worker that broke the protocol."""
        self.count(reason)
        self._forget(session.id)
        if session.worker is not None:
            self._gone.append((session.worker, text))
        self._commands.append(Close(session=session.id, code=code, reason=text))

    def count(self, reason: DropReason, times: int = 1) -> None:
        """What a worker said was of no use."""
        self.drops[reason] = self.drops.get(reason, 0) + times

    def close(self) -> None:
        """Close all sockets: the server ends."""
        for session_id in list(self._by_session):
            self._forget(session_id)
            self._commands.append(Close(session=session_id, code=GOING_AWAY, reason="server is shutting down"))

    # Outputs and getters

    def poll_commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands

    def poll_gone(self) -> list[tuple[Worker, str]]:
        """Registered workers whose socket has ended, and why."""
        gone, self._gone = self._gone, []
        return gone

    def poll_timeout(self) -> float | None:
        return self._deadlines.next()

    def __contains__(self, session: object) -> bool:
        return session in self._by_session

    def __len__(self) -> int:
        return len(self._by_session)

    def _forget(self, session_id: SessionId) -> WorkerSession | None:
        self._deadlines.set(session_id, None)
        return self._by_session.pop(session_id, None)
