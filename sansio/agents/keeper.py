"""Watches over jobs that a worker has taken, until each has its final state.

    ASSIGNED --agent joins--> RUNNING --agent leaves--> ABSENT --comes back--> RUNNING
    any of them --its worker tells the end, or it is lost, or its worker says nothing in time--> ENDED

A job is lost when its agent is away (it left, or did not come in time) and its worker is gone (its socket dropped and it did not
come back in time to name the job) or said that the job failed. One of the two alone loses nothing: agents go on while their
worker reconnects, and workers are asked how a job ended whose agent left. `Lost` tells whoever may put another job in its place.

The worker is told of the end (`Terminate`) as soon as the agent has left for good; an agent that may come back, because its
connection broke or another of its name took its place, is waited for. What is left in the room of an agent whose job has failed
is removed after a grace.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from ..config import AgentsConfig
from ..timers import DeadlineHeap
from ..wire import agent
from .job import Job, Phase
from .orders import Ended, Lost, Order, Remove, Terminate
from .pool import Worker

JobStatus = agent.JobStatus
JobStateReason = agent.JobStateReason
FINAL = frozenset({JobStatus.JS_SUCCESS, JobStatus.JS_FAILED})

MAY_COME_BACK = frozenset({
    "DUPLICATE_IDENTITY", "CONNECTION_TIMEOUT", "STATE_MISMATCH", "SIGNAL_CLOSE", "MEDIA_FAILURE", "MIGRATION",
    "JOIN_FAILURE", "UNKNOWN_REASON",
})  # fmt: skip
"""Reasons of leaving after which a client joins again by itself."""
SENT_AWAY = frozenset({"PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED", "SERVER_SHUTDOWN"})
"""Reasons of leaving that somebody wanted."""
MAX_LOST = 10_000
"""Lost jobs remembered, to end them where a worker still runs them."""
MAX_STALE = 1000
"""Agents of failed jobs remembered of a room."""


class Watch(Enum):
    """What a job is watched for."""

    JOIN = "its agent comes into the room"
    REATTACH = "its worker comes back"
    REPORT = "its worker tells how it ended"
    LEAVE = "its agent leaves"


class _Room:
    """The jobs of one room."""

    __slots__ = ("expected", "has_ended", "jobs", "stale")

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.expected: dict[str, Job] = {}
        """By identity of the agent, the job given to it last."""
        self.stale: dict[str, None] = {}
        """Identities of agents whose jobs have failed: they are not to come, or come back."""
        self.has_ended = False

    def turn_away(self, identity: str) -> None:
        """The agent is not to come any more."""
        self.stale[identity] = None
        if len(self.stale) > MAX_STALE:
            del self.stale[next(iter(self.stale))]


class Keeper:
    """Assigned jobs by id, by room, and by the sid of their agent there."""

    __slots__ = ("_config", "_jobs", "_lost", "_orders", "_present", "_rooms", "_timers")

    def __init__(self, config: AgentsConfig) -> None:
        self._config = config
        self._jobs: dict[str, Job] = {}
        self._rooms: dict[str, _Room] = {}
        self._present: dict[str, Job] = {}
        self._lost: dict[str, None] = {}
        """Ids of jobs that were lost last."""
        self._timers: DeadlineHeap[tuple[Job, Watch]] = DeadlineHeap()
        self._orders: list[Order] = []

    # Jobs and workers

    def add(self, now: float, job: Job) -> None:
        """A worker has taken the job."""
        self._jobs[job.id] = job
        room = self._rooms.setdefault(job.wanted.room_sid, _Room())
        room.jobs[job.id] = job
        room.expected[job.agent_identity] = job
        room.stale.pop(job.agent_identity, None)
        self._set(job, Watch.JOIN, now + self._config.join_timeout)

    def handle_status(self, now: float, worker: Worker, job_id: str, status: int, error: str) -> bool:
        """What a worker says of a job; False if the job is not its own."""
        job = self._jobs.get(job_id)
        if job is None:
            return job_id in worker.past
        if job.worker is not worker and not self._reattach(now, job, worker):
            return False
        job.updated_at = now
        if status == JobStatus.JS_RUNNING:
            return True
        if status not in FINAL:
            return False
        job.reported = status
        job.error = error
        self._judge(now, job)
        return True

    def worker_gone(self, now: float, worker: Worker) -> None:
        """Its socket dropped; its agents may well go on."""
        for job in list(worker.jobs.values()):
            job.worker = None
            self._set(job, Watch.REATTACH, now + self._config.reattach_grace)
            if job.claim is not None and job.claim.is_registered:
                self._reattach(now, job, job.claim)
        worker.jobs.clear()

    def migrate(self, now: float, worker: Worker, job_ids: Iterable[str]) -> int:
        """A worker that came back names the jobs that it still runs. Those that were lost meanwhile are ended there.
        Returns how many are unknown."""
        unknown = 0
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            if job is None and job_id in self._lost:
                self._orders.append(Terminate(worker, job_id))
            elif job is None:
                unknown += 1
            elif job.worker is not worker and not self._reattach(now, job, worker):
                self._claim(job, worker)
        return unknown

    def dismiss(self, now: float, job: Job, reason: int = JobStateReason.JSR_UNSPECIFIED) -> None:
        """End a job: its worker is told, and its agent removed if it does not go."""
        if job.is_dismissed:
            return
        job.is_dismissed = True
        job.reason = reason
        job.may_restart = False
        self._terminate(job)
        if job.phase is Phase.RUNNING:
            self._set(job, Watch.LEAVE, now + self._config.dismissal_grace)
        self._set(job, Watch.REPORT, now + self._config.report_timeout)
        self._judge(now, job)

    # What happens in rooms

    def agent_joined(self, now: float, room_sid: str, room: str, identity: str, sid: str) -> Job | None:
        """An agent came into a room; returns its job. One whose job is not to go on is sent away."""
        known = self._rooms.get(room_sid)
        if known is None:
            return None
        job = known.expected.get(identity)
        if job is None:
            if identity in known.stale:
                self._orders.append(Remove(room, identity, sid))
            return None
        self._present.pop(job.agent_sid, None)
        self._present[sid] = job
        job.agent_sid = sid
        job.is_overdue = False
        if job.phase is not Phase.RUNNING:
            job.move_to(Phase.RUNNING)
        job.updated_at = now
        self._set(job, Watch.JOIN, None)
        if job.is_dismissed:
            self._orders.append(Remove(room, identity, sid))
        else:
            self._set(job, Watch.REPORT, None)
            job.is_told = job.has_left = False
        return job

    def agent_left(self, now: float, sid: str, reason: str) -> None:
        """An agent left its room, for a reason that is the name of a DisconnectReason."""
        job = self._present.pop(sid, None)
        if job is None:
            return
        job.move_to(Phase.ABSENT)
        self._set(job, Watch.LEAVE, None)
        if reason in SENT_AWAY and job.reported is None:
            job.may_restart = False
        if reason in MAY_COME_BACK and not job.is_dismissed:
            self._set(job, Watch.JOIN, now + self._config.join_timeout)
        else:
            self._expect_report(now, job)
        self._judge(now, job)

    def room_ended(self, now: float, room_sid: str) -> None:
        """A room is over, and its jobs with it."""
        room = self._rooms.get(room_sid)
        if room is None:
            return
        room.has_ended = True
        for job in list(room.jobs.values()):
            self.dismiss(now, job, JobStateReason.JSR_ROOM_CLOSED)
        self._forget_if_empty(room_sid, room)

    # Time and outputs

    def handle_timeout(self, now: float) -> None:
        for job, watch in self._timers.pop_due(now):
            if job.phase is not Phase.ENDED:
                _ON_TIMEOUT[watch](self, now, job)

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    def poll_orders(self) -> list[Order]:
        orders, self._orders = self._orders, []
        return orders

    def __len__(self) -> int:
        return len(self._jobs)

    # Private

    def _judge(self, now: float, job: Job) -> None:
        """End or lose the job if what is known of it says so."""
        if job.reported == JobStatus.JS_SUCCESS:
            self._end(now, job, JobStatus.JS_SUCCESS)
            return
        failed = job.reported == JobStatus.JS_FAILED
        is_away = job.phase is Phase.ABSENT or (job.phase is Phase.ASSIGNED and (job.is_overdue or failed))
        if failed and not is_away:
            self._set(job, Watch.LEAVE, now + self._config.dismissal_grace)
        elif failed:
            self._lose(now, job, job.error or "its worker says that it failed")
        elif is_away and job.worker is None and job.is_forsaken:
            self._lose(now, job, "its agent and its worker are gone")

    def _lose(self, now: float, job: Job, error: str) -> None:
        self._lost[job.id] = None
        if len(self._lost) > MAX_LOST:
            del self._lost[next(iter(self._lost))]
        may_restart = job.may_restart
        self._end(now, job, JobStatus.JS_FAILED, error)
        if may_restart:
            self._orders.append(Lost(job))

    def _end(self, now: float, job: Job, status: int, error: str = "") -> None:
        del self._jobs[job.id]
        self._present.pop(job.agent_sid, None)
        room = self._rooms[job.wanted.room_sid]
        del room.jobs[job.id]
        if room.expected.get(job.agent_identity) is job:
            del room.expected[job.agent_identity]
            if status == JobStatus.JS_FAILED:
                room.turn_away(job.agent_identity)
        self._forget_if_empty(job.wanted.room_sid, room)
        for watch in Watch:
            self._set(job, watch, None)
        job.detach()
        job.end(now, status, error, job.reason)
        self._orders.append(Ended(job))

    def _forget_if_empty(self, sid: str, room: _Room) -> None:
        if room.has_ended and not room.jobs:
            self._rooms.pop(sid, None)

    def _reattach(self, now: float, job: Job, worker: Worker) -> bool:
        """Give the job to another connection of its worker, if that is what this one may be."""
        if job.worker is not None or worker.key != job.key or worker.issuer != job.issuer:
            return False
        job.is_forsaken = False
        job.worker = worker
        job.worker_id = worker.id
        worker.jobs[job.id] = job
        self._set(job, Watch.REATTACH, None)
        if job.is_dismissed or job.has_left:
            job.is_told = False
            self._expect_report(now, job)
        return True

    def _claim(self, job: Job, worker: Worker) -> None:
        """The job has a worker, and another one names it. That may be the same worker, whose earlier socket is dead and has not
        been missed yet: then it has the job once that socket goes. Anybody else is told that the job is not its own."""
        if worker.key == job.key and worker.issuer == job.issuer:
            job.claim = worker
        else:
            self._orders.append(Terminate(worker, job.id))

    def _expect_report(self, now: float, job: Job) -> None:
        """The agent has left for good: its worker is told, and asked how it ended."""
        job.has_left = True
        self._terminate(job)
        self._set(job, Watch.REPORT, now + self._config.report_timeout)

    def _terminate(self, job: Job) -> None:
        if job.worker is not None and not job.is_told:
            job.is_told = True
            self._orders.append(Terminate(job.worker, job.id))

    def _set(self, job: Job, watch: Watch, at: float | None) -> None:
        self._timers.set((job, watch), at)

    def _join_due(self, now: float, job: Job) -> None:
        job.is_overdue = True
        if job.phase is Phase.ABSENT:
            self._expect_report(now, job)
        self._judge(now, job)

    def _reattach_due(self, now: float, job: Job) -> None:
        job.is_forsaken = True
        if job.is_dismissed and job.phase is not Phase.RUNNING:
            self._end(now, job, JobStatus.JS_FAILED, "its agent and its worker are gone")
        else:
            self._judge(now, job)

    def _report_due(self, now: float, job: Job) -> None:
        if job.worker is not None or job.is_dismissed:
            self._end(now, job, JobStatus.JS_FAILED, "agent worker left the room")

    def _leave_due(self, now: float, job: Job) -> None:
        self._orders.append(Remove(job.wanted.room, job.agent_identity, job.agent_sid))


_ON_TIMEOUT = {
    Watch.JOIN: Keeper._join_due,
    Watch.REATTACH: Keeper._reattach_due,
    Watch.REPORT: Keeper._report_due,
    Watch.LEAVE: Keeper._leave_due,
}
