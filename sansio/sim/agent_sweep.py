"""What must hold between the steps of a simulation of agents, looked at from time to time.

No job waits while a worker could take it; all wait for something that has a deadline; none has vanished; the phase is that of the
agent in the room, and it has a worker if that worker is there; nothing is left of deleted dispatches and ended rooms, nor in the
room of ended jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from ..agents import Job, Phase
from .agent_books import SLACK_S, Books, Entry, Kind, Seat

if TYPE_CHECKING:
    from .agent_process import SimAgent


class Sweep:
    """One look at everything."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._config = books.config
        self._now = books.now
        self._free = self._free_seats()

    def jobs(self, jobs: Iterable[Job]) -> None:
        """Look at all jobs of all dispatches."""
        seen: set[str] = set()
        for job in jobs:
            seen.add(job.id)
            if job.phase is Phase.ENDED:
                self._check_ended(job)
            else:
                self._check_live(job)
        for entry in self._books.live.values():
            self._check_fate(entry, seen)
        for present in self._books.present.values():
            self._check_present(present[0])

    def nothing_left(self) -> None:
        """All rooms have ended, and all deadlines have passed."""
        for entry in self._books.live.values():
            self._fail(f"{entry.id} never ends")
        for seat in self._books.seats.values():
            if seat.offers:
                self._fail(f"the offers of {seat.offers} are still open")
        if self._books.present:
            self._fail(f"agents of {list(self._books.present)} are in rooms that ended")

    def _free_seats(self) -> dict[Kind, list[Seat]]:
        """Workers that can be asked, by kind."""
        free: dict[Kind, list[Seat]] = {}
        for seat in self._books.seats.values():
            has_room = seat.is_available and not seat.is_pressed and len(seat.offers) < self._config.max_offers
            if seat.kind is not None and has_room:
                free.setdefault(seat.kind, []).append(seat)
        return free

    def _check_ended(self, job: Job) -> None:
        entry = self._books.jobs.get(job.id)
        if entry is not None and entry.ended_at is None:
            self._fail(f"{job.id} has ended, and nobody was told")

    def _check_live(self, job: Job) -> None:
        entry = self._books.learn_job(job)
        state = (job.phase, job.worker is not None)
        if state != entry.state:
            entry.state, entry.state_since = state, self._now
        match job.phase:
            case Phase.WAITING:
                self._check_waiting(job, entry, self._free.get(entry.kind, []))
            case Phase.OFFERED:
                if entry.offered_to is None or self._now > entry.offered_at + self._config.offer_timeout + SLACK_S:
                    self._fail(f"{job.id} waits for an answer that is not to come")
            case _:
                self._check_placed(job, entry)

    def _check_waiting(self, job: Job, entry: Entry, free: list[Seat]) -> None:
        if self._now < entry.not_before:
            return
        if self._now > job.deadline + SLACK_S:
            self._fail(f"{job.id} waits beyond its deadline")
        for seat in free:
            if seat.turn not in entry.tried:
                self._fail(f"{job.id} waits, and {seat.session} could take it")

    def _check_placed(self, job: Job, entry: Entry) -> None:
        here = self._books.agents_of(entry)
        if (job.phase is Phase.RUNNING) != (here > 0):
            self._fail(f"{job.id} is {job.phase.name}, and {here} of its agents are there")
        if (job.worker is not None) != (entry.holder is not None):
            self._fail(f"{job.id} has {job.worker}, and should have {entry.holder}")
        if job.phase is Phase.RUNNING or (job.phase is Phase.ASSIGNED and job.worker is not None):
            return
        patience = self._config.join_timeout + self._config.report_timeout + self._config.reattach_grace
        if self._now > entry.state_since + patience + SLACK_S:
            self._fail(f"{job.id} is {job.phase.name} for too long")

    def _check_fate(self, entry: Entry, seen: set[str]) -> None:
        if entry.orphaned_at is None:
            if entry.dispatch_id and entry.id not in seen:
                self._fail(f"{entry.id} has vanished")
        elif self._now > entry.orphaned_at + self._config.dismissal_grace + 2 * self._config.report_timeout:
            self._fail(f"{entry.id} goes on after its dispatch or its room")

    def _check_present(self, one: SimAgent) -> None:
        entry = self._books.known(one.job.id)
        grace = self._config.dismissal_grace + SLACK_S
        if entry.ended_at is not None and self._now > max(entry.ended_at, entry.came_at) + grace:
            self._fail(f"the agent of {entry.id} is in the room after the job's end")

    def _fail(self, text: str) -> NoReturn:
        self._books.fail(text)
