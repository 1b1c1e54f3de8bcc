"""Where received media ends: packets are put in order, frames put together, and compared with what they say of themselves.

A sink stands for one published track. Packets wait until those before them have come, as in a jitter buffer; after
`PATIENCE_S` the gap is given up, a video sink then wants a key frame. What a viewer would notice is counted:

    frames                whole frames with a new number, in order
    missing               numbers that were skipped while the layer stayed the same (a freeze)
    skipped_at_switch     numbers skipped, or cut short, by a change of layer, which a decoder does not notice
    stalls                gaps given up
    corrupt               frames that are not whole, or not the frame that their stamp says
    foreign               frames of another source: media went astray
    broken_numbering      picture ids that do not follow each other
    clock_error_s         how far RTP timestamps and times of capture have moved apart at most
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from ..kernel import Codec
from ..kernel.packets import Packet
from ..rtp import RtpError, red, vp8
from .media import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, Stamp, is_stamped, read_stamp

PATIENCE_S = 1.0
RED_PATIENCE_S = 0.1
"""Nothing is sent again there: what follows repeats it."""
_MAX_WAITING = 4096


class Sink(ABC):
    """What audio and video sinks have in common."""

    __slots__ = (
        "_clock_rate", "_gap_until", "_next", "_origin", "_patience", "_waiting", "clock_error_s", "corrupt", "extra_frames",
        "first_at", "first_frame", "foreign", "frames", "identity", "injected", "last_at", "last_frame", "missing",
        "restarts", "sid", "source", "stalls",
    )  # fmt: skip

    kind = ""

    def __init__(self, sid: str, identity: str, clock_rate: int) -> None:
        self.sid = sid
        self.identity = identity
        """Of the publisher, as the signalling says."""
        self.source: int | None = None
        """The source's number, as the media says; set by the owner to what it expects, or learned."""
        self.frames = 0
        self.first_frame = self.last_frame = -1
        self.first_at = self.last_at = 0.0
        """When the first and the last frame were whole."""
        self.extra_frames = 0
        """Whole frames that do not count; see `publishing`."""
        self.missing = self.stalls = self.corrupt = self.foreign = 0
        self.injected = 0
        """Frames that no simulated source made: silence and blank pictures of the server."""
        self.restarts = 0
        """How often another stream took over (a new transport, a new publication)."""
        self.clock_error_s = 0.0
        self._clock_rate = clock_rate
        self._next: int | None = None
        self._waiting: dict[int, Packet] = {}
        self._gap_until: float | None = None
        self._patience = PATIENCE_S
        self._origin: tuple[int, int] | None = None

    def handle_packets(self, now: float, packets: Iterable[Packet]) -> None:
        """Packets of the stream that was bound last, each once, in any order."""
        for packet in packets:
            position = packet[0]
            if self._next is not None and position < self._next:
                continue
            self._waiting[position] = packet
            if self._next is None and self._may_begin(packet):
                self._begin(position)
        self._advance(now)

    def handle_timeout(self, now: float) -> None:
        if self._gap_until is not None and self._gap_until <= now:
            self._gap_until = None
            self._give_up()
            self._advance(now)

    def bind(self) -> None:
        """Another stream carries the track from now on."""
        if self._next is not None:
            self.restarts += 1
        self._next = None
        self._waiting.clear()
        self._gap_until = None
        self._origin = None

    def poll_timeout(self) -> float | None:
        return self._gap_until

    @property
    def is_whole(self) -> bool:
        """Whether every frame from the first on came, as it was sent, with smooth numbering."""
        return not (self.missing or self.corrupt or self.foreign or self.stalls)

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong, for messages of tests."""
        names = ("missing", "stalls", "corrupt", "foreign", "broken_numbering")
        return {name: count for name in names if (count := getattr(self, name, 0))}

    # Order

    def _begin(self, position: int) -> None:
        self._next = position
        self._waiting = {one: packet for one, packet in self._waiting.items() if one >= position}

    def _advance(self, now: float) -> None:
        waiting = self._waiting
        moved = False
        while self._next is not None and self._next in waiting:
            packet = waiting.pop(self._next)
            self._next += 1
            moved = True
            if packet[4]:
                self._take(now, packet)
        if not waiting:
            self._gap_until = None
        elif self._gap_until is None or moved:
            self._gap_until = now + self._patience
        while len(waiting) > _MAX_WAITING:
            del waiting[next(iter(waiting))]

    # For the kinds

    @abstractmethod
    def _may_begin(self, packet: Packet) -> bool:
        """Whether a stream can be taken up at this packet."""

    @abstractmethod
    def _take(self, now: float, packet: Packet) -> None:
        """The next packet in order."""

    @abstractmethod
    def _give_up(self) -> None:
        """The packet waited for does not come."""

    # Frames

    def _count(self, now: float, stamp: Stamp, timestamp: int) -> bool:
        """Note a whole frame; False if it is none to count."""
        if self.source is None:
            self.source = stamp.source
        if stamp.source != self.source:
            self.foreign += 1
            return False
        self._check_clock(stamp, timestamp)
        if stamp.is_extra:
            self.extra_frames += 1
            return False
        if stamp.frame <= self.last_frame:
            return False
        self.frames += 1
        if self.first_frame < 0:
            self.first_frame, self.first_at = stamp.frame, now
        self.last_frame, self.last_at = stamp.frame, now
        return True

    def _check_clock(self, stamp: Stamp, timestamp: int) -> None:
        if self._origin is None:
            self._origin = (timestamp, stamp.captured_ms)
        passed = (timestamp - self._origin[0]) / self._clock_rate
        error = abs(passed - (stamp.captured_ms - self._origin[1]) / 1000)
        self.clock_error_s = max(self.clock_error_s, error)


class AudioSink(Sink):
    """A track of Opus, plain or in RED."""

    __slots__ = ("_codecs",)

    kind = "audio"

    def __init__(self, sid: str, identity: str) -> None:
        super().__init__(sid, identity, AUDIO_CLOCK_RATE)
        self._codecs: dict[int, Codec] = {}

    def set_codecs(self, codecs: dict[int, Codec]) -> None:
        """Which payload type is what."""
        self._codecs = codecs

    def _may_begin(self, packet: Packet) -> bool:
        return bool(packet[4])

    def _take(self, now: float, packet: Packet) -> None:
        _, timestamp, _, payload_type, data, _, _ = packet
        is_red = self._codecs.get(payload_type) is Codec.RED
        self._patience = RED_PATIENCE_S if is_red else PATIENCE_S
        if not is_red:
            self._take_opus(now, data, timestamp)
            return
        try:
            blocks = red.parse(data)
        except RtpError:
            self.corrupt += 1
            return
        for block in blocks:
            self._take_opus(now, data[block.start : block.end], timestamp - block.timestamp_offset)

    def _take_opus(self, now: float, data: bytes, timestamp: int) -> None:
        if not is_stamped(data, 1):
            self.injected += 1
            return
        stamp = read_stamp(data, 1)
        if stamp is None:
            self.corrupt += 1
            return
        before = self.last_frame
        if self._count(now, stamp, timestamp) and before >= 0:
            self.missing += stamp.frame - before - 1

    def _give_up(self) -> None:
        self.stalls += self._patience == PATIENCE_S
        self._next = min(self._waiting)


class VideoSink(Sink):
    """A track of VP8."""

    __slots__ = (
        "_picture_id", "_stamps", "_timestamp", "broken_numbering", "key_frames", "layer", "layers", "skipped_at_switch",
        "wants_key_frame",
    )  # fmt: skip

    kind = "video"

    def __init__(self, sid: str, identity: str) -> None:
        super().__init__(sid, identity, VIDEO_CLOCK_RATE)
        self.layer = -1
        """Of the last frame."""
        self.layers: list[tuple[float, int]] = []
        """When which layer began to come."""
        self.key_frames = 0
        self.skipped_at_switch = 0
        self.broken_numbering = 0
        self.wants_key_frame = False
        """Set when the sink cannot go on; the owner asks for one and clears it."""
        self._stamps: list[Stamp] = []
        self._picture_id = -1
        self._timestamp = -1

    def bind(self) -> None:
        super().bind()
        self._stamps.clear()
        self._picture_id = self._timestamp = -1

    @property
    def is_whole(self) -> bool:
        return super().is_whole and not self.broken_numbering

    def handle_packets(self, now: float, packets: Iterable[Packet]) -> None:
        packets = list(packets)
        super().handle_packets(now, packets)
        if self._next is None and any(_begins_frame(packet) for packet in packets):
            self.wants_key_frame = True  # frames come, and none to begin with

    def _may_begin(self, packet: Packet) -> bool:
        return vp8.is_key_frame(packet[4])

    def _advance(self, now: float) -> None:
        super()._advance(now)
        while (start := self._next_switch()) is not None:
            # What lacks before another layer's key frame may never come: the server has left that layer.
            self._stamps.clear()
            self._picture_id = -1
            self._begin(start)
            super()._advance(now)

    def _next_switch(self) -> int | None:
        """Where, behind a gap, a whole key frame of another layer begins; decoders go on there at once."""
        if self._next is None:
            return None
        layer = self._stamps[0].layer if self._stamps else self.layer
        for position in sorted(self._waiting):
            if self._may_begin(self._waiting[position]) and self._is_other_layer(position, layer):
                return position
        return None

    def _is_other_layer(self, start: int, layer: int) -> bool:
        """Whether a key frame of another layer than `layer` lies whole from `start` on."""
        data = self._waiting[start][4]
        stamp = read_stamp(data, vp8.parse(data).header_bytes + 10)
        if stamp is None or stamp.layer == layer:
            return False
        return all(start + part in self._waiting for part in range(stamp.parts))

    def _give_up(self) -> None:
        if self._next is not None:
            self.stalls += 1
        self._stamps.clear()
        self._picture_id = -1
        starts = [position for position, packet in self._waiting.items() if self._may_begin(packet)]
        if starts:
            self._begin(min(starts))
        else:
            self._next = None
            self.wants_key_frame = True

    def _take(self, now: float, packet: Packet) -> None:
        _, timestamp, marker, _, data, _, _ = packet
        try:
            descriptor = vp8.parse(data)
        except RtpError:
            self.corrupt += 1
            return
        is_start = descriptor.start_of_partition and descriptor.partition_id == 0
        offset = descriptor.header_bytes + (0 if not is_start else 10 if descriptor.is_key_frame else 3)
        if is_start:
            self._cut_short(data[offset:], descriptor.is_key_frame)
            self._check_picture_id(descriptor.picture_id)
        stamp = read_stamp(data, offset)
        if stamp is not None:
            self._stamps.append(stamp)
        elif is_stamped(data, offset):
            self.corrupt += 1
        else:
            self.injected += 1
        if marker and self._stamps:
            self._finish(now, timestamp)

    def _cut_short(self, data: bytes, is_key_frame: bool) -> None:
        """A frame begins; one that had no end is whole no more, which is fine where another layer takes over, or a blank picture
        of the server."""
        stamps, self._stamps = self._stamps, []
        begun = read_stamp(data, 0)
        if stamps and not (is_key_frame and (begun is None or begun.layer != stamps[0].layer)):
            self.corrupt += 1

    def _check_picture_id(self, picture_id: int) -> None:
        if self._picture_id >= 0 and picture_id != (self._picture_id + 1) & 0x7FFF:
            self.broken_numbering += 1
        self._picture_id = picture_id

    def _finish(self, now: float, timestamp: int) -> None:
        stamps, self._stamps = self._stamps, []
        first = stamps[0]
        if stamps != [first._replace(part=part) for part in range(first.parts)]:
            self.corrupt += 1
            return
        if timestamp < self._timestamp:
            self.broken_numbering += 1
        self._timestamp = timestamp
        before, switched = self.last_frame, first.layer != self.layer
        if switched:
            self.layer = first.layer
            self.layers.append((now, first.layer))
            if not first.is_key_frame:
                self.corrupt += 1
        if not self._count(now, first, timestamp):
            return
        self.key_frames += first.is_key_frame
        if before >= 0 and switched:
            self.skipped_at_switch += first.frame - before - 1
        elif before >= 0:
            self.missing += first.frame - before - 1


def _begins_frame(packet: Packet) -> bool:
    """Whether a frame other than a key frame begins here."""
    try:
        descriptor = vp8.parse(packet[4])
    except RtpError:
        return False
    return descriptor.start_of_partition and descriptor.partition_id == 0 and not descriptor.is_key_frame
