"""The spatial layers of one received track: which stream carries each, which of them live, how much they take.

A simulcast track has a stream per layer; an SVC track one stream for all; audio one layer. Liveness is judged per layer by
`tracker`, from the kernel's counters. Demand is how many down tracks want which layer at most: a layer above all demand was
probably paused on purpose, and its stop is forgiven.
"""

from __future__ import annotations

from contextlib import suppress

from ..errors import LocalProtocolError
from ..kernel import AudioLevel, Kernel, StreamStats
from .layers import MAX_SPATIAL, MAX_TEMPORAL
from .source import NEVER, Source
from .tracker import LayerTracker

REQUIRED_CYCLES = (4, 20, 20)
REQUIRED_CYCLES_SCREEN_SHARE = (1, 1, 1)
BITRATE_CYCLES = 2
"""Cycles between two measurements of bitrates."""

NO_STATS = StreamStats(
    packets=0,
    bytes=0,
    header_bytes=0,
    padding_packets=0,
    duplicates=0,
    out_of_order=0,
    recovered=0,
    frames=0,
    key_frames=0,
    first_position=-1,
    highest_position=-1,
    expected=0,
    received=0,
    jitter=0.0,
    last_timestamp=0,
    last_arrival=NEVER,
    first_arrival=NEVER,
    layer_bytes=(0,) * 16,
)
NO_AUDIO_LEVEL = AudioLevel(0.0, 0.0, 127)


