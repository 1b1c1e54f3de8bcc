"""Who gets a job: one worker at a time is asked, drawn by its spare load, until one takes it.

`place` asks a worker of the job's pool. A refusal, an offer that ran out or a lost socket moves the job to a worker not asked
yet, without delay; where there is none it waits for one that registers or has room again, until its deadline. An offer that ran
out is withdrawn before the next worker is asked, so no two can have the job; a yes that comes later is refused. A refusal for all
ends the job. Waiting jobs are given to a worker in their order, as many at a time as it may have open.

LiveKit's workers take only a few jobs at a time and refuse what comes while those start. Such a refusal is not the last word: as
the worker gets on (`handle_progress`), it is asked again, for a few jobs at a time.

Nothing here knows rooms, frames or tokens. Cost of a decision: O(log n) in the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import islice

from ..config import AgentsConfig
from ..entropy import Entropy
from ..timers import DeadlineHeap
from ..wire import agent
from .job import Job, Phase
from .orders import Acceptance, Assign, Ended, Missed, Offer, Order, Terminate
from .pool import UNLIMITED, Pool, PoolKey, Worker

JobStatus = agent.JobStatus
JobStateReason = agent.JobStateReason
OFFERS_AFTER_PROGRESS = 2
"""One in place of what has started, and one to find out whether there is room for more."""


class Answered(Enum):
    """What became of a worker's answer."""

    TAKEN = "the job was offered to it"
    LATE = "the offer was withdrawn before"
    UNKNOWN = "no such job was offered to it"


