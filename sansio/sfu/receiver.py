"""One published track in one codec, as the server receives it: what lives, what is missing, who waits for a key frame.

Three duties, all of them control; the packets themselves pass in the kernel.

Liveness. A video layer's counters are read once per cycle (`layerset`), and the layers' state tells down tracks where they
may go. A layer whose sender says goodbye (RFC 3550 §6.6) is dead at once: libwebrtc says so of each layer that it pauses.
While the track is muted nothing is judged.

Repair. A gap becomes a NACK (`nack`); one too large to be worth it becomes a key frame request.

Key frames. Requests of all subscribers for one layer are merged and throttled (RFC 4585 §6.3.1); one that came too early is
sent when the throttle ends, unless a key frame has come by then. A down track that cannot go on without a key frame
waits here; while any waits, the streams are watched, each key frame is offered to those who wait, and the request is
repeated. Nothing of this needs a timer per down track. A key frame of the last moments is offered to a newcomer too, with
all that followed it, so that people who join together share one. A new stream is watched until its first key frame, and so
is one that stopped while nobody wanted it, once somebody does.

Audio has one layer and no key frames: a leg starts at the newest packet, if that is recent; else the receiver looks for a
fresh packet while someone waits.

Left out: RTCP receiver reports and transport-wide feedback (the transport's), FIR (every publisher that negotiates FIR also
takes PLI), and all bandwidth allocation.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ..config import PliThrottleConfig
from ..kernel import AudioLevel, Kernel, Notice, NoticeKind, StreamStats
from ..rtcp import Nack, Pli
from ..timers import TimerTable
from .layers import MAX_SPATIAL, MAX_TEMPORAL
from .layerset import LayerSet
from .munger import ClockReport
from .source import Source, StartPoint

if TYPE_CHECKING:
    from .downtrack import DownTrack

CYCLE = 0.5
CYCLE_SCREEN_SHARE = 2.0
MAX_GAP = 100
"""Packets missing at once beyond which a key frame is asked for instead."""
SEED_INTERVAL = 1.0
SEED_DURATION = 30.0
"""How often and how long a new stream is asked for its first key frame."""
RECENT_KEY_FRAME = 0.3
RECENT_PACKETS = 150
"""Age of a key frame, and packets after it, up to which a newcomer starts in the past."""
FRESH_AUDIO = 0.5
"""Age of an audio packet up to which a leg starts at it; DTX leaves gaps of 0.4 s."""
AUDIO_POLL = 0.020
AUDIO_POLL_SLOW = 0.1
AUDIO_POLL_FAST_FOR = 1.0
MIN_RETRY, MAX_RETRY = 0.2, 1.0
DEFAULT_RTT = 0.07


@attrs.frozen
class LayersChanged:
    """Which spatial layers are live now."""

    available: tuple[bool, bool, bool]


@attrs.frozen(kw_only=True)
class KeyFrame:
    """A key frame began in a stream that someone watches."""

    spatial: int
    stream: int
    position: int
    width: int
    height: int
    timestamp: int


@attrs.frozen
class FirstMedia:
    """The first packet of the track came."""


@attrs.frozen(kw_only=True)
class DimensionsChanged:
    spatial: int
    width: int
    height: int


ReceiverEvent: TypeAlias = LayersChanged | KeyFrame | FirstMedia | DimensionsChanged


class ReceiverTimer(Enum):
    CYCLE = "stream tracker cycle"
    NACK = "NACK"
    KEY_FRAME = "key frame request"
    AUDIO = "look for fresh audio"


class TrackReceiver:
    """See the module's text. `poll_touched` names the down tracks that changed by what happened here."""

    __slots__ = (
        "_cycle", "_dimensions", "_down_tracks", "_events", "_has_media", "_is_muted", "_layers", "_nack", "_rtcp",
        "_rtt", "_throttles", "_timers", "_told", "_touched", "_waiting", "_waiting_since", "_wished",
        "clock_rate", "is_svc", "kind", "mime_type",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kernel: Kernel,
        kind: str,
        mime_type: str,
        clock_rate: int,
        is_svc: bool = False,
        throttle: PliThrottleConfig | None = None,
        nack: bool = True,
        is_screen_share: bool = False,
    ) -> None:
        throttle = throttle or PliThrottleConfig()
        self.kind = kind
        self.mime_type = mime_type
        self.clock_rate = clock_rate
        self.is_svc = is_svc
        self._nack = nack
        self._cycle = CYCLE_SCREEN_SHARE if is_screen_share else CYCLE
        self._throttles = (throttle.low_quality, throttle.mid_quality, throttle.high_quality)
        self._layers = LayerSet(kernel, is_svc=is_svc, is_screen_share=is_screen_share)
        self._dimensions: dict[int, tuple[int, int]] = {}
        self._down_tracks: dict[int, DownTrack] = {}  # by leg
        self._waiting: dict[DownTrack, int] = {}  # the spatial layer each would like
        self._wished = [0] * (MAX_SPATIAL + 1)  # those who wait, by that layer
        self._waiting_since = 0.0
        self._touched: dict[DownTrack, None] = {}
        self._is_muted = False
        self._told = self._layers.available
        self._has_media = False
        self._rtt = DEFAULT_RTT
        self._timers: TimerTable[ReceiverTimer] = TimerTable()
        self._rtcp: list[Nack | Pli] = []
        self._events: list[ReceiverEvent] = []

    # Input

    def handle_notice(self, now: float, notice: Notice) -> None:
        """A kernel notice about a stream or leg of this track; others are ignored."""
        if notice.leg >= 0:
            if (down_track := self._down_tracks.get(notice.leg)) is not None:
                down_track.handle_notice(now, notice)
                self._touched[down_track] = None
            return
        source = self._layers.of_stream(notice.stream)
        if source is None:
            return
        match notice.kind:
            case NoticeKind.FIRST_PACKET:
                self._handle_first_packet(now, source, notice)
            case NoticeKind.KEY_FRAME:
                self._handle_key_frame(now, source, notice)
            case NoticeKind.GAP:
                self._handle_gap(now, source, notice)
            case _:
                pass

    def handle_sender_report(
        self,
        now: float,  # noqa: ARG002 - as everywhere
        stream: int,
        ntp_timestamp: int,
        rtp_timestamp_extended: int,
        arrival: float,
    ) -> None:
        """A sender report of the publisher about `stream`."""
        if (source := self._layers.of_stream(stream)) is not None:
            source.handle_sender_report(ClockReport(ntp_timestamp, rtp_timestamp_extended, arrival))

    def handle_goodbye(self, now: float, stream: int) -> None:
        """The publisher says that `stream` stops: its layer is not live until it begins anew with a key frame."""
        source = self._layers.of_stream(stream)
        if source is None or self.kind != "video" or self._is_muted:
            return
        source.nacks.clear()
        source.is_requested = False
        self._layers.handle_goodbye(source)
        self._handle_layers_changed(now)

    def handle_timeout(self, now: float) -> None:
        for timer in self._timers.expire(now):
            match timer:
                case ReceiverTimer.CYCLE:
                    self._handle_cycle(now)
                case ReceiverTimer.NACK:
                    self._send_nacks(now)
                case ReceiverTimer.KEY_FRAME:
                    self._send_due_requests(now)
                case ReceiverTimer.AUDIO:
                    self._look_for_audio(now)

    # Commands

    def add_layer(self, now: float, spatial: int, stream: int, ssrc: int) -> None:
        """`stream` carries layer `spatial` from now on (all layers, if the track is SVC), in place of one that did."""
        spatial = 0 if self.is_svc or self.kind == "audio" else min(spatial, MAX_SPATIAL)
        known = self._layers.at(spatial)
        if known is not None and known.stream == stream and known.ssrc == ssrc:
            return
        source = Source(now, spatial, stream, ssrc)
        self._layers.bind(source)
        self._update_watches()
        if not self._is_muted:
            self._start_cycles(now)
        stats = self._layers.stats(source)
        if stats.first_position >= 0:
            self._note_media()
            self._layers.handle_media(source, stats)
        self._handle_layers_changed(now)

    def remove_layer(self, now: float, stream: int) -> None:
        """`stream` ended; before or after the kernel forgot it."""
        source = self._layers.of_stream(stream)
        if source is None:
            return
        self._layers.unbind(source.spatial)
        if not self._layers.bound():
            self._timers.cancel(ReceiverTimer.CYCLE)
        self._handle_layers_changed(now)

    def request_key_frame(self, now: float, spatial: int) -> None:
        """Ask the publisher for a key frame of a layer: now, or as soon as the layer's throttle allows."""
        source = self._layers.at(min(max(spatial, 0), MAX_SPATIAL))
        if source is None or self._is_muted or self.kind != "video":
            return
        if not source.is_requested:
            source.is_requested = True
            source.key_frames_at_request = self._layers.stats(source).key_frames
        self._send_due_requests(now)

    def set_rtt(self, rtt: float) -> None:
        """Round trip to the publisher, for the pace of NACKs and key frame requests."""
        self._rtt = rtt

    def set_muted(self, now: float, muted: bool) -> None:
        """The publisher muted or unmuted; down tracks are told."""
        if muted == self._is_muted:
            return
        self._is_muted = muted
        if muted:
            self._cancel_timers()
            for source in self._layers.bound():
                source.is_requested = False
                source.nacks.clear()
        else:
            self._layers.restart()
            self._start_cycles(now)
        for down_track in self.down_tracks:
            down_track.set_publisher_muted(now, muted)
            self._touched[down_track] = None
        if not muted:
            self._handle_layers_changed(now)

    def close(self, now: float) -> None:  # noqa: ARG002 - as everywhere
        """The track is over: no more output, no deadline. Its down tracks are closed by their owners."""
        self._cancel_timers()
        self._layers.clear()
        self._rtcp.clear()
        self._touched.clear()

    # For down tracks

    def attach(self, down_track: DownTrack) -> None:
        """Let a down track follow this receiver."""
        self._down_tracks[down_track.leg] = down_track

    def detach(self, down_track: DownTrack) -> None:
        self._down_tracks.pop(down_track.leg, None)
        self._touched.pop(down_track, None)
        self.stop_waiting(down_track)

    def change_demand(self, before: int, after: int) -> None:
        """A down track's wanted spatial layer moved; -1 for none."""
        self._layers.change_demand(before, after)
        self._update_watches()

    def wait(self, now: float, down_track: DownTrack, spatial: int) -> None:
        """`down_track` needs a start point, at best of layer `spatial`: ask for one and offer it when it comes."""
        if not self._waiting:
            self._waiting_since = now
        known = self._waiting.get(down_track)
        if known is not None:
            self._wished[known] -= 1
        self._waiting[down_track] = spatial
        self._wished[spatial] += 1
        if self.kind == "video":
            self._update_watches()
            self._send_due_requests(now)
        elif not self._is_muted:
            self._timers.set_if_unset(ReceiverTimer.AUDIO, now + AUDIO_POLL)

    def stop_waiting(self, down_track: DownTrack) -> None:
        known = self._waiting.pop(down_track, None)
        if known is None:
            return
        self._wished[known] -= 1
        if not self._waiting:
            self._timers.cancel(ReceiverTimer.AUDIO)
            self._update_watches()

    def recent_start(self, now: float, source: Source) -> StartPoint | None:
        """A start point that has already come and is recent enough to enter at now."""
        if self.kind == "audio":
            stats = self._layers.stats(source)
            if stats.highest_position < 0 or now - stats.last_arrival > FRESH_AUDIO:
                return None
            return StartPoint(source, stats.highest_position, stats.last_timestamp, stats.last_arrival)
        if now - source.key_at > RECENT_KEY_FRAME:
            return None
        if self._layers.stats(source).highest_position - source.key_position > RECENT_PACKETS:
            return None
        return StartPoint(source, source.key_position, source.key_timestamp, source.key_at)

    def has_source(self, source: Source) -> bool:
        """Whether it still is one of this track."""
        return self._layers.holds(source)

    def stats_of(self, source: Source) -> StreamStats:
        """A source's counters; all zero once the kernel has forgotten its stream."""
        return self._layers.stats(source)

    def source_at(self, spatial: int) -> Source | None:
        """The source that carries a layer."""
        return self._layers.at(spatial)

    # Output

    def poll_rtcp(self) -> list[Nack | Pli]:
        """Packets for the publisher."""
        rtcp, self._rtcp = self._rtcp, []
        return rtcp

    def poll_events(self) -> list[ReceiverEvent]:
        events, self._events = self._events, []
        return events

    def poll_touched(self) -> list[DownTrack]:
        """Down tracks that were acted on since the last call: their outputs and deadlines may have changed."""
        touched, self._touched = list(self._touched), {}
        return touched

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    # Getters

    @property
    def layers(self) -> tuple[bool, bool, bool]:
        """Which spatial layers are live."""
        return self._layers.available

    @property
    def bound(self) -> tuple[bool, ...]:
        """Which spatial layers have a stream."""
        return tuple(self._layers.at(spatial) is not None for spatial in range(MAX_SPATIAL + 1))

    @property
    def is_muted(self) -> bool:
        return self._is_muted

    @property
    def has_media(self) -> bool:
        """Whether any packet ever came."""
        return self._has_media

    @property
    def max_seen_spatial(self) -> int:
        """The highest layer that was ever live, -1 if none."""
        return self._layers.max_seen

    @property
    def down_tracks(self) -> list[DownTrack]:
        return list(self._down_tracks.values())

    @property
    def rtt(self) -> float:
        return self._rtt

    def stream_of(self, spatial: int) -> int | None:
        source = self._layers.at(spatial)
        return None if source is None else source.stream

    def streams(self) -> list[int]:
        """The bound streams, lowest layer first."""
        return [source.stream for source in self._layers.bound()]

    def stats(self, spatial: int) -> StreamStats | None:
        """Counters of the stream that carries a layer."""
        source = self._layers.at(spatial)
        return None if source is None else self._layers.stats(source)

    def bitrate(self, spatial: int, temporal: int = MAX_TEMPORAL) -> float:
        """Bits per second of a layer with all temporal layers up to `temporal`, and, in an SVC track, all spatial ones
        below."""
        return self._layers.bitrate(spatial, temporal)

    def sender_report(self, spatial: int) -> ClockReport | None:
        source = self._layers.at(spatial)
        return None if source is None else source.report

    def dimensions(self, spatial: int) -> tuple[int, int] | None:
        """Coded width and height of a layer, once a key frame told them."""
        return self._dimensions.get(spatial)

    def take_audio_level(self, active_level: int) -> AudioLevel:
        """Audio levels since the last call; silence for a track without a stream."""
        return self._layers.take_audio_level(active_level)

    # Liveness

    def _handle_first_packet(self, now: float, source: Source, notice: Notice) -> None:
        stats = self._layers.stats(source)
        if self.kind == "video" and stats.key_frames and source.key_position < 0:
            # Encoders begin with a key frame; this one came before anyone could watch for it.
            source.has_key_frame = True
            source.key_position, source.key_timestamp = notice.position, notice.timestamp
            source.key_at = stats.first_arrival
        self._note_media()
        if self._layers.handle_media(source, stats):
            self._handle_layers_changed(now)
        self._update_watches()
        if self._waiting and (start := self.recent_start(now, source)) is not None:
            self._offer_all(now, start)

    def _note_media(self) -> None:
        if not self._has_media:
            self._has_media = True
            self._events.append(FirstMedia())

    def _handle_layers_changed(self, now: float) -> None:
        """Streams or their liveness changed: tell, and let every down track look anew."""
        self._layers.update()
        if self._layers.available != self._told:
            self._told = self._layers.available
            self._events.append(LayersChanged(self._told))
        self._update_watches()
        for down_track in self.down_tracks:
            down_track.handle_sources_changed(now)
            self._touched[down_track] = None

    def _start_cycles(self, now: float) -> None:
        if self.kind == "video" and self._layers.bound():
            self._timers.set_if_unset(ReceiverTimer.CYCLE, now + self._cycle)

    def _handle_cycle(self, now: float) -> None:
        self._start_cycles(now)
        if self._layers.handle_cycle(now):
            self._handle_layers_changed(now)
        for source in self._layers.bound():
            if not source.has_key_frame:
                self._seed(now, source)

    def _seed(self, now: float, source: Source) -> None:
        """See that a new stream gets its first key frame."""
        stats = self._layers.stats(source)
        if stats.key_frames:
            source.has_key_frame = True
            self._update_watches()
        elif stats.packets and now - source.added_at < SEED_DURATION and now - source.requested_at >= SEED_INTERVAL:
            self.request_key_frame(now, source.spatial)

    # Repair

    def _handle_gap(self, now: float, source: Source, notice: Notice) -> None:
        if self._is_muted:
            return
        if notice.missing > MAX_GAP and self.kind == "video":
            source.nacks.clear()
            self.request_key_frame(now, source.spatial)
        elif self._nack:
            count = min(notice.missing, MAX_GAP)
            source.nacks.add(now, notice.position + notice.missing - count, count)
            self._arm_nacks()

    def _send_nacks(self, now: float) -> None:
        for source in self._layers.bound():
            if due := source.nacks.take_due(now, self._rtt, partial(self._layers.has_packet, source)):
                numbers = tuple(position & 0xFFFF for position in due)
                self._rtcp.append(Nack(sender_ssrc=source.ssrc, media_ssrc=source.ssrc, sequence_numbers=numbers))
        self._arm_nacks()

    def _arm_nacks(self) -> None:
        dues = [due for source in self._layers.bound() if (due := source.nacks.next()) is not None]
        if dues:
            self._timers.set(ReceiverTimer.NACK, min(dues))

    # Key frames

    def _handle_key_frame(self, now: float, source: Source, notice: Notice) -> None:
        source.has_key_frame = True
        source.is_requested = False
        source.key_position, source.key_timestamp, source.key_at = notice.position, notice.timestamp, now
        self._events.append(
            KeyFrame(
                spatial=source.spatial,
                stream=source.stream,
                position=notice.position,
                width=notice.width,
                height=notice.height,
                timestamp=notice.timestamp,
            )
        )
        self._note_dimensions(source.spatial, notice.width, notice.height)
        if self._layers.handle_media(source, self._layers.stats(source)):
            self._handle_layers_changed(now)
        self._offer_all(now, StartPoint(source, notice.position, notice.timestamp, now))
        self._update_watches()

    def _note_dimensions(self, spatial: int, width: int, height: int) -> None:
        if width and height and self._dimensions.get(spatial) != (width, height):
            self._dimensions[spatial] = (width, height)
            self._events.append(DimensionsChanged(spatial=spatial, width=width, height=height))

    def _offer_all(self, now: float, start: StartPoint) -> None:
        for down_track in list(self._waiting):
            down_track.handle_start_point(now, start)
            self._touched[down_track] = None

    def _send_due_requests(self, now: float) -> None:
        """Send the requests whose throttle has ended, and see when the next one's does."""
        self._timers.cancel(ReceiverTimer.KEY_FRAME)
        if self._is_muted:
            return
        dues: list[float] = []
        for source in self._layers.bound():
            is_waited_for = bool(self._waiting) if self.is_svc else self._wished[source.spatial] > 0
            if source.is_requested and not is_waited_for and self._came_since(source):
                source.is_requested = False
            if not source.is_requested and not is_waited_for:
                continue
            due = source.requested_at + self._interval(source)
            if due <= now:
                self._send_request(now, source)
                due = now + self._interval(source)
            if is_waited_for or source.is_requested:
                dues.append(due)
        if dues:
            self._timers.set(ReceiverTimer.KEY_FRAME, min(dues))

    def _came_since(self, source: Source) -> bool:
        """Whether the stream had a key frame after it was asked for one."""
        return self._layers.stats(source).key_frames > source.key_frames_at_request

    def _interval(self, source: Source) -> float:
        """The throttle, and between repetitions for those who wait also two round trips."""
        throttle = self._throttles[source.spatial]
        return throttle if source.is_requested else max(throttle, min(max(2 * self._rtt, MIN_RETRY), MAX_RETRY))

    def _send_request(self, now: float, source: Source) -> None:
        source.is_requested = False
        source.requested_at = now
        self._rtcp.append(Pli(source.ssrc, source.ssrc))

    def _update_watches(self) -> None:
        """Have the kernel point out key frames where one is waited for."""
        if self.kind == "video":
            for source in self._layers.bound():
                is_wanted = bool(self._waiting) or not source.has_key_frame or self._layers.may_return(source)
                self._layers.watch(source, is_wanted)

    # Audio

    def _look_for_audio(self, now: float) -> None:
        source = self._layers.at(0)
        if source is not None and (start := self.recent_start(now, source)) is not None:
            self._offer_all(now, start)
        if self._waiting and source is not None:
            is_early = now - self._waiting_since < AUDIO_POLL_FAST_FOR
            self._timers.set(ReceiverTimer.AUDIO, now + (AUDIO_POLL if is_early else AUDIO_POLL_SLOW))

    def _cancel_timers(self) -> None:
        for timer in ReceiverTimer:
            self._timers.cancel(timer)
