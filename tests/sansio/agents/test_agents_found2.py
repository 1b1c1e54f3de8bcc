"""Found with real workers: LiveKit's take a few jobs at a time, and refuse the rest of a burst, which they could take later."""

from __future__ import annotations

from agents_rig import AgentsRig, JobStatus, WorkerEnd

from sansio.config import AgentsConfig


class CarefulWorker:
    """Takes an offer while fewer than `at_once` of its jobs are starting, and refuses others."""

    def __init__(self, end: WorkerEnd, at_once: int) -> None:
        self.end = end
        self.at_once = at_once
        self.starting: list[str] = []
        self.done = 0
        self._answered = 0

    def answer(self) -> None:
        """Answer what was offered meanwhile."""
        while self._answered < len(self.end.offers):
            job = self.end.offers[self._answered]
            self._answered += 1
            if len(self.starting) < self.at_once:
                self.starting.append(job.id)
                self.end.answer(job)
            else:
                self.end.refuse(job)

    def start_one(self) -> None:
        """One job has started, and the worker says so."""
        self.end.report(self.starting.pop(0), JobStatus.JS_RUNNING)
        self.done += 1
        self.answer()


def burst(num_rooms: int, *, at_once: int) -> tuple[AgentsRig, CarefulWorker]:
    rig = AgentsRig()
    worker = CarefulWorker(rig.worker(), at_once)
    for number in range(num_rooms):
        rig.room(f"room {number}")
    worker.answer()
    return rig, worker


def test_a_burst_is_taken_as_jobs_start() -> None:
    """One worker that takes two at a time gets all of eight; nobody else comes, and it is never full."""
    rig, worker = burst(8, at_once=2)
    assert len(worker.starting) == 2
    while worker.starting:
        rig.run(0.1)
        worker.start_one()
    assert worker.done == 8
    assert len(worker.end.offers) < 8 + 8 + 2 * 8
    assert {job.state.status for name in rig.rooms for job in rig.jobs(name)} == {JobStatus.JS_RUNNING}


def test_jobs_that_waited_for_a_worker_are_no_burst_that_it_refuses_for_good() -> None:
    rig = AgentsRig()
    for number in range(200):
        rig.room(f"room {number}")
    worker = CarefulWorker(rig.worker(), 1)
    worker.answer()
    while worker.starting:
        rig.run(0.05)
        worker.start_one()
    assert worker.done == 200
    assert len(worker.end.offers) < 4 * 200


def test_a_worker_that_tells_its_load_alone_is_asked_again_too() -> None:
    _, worker = burst(4, at_once=2)
    worker.starting.clear()
    worker.end.update(0.3)
    worker.answer()
    assert len(worker.end.jobs) == 4


def test_a_worker_that_refuses_whatever_comes_is_asked_so_often_as_it_speaks() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=60))
    worker = CarefulWorker(rig.worker(), 0)
    for number in range(10):
        rig.room(f"room {number}")
    worker.answer()
    assert len(worker.end.offers) == 10
    for _ in range(40):
        rig.run(2.5)
        worker.end.update(0.1)
        worker.answer()
    assert len(worker.end.offers) <= 10 + 2 * 24
    assert {job.state.status for name in rig.rooms for job in rig.jobs(name)} == {JobStatus.JS_FAILED}


def test_a_worker_asked_for_nothing_else_means_its_refusal() -> None:
    _, worker = burst(1, at_once=0)
    worker.end.update(0.1)
    assert len(worker.end.offers) == 1