class Dispatcher:
    """Places jobs with workers."""

    __slots__ = ("_config", "_entropy", "_orders", "_pools", "_timers")

    def __init__(self, config: AgentsConfig, entropy: Entropy) -> None:
        self._config = config
        self._entropy = entropy
        self._pools: dict[PoolKey, Pool] = {}
        self._timers: DeadlineHeap[Job] = DeadlineHeap()
        self._orders: list[Order] = []

    # Workers

    def add_worker(self, now: float, worker: Worker) -> None:
        """A worker registered: jobs that wait for one like it are offered to it."""
        pool = self._pool(worker.key)
        pool.add(worker)
        self._serve(now, pool, worker)

    def update_worker(self, now: float, worker: Worker, *, status: int, load: float) -> None:
        """What a worker says of itself; `load` from 0 to 1."""
        pool = self._pools[worker.key]
        if pool.set_status(worker, status, load):
            self._serve(now, pool, worker)
        self.handle_progress(now, worker)

    def handle_progress(self, now: float, worker: Worker) -> None:
        """The worker told that it got on with its work: what it refused meanwhile may be offered again."""
        if worker.is_pressed:
            pool = self._pools[worker.key]
            worker.is_pressed = bool(pool.waiting)
            worker.allowance = OFFERS_AFTER_PROGRESS if worker.is_pressed else UNLIMITED
            pool.renew(worker)
            self._serve(now, pool, worker)

    def remove_worker(self, now: float, worker: Worker) -> None:
        """Its socket is gone: what it was offered goes to others."""
        pool = self._pools[worker.key]
        pool.remove(worker)
        for job in list(worker.offers.values()):
            self._orders.append(Missed(job, worker, "its socket is gone"))
            self._next(now, pool, job)
        self._forget_if_empty(worker.key)

    # Jobs

    def place(self, now: float, job: Job) -> None:
        """Find a worker for a job."""
        job.deadline = now + self._config.pending_timeout
        self._next(now, self._pool(job.key), job)
        self._forget_if_empty(job.key)

    def handle_answer(
        self, now: float, worker: Worker, job_id: str, acceptance: Acceptance | None, *, for_all: bool = False
    ) -> Answered:
        """A worker takes a job, or refuses it (None), for itself or for all."""
        job = worker.offers.get(job_id)
        if job is None:
            if job_id not in worker.past:
                return Answered.UNKNOWN
            if acceptance is not None and job_id not in worker.jobs:  # else it was asked again and has taken it since
                self._orders.append(Terminate(worker, job_id))
            return Answered.LATE
        pool = self._pools[worker.key]
        worker.is_slow = False
        if for_all:
            self._end(now, job, JobStatus.JS_SUCCESS, "refused for all workers")
        elif acceptance is not None:
            self._assign(now, job, worker, acceptance)
        else:
            worker.is_pressed = worker.is_pressed or _has_more_to_do(worker)
            self._orders.append(Missed(job, worker, "it refused"))
            self._next(now, pool, job)
        pool.reweigh(worker)
        self._serve(now, pool, worker)
        return Answered.TAKEN

    def cancel(self, now: float, job: Job, error: str, reason: int = JobStateReason.JSR_UNSPECIFIED) -> None:
        """Nobody needs a job any more that no worker has taken yet."""
        worker = job.worker
        if worker is not None:
            self._orders.append(Terminate(worker, job.id))
        self._end(now, job, JobStatus.JS_FAILED, error, reason)
        if worker is not None:
            self._reweigh(now, worker)
        self._forget_if_empty(job.key)

    # Time and outputs

    def handle_timeout(self, now: float) -> None:
        for job in self._timers.pop_due(now):
            if job.phase is Phase.OFFERED:
                self._offer_ran_out(now, job)
            elif job.phase is Phase.WAITING:
                self._end_unplaced(now, job)
            self._forget_if_empty(job.key)

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    def poll_orders(self) -> list[Order]:
        orders, self._orders = self._orders, []
        return orders

    # Getters

    def has_workers(self, key: PoolKey) -> bool:
        pool = self._pools.get(key)
        return pool is not None and bool(pool.workers)

    def pools(self) -> Iterator[tuple[PoolKey, int, int]]:
        """Of each pool its key, and how many workers and waiting jobs it has."""
        for key, pool in self._pools.items():
            yield key, len(pool.workers), len(pool.waiting)

    # Private

    def _pool(self, key: PoolKey) -> Pool:
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(self._config.target_load, self._config.max_offers)
        return pool

    def _forget_if_empty(self, key: PoolKey) -> None:
        pool = self._pools.get(key)
        if pool is not None and not pool.workers and not pool.waiting:
            del self._pools[key]

    def _next(self, now: float, pool: Pool, job: Job) -> None:
        """Ask the next worker, or wait for one."""
        if job.worker is not None:
            job.detach()
        if job.only_worker is None:
            worker = pool.draw(self._entropy, job.tried)
        else:
            worker = None if job.num_offers or not job.only_worker.is_registered else job.only_worker
        if worker is not None:
            self._offer(now, pool, job, worker)
        elif job.only_worker is not None or job.deadline <= now:
            self._end_unplaced(now, job)
        else:
            if job.phase is not Phase.WAITING:
                job.move_to(Phase.WAITING)
            if job.reason != JobStateReason.JSR_RETRYING:
                job.reason = JobStateReason.JSR_NO_CAPACITY
            pool.waiting[job.id] = job
            self._timers.set(job, job.deadline)

    def _offer(self, now: float, pool: Pool, job: Job, worker: Worker) -> None:
        job.move_to(Phase.OFFERED)
        job.worker = worker
        job.worker_id = worker.id
        job.num_offers += 1
        job.tried.add(worker.turn)
        worker.offers[job.id] = job
        if len(worker.offers) >= self._config.max_offers:
            pool.reweigh(worker)
        self._timers.set(job, now + self._config.offer_timeout)
        self._orders.append(Offer(worker, job))

    def _assign(self, now: float, job: Job, worker: Worker, acceptance: Acceptance) -> None:
        del worker.offers[job.id]
        worker.jobs[job.id] = job
        self._timers.set(job, None)
        job.move_to(Phase.ASSIGNED)
        job.status = JobStatus.JS_RUNNING
        job.started_at = job.updated_at = now
        job.issuer = worker.issuer
        job.agent_identity = acceptance.identity or f"agent-{job.id}"
        job.reason = JobStateReason.JSR_UNSPECIFIED
        self._orders.append(Assign(worker, job, acceptance))

    def _offer_ran_out(self, now: float, job: Job) -> None:
        worker = job.worker
        assert worker is not None
        self._orders += (Terminate(worker, job.id), Missed(job, worker, "it did not answer in time"))
        worker.is_slow = True
        self._next(now, self._pools[job.key], job)
        self._reweigh(now, worker)

    def _reweigh(self, now: float, worker: Worker) -> None:
        pool = self._pools[worker.key]
        if pool.reweigh(worker):
            self._serve(now, pool, worker)

    def _serve(self, now: float, pool: Pool, worker: Worker) -> None:
        """Offer waiting jobs to a worker that has room."""
        if not pool.waiting or not pool.can_take(worker):
            return
        untried = (job for job in pool.waiting.values() if worker.turn not in job.tried)
        for job in list(islice(untried, min(worker.allowance, self._config.max_offers - len(worker.offers)))):
            if worker.is_pressed:
                worker.allowance -= 1
            del pool.waiting[job.id]
            self._offer(now, pool, job, worker)

    def _end_unplaced(self, now: float, job: Job) -> None:
        error = "no worker took the job" if job.num_offers else "no worker was there for the job"
        self._end(now, job, JobStatus.JS_FAILED, error, JobStateReason.JSR_NO_CAPACITY)

    def _end(self, now: float, job: Job, status: int, error: str, reason: int = JobStateReason.JSR_UNSPECIFIED) -> None:
        self._timers.set(job, None)
        pool = self._pools.get(job.key)
        if pool is not None:
            pool.waiting.pop(job.id, None)
        job.detach()
        job.end(now, status, error, reason)
        self._orders.append(Ended(job))


def _has_more_to_do(worker: Worker) -> bool:
    """Whether a worker that answers an offer has others open, or jobs whose agents are not there yet."""
    return len(worker.offers) > 1 or any(job.phase is Phase.ASSIGNED for job in worker.jobs.values())
