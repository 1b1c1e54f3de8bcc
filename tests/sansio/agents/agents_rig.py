"""Rooms and workers around `Agents`, in virtual time: real frames on one side, rooms' events on the other."""

from __future__ import annotations

from collections import deque
from typing import Any

from sansio.agents import Agents, Remove
from sansio.auth import Claims, VideoGrant, mint
from sansio.config import AgentsConfig, Config
from sansio.entropy import SeededEntropy
from sansio.errors import DropReason
from sansio.events import Event, ParticipantJoined, ParticipantLeft, RoomFinished, TrackPublished
from sansio.ids import NodeId, SessionId
from sansio.outputs import Accept, Close, HttpRequest, Send
from sansio.wallclock import WallClock
from sansio.wire import agent, agent_dispatch, models

KEY, SECRET, WALL = "api-key", "a secret that is long enough for HS256", 1_700_000_000.0
OTHER_KEY, OTHER_SECRET = "other-key", "another secret that is long enough too"
JobType, JobStatus, WorkerStatus, Reason = agent.JobType, agent.JobStatus, agent.WorkerStatus, agent.JobStateReason


class WorkerEnd:
    """The other end of a worker's socket. It answers nothing by itself unless told so."""

    def __init__(self, rig: AgentsRig, session: SessionId, *, accepts: bool) -> None:
        self.rig = rig
        self.session = session
        self.accepts = accepts
        self.id = ""
        self.messages: list[agent.ServerMessage] = []
        self.offers: list[agent.Job] = []
        self.assignments: list[agent.JobAssignment] = []
        self.terminated: list[str] = []
        self.closed: Close | None = None

    def say(self, **message: Any) -> None:
        frame = agent.WorkerMessage(**message).SerializeToString()
        self.rig.agents.handle_message(self.rig.now, self.session, frame)
        self.rig.drain()

    def answer(self, job: agent.Job, *, available: bool = True, **more: Any) -> None:
        self.say(availability=agent.AvailabilityResponse(job_id=job.id, available=available, **more))

    def refuse(self, job: agent.Job, *, for_all: bool = False) -> None:
        self.answer(job, available=False, terminate=for_all)

    def update(self, load: float, status: Any = WorkerStatus.WS_AVAILABLE) -> None:
        self.say(update_worker=agent.UpdateWorkerStatus(status=status, load=load))

    def report(self, job_id: str, status: Any, error: str = "") -> None:
        self.say(update_job=agent.UpdateJobStatus(job_id=job_id, status=status, error=error))

    def migrate(self, *job_ids: str) -> None:
        self.say(migrate_job=agent.MigrateJobRequest(job_ids=job_ids))

    def drop(self) -> None:
        """The socket breaks."""
        self.rig.agents.handle_disconnect(self.rig.now, self.session)
        self.rig.drain()

    def heard(self, frame: bytes | str) -> None:
        assert isinstance(frame, bytes)
        message = agent.ServerMessage.FromString(frame)
        self.messages.append(message)
        match message.WhichOneof("message"):
            case "register":
                self.id = message.register.worker_id
            case "availability":
                self.offers.append(message.availability.job)
                if self.accepts:
                    self.rig.later.append((self, message.availability.job))
            case "assignment":
                self.assignments.append(message.assignment)
            case "termination":
                self.terminated.append(message.termination.job_id)

    @property
    def jobs(self) -> list[str]:
        return [assignment.job.id for assignment in self.assignments]


