"""What was sent on one transport, held against what its transport-wide feedback says arrived
(draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

The kernel tells of packets that carried a transport-wide number; feedback names those numbers and when they came, in the
receiver's clock. Matched, they are pairs of departure and arrival, from which an estimator reads delay and loss. A number
is settled once: the first message that reports it as arrived counts; one reported lost may still turn up in a later message.
A message that never came leaves its numbers unsettled, which is not loss.

Left out: correction of clock skew (an estimator looks at differences only).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from ..kernel import SentPacket
from ..rtcp import TransportFeedback
from ..seqnum import widen

CAPACITY = 2048
"""Packets remembered; at 5 Mb/s that is about four seconds."""
REFERENCE_S = 0.064


class AckedPacket(NamedTuple):
    """One packet of which feedback told."""

    sequence_number: int
    """Extended."""
    sent_at: float
    received_at: float | None
    """In the receiver's clock, whose zero is arbitrary but constant; None if it was lost."""
    size_bytes: int
    is_retransmission: bool


class SentHistory:
    """The packets of one transport on their way to being acknowledged."""

    __slots__ = ("_feedback_count", "_highest", "_lost", "_reference", "_waiting", "lost_messages")

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, SentPacket] = OrderedDict()
        self._lost: set[int] = set()
        self._highest = -1
        self._reference: int | None = None
        self._feedback_count: int | None = None
        self.lost_messages = 0
        """Feedback messages that never came, by their count."""

    def __len__(self) -> int:
        return len(self._waiting)

    def handle_sent(self, packets: Iterable[SentPacket]) -> None:
        """Packets left, in order."""
        for packet in packets:
            self._waiting[packet.sequence_number] = packet
            self._highest = max(self._highest, packet.sequence_number)
        while len(self._waiting) > CAPACITY:
            number, _ = self._waiting.popitem(last=False)
            self._lost.discard(number)

    def handle_feedback(self, feedback: TransportFeedback) -> list[AckedPacket]:
        """What the message settles: arrivals not told before, and losses, in order of number."""
        if self._highest < 0:
            return []
        self._count(feedback.feedback_count)
        reference = self._widen_reference(feedback.reference_time)
        settled = []
        for number, offset in feedback.arrivals():
            acked = self._settle(
                widen(number, self._highest), None if offset is None else reference * REFERENCE_S + offset
            )
            if acked is not None:
                settled.append(acked)
        return settled

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of packets of which nothing was heard."""
        return sum(packet.size_bytes for number, packet in self._waiting.items() if number not in self._lost)

    def _settle(self, number: int, received_at: float | None) -> AckedPacket | None:
        packet = self._waiting.get(number)
        if packet is None or (received_at is None and number in self._lost):
            return None
        if received_at is None:
            self._lost.add(number)
        else:
            del self._waiting[number]
            self._lost.discard(number)
        return AckedPacket(number, packet.at, received_at, packet.size_bytes, packet.is_retransmission)

    def _count(self, feedback_count: int) -> None:
        if self._feedback_count is not None:
            step = (feedback_count - self._feedback_count) & 0xFF
            if 1 < step < 128:
                self.lost_messages += step - 1
            elif step == 0 or step >= 128:
                return  # repeated or overtaken
        self._feedback_count = feedback_count

    def _widen_reference(self, reference_time: int) -> int:
        known = self._reference
        reference = reference_time if known is None else widen(reference_time, known, 24)
        self._reference = reference if known is None else max(known, reference)
        return reference
