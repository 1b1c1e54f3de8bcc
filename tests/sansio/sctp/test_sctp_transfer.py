"""Data through two associations in virtual time, over links of all sorts."""

from __future__ import annotations

import pytest
from sctp_pair import Link, associations, connected

from sansio.sctp import Message

BAD = Link(delay=0.03, jitter=0.04, loss=0.2, duplication=0.1)


def test_both_sides_start_at_once_and_are_up_in_two_round_trips() -> None:
    pair, a, b = associations()
    a.start(pair.now)
    b.start(pair.now)
    began = pair.now
    assert pair.run(until=lambda: a.state.value == b.state.value == "established")
    assert pair.now - began <= 0.081


@pytest.mark.parametrize("size", [1, 3, 1160, 1161, 65_535, 262_144])
def test_a_message_of_any_size_arrives_whole(size: int) -> None:
    pair, a, _ = connected()
    data = bytes(i * 7 & 0xFF for i in range(size))
    a.send(pair.now, 5, data, ppid=53)
    pair.run(5.0)
    assert pair.b.events == [Message(5, 53, data)]
    assert a.buffered_bytes() == 0


@pytest.mark.parametrize("seed", range(12))
def test_everything_arrives_in_order_over_a_bad_link(seed: int) -> None:
    pair, a, b = connected(seed=seed, link=BAD)
    sent: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for i in range(60):
        stream = 1 + i % 3
        data = b"%d." % i * (1 + 97 * (i % 11))
        sent[stream].append(data)
        a.send(pair.now, stream, data, ppid=53)
        b.send(pair.now, stream, data, ppid=53)
        pair.run(0.01)
    done = pair.run(120.0, until=lambda: len(pair.a.of_type(Message)) == len(pair.b.of_type(Message)) == 60)
    assert done, f"seed {seed}"
    for side in (pair.a, pair.b):
        for stream, expected in sent.items():
            assert [m.data for m in side.of_type(Message) if m.stream == stream] == expected, f"seed {seed}"
    pair.run(30.0)
    assert a.buffered_bytes() == b.buffered_bytes() == 0, f"seed {seed}"
