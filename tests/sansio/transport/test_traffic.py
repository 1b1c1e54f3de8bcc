"""Bytes per second over the last ten."""

from __future__ import annotations

import pytest

from sansio.transport.traffic import Traffic


def test_what_is_older_than_ten_seconds_does_not_count() -> None:
    traffic = Traffic()
    for step in range(300):
        traffic.advance(100 + step / 10)
        traffic.add(50)
    assert traffic.bytes_per_second(130) == pytest.approx(500, rel=0.1)
    assert traffic.bytes_per_second(135) == pytest.approx(250, rel=0.2)
    assert traffic.bytes_per_second(141) == 0


def test_a_burst_counts_as_its_share_of_ten_seconds() -> None:
    traffic = Traffic()
    traffic.add(5)
    assert traffic.bytes_per_second(1) == 0, "nothing is known of its time"
    traffic.add(1000)
    assert traffic.bytes_per_second(1) == traffic.bytes_per_second(10) == 100


def test_silence_in_between_is_no_trouble() -> None:
    traffic = Traffic()
    for now in (1.0, 5.0, 50.0, 1000.0):
        traffic.advance(now)
        traffic.add(100)
        assert traffic.bytes_per_second(now) == (20 if now == 5.0 else 10)
