"""Agent workers up to their registration: the socket `/agent`, its token, `register`, worker ids, pings.

    connected --register within 10 s--> registered --socket lost, protocol broken, server ends--> gone

The first frame that the server sends is the answer to `register`. Frames are protobuf or JSON; the server answers in the
encoding of the last one it received. A worker that breaks the protocol is closed with a reason. Job offers and dispatch are
not here yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..auth import bearer, verify
from ..config import Config
from ..entropy import Entropy
from ..errors import DropReason, Refusal
from ..events import Event, WorkerGone, WorkerRegistered
from ..ids import NodeId, SessionId, mint
from ..outputs import Accept, Close, Command, HttpRequest, Reject, Send
from ..timers import DeadlineHeap
from ..wallclock import WallClock
from ..wire import WireError, agent, encode_json, models, parse, parse_json

REGISTER_TIMEOUT_S = 10.0
MAX_DEPLOYMENT_BYTES = 64
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
GOING_AWAY = 1001

JOB_TYPES = {
    int(agent.JobType.JT_ROOM): "room",
    int(agent.JobType.JT_PUBLISHER): "publisher",
    int(agent.JobType.JT_PARTICIPANT): "participant",
}


class ProtocolBreak(Exception):  # noqa: N818 - private to this module: ends the socket with its text
    """The worker did what the protocol does not allow."""


class Worker:
    """One worker's socket."""

    __slots__ = (
        "agent_name", "deployment", "id", "is_registered", "job_count", "job_type", "load", "namespace", "permissions", "session",
        "status", "version", "wants_json",
    )  # fmt: skip

    def __init__(self, session: SessionId) -> None:
        self.session = session
        self.id = ""
        self.is_registered = False
        self.wants_json = False
        self.job_type = 0
        self.agent_name = ""
        self.namespace = ""
        self.deployment = ""
        self.version = ""
        self.permissions: models.ParticipantPermission | None = None
        self.status: int = agent.WorkerStatus.WS_AVAILABLE
        self.load = 0.0
        self.job_count = 0


