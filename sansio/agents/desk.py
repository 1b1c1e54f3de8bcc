"""What agent workers say, and what they are told: the messages of `/agent`, brought to the dispatcher and the keeper.

Answers and states about jobs that are not the worker's own are counted and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

from ..config import Config
from ..entropy import Entropy
from ..errors import DropReason, Refusal
from ..events import AnswerRefused, Event, WorkerGone, WorkerRegistered
from ..ids import NodeId, SessionId, mint
from ..wallclock import WallClock
from ..wire import agent, models
from .dispatcher import Answered, Dispatcher
from .dispatches import Dispatches, check_deployment
from .job import Job, Wanted
from .keeper import Keeper
from .orders import Acceptance
from .pool import PoolKey, Worker
from .sessions import WorkerSession, WorkerSessions

JobType = agent.JobType
SIGNAL_PROTOCOL, AGENT_PROTOCOL = 17, 1
JOB_TYPES = {
    int(JobType.JT_ROOM): "room",
    int(JobType.JT_PUBLISHER): "publisher",
    int(JobType.JT_PARTICIPANT): "participant",
}


class Desk:
    """Talks with registered workers."""

    __slots__ = (
        "_config", "_dispatcher", "_dispatches", "_entropy", "_events", "_keeper", "_node_id", "_sessions", "_sockets",
        "_wallclock",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        entropy: Entropy,
        wallclock: WallClock,
        node_id: NodeId,
        *,
        sessions: WorkerSessions,
        dispatcher: Dispatcher,
        keeper: Keeper,
        dispatches: Dispatches,
    ) -> None:
        self._config = config
        self._entropy = entropy
        self._wallclock = wallclock
        self._node_id = node_id
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._dispatches = dispatches
        self._sockets: dict[str, SessionId] = {}
        """Of registered workers, by id."""
        self._events: list[Event] = []

    def handle_message(self, now: float, session: SessionId, frame: bytes | str) -> None:
        """One frame of a worker."""
        received = self._sessions.handle_message(session, frame)
        if received is not None:
            _HANDLERS[received.name](self, now, received.session, received.message)

    def handle_gone(self, now: float) -> None:
        """Let go of workers whose socket has ended."""
        for worker, why in self._sessions.poll_gone():
            del self._sockets[worker.id]
            self._events.append(WorkerGone(worker=worker.id, reason=why))
            self._dispatcher.remove_worker(now, worker)
            self._keeper.worker_gone(now, worker)

    def tell(self, worker: Worker, message: agent.ServerMessage) -> None:
        """Say something to a worker, if it is still there."""
        session = self._sockets.get(worker.id)
        if session is not None:
            self._sessions.send(session, message)

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # Messages

    def _register(self, now: float, session: WorkerSession, request: agent.RegisterWorkerRequest) -> None:
        broken = _broken(session, request)
        if broken:
            self._sessions.end(session, broken)
            return
        key = PoolKey(request.agent_name, request.namespace, request.type, request.deployment)
        permissions = request.allowed_permissions if request.HasField("allowed_permissions") else None
        worker = Worker(mint("AW_", self._entropy), key, issuer=session.issuer, permissions=permissions)
        self._sessions.register(session, worker)
        self._sockets[worker.id] = session.id
        self._events.append(
            WorkerRegistered(worker=worker.id, agent_name=request.agent_name, job_type=JOB_TYPES[request.type])
        )
        info = models.ServerInfo(
            edition=models.ServerInfo.Edition.Standard,
            version=self._config.version,
            protocol=SIGNAL_PROTOCOL,
            region=self._config.region,
            node_id=self._node_id,
            agent_protocol=AGENT_PROTOCOL,
        )
        answer = agent.RegisterWorkerResponse(worker_id=worker.id, server_info=info)
        self._sessions.send(session.id, agent.ServerMessage(register=answer))
        self._dispatcher.add_worker(now, worker)

    def _update(self, now: float, session: WorkerSession, update: agent.UpdateWorkerStatus) -> None:
        worker = session.worker
        assert worker is not None
        load = worker.load if isnan(update.load) else min(max(update.load, 0.0), 1.0)
        if load != update.load:
            self._sessions.count(DropReason.WORKER_LOAD)
        status = update.status if update.HasField("status") else worker.status
        self._dispatcher.update_worker(now, worker, status=status, load=load)

    def _ping(self, now: float, session: WorkerSession, ping: agent.WorkerPing) -> None:
        pong = agent.WorkerPong(last_timestamp=ping.timestamp, timestamp=self._wallclock.milliseconds(now))
        self._sessions.send(session.id, agent.ServerMessage(pong=pong))

    def _answer(self, now: float, session: WorkerSession, answer: agent.AvailabilityResponse) -> None:
        worker = session.worker
        assert worker is not None
        acceptance = _acceptance(answer) if answer.available else None
        answered = self._dispatcher.handle_answer(now, worker, answer.job_id, acceptance, for_all=answer.terminate)
        if answered is Answered.TAKEN:
            return
        self._sessions.count(DropReason.JOB_LATE if answered is Answered.LATE else DropReason.JOB_UNKNOWN)
        if answer.available:
            self._events.append(AnswerRefused(job=answer.job_id, worker=worker.id, reason=answered.value))

    def _job_status(self, now: float, session: WorkerSession, update: agent.UpdateJobStatus) -> None:
        assert session.worker is not None
        if not self._keeper.handle_status(now, session.worker, update.job_id, update.status, update.error):
            self._sessions.count(DropReason.JOB_UNKNOWN)
        self._dispatcher.handle_progress(now, session.worker)

    def _migrate(self, now: float, session: WorkerSession, request: agent.MigrateJobRequest) -> None:
        assert session.worker is not None
        unknown = self._keeper.migrate(now, session.worker, request.job_ids)
        if unknown:
            self._sessions.count(DropReason.JOB_UNKNOWN, unknown)

    def _simulate(self, now: float, session: WorkerSession, request: agent.SimulateJobRequest) -> None:
        """A worker wants a job for itself, in a room that it names."""
        worker = session.worker
        assert worker is not None
        if not request.room.name:
            self._sessions.end(session, "simulate_job without a room")
            return
        participant = request.participant.identity
        job_type = JobType.JT_PUBLISHER if participant else JobType.JT_ROOM
        room = self._dispatches.room_named(request.room.name)
        wanted = Wanted(
            room_sid=request.room.sid if room is None else room.sid,
            room=request.room.name,
            key=worker.key._replace(job_type=job_type),
            participant=participant,
        )
        job = Job(now, mint("AJ_", self._entropy), wanted, only_worker=worker)
        if room is not None:
            room.keep_simulated(job)
        self._dispatcher.place(now, job)


def _broken(session: WorkerSession, request: agent.RegisterWorkerRequest) -> str:
    """What is wrong with a registration."""
    if session.worker is not None:
        return "registered already"
    if request.type not in JOB_TYPES:
        return "unknown job type"
    try:
        check_deployment(request.deployment)
    except Refusal as refusal:
        return refusal.message
    return ""


def _acceptance(answer: agent.AvailabilityResponse) -> Acceptance:
    return Acceptance(
        answer.participant_identity,
        answer.participant_name,
        answer.participant_metadata,
        dict(answer.participant_attributes),
    )


_HANDLERS: dict[str, Callable[[Desk, float, WorkerSession, Any], None]] = {
    "register": Desk._register,
    "update_worker": Desk._update,
    "ping": Desk._ping,
    "availability": Desk._answer,
    "update_job": Desk._job_status,
    "migrate_job": Desk._migrate,
    "simulate_job": Desk._simulate,
}
