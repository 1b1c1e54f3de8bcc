"""Jobs go to workers by their spare capacity: of so many draws, each gets its share within 5 %."""

from __future__ import annotations

import pytest

from sansio.agents import Job, PoolKey
from sansio.agents.dispatcher import Dispatcher
from sansio.agents.job import Wanted
from sansio.agents.orders import Acceptance, Offer
from sansio.agents.pool import Pool, Worker
from sansio.config import AgentsConfig
from sansio.entropy import SeededEntropy
from sansio.wire import agent

KEY = PoolKey("", "", agent.JobType.JT_ROOM, "")
LOADS = [0.0, 0.1, 0.15, 0.25, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65]
DRAWS = 100_000
AVAILABLE = agent.WorkerStatus.WS_AVAILABLE


def workers() -> list[Worker]:
    return [Worker(f"AW_{number}", KEY) for number in range(len(LOADS))]


def check_shares(counts: dict[str, int]) -> None:
    """Jobs per spare capacity, of each worker against the mean of all."""
    per_spare = [counts[f"AW_{number}"] / (1.0 - load) for number, load in enumerate(LOADS)]
    mean = sum(per_spare) / len(per_spare)
    assert [round(one / mean, 3) for one in per_spare if abs(one / mean - 1.0) > 0.05] == []


@pytest.mark.parametrize("seed", range(3))
def test_draws_follow_spare_capacity(seed: int) -> None:
    config, entropy = AgentsConfig(), SeededEntropy(seed)
    pool = Pool(config.target_load, config.max_offers)
    counts: dict[str, int] = {}
    for worker, load in zip(workers(), LOADS, strict=True):
        pool.add(worker)
        pool.set_status(worker, AVAILABLE, load)
    for _ in range(DRAWS):
        worker_drawn = pool.draw(entropy, ())
        assert worker_drawn is not None
        counts[worker_drawn.id] = counts.get(worker_drawn.id, 0) + 1
    check_shares(counts)


def test_jobs_follow_spare_capacity() -> None:
    """The same through the whole of the dispatcher, where each takes what it is offered."""
    dispatcher = Dispatcher(AgentsConfig(), SeededEntropy(1))
    counts: dict[str, int] = {}
    for worker, load in zip(workers(), LOADS, strict=True):
        dispatcher.add_worker(0.0, worker)
        dispatcher.update_worker(0.0, worker, status=AVAILABLE, load=load)
    for number in range(DRAWS):
        dispatcher.place(0.0, Job(0.0, f"AJ_{number}", Wanted(room_sid="RM_1", room="room", key=KEY)))
        (offer,) = dispatcher.poll_orders()
        assert isinstance(offer, Offer)
        dispatcher.handle_answer(0.0, offer.worker, offer.job.id, Acceptance())
        dispatcher.poll_orders()
        counts[offer.worker.id] = counts.get(offer.worker.id, 0) + 1
    check_shares(counts)
