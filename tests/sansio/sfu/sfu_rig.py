"""A receiver, its down tracks and a fake kernel, driven in virtual time."""

from __future__ import annotations

from typing import Any

from fake_kernel import FakeKernel, FakeStream, make_leg

from sansio.entropy import SeededEntropy
from sansio.rtcp import Nack, Pli
from sansio.sfu import DownTrack, PlayoutDelay, TrackReceiver, WantedLayers
from sansio.sfu.downtrack import DownTrackEvent, ReportPacket
from sansio.sfu.receiver import ReceiverEvent

SECOND_NTP = 1 << 32
HIGH = WantedLayers(2)
AUDIO = WantedLayers(0)


class Rig:
    """`run` advances time and fires deadlines; what machines put out is collected with the time it came."""

    def __init__(self, *, kind: str = "video", layers: int = 3, now: float = 100.0, **given: Any) -> None:
        self.now = now
        self.kernel = FakeKernel()
        self.clock_rate = 90_000 if kind == "video" else 48_000
        mime_type = "video/VP8" if kind == "video" else "audio/opus"
        options: dict[str, Any] = {"mime_type": mime_type, "clock_rate": self.clock_rate} | given
        self.receiver = TrackReceiver(kernel=self.kernel, kind=kind, **options)
        self.streams: list[FakeStream] = []
        self.down_tracks: list[DownTrack] = []
        self.rtcp: list[tuple[float, Nack | Pli]] = []
        self.events: list[ReceiverEvent] = []
        self.reports: list[tuple[float, DownTrack, list[ReportPacket]]] = []
        self.down_events: dict[DownTrack, list[DownTrackEvent]] = {}
        for spatial in range(layers):
            self.add_stream(spatial)

    def add_stream(self, spatial: int = 0) -> FakeStream:
        stream = self.kernel.stream(clock_rate=self.clock_rate, timestamp=1_000_000 * (spatial + 1))
        self.streams.append(stream)
        self.receiver.add_layer(self.now, spatial, stream.slot, 100 + stream.slot)
        return stream

    def subscribe(self, wanted: WantedLayers | None = HIGH, *, trailer: bytes = b"",
                  playout_delay: PlayoutDelay | None = None, **leg: Any) -> DownTrack:  # fmt: skip
        number = len(self.down_tracks)
        down_track = DownTrack(
            kernel=self.kernel,
            receiver=self.receiver,
            leg=make_leg(ssrc=0xBEEF + number, clock_rate=self.clock_rate, **leg),
            mid=str(number),
            cname="alice",
            entropy=SeededEntropy(number),
            trailer=trailer,
            playout_delay=playout_delay,
        )
        self.down_tracks.append(down_track)
        self.down_events[down_track] = []
        if wanted is not None:
            down_track.set_wanted(self.now, wanted)
        self.drain()
        return down_track

    def send(self, *streams: FakeStream, key: bool = False, packets: int = 1) -> None:
        """Each stream sends a frame; the leg that follows it forwards it."""
        for stream in streams or tuple(self.streams):
            was_new = stream.stats.first_position < 0
            before = stream.stats.last_timestamp
            elapsed = 0.02 if was_new else self.now - stream.stats.last_arrival
            notice = stream.send(self.now, packets=packets, key=key, elapsed=elapsed)
            for leg, state in list(self.kernel.leg_state.items()):
                if state.stream == stream.slot:
                    self.kernel.forward(self.now, leg, state.last_timestamp + stream.stats.last_timestamp - before)
            if was_new or (key and stream.watched):
                self.receiver.handle_notice(self.now, notice)
        self.drain()

    def report(self, stream: FakeStream) -> None:
        """The publisher's sender report of the present instant; its NTP clock runs as ours, 1000 s ahead."""
        elapsed = self.now - stream.stats.last_arrival if stream.stats.packets else 0.0
        rtp_timestamp = stream.stats.last_timestamp + round(elapsed * self.clock_rate)
        ntp_timestamp = round((self.now + 1000) * SECOND_NTP)
        self.receiver.handle_sender_report(self.now, stream.slot, ntp_timestamp, rtp_timestamp, self.now)

    def run(self, duration: float, *, sending: tuple[FakeStream, ...] = (), interval: float = 0.1) -> None:
        """Let time pass; `sending` streams send a frame each `interval`."""
        self.drain()
        end = self.now + duration
        next_frame = self.now + interval
        while True:
            due = self._next_deadline()
            self.now = max(min(due, next_frame if sending else end, end), self.now)
            if due <= self.now:
                self.receiver.handle_timeout(self.now)
                for down_track in self.down_tracks:
                    down_track.handle_timeout(self.now)
                self.drain()
            elif sending and next_frame <= self.now:
                self.send(*sending)
                next_frame += interval
            if self.now >= end and self._next_deadline() > end:
                return

    def drain(self) -> None:
        self.rtcp += [(self.now, packet) for packet in self.receiver.poll_rtcp()]
        self.events += self.receiver.poll_events()
        for down_track in self.down_tracks:
            self.down_events[down_track] += down_track.poll_events()
            if packets := down_track.poll_rtcp():
                self.reports.append((self.now, down_track, packets))

    def plis(self) -> list[tuple[float, int]]:
        """(when, stream) of the key frame requests so far; forgets them."""
        by_ssrc = {100 + stream.slot: stream.slot for stream in self.streams}
        found = [(round(at - 100, 3), by_ssrc[p.media_ssrc]) for at, p in self.rtcp if isinstance(p, Pli)]
        self.rtcp.clear()
        return found

    def _next_deadline(self) -> float:
        dues = [self.receiver.poll_timeout(), *(down_track.poll_timeout() for down_track in self.down_tracks)]
        return min((due for due in dues if due is not None), default=float("inf"))
