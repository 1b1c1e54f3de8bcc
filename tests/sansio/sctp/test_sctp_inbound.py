"""Receiving, chunk by chunk: reassembly, order, SACKs, FORWARD TSN, limits, and bytes of any kind."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sctp_pair import RawPeer, connected

from sansio.entropy import SeededEntropy
from sansio.sctp import Association, AssociationClosed, Message, SctpConfig
from sansio.sctp.chunks import ChunkType, encode_chunk, encode_forward_tsn, encode_packet, encode_sack, parse_sack

BEGIN, END, UNORDERED, IMMEDIATE = 2, 1, 4, 8


def messages(raw: RawPeer) -> list[bytes]:
    return [event.data for event in raw.machine.poll_events() if isinstance(event, Message)]


def reason(raw: RawPeer) -> str:
    [closed] = [event for event in raw.machine.poll_events() if isinstance(event, AssociationClosed)]
    return closed.reason


# Order and reassembly


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
@pytest.mark.parametrize("unordered", [0, UNORDERED], ids=["ordered", "unordered"])
def test_fragments_come_together_in_any_order(order: tuple[int, ...], unordered: int) -> None:
    raw = RawPeer().connect()
    flags = [BEGIN, 0, 0, END]
    chunks = [raw.data(i, b"%d" % i, flags=flags[i] | unordered) for i in range(4)]
    for i in order:
        assert messages(raw) == []
        raw.say(chunks[i])
    assert messages(raw) == [b"0123"]
    assert raw.sack() == (3, 1 << 20, [])


def test_fragments_of_neighbouring_messages_stay_apart() -> None:
    raw = RawPeer().connect()
    flags = [BEGIN, END, BEGIN, END, BEGIN, END]
    for i in (1, 2, 4, 3, 5, 0):
        raw.say(raw.data(i, b"%d" % i, flags=flags[i], ssn=i // 2))
    assert messages(raw) == [b"01", b"23", b"45"]


def test_ordered_messages_wait_and_unordered_ones_pass() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(2, b"third", ssn=2), raw.data(1, b"second", ssn=1), raw.data(3, b"free", flags=7))
    assert messages(raw) == [b"free"]
    raw.say(raw.data(4, b"other", stream=2))
    assert messages(raw) == [b"other"]
    raw.say(raw.data(0, b"first"))
    assert messages(raw) == [b"first", b"second", b"third"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"flags": BEGIN}, {"flags": BEGIN}, id="begin after begin"),
        pytest.param({"flags": END}, {"flags": 0}, id="middle after end"),
        pytest.param({"flags": BEGIN}, {"flags": END, "stream": 2}, id="other stream"),
        pytest.param({"flags": BEGIN}, {"flags": END, "ssn": 1}, id="other number"),
        pytest.param({"flags": BEGIN}, {"flags": END | UNORDERED}, id="other order"),
    ],
)
@pytest.mark.parametrize("is_swapped", [False, True], ids=["in turn", "swapped"])
def test_fragments_that_contradict_each_other_abort(
    first: dict[str, int], second: dict[str, int], is_swapped: bool
) -> None:
    raw = RawPeer().connect()
    chunks = [raw.data(1, b"x", **first), raw.data(2, b"y", **second)]
    for chunk in reversed(chunks) if is_swapped else chunks:
        raw.say(chunk)
    assert reason(raw) == "fragments that do not fit together"
    assert raw.hear(ChunkType.ABORT)[0][:2] == b"\0\x0d", "protocol violation"


def test_a_message_that_grows_too_large_aborts() -> None:
    raw = RawPeer(Association(entropy=SeededEntropy(1), config=SctpConfig(max_message_bytes=10_000))).connect()
    for i in range(12):
        raw.say(raw.data(i, bytes(1000), flags=0 if i else BEGIN))
    assert reason(raw) == "message too large"


def test_a_message_of_the_advertised_size_passes() -> None:
    pair, a, _ = connected()
    a.send(pair.now, 1, bytes(65_535), ppid=53)
    pair.run(10.0)
    assert [len(m.data) for m in pair.b.of_type(Message)] == [65_535]


def test_an_old_number_on_an_ordered_stream_is_not_delivered_again() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a", ssn=0), raw.data(1, b"b", ssn=1), raw.data(2, b"again", ssn=0))
    assert messages(raw) == [b"a", b"b"]


# SACKs


def test_the_first_packet_and_every_second_are_acknowledged_at_once() -> None:
    raw = RawPeer().connect()
    sacked = []
    for i in range(6):
        raw.say(raw.data(i, b"x", ssn=i))
        sacked.append(len(raw.hear(ChunkType.SACK)))
    assert sacked == [1, 0, 1, 0, 1, 0]


def test_a_lone_packet_is_acknowledged_after_a_fifth_of_a_second() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x"))
    raw.hear(ChunkType.SACK)
    raw.say(raw.data(1, b"x", ssn=1))
    assert raw.hear(ChunkType.SACK) == []
    due = raw.machine.poll_timeout()
    assert due == pytest.approx(raw.now + 0.2)
    raw.wait(0.2)
    assert raw.sack()[0] == 1
    assert raw.machine.poll_timeout() is None


def test_a_delayed_sack_rides_with_data() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x"))
    raw.hear(ChunkType.SACK)
    raw.say(raw.data(1, b"x", ssn=1))
    raw.machine.send(raw.now, 1, b"y", ppid=53)
    assert [kind for kind, _, _ in raw.chunks()] == [ChunkType.SACK, ChunkType.DATA]
    assert raw.machine.poll_timeout() != pytest.approx(raw.now + 0.2)


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        pytest.param((1, {"flags": 3 | IMMEDIATE, "ssn": 1}), (1, []), id="I bit"),
        pytest.param((2, {"ssn": 2}), (0, [(2, 2)]), id="gap"),
        pytest.param((0, {}), (0, []), id="duplicate"),
    ],
)
def test_some_chunks_are_acknowledged_at_once(
    chunk: tuple[int, dict[str, int]], expected: tuple[int, list[tuple[int, int]]]
) -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x"))
    raw.hear(ChunkType.SACK)
    raw.say(raw.data(chunk[0], b"x", **chunk[1]))
    cumulative, _, gaps = raw.sack()
    assert (cumulative, gaps) == expected


def test_gap_blocks_grow_merge_and_vanish() -> None:
    raw = RawPeer().connect()
    gaps = []
    for i in (2, 4, 8, 3, 7, 5, 6, 1):
        raw.say(raw.data(i, b"x", ssn=i))
        gaps.append(raw.sack()[2])
    assert gaps == [
        [(3, 3)],
        [(3, 3), (5, 5)],
        [(3, 3), (5, 5), (9, 9)],
        [(3, 5), (9, 9)],
        [(3, 5), (8, 9)],
        [(3, 6), (8, 9)],
        [(3, 9)],
        [(2, 9)],
    ]
    raw.say(raw.data(0, b"x"))
    assert raw.sack() == (8, 1 << 20, [])


def test_duplicates_are_named() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x"), raw.data(0, b"x"), raw.data(0, b"x"))
    body = raw.hear(ChunkType.SACK)[0]
    assert body[10:12] == b"\0\2"
    assert body[12:] == raw.tsn.to_bytes(4, "big") * 2
    assert messages(raw) == [b"x"]


def test_a_sack_never_outgrows_its_packet() -> None:
    raw = RawPeer().connect()
    for i in range(1, 2000, 2):
        raw.say(raw.data(i, b"x", flags=7))
    raw.machine.send(raw.now, 1, b"data", ppid=53)
    chunks = raw.chunks()
    assert max(map(len, raw.packets)) <= 1191
    assert [kind for kind, _, _ in chunks][-1] == ChunkType.DATA
    assert len(parse_sack(next(body for kind, _, body in chunks if kind == ChunkType.SACK))[2]) == 290


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_sacks_tell_the_truth_for_any_order_of_arrival(seed: int) -> None:
    random = Random(seed)
    raw = RawPeer().connect()
    arrived: set[int] = set()
    for _ in range(60):
        offset = random.randrange(40)
        arrived.add(offset)
        raw.say(raw.data(offset, b"x", flags=7 | IMMEDIATE))
        cumulative, _, gaps = raw.sack()
        told = set(range(cumulative + 1))
        for first, last in gaps:
            told |= set(range(cumulative + first, cumulative + last + 1))
        assert told == arrived
        assert cumulative + 1 not in arrived
    assert len(messages(raw)) == len(arrived)


# FORWARD TSN


def test_forward_tsn_lets_later_ordered_messages_out() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(1, b"second", ssn=1), raw.data(4, b"fifth", ssn=4))
    raw.hear(ChunkType.SACK)
    raw.say(encode_forward_tsn(raw.tsn + 3, [(1, 3)]))
    assert messages(raw) == [b"second", b"fifth"], "what is here and passed over goes out too"
    assert raw.sack() == (4, 1 << 20, []), "at once, and beyond the point forwarded to"


def test_forward_tsn_discards_half_a_message_and_what_still_comes_of_it() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a", flags=BEGIN), raw.data(2, b"c", flags=0))
    raw.say(encode_forward_tsn(raw.tsn + 3, [(1, 0)]))
    raw.say(raw.data(1, b"b", flags=0), raw.data(3, b"d", flags=END))
    raw.say(raw.data(4, b"next", ssn=1))
    assert messages(raw) == [b"next"]
    assert raw.sack() == (4, 1 << 20, []), "nothing is held"


def test_forward_tsn_for_unordered_messages_names_no_stream() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a", flags=BEGIN | UNORDERED))
    raw.say(encode_forward_tsn(raw.tsn + 2, []))
    raw.say(raw.data(3, b"next", flags=7))
    assert messages(raw) == [b"next"]


def test_an_old_forward_tsn_is_acknowledged_and_changes_nothing() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a"), raw.data(1, b"b", ssn=1))
    raw.hear(ChunkType.SACK)
    raw.say(encode_forward_tsn(raw.tsn, [(1, 0)]))
    assert raw.sack()[0] == 1
    raw.say(raw.data(2, b"c", ssn=2))
    assert messages(raw) == [b"a", b"b", b"c"]


def test_forward_tsn_does_not_turn_a_stream_back() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a"), raw.data(1, b"b", ssn=1))
    raw.say(encode_forward_tsn(raw.tsn + 2, [(1, 0)]))
    raw.say(raw.data(3, b"c", ssn=2))
    assert messages(raw) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"\0\0\0\0\0\1"], ids=len)
def test_a_forward_tsn_of_odd_length_is_dropped(body: bytes) -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(ChunkType.FORWARD_TSN, 0, body))
    assert raw.hear(ChunkType.SACK) == []


# Limits


def test_the_announced_window_shrinks_with_what_is_held() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(1, bytes(1000), ssn=1))
    _, window, _ = raw.sack()
    assert (1 << 20) - 1200 < window <= (1 << 20) - 1000
    raw.say(raw.data(0, b"x"))
    assert raw.sack()[1] == 1 << 20


def test_beyond_the_window_only_the_missing_chunk_is_taken() -> None:
    raw = RawPeer(Association(entropy=SeededEntropy(1), config=SctpConfig(receive_window_bytes=20_000))).connect()
    for i in range(1, 40):
        raw.say(raw.data(i, bytes(1000), ssn=i))
    cumulative, window, gaps = raw.sack()
    assert cumulative == -1
    assert window < 1200
    [(first, last)] = gaps
    assert (first, 15 <= last <= 20) == (2, True)
    raw.say(raw.data(0, b"x"))
    assert raw.sack()[:2] == (last - 1, 20_000)
    assert len(messages(raw)) == last


def test_a_chunk_far_above_the_window_is_not_taken() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(20_000, b"x"))
    assert raw.sack() == (-1, 1 << 20, [])


def test_a_peer_that_leaves_out_a_sequence_number_cannot_fill_memory() -> None:
    raw = RawPeer(Association(entropy=SeededEntropy(1), config=SctpConfig(receive_window_bytes=100_000))).connect()
    for i in range(20_000):
        raw.say(raw.data(i, b"x", ssn=1 + i % 30_000))
        if raw.machine.state.value == "closed":
            break
    assert i < 7000
    assert reason(raw) == "more is held than any window allowed"


def test_data_on_a_stream_that_does_not_exist_is_acknowledged_and_reported() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x", stream=65_535))
    assert messages(raw) == []
    chunks = raw.chunks()
    assert (ChunkType.ERROR, 0, b"\0\1\0\x08\xff\xff\0\0") in chunks
    assert parse_sack(chunks[-1][2])[0] == raw.tsn


# Bytes of any kind


@pytest.mark.parametrize("phase", ["new", "waiting", "echoed", "established", "shutdown", "closed"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_chunks_in_any_state_never_raise(phase: str, data: st.DataObject) -> None:
    raw = in_phase(phase)
    body = st.binary(max_size=40)
    kind = st.sampled_from([*ChunkType, 63, 64, 127, 191, 255])
    for _ in range(data.draw(st.integers(1, 6))):
        chunks = data.draw(st.lists(st.builds(encode_chunk, kind, st.integers(0, 15), body), min_size=1, max_size=5))
        tag = data.draw(st.sampled_from([raw.their_tag, raw.tag, 0, 1]))
        raw.say(*chunks, tag=tag)
        check(raw)
    raw.wait(5.0)
    check(raw)


@pytest.mark.parametrize("phase", ["new", "waiting", "echoed", "established", "shutdown", "closed"])
@settings(max_examples=40, deadline=None)
@given(packets=st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_never_raise(phase: str, packets: list[bytes]) -> None:
    raw = in_phase(phase)
    for packet in packets:
        raw.machine.handle_packet(raw.now, packet)
        raw.machine.handle_packet(raw.now, packet[:8] + bytes(4) + packet[12:])
        check(raw)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_plausible_chunks_in_any_order_never_raise(data: st.DataObject) -> None:
    """Well-formed chunks around the numbers in use, which get past the parsers."""
    raw = RawPeer().connect()
    near = st.integers(-3, 12)
    number = st.integers(0, 3)
    for size in (1, 3000, 30):
        raw.machine.send(raw.now, 1, bytes(size), ppid=53, max_retransmits=data.draw(st.sampled_from([None, 0, 1])))
    choices = st.one_of(
        st.builds(
            lambda offset, flags, stream, ssn, size: raw.data(offset, bytes(size), flags=flags, stream=stream, ssn=ssn),
            near, st.integers(0, 15), number, number, st.integers(0, 40),
        ),
        st.builds(
            lambda offset, window, gaps: encode_sack((raw.their_tsn + offset) & 0xFFFFFFFF, window, gaps, []),
            near, st.sampled_from([0, 1 << 20]), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
        ),
        st.builds(
            lambda offset, skipped: encode_forward_tsn(raw.tsn + offset, skipped),
            near, st.lists(st.tuples(number, number), max_size=3),
        ),
        st.builds(
            lambda kind, numbers: encode_chunk(
                ChunkType.RE_CONFIG, 0, kind.to_bytes(2, "big") + (4 + 4 * len(numbers)).to_bytes(2, "big")
                + b"".join((raw.tsn + n).to_bytes(4, "big") for n in numbers),
            ),
            st.integers(12, 19), st.lists(near, max_size=4),
        ),
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.integers(0, 5)):
            case 0:
                raw.wait(data.draw(st.floats(0, 2)))
            case 1:
                raw.machine.reset_stream(raw.now, data.draw(number))
            case _:
                raw.say(*data.draw(st.lists(choices, min_size=1, max_size=4)))
        check(raw)
    raw.wait(10.0)
    check(raw)


def in_phase(phase: str) -> RawPeer:
    raw = RawPeer()
    if phase in ("waiting", "echoed"):
        raw.machine.start(raw.now)
        raw.their_tag = int.from_bytes(raw.hear(ChunkType.INIT)[0][:4], "big")
    if phase == "echoed":
        raw.say(raw.init(cookie=b"cookie").encode(ChunkType.INIT_ACK))
    if phase in ("established", "shutdown", "closed"):
        raw.connect()
    if phase == "shutdown":
        raw.machine.shutdown(raw.now)
    if phase == "closed":
        raw.machine.abort(raw.now, "over")
    raw.machine.poll_events()
    raw.machine.poll_transmits()
    return raw


def check(raw: RawPeer) -> None:
    """Whatever happened, the machine can be drained and its numbers make sense."""
    assert all(len(packet) <= 1191 for packet in raw.machine.poll_transmits())
    raw.machine.poll_events()
    raw.machine.poll_drops()
    assert raw.machine.buffered_bytes() >= 0
    due = raw.machine.poll_timeout()
    assert due is None or due > raw.now - 1e-9


def test_a_truncated_or_altered_packet_of_a_real_exchange_never_raises() -> None:
    """Every packet of a connection, cut at each length and with each byte changed, at the time it came."""
    pair, a, b = connected()
    a.send(pair.now, 1, bytes(3000), ppid=53)
    a.reset_stream(pair.now, 1)
    pair.run(1.0)
    packets = [data for _, data in pair.a.sent]
    raw = RawPeer(b)
    raw.now = pair.now
    tag = int.from_bytes(packets[0][4:8], "big")
    for packet in packets:
        for at in range(len(packet) if len(packet) < 100 else 60):
            raw.machine.handle_packet(raw.now, packet[:at])
            body = packet[12:at] + bytes([packet[at] ^ 0xFF]) + packet[at + 1 :] if at >= 12 else packet[12:]
            raw.machine.handle_packet(raw.now, encode_packet((5000, 5000), tag, [body], checksum=True))
            check(raw)
