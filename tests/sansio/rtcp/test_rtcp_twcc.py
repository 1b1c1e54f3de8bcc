"""Transport-wide feedback: the message by bytes, and the recorder by what a sender learns from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy, random_below, random_unit
from sansio.errors import LocalProtocolError
from sansio.rtcp import ArrivalRecorder, RtcpError, TransportFeedback, parse_packet
from sansio.rtcp.twcc import MAX_HOLE, MAX_STATUSES
from sansio.seqnum import widen

TICK = 0.00025


def feedback(*deltas: int | None, base: int = 10, reference: int = 3, count: int = 4) -> TransportFeedback:
    return TransportFeedback(
        sender_ssrc=1,
        media_ssrc=2,
        base_sequence_number=base,
        reference_time=reference,
        feedback_count=count,
        deltas=deltas,
    )


def chunks_of(message: TransportFeedback) -> bytes:
    """The status chunks of an encoded message without deltas beyond them."""
    data = message.encode()
    received = sum(1 if 0 <= delta <= 255 else 2 for delta in message.deltas if delta is not None)
    padding = data[-1] if data[0] & 0x20 else 0
    return data[20 : len(data) - padding - received]


# The message

HEAD = "00000001 00000002 000a"


@pytest.mark.parametrize(
    ("message", "data"),
    [
        pytest.param(feedback(1, 2), f"8fcd0005 {HEAD} 0002 000003 04 2002 01 02", id="run of small deltas"),
        pytest.param(feedback(None, 7, base=0xFFFF), "afcd0005 00000001 00000002 ffff 0002 000003 04 9000 07 01", id="vector"),
        pytest.param(feedback(-1), f"8fcd0005 {HEAD} 0001 000003 04 4001 ffff", id="negative delta"),
        pytest.param(feedback(256, None, 0), f"afcd0006 {HEAD} 0003 000003 04 e100 0100 00 000003", id="large delta"),
        pytest.param(feedback(*[None] * 20, 5), f"afcd0006 {HEAD} 0015 000003 04 0014 2001 05 000003", id="run of losses"),
    ],
)  # fmt: skip
def test_bytes_on_the_wire(message: TransportFeedback, data: str) -> None:
    assert message.encode() == bytes.fromhex(data)
    assert parse_packet(message.encode()) == message


DELTAS = st.one_of(st.none(), st.integers(0, 255), st.integers(-(1 << 15), (1 << 15) - 1))
LENGTHS = st.sampled_from([1, 1, 1, 2, 6, 7, 8, 13, 14, 15, 40])
RUNS = st.lists(st.tuples(DELTAS, LENGTHS), min_size=1, max_size=30).map(
    lambda runs: [delta for delta, length in runs for _ in range(length)]
)


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, (1 << 24) - 1),
    st.integers(0, 255),
    RUNS,
)
def test_messages_come_back_as_they_were_written(
    base: int, reference: int, count: int, deltas: list[int | None]
) -> None:
    message = feedback(*deltas, base=base, reference=reference, count=count)
    data = message.encode()
    assert len(data) % 4 == 0
    assert parse_packet(data) == message


def best_chunks(symbols: list[int]) -> int:
    """The least number of chunks, by trying all."""
    best = [0] * (len(symbols) + 1)
    for start in range(len(symbols) - 1, -1, -1):
        window = symbols[start : start + 14]
        run = 1
        while start + run < len(symbols) and symbols[start + run] == symbols[start]:
            run += 1
        reach = [*range(start + 1, start + run + 1), min(start + 7, len(symbols))]
        if 2 not in window:
            reach.append(min(start + 14, len(symbols)))
        best[start] = 1 + min(best[after] for after in reach)
    return best[0]


@given(RUNS.map(lambda deltas: deltas[:200]))
def test_chunks_are_close_to_the_fewest(deltas: list[int | None]) -> None:
    symbols = [0 if delta is None else 1 if 0 <= delta <= 255 else 2 for delta in deltas]
    fewest = best_chunks(symbols)
    assert len(chunks_of(feedback(*deltas))) // 2 <= fewest + 2 + fewest // 10


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        pytest.param([1] * 2000, 1, id="one run"),
        pytest.param([1, None] * 7, 1, id="one vector of 14"),
        pytest.param([1, None] * 7 + [1] * 14, 2, id="vector, then run"),
        pytest.param([1, -1, None, 1, -1, None, 1], 1, id="one vector of 7"),
        pytest.param([1] * 13 + [-1] * 20, 2, id="two runs"),
    ],
)
def test_chunks_of_simple_patterns(deltas: list[int | None], chunks: int) -> None:
    assert len(chunks_of(feedback(*deltas))) == 2 * chunks


def test_arrivals_add_up_the_deltas() -> None:
    message = feedback(4, None, 8, -4, base=0xFFFE)
    assert message.arrivals() == [(0xFFFE, 0.001), (0xFFFF, None), (0, 0.003), (1, 0.002)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f"8fcd0003 {HEAD} 0002", id="cut short"),
        pytest.param(f"8fcd0004 {HEAD} 0000 000003 04", id="no statuses"),
        pytest.param(f"8fcd0005 {HEAD} 0801 000003 04 0801 0000", id="more statuses than anyone needs"),
        pytest.param(f"8fcd0005 {HEAD} 0010 000003 04 2001 2001", id="chunks cut short"),
        pytest.param(f"8fcd0005 {HEAD} 0004 000003 04 2004 0102", id="small deltas cut short"),
        pytest.param(f"8fcd0005 {HEAD} 0002 000003 04 4002 0102", id="large deltas cut short"),
        pytest.param(f"8fcd0005 {HEAD} 0001 000003 04 6001 0102", id="reserved status"),
    ],
)
def test_what_contradicts_itself_is_refused(data: str) -> None:
    with pytest.raises(RtcpError):
        parse_packet(bytes.fromhex(data))


@pytest.mark.parametrize(
    "message",
    [feedback(), feedback(*[None] * (MAX_STATUSES + 1)), feedback(1 << 15)],
    ids=["no statuses", "too many", "large delta"],
)
def test_what_does_not_fit_is_the_callers_fault(message: TransportFeedback) -> None:
    with pytest.raises(LocalProtocolError):
        message.encode()


# The recorder


class Sender:
    """What a sender makes of feedback: it decodes the bytes and widens numbers and times along the way."""

    def __init__(self, near_number: int, near_time: float) -> None:
        self.number = near_number
        self.reference = int(near_time / 0.064)
        self.told: list[tuple[int, float | None]] = []
        self.count: int | None = None

    def take(self, messages: list[TransportFeedback]) -> None:
        for message in messages:
            data = message.encode()
            assert len(data) <= 1200
            read = parse_packet(data)
            assert isinstance(read, TransportFeedback)
            assert read == message
            assert self.count is None or read.feedback_count == (self.count + 1) % 256
            self.count = read.feedback_count
            self.reference = widen(read.reference_time, self.reference, 24)
            for number, offset in read.arrivals():
                self.number = widen(number, self.number)
                self.told.append((self.number, None if offset is None else self.reference * 0.064 + offset))


@given(
    first=st.integers(0, 1 << 20),
    start=st.sampled_from([0.0, 5.0, (1 << 24) * 0.064 - 0.5, 3e6]) | st.floats(0, 1e6),
    steps=st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 1, 2, 3, 9, 40]),  # numbers on
            st.floats(0, 0.1) | st.sampled_from([0.0, 0.0, 9.0, 20.0]),  # time on
            st.booleans(),  # feedback after this one
        ),
        min_size=1,
        max_size=60,
    ),
)
def test_arrivals_in_order_are_told_once_each_with_the_losses_between(
    first: int, start: float, steps: list[tuple[int, float, bool]]
) -> None:
    recorder = ArrivalRecorder(1)
    sender = Sender(first, start)
    number, now = first, start
    arrived: dict[int, float] = {}
    for numbers_on, time_on, reports in steps:
        recorder.add([(number, now)])
        arrived[number] = now
        last = number
        if reports:
            sender.take(recorder.build(now))
        number += numbers_on
        now += time_on
    sender.take(recorder.build(now))
    assert [told for told, _ in sender.told] == list(range(first, last + 1))
    for told, at in sender.told:
        if told in arrived:
            assert at is not None
            assert abs(at - arrived[told]) <= TICK
        else:
            assert at is None


@pytest.mark.parametrize("seed", range(8))
def test_under_loss_and_reordering_every_number_is_told_and_every_arrival_once(seed: int) -> None:
    entropy = SeededEntropy(seed)
    recorder = ArrivalRecorder(7)
    first = 65000
    sender = Sender(first, 50.0)
    flight: list[tuple[float, int]] = []
    for index in range(3000):
        if random_unit(entropy) >= 0.05:
            sent = 50.0 + index * 0.002
            late = 0.08 if random_below(entropy, 20) == 0 else 0.0
            flight.append((sent + 0.03 + 0.01 * random_unit(entropy) + late, first + index))
    flight.sort()
    for start in range(0, len(flight), 25):
        batch = flight[start : start + 25]
        recorder.add([(number, at) for at, number in batch])
        sender.take(recorder.build(batch[-1][0], media_ssrc=9))
    arrivals = {number: at for at, number in flight}
    told = [number for number, at in sender.told if at is not None]
    assert sorted(told) == sorted(arrivals), f"seed {seed}"
    assert all(at is None or abs(at - arrivals[number]) <= TICK for number, at in sender.told), f"seed {seed}"
    lost = [number for number, at in sender.told if at is None]
    assert len(lost) == len(set(lost)), f"seed {seed}"
    everything = range(min(arrivals), max(arrivals) + 1)
    assert set(lost) | set(told) == set(everything), f"seed {seed}"


def test_nothing_arrived_nothing_told() -> None:
    recorder = ArrivalRecorder(1)
    assert recorder.build(1.0) == []
    recorder.add([(5, 1.0)])
    assert recorder.pending == 1
    assert len(recorder.build(1.0)) == 1
    assert recorder.pending == 0
    assert recorder.build(2.0) == []


def test_sources_and_feedback_count() -> None:
    recorder = ArrivalRecorder(11)
    for index in range(300):
        recorder.add([(index, float(index))])
        (message,) = recorder.build(float(index), media_ssrc=12)
        assert (message.sender_ssrc, message.media_ssrc, message.feedback_count) == (11, 12, index % 256)


def test_first_delta_counts_from_the_reference_time() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 10 * 0.064 + 0.01)])
    (message,) = recorder.build(1.0)
    assert (message.reference_time, message.deltas) == (10, (40,))


def test_reference_time_wraps_at_24_bits() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, (1 << 24) * 0.064 + 0.128)])
    (message,) = recorder.build(1.0)
    assert message.reference_time == 2


def test_a_delta_that_does_not_fit_begins_a_new_message() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0), (2, 1.001), (4, 10.0), (5, 10.001)])
    first, second = recorder.build(10.1)
    assert (first.base_sequence_number, len(first.deltas)) == (1, 3)  # the loss goes with what came before
    assert (second.base_sequence_number, len(second.deltas)) == (4, 2)


def test_arrivals_that_overtook_give_negative_deltas() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(2, 1.0), (1, 1.001)])
    (message,) = recorder.build(1.1)
    assert message.deltas[1] == -4


def test_duplicates_are_told_once_with_their_first_arrival() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0), (1, 1.5)])
    (message,) = recorder.build(1.6)
    assert message.arrivals() == [(1, 0.04)]
    recorder.add([(1, 1.7)])
    assert recorder.build(1.8) == []


def test_a_late_arrival_is_told_by_itself() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0), (6, 1.0)])
    recorder.build(1.1)
    recorder.add([(3, 1.15), (4, 1.15), (2, 1.16), (7, 1.17)])
    late, regular = recorder.build(1.2)
    assert [number for number, _ in late.arrivals()] == [2, 3, 4]
    assert [number for number, _ in regular.arrivals()] == [7]
    recorder.add([(3, 1.3)])
    assert recorder.build(1.3) == []


def test_an_arrival_long_after_its_loss_is_no_news() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0), (3, 1.0)])
    recorder.build(1.1)
    recorder.add([(4, 9.0)])
    recorder.build(9.0)
    recorder.add([(2, 9.1)])
    assert recorder.build(9.1) == []


def test_numbers_that_the_first_report_missed_are_told_when_they_come() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(100, 1000.0)])
    recorder.build(1000.0)
    recorder.add([(97, 1000.01)])
    (message,) = recorder.build(1000.05)
    assert (message.base_sequence_number, len(message.deltas)) == (97, 1)
    recorder.add([(98, 1000.06), (97, 1000.07)])
    (message,) = recorder.build(1000.1)
    assert (message.base_sequence_number, len(message.deltas)) == (98, 1)


def test_a_long_hole_takes_several_messages() -> None:
    recorder = ArrivalRecorder(1)
    sender = Sender(1, 1.0)
    recorder.add([(1, 1.0), (20000, 2.0)])
    messages = recorder.build(2.0)
    assert len(messages) == 10
    sender.take(messages)
    assert [number for number, _ in sender.told] == list(range(1, 20001))


def test_a_jump_is_a_new_beginning() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0)])
    recorder.build(1.0)
    recorder.add([(10**9, 2.0), (10**9 + 1, 2.0)])
    (message,) = recorder.build(2.0)
    assert (message.base_sequence_number, len(message.deltas)) == (10**9 & 0xFFFF, 2)


def test_a_jump_within_the_first_report_drops_what_lies_before_it() -> None:
    recorder = ArrivalRecorder(1)
    recorder.add([(1, 1.0), (MAX_HOLE + 1, 2.0), (MAX_HOLE + 3, 2.0)])
    (message,) = recorder.build(2.0)
    assert (message.base_sequence_number, len(message.deltas)) == (MAX_HOLE + 1, 3)


def test_many_arrivals_are_split_into_datagrams() -> None:
    recorder = ArrivalRecorder(1)
    sender = Sender(0, 1.0)
    recorder.add([(index, 1.0 + index * 0.1) for index in range(1500)])
    messages = recorder.build(200.0)
    sender.take(messages)
    assert len(messages) == 5
    assert len(sender.told) == 1500
