"""Outgoing timestamps of one leg across changes of its source, and the sender reports that go with them.

Every layer of a track, every codec of it and every SSRC after a republish has a timestamp origin of its own. A leg hides
that: at a switch this module computes with which outgoing timestamp the new source's first packet leaves; the kernel
keeps the offset from then on.

The new source's timestamp is first expressed in the clock of the source before it, through one sender report of each
(RFC 3550 §6.4.1: both carry the sender's NTP clock), then in the leg's by the offset in force. Each switch so refers to
the one before it rather than to a first layer for ever; the error of a report (below a millisecond) may add up over many
switches, which moves only the spacing of two frames, since lip-sync follows the reports sent to the subscriber and those
always use the offset in force.

Where a report of either side is missing, the leg does not wait for it: senders issue the first report of a layer up to a
second after its start, a subscriber's picture would freeze that long. The arrival takes its place: the packet leaves with
the leg's last timestamp plus the time passed since. The layers of a track share one path, so the error is the jitter of
that path. For the same reason reports that contradict the arrival by more than `DISTRUST` are not believed.

A layer switch to a packet that lies more than 50 ms behind what was already sent is refused (the sender still drains older
frames of the new layer; following it would show the past twice): `align` returns None and the caller keeps its source
until the next key frame.
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel import LegStats

DISTRUST = 1.0
"""Seconds between report and arrival from which on reports are ignored at a layer switch."""
MAX_BEHIND = 0.050
MAX_RESUME_LAG = 2.0
"""Seconds the sender's clock may lag behind real time at a resume before the gap is filled."""
MAX_RESUME_LAG_AFTER_MUTE = 0.2
"""The same after a mute, during which some senders stop their clock."""
MAX_DRIFT = 0.2
"""Seconds by which a report may disagree with arrivals and still belong to the same run of the clock."""

_NTP_SECOND = 1 << 32


class ClockReport(NamedTuple):
    """A sender report as two readings of one instant."""

    ntp_timestamp: int
    """64 bit, of the sender's wall clock."""
    rtp_timestamp: int
    """Extended, of the stream."""
    arrival: float


class Incoming(NamedTuple):
    """The packet at which a leg is about to enter a source."""

    timestamp: int
    """Extended."""
    arrival: float
    is_same_source: bool
    """Whether it belongs to the source the leg had last."""
    report: ClockReport | None


def translate(timestamp: int, source: ClockReport, target: ClockReport, clock_rate: int) -> int:
    """What the clock of `target` shows when that of `source` shows `timestamp`; both belong to one sender."""
    apart = (target.ntp_timestamp - source.ntp_timestamp) / _NTP_SECOND
    return timestamp + target.rtp_timestamp - source.rtp_timestamp - round(apart * clock_rate)


class Munger:
    """The time base of one leg."""

    __slots__ = (
        "_clock_rate",
        "_has_source",
        "_is_first",
        "_last_reported",
        "_offset",
        "_switch_arrival",
        "_switch_at",
    )

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._offset = 0  # incoming - outgoing of the source
        self._has_source = False
        self._is_first = True
        self._switch_at = 0  # incoming timestamp at the last switch
        self._switch_arrival = 0.0
        self._last_reported = -1

    def align(
        self,
        packet: Incoming,
        leg: LegStats,
        previous: ClockReport | None,
        *,
        is_resuming: bool,
        is_after_mute: bool = False,
        may_refuse: bool = False,
    ) -> int | None:
        """The outgoing timestamp of `packet`; None if the switch is refused, which only `may_refuse` allows.

        `previous` is the last report of the source before. Call `commit` once the switch was made.
        """
        if not leg.started:
            return packet.timestamp & 0xFFFFFFFF
        expected = leg.last_timestamp + max(round((packet.arrival - leg.last_sent) * self._clock_rate), 0)
        reference = self._reference(packet, previous)
        if reference is None:
            return max(expected, leg.last_timestamp + 1)
        if is_resuming:
            chosen = self._resume(reference, expected, is_after_mute)
        elif abs(reference - expected) > DISTRUST * self._clock_rate:
            chosen = expected
        else:
            chosen = reference
        if may_refuse and not is_resuming and chosen - leg.last_timestamp < -MAX_BEHIND * self._clock_rate:
            return None
        return max(chosen, leg.last_timestamp + 1)

    def commit(self, packet: Incoming, outgoing: int) -> None:
        """The switch to `packet` was made with that outgoing timestamp."""
        self._is_first = not self._has_source
        self._has_source = True
        self._offset = packet.timestamp - outgoing
        self._switch_at = packet.timestamp
        self._switch_arrival = packet.arrival

    def outgoing_report(self, now: float, report: ClockReport | None) -> tuple[int, int] | None:
        """(NTP timestamp, extended RTP timestamp) for a sender report at `now`, from the newest of the current source.

        None where that report cannot be used: a report from before the switch belongs to another run of the clock, as
        the offset was chosen later. Only at a leg's first switch there is no earlier run; then one that agrees with the
        arrivals will do, so that a late joiner need not wait for the next.
        """
        if report is None or not self._has_source or not self._is_usable(report):
            return None
        elapsed = now - report.arrival
        rtp_timestamp = report.rtp_timestamp - self._offset + round(elapsed * self._clock_rate)
        if rtp_timestamp < self._last_reported:
            return None
        self._last_reported = rtp_timestamp
        ntp_timestamp = report.ntp_timestamp + round(elapsed * _NTP_SECOND)
        return ntp_timestamp & 0xFFFFFFFFFFFFFFFF, rtp_timestamp

    def _is_usable(self, report: ClockReport) -> bool:
        if report.rtp_timestamp >= self._switch_at:
            return True
        by_clock = (self._switch_at - report.rtp_timestamp) / self._clock_rate
        return self._is_first and abs(by_clock - (self._switch_arrival - report.arrival)) <= MAX_DRIFT

    def _reference(self, packet: Incoming, previous: ClockReport | None) -> int | None:
        if not self._has_source:
            return None
        if packet.is_same_source:
            return packet.timestamp - self._offset
        if packet.report is None or previous is None:
            return None
        return translate(packet.timestamp, packet.report, previous, self._clock_rate) - self._offset

    def _resume(self, reference: int, expected: int, is_after_mute: bool) -> int:
        lag = (expected - reference) / self._clock_rate
        if lag > (MAX_RESUME_LAG_AFTER_MUTE if is_after_mute else MAX_RESUME_LAG) or lag < -MAX_RESUME_LAG:
            return expected
        return reference
