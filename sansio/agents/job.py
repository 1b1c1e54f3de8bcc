"""A job: one agent wanted in a room, from its making to its one final state.

    WAITING <--> OFFERED --accepted--> ASSIGNED --agent joins--> RUNNING <--agent leaves, comes back--> ABSENT
       |            |                      |                        |                                     |
       +------------+----------------------+------- ENDED ----------+-------------------------------------+

The dispatcher moves it up to ASSIGNED, the keeper from there; `TRANSITIONS` says what there is. A job that was lost is ended like
any other, and another job takes its place: each has an id, a token and an agent of its own, so that a late word about one is
never taken for a word about the other. `restart` and `replaces` tell of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs

from ..errors import LocalProtocolError
from ..wire import agent
from .pool import PoolKey, Worker


class Phase(Enum):
    """Where a job stands."""

    WAITING = "no worker has it"
    OFFERED = "a worker is asked"
    ASSIGNED = "a worker took it, its agent is not in the room yet"
    RUNNING = "its agent is in the room"
    ABSENT = "its agent has left the room"
    ENDED = "it has its final state"


TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.OFFERED, Phase.ENDED}),
    Phase.OFFERED: frozenset({Phase.OFFERED, Phase.WAITING, Phase.ASSIGNED, Phase.ENDED}),
    Phase.ASSIGNED: frozenset({Phase.RUNNING, Phase.ENDED}),
    Phase.RUNNING: frozenset({Phase.ABSENT, Phase.ENDED}),
    Phase.ABSENT: frozenset({Phase.RUNNING, Phase.ENDED}),
    Phase.ENDED: frozenset(),
}

PLACED = frozenset({Phase.ASSIGNED, Phase.RUNNING, Phase.ABSENT})


@attrs.frozen(kw_only=True)
class Wanted:
    """What a job is for."""

    room_sid: str
    room: str
    key: PoolKey
    participant: str = ""
    """Identity of the participant that a publisher's or participant's job is about."""
    dispatch_id: str = ""
    """Empty for a job that a worker made for itself."""
    metadata: str = ""
    attributes: Mapping[str, str] = attrs.field(factory=dict)


class Job:
    """One job."""

    __slots__ = (
        "agent_identity", "agent_sid", "claim", "created_at", "deadline", "ended_at", "error", "has_left", "id", "is_dismissed",
        "is_forsaken", "is_overdue", "is_told", "issuer", "may_restart", "num_offers", "only_worker", "phase", "reason",
        "replaces", "reported", "restart", "started_at", "status", "tried", "updated_at", "wanted", "worker", "worker_id",
    )  # fmt: skip

    def __init__(
        self,
        now: float,
        job_id: str,
        wanted: Wanted,
        *,
        only_worker: Worker | None = None,
        may_restart: bool = False,
        replaces: Job | None = None,
    ) -> None:
        self.id = job_id
        self.wanted = wanted
        self.only_worker = only_worker
        """The one worker that may be asked, for a simulated job."""
        self.may_restart = may_restart
        self.replaces = "" if replaces is None else replaces.id
        self.restart: int = 0 if replaces is None else replaces.restart + 1
        """How many lost jobs came before this one in its place."""
        self.phase = Phase.WAITING
        self.status: int = agent.JobStatus.JS_PENDING
        self.error = ""
        self.reason: int = agent.JobStateReason.JSR_UNSPECIFIED
        self.created_at = now
        self.updated_at = now
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.deadline = 0.0
        """Until when it may wait for a worker."""
        self.num_offers = 0
        self.tried: set[int] = set()
        """Turns of the workers that were asked."""
        self.worker: Worker | None = None
        """Who is asked or has it, while that worker's socket is there."""
        self.claim: Worker | None = None
        """Another connection that says it has the job, perhaps of the same worker."""
        self.worker_id = ""
        self.issuer = ""
        """API key of the worker that took it."""
        self.agent_identity = ""
        self.agent_sid = ""
        """Sid of the agent in the room."""
        self.reported: int | None = None
        """The end that its worker told."""
        self.is_overdue = False
        """Whether its agent did not come in time."""
        self.is_forsaken = False
        """Whether its worker did not come back in time."""
        self.has_left = False
        """Whether its agent has left for good."""
        self.is_dismissed = False
        """Whether the server wants it to end."""
        self.is_told = False
        """Whether its worker was told to end it."""

    def move_to(self, phase: Phase) -> None:
        """Raises LocalProtocolError for a step that there is not."""
        if phase not in TRANSITIONS[self.phase]:
            raise LocalProtocolError(f"a job does not go from {self.phase.name} to {phase.name}")
        self.phase = phase

    def end(self, now: float, status: int, error: str = "", reason: int = agent.JobStateReason.JSR_UNSPECIFIED) -> None:
        """Give it its final state."""
        self.move_to(Phase.ENDED)
        self.reason = reason
        self.status = status
        self.error = error
        self.ended_at = self.updated_at = now
        self.worker = self.claim = None

    def detach(self) -> None:
        """It is no longer its worker's."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.jobs.pop(self.id, None)
            worker.offers.pop(self.id, None)
            worker.remember(self.id)

    @property
    def is_over(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def key(self) -> PoolKey:
        return self.wanted.key

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.phase.name} worker={self.worker_id or None}>"
