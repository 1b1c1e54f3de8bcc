"""What reports and counters say about a stream over time: round trip, loss, jitter, and the differences per window that
the quality score is made of.
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel import LegStats, StreamStats
from ..rtcp import ReportBlock

NO_LEG_STATS = LegStats(
    packets=0,
    octets=0,
    retransmitted_packets=0,
    retransmitted_octets=0,
    dropped_packets=0,
    stream=-1,
    started=False,
    last_sequence_number=0,
    last_timestamp=0,
    timestamp_offset=0,
    last_sent=0.0,
    first_timestamp=0,
    first_sent=0.0,
    spatial=-1,
    temporal=-1,
)
"""Of a leg that is no more."""


class DownTrackStats(NamedTuple):
    """One subscription, as sent and as its receiver reported it. Counts are totals."""

    packets: int
    octets: int
    retransmitted_packets: int
    cumulative_lost: int
    fraction_lost: float
    """Of the last report, 0 to 1."""
    jitter: int
    """Timestamp units, of the last report."""
    rtt: float
    last_report_at: float | None
    nacks: int
    plis: int
    firs: int


class ReportLog:
    """Receiver reports about one leg, and the sender reports they refer to."""

    __slots__ = (
        "_cumulative_lost",
        "_fraction_lost",
        "_jitter",
        "_last_report_at",
        "_sent_at",
        "_sent_compact_ntp",
        "firs",
        "nacks",
        "plis",
        "rtt",
    )

    def __init__(self, rtt: float) -> None:
        self.rtt = rtt
        self.nacks = self.plis = self.firs = 0
        self._sent_compact_ntp = 0
        self._sent_at = 0.0
        self._fraction_lost = 0.0
        self._cumulative_lost = 0
        self._jitter = 0
        self._last_report_at: float | None = None

    def handle_report_sent(self, now: float, ntp_timestamp: int) -> None:
        """A sender report left."""
        self._sent_compact_ntp = (ntp_timestamp >> 16) & 0xFFFFFFFF
        self._sent_at = now

    def handle_block(self, now: float, block: ReportBlock) -> None:
        """RFC 3550 §6.4.1: the round trip is what passed since our report left, less what its receiver held it."""
        self._fraction_lost = block.fraction_lost / 256
        self._cumulative_lost = block.cumulative_lost
        self._jitter = block.jitter
        self._last_report_at = now
        if block.last_sender_report and block.last_sender_report == self._sent_compact_ntp:
            measured = now - self._sent_at - block.delay_since_last_sender_report / 65536
            if measured >= 0:
                self.rtt = 0.5 * self.rtt + 0.5 * measured

    def stats(self, leg: LegStats) -> DownTrackStats:
        return DownTrackStats(
            packets=leg.packets,
            octets=leg.octets,
            retransmitted_packets=leg.retransmitted_packets,
            cumulative_lost=self._cumulative_lost,
            fraction_lost=self._fraction_lost,
            jitter=self._jitter,
            rtt=self.rtt,
            last_report_at=self._last_report_at,
            nacks=self.nacks,
            plis=self.plis,
            firs=self.firs,
        )


class Window(NamedTuple):
    """What one stream did in one interval."""

    duration: float
    packets: int
    lost: int
    out_of_order: int
    bytes: int
    jitter_ms: float
    rtt: float
    is_reporting: bool
    """Whether the other side still sends RTCP."""


class ReceiveWindows:
    """Cuts the counters of one received stream into windows."""

    __slots__ = ("_clock_rate", "_last", "_last_at")

    def __init__(self, now: float, stats: StreamStats, clock_rate: int) -> None:
        self._last = stats
        self._last_at = now
        self._clock_rate = clock_rate

    def take(self, now: float, stats: StreamStats, rtt: float, *, is_reporting: bool = True) -> Window:
        """The window since the last call."""
        last = self._last
        expected = stats.expected - last.expected
        received = stats.received - last.received
        window = Window(
            duration=now - self._last_at,
            packets=stats.packets - last.packets,
            lost=max(expected - received, 0),
            out_of_order=stats.out_of_order - last.out_of_order,
            bytes=stats.bytes - last.bytes,
            jitter_ms=stats.jitter * 1000 / self._clock_rate,
            rtt=rtt,
            is_reporting=is_reporting,
        )
        self._last, self._last_at = stats, now
        return window


class SendWindows:
    """Cuts one subscription's counters into windows."""

    __slots__ = ("_clock_rate", "_last", "_last_at")

    REPORTS_STALE_AFTER = 30.0

    def __init__(self, now: float, stats: DownTrackStats, clock_rate: int) -> None:
        self._last = stats
        self._last_at = now
        self._clock_rate = clock_rate

    def take(
        self, now: float, stats: DownTrackStats, *, upstream_lost: int = 0, upstream_jitter_ms: float = 0
    ) -> Window:
        """The window since the last call, less what was wrong before the packets came here."""
        last = self._last
        heard = stats.last_report_at
        window = Window(
            duration=now - self._last_at,
            packets=stats.packets - last.packets,
            lost=max(stats.cumulative_lost - last.cumulative_lost - upstream_lost, 0),
            out_of_order=0,
            bytes=stats.octets - last.octets,
            jitter_ms=max(stats.jitter * 1000 / self._clock_rate - upstream_jitter_ms, 0.0),
            rtt=stats.rtt,
            is_reporting=heard is not None and now - heard < self.REPORTS_STALE_AFTER,
        )
        self._last, self._last_at = stats, now
        return window