class LayerSet:
    """See the module's text. The kernel may have forgotten a stream (with its session) before its owner is told; it
    then counts as silent."""

    __slots__ = ("_cycles", "_demand", "_is_svc", "_kernel", "_sources", "_trackers", "available", "max_seen")

    def __init__(self, kernel: Kernel, *, is_svc: bool, is_screen_share: bool) -> None:
        self._kernel = kernel
        self._is_svc = is_svc
        self._sources: list[Source | None] = [None] * (MAX_SPATIAL + 1)
        required = REQUIRED_CYCLES_SCREEN_SHARE if is_screen_share else REQUIRED_CYCLES
        self._trackers = tuple(LayerTracker(cycles) for cycles in required)
        self._demand = [0] * (MAX_SPATIAL + 1)
        self._cycles = 0
        self.available = (False, False, False)
        """Which layers live."""
        self.max_seen = -1
        """The highest layer that ever lived."""

    # Streams

    def bind(self, source: Source) -> None:
        """A stream carries its layer from now on, in place of the one that did."""
        self.unbind(source.spatial)
        self._sources[source.spatial] = source

    def unbind(self, spatial: int) -> None:
        if self._sources[spatial] is not None:
            self._sources[spatial] = None
            for one in self._spatials(spatial):
                self._trackers[one].reset()

    def clear(self) -> None:
        for spatial in range(MAX_SPATIAL + 1):
            self.unbind(spatial)

    def bound(self) -> list[Source]:
        """The sources, lowest layer first."""
        return [source for source in self._sources if source is not None]

    def of_stream(self, stream: int) -> Source | None:
        for source in self._sources:
            if source is not None and source.stream == stream:
                return source
        return None

    def at(self, spatial: int) -> Source | None:
        """The source that carries a layer."""
        if self._is_svc:
            return self._sources[0]
        return self._sources[spatial] if 0 <= spatial <= MAX_SPATIAL else None

    def holds(self, source: Source) -> bool:
        return self._sources[source.spatial] is source

    # Counters

    def stats(self, source: Source) -> StreamStats:
        try:
            return self._kernel.stream_stats(source.stream)
        except LocalProtocolError:
            return NO_STATS

    def has_packet(self, source: Source, position: int) -> bool:
        try:
            return self._kernel.has_packet(source.stream, position)
        except LocalProtocolError:
            return True

    def watch(self, source: Source, watch: bool) -> None:
        """Have the kernel point out the key frames of a stream, or not."""
        if watch != source.is_watched:
            source.is_watched = watch
            with suppress(LocalProtocolError):
                self._kernel.watch_key_frames(source.stream, watch)

    def take_audio_level(self, active_level: int) -> AudioLevel:
        source = self._sources[0]
        if source is None:
            return NO_AUDIO_LEVEL
        try:
            return self._kernel.take_audio_level(source.stream, active_level)
        except LocalProtocolError:
            return NO_AUDIO_LEVEL

    def bitrate(self, spatial: int, temporal: int = MAX_TEMPORAL) -> float:
        source = self.at(spatial)
        if source is None:
            return 0.0
        highest = min(spatial, MAX_SPATIAL) if self._is_svc else MAX_TEMPORAL
        rates = source.bitrates_bps
        return sum(rates[s * 4 + t] for s in range(highest + 1) for t in range(min(temporal, MAX_TEMPORAL) + 1))

    # Liveness

    def handle_media(self, source: Source, stats: StreamStats) -> bool:
        """The stream has packets; whether that changed what lives."""
        for spatial in self._spatials(source.spatial):
            count = self._count(stats, spatial)
            if count or not self._is_svc:
                self._trackers[spatial].handle_media(count)
        return self.update()

    def handle_goodbye(self, source: Source) -> None:
        """The sender of the stream says that it stops."""
        for spatial in self._spatials(source.spatial):
            self._trackers[spatial].handle_goodbye()

    def handle_cycle(self, now: float) -> bool:
        """A cycle ended; whether that changed what lives."""
        self._cycles += 1
        highest = self.max_demand
        for source in self.bound():
            stats = self.stats(source)
            for spatial in self._spatials(source.spatial):
                count = self._count(stats, spatial)
                self._trackers[spatial].handle_cycle(count, is_stop_expected=highest < spatial)
            if self._cycles % BITRATE_CYCLES == 0:
                source.measure(now, stats.layer_bytes)
        if not any(tracker.is_live for tracker in self._trackers):
            # All of the track fell silent: no fault of a layer, and no reason to prefer the one that proves itself first.
            for spatial in range(MAX_SPATIAL + 1):
                self._forgive(spatial)
        return self.update()

    def restart(self) -> bool:
        """After a mute: what lived before need not live now, and whatever comes lives at once."""
        for tracker in self._trackers:
            tracker.reset()
        for spatial in range(MAX_SPATIAL + 1):
            self._forgive(spatial)
        return self.update()

    def update(self) -> bool:
        """Whether what lives has changed since the last call."""
        first, second, third = (tracker.is_live for tracker in self._trackers)
        available = (first, second, third)
        if available == self.available:
            return False
        self.available = available
        self.max_seen = max([self.max_seen, *(spatial for spatial, live in enumerate(available) if live)])
        return True

    def may_return(self, source: Source) -> bool:
        """Whether someone wants the layer and its next key frame makes it live."""
        return source.spatial <= self.max_demand and self._trackers[source.spatial].is_fresh

    # Demand

    def change_demand(self, before: int, after: int) -> None:
        """A down track's wanted layer moved; -1 for none. What nobody wanted until now may start afresh."""
        highest = self.max_demand
        if before >= 0:
            self._demand[min(before, MAX_SPATIAL)] -= 1
        if after >= 0:
            self._demand[min(after, MAX_SPATIAL)] += 1
        for spatial in range(highest + 1, self.max_demand + 1):
            self._forgive(spatial)

    @property
    def max_demand(self) -> int:
        """The highest layer that any down track wants, -1 if none."""
        return max((spatial for spatial, count in enumerate(self._demand) if count), default=-1)

    def _forgive(self, spatial: int) -> None:
        source = self.at(spatial)
        if source is not None:
            self._trackers[spatial].restart(self._count(self.stats(source), spatial))

    def _spatials(self, spatial: int) -> tuple[int, ...] | range:
        return range(MAX_SPATIAL + 1) if self._is_svc else (spatial,)

    def _count(self, stats: StreamStats, spatial: int) -> int:
        if self._is_svc:
            return sum(stats.layer_bytes[spatial * 4 : spatial * 4 + 4])
        return stats.bytes
