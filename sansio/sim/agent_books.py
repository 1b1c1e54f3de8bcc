"""The books of a simulation of agents: who was offered what, who has it, and who is in which room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from ..agents import Job, Phase
from ..config import AgentsConfig
from ..ids import SessionId

if TYPE_CHECKING:
    from .agent_process import SimAgent
    from .agent_rooms import SimRoom

Kind: TypeAlias = tuple[str, int]
"""Agent name and job type."""
SLACK_S = 0.01
"""Of deadlines, which are sums of floats."""


class BrokenRule(AssertionError):  # noqa: N818 - what it is
    """A rule does not hold."""


class Seat:
    """A worker's socket."""

    __slots__ = ("has_refused", "is_available", "is_pressed", "kind", "offers", "session", "turn", "word")

    def __init__(self, session: SessionId) -> None:
        self.session = session
        self.kind: Kind | None = None
        """Once it has registered."""
        self.is_available = True
        self.turn = 0
        """Another one with each registration, and each time that it has room again."""
        self.word = 0
        """Another one with each turn, and each time that it tells of its work after a refusal: it may be asked again."""
        self.has_refused = False
        self.is_pressed = False
        """Whether it refused while jobs wait, and so may be offered only some of them."""
        self.offers: set[str] = set()


class Entry:
    """A job."""

    __slots__ = (
        "accepted_by", "asked", "came_at", "dispatch_id", "ended_at", "holder", "id", "is_failed", "kind", "lineage",
        "not_before", "offered_at", "offered_to", "orphaned_at", "participant", "restart", "room_sid", "state", "state_since",
        "successor", "tried", "was_assigned", "was_sent_away",
    )  # fmt: skip

    def __init__(self, job_id: str, kind: Kind, room_sid: str, dispatch_id: str, participant: str) -> None:
        self.id = job_id
        self.kind = kind
        self.room_sid = room_sid
        self.dispatch_id = dispatch_id
        """Empty for a job that a worker made for itself."""
        self.participant = participant
        self.lineage = job_id
        """Id of the first of those that it replaces."""
        self.restart = 0
        self.not_before = 0.0
        self.successor = ""
        self.tried: set[int] = set()
        """Turns of the workers that were asked."""
        self.asked: dict[int, int] = {}
        """How often at each word of the workers."""
        self.offered_to: SessionId | None = None
        self.offered_at = 0.0
        self.accepted_by: SessionId | None = None
        self.was_assigned = False
        self.holder: SessionId | None = None
        self.is_failed = False
        """Whether its worker said so."""
        self.was_sent_away = False
        self.came_at = 0.0
        self.orphaned_at: float | None = None
        """When its dispatch was deleted or its room ended."""
        self.ended_at: float | None = None
        self.state: tuple[Phase, bool] | None = None
        """Its phase and whether it has a worker, at the last sweep."""
        self.state_since = 0.0


class Books:
    """All that the rules are about."""

    def __init__(self, config: AgentsConfig, rooms: Mapping[str, SimRoom]) -> None:
        self.now = 0.0
        self.config = config
        self.rooms = rooms
        """By sid, those that have not ended."""
        self.jobs: dict[str, Entry] = {}
        self.live: dict[str, Entry] = {}
        """Those that have not ended."""
        self.seats: dict[SessionId, Seat] = {}
        self.present: dict[str, list[SimAgent]] = {}
        """Agents in rooms by lineage."""

    def learn(self, entry: Entry) -> Entry:
        """The entry of a job: this one if there was none."""
        known = self.jobs.get(entry.id)
        if known is not None:
            return known
        self.jobs[entry.id] = self.live[entry.id] = entry
        entry.state_since = self.now
        return entry

    def learn_job(self, job: Job) -> Entry:
        """What `Agents` shows of a job."""
        known = self.jobs.get(job.id)
        if known is not None:
            return known
        wanted = job.wanted
        kind = (wanted.key.agent_name, wanted.key.job_type)
        return self.learn(Entry(job.id, kind, wanted.room_sid, wanted.dispatch_id, wanted.participant))

    def known(self, job_id: str) -> Entry:
        entry = self.jobs.get(job_id)
        if entry is None:
            self.fail(f"nobody has heard of {job_id}")
        return entry

    def agents_of(self, entry: Entry) -> int:
        """How many of a job's agents are in the room."""
        return sum(one.job.id == entry.id for one in self.present.get(entry.lineage, ()))

    def fail(self, text: str) -> NoReturn:
        raise BrokenRule(f"at {self.now:.3f} s: {text}")
