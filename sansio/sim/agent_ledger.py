"""What must always hold when jobs are given to agents, checked against what the server says and what happens in rooms.

The ledger keeps books of its own. It knows nothing of the dispatcher's inside but what `Agents` shows of its jobs. A rule that is
broken raises `BrokenRule`:

- a job is offered to one worker at a time, of its kind, that is available, and once until that worker tells of itself;
- it is assigned once, to the worker that took it in time, and at once; it ends once;
- one that was lost while somebody needs it is followed by another at once, others are not; each by one at most, so many in a row
  as the configuration says, and after a pause;
- no lineage (a job and those in its place) has two agents in the room;
- no worker is told for no reason to end a job whose agent is at work.

What must hold between steps is in `agent_sweep`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from ..config import AgentsConfig
from ..events import Event, JobAssigned, JobEnded, JobRestarted
from ..ids import SessionId
from ..wire import agent, agent_dispatch
from .agent_books import SLACK_S, Books, Entry, Kind, Seat

if TYPE_CHECKING:
    from .agent_process import SimAgent
    from .agent_rooms import SimRoom

JobStatus = agent.JobStatus
LOST = ("its agent and its worker are gone", "its worker says that it failed", "it broke")
SENT_AWAY = frozenset({"PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"})


class Ledger(Books):
    """The books, and the rules that hold with every step."""

    def __init__(self, config: AgentsConfig, rooms: Mapping[str, SimRoom]) -> None:
        super().__init__(config, rooms)
        self.num_offers = 0
        self.num_assigned = 0
        self.num_restarts = 0
        self.ends: dict[str, int] = {}
        """How many jobs ended in which way."""
        self._num_turns = 0
        self._owed: dict[str, Entry] = {}
        """Jobs in whose place another must come at once."""
        self._accepted: list[Entry] = []
        self._came: list[str] = []
        """Lineages of which an agent came into the room."""

    # Workers

    def handle_opened(self, session: SessionId) -> None:
        self.seats[session] = Seat(session)

    def handle_closed(self, session: SessionId) -> None:
        seat = self.seats.pop(session, None)
        if seat is None:
            return
        for job_id in seat.offers:
            self.jobs[job_id].offered_to = None
        for entry in self.live.values():
            if entry.holder == session:
                entry.holder = None

    def handle_said(self, session: SessionId, message: agent.WorkerMessage, waiting: Container[Kind]) -> None:
        """A worker's message reaches the server, where jobs of some kinds wait."""
        seat = self.seats[session]
        match message.WhichOneof("message"):
            case "register":
                seat.kind = (message.register.agent_name, message.register.type)
                self._take_turn(seat)
            case "update_worker":
                self._progressed(seat, waiting)
                self._updated(seat, message.update_worker)
            case "availability":
                self._answered(seat, message.availability)
            case "update_job":
                self._progressed(seat, waiting)
                entry = self._reattached(seat, message.update_job.job_id)
                if entry is not None and message.update_job.status == JobStatus.JS_FAILED:
                    entry.is_failed = True
            case "migrate_job":
                for job_id in message.migrate_job.job_ids:
                    self._reattached(seat, job_id)

    def handle_told(self, session: SessionId, message: agent.ServerMessage) -> None:
        """The server tells a worker something."""
        seat = self.seats.get(session)
        if seat is None:
            self.fail(f"{message} is sent to a socket that is gone")
        match message.WhichOneof("message"):
            case "availability":
                self._offered(seat, message.availability.job)
            case "assignment":
                self._assigned(seat, message.assignment.job)
            case "termination":
                self._terminated(seat, message.termination.job_id)

    def is_attached_elsewhere(self, job_id: str, session: SessionId | None) -> bool:
        entry = self.live.get(job_id)
        return entry is not None and entry.holder is not None and entry.holder != session

    # Rooms

    def agent_came(self, one: SimAgent) -> None:
        self._came.append(self.known(one.job.id).lineage)
        self.present.setdefault(self._came[-1], []).append(one)
        self.known(one.job.id).came_at = self.now

    def agent_went(self, one: SimAgent, reason: str) -> None:
        entry = self.known(one.job.id)
        self.present[entry.lineage].remove(one)
        if not self.present[entry.lineage]:
            del self.present[entry.lineage]
        if reason in SENT_AWAY:
            entry.was_sent_away = True

    def dispatch_deleted(self, dispatch: agent_dispatch.AgentDispatch) -> None:
        for job in dispatch.state.jobs:
            if job.state.status in (JobStatus.JS_PENDING, JobStatus.JS_RUNNING):
                self._learn_message(job)
        for entry in self.live.values():
            if entry.dispatch_id == dispatch.id:
                entry.orphaned_at = self.now

    def room_ended(self, room_sid: str) -> None:
        for entry in self.live.values():
            if entry.room_sid == room_sid and entry.orphaned_at is None:
                entry.orphaned_at = self.now

    # Events

    def handle_event(self, event: Event) -> None:
        match event:
            case JobAssigned():
                if not self.known(event.job).was_assigned:
                    self.fail(f"{event.job} is reported as assigned and is not")
            case JobEnded():
                self._ended(event)
            case JobRestarted():
                self._restarted(event)
            case _:
                pass

    def settle(self) -> None:
        """All that follows from an input has been told."""
        for entry in self._accepted:
            if not entry.was_assigned:
                self.fail(f"{entry.id} was taken in time and is not assigned")
        self._accepted.clear()
        for job_id in self._owed:
            self.fail(f"{job_id} was lost, and no other takes its place")
        for lineage in self._came:
            if len(self.present.get(lineage, ())) > 1:
                self.fail(f"{lineage} has several agents in the room")
        self._came.clear()

    # Private: workers

    def _take_turn(self, seat: Seat) -> None:
        self._num_turns += 1
        seat.turn = seat.word = self._num_turns

    def _progressed(self, seat: Seat, waiting: Container[Kind]) -> None:
        seat.is_pressed = seat.is_pressed and seat.kind in waiting
        if seat.has_refused:
            self._num_turns += 1
            seat.word = self._num_turns

    def _updated(self, seat: Seat, update: agent.UpdateWorkerStatus) -> None:
        if not update.HasField("status"):
            return
        is_available = update.status == agent.WorkerStatus.WS_AVAILABLE
        if is_available and not seat.is_available:
            self._take_turn(seat)
        seat.is_available = is_available

    def _answered(self, seat: Seat, answer: agent.AvailabilityResponse) -> None:
        entry = self.jobs.get(answer.job_id)
        if entry is None or entry.offered_to != seat.session:
            return
        self._close_offer(entry)
        if answer.available and not answer.terminate:
            entry.accepted_by = seat.session
            self._accepted.append(entry)
        else:
            seat.has_refused = seat.is_pressed = True

    def _reattached(self, seat: Seat, job_id: str) -> Entry | None:
        """The job that a worker may speak of."""
        entry = self.live.get(job_id)
        if entry is None or not entry.was_assigned or entry.kind != seat.kind:
            return None
        if entry.holder is None:
            entry.holder = seat.session
        return entry if entry.holder == seat.session else None

    def _offered(self, seat: Seat, job: agent.Job) -> None:
        entry = self._learn_message(job)
        self.num_offers += 1
        if entry.offered_to is not None or entry.was_assigned or entry.ended_at is not None:
            self.fail(f"{job.id} is offered while another has it, or after its end")
        if self.now < entry.not_before - SLACK_S:
            self.fail(f"{job.id} is offered before its pause is over")
        if entry.asked.get(seat.word, 0) > seat.has_refused:
            self.fail(f"{job.id} is offered to the same worker again")
        if entry.dispatch_id and (not seat.is_available or entry.kind != seat.kind):
            self.fail(f"{job.id} is offered to a worker that is full, or of another kind")
        if len(seat.offers) >= self.config.max_offers:
            self.fail(f"{seat.session} has too many offers")
        entry.tried.add(seat.turn)
        entry.asked[seat.word] = entry.asked.get(seat.word, 0) + 1
        entry.offered_to, entry.offered_at = seat.session, self.now
        seat.offers.add(job.id)

    def _assigned(self, seat: Seat, job: agent.Job) -> None:
        entry = self.known(job.id)
        if entry.was_assigned or entry.ended_at is not None:
            self.fail(f"{job.id} is assigned again")
        if entry.accepted_by != seat.session:
            self.fail(f"{job.id} is assigned to a worker that did not take it in time")
        entry.was_assigned = True
        entry.holder = seat.session
        self.num_assigned += 1

    def _terminated(self, seat: Seat, job_id: str) -> None:
        entry = self.jobs.get(job_id)
        if entry is None:
            return
        if entry.offered_to == seat.session:
            self._close_offer(entry)
        is_at_work = entry.ended_at is None and self.agents_of(entry) > 0
        if is_at_work and entry.holder == seat.session and entry.orphaned_at is None and not entry.is_failed:
            self.fail(f"{job_id} is at work, and its worker is told to end it")

    def _close_offer(self, entry: Entry) -> None:
        seat = None if entry.offered_to is None else self.seats.get(entry.offered_to)
        if seat is not None:
            seat.offers.discard(entry.id)
        entry.offered_to = None

    # Private: jobs

    def _learn_message(self, job: agent.Job) -> Entry:
        kind = (job.agent_name, job.type)
        return self.learn(Entry(job.id, kind, job.room.sid, job.dispatch_id, job.participant.identity))

    def _ended(self, event: JobEnded) -> None:
        kind = event.status, event.error
        self.ends[f"{event.status} {event.error}"] = self.ends.get(f"{event.status} {event.error}", 0) + 1
        entry = self.jobs.get(event.job)
        if entry is None:
            return  # made and ended in between
        if entry.ended_at is not None:
            self.fail(f"{event.job} ends again, as {kind}")
        if entry.offered_to is not None:
            self.fail(f"{event.job} has ended and is still offered")
        entry.ended_at = self.now
        del self.live[event.job]
        if event.status == "JS_FAILED" and event.error in LOST and self._must_restart(entry):
            self._owed[entry.id] = entry

    def _must_restart(self, entry: Entry) -> bool:
        return self._may_restart(entry) and not entry.was_sent_away

    def _may_restart(self, entry: Entry) -> bool:
        """Whether its dispatch wants another, and somebody is there."""
        room = self.rooms.get(entry.room_sid)
        if room is None or entry.dispatch_id not in room.dispatches or entry.restart >= self.config.max_restarts:
            return False
        if room.dispatches[entry.dispatch_id].restart_policy:
            return False
        return entry.participant in room.people if entry.participant else bool(room.people)

    def _restarted(self, event: JobRestarted) -> None:
        lost = self.known(event.replaces)
        self._owed.pop(lost.id, None)
        if lost.ended_at is None or lost.successor or not self._may_restart(lost):
            self.fail(f"{event.job} takes the place of {lost.id}, and should not")
        if event.restart != lost.restart + 1:
            self.fail(f"{event.job} counts {event.restart} restarts after {lost.restart}")
        lost.successor = event.job
        entry = self.learn(Entry(event.job, lost.kind, lost.room_sid, lost.dispatch_id, lost.participant))
        entry.lineage = lost.lineage
        entry.restart = event.restart
        entry.not_before = self.now + self.config.restart_delay * 2**lost.restart
        self.num_restarts += 1
