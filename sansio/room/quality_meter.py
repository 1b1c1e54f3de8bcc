"""The connection quality of one member: the worst of its tracks, sent and received.

Each track has a scorer that is fed one window of counters per interval; scorers come and go with tracks.
"""

from __future__ import annotations

from ..kernel import Kernel
from ..sfu import DownTrack, QualityScorer, ReceiveWindows, Score, SendWindows, TrackReceiver, worst
from .publication import Publication


class QualityMeter:
    """Scores one member's tracks."""

    __slots__ = ("_kernel", "_received", "_sent")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._received: dict[int, tuple[QualityScorer, ReceiveWindows]] = {}
        self._sent: dict[DownTrack, tuple[QualityScorer, SendWindows]] = {}

    def score(self, now: float, publications: list[Publication], down_tracks: list[DownTrack]) -> Score:
        """The member's score after another interval."""
        scores = [
            self._score_published(now, receiver, stream, is_muted=publication.is_muted)
            for publication in publications
            for receiver in publication.receivers
            if (stream := best_stream(receiver)) is not None
        ]
        scores += [self._score_subscribed(now, down_track) for down_track in down_tracks if down_track.is_forwarding]
        self._forget(publications, down_tracks)
        return worst(scores)

    def _score_published(self, now: float, receiver: TrackReceiver, stream: int, *, is_muted: bool) -> float:
        stats = self._kernel.stream_stats(stream)
        known = self._received.get(stream)
        if known is None:
            scorer = QualityScorer(now, receiver.mime_type)
            self._received[stream] = (scorer, ReceiveWindows(now, stats, receiver.clock_rate))
            return scorer.value
        scorer, windows = known
        scorer.set_muted(now, is_muted)
        return scorer.handle_window(now, windows.take(now, stats, receiver.rtt)).value

    def _score_subscribed(self, now: float, down_track: DownTrack) -> float:
        receiver = down_track.receiver
        stats = down_track.stats()
        known = self._sent.get(down_track)
        if known is None:
            scorer = QualityScorer(now, receiver.mime_type)
            self._sent[down_track] = (scorer, SendWindows(now, stats, receiver.clock_rate))
            return scorer.value
        scorer, windows = known
        scorer.set_muted(now, receiver.is_muted)
        return scorer.handle_window(now, windows.take(now, stats)).value

    def _forget(self, publications: list[Publication], down_tracks: list[DownTrack]) -> None:
        streams = {stream for p in publications for receiver in p.receivers for stream in receiver.streams()}
        for stream in [stream for stream in self._received if stream not in streams]:
            del self._received[stream]
        known = set(down_tracks)
        for down_track in [down_track for down_track in self._sent if down_track not in known]:
            del self._sent[down_track]


def best_stream(receiver: TrackReceiver) -> int | None:
    """The stream whose quality stands for the track: that of the highest live layer."""
    live = [spatial for spatial, is_live in enumerate(receiver.layers) if is_live]
    return receiver.stream_of(live[-1]) if live else None
