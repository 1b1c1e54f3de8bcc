"""The process of one job: it comes into the room, stays, and goes in many ways, good and bad.

It lives in its worker's process and reports through it. `START` and `LIFE` are what may happen to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..wire import agent
from .dice import Table

if TYPE_CHECKING:
    from .agent_workers import SimWorker

JobStatus = agent.JobStatus
BROKEN = ("CONNECTION_TIMEOUT", "SIGNAL_CLOSE", "STATE_MISMATCH", "MEDIA_FAILURE")
COMES_BACK = frozenset({*BROKEN, "DUPLICATE_IDENTITY"})


class SimAgent:
    """The agent of one assignment."""

    __slots__ = ("dice", "identity", "is_over", "job", "sid", "wants_back", "worker")

    def __init__(self, worker: SimWorker, job: agent.Job, identity: str) -> None:
        self.worker = worker
        self.job = job
        self.identity = identity
        self.dice = worker.dice
        self.sid = ""
        """While it is in the room."""
        self.is_over = False
        """Whether the process has ended."""
        self.wants_back = False

    def start(self) -> None:
        self.worker.report(self.job.id, JobStatus.JS_RUNNING)
        self.dice.draw(START, self.worker.world.mishaps)(self)

    def join(self) -> None:
        """Come in, or in again, unless the room is another one by now."""
        world = self.worker.world
        room = world.rooms.get(self.job.room.name)
        if self.is_over:
            return
        if room is None or room.sid != self.job.room.sid:
            self.finish(JobStatus.JS_FAILED)
            return
        self.wants_back = False
        room.agent_joins(self)
        if self.sid:
            self.dice.draw(LIFE, world.mishaps)(self)

    def leave(self, reason: str) -> None:
        room = self.worker.world.rooms.get(self.job.room.name)
        if room is not None and self.sid:
            room.agent_leaves(self.identity, reason, self.sid)

    def handle_left(self, reason: str) -> None:
        """It is out of the room, by its own will or not."""
        if self.is_over or self.wants_back:
            return
        if reason not in COMES_BACK:
            self.end_soon()

    def handle_termination(self) -> None:
        """The server wants it to end."""
        self.dice.draw(TERMINATION, self.worker.world.mishaps)(self)

    def end_soon(self) -> None:
        self._later(self.dice.between(0.0, 2.0), self.finish, JobStatus.JS_SUCCESS)

    def finish(self, status: agent.JobStatus | None) -> None:
        """The process ends, and its worker says so unless the status is None."""
        if self.is_over:
            return
        self.die("CLIENT_INITIATED")
        self.worker.forget(self, status)

    def die(self, reason: str) -> None:
        """The process ends."""
        self.is_over = True
        self.leave(reason)

    # What may happen before it has come in

    def _start_soon(self) -> None:
        self._later(self.dice.between(0.03, 1.5), self.join)

    def _start_late(self) -> None:
        self._later(self.dice.between(5.0, 14.5), self.join)

    def _start_too_late(self) -> None:
        self._later(self.dice.between(15.5, 35.0), self.join)

    def _never_start(self) -> None:
        """It hangs."""

    def _fail_to_start(self) -> None:
        self._later(self.dice.between(0.0, 3.0), self.finish, JobStatus.JS_FAILED)

    # What may happen in the room

    def _stay(self) -> None:
        """Until it is told to go."""

    def _do_and_go(self) -> None:
        self._later(self.dice.between(3.0, 60.0), self.finish, JobStatus.JS_SUCCESS)

    def _fail(self) -> None:
        self._later(self.dice.between(0.5, 40.0), self.finish, JobStatus.JS_FAILED)

    def _report_and_stay(self) -> None:
        """It says that it failed and hangs in the room."""
        self._later(self.dice.between(0.5, 40.0), self.worker.report, self.job.id, JobStatus.JS_FAILED)

    def _go_without_a_word(self) -> None:
        self._later(self.dice.between(0.5, 40.0), self.finish, None)

    def _leave_and_hang(self) -> None:
        """It leaves, and its process goes on until it is told to end."""
        self._later(self.dice.between(0.5, 40.0), self._hang, "CLIENT_INITIATED")

    def _lose_connection(self) -> None:
        self._later(self.dice.between(0.5, 40.0), self._break)

    def _lose_connection_for_good(self) -> None:
        self._later(self.dice.between(0.5, 40.0), self._hang, "CONNECTION_TIMEOUT")

    def _join_anew(self) -> None:
        """The same identity again, before the old connection has gone."""
        self._later(self.dice.between(0.5, 40.0), self.join)

    def _be_removed(self) -> None:
        """By somebody's call of RemoveParticipant."""
        self._later(self.dice.between(0.5, 40.0), self.leave, "PARTICIPANT_REMOVED")

    def _break(self) -> None:
        if not self.sid:
            return
        self.wants_back = True
        self.leave(self.dice.one_of(BROKEN))
        self._later(self.dice.between(0.2, 30.0), self.join)

    def _hang(self, reason: str) -> None:
        self.wants_back = True
        self.leave(reason)
        self.wants_back = False

    # What it may do when it is told to end

    def _obey(self) -> None:
        self.end_soon()

    def _end_without_a_word(self) -> None:
        self._later(self.dice.between(0.0, 2.0), self.finish, None)

    def _end_late(self) -> None:
        self._later(self.dice.between(4.0, 20.0), self.finish, JobStatus.JS_SUCCESS)

    def _ignore(self) -> None:
        """It stays, and may even come later."""

    def _later(self, delay: float, action: Callable[..., object], *args: object) -> None:
        self.worker.world.after(delay, self._unless_over, action, args)

    def _unless_over(self, action: Callable[..., object], args: tuple[object, ...]) -> None:
        if not self.is_over:
            action(*args)


START: Table[Callable[[SimAgent], None]] = (
    (88, SimAgent._start_soon),
    (4, SimAgent._start_late),
    (3, SimAgent._start_too_late),
    (2, SimAgent._never_start),
    (3, SimAgent._fail_to_start),
)
LIFE: Table[Callable[[SimAgent], None]] = (
    (50, SimAgent._stay),
    (20, SimAgent._do_and_go),
    (5, SimAgent._fail),
    (2, SimAgent._report_and_stay),
    (3, SimAgent._go_without_a_word),
    (2, SimAgent._leave_and_hang),
    (9, SimAgent._lose_connection),
    (3, SimAgent._lose_connection_for_good),
    (2, SimAgent._join_anew),
    (4, SimAgent._be_removed),
)
TERMINATION: Table[Callable[[SimAgent], None]] = (
    (88, SimAgent._obey),
    (4, SimAgent._end_without_a_word),
    (4, SimAgent._end_late),
    (4, SimAgent._ignore),
)
