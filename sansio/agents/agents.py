"""Agents: workers offer their service, rooms ask for it, jobs bring the two together.

    frames --> WorkerSessions --> Desk --> Dispatcher (who gets a job) --accepted--> Keeper (until it ends)
    rooms' events, API --> Dispatches (which jobs there are) --> Dispatcher              |
                               ^-------------------- lost -------------------------------+

`Agents` routes between them and carries out their orders: frames to workers, tokens, agents to be removed from rooms, events.
Drain `poll_commands`, `poll_removals` and `poll_events` after every call.

Left out: LiveKit's fan-out of a dispatch to namespaces (deprecated there); a job is for the empty namespace, except one that a
worker makes for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from ..config import Config
from ..entropy import Entropy
from ..errors import DropReason, Refusal
from ..events import (
    Event,
    JobAssigned,
    JobEnded,
    JobRestarted,
    OfferMissed,
    ParticipantJoined,
    ParticipantLeft,
    RoomFinished,
    TrackPublished,
)
from ..ids import NodeId, SessionId
from ..outputs import Command, HttpRequest
from ..timers import DeadlineHeap
from ..wallclock import WallClock
from ..wire import agent, agent_dispatch
from .desk import Desk
from .dispatcher import Dispatcher
from .dispatches import Dispatch, Dispatches, Request, RoomRecord
from .job import PLACED, Job, Phase
from .keeper import Keeper
from .messages import Lookup, Messages
from .orders import Assign, Ended, Lost, Missed, Offer, Order, Remove, Terminate
from .pool import PoolKey
from .sessions import WorkerSessions

JobStateReason = agent.JobStateReason


class Agents:
    """The agents of a node: its workers, dispatches and jobs."""

    __slots__ = (
        "_config", "_desk", "_dispatcher", "_dispatches", "_events", "_keeper", "_messages", "_removals", "_restarts",
        "_sessions",
    )  # fmt: skip

    def __init__(self, config: Config, entropy: Entropy, wallclock: WallClock, node_id: NodeId, lookup: Lookup) -> None:
        self._config = config
        self._sessions = WorkerSessions(config, wallclock)
        self._dispatcher = Dispatcher(config.agents, entropy)
        self._keeper = Keeper(config.agents)
        self._dispatches = Dispatches(config.agents, config.limit, entropy)
        self._messages = Messages(config.agents, lookup, wallclock)
        self._desk = Desk(
            config,
            entropy,
            wallclock,
            node_id,
            sessions=self._sessions,
            dispatcher=self._dispatcher,
            keeper=self._keeper,
            dispatches=self._dispatches,
        )
        self._restarts: DeadlineHeap[Job] = DeadlineHeap()
        """Jobs in place of lost ones, and when they are to be placed."""
        self._removals: list[Remove] = []
        self._events: list[Event] = []

    # Workers' sockets

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> None:
        """Answer an upgrade request on `/agent`."""
        self._sessions.handle_connect(now, session, request)

    def handle_message(self, now: float, session: SessionId, frame: bytes | str) -> None:
        """One frame of a worker."""
        self._desk.handle_message(now, session, frame)
        self._settle(now)

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        """The socket is gone."""
        self._sessions.handle_disconnect(session)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        self._sessions.handle_timeout(now)
        for job in self._restarts.pop_due(now):
            if job.phase is Phase.WAITING:
                self._place_again(now, job)
        self._dispatcher.handle_timeout(now)
        self._keeper.handle_timeout(now)
        self._settle(now)

    def close(self, now: float) -> None:
        """Close all sockets: the server ends."""
        self._sessions.close()

    # What happens in rooms

    def room_started(self, now: float, sid: str, name: str, wanted: Iterable[Request]) -> None:
        """A room begins; `wanted` are the dispatches that it was made with, none meaning the nameless one."""
        self._place(now, self._dispatches.room_started(now, sid, name, wanted))

    def handle_event(self, now: float, event: Event) -> None:
        """Something happened in a room."""
        handler = _ROOM_EVENTS.get(type(event))
        if handler is not None:
            handler(self, now, event)
            self._settle(now)

    # The API

    def check_dispatch(self, request: Request) -> None:
        """Raises Refusal if such a dispatch cannot be made."""
        self._dispatches.check(request)

    def create_dispatch(self, now: float, room_sid: str, request: Request) -> agent_dispatch.AgentDispatch:
        """Add a dispatch to a room that has begun. Raises Refusal."""
        dispatch, jobs = self._dispatches.create(now, self._room(room_sid), request)
        self._place(now, jobs)
        return self._dispatch_message(dispatch)

    def delete_dispatch(self, now: float, room_sid: str, dispatch_id: str) -> agent_dispatch.AgentDispatch:
        """Remove a dispatch and end its jobs; returned as it was. Raises Refusal."""
        dispatch = self._dispatches.delete(self._room(room_sid), dispatch_id)
        message = self._dispatch_message(dispatch)
        for job in list(dispatch.jobs.values()):
            self._call_off(now, job, "the dispatch was deleted", JobStateReason.JSR_DISPATCH_DELETED)
        self._settle(now)
        return message

    def list_dispatches(self, room_sid: str, dispatch_id: str = "") -> Sequence[agent_dispatch.AgentDispatch]:
        """All of a room, or the one with that id if there is one, with their jobs."""
        room = self._dispatches.room(room_sid)
        known = () if room is None else room.dispatches.values()
        return [self._dispatch_message(dispatch) for dispatch in known if not dispatch_id or dispatch.id == dispatch_id]

    # Outputs and getters

    def poll_commands(self) -> list[Command]:
        return self._sessions.poll_commands()

    def poll_removals(self) -> list[Remove]:
        """Agents to take out of their rooms."""
        removals, self._removals = self._removals, []
        return removals

    def poll_events(self) -> list[Event]:
        events, self._events = self._desk.poll_events() + self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self._sessions.drops = self._sessions.drops, {}
        return drops

    def poll_timeout(self) -> float | None:
        owners = (self._sessions, self._dispatcher, self._keeper)
        deadlines = (*(owner.poll_timeout() for owner in owners), self._restarts.next())
        return min((at for at in deadlines if at is not None), default=None)

    def jobs(self) -> Iterable[Job]:
        """All jobs of all rooms' dispatches, ended ones included as long as they are listed."""
        return self._dispatches.jobs()

    def pools(self) -> Iterable[tuple[PoolKey, int, int]]:
        """Of each pool its key, and how many workers and waiting jobs it has."""
        return self._dispatcher.pools()

    @property
    def num_running(self) -> int:
        """Jobs that a worker has."""
        return len(self._keeper)

    def __contains__(self, session: object) -> bool:
        return session in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    # What rooms say

    def _room_finished(self, now: float, event: RoomFinished) -> None:
        room = self._dispatches.room_ended(event.sid)
        for job in () if room is None else room.jobs():
            if job.phase not in PLACED:
                self._call_off(now, job, "the room ended", JobStateReason.JSR_ROOM_CLOSED)
        self._keeper.room_ended(now, event.sid)

    def _joined(self, now: float, event: ParticipantJoined) -> None:
        if event.kind == "agent":
            room = self._dispatches.room_named(event.room)
            if room is not None:
                self._keeper.agent_joined(now, room.sid, event.room, event.identity, event.sid)
        if not event.is_dependent:
            self._place(now, self._dispatches.joined(now, event))

    def _left(self, now: float, event: ParticipantLeft) -> None:
        self._keeper.agent_left(now, event.sid, event.reason)
        for job in self._dispatches.left(event):
            self._call_off(now, job, "its participant left")

    def _published(self, now: float, event: TrackPublished) -> None:
        self._place(now, self._dispatches.published(now, event.room, event.identity))

    # Orders

    def _place(self, now: float, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._dispatcher.place(now, job)
        self._settle(now)

    def _place_again(self, now: float, job: Job) -> None:
        if self._dispatches.is_needed(job):
            self._dispatcher.place(now, job)
        else:
            self._call_off(now, job, "nobody is left to do it for")

    def _call_off(self, now: float, job: Job, error: str, reason: int = JobStateReason.JSR_UNSPECIFIED) -> None:
        """A job is not wanted any more."""
        self._restarts.set(job, None)
        if job.phase in PLACED:
            self._keeper.dismiss(now, job, reason)
        elif job.phase is not Phase.ENDED:
            self._dispatcher.cancel(now, job, error, reason)

    def _settle(self, now: float) -> None:
        """Carry out all orders, and what follows from them."""
        while True:
            self._desk.handle_gone(now)
            orders = [*self._dispatcher.poll_orders(), *self._keeper.poll_orders()]
            if not orders:
                return
            for order in orders:
                _ORDERS[type(order)](self, now, order)

    def _offer(self, now: float, order: Offer) -> None:
        self._desk.tell(order.worker, self._messages.availability(now, order.job))

    def _assign(self, now: float, order: Assign) -> None:
        job, worker = order.job, order.worker
        self._keeper.add(now, job)
        secret = self._config.keys[worker.issuer]
        self._desk.tell(worker, self._messages.assignment(now, job, worker, order.acceptance, secret))
        self._events.append(
            JobAssigned(
                job=job.id,
                room=job.wanted.room,
                worker=worker.id,
                agent_name=job.key.agent_name,
                after_ms=int((now - job.created_at) * 1000),
            )
        )

    def _terminate(self, now: float, order: Terminate) -> None:
        termination = agent.JobTermination(job_id=order.job_id)
        self._desk.tell(order.worker, agent.ServerMessage(termination=termination))

    def _remove(self, now: float, order: Remove) -> None:
        self._removals.append(order)

    def _missed(self, now: float, order: Missed) -> None:
        self._events.append(OfferMissed(job=order.job.id, worker=order.worker.id, reason=order.why))

    def _lost(self, now: float, order: Lost) -> None:
        job = self._dispatches.successor(now, order.job)
        if job is None:
            return
        delay = self._config.agents.restart_delay * 2**order.job.restart
        self._restarts.set(job, now + delay)
        self._events.append(
            JobRestarted(job=job.id, replaces=order.job.id, restart=job.restart, reason=order.job.error)
        )
        order.job.error += f"; {job.id} takes its place"

    def _ended(self, now: float, order: Ended) -> None:
        job = order.job
        self._events.append(
            JobEnded(
                job=job.id,
                room=job.wanted.room,
                agent_name=job.key.agent_name,
                status=agent.JobStatus.Name(cast(agent.JobStatus, job.status)),
                error=job.error,
                was_offered=job.num_offers > 0,
            )
        )

    def _room(self, sid: str) -> RoomRecord:
        room = self._dispatches.room(sid)
        if room is None:
            raise Refusal("not_found", "requested room does not exist")
        return room

    def _dispatch_message(self, dispatch: Dispatch) -> agent_dispatch.AgentDispatch:
        message = dispatch.message()
        jobs = self._dispatches.listed(dispatch, self._dispatcher.has_workers)
        message.state.CopyFrom(self._messages.dispatch_state(dispatch.created_at, jobs))
        return message


_ROOM_EVENTS: dict[type, Callable[[Agents, float, Any], None]] = {
    RoomFinished: Agents._room_finished,
    ParticipantJoined: Agents._joined,
    ParticipantLeft: Agents._left,
    TrackPublished: Agents._published,
}
_ORDERS: dict[type[Order], Callable[[Agents, float, Any], None]] = {
    Offer: Agents._offer,
    Assign: Agents._assign,
    Terminate: Agents._terminate,
    Remove: Agents._remove,
    Missed: Agents._missed,
    Lost: Agents._lost,
    Ended: Agents._ended,
}
