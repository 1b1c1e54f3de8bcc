"""The measured drain of a channel, by samples of its state."""

from __future__ import annotations

import pytest

from sansio.transport import Drain

Sample = tuple[float, int, int]
"""When, bytes drained since the beginning, bytes that wait."""


def fed(*samples: Sample) -> Drain:
    drain = Drain()
    for now, drained_bytes, waiting_bytes in samples:
        drain.add_sample(now, drained_bytes=drained_bytes, waiting_bytes=waiting_bytes)
    return drain


def steady(
    rate: int, seconds: float, waiting_bytes: int = 1, *, start: float = 100.0, drained: int = 0
) -> list[Sample]:
    """A sample each 50 ms."""
    return [
        (start + step * 0.05, drained + round(rate * step * 0.05), waiting_bytes)
        for step in range(round(seconds / 0.05) + 1)
    ]


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([(100.0, 0, 5)], None, id="one sample"),
        pytest.param([(100.0, 0, 5), (100.05, 9, 5)], None, id="too short to tell"),
        pytest.param(steady(20_000, 3.0), 20_000, id="steady"),
        pytest.param(steady(20_000, 3.0, waiting_bytes=0), None, id="never full"),
        pytest.param(steady(0, 1.0), 0, id="stalled from the start"),
        pytest.param([*steady(20_000, 1.0), (101.5, 30_000, 0), (109.0, 30_000, 0)], None, id="full long ago"),
        pytest.param([(100.0, 0, 5), (100.5, 9000, 5), (100.5, 10_000, 5)], 20_000, id="two samples of one moment"),
        pytest.param(
            [*steady(20_000, 1.0), (101.0, 20_000, 0), (101.4, 25_000, 0)], 20_000, id="idle time does not count"
        ),
        pytest.param(
            [*steady(20_000, 1.0), (101.0, 20_000, 0), (101.2, 20_500, 0), (101.2, 20_500, 4), (101.4, 24_500, 4)],
            20_000,
            id="full, idle, full",
        ),
    ],
)
def test_the_rate_is_that_of_time_with_a_backlog(samples: list[Sample], rate: float | None) -> None:
    measured = fed(*samples).bytes_per_second
    assert measured == (rate if rate is None else pytest.approx(rate, rel=0.02))


def test_the_rate_follows_a_change_within_two_seconds() -> None:
    before = steady(100_000, 3.0)
    for after, bounds in ((10_000, (10_000, 23_000)), (400_000, (350_000, 400_000)), (0, (0, 15_000))):
        measured = fed(*before, *steady(after, 2.0, start=103.0, drained=300_000)).bytes_per_second
        assert measured is not None
        assert bounds[0] <= measured <= bounds[1]


def test_how_long_something_waits_is_kept() -> None:
    assert fed((1.0, 0, 0)).waiting_since is None
    assert fed((1.0, 0, 5), (2.0, 5, 3), (3.0, 5, 9)).waiting_since == 1.0
    assert fed((1.0, 0, 5), (2.0, 5, 0), (3.0, 5, 9)).waiting_since == 3.0
    assert fed((1.0, 0, 5), (2.0, 5, 0)).waiting_since is None
    assert fed((1.0, 0, 5), (2.0, 5, 3)).waiting_bytes == 3
