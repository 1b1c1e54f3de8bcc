"""Stream reset: asked for, answered, deferred, repeated, and with a peer that knows nothing of it."""

from __future__ import annotations

from struct import pack, unpack_from

import pytest
from sctp_pair import Link, RawPeer, connected

from sansio.errors import DropReason
from sansio.sctp import Message, ResetDone, StreamsReset
from sansio.sctp.chunks import ChunkType, encode_chunk, encode_parameter, join_parameters, parse_parameters

OUTGOING, INCOMING, TSN, RESPONSE, ADD_OUT = 13, 14, 15, 16, 17
NOTHING, PERFORMED, DENIED, BAD_NUMBER, IN_PROGRESS = 0, 1, 2, 5, 6


def request(raw: RawPeer, number: int, last: int, *streams: int) -> bytes:
    """The peer resets its streams; numbers count from its initial TSN."""
    fields = pack(">III", raw.tsn + number, 0, (raw.tsn + last) & 0xFFFFFFFF)
    names = b"".join(pack(">H", stream) for stream in streams)
    return encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(OUTGOING, fields + names))


def response(number: int, result: int) -> bytes:
    return encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(RESPONSE, pack(">II", number & 0xFFFFFFFF, result)))


def results(raw: RawPeer) -> list[tuple[int, int]]:
    """Responses that the machine sends now: request number from the peer's initial TSN, result."""
    found = []
    for body in raw.hear(ChunkType.RE_CONFIG):
        for kind, value in parse_parameters(body):
            if kind == RESPONSE:
                number, result = unpack_from(">II", value)
                found.append((number - raw.tsn, result))
    return found


def requests(raw: RawPeer) -> list[tuple[int, int, tuple[int, ...]]]:
    """Outgoing reset requests that the machine sends now: number and last TSN from its initial TSN, streams."""
    found = []
    for body in raw.hear(ChunkType.RE_CONFIG):
        for kind, value in parse_parameters(body):
            if kind == OUTGOING:
                number, _, last = unpack_from(">III", value)
                streams = unpack_from(f">{(len(value) - 12) // 2}H", value, 12)
                found.append((number - raw.their_tsn, last - raw.their_tsn, streams))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_reset_follows_the_data_and_numbering_begins_anew(seed: int) -> None:
    pair, a, _ = connected(seed=seed, link=Link(delay=0.03, jitter=0.05, loss=0.2, duplication=0.1))
    for i in range(10):
        a.send(pair.now, 4, b"old %d" % i + bytes(500 * i), ppid=53)
    a.reset_stream(pair.now, 4)
    for i in range(10):
        a.send(pair.now, 4, b"new %d" % i, ppid=53)
        a.send(pair.now, 5, b"other %d" % i, ppid=53)
    assert pair.run(60.0, until=lambda: len(pair.b.of_type(Message)) == 30), f"seed {seed}"
    pair.run(30.0)
    on_stream = [event for event in pair.b.events if isinstance(event, StreamsReset) or event.stream == 4]
    assert [event.data[:5] for event in on_stream[:10]] == [b"old %d" % i for i in range(10)], f"seed {seed}"
    assert on_stream[10] == StreamsReset((4,)), f"seed {seed}"
    assert [event.data for event in on_stream[11:21]] == [b"new %d" % i for i in range(10)], f"seed {seed}"
    assert pair.a.of_type(ResetDone) == [ResetDone((4,))], f"seed {seed}"


def test_resets_of_one_moment_share_a_request_and_later_ones_wait() -> None:
    raw = RawPeer().connect()
    for stream in (1, 2, 2):
        raw.machine.reset_stream(raw.now, stream)
    assert requests(raw) == [(0, -1, (1, 2))]
    raw.machine.reset_stream(raw.now, 3)
    assert requests(raw) == []
    raw.say(response(raw.their_tsn, PERFORMED))
    assert raw.machine.poll_events() == [ResetDone((1, 2))]
    assert requests(raw) == [(1, -1, (3,))]


