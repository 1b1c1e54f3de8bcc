"""Pipes: what a link promises holds over many datagrams, and repeats for a seed."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy
from sansio.sim import Link, Pipe

COUNT = 20_000


def pipe(link: Link, seed: int | str = 1) -> Pipe:
    return Pipe(link, SeededEntropy(seed))


def no_entropy(n: int) -> bytes:
    raise AssertionError(f"{n} bytes were drawn")


def test_a_perfect_link_delays_and_draws_nothing() -> None:
    perfect = Pipe(Link(latency=0.05), no_entropy)
    assert [perfect.send(at, 1000) for at in (0.0, 1.0)] == [[0.05], [1.05]]
    assert perfect.carry(2.0) == 2.05


@pytest.mark.parametrize("loss", [0.02, 0.3])
@pytest.mark.parametrize("burst", [1.0, 5.0])
def test_loss_has_the_share_and_the_length_that_were_asked_for(loss: float, burst: float) -> None:
    link = pipe(Link(loss=loss, burst=burst))
    lost = [not link.send(float(at), 100) for at in range(COUNT)]
    assert sum(lost) / COUNT == pytest.approx(loss, rel=0.15)
    assert (link.lost, link.passed) == (sum(lost), COUNT - sum(lost))
    runs = [len(list(group)) for is_lost, group in groupby(lost) if is_lost]
    expected = burst if burst > 1 else 1 / (1 - loss)
    assert sum(runs) / len(runs) == pytest.approx(expected, rel=0.15)


def test_total_loss_and_a_cut_let_nothing_pass() -> None:
    assert pipe(Link(loss=1.0)).send(0.0, 1) == []
    cut = pipe(Link())
    cut.is_cut = True
    assert cut.send(0.0, 1) == []
    cut.is_cut = False
    assert cut.send(1.0, 1) == [1.0]


def test_jitter_keeps_the_order_and_its_bounds() -> None:
    link = pipe(Link(latency=0.05, jitter=0.02))
    arrivals = [link.send(at / 1000, 100)[0] for at in range(1000)]
    assert all(earlier <= later for earlier, later in pairwise(arrivals))
    assert all(0.05 <= arrival - at / 1000 <= 0.07 + 1e-9 for at, arrival in enumerate(arrivals))


def test_reordered_datagrams_are_overtaken() -> None:
    link = pipe(Link(latency=0.05, reorder=0.1, reorder_delay=0.02))
    arrivals = [link.send(at / 1000, 100)[0] for at in range(COUNT)]
    late = sum(arrival - at / 1000 > 0.05 + 1e-9 for at, arrival in enumerate(arrivals))
    assert late / COUNT == pytest.approx(0.1, rel=0.1)
    assert any(earlier > later for earlier, later in pairwise(arrivals))


def test_repeated_datagrams_come_twice() -> None:
    link = pipe(Link(duplicate=0.1))
    assert sum(len(link.send(float(at), 100)) == 2 for at in range(COUNT)) / COUNT == pytest.approx(0.1, rel=0.1)


def test_a_bottleneck_spreads_a_burst_and_drops_what_its_queue_cannot_hold() -> None:
    link = pipe(Link(latency=0.01, rate_bps=80_000, queue_bytes=3_000))
    arrivals = [link.send(0.0, 1_000) for _ in range(5)]
    assert arrivals == [[pytest.approx(0.11)], [pytest.approx(0.21)], [pytest.approx(0.31)], [], []]
    assert link.send(10.0, 1_000) == [pytest.approx(10.11)]


@given(st.lists(st.floats(0, 0.1), min_size=2, max_size=50), st.integers(0, 1000))
def test_messages_of_a_connection_never_overtake_each_other(gaps: list[float], seed: int) -> None:
    link = pipe(Link(latency=0.03, jitter=0.05, loss=0.3), seed)
    now, arrivals = 0.0, []
    for gap in gaps:
        now += gap
        arrivals.append(link.carry(now))
        assert arrivals[-1] >= now + 0.03
    assert arrivals == sorted(arrivals)


def test_a_pipe_repeats_for_a_seed() -> None:
    link = Link(latency=0.05, jitter=0.01, loss=0.1, burst=2, reorder=0.1, duplicate=0.1, rate_bps=1e6)
    first, second, other = (
        [one.send(at / 100, 1000) for at in range(200)] for one in (pipe(link), pipe(link), pipe(link, 2))
    )
    assert first == second != other
