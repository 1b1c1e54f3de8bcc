"""When missing packets are asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.sfu.nack import CAPACITY, FIRST_AFTER, MAX_TRIES, NackQueue


def never(position: int) -> bool:
    return False


def test_reordering_is_given_time() -> None:
    queue = NackQueue()
    queue.add(1.0, 10, 2)
    assert queue.next() == 1.0 + FIRST_AFTER
    assert queue.take_due(1.019, 0.1, never) == []
    assert queue.take_due(1.021, 0.1, never) == [10, 11]


def test_what_arrived_is_not_asked_for() -> None:
    queue = NackQueue()
    queue.add(1.0, 10, 3)
    assert queue.take_due(1.021, 0.1, lambda position: position == 11) == [10, 12]
    assert len(queue) == 2


@pytest.mark.parametrize(
    ("rtt", "intervals"),
    [
        (0.1, (0.1, 0.125, 0.15625, 0.1953125)),
        (0.001, (0.02, 0.02, 0.02, 0.02)),
        (1.0, (0.4, 0.4, 0.4, 0.4)),
    ],
)
def test_repetitions_slow_down_and_end(rtt: float, intervals: tuple[float, ...]) -> None:
    queue = NackQueue()
    queue.add(0.0, 5, 1)
    times = []
    while (due := queue.next()) is not None:
        assert queue.take_due(due, rtt, never) == [5]
        times.append(due)
    assert len(times) == MAX_TRIES
    assert [after - before for before, after in pairwise(times)] == pytest.approx(intervals)


def test_a_known_hole_is_not_started_anew() -> None:
    queue = NackQueue()
    queue.add(0.0, 5, 1)
    queue.add(0.01, 5, 1)
    assert queue.next() == FIRST_AFTER


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 150))))
def test_the_queue_is_bounded_and_keeps_the_newest(gaps: list[tuple[int, int]]) -> None:
    queue = NackQueue()
    for position, count in gaps:
        queue.add(0.0, position, count)
        assert len(queue) <= CAPACITY
    if gaps:
        newest = max(position + count for position, count in gaps) - 1
        assert newest in queue.take_due(1.0, 0.1, never)
    queue.clear()
    assert queue.next() is None