def test_a_request_without_answer_is_repeated_as_it_was() -> None:
    raw = RawPeer().connect()
    raw.machine.reset_stream(raw.now, 1)
    raw.wait(5.0)
    repeated = requests(raw)
    assert len(repeated) >= 3
    assert set(repeated) == {(0, -1, (1,))}


def test_a_reset_waits_until_what_was_queued_has_left() -> None:
    raw = RawPeer().connect()
    raw.machine.send(raw.now, 1, bytes(10_000), ppid=53)
    raw.machine.reset_stream(raw.now, 1)
    assert requests(raw) == []
    raw.ack(3)
    assert requests(raw) == []
    raw.ack(7)
    assert requests(raw) == [(0, 8, (1,))], "right behind the last chunk"


def test_after_in_progress_the_request_is_repeated_under_a_new_number() -> None:
    raw = RawPeer().connect()
    raw.machine.reset_stream(raw.now, 1)
    raw.machine.poll_transmits()
    raw.say(response(raw.their_tsn, IN_PROGRESS))
    assert raw.machine.poll_events() == []
    raw.wait(0.5)
    assert requests(raw) == [(1, -1, (1,))]
    raw.say(response(raw.their_tsn, PERFORMED))
    assert raw.machine.poll_events() == [ResetDone((1,))], "an answer to the first number counts as well"
    raw.say(response(raw.their_tsn + 1, PERFORMED))
    assert raw.machine.poll_events() == []
    raw.machine.reset_stream(raw.now, 1)
    assert requests(raw) == [(2, -1, (1,))]


@pytest.mark.parametrize("result", [NOTHING, PERFORMED, DENIED, BAD_NUMBER])
def test_any_final_answer_ends_the_reset(result: int) -> None:
    raw = RawPeer().connect()
    raw.machine.reset_stream(raw.now, 1)
    raw.machine.poll_transmits()
    raw.say(response(raw.their_tsn, result))
    assert raw.machine.poll_events() == [ResetDone((1,))]


def test_answers_to_other_numbers_are_ignored() -> None:
    raw = RawPeer().connect()
    raw.say(response(raw.their_tsn, PERFORMED))
    raw.machine.reset_stream(raw.now, 1)
    raw.machine.poll_transmits()
    raw.say(response(raw.their_tsn + 1, PERFORMED), response(raw.their_tsn - 1, PERFORMED))
    assert raw.machine.poll_events() == []


def test_a_reset_asked_for_before_the_association_is_up_is_kept() -> None:
    raw = RawPeer()
    raw.machine.reset_stream(raw.now, 6)
    raw.machine.reset_stream(raw.now, 6)
    raw.machine.start(raw.now)
    raw.their_tag = int.from_bytes(raw.hear(ChunkType.INIT)[0][:4], "big")
    raw.say(raw.init(cookie=b"cookie").encode(ChunkType.INIT_ACK))
    raw.say(encode_chunk(ChunkType.COOKIE_ACK))
    assert [streams for _, _, streams in requests(raw)] == [(6,)]


def test_a_peer_without_re_config_is_not_asked() -> None:
    raw = RawPeer(re_config=False).connect()
    assert not raw.machine.can_reset
    raw.machine.reset_stream(raw.now, 1)
    assert raw.machine.poll_events() == [ResetDone((1,))]
    assert requests(raw) == []


def test_a_reset_of_the_peer_is_performed_and_answered() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a"), raw.data(1, b"b", ssn=1))
    raw.say(request(raw, 0, 1, 1))
    assert results(raw) == [(0, PERFORMED)]
    raw.say(raw.data(2, b"c", ssn=0))
    assert raw.machine.poll_events() == [
        Message(1, 53, b"a"),
        Message(1, 53, b"b"),
        StreamsReset((1,)),
        Message(1, 53, b"c"),
    ]


def test_a_repeated_request_gets_its_answer_again_without_effect() -> None:
    raw = RawPeer().connect()
    raw.say(request(raw, 0, -1, 1))
    raw.say(raw.data(0, b"new"))
    raw.machine.poll_events()
    results(raw)
    raw.say(request(raw, 0, -1, 1))
    assert results(raw) == [(0, PERFORMED)]
    assert raw.machine.poll_events() == []


