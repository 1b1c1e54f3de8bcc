"""Sent packets against feedback, and the estimator that only watches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.bwe import BandwidthEstimator, PassiveEstimator, SentHistory
from sansio.bwe.history import CAPACITY
from sansio.kernel import SentPacket
from sansio.rtcp import Remb, TransportFeedback


def sent(first: int, count: int, *, at: float = 10.0, size: int = 1000) -> list[SentPacket]:
    return [SentPacket(first + index, at + index * 0.01, size, False) for index in range(count)]


def feedback(base: int, *deltas: int | None, count: int = 0, reference: int = 100) -> TransportFeedback:
    return TransportFeedback(
        sender_ssrc=1,
        media_ssrc=2,
        base_sequence_number=base & 0xFFFF,
        reference_time=reference & 0xFFFFFF,
        feedback_count=count & 0xFF,
        deltas=deltas,
    )


def test_departures_meet_arrivals() -> None:
    history = SentHistory()
    history.handle_sent(sent(65_534, 4))
    settled = history.handle_feedback(feedback(65_534, 0, 40, None, 8))
    assert [packet.sequence_number for packet in settled] == [65_534, 65_535, 65_536, 65_537]
    assert [packet.received_at for packet in settled] == [6.4, pytest.approx(6.41), None, pytest.approx(6.412)]
    assert [packet.sent_at for packet in settled] == [packet.at for packet in sent(65_534, 4)]
    assert len(history) == 1


def test_a_number_is_settled_once_and_a_loss_may_be_taken_back() -> None:
    history = SentHistory()
    history.handle_sent(sent(1, 3))
    assert len(history.handle_feedback(feedback(1, 0, None, 0))) == 3
    assert history.handle_feedback(feedback(1, 0, None, 0, count=1)) == []
    (late,) = history.handle_feedback(feedback(2, 40, count=2))
    assert late.sequence_number == 2
    assert late.received_at is not None
    assert history.in_flight_bytes == 0


def test_what_was_never_sent_is_ignored() -> None:
    history = SentHistory()
    assert history.handle_feedback(feedback(1, 0)) == []
    history.handle_sent(sent(100, 2))
    assert history.handle_feedback(feedback(5000, 0, 0)) == []


def test_messages_that_never_came_are_counted() -> None:
    history = SentHistory()
    history.handle_sent(sent(1, 50))
    for index, count in enumerate((254, 255, 2, 1, 2, 3)):
        history.handle_feedback(feedback(1 + index, 0, count=count))
    assert history.lost_messages == 2
    assert history.in_flight_bytes == 44_000


def test_the_reference_time_wraps() -> None:
    history = SentHistory()
    history.handle_sent(sent(1, 3))
    (first,) = history.handle_feedback(feedback(1, 0, reference=0xFFFFFF))
    (second,) = history.handle_feedback(feedback(2, 0, reference=0, count=1))
    (third,) = history.handle_feedback(feedback(3, 0, reference=0xFFFFFF, count=2))
    assert first.received_at is not None
    assert second.received_at is not None
    assert second.received_at - first.received_at == pytest.approx(0.064)
    assert third.received_at == first.received_at


def test_history_is_bounded() -> None:
    history = SentHistory()
    history.handle_sent(sent(1, 10))
    history.handle_feedback(feedback(1, None, None))
    history.handle_sent(sent(11, CAPACITY))
    assert len(history) == CAPACITY
    assert history.in_flight_bytes == CAPACITY * 1000


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.lists(st.one_of(st.none(), st.integers(-32768, 32767)), max_size=30)),
        max_size=20,
    )
)
def test_no_feedback_settles_a_packet_twice(messages: list[tuple[int, list[int | None]]]) -> None:
    history = SentHistory()
    history.handle_sent(sent(65_000, 1500))
    arrived: set[int] = set()
    for count, (base, deltas) in enumerate(messages):
        for packet in history.handle_feedback(feedback(base, *deltas, count=count)):
            assert 65_000 <= packet.sequence_number < 66_500
            assert packet.sequence_number not in arrived
            if packet.received_at is not None:
                arrived.add(packet.sequence_number)
    assert len(history) == 1500 - len(arrived)


def test_the_passive_estimator_watches_and_never_limits() -> None:
    passive = PassiveEstimator()
    estimator: BandwidthEstimator = passive
    assert passive.loss() == 0
    assert passive.acked_bps() == 0
    estimator.handle_sent(10.0, sent(1, 200))
    assert passive.in_flight_bytes == 200_000
    estimator.handle_feedback(12.0, feedback(1, *([4] * 150 + [None] * 50)))
    assert len(passive.acked) == 200
    assert passive.loss() == 0.25
    assert passive.acked_bps() == pytest.approx(800_000, rel=0.02)
    estimator.handle_feedback(12.1, feedback(200, 4, count=3))
    assert passive.loss() == 0.245
    assert passive.lost_messages == 2
    assert estimator.estimate_bps >= 10_000_000
    assert not estimator.is_congested


def test_the_receivers_estimate_is_forgotten_when_old() -> None:
    passive = PassiveEstimator()
    assert passive.remb_bps(0.0) is None
    passive.handle_remb(1.0, Remb(sender_ssrc=1, bitrate_bps=500_000))
    assert passive.remb_bps(5.0) == 500_000
    assert passive.remb_bps(12.0) is None
