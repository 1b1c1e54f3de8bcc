"""Agents in virtual time: many workers and rooms around one `Agents`, without media, so that thousands of them are cheap.

    SimRoom --events, dispatches--> Agents <--frames--> SimWorker --SimAgent--> SimRoom
                                      |
                                   Ledger: what must hold, with every step

Workers' frames are real ones and take some milliseconds, in order. All chance comes from the seed; `run` ends with a digest over
every frame, removal and event. A rule that is broken raises `BrokenRule`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, NamedTuple

from ..agents import Agents
from ..auth import Claims, VideoGrant, mint
from ..config import AgentsConfig, Config
from ..entropy import SeededEntropy
from ..events import Event, RoomFinished
from ..ids import NodeId, SessionId
from ..outputs import Accept, Close, Command, HttpRequest, Send
from ..wallclock import WallClock
from ..wire import agent, agent_dispatch, encode_json, models, parse, parse_json
from .agent_books import BrokenRule
from .agent_ledger import Ledger
from .agent_rooms import SimRoom
from .agent_sweep import Sweep
from .agent_workers import TYPES, SimWorker
from .dice import Dice

API_KEY, API_SECRET, WALL = "sim-key", "a secret of the simulation, long enough", 1_700_000_000.0
NAMES = ("", "a", "b")
SWEEP_S = 1.0
ARRIVAL_S = 10.0
"""In which workers come."""
QUIET_S = 60.0
"""After the last room has ended, until nothing must be left."""


class AgentsOutcome(NamedTuple):
    """What a run came to."""

    digest: str
    lasted: float
    steps: int
    jobs: int
    offers: int
    assigned: int
    restarts: int


class AgentsWorld:
    """Workers and rooms of one seed."""

    def __init__(
        self,
        seed: int,
        *,
        workers: int = 20,
        rooms: int = 50,
        seconds: float = 180.0,
        config: AgentsConfig | None = None,
    ) -> None:
        agents_config = config or AgentsConfig()
        self.now = 0.0
        self.seconds = seconds
        self.keys = {API_KEY: API_SECRET}
        self.wallclock = WallClock(WALL)
        self.dice = Dice(SeededEntropy(f"agents {seed}"))
        core = SeededEntropy(f"agents {seed} core")
        self.agents = Agents(Config(keys=self.keys, agents=agents_config), core, self.wallclock, NodeId("ND_sim"), self)
        self.rooms: dict[str, SimRoom] = {}
        """By name, those that have not ended."""
        self._rooms_by_sid: dict[str, SimRoom] = {}
        self.workers: dict[str, SimWorker] = {}
        self.ledger = Ledger(agents_config, self._rooms_by_sid)
        self.agent_names = NAMES[: self.dice.count(1, len(NAMES))]
        self.mishaps = self.dice.one_of((0.2, 1.0, 3.0))
        """How often things go wrong in this world."""
        self.is_closing = False
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sockets: dict[SessionId, SimWorker] = {}
        self._arrivals: dict[tuple[SessionId, bool], float] = {}
        """When the last frame of a socket arrives, to and from the server: frames keep their order."""
        self._hash = blake2b(digest_size=16)
        self._number = 0
        self._next_sweep = 0.0
        self._is_draining = False
        self._token = self._mint_token()
        self._populate(workers, rooms)

    def run(self) -> AgentsOutcome:
        """To the end, with nothing left."""
        self._run_until(self.seconds)
        self.is_closing = True
        for room in list(self.rooms.values()):
            self.after(self.dice.between(0.0, 5.0), room.end, self.dice.one_of(("ROOM_DELETED", "ROOM_CLOSED")))
        self._run_until(self.now + QUIET_S)
        self._check_rooms_left_nothing()
        for worker in self.workers.values():
            worker.quit()
        self._run_until(self.now + QUIET_S)
        self._check_workers_left_nothing()
        ledger = self.ledger
        return AgentsOutcome(
            digest=self._hash.hexdigest(),
            lasted=self.now,
            steps=self.steps,
            jobs=len(ledger.jobs),
            offers=ledger.num_offers,
            assigned=ledger.num_assigned,
            restarts=ledger.num_restarts,
        )

    def after(self, delay: float, action: Callable[..., object], *args: Any) -> None:
        """Do something later."""
        self._number += 1
        heappush(self._queue, (self.now + delay, self._number, action, args))

    # For rooms

    def new_sid(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"

    def start_room(self, room: SimRoom, wanted: Sequence[agent_dispatch.RoomAgentDispatch]) -> None:
        self.rooms[room.name] = self._rooms_by_sid[room.sid] = room
        self.agents.room_started(self.now, room.sid, room.name, wanted)
        self._drain()

    def end_room(self, room: SimRoom, event: RoomFinished) -> None:
        del self.rooms[room.name], self._rooms_by_sid[room.sid]
        self.ledger.room_ended(room.sid)
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Something happened in a room."""
        self.agents.handle_event(self.now, event)
        self._drain()

    def create_dispatch(
        self, room: SimRoom, request: agent_dispatch.CreateAgentDispatchRequest
    ) -> agent_dispatch.AgentDispatch:
        made = self.agents.create_dispatch(self.now, room.sid, request)
        room.dispatches[made.id] = made
        self._drain()
        return made

    def delete_dispatch(self, room: SimRoom, dispatch_id: str) -> None:
        del room.dispatches[dispatch_id]
        (known,) = self.agents.list_dispatches(room.sid, dispatch_id)
        self.ledger.dispatch_deleted(known)
        self.agents.delete_dispatch(self.now, room.sid, dispatch_id)
        self._drain()

    # For workers

    def open_socket(self, worker: SimWorker) -> SessionId:
        self._number += 1
        session = SessionId(self._number)
        self._sockets[session] = worker
        self.ledger.handle_opened(session)
        query = {"access_token": self._token}
        self.agents.handle_connect(self.now, session, HttpRequest(method="GET", path="/agent", query=query))
        self._drain()
        return session

    def send(self, session: SessionId, message: agent.WorkerMessage) -> None:
        """A worker says something; it arrives a little later."""
        self.after(self._latency(session, True), self._arrive, session, message)

    def close_socket(self, session: SessionId) -> None:
        if self._sockets.pop(session, None) is not None:
            self._forget(session)
            self.agents.handle_disconnect(self.now, session)
            self._drain()

    def replace(self, worker: SimWorker) -> None:
        """A new process in place of one that ended."""
        self.workers.pop(worker.name, None)
        if not self.is_closing:
            self._start_worker(worker.agent_name, worker.job_type)

    # Lookup, for `Agents`

    def room_info(self, room: str) -> models.Room | None:
        known = self.rooms.get(room)
        return None if known is None else models.Room(name=room, sid=known.sid)

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        known = self.rooms.get(room)
        sid = None if known is None else known.people.get(identity)
        return None if sid is None else models.ParticipantInfo(identity=identity, sid=sid)

    # Private

    def _populate(self, workers: int, rooms: int) -> None:
        for _ in range(workers):
            kind = self.dice.one_of(self.agent_names), self.dice.draw(TYPES)
            self.after(self.dice.between(0.0, ARRIVAL_S), self._start_worker, *kind)
        for number in range(rooms):
            self.after(
                self.dice.between(0.0, 0.6 * self.seconds), self._start_room, f"room-{number % (rooms * 4 // 5 + 1)}"
            )

    def _start_worker(self, agent_name: str, job_type: agent.JobType) -> None:
        worker = SimWorker(self, self.new_sid("worker-"), agent_name, job_type)
        self.workers[worker.name] = worker
        worker.live()

    def _start_room(self, name: str) -> None:
        """Begin a room, or later if one of that name is there."""
        if name in self.rooms:
            self.after(5.0, self._start_room, name)
        elif not self.is_closing:
            SimRoom(self, name, self.new_sid("RM_")).start()

    def _mint_token(self) -> str:
        claims = Claims(issuer=API_KEY, video=VideoGrant(agent=True), expires_at=WALL + 86400.0)
        return mint(claims, API_SECRET, wallclock=WALL)

    def _run_until(self, until: float) -> None:
        while True:
            due = self.agents.poll_timeout()
            planned = self._queue[0][0] if self._queue else None
            at = min((when for when in (due, planned) if when is not None), default=None)
            if at is None or at > until:
                break
            self._sweep_if_due(at)
            self.now = self.ledger.now = max(self.now, at)
            self.steps += 1
            if due is not None and due <= self.now:
                self._time_out()
            else:
                _, _, action, args = heappop(self._queue)
                action(*args)
        self._sweep_if_due(until)
        self.now = self.ledger.now = until

    def _sweep_if_due(self, at: float) -> None:
        """Look at everything before time goes on, unless that was done lately."""
        if at > self.now and self.now >= self._next_sweep:
            self._next_sweep = self.now + SWEEP_S
            Sweep(self.ledger).jobs(self.agents.jobs())

    def _time_out(self) -> None:
        self.agents.handle_timeout(self.now)
        self._drain()
        due = self.agents.poll_timeout()
        if due is not None and due <= self.now:
            raise BrokenRule(f"at {self.now:.3f} s: a deadline that has passed stays")

    def _latency(self, session: SessionId, is_up: bool) -> float:
        at = max(self.now + self.dice.between(0.001, 0.040), self._arrivals.get((session, is_up), 0.0))
        self._arrivals[session, is_up] = at
        return at - self.now

    def _arrive(self, session: SessionId, message: agent.WorkerMessage) -> None:
        worker = self._sockets.get(session)
        if worker is not None:
            waiting = {(key.agent_name, key.job_type) for key, _, number in self.agents.pools() if number}
            self.ledger.handle_said(session, message, waiting)
            frame = encode_json(message) if worker.speaks_json else message.SerializeToString()
            self.agents.handle_message(self.now, session, frame)
            self._drain()

    def _deliver(self, session: SessionId, message: agent.ServerMessage) -> None:
        worker = self._sockets.get(session)
        if worker is not None and worker.session == session and not worker.is_dead:
            worker.handle_message(message)

    def _forget(self, session: SessionId) -> None:
        self.ledger.handle_closed(session)
        self._arrivals.pop((session, True), None)
        self._arrivals.pop((session, False), None)

    # What comes out

    def _drain(self) -> None:
        """Take all outputs, and those of what they lead to."""
        if self._is_draining:
            return
        self._is_draining = True
        while self._drain_once():
            pass
        self._is_draining = False
        self.ledger.settle()

    def _drain_once(self) -> bool:
        commands, events, removals = self.agents.poll_commands(), self.agents.poll_events(), self.agents.poll_removals()
        for command in commands:
            self._carry_out(command)
        for event in events:
            self._note(event)
            self.ledger.handle_event(event)
        for removal in removals:
            self._note(removal)
            room = self.rooms.get(removal.room)
            if room is not None:
                room.agent_leaves(removal.identity, "PARTICIPANT_REMOVED", removal.sid)
        return bool(commands or events or removals)

    def _carry_out(self, command: Command) -> None:
        self._note(command)
        match command:
            case Send(session, frame):
                is_json = isinstance(frame, str)
                message = parse_json(agent.ServerMessage, frame) if is_json else parse(agent.ServerMessage, frame)  # type: ignore[arg-type]
                self.ledger.handle_told(session, message)
                self.after(self._latency(session, False), self._deliver, session, message)
            case Close(session=session):
                worker = self._sockets.pop(session)
                self._forget(session)
                worker.handle_closed()
            case Accept():
                pass
            case _:
                raise BrokenRule(f"at {self.now:.3f} s: {command} is of no use to a worker")

    def _note(self, output: object) -> None:
        self._hash.update(f"{self.now:.6f} {output!r}\n".encode())

    # The end

    def _check_rooms_left_nothing(self) -> None:
        Sweep(self.ledger).nothing_left()
        if self.rooms or list(self.agents.jobs()) or self.agents.num_running:
            raise BrokenRule(f"{self.agents.num_running} jobs run after all rooms have ended")
        waiting = [key for key, _, num_waiting in self.agents.pools() if num_waiting]
        if waiting:
            raise BrokenRule(f"jobs of {waiting} wait after all rooms have ended")

    def _check_workers_left_nothing(self) -> None:
        Sweep(self.ledger).nothing_left()
        if len(self.agents) or list(self.agents.pools()) or self.agents.poll_timeout() is not None:
            raise BrokenRule("something is left of workers that are gone")