def test_a_reset_waits_for_missing_data_and_is_told_when_done() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(1, b"b", ssn=1))
    raw.say(request(raw, 0, 1, 1))
    assert results(raw) == [(0, IN_PROGRESS)]
    raw.say(request(raw, 0, 1, 1))
    assert results(raw) == [(0, IN_PROGRESS)]
    assert raw.machine.poll_events() == []
    raw.say(raw.data(0, b"a"))
    assert raw.machine.poll_events() == [Message(1, 53, b"a"), Message(1, 53, b"b"), StreamsReset((1,))]
    assert results(raw) == [(0, PERFORMED)]
    raw.say(request(raw, 0, 1, 1))
    assert results(raw) == [(0, PERFORMED)]
    assert raw.machine.poll_events() == []


def test_a_waiting_reset_may_come_again_under_a_new_number() -> None:
    raw = RawPeer().connect()
    raw.say(request(raw, 0, 0, 1))
    raw.say(request(raw, 1, 0, 1))
    assert results(raw) == [(0, IN_PROGRESS), (1, IN_PROGRESS)]
    raw.say(raw.data(0, b"a"))
    assert raw.machine.poll_events() == [Message(1, 53, b"a"), StreamsReset((1,))]
    assert results(raw) == [(1, PERFORMED)]


def test_a_late_repetition_under_a_new_number_does_not_reset_again() -> None:
    raw = RawPeer().connect()
    raw.say(request(raw, 0, 0, 1))
    raw.say(raw.data(0, b"a"))
    assert results(raw) == [(0, IN_PROGRESS), (0, PERFORMED)]
    raw.say(raw.data(1, b"new", ssn=0), raw.data(2, b"newer", ssn=1))
    raw.say(request(raw, 1, 0, 1))
    assert results(raw) == [(1, PERFORMED)]
    raw.say(raw.data(3, b"newest", ssn=2))
    events = raw.machine.poll_events()
    assert [event.data for event in events if isinstance(event, Message)] == [b"a", b"new", b"newer", b"newest"]
    assert [event for event in events if isinstance(event, StreamsReset)] == [StreamsReset((1,))]


def test_a_request_that_names_no_stream_is_for_all() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"a", stream=1), raw.data(1, b"b", stream=2), request(raw, 0, 1))
    raw.say(raw.data(2, b"c", stream=1), raw.data(3, b"d", stream=2))
    events = raw.machine.poll_events()
    assert events[2] == StreamsReset(())
    assert [event.data for event in events if isinstance(event, Message)] == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize(
    ("kind", "expected"), [(INCOMING, NOTHING), (TSN, DENIED), (ADD_OUT, DENIED), (18, DENIED)], ids=str
)
def test_other_requests_are_answered_without_being_done(kind: int, expected: int) -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(kind, pack(">II", raw.tsn, 0))))
    assert results(raw) == [(0, expected)]
    raw.say(encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(kind, pack(">II", raw.tsn + 5, 0))))
    assert results(raw) == [(5, BAD_NUMBER)]


def test_a_chunk_may_hold_a_request_and_a_response() -> None:
    raw = RawPeer().connect()
    raw.machine.reset_stream(raw.now, 9)
    raw.machine.poll_transmits()
    both = join_parameters([request(raw, 0, -1, 9)[4:], response(raw.their_tsn, PERFORMED)[4:]])
    raw.say(encode_chunk(ChunkType.RE_CONFIG, 0, both))
    assert raw.machine.poll_events() == [StreamsReset((9,)), ResetDone((9,))]


@pytest.mark.parametrize(
    ("kind", "size"), [(OUTGOING, 11), (OUTGOING, 13), (RESPONSE, 7), (INCOMING, 3), (99, 8)], ids=str
)
def test_malformed_parameters_are_dropped(kind: int, size: int) -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(ChunkType.RE_CONFIG, 0, encode_parameter(kind, bytes(size))))
    assert raw.machine.poll_drops() == {DropReason.SCTP_MALFORMED: 1}
    assert results(raw) == []
