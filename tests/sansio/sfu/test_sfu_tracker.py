"""Liveness of one layer."""

from __future__ import annotations

import pytest

from sansio.sfu.tracker import LayerTracker


def run(tracker: LayerTracker, *counts: int, expected: bool = False) -> list[bool]:
    live = []
    for count in counts:
        tracker.handle_cycle(count, is_stop_expected=expected)
        live.append(tracker.is_live)
    return live


def test_first_media_makes_live_at_once_between_cycles() -> None:
    tracker = LayerTracker(4)
    assert tracker.handle_media(100)
    assert not tracker.handle_media(200)
    assert tracker.is_live


def test_first_media_makes_live_at_a_cycle() -> None:
    assert run(LayerTracker(4), 0, 0, 10, 20) == [False, False, True, True]


def test_a_cycle_without_progress_stops() -> None:
    assert run(LayerTracker(4), 10, 20, 20, 30) == [True, True, False, False]


def test_a_failed_layer_needs_cycles_in_a_row() -> None:
    tracker = LayerTracker(3)
    assert run(tracker, 10, 10, 20, 30, 30, 40, 50) == [True, False, False, False, False, False, False]
    assert not tracker.handle_media(55)
    assert run(tracker, 60) == [True]


def test_an_expected_stop_is_forgiven() -> None:
    tracker = LayerTracker(20)
    assert run(tracker, 10, 10, expected=True) == [True, False]
    assert tracker.is_fresh
    assert tracker.handle_media(20)


def test_a_restart_forgives() -> None:
    tracker = LayerTracker(20)
    run(tracker, 10, 10)
    assert not tracker.is_fresh
    tracker.restart(10)
    assert run(tracker, 10, 11) == [False, True]


def test_a_restart_does_not_stop_a_live_layer() -> None:
    tracker = LayerTracker(20)
    run(tracker, 10)
    tracker.restart(10)
    assert tracker.is_live


def test_a_reset_begins_anew() -> None:
    tracker = LayerTracker(20)
    run(tracker, 10)
    tracker.reset()
    assert not tracker.is_live
    assert run(tracker, 5) == [True]


def test_a_goodbye_stops_at_once_and_what_was_under_way_revives_nothing() -> None:
    tracker = LayerTracker(3)
    run(tracker, 10)
    tracker.handle_goodbye()
    assert not tracker.is_live
    assert run(tracker, 20, 20, 30, 40, 50) == [False, False, False, False, True]


@pytest.mark.parametrize("again", ["media", "restart", "reset"])
def test_a_layer_that_said_goodbye_may_come_back(again: str) -> None:
    tracker = LayerTracker(20)
    run(tracker, 10)
    tracker.handle_goodbye()
    if again == "media":
        assert tracker.handle_media(20)
    elif again == "restart":
        tracker.restart(15)
    else:
        tracker.reset()
    assert run(tracker, 30, 30) == [True, False]
