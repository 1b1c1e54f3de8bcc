"""Deadlines: the table of one machine, and the heap of many owners against a plain model."""

from __future__ import annotations

from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from sansio.timers import DeadlineHeap, TimerTable


class Timer(Enum):
    A = "a"
    B = "b"
    C = "c"


def test_a_table_keeps_one_deadline_for_each_timer() -> None:
    table: TimerTable[Timer] = TimerTable()
    assert table.next() is None
    assert table.next_timer() is None
    assert table.expire(100.0) == []
    table.set(Timer.A, 5.0)
    table.set(Timer.A, 3.0)
    table.set_if_unset(Timer.A, 1.0)
    table.set_if_unset(Timer.B, 2.0)
    assert (table.get(Timer.A), table.get(Timer.B), table.get(Timer.C)) == (3.0, 2.0, None)
    assert table.next() == 2.0
    assert table.next_timer() == (2.0, Timer.B)


def test_a_table_expires_what_is_due_in_order_and_once() -> None:
    table: TimerTable[Timer] = TimerTable()
    for timer, at in ((Timer.A, 3.0), (Timer.B, 1.0), (Timer.C, 4.0)):
        table.set(timer, at)
    assert table.expire(0.5) == []
    assert table.expire(3.0) == [Timer.B, Timer.A]
    assert table.expire(3.0) == []
    table.cancel(Timer.C)
    table.cancel(Timer.C)
    assert table.next() is None
    table.set(Timer.A, 1.0)
    table.cancel_all()
    assert table.expire(9.0) == []


def test_a_heap_moves_removes_and_names_its_owners() -> None:
    heap: DeadlineHeap[str] = DeadlineHeap()
    assert heap.next() is None
    assert heap.next_owner() is None
    heap.set("a", 5.0)
    heap.set("b", 4.0)
    heap.set("b", 4.0)
    assert (heap.next(), heap.next_owner(), len(heap)) == (4.0, "b", 2)
    heap.set("b", 6.0)
    assert heap.next_owner() == "a"
    heap.set("a", None)
    heap.set("nobody", None)
    assert (heap.next(), len(heap)) == (6.0, 1)
    assert heap.pop_due(5.9) == []
    assert heap.pop_due(6.0) == ["b"]
    assert heap.next() is None


def test_a_heap_stays_small_however_often_deadlines_move() -> None:
    heap: DeadlineHeap[int] = DeadlineHeap()
    for step in range(5000):
        heap.set(step % 3, float(step))
    assert len(heap._heap) < 200
    assert heap.pop_due(1e9) == [4997 % 3, 4998 % 3, 4999 % 3]


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 20)), st.booleans()), max_size=150))
def test_a_heap_agrees_with_a_dict(steps: list[tuple[int, int | None, bool]]) -> None:
    heap: DeadlineHeap[int] = DeadlineHeap()
    model: dict[int, float] = {}
    for key, at, pops in steps:
        if pops and at is not None:
            due = heap.pop_due(float(at))
            assert sorted(due) == sorted(k for k, when in model.items() if when <= at)
            assert [model[k] for k in due] == sorted(model[k] for k in due)
            for k in due:
                del model[k]
        else:
            heap.set(key, None if at is None else float(at))
            if at is None:
                model.pop(key, None)
            else:
                model[key] = float(at)
        assert heap.next() == min(model.values(), default=None)
        assert len(heap) == len(model)
