"""Opening and closing an association: collisions, losses, restarts, checksums, tags, aborts, shutdown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sctp_pair import Link, Pair, RawPeer, associations, connected

from sansio.entropy import SeededEntropy
from sansio.errors import DropReason, LocalProtocolError
from sansio.sctp import (
    TRANSITIONS,
    Association,
    AssociationClosed,
    AssociationState,
    Established,
    Message,
    Restarted,
    SctpConfig,
    Trigger,
)
from sansio.sctp.checksum import is_intact
from sansio.sctp.chunks import (
    Cause,
    ChunkType,
    Init,
    encode_chunk,
    encode_data,
    encode_error,
    encode_packet,
    encode_parameter,
    parse_packet,
)

ESTABLISHED = AssociationState.ESTABLISHED


def kinds(data: bytes) -> list[int]:
    return [kind for kind, _, _ in parse_packet(data)[1]]


def drop_first(kind: ChunkType) -> Callable[[bytes], bool]:
    """Loses the first packet with such a chunk."""
    seen: list[bytes] = []

    def drop(data: bytes) -> bool:
        if kind in kinds(data) and not seen:
            seen.append(data)
            return True
        return False

    return drop


# Coming up


@pytest.mark.parametrize("lag", [0.0, 0.005, 0.02, 0.03, 0.045, 0.2], ids=lambda lag: f"{lag}")
def test_sides_that_start_apart_come_up_once_each(lag: float) -> None:
    pair, a, b = associations()
    a.start(pair.now)
    pair.run(lag)
    b.start(pair.now)
    pair.run(3.0)
    assert a.state is b.state is ESTABLISHED
    assert pair.a.events == pair.b.events == [Established()]


def test_one_side_may_start_alone() -> None:
    pair, a, b = associations()
    a.start(pair.now)
    assert pair.run(3.0, until=lambda: a.state is b.state is ESTABLISHED)


def test_a_collision_is_answered_with_the_same_tag_and_tsn() -> None:
    pair, a, b = associations()
    a.start(pair.now)
    b.start(pair.now)
    pair.run(1.0)
    for side in (pair.a, pair.b):
        inits = side.chunks_sent(ChunkType.INIT) + side.chunks_sent(ChunkType.INIT_ACK)
        assert len(inits) == 2
        assert len({(init.tag, init.initial_tsn) for init in map(Init.parse, inits)}) == 1


@pytest.mark.parametrize("both", [False, True], ids=["one starts", "both start"])
@pytest.mark.parametrize(
    "kind",
    [ChunkType.INIT, ChunkType.INIT_ACK, ChunkType.COOKIE_ECHO, ChunkType.COOKIE_ACK],
    ids=lambda kind: kind.name,
)
def test_the_loss_of_any_handshake_packet_is_made_good(kind: ChunkType, both: bool) -> None:
    pair, a, b = associations()
    pair.a.link.drop, pair.b.link.drop = drop_first(kind), drop_first(kind)
    a.start(pair.now)
    if both:
        b.start(pair.now)
    assert pair.run(3.0, until=lambda: a.state is b.state is ESTABLISHED)
    a.send(pair.now, 1, b"x", ppid=53)
    b.send(pair.now, 1, b"y", ppid=53)
    pair.run(3.0)
    assert (pair.b.of_type(Message), pair.a.of_type(Message)) == ([Message(1, 53, b"x")], [Message(1, 53, b"y")])


@pytest.mark.parametrize("seed", range(20))
def test_associations_come_up_over_a_bad_link(seed: int) -> None:
    pair, a, b = associations(seed=seed, link=Link(delay=0.03, jitter=0.05, loss=0.2, duplication=0.2))
    a.start(pair.now)
    b.start(pair.now)
    a.send(pair.now, 1, b"early", ppid=53)
    assert pair.run(60.0, until=lambda: a.state is b.state is ESTABLISHED), f"seed {seed}"
    assert pair.run(60.0, until=lambda: len(pair.b.of_type(Message)) == 1), f"seed {seed}"
    for side in (pair.a, pair.b):
        assert len(side.of_type(Established)) == 1, f"seed {seed}"


def test_messages_sent_before_the_start_ride_with_the_cookie() -> None:
    pair, a, b = associations()
    a.send(pair.now, 1, b"early", ppid=53)
    began = pair.now
    a.start(pair.now)
    b.start(pair.now)
    assert pair.run(until=lambda: bool(pair.b.of_type(Message)))
    assert pair.now - began < 0.061
    assert [ChunkType.COOKIE_ECHO, ChunkType.DATA] in [kinds(data) for _, data in pair.a.sent]


def test_data_stands_in_for_a_lost_cookie_ack() -> None:
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.their_tag = Init.parse(raw.hear(ChunkType.INIT)[0]).tag
    raw.say(raw.init(cookie=b"cookie").encode(ChunkType.INIT_ACK))
    raw.say(raw.data(0, b"hello"))
    assert raw.machine.poll_events() == [Established(), Message(1, 53, b"hello")]


def test_a_peer_that_never_answers_ends_the_association_after_nine_inits() -> None:
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.wait(120.0)
    assert raw.machine.poll_events() == [AssociationClosed("no answer to INIT")]
    assert len(raw.hear(ChunkType.INIT)) == 9
    assert raw.machine.poll_timeout() is None


def test_a_peer_that_falls_silent_after_init_ack_ends_the_association() -> None:
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.their_tag = Init.parse(raw.hear(ChunkType.INIT)[0]).tag
    raw.say(raw.init(cookie=b"cookie").encode(ChunkType.INIT_ACK))
    raw.wait(120.0)
    assert raw.machine.poll_events() == [AssociationClosed("no answer to COOKIE ECHO")]
    assert raw.hear(ChunkType.COOKIE_ECHO) == [b"cookie"] * 9


def test_a_stale_cookie_makes_us_begin_again() -> None:
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.their_tag = Init.parse(raw.hear(ChunkType.INIT)[0]).tag
    raw.say(raw.init(cookie=b"old").encode(ChunkType.INIT_ACK))
    raw.hear(ChunkType.COOKIE_ECHO)
    raw.say(encode_error(Cause.STALE_COOKIE, bytes(4)))
    assert len(raw.hear(ChunkType.INIT)) == 1
    raw.say(raw.init(cookie=b"new").encode(ChunkType.INIT_ACK))
    assert raw.hear(ChunkType.COOKIE_ECHO) == [b"new"]


def test_our_cookie_does_not_live_for_ever() -> None:
    raw = RawPeer()
    raw.say(raw.init().encode(ChunkType.INIT), tag=0)
    answer = Init.parse(raw.hear(ChunkType.INIT_ACK)[0])
    raw.now += 61.0
    raw.say(encode_chunk(ChunkType.COOKIE_ECHO, 0, answer.cookie), tag=answer.tag)
    assert raw.machine.poll_events() == []
    assert raw.hear(ChunkType.ERROR)[0].hex() == "00030008000f4240", "one second too old, in microseconds"


@pytest.mark.parametrize("cookie", [b"", b"x", bytes(49), bytes(200)], ids=len)
def test_cookies_that_we_never_made_are_dropped(cookie: bytes) -> None:
    raw = RawPeer()
    raw.say(encode_chunk(ChunkType.COOKIE_ECHO, 0, cookie), tag=5)
    assert raw.machine.state is AssociationState.NEW
    assert raw.machine.poll_drops() == {DropReason.SCTP_MALFORMED: 1}


def test_unknown_init_parameters_are_reported_in_init_ack_and_error() -> None:
    unknown = encode_parameter(0xFFF0, b"abcd")
    raw = RawPeer()
    init = raw.init().encode(ChunkType.INIT)
    raw.say(encode_chunk(ChunkType.INIT, 0, init[4:] + b"\0" * (-len(init) & 3) + unknown), tag=0)
    assert encode_parameter(8, unknown) in raw.hear(ChunkType.INIT_ACK)[0]
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.their_tag = Init.parse(raw.hear(ChunkType.INIT)[0]).tag
    init = raw.init(cookie=b"cook").encode(ChunkType.INIT_ACK)
    raw.say(encode_chunk(ChunkType.INIT_ACK, 0, init[4:] + unknown))
    assert raw.chunks() == [(ChunkType.COOKIE_ECHO, 0, b"cook"), (ChunkType.ERROR, 0, encode_parameter(8, unknown))]


@pytest.mark.parametrize("cookie", [b"", bytes(1400)], ids=["none", "larger than a packet"])
def test_an_init_ack_without_a_usable_cookie_is_dropped(cookie: bytes) -> None:
    raw = RawPeer()
    raw.machine.start(raw.now)
    raw.their_tag = Init.parse(raw.hear(ChunkType.INIT)[0]).tag
    raw.say(raw.init(cookie=cookie).encode(ChunkType.INIT_ACK))
    assert raw.machine.state is AssociationState.COOKIE_WAIT


# The peer comes back


def restart_peer(pair: Pair, old: Association) -> Association:
    """Replace `b` by an association that knows nothing."""
    fresh = Association(entropy=SeededEntropy("fresh"))
    pair.b.machine = fresh
    pair.b.events.clear()
    return fresh


def test_a_peer_that_restarts_gets_a_new_association() -> None:
    pair, a, b = connected()
    a.send(pair.now, 1, b"one", ppid=53)
    pair.run(1.0)
    fresh = restart_peer(pair, b)
    fresh.start(pair.now)
    pair.run(2.0)
    assert pair.a.events == [Restarted()]
    a.send(pair.now, 1, b"two", ppid=53)
    fresh.send(pair.now, 1, b"three", ppid=53)
    pair.run(2.0)
    assert pair.b.events == [Established(), Message(1, 53, b"two")]
    assert pair.a.events == [Restarted(), Message(1, 53, b"three")]


def test_an_old_init_that_comes_late_changes_nothing() -> None:
    pair, a, b = associations()
    a.start(pair.now)
    b.start(pair.now)
    pair.run(2.0)
    a.start(pair.now)
    a.handle_packet(pair.now, next(data for _, data in pair.b.sent if kinds(data) == [ChunkType.INIT]))
    a.send(pair.now, 1, b"still here", ppid=53)
    pair.run(2.0)
    assert pair.b.events == [Established(), Message(1, 53, b"still here")]
    assert pair.a.events == [Established()]


def test_a_cookie_of_another_association_is_dropped() -> None:
    raw = RawPeer().connect()
    other = RawPeer(Association(entropy=SeededEntropy("other")))
    other.say(other.init().encode(ChunkType.INIT), tag=0)
    foreign = Init.parse(other.hear(ChunkType.INIT_ACK)[0])
    raw.say(encode_chunk(ChunkType.COOKIE_ECHO, 0, foreign.cookie), tag=foreign.tag)
    assert raw.machine.poll_events() == []
    assert raw.machine.poll_drops() == {DropReason.SCTP_MALFORMED: 1}


# Checksums and tags


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=lambda ok: "0" if ok else "crc",
)
def test_zero_checksums_go_only_to_a_peer_that_announced_them(ours: bool, theirs: bool) -> None:
    pair, a, b = associations(config=SctpConfig(zero_checksum=ours), peer_config=SctpConfig(zero_checksum=theirs))
    for machine in (a, b):
        machine.start(pair.now)
        machine.send(pair.now, 1, b"x", ppid=53)
    pair.run(2.0)
    assert len(pair.a.of_type(Message)) == len(pair.b.of_type(Message)) == 1
    for side, peer_accepts in ((pair.a, theirs), (pair.b, ours)):
        for _, data in side.sent:
            must_check = {ChunkType.INIT, ChunkType.INIT_ACK, ChunkType.COOKIE_ECHO} & set(kinds(data))
            if must_check or not peer_accepts:
                assert is_intact(data)
            else:
                assert data[8:12] == bytes(4)


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_zero_checksum_is_accepted_only_if_we_announced_it(is_announced: bool) -> None:
    machine = Association(entropy=SeededEntropy(1), config=SctpConfig(zero_checksum=is_announced))
    raw = RawPeer(machine).connect()
    raw.say(raw.data(0, b"x"), checksum=False)
    assert bool(machine.poll_events()) is is_announced
    assert machine.poll_drops() == ({} if is_announced else {DropReason.SCTP_CHECKSUM: 1})


def test_a_wrong_checksum_is_never_accepted() -> None:
    raw = RawPeer().connect()
    packet = encode_packet((5000, 5000), raw.their_tag, [raw.data(0, b"x")], checksum=True)
    raw.machine.handle_packet(raw.now, packet[:-4] + b"y" + packet[-3:])
    assert raw.machine.poll_events() == []
    assert raw.machine.poll_drops() == {DropReason.SCTP_CHECKSUM: 1}


@pytest.mark.parametrize(
    ("chunk", "tag_of"),
    [
        pytest.param(encode_data(3, 1000, 1, 0, 53, b"x"), "nobody", id="DATA"),
        pytest.param(encode_chunk(ChunkType.ABORT), "nobody", id="ABORT"),
        pytest.param(encode_chunk(ChunkType.ABORT, 1), "us", id="ABORT with T and our tag"),
        pytest.param(encode_chunk(ChunkType.INIT, 0, bytes(16)), "us", id="INIT with a tag"),
    ],
)
def test_packets_under_a_wrong_tag_are_dropped(chunk: bytes, tag_of: str) -> None:
    raw = RawPeer().connect()
    raw.say(chunk, tag=raw.their_tag if tag_of == "us" else 12345)
    assert raw.machine.poll_events() == []
    assert raw.machine.poll_drops() == {DropReason.SCTP_TAG: 1}


def test_an_init_behind_other_chunks_is_dropped() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b"x"), raw.init().encode(ChunkType.INIT))
    assert raw.hear(ChunkType.INIT_ACK) == []


# Small chunks


@pytest.mark.parametrize(
    ("kind", "goes_on", "is_reported"),
    [(0x3F, False, False), (0x7F, False, True), (0xBF, True, False), (0xFF, True, True)],
    ids=["00", "01", "10", "11"],
)
def test_unknown_chunks_are_treated_by_their_top_bits(kind: int, goes_on: bool, is_reported: bool) -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(kind, 7, b"what"), raw.data(0, b"next"))
    assert bool(raw.machine.poll_events()) is goes_on
    reports = [encode_parameter(Cause.UNRECOGNIZED_CHUNK_TYPE, encode_chunk(kind, 7, b"what"))]
    assert raw.hear(ChunkType.ERROR) == (reports if is_reported else [])


def test_a_heartbeat_is_echoed_word_for_word() -> None:
    raw = RawPeer().connect()
    info = encode_parameter(1, b"now and here")
    raw.say(encode_chunk(ChunkType.HEARTBEAT, 0, info))
    assert raw.hear(ChunkType.HEARTBEAT_ACK) == [info]


def test_a_flood_of_heartbeats_gets_few_answers() -> None:
    raw = RawPeer().connect()
    raw.say(*[encode_chunk(ChunkType.HEARTBEAT)] * 1000)
    assert len(raw.hear(ChunkType.HEARTBEAT_ACK)) == 16


@pytest.mark.parametrize("kind", [ChunkType.PAD, ChunkType.ERROR, ChunkType.HEARTBEAT_ACK, ChunkType.COOKIE_ACK])
def test_chunks_without_consequence_are_passed_over(kind: ChunkType) -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(kind), raw.data(0, b"next"))
    assert raw.machine.poll_events() == [Message(1, 53, b"next")]
    assert raw.machine.poll_drops() == {}


# The end


def test_abort_tells_the_peer_and_both_are_done() -> None:
    pair, a, b = connected()
    a.abort(pair.now, "enough")
    a.abort(pair.now, "again")
    pair.run(1.0)
    assert pair.a.events == [AssociationClosed("enough")]
    assert pair.b.events == [AssociationClosed("aborted by the peer: user initiated abort: enough")]
    assert a.poll_timeout() is b.poll_timeout() is None
    assert not a.send(pair.now, 1, b"x", ppid=53)
    a.handle_packet(pair.now, b"anything")
    a.handle_timeout(pair.now)
    assert (a.poll_events(), a.poll_transmits(), a.buffered_bytes()) == ([], [], 0)


def test_an_abort_with_the_reflected_tag_is_believed() -> None:
    raw = RawPeer().connect()
    raw.say(encode_chunk(ChunkType.ABORT, 1), tag=raw.tag)
    assert raw.machine.poll_events() == [AssociationClosed("aborted by the peer: no cause given")]


def test_data_without_a_byte_aborts() -> None:
    raw = RawPeer().connect()
    raw.say(raw.data(0, b""))
    assert raw.machine.poll_events() == [AssociationClosed("DATA without user data")]
    assert raw.hear(ChunkType.ABORT)[0][:2] == Cause.NO_USER_DATA.to_bytes(2, "big")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("both", [False, True], ids=["one side", "both sides"])
def test_shutdown_delivers_what_is_queued_first(seed: int, both: bool) -> None:
    pair, a, b = connected(seed=seed, link=Link(delay=0.02, jitter=0.03, loss=0.15))
    a.send(pair.now, 1, bytes(30_000), ppid=53)
    b.send(pair.now, 1, bytes(20_000), ppid=53)
    a.shutdown(pair.now)
    assert not a.send(pair.now, 1, b"late", ppid=53)
    if both:
        b.shutdown(pair.now)
    pair.run(120.0)
    assert (a.state, b.state) == (AssociationState.CLOSED, AssociationState.CLOSED), f"seed {seed}"
    assert [len(m.data) for m in pair.b.of_type(Message)] == [30_000], f"seed {seed}"
    assert [len(m.data) for m in pair.a.of_type(Message)] == [20_000], f"seed {seed}"
    assert len(pair.a.of_type(AssociationClosed)) == len(pair.b.of_type(AssociationClosed)) == 1


def test_shutdown_that_nobody_answers_ends_in_an_abort() -> None:
    raw = RawPeer().connect()
    raw.machine.shutdown(raw.now)
    assert raw.hear(ChunkType.SHUTDOWN) == [(raw.tsn - 1).to_bytes(4, "big")]
    raw.wait(60.0)
    assert raw.machine.poll_events() == [AssociationClosed("no answer to shutdown")]


def test_shutdown_before_the_association_is_up_ends_it() -> None:
    raw = RawPeer()
    raw.machine.shutdown(raw.now)
    assert raw.machine.state is AssociationState.CLOSED


def test_a_repeated_shutdown_is_answered_again() -> None:
    raw = RawPeer().connect()
    shutdown = encode_chunk(ChunkType.SHUTDOWN, 0, (raw.their_tsn - 1 & 0xFFFFFFFF).to_bytes(4, "big"))
    for _ in range(2):
        raw.say(shutdown)
        assert raw.hear(ChunkType.SHUTDOWN_ACK) == [b""]
    raw.say(encode_chunk(ChunkType.SHUTDOWN, 0, b"odd"))
    assert raw.machine.state is AssociationState.SHUTDOWN_ACK_SENT
    raw.say(encode_chunk(ChunkType.SHUTDOWN_COMPLETE))
    assert raw.machine.poll_events() == [AssociationClosed("shut down by the peer")]


@pytest.mark.parametrize(("stream", "data"), [(65_535, b"x"), (-1, b"x"), (0, b"")])
def test_messages_that_sctp_cannot_carry_are_the_callers_error(stream: int, data: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        RawPeer().machine.send(0.0, stream, data, ppid=53)


# The table


def test_every_state_has_its_moves_and_can_end() -> None:
    assert set(TRANSITIONS) == set(AssociationState)
    for state, moves in TRANSITIONS.items():
        assert (Trigger.END in moves) == (state is not AssociationState.CLOSED)
    assert {trigger for moves in TRANSITIONS.values() for trigger in moves} == set(Trigger)


def test_every_state_can_be_reached() -> None:
    reached = {AssociationState.NEW}
    for _ in AssociationState:
        reached |= {state for known in reached for state in TRANSITIONS[known].values()}
    assert reached == set(AssociationState)