class WorkerSessions:
    """All worker sockets of a node."""

    __slots__ = ("_by_session", "_config", "_deadlines", "_entropy", "_events", "_node_id", "_wallclock", "drops")

    def __init__(self, config: Config, entropy: Entropy, wallclock: WallClock, node_id: NodeId) -> None:
        self._config = config
        self._entropy = entropy
        self._wallclock = wallclock
        self._node_id = node_id
        self._by_session: dict[SessionId, Worker] = {}
        self._deadlines: DeadlineHeap[SessionId] = DeadlineHeap()
        self._events: list[Event] = []
        self.drops: dict[DropReason, int] = {}

    # Inputs

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> list[Command]:
        """Answer an upgrade request on `/agent`."""
        try:
            token = bearer(request.headers, request.query)
            claims = None if token is None else verify(token, self._config.keys, self._wallclock.seconds(now))
        except Refusal as refusal:
            return [Reject(session=session, status=refusal.status, body=refusal.message)]
        if claims is None or claims.video is None or not claims.video.agent:
            return [Reject(session=session, status=401, body="no permissions to access the room")]
        self._by_session[session] = Worker(session)
        self._deadlines.set(session, now + REGISTER_TIMEOUT_S)
        return [Accept(session=session)]

    def handle_message(self, now: float, session: SessionId, frame: bytes | str) -> list[Command]:
        """One frame of a worker."""
        worker = self._by_session.get(session)
        if worker is None:
            return []
        try:
            if len(frame) > self._config.limit.max_signal_message_size:
                raise ProtocolBreak("message too large")
            return self._handle(now, worker, _decode(frame), isinstance(frame, str))
        except WireError:
            return self._end(worker, PROTOCOL_ERROR, "message cannot be decoded", DropReason.SIGNAL_MALFORMED)
        except ProtocolBreak as broken:
            return self._end(worker, POLICY_VIOLATION, str(broken), DropReason.SIGNAL_UNEXPECTED)

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        """The socket is gone."""
        worker = self._by_session.pop(session, None)
        self._deadlines.set(session, None)
        if worker is not None and worker.is_registered:
            self._events.append(WorkerGone(worker=worker.id, reason="disconnected"))

    def handle_timeout(self, now: float) -> list[Command]:
        """Close sockets that did not register in time."""
        commands: list[Command] = []
        for session in self._deadlines.pop_due(now):
            worker = self._by_session.get(session)
            if worker is not None and not worker.is_registered:
                commands += self._end(
                    worker, POLICY_VIOLATION, "did not register in time", DropReason.SIGNAL_UNEXPECTED
                )
        return commands

    def close(self, now: float) -> list[Command]:
        """Close all sockets: the server ends."""
        commands: list[Command] = [
            Close(session=session, code=GOING_AWAY, reason="server is shutting down") for session in self._by_session
        ]
        for session in self._by_session:
            self._deadlines.set(session, None)
        self._by_session.clear()
        return commands

    # Outputs and getters

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        return self._deadlines.next()

    def __contains__(self, session: object) -> bool:
        return session in self._by_session

    def __len__(self) -> int:
        return len(self._by_session)

    # Messages

    def _handle(self, now: float, worker: Worker, message: agent.WorkerMessage, is_text: bool) -> list[Command]:
        worker.wants_json = is_text
        name = message.WhichOneof("message")
        handler = _HANDLERS.get(name or "")
        if name is None or handler is None:
            raise ProtocolBreak("message without content")
        if not worker.is_registered and name not in ("register", "ping"):
            raise ProtocolBreak(f"{name} before register")
        reply = handler(self, now, worker, getattr(message, name))
        return [] if reply is None else [Send(worker.session, _encode(reply, worker.wants_json))]

    def _register(self, now: float, worker: Worker, request: agent.RegisterWorkerRequest) -> agent.ServerMessage:
        if worker.is_registered:
            raise ProtocolBreak("registered already")
        if request.type not in JOB_TYPES:
            raise ProtocolBreak("unknown job type")
        check_deployment(request.deployment)
        worker.id = mint("AW_", self._entropy)
        worker.is_registered = True
        worker.job_type = request.type
        worker.agent_name = request.agent_name
        worker.namespace = request.namespace
        worker.deployment = request.deployment
        worker.version = request.version
        worker.permissions = request.allowed_permissions if request.HasField("allowed_permissions") else None
        self._deadlines.set(worker.session, None)
        self._events.append(
            WorkerRegistered(worker=worker.id, agent_name=worker.agent_name, job_type=JOB_TYPES[worker.job_type])
        )
        info = models.ServerInfo(
            edition=models.ServerInfo.Edition.Standard,
            version=self._config.version,
            protocol=17,
            region=self._config.region,
            node_id=self._node_id,
            agent_protocol=1,
        )
        return agent.ServerMessage(register=agent.RegisterWorkerResponse(worker_id=worker.id, server_info=info))

    def _update(self, now: float, worker: Worker, update: agent.UpdateWorkerStatus) -> None:
        if update.HasField("status"):
            worker.status = update.status
        worker.load = update.load
        worker.job_count = update.job_count

    def _ping(self, now: float, worker: Worker, ping: agent.WorkerPing) -> agent.ServerMessage:
        pong = agent.WorkerPong(last_timestamp=ping.timestamp, timestamp=self._wallclock.milliseconds(now))
        return agent.ServerMessage(pong=pong)

    def _about_unknown_job(self, now: float, worker: Worker, message: object) -> None:
        """Answers and states of jobs that this server never gave out."""
        self.drops[DropReason.SIGNAL_UNEXPECTED] = self.drops.get(DropReason.SIGNAL_UNEXPECTED, 0) + 1

    def _end(self, worker: Worker, code: int, text: str, reason: DropReason) -> list[Command]:
        self.drops[reason] = self.drops.get(reason, 0) + 1
        self._by_session.pop(worker.session, None)
        self._deadlines.set(worker.session, None)
        if worker.is_registered:
            self._events.append(WorkerGone(worker=worker.id, reason=text))
        return [Close(session=worker.session, code=code, reason=text)]


_Handler = Callable[[WorkerSessions, float, Worker, Any], "agent.ServerMessage | None"]

_HANDLERS: dict[str, _Handler] = {
    "register": WorkerSessions._register,
    "update_worker": WorkerSessions._update,
    "ping": WorkerSessions._ping,
    "availability": WorkerSessions._about_unknown_job,
    "update_job": WorkerSessions._about_unknown_job,
    "migrate_job": WorkerSessions._about_unknown_job,
    "simulate_job": WorkerSessions._about_unknown_job,
}


def check_deployment(deployment: str) -> None:
    """Raises ProtocolBreak for a deployment name that the protocol does not allow."""
    if len(deployment.encode()) > MAX_DEPLOYMENT_BYTES:
        raise ProtocolBreak("deployment is too long")
    if "_" in deployment:
        raise ProtocolBreak("deployment contains reserved character '_'")
    if any(c.isspace() or not c.isprintable() for c in deployment):
        raise ProtocolBreak("deployment contains white space or control characters")


def _decode(frame: bytes | str) -> agent.WorkerMessage:
    return parse_json(agent.WorkerMessage, frame) if isinstance(frame, str) else parse(agent.WorkerMessage, frame)


def _encode(message: agent.ServerMessage, as_json: bool) -> bytes | str:
    return encode_json(message) if as_json else message.SerializeToString()
