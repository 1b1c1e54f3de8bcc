"""Data through two associations in virtual time, over links of all sorts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sctp_pair import Link, RawPeer, associations, connected

from sansio.entropy import SeededEntropy
from sansio.sctp import Association, Message, SctpConfig
from sansio.sctp.chunks import DATA_IMMEDIATE, ChunkType, parse_forward_tsn, parse_packet

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


@pytest.mark.parametrize("seed", range(8))
def test_unordered_messages_arrive_once_each_over_a_bad_link(seed: int) -> None:
    pair, a, _ = connected(seed=seed, link=BAD)
    sent = {b"%d" % i + bytes(i * 61) for i in range(60)}
    for data in sorted(sent):
        a.send(pair.now, 1, data, ppid=53, ordered=False)
        pair.run(0.01)
    pair.run(60.0)
    received = [m.data for m in pair.b.of_type(Message)]
    assert len(received) == 60, f"seed {seed}"
    assert set(received) == sent, f"seed {seed}"


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6000), st.booleans()), min_size=1, max_size=25),
    link=st.builds(
        Link, delay=st.floats(0, 0.1), jitter=st.floats(0, 0.1), loss=st.floats(0, 0.2), duplication=st.floats(0, 0.2)
    ),
)
def test_any_mix_of_messages_arrives(seed: int, sizes: list[tuple[int, int, bool]], link: Link) -> None:
    pair, a, _ = connected(seed=seed, link=link)
    ordered: dict[int, list[bytes]] = {}
    unordered: list[bytes] = []
    for number, (stream, size, is_ordered) in enumerate(sizes):
        data = b"%05d" % number + bytes(size)
        (ordered.setdefault(stream, []) if is_ordered else unordered).append(data)
        a.send(pair.now, stream, data, ppid=53 if is_ordered else 51, ordered=is_ordered)
    assert pair.run(300.0, until=lambda: len(pair.b.of_type(Message)) == len(sizes)), f"seed {seed}"
    received = pair.b.of_type(Message)
    assert sorted(m.data for m in received if m.ppid == 51) == unordered
    for stream, expected in ordered.items():
        assert [m.data for m in received if m.ppid == 53 and m.stream == stream] == expected
    pair.run(300.0)
    assert a.buffered_bytes() == 0


# Partial reliability


def check_lossy(pair_seed: int, *, ordered: bool, max_retransmits: int | None, lifetime: float | None) -> int:
    """Send numbered messages of several fragments over a bad link beside reliable ones; how many came."""
    pair, a, _ = connected(seed=pair_seed, link=BAD)
    sent = [b"%03d" % i + bytes([i]) * (1 + (i * 331) % 4000) for i in range(80)]
    reliable = [b"r%d" % i for i in range(80)]
    for number, data in enumerate(sent):
        a.send(pair.now, 7, data, ppid=53, ordered=ordered, max_retransmits=max_retransmits, lifetime=lifetime)
        a.send(pair.now, 8, reliable[number], ppid=53)
        pair.run(0.02)
    pair.run(120.0)
    received = [m.data for m in pair.b.of_type(Message) if m.stream == 7]
    assert set(received) <= set(sent), f"seed {pair_seed}: garbled"
    assert len(set(received)) == len(received), f"seed {pair_seed}: twice"
    if ordered:
        assert received == sorted(received), f"seed {pair_seed}: out of order"
    assert [m.data for m in pair.b.of_type(Message) if m.stream == 8] == reliable, f"seed {pair_seed}: stuck"
    assert a.buffered_bytes() == 0, f"seed {pair_seed}: {a.buffered_bytes()} bytes left"
    a.send(pair.now, 7, b"last", ppid=53, ordered=ordered)
    pair.run(20.0)
    assert pair.b.of_type(Message)[-1].data == b"last", f"seed {pair_seed}: stream is stuck"
    return len(received)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
def test_messages_without_retransmission_are_lost_whole_or_arrive_whole(seed: int, ordered: bool) -> None:
    assert 15 < check_lossy(seed, ordered=ordered, max_retransmits=0, lifetime=None) < 80


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
def test_messages_with_few_retransmissions_fare_better(seed: int, ordered: bool) -> None:
    assert 60 < check_lossy(seed, ordered=ordered, max_retransmits=2, lifetime=None) <= 80


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
def test_messages_whose_lifetime_ends_are_given_up(seed: int, ordered: bool) -> None:
    assert 10 < check_lossy(seed, ordered=ordered, max_retransmits=None, lifetime=0.15) <= 80


def test_a_lost_message_without_retransmission_is_never_sent_again() -> None:
    pair, a, _ = connected()
    pair.a.link.drop = lambda data: b"lossy" in data
    a.send(pair.now, 1, b"lossy", ppid=53, ordered=False, max_retransmits=0)
    pair.run(5.0)
    assert len(pair.a.chunks_sent(ChunkType.DATA)) == 1
    assert [parse_forward_tsn(body)[1] for body in pair.a.chunks_sent(ChunkType.FORWARD_TSN)] == [[]]
    assert a.buffered_bytes() == 0


def test_a_message_given_up_half_sent_takes_its_end_with_it() -> None:
    """The fragments that never had a TSN are covered by one that FORWARD TSN passes."""
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(60_000), ppid=53, max_retransmits=0)
    raw.machine.send(raw.now, 1, b"next", ppid=53)
    raw.wait(1.0)
    chunks = raw.chunks()
    data = [(flags, body) for kind, flags, body in chunks if kind == ChunkType.DATA]
    fragments = [body for _, body in data if body[6:8] == b"\0\0"]
    assert 4 <= len(fragments) < 20
    cumulative, skipped = parse_forward_tsn(next(body for kind, _, body in chunks if kind == ChunkType.FORWARD_TSN))
    assert cumulative == raw.their_tsn + len(fragments), "those that were sent and one for the end"
    assert skipped == [(1, 0)]
    flags, body = data[len(fragments)]
    assert (flags & 3, body[12:]) == (3, b"next")
    assert int.from_bytes(body[:4], "big") == cumulative + 1
    assert body[6:8] == b"\0\1", "the next sequence number of its stream"


def test_a_peer_without_forward_tsn_gets_everything_reliably() -> None:
    raw = RawPeer(forward_tsn=False).connect()
    raw.machine.send(raw.now, 1, b"lossy", ppid=53, ordered=False, max_retransmits=0, lifetime=0.1)
    raw.wait(10.0)
    chunks = raw.chunks()
    assert len([kind for kind, _, _ in chunks if kind == ChunkType.DATA]) >= 3
    assert not [kind for kind, _, _ in chunks if kind == ChunkType.FORWARD_TSN]


def test_forward_tsn_is_repeated_until_it_is_acknowledged() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, b"lossy", ppid=53, ordered=False, max_retransmits=0)
    raw.wait(5.0)
    assert len(raw.hear(ChunkType.FORWARD_TSN)) >= 2
    raw.ack(0)
    raw.wait(60.0)
    assert raw.hear(ChunkType.FORWARD_TSN) == []
    assert raw.machine.poll_timeout() is None


def test_a_message_whose_lifetime_ends_in_the_queue_leaves_no_trace() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(60_000), ppid=53)
    raw.machine.send(raw.now, 2, b"too late", ppid=53, lifetime=0.01)
    raw.machine.send(raw.now, 3, b"in time", ppid=53)
    raw.hear(ChunkType.DATA)
    raw.now += 0.02
    heard = 3
    payloads: list[bytes] = []
    for _ in range(40):
        raw.ack(heard)
        bodies = raw.hear(ChunkType.DATA)
        heard += len(bodies)
        payloads += [body[12:] for body in bodies]
    raw.ack(heard)
    assert b"in time" in payloads
    assert b"too late" not in payloads
    assert raw.machine.buffered_bytes() == 0


# Scheduling, windows, limits


def test_streams_take_turns_message_by_message() -> None:
    pair, a, _ = connected()
    for i in range(3):
        a.send(pair.now, 1, b"%d" % i + bytes(5000), ppid=53)
    for i in range(3):
        a.send(pair.now, 2, b"%d" % i, ppid=53)
    pair.run(5.0)
    order = [(m.stream, m.data[:1]) for m in pair.b.of_type(Message)]
    assert order == [(1, b"0"), (2, b"0"), (1, b"1"), (2, b"1"), (1, b"2"), (2, b"2")]


def test_small_messages_of_one_moment_share_a_packet() -> None:
    pair, a, _ = connected()
    for i in range(20):
        a.send(pair.now, i, b"small", ppid=53)
    pair.run(1.0)
    assert len(pair.a.sent) == 1
    assert len(pair.b.of_type(Message)) == 20


def test_a_burst_is_limited_and_goes_on_with_acknowledgements() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(30_000), ppid=53)
    assert len(raw.hear(ChunkType.DATA)) == 4
    raw.now += 0.02
    raw.ack(1)
    assert len(raw.hear(ChunkType.DATA)) == 4
    assert raw.hear(ChunkType.DATA) == []


def test_the_window_grows_while_it_is_used() -> None:
    pair, a, _ = connected(link=Link(delay=0.05))
    for _ in range(30):
        a.send(pair.now, 1, bytes(60_000), ppid=53)
    began = pair.now
    assert pair.run(60.0, until=lambda: len(pair.b.of_type(Message)) == 30)
    assert pair.now - began < 3.0, "1.8 MB, at 0.1 s of round trip"


def test_a_closed_window_is_probed_with_one_chunk() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(10_000), ppid=53)
    assert len(raw.hear(ChunkType.DATA)) == 4
    raw.ack(3, window=0)
    assert len(raw.hear(ChunkType.DATA)) == 1, "the probe"
    raw.wait(1.0)
    probes = raw.hear(ChunkType.DATA)
    assert len({body[:4] for body in probes}) == 1
    raw.ack(4, window=1 << 20)
    assert len(raw.hear(ChunkType.DATA)) == 2, "the congestion window began anew with the timeout"


def test_a_receiver_that_is_slow_to_take_gaps_stops_the_sender_in_the_end() -> None:
    """Acknowledging everything but one chunk does not make the sender keep more and more."""
    raw = RawPeer(limited()).connect()
    for _ in range(600):
        raw.machine.send(raw.now, 1, bytes(1000), ppid=53)
    highest = 0
    for _ in range(200):
        raw.now += 0.01
        for body in raw.hear(ChunkType.DATA):
            highest = max(highest, int.from_bytes(body[:4], "big") - raw.their_tsn)
        raw.ack(-1, [(2, highest + 1)] if highest else [])
    assert 95 <= highest <= 100


def test_send_declines_beyond_its_buffer() -> None:
    raw = RawPeer(limited())
    assert raw.machine.send(0.0, 1, bytes(700_000), ppid=53)
    assert not raw.machine.send(0.0, 1, bytes(400_000), ppid=53)
    assert raw.machine.buffered_bytes() == raw.machine.buffered_bytes(1) == 700_000
    assert raw.machine.buffered_bytes(2) == 0


def limited() -> Association:
    return Association(
        entropy=SeededEntropy("small"), config=SctpConfig(send_window_chunks=100, send_buffer_bytes=1_000_000)
    )


# Loss


def lose(*numbers: int) -> Link:
    """A link that loses the packets with DATA of these ordinal numbers."""
    count = 0

    def drop(data: bytes) -> bool:
        nonlocal count
        if not any(kind == ChunkType.DATA for kind, _, _ in parse_packet(data)[1]):
            return False
        count += 1
        return count - 1 in numbers

    return Link(delay=0.02, drop=drop)


@pytest.mark.parametrize(
    ("lost", "limit"),
    [
        pytest.param((0,), 0.10, id="the only one"),
        pytest.param((0, 1), 0.55, id="and its probe"),
    ],
)
def test_a_lost_single_packet_costs_two_round_trips(lost: tuple[int, ...], limit: float) -> None:
    pair, a, _ = connected()
    pair.a.link = lose(*lost)
    began = pair.now
    a.send(pair.now, 1, b"alone", ppid=53)
    assert pair.run(5.0, until=lambda: bool(pair.b.of_type(Message)))
    assert pair.now - began <= limit + 0.001


@pytest.mark.parametrize(
    ("lost", "limit"),
    [
        pytest.param((2,), 0.2, id="in the middle"),
        pytest.param((11,), 0.25, id="near the tail"),
        pytest.param((12,), 0.25, id="the tail"),
        pytest.param((9, 10, 11, 12), 0.35, id="a whole burst at the tail"),
        pytest.param((2, 13), 0.6, id="in the middle, and its repetition"),
    ],
)
def test_losses_within_a_message_cost_no_timeout(lost: tuple[int, ...], limit: float) -> None:
    pair, a, _ = connected()
    pair.a.link = lose(*lost)
    began = pair.now
    a.send(pair.now, 1, bytes(13 * 1160), ppid=53)
    assert pair.run(5.0, until=lambda: bool(pair.b.of_type(Message)))
    assert pair.now - began <= limit


def test_three_misses_bring_a_fast_retransmission() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(4 * 1160), ppid=53)
    first = raw.hear(ChunkType.DATA)
    raw.now += 0.02
    raw.ack(-1, [(2, 2)])
    raw.ack(-1, [(2, 3)])
    assert raw.hear(ChunkType.DATA) == []
    raw.ack(-1, [(2, 4)])
    assert raw.hear(ChunkType.DATA) == first[:1]


def test_a_chunk_sent_well_before_one_that_arrived_is_lost() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, b"one", ppid=53)
    first = raw.hear(ChunkType.DATA)
    raw.now += 0.1
    raw.machine.send(raw.now, 1, b"two", ppid=53)
    raw.hear(ChunkType.DATA)
    raw.now += 0.02
    raw.ack(-1, [(2, 2)])
    assert raw.hear(ChunkType.DATA) == first


def test_timeouts_send_one_packet_and_its_probe_and_double() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(30_000), ppid=53)
    first = raw.hear(ChunkType.DATA)[0]
    times = []
    for _ in range(12):
        due = raw.machine.poll_timeout()
        assert due is not None
        raw.now = due
        raw.machine.handle_timeout(due)
        times.append(due)
        heard = raw.hear(ChunkType.DATA)
        assert [body[:4] for body in heard] == [first[:4]] or due == times[0], "only the first probe found more to send"
    timeouts = times[1::2]
    waits = [round(later - earlier, 1) for earlier, later in pairwise(timeouts)]
    assert waits == [1.0, 1.8, 3.2, 3.2, 3.2], "doubling up to libwebrtc's ceiling, counted from the probe"


def test_a_chunk_overtaken_by_one_of_the_same_moment_is_given_a_little_time() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, b"warm up", ppid=53)
    raw.hear(ChunkType.DATA)
    raw.now += 0.1
    raw.ack(0)
    raw.machine.send(raw.now, 1, bytes(3 * 1160), ppid=53)
    sent = raw.hear(ChunkType.DATA)
    sent_at = raw.now
    raw.now += 0.1
    raw.ack(0, [(2, 3)])
    assert raw.hear(ChunkType.DATA) == []
    due = raw.machine.poll_timeout()
    assert due is not None
    assert sent_at + 0.12 < due < sent_at + 0.16
    raw.wait(due - raw.now)
    assert raw.hear(ChunkType.DATA) == sent[:1]


def test_a_peer_that_takes_back_an_acknowledgement_gets_the_data_again() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(3 * 1160), ppid=53)
    chunks = raw.hear(ChunkType.DATA)
    raw.now += 0.02
    raw.ack(-1, [(2, 3)])
    assert raw.machine.buffered_bytes() == 1160
    raw.ack(0)
    assert [body[:4] for body in raw.hear(ChunkType.DATA)] == [body[:4] for body in chunks[1:]]
    assert raw.machine.buffered_bytes() == 2 * 1160
    raw.ack(2)
    assert raw.machine.buffered_bytes() == 0


@pytest.mark.parametrize("offset", [3, 100, 1 << 30], ids=["just beyond", "beyond", "far"])
def test_a_sack_for_what_was_never_sent_is_ignored(offset: int) -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(3 * 1160), ppid=53)
    raw.hear(ChunkType.DATA)
    raw.ack(offset)
    assert raw.machine.buffered_bytes() == 3 * 1160


def test_gap_blocks_that_make_no_sense_do_no_harm() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(4 * 1160), ppid=53)
    raw.hear(ChunkType.DATA)
    raw.now += 0.02
    raw.ack(-1, [(0, 0), (1, 1), (3, 2), (2, 2), (2, 2), (1, 65_535), (65_535, 1)])
    assert raw.machine.buffered_bytes() >= 1160, "the first is missing by definition"
    raw.ack(3)
    raw.ack(1)
    assert raw.machine.buffered_bytes() == 0


def test_the_last_chunk_of_reliable_data_asks_for_a_prompt_sack() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, b"one", ppid=53)
    raw.machine.send(raw.now, 2, b"two", ppid=53)
    assert [flags & DATA_IMMEDIATE for _, flags, _ in raw.chunks()] == [0, DATA_IMMEDIATE]
    raw.machine.send(raw.now, 2, b"lossy", ppid=53, ordered=False, max_retransmits=0)
    assert [flags & DATA_IMMEDIATE for _, flags, _ in raw.chunks()] == [0]


@pytest.mark.parametrize("tsn", [0, 1, 0x7FFFFFFE, 0xFFFFFFF0])
def test_tsns_may_wrap(tsn: int) -> None:
    raw = RawPeer(tsn=tsn).connect()
    for i in range(40):
        raw.say(raw.data(i, b"%d" % i, ssn=i))
    assert [m.data for m in raw.machine.poll_events()] == [b"%d" % i for i in range(40)]  # type: ignore[union-attr]


def test_sequence_numbers_may_wrap() -> None:
    pair, a, _ = connected()
    for i in range(66_000):
        a.send(pair.now, 1, b"%d" % i, ppid=53)
        if i % 500 == 499:
            pair.run(1.0)
    pair.run(5.0)
    assert [m.data for m in pair.b.of_type(Message)] == [b"%d" % i for i in range(66_000)]
