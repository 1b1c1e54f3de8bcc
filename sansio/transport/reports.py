"""RTCP that a receiver owes its sender: reports, transport-wide feedback, round trips (RFC 3550 §6.4, RFC 3611 §4.4).

Theory of operation. Two timers, both armed by arriving media and not by the clock, so that a silent transport costs nothing.

- REPORT, a second after the first packet that no report covers: one block per bound stream that got packets since its last
  block. Never a block about an SSRC that is not bound: libwebrtc stops naming mid and rid once it sees one, and the stream
  could not be bound any more. With it goes a receiver reference time, whose answer (DLRR) gives the round trip.
- FEEDBACK, 50 ms after the first packet that no feedback covers, or 100 ms while packets are few (mediasoup 100, str0m 50,
  libwebrtc 50 to 250): transport-wide arrivals of all SSRCs. Senders probe and ramp up by these.

Sender reports are kept per stream with their arrival; one that goes back in time is ignored (a reordered or replayed one).
Clocks: the round trip needs no wall clock, so reference times count from the monotonic `now`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ..kernel import Kernel, StreamStats
from ..rtcp import (
    ArrivalRecorder,
    Dlrr,
    DlrrReport,
    ExtendedReport,
    Packet,
    ReceiverReferenceTime,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    encode_compound,
)
from ..seqnum import widen
from ..timers import TimerTable
from .streams import BoundStream, Streams

_REPORT_INTERVAL = 1.0
_FEEDBACK_INTERVAL = 0.05
_SLOW_FEEDBACK_INTERVAL = 0.1
_FEW_ARRIVALS = 10
"""Per feedback, below which the slower pace suffices."""
_MAX_BLOCKS = 31
_MAX_REPORTS_KEPT = 64


class _Timer(Enum):
    REPORT = "receiver report"
    FEEDBACK = "transport-wide feedback"


class _Covered:
    """What the last report block about a stream covered."""

    __slots__ = ("expected", "received")

    def __init__(self) -> None:
        self.expected = 0
        self.received = 0


class Reports:
    """The reports of one transport."""

    __slots__ = (
        "_covered", "_feedback_pace", "_kernel", "_proxied", "_recorder", "_rtt", "_sender_reports", "_session", "_ssrc",
        "_streams", "_timers", "_transport_cc_id",
    )  # fmt: skip

    def __init__(self, kernel: Kernel, streams: Streams, *, ssrc: int) -> None:
        self._kernel = kernel
        self._streams = streams
        self._ssrc = ssrc
        self._session: int | None = None
        self._transport_cc_id = 0
        self._feedback_pace = _FEEDBACK_INTERVAL
        self._recorder = ArrivalRecorder(ssrc)
        self._covered: dict[int, _Covered] = {}
        self._proxied: dict[int, int] = {}
        self._sender_reports: dict[int, tuple[int, int, float]] = {}  # by SSRC
        self._rtt: float | None = None
        self._timers: TimerTable[_Timer] = TimerTable()

    def handle_arrival(self, now: float) -> bool:
        """Media arrived; whether that armed a timer."""
        timers = self._timers
        if timers.get(_Timer.FEEDBACK) is None and self._transport_cc_id:
            timers.set(_Timer.FEEDBACK, now + self._feedback_pace)
        elif timers.get(_Timer.REPORT) is not None:
            return False
        timers.set_if_unset(_Timer.REPORT, now + _REPORT_INTERVAL)
        return True

    def handle_rtcp(self, now: float, packets: Sequence[Packet]) -> None:
        for packet in packets:
            if isinstance(packet, SenderReport):
                self._handle_sender_report(now, packet)
            elif isinstance(packet, ExtendedReport):
                self._handle_extended_report(now, packet)

    def handle_timeout(self, now: float) -> None:
        for timer in self._timers.expire(now):
            if timer is _Timer.REPORT:
                self._send_report(now)
            else:
                self._send_feedback(now)

    def open(self, session: int) -> None:
        self._session = session
        self._kernel.set_transport_cc(session, self._transport_cc_id)

    def set_feedback(self, transport_cc_id: int) -> None:
        """The extension of transport-wide numbers, the same in all sections of a bundle; 0 if none has agreed on it."""
        self._transport_cc_id = transport_cc_id
        if self._session is not None:
            self._kernel.set_transport_cc(self._session, transport_cc_id)

    def set_proxied_loss(self, stream: int, fraction_lost: int) -> None:
        self._proxied[stream] = min(max(fraction_lost, 0), 255)

    def close(self) -> None:
        self._session = None
        self._timers.cancel_all()

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    @property
    def rtt(self) -> float | None:
        """Seconds, from the peer's answers to our reference times."""
        return self._rtt

    def sender_report(self, stream: int) -> tuple[int, int, float] | None:
        """NTP timestamp, RTP timestamp widened to the stream's, arrival."""
        bound = self._streams.by_slot(stream)
        report = self._sender_reports.get(bound.ssrc) if bound is not None else None
        if report is None:
            return None
        ntp_timestamp, rtp_timestamp, arrival = report
        stats = self._kernel.stream_stats(stream)
        return ntp_timestamp, widen(rtp_timestamp, stats.last_timestamp, 32), arrival

    # Reports

    def _send_report(self, now: float) -> None:
        if self._session is None:
            return
        bound = self._streams.bound
        self._forget_gone(bound)
        blocks = [block for stream in bound if (block := self._block(now, stream)) is not None]
        if not blocks:
            return
        packets: list[Packet] = [
            ReceiverReport(self._ssrc, tuple(blocks[start : start + _MAX_BLOCKS]))
            for start in range(0, len(blocks), _MAX_BLOCKS)
        ]
        packets.append(ExtendedReport(self._ssrc, (ReceiverReferenceTime(_ntp(now)),)))
        for packet in packets[:-2]:
            self._send(packet)
        self._send(*packets[-2:])

    def _block(self, now: float, stream: BoundStream) -> ReportBlock | None:
        """What is new about a stream; None if nothing came."""
        stats = self._kernel.stream_stats(stream.slot)
        covered = self._covered.setdefault(stream.slot, _Covered())
        if stats.first_position < 0 or stats.received == covered.received:
            return None
        fraction_lost = max(_fraction_lost(stats, covered), self._proxied.get(stream.slot, 0))
        covered.expected, covered.received = stats.expected, stats.received
        last_sender_report, delay = self._last_sender_report(now, stream.ssrc)
        return ReportBlock(
            ssrc=stream.ssrc,
            fraction_lost=fraction_lost,
            cumulative_lost=stats.expected - stats.received,
            highest_sequence_number=stats.highest_position,
            jitter=round(stats.jitter),
            last_sender_report=last_sender_report,
            delay_since_last_sender_report=delay,
        )

    def _last_sender_report(self, now: float, ssrc: int) -> tuple[int, int]:
        """LSR and DLSR of a source; zeros if it sent none."""
        report = self._sender_reports.get(ssrc)
        if report is None:
            return 0, 0
        ntp_timestamp, _, arrival = report
        return ntp_timestamp >> 16 & 0xFFFFFFFF, round((now - arrival) * 65536)

    def _forget_gone(self, bound: Sequence[BoundStream]) -> None:
        slots = {stream.slot for stream in bound}
        for table in (self._covered, self._proxied):
            for slot in [slot for slot in table if slot not in slots]:
                del table[slot]

    def _send_feedback(self, now: float) -> None:
        if self._session is None:
            return
        arrivals = self._kernel.take_arrivals(self._session)
        self._feedback_pace = _FEEDBACK_INTERVAL if len(arrivals) >= _FEW_ARRIVALS else _SLOW_FEEDBACK_INTERVAL
        self._recorder.add(arrivals)
        for feedback in self._recorder.build(now, media_ssrc=self._recent_ssrc()):
            self._send(feedback)

    def _recent_ssrc(self) -> int:
        """One that the sender knows as its own: libwebrtc ignores feedback about any other, 0 included. While it probes
        before its first frame, no stream is bound yet."""
        bound = self._streams.bound
        return bound[0].ssrc if bound else self._streams.last_unknown

    def _send(self, *packets: Packet) -> None:
        if self._session is not None:
            self._kernel.send_rtcp(self._session, encode_compound(packets))

    # What the peer says

    def _handle_sender_report(self, now: float, report: SenderReport) -> None:
        """Also of SSRCs that are not bound yet: the first report often comes before the description."""
        previous = self._sender_reports.pop(report.ssrc, None)
        if previous is not None and report.ntp_timestamp < previous[0]:
            self._sender_reports[report.ssrc] = previous
            return
        if len(self._sender_reports) >= _MAX_REPORTS_KEPT:
            del self._sender_reports[next(iter(self._sender_reports))]
        self._sender_reports[report.ssrc] = (report.ntp_timestamp, report.rtp_timestamp, now)

    def _handle_extended_report(self, now: float, report: ExtendedReport) -> None:
        for block in report.blocks:
            if isinstance(block, ReceiverReferenceTime):
                # Answered at once, hence no delay to tell.
                answer = Dlrr((DlrrReport(report.ssrc, block.last_receiver_report, 0),))
                self._send(ExtendedReport(self._ssrc, (answer,)))
                continue
            for echo in block.reports:
                if echo.ssrc == self._ssrc and echo.last_receiver_report:
                    self._measure(now, echo)

    def _measure(self, now: float, echo: DlrrReport) -> None:
        """RFC 3611 §4.5: now - LRR - DLRR, in 1/65536 s modulo 2^32."""
        elapsed = ((_ntp(now) >> 16) - echo.last_receiver_report - echo.delay) & 0xFFFFFFFF
        if elapsed < 10 << 16:
            rtt = elapsed / 65536
            self._rtt = rtt if self._rtt is None else 0.75 * self._rtt + 0.25 * rtt


def _ntp(now: float) -> int:
    """A reference time in NTP's format; its epoch is that of `now`."""
    return int(now * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def _fraction_lost(stats: StreamStats, covered: _Covered) -> int:
    """RFC 3550 App. A.3."""
    expected = stats.expected - covered.expected
    lost = expected - (stats.received - covered.received)
    return min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0
