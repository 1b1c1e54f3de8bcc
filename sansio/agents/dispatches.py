"""The dispatches of rooms: which agents a room asks for, and the jobs that come of it.

A room has the dispatches that it was made with, or one nameless dispatch if none were given, and those that were added since.
They live as long as the room. Each wants a room job at once, a participant's job for everybody who joins, and a publisher's job
for everybody who publishes a first track; agents, egress and recorders count for none of these. A dispatch that comes later wants
the jobs of those who are there.

A job is listed if it was ever offered, or waits for workers of a kind that there is: most agents take one type of job only, and
jobs of the other types would wait in the list for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol, cast

from ..config import AgentsConfig, LimitConfig
from ..entropy import Entropy
from ..errors import Refusal
from ..events import ParticipantJoined, ParticipantLeft
from ..ids import mint
from ..wire import agent, agent_dispatch
from .job import Job, Phase, Wanted
from .pool import PoolKey

JobType = agent.JobType
MAX_ENDED = 100
"""Ended jobs that a dispatch keeps for its list."""
MAX_DEPLOYMENT_BYTES = 64


class Request(Protocol):
    """A wish for agents: RoomAgentDispatch, CreateAgentDispatchRequest, or a preset's."""

    @property
    def agent_name(self) -> str: ...
    @property
    def metadata(self) -> str: ...
    @property
    def deployment(self) -> str: ...
    @property
    def restart_policy(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


def check_deployment(deployment: str) -> None:
    """Raises Refusal for a deployment name that the protocol does not allow."""
    text = ""
    if len(deployment.encode()) > MAX_DEPLOYMENT_BYTES:
        text = "deployment is too long"
    elif "_" in deployment:
        text = "deployment contains reserved character '_'"
    elif any(c.isspace() or not c.isprintable() for c in deployment):
        text = "deployment contains white space or control characters"
    if text:
        raise Refusal("invalid_argument", text, meta={"argument": "deployment"})


class Dispatch:
    """One wish for agents, and its jobs."""

    __slots__ = ("attributes", "created_at", "id", "jobs", "key", "metadata", "restart_policy", "room_name", "room_sid")

    def __init__(self, now: float, dispatch_id: str, room: RoomRecord, request: Request) -> None:
        self.id = dispatch_id
        self.room_sid = room.sid
        self.room_name = room.name
        self.created_at = now
        self.key = PoolKey(request.agent_name, "", JobType.JT_ROOM, request.deployment)
        self.metadata = request.metadata
        self.restart_policy = request.restart_policy
        self.attributes = dict(request.attributes)
        self.jobs: dict[str, Job] = {}

    def message(self) -> agent_dispatch.AgentDispatch:
        """Without its state."""
        return agent_dispatch.AgentDispatch(
            id=self.id,
            agent_name=self.key.agent_name,
            room=self.room_name,
            metadata=self.metadata,
            restart_policy=cast(agent_dispatch.JobRestartPolicy, self.restart_policy),
            deployment=self.key.deployment,
            attributes=self.attributes,
        )

    def keep(self, job: Job) -> None:
        """One more job; the oldest that ended are forgotten beyond a number."""
        self.jobs[job.id] = job
        if len(self.jobs) > MAX_ENDED:
            ended = [job_id for job_id, known in self.jobs.items() if known.is_over]
            for job_id in ended[: len(ended) - MAX_ENDED]:
                del self.jobs[job_id]


class Person:
    """Somebody in a room who counts."""

    __slots__ = ("has_published", "identity", "sid")

    def __init__(self, identity: str, sid: str) -> None:
        self.identity = identity
        self.sid = sid
        self.has_published = False


class RoomRecord:
    """What dispatch knows of a room."""

    __slots__ = ("dispatches", "name", "people", "sid", "simulated")

    def __init__(self, sid: str, name: str) -> None:
        self.sid = sid
        self.name = name
        self.dispatches: dict[str, Dispatch] = {}
        self.people: dict[str, Person] = {}
        """By identity."""
        self.simulated: list[Job] = []
        """Jobs that workers made for themselves."""

    def jobs(self) -> list[Job]:
        """Those of its dispatches, and the simulated ones."""
        return [job for dispatch in self.dispatches.values() for job in dispatch.jobs.values()] + self.simulated

    def keep_simulated(self, job: Job) -> None:
        self.simulated = [known for known in self.simulated if not known.is_over]
        self.simulated.append(job)


class Dispatches:
    """Rooms by sid, their dispatches, and the making of jobs."""

    __slots__ = ("_by_name", "_by_sid", "_config", "_entropy", "_limit")

    def __init__(self, config: AgentsConfig, limit: LimitConfig, entropy: Entropy) -> None:
        self._config = config
        self._limit = limit
        self._entropy = entropy
        self._by_sid: dict[str, RoomRecord] = {}
        self._by_name: dict[str, RoomRecord] = {}

    # Dispatches

    def check(self, request: Request) -> None:
        """Raises Refusal if such a dispatch cannot be made."""
        limit = self._limit.max_metadata_size
        if limit and len(request.metadata.encode()) > limit:
            raise Refusal("invalid_argument", f"metadata size exceeds limits {limit}", meta={"argument": "metadata"})
        check_deployment(request.deployment)

    def create(self, now: float, room: RoomRecord, request: Request) -> tuple[Dispatch, list[Job]]:
        """Add a dispatch to a room; returned with its first jobs. Raises Refusal."""
        self.check(request)
        dispatch = Dispatch(now, mint("AD_", self._entropy), room, request)
        room.dispatches[dispatch.id] = dispatch
        jobs = [self._make(now, dispatch, JobType.JT_ROOM, None)]
        for person in room.people.values():
            if person.has_published:
                jobs.append(self._make(now, dispatch, JobType.JT_PUBLISHER, person))
            jobs.append(self._make(now, dispatch, JobType.JT_PARTICIPANT, person))
        return dispatch, jobs

    def delete(self, room: RoomRecord, dispatch_id: str) -> Dispatch:
        """Raises Refusal if there is no such dispatch."""
        dispatch = room.dispatches.pop(dispatch_id, None)
        if dispatch is None:
            raise Refusal("not_found", "dispatch ID not found")
        return dispatch

    # Rooms

    def room(self, sid: str) -> RoomRecord | None:
        return self._by_sid.get(sid)

    def room_named(self, name: str) -> RoomRecord | None:
        return self._by_name.get(name)

    def room_started(self, now: float, sid: str, name: str, wanted: Iterable[Request]) -> list[Job]:
        """A room begins: with these dispatches, or the nameless one. Once is enough; what cannot be is left out."""
        if sid in self._by_sid:
            return []
        room = self._by_sid[sid] = self._by_name[name] = RoomRecord(sid, name)
        jobs: list[Job] = []
        for request in list(wanted) or [agent_dispatch.RoomAgentDispatch()]:
            with suppress(Refusal):
                jobs += self.create(now, room, request)[1]
        return jobs

    def room_ended(self, sid: str) -> RoomRecord | None:
        """A room is over; returned with what was known of it."""
        room = self._by_sid.pop(sid, None)
        if room is not None and self._by_name.get(room.name) is room:
            del self._by_name[room.name]
        return room

    def joined(self, now: float, event: ParticipantJoined) -> list[Job]:
        """Somebody came who counts."""
        room = self._by_name.get(event.room)
        if room is None:
            return []
        person = room.people[event.identity] = Person(event.identity, event.sid)
        return [self._make(now, dispatch, JobType.JT_PARTICIPANT, person) for dispatch in room.dispatches.values()]

    def published(self, now: float, room_name: str, identity: str) -> list[Job]:
        """A track of a participant is live; the first one counts."""
        room = self._by_name.get(room_name)
        person = None if room is None else room.people.get(identity)
        if room is None or person is None or person.has_published:
            return []
        person.has_published = True
        return [self._make(now, dispatch, JobType.JT_PUBLISHER, person) for dispatch in room.dispatches.values()]

    def left(self, event: ParticipantLeft) -> list[Job]:
        """Somebody went; returns jobs about that participant that no worker has taken."""
        room = self._by_name.get(event.room)
        person = None if room is None else room.people.get(event.identity)
        if room is None or person is None or person.sid != event.sid:
            return []
        del room.people[event.identity]
        return [
            job
            for dispatch in room.dispatches.values()
            for job in dispatch.jobs.values()
            if job.wanted.participant == event.identity and job.phase in (Phase.WAITING, Phase.OFFERED)
        ]

    # Jobs

    def successor(self, now: float, lost: Job) -> Job | None:
        """Another job in place of a lost one; None if there is to be none."""
        room = self._by_sid.get(lost.wanted.room_sid)
        dispatch = None if room is None else room.dispatches.get(lost.wanted.dispatch_id)
        if room is None or dispatch is None or lost.restart >= self._config.max_restarts or not self.is_needed(lost):
            return None
        job = Job(now, mint("AJ_", self._entropy), lost.wanted, may_restart=True, replaces=lost)
        job.reason = agent.JobStateReason.JSR_RETRYING
        dispatch.keep(job)
        return job

    def is_needed(self, job: Job) -> bool:
        """Whether somebody is there for the job to be done for."""
        room = self._by_sid.get(job.wanted.room_sid)
        if room is None or job.wanted.dispatch_id not in room.dispatches:
            return False
        return job.wanted.participant in room.people if job.wanted.participant else bool(room.people)

    def listed(self, dispatch: Dispatch, has_workers: Callable[[PoolKey], bool]) -> list[Job]:
        """The jobs that a list shows."""
        return [job for job in dispatch.jobs.values() if _is_listed(job, has_workers)]

    def jobs(self) -> Iterator[Job]:
        """All jobs of all rooms."""
        for room in self._by_sid.values():
            for dispatch in room.dispatches.values():
                yield from dispatch.jobs.values()

    def __len__(self) -> int:
        return len(self._by_sid)

    def _make(self, now: float, dispatch: Dispatch, job_type: int, person: Person | None) -> Job:
        wanted = Wanted(
            room_sid=dispatch.room_sid,
            room=dispatch.room_name,
            key=dispatch.key._replace(job_type=job_type),
            participant="" if person is None else person.identity,
            dispatch_id=dispatch.id,
            metadata=dispatch.metadata,
            attributes=dispatch.attributes,
        )
        may_restart = dispatch.restart_policy == agent_dispatch.JobRestartPolicy.JRP_ON_FAILURE
        job = Job(now, mint("AJ_", self._entropy), wanted, may_restart=may_restart)
        dispatch.keep(job)
        return job


def _is_listed(job: Job, has_workers: Callable[[PoolKey], bool]) -> bool:
    if job.num_offers or job.restart or has_workers(job.key):
        return True
    if job.key.job_type != JobType.JT_ROOM:
        return False
    return not any(has_workers(job.key._replace(job_type=other)) for other in JobType.values() if other)
