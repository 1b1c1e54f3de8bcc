"""What a receiver keeps of one received SSRC: its clock, what is missing, its last key frame, and requests for one."""

from __future__ import annotations

from typing import NamedTuple

from .munger import ClockReport
from .nack import NackQueue

NEVER = float("-inf")


class Source:
    """One SSRC of a published track: a simulcast layer, all layers of an SVC track, or an audio track."""

    __slots__ = (
        "added_at", "bitrates_bps", "has_key_frame", "is_requested", "is_watched", "key_at",
        "key_frames_at_request", "key_position", "key_timestamp", "layer_bytes", "measured_at", "nacks",
        "report", "requested_at", "spatial", "ssrc", "stream",
    )  # fmt: skip

    def __init__(self, now: float, spatial: int, stream: int, ssrc: int) -> None:
        self.spatial = spatial
        self.stream = stream
        self.ssrc = ssrc
        self.added_at = now
        self.report: ClockReport | None = None
        self.nacks = NackQueue()
        self.has_key_frame = False
        self.is_watched = False
        self.key_position = -1
        self.key_timestamp = 0
        self.key_at = NEVER
        self.is_requested = False  # a key frame is owed to someone, once the throttle allows
        self.requested_at = NEVER
        self.key_frames_at_request = 0
        self.layer_bytes: tuple[int, ...] = (0,) * 16
        self.measured_at = now
        self.bitrates_bps: tuple[float, ...] = (0.0,) * 16

    def handle_sender_report(self, report: ClockReport) -> None:
        """Keep the newest; one that goes back in either clock is a stray."""
        last = self.report
        if last is None or (report.ntp_timestamp > last.ntp_timestamp and report.rtp_timestamp >= last.rtp_timestamp):
            self.report = report

    def measure(self, now: float, layer_bytes: tuple[int, ...]) -> None:
        """Bitrates since the last call, by layer as in `StreamStats.layer_bytes`."""
        elapsed = now - self.measured_at
        if elapsed <= 0:
            return
        self.bitrates_bps = tuple(
            (after - before) * 8 / elapsed for before, after in zip(self.layer_bytes, layer_bytes, strict=True)
        )
        self.layer_bytes = layer_bytes
        self.measured_at = now


class StartPoint(NamedTuple):
    """A packet at which a leg may enter a source."""

    source: Source
    position: int
    timestamp: int
    """Extended, of the source."""
    arrival: float
