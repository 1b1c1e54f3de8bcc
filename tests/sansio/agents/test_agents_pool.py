"""Drawing workers by their spare load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.agents.pool import FULL_WEIGHT, Pool, PoolKey, WeightedDraw, Worker
from sansio.entropy import SeededEntropy
from sansio.wire import agent

KEY = PoolKey("", "", 0, "")
AVAILABLE, FULL = agent.WorkerStatus.WS_AVAILABLE, agent.WorkerStatus.WS_FULL


def pool_of(*loads: float, max_offers: int = 100) -> tuple[Pool, list[Worker]]:
    pool = Pool(0.7, max_offers)
    workers = [Worker(f"AW_{number}", KEY) for number in range(len(loads))]
    for worker, load in zip(workers, loads, strict=True):
        pool.add(worker)
        pool.set_status(worker, AVAILABLE, load)
    return pool, workers


STEPS = st.lists(st.tuples(st.sampled_from(["add", "set", "remove"]), st.integers(0, 30), st.integers(0, 1000)))


@given(STEPS)
def test_every_point_picks_the_item_that_it_falls_to(steps: list[tuple[str, int, int]]) -> None:
    """Whatever came and went: each item's share of the points is its weight."""
    draw: WeightedDraw[int] = WeightedDraw()
    weights: dict[int, int] = {}
    slots: dict[int, int] = {}
    for number, (what, which, weight) in enumerate(steps):
        known = sorted(slots)
        if what == "add" or not known:
            slots[number] = draw.add(number, weight)
            weights[number] = weight
        elif what == "set":
            item = known[which % len(known)]
            draw.set(slots[item], weight)
            weights[item] = weight
        else:
            item = known[which % len(known)]
            draw.remove(slots.pop(item))
            del weights[item]
    assert draw.total == sum(weights.values())
    assert dict(draw.weighted()) == {item: weight for item, weight in weights.items() if weight}
    shares = dict.fromkeys(weights, 0)
    edges = {0, draw.total - 1} | {draw.total * part // 97 for part in range(97)}
    for point in sorted(edge for edge in edges if 0 <= edge < draw.total):
        shares[draw.pick(point)] += 1
    assert all(weights[item] for item, share in shares.items() if share)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_all_points_together_give_each_item_its_weight(weights: list[int]) -> None:
    draw: WeightedDraw[int] = WeightedDraw()
    for number, weight in enumerate(weights):
        draw.add(number, weight)
    picked = [draw.pick(point) for point in range(draw.total)]
    assert [picked.count(number) for number in range(len(weights))] == weights


def test_workers_are_drawn_as_often_as_they_have_room() -> None:
    """Within 5 % of the mean over 50,000 draws."""
    loads = [0.0, 0.2, 0.4, 0.6]
    pool, workers = pool_of(*loads)
    entropy = SeededEntropy("draws")
    counts = dict.fromkeys(workers, 0)
    for _ in range(50_000):
        drawn = pool.draw(entropy, ())
        assert drawn is not None
        counts[drawn] += 1
    per_room = [counts[worker] / (1 - load) for worker, load in zip(workers, loads, strict=True)]
    mean = sum(per_room) / len(per_room)
    assert all(abs(share / mean - 1) < 0.05 for share in per_room), per_room


@pytest.mark.parametrize(
    ("load", "status", "slow", "offers", "weight"),
    [
        pytest.param(0.0, AVAILABLE, False, 0, FULL_WEIGHT, id="idle"),
        pytest.param(0.5, AVAILABLE, False, 0, FULL_WEIGHT // 2, id="half"),
        pytest.param(0.75, AVAILABLE, False, 0, FULL_WEIGHT // 4 >> 10, id="above the target"),
        pytest.param(0.5, AVAILABLE, True, 0, FULL_WEIGHT // 2 >> 10, id="did not answer"),
        pytest.param(1.0, AVAILABLE, False, 0, 1, id="loaded and willing"),
        pytest.param(0.0, FULL, False, 0, 0, id="full"),
        pytest.param(0.0, AVAILABLE, False, 5, 0, id="too many offers"),
    ],
)
def test_weights(load: float, status: int, slow: bool, offers: int, weight: int) -> None:
    worker = Worker("AW_x", KEY)
    worker.load, worker.status, worker.is_slow = load, status, slow
    worker.offers = dict.fromkeys(map(str, range(offers)), None)  # type: ignore[assignment]
    assert worker.weight(0.7, 5) == weight


def test_workers_above_the_target_are_the_last_resort() -> None:
    pool, (low, high) = pool_of(0.69, 0.71)
    entropy = SeededEntropy(3)
    drawn = [pool.draw(entropy, ()) for _ in range(1000)]
    assert drawn.count(high) < 10
    pool.set_status(low, FULL, 0.69)
    assert pool.draw(entropy, ()) is high


def test_those_who_were_tried_are_left_out_however_heavy_they_are() -> None:
    pool, workers = pool_of(*[0.0] * 20, 0.69)
    tried = {worker.turn for worker in workers[:20]}
    entropy = SeededEntropy(4)
    assert all(pool.draw(entropy, tried) is workers[20] for _ in range(20))
    assert pool.draw(entropy, tried | {workers[20].turn}) is None


def test_those_who_are_left_are_drawn_by_their_room_too() -> None:
    pool, workers = pool_of(*[0.0] * 30, 0.4, 0.6)
    tried = {worker.turn for worker in workers[:30]}
    entropy = SeededEntropy(5)
    drawn = [pool.draw(entropy, tried) for _ in range(3000)]
    assert 1.3 < drawn.count(workers[30]) / drawn.count(workers[31]) < 1.7


def test_a_worker_with_room_again_counts_as_new() -> None:
    pool, (worker,) = pool_of(0.0)
    turn = worker.turn
    assert not pool.set_status(worker, AVAILABLE, 0.5)
    assert worker.turn == turn
    assert not pool.set_status(worker, FULL, 0.9)
    assert pool.set_status(worker, AVAILABLE, 0.1)
    assert worker.turn != turn


def test_an_empty_pool_has_nobody() -> None:
    pool, (worker,) = pool_of(0.0)
    pool.remove(worker)
    assert pool.draw(SeededEntropy(1), ()) is None
    assert not pool.workers


def test_only_so_many_past_jobs_are_remembered() -> None:
    worker = Worker("AW_x", KEY)
    for number in range(3000):
        worker.remember(str(number))
    assert len(worker.past) == 1024
    assert "2999" in worker.past
    assert "0" not in worker.past