class AgentsRig:
    """Drives `Agents`; agents that are removed leave their rooms."""

    def __init__(self, *, config: AgentsConfig | None = None, seed: int = 1) -> None:
        self.now = 0.0
        self.config = Config(keys={KEY: SECRET, OTHER_KEY: OTHER_SECRET}, agents=config or AgentsConfig())
        wallclock = WallClock(WALL)
        self.agents = Agents(self.config, SeededEntropy(seed), wallclock, NodeId("ND_x"), self)
        self.ends: dict[SessionId, WorkerEnd] = {}
        self.events: list[Event] = []
        self.removals: list[Remove] = []
        self.people: dict[tuple[str, str], str] = {}
        """Sids by room and identity."""
        self.rooms: dict[str, str] = {}
        self.later: deque[tuple[WorkerEnd, agent.Job]] = deque()
        """Offers that are accepted as soon as all is quiet."""
        self._answers = False
        self._numbers = 0

    # Lookup

    def room_info(self, room: str) -> models.Room | None:
        return models.Room(name=room, sid=self.rooms[room], metadata="of the room") if room in self.rooms else None

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        sid = self.people.get((room, identity))
        return None if sid is None else models.ParticipantInfo(identity=identity, sid=sid, metadata="of somebody")

    # Rooms

    def room(self, name: str = "room", *wanted: agent_dispatch.RoomAgentDispatch) -> str:
        self.rooms[name] = sid = f"RM_{self._number()}"
        self.agents.room_started(self.now, sid, name, wanted)
        self.drain()
        return sid

    def join(self, identity: str, room: str = "room", kind: str = "standard") -> str:
        if (room, identity) in self.people:
            self.leave(identity, room, "DUPLICATE_IDENTITY")
        sid = self.people[room, identity] = f"PA_{self._number()}"
        self.agents.handle_event(
            self.now,
            ParticipantJoined(
                room=room, identity=identity, sid=sid, kind=kind, client="", is_dependent=kind in ("agent", "egress")
            ),
        )
        self.drain()
        return sid

    def join_agent(self, end: WorkerEnd, room: str = "room", at: int = -1) -> str:
        """The agent of a worker's assignment comes into the room; its identity."""
        identity = end.assignments[at].job.state.participant_identity
        self.join(identity, room, "agent")
        return identity

    def leave(self, identity: str, room: str = "room", reason: str = "CLIENT_INITIATED") -> None:
        sid = self.people.pop((room, identity))
        event = ParticipantLeft(room=room, identity=identity, sid=sid, reason=reason, was_active=True)
        self.agents.handle_event(self.now, event)
        self.drain()

    def publish(self, identity: str, room: str = "room") -> None:
        event = TrackPublished(room=room, identity=identity, track="TR_x", kind="audio", mime_type="audio/opus")
        self.agents.handle_event(self.now, event)
        self.drain()

    def end_room(self, name: str = "room", reason: str = "ROOM_DELETED") -> None:
        for room, identity in list(self.people):
            if room == name:
                self.leave(identity, room, reason)
        self.agents.handle_event(self.now, RoomFinished(room=name, sid=self.rooms.pop(name), reason="deleted"))
        self.drain()

    def dispatch(self, room: str = "room", **request: Any) -> agent_dispatch.AgentDispatch:
        wanted = agent_dispatch.CreateAgentDispatchRequest(room=room, **request)
        made = self.agents.create_dispatch(self.now, self.rooms[room], wanted)
        self.drain()
        return made

    def delete(self, dispatch: agent_dispatch.AgentDispatch) -> None:
        self.agents.delete_dispatch(self.now, self.rooms[dispatch.room], dispatch.id)
        self.drain()

    def jobs(self, room: str = "room", dispatch_id: str = "") -> list[agent.Job]:
        """As ListDispatch shows them."""
        found = self.agents.list_dispatches(self.rooms[room], dispatch_id)
        return [job for dispatch in found for job in dispatch.state.jobs]

    # Workers

    def connect(self, *, accepts: bool = False, key: str = KEY) -> WorkerEnd:
        session = SessionId(self._number())
        end = self.ends[session] = WorkerEnd(self, session, accepts=accepts)
        secret = self.config.keys[key]
        claims = Claims(issuer=key, video=VideoGrant(agent=True), expires_at=WALL + self.now + 600)
        query = {"access_token": mint(claims, secret, wallclock=WALL + self.now)}
        self.agents.handle_connect(self.now, session, HttpRequest(method="GET", path="/agent", query=query))
        self.drain()
        return end

    def worker(self, *, accepts: bool = False, load: float | None = None, key: str = KEY, **request: Any) -> WorkerEnd:
        """A registered worker."""
        end = self.connect(accepts=accepts, key=key)
        end.say(register=agent.RegisterWorkerRequest(**request))
        if load is not None:
            end.update(load)
        return end

    # Time

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.agents.poll_timeout()) is not None and at <= until:
            self.now = max(self.now, at)
            self.agents.handle_timeout(self.now)
            self.drain()
        self.now = until

    def drain(self) -> None:
        for command in self.agents.poll_commands():
            match command:
                case Send(session, frame):
                    self.ends[session].heard(frame)
                case Close(session=session):
                    self.ends[session].closed = command
                case _:
                    assert isinstance(command, Accept)
        self.events += self.agents.poll_events()
        removals = self.agents.poll_removals()
        self.removals += removals
        for removal in removals:
            if self.people.get((removal.room, removal.identity)) == removal.sid:
                self.leave(removal.identity, removal.room, "PARTICIPANT_REMOVED")
        if self._answers:
            return
        self._answers = True
        while self.later:
            end, job = self.later.popleft()
            end.answer(job)
        self._answers = False

    def drops(self) -> dict[DropReason, int]:
        return self.agents.poll_drops()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
