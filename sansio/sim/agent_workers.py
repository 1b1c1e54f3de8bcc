"""Workers of agents as `livekit-agents` is one, with all that goes wrong with them.

A worker says its load every 2.5 s, and that it is full from 0.7 on; it answers offers, starts an agent for each assignment, ends
it when told to, and names its jobs when it connects again. `OFFERED` and `MISHAPS` are what may happen to it. When its process
ends, another takes its place after a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..auth import verify
from ..ids import SessionId
from ..wire import agent
from .agent_process import SimAgent
from .dice import Table

if TYPE_CHECKING:
    from .agents import AgentsWorld

WorkerStatus = agent.WorkerStatus
UPDATE_INTERVAL_S = 2.5
LOAD_THRESHOLD = 0.7
ASSIGNMENT_TIMEOUT_S = 7.5
DRAIN_S = 30.0
TOKENS_READ = 0.2
"""Share of the agents' tokens that are looked at: that takes longer than all else about an assignment."""
MISHAP_INTERVAL_S = 45.0
TYPES: Table[agent.JobType] = (
    (6, agent.JobType.JT_ROOM),
    (2, agent.JobType.JT_PUBLISHER),
    (2, agent.JobType.JT_PARTICIPANT),
)


class SimWorker:
    """One process of a worker."""

    __slots__ = (
        "accepted", "agent_name", "agents", "capacity", "dice", "id", "is_dead", "is_draining", "job_type", "name", "session",
        "speaks_json", "world",
    )  # fmt: skip

    def __init__(self, world: AgentsWorld, name: str, agent_name: str, job_type: agent.JobType) -> None:
        self.world = world
        self.name = name
        self.agent_name = agent_name
        self.job_type = job_type
        self.dice = world.dice.child(name)
        self.capacity = self.dice.count(3, 20)
        self.speaks_json = self.dice.chance(0.1)
        self.session: SessionId | None = None
        self.id = ""
        self.agents: dict[str, SimAgent] = {}
        """By id of the job."""
        self.accepted: dict[str, float] = {}
        """Jobs that it took, and when, until they are assigned."""
        self.is_draining = False
        self.is_dead = False

    # Its socket

    def connect(self) -> None:
        """Open a socket, register, and name the jobs that go on."""
        if self.is_dead:
            return
        self.id = ""
        self.session = self.world.open_socket(self)
        self._say(register=agent.RegisterWorkerRequest(type=self.job_type, agent_name=self.agent_name, version="1.8.9"))
        if self.agents:
            self._say(migrate_job=agent.MigrateJobRequest(job_ids=list(self.agents)))
        self._update(self.session)

    def handle_message(self, message: agent.ServerMessage) -> None:
        name = message.WhichOneof("message")
        if name == "register":
            self.id = message.register.worker_id
        elif name == "availability":
            self._offered(message.availability.job)
        elif name == "assignment":
            self._assigned(message.assignment)
        elif name == "termination":
            self._terminated(message.termination.job_id)

    def report(self, job_id: str, status: agent.JobStatus) -> None:
        error = self.dice.one_of(("", "it broke")) if status == agent.JobStatus.JS_FAILED else ""
        self._say(update_job=agent.UpdateJobStatus(job_id=job_id, status=status, error=error))

    def forget(self, one: SimAgent, status: agent.JobStatus | None) -> None:
        """The process of a job has ended."""
        self.agents.pop(one.job.id, None)
        if status is not None:
            self.report(one.job.id, status)

    # Its own life

    def live(self) -> None:
        """Connect, and let something happen now and then."""
        self.connect()
        self._next_mishap()

    def crash(self) -> None:
        """The process is killed, and its agents with it; the server may hear of each only later, and of some a goodbye."""
        if not self.is_dead:
            self._die(late=self.dice.draw(((3, 0.0), (2, 12.0))))

    def quit(self) -> None:
        """The end of the simulation: everything ends at once, and nobody takes its place."""
        self.is_dead = True
        self.lose_socket()
        for one in list(self.agents.values()):
            one.die("CLIENT_INITIATED")

    def lose_socket(self) -> None:
        if self.session is not None:
            session, self.session = self.session, None
            self.accepted.clear()
            self.world.close_socket(session)

    def handle_closed(self) -> None:
        """The server closed the socket."""
        self.session = None

    # What it says

    def _say(self, **message: object) -> None:
        if self.session is not None and not self.is_dead:
            self.world.send(self.session, agent.WorkerMessage(**message))  # type: ignore[arg-type]

    def _update(self, session: SessionId) -> None:
        if self.session != session or self.is_dead:
            return
        self._tell_load()
        self.world.after(UPDATE_INTERVAL_S, self._update, session)

    def _tell_load(self) -> None:
        status = WorkerStatus.WS_FULL if self._is_full else WorkerStatus.WS_AVAILABLE
        load = 0.0 if self.is_draining else self._load
        self._say(update_worker=agent.UpdateWorkerStatus(status=status, load=load, job_count=len(self.agents)))

    @property
    def _load(self) -> float:
        return min(1.0, len(self.agents) / self.capacity + self.dice.between(0.0, 0.1))

    @property
    def _is_full(self) -> bool:
        return self.is_draining or len(self.agents) / self.capacity >= LOAD_THRESHOLD

    # Offers

    def _offered(self, job: agent.Job) -> None:
        if self._is_full:
            self._refuse(job.id)
        else:
            self.dice.draw(OFFERED, self.world.mishaps)(self, job.id)

    def _answer(self, job_id: str, available: bool, for_all: bool = False) -> None:
        if available:
            self.accepted[job_id] = self.world.now
        identity = f"agent-{job_id}" if available and self.dice.chance(0.7) else ""
        self._say(
            availability=agent.AvailabilityResponse(
                job_id=job_id, available=available, terminate=for_all, participant_identity=identity
            )
        )

    def _take(self, job_id: str) -> None:
        self._answer_later(self.dice.between(0.001, 0.3), job_id)

    def _take_late(self, job_id: str) -> None:
        self._answer_later(self.dice.between(0.5, 9.9), job_id)

    def _take_too_late(self, job_id: str) -> None:
        self._answer_later(self.dice.between(9.9, 15.0), job_id)

    def _take_twice(self, job_id: str) -> None:
        self._answer_later(self.dice.between(0.001, 0.3), job_id)
        self._answer_later(self.dice.between(0.001, 12.0), job_id)

    def _refuse(self, job_id: str) -> None:
        self._answer(job_id, available=False)

    def _refuse_for_all(self, job_id: str) -> None:
        self._answer(job_id, available=False, for_all=True)

    def _say_nothing(self, _job_id: str) -> None:
        """It hangs."""

    def _crash_at_it(self, _job_id: str) -> None:
        self.crash()

    def _drop_at_it(self, _job_id: str) -> None:
        self._reconnect()

    def _answer_later(self, delay: float, job_id: str) -> None:
        self.world.after(delay, self._answer_in, self.session, job_id)

    def _answer_in(self, session: SessionId | None, job_id: str) -> None:
        if session == self.session:
            self._answer(job_id, available=True)

    # Jobs

    def _assigned(self, assignment: agent.JobAssignment) -> None:
        """Start an agent, unless it came so late that nobody waits for it."""
        job = assignment.job
        accepted_at = self.accepted.pop(job.id, None)
        if accepted_at is None or self.world.now - accepted_at > ASSIGNMENT_TIMEOUT_S:
            return
        identity = job.state.participant_identity
        if self.dice.chance(TOKENS_READ):
            claims = verify(assignment.token, self.world.keys, self.world.wallclock.seconds(self.world.now))
            assert (claims.identity, claims.kind) == (identity, "agent")
        one = self.agents[job.id] = SimAgent(self, job, identity)
        one.start()

    def _terminated(self, job_id: str) -> None:
        one = self.agents.get(job_id)
        if one is not None:
            one.handle_termination()

    # What may happen to it

    def _next_mishap(self) -> None:
        self.world.after(self.dice.between(0.0, 2 * MISHAP_INTERVAL_S / self.world.mishaps), self._mishap)

    def _mishap(self) -> None:
        if self.is_dead or self.world.is_closing:
            return
        self.dice.draw(MISHAPS)(self)
        self._next_mishap()

    def _reconnect(self) -> None:
        """The socket breaks, the process and its agents go on; some come back too late."""
        self.lose_socket()
        self.world.after(self.dice.draw(((8, 0.05), (4, 2.0), (2, 8.0), (2, 11.0), (1, 20.0))), self._connect_again)

    def _connect_again(self) -> None:
        if self.session is None:
            self.connect()

    def _drain(self) -> None:
        """Take no more jobs, end when those that there are have ended."""
        if not self.is_draining:
            self.is_draining = True
            self._tell_load()
            self.world.after(DRAIN_S, self._end_drain)

    def _end_drain(self) -> None:
        if not self.is_dead:
            for one in list(self.agents.values()):
                one.finish(agent.JobStatus.JS_SUCCESS)
            self.world.after(0.5, self._die, 0.0)

    def _talk_nonsense(self) -> None:
        """Words about jobs that are not its own."""
        other = self.dice.one_of([*self.world.ledger.live, "AJ_unknown"])
        if other in self.agents or other in self.accepted:
            return
        if self.world.ledger.is_attached_elsewhere(other, self.session):
            self.report(other, agent.JobStatus.JS_FAILED)
        self._say(availability=agent.AvailabilityResponse(job_id="AJ_nobody", available=True))
        self._say(update_worker=agent.UpdateWorkerStatus(load=float("nan")))
        self._say(update_worker=agent.UpdateWorkerStatus(load=17.0))
        self._tell_load()

    def _simulate_job(self) -> None:
        room = self.dice.one_of([*self.world.rooms.values(), None])
        if room is not None and self.job_type == agent.JobType.JT_ROOM:
            self._say(simulate_job=agent.SimulateJobRequest(room={"name": room.name, "sid": room.sid}))

    def _die(self, late: float) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        self.world.after(self.dice.between(0.0, late), self.lose_socket)
        for one in list(self.agents.values()):
            one.is_over = True
            reason = self.dice.draw(((3, "SIGNAL_CLOSE"), (2, "CONNECTION_TIMEOUT"), (2, "CLIENT_INITIATED")))
            self.world.after(self.dice.between(0.0, 2 * late), one.leave, reason)
        self.world.after(self.dice.between(0.5, 30.0), self.world.replace, self)


OFFERED: Table[Callable[[SimWorker, str], None]] = (
    (80, SimWorker._take),
    (4, SimWorker._take_late),
    (3, SimWorker._take_too_late),
    (2, SimWorker._take_twice),
    (6, SimWorker._refuse),
    (1, SimWorker._refuse_for_all),
    (3, SimWorker._say_nothing),
    (1, SimWorker._crash_at_it),
    (1, SimWorker._drop_at_it),
)
MISHAPS: Table[Callable[[SimWorker], None]] = (
    (4, SimWorker._reconnect),
    (3, SimWorker.crash),
    (2, SimWorker._drain),
    (2, SimWorker._talk_nonsense),
    (2, SimWorker._simulate_job),
)
