"""The receiving half of one stream: numbering, duplicates, counters, and the packets kept (RFC 3550 §6.4.1, App. A).

Theory of operation. A stream is *idle* until its first packet with payload, which names position and timestamp; packets by
RTX and padding do not start it. Then every packet gets the extended number nearest to the highest. A step of more than
`MAX_AHEAD` forward or `MAX_BEHIND` back is believed only when a second packet follows it in sequence, and then moves the
stream on (backward steps continue in the next cycle, so that positions only grow). Whether a number has arrived is read
from a table of 8,192 slots that hold the number's cycle; the packets themselves lie in a smaller ring.

A padding-only packet is remembered with an empty payload: it fills its number, and legs close the hole it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..errors import DropReason, LocalProtocolError
from ..seqnum import serial_difference
from .interface import AudioLevel, Notice, NoticeKind, StreamSpec, StreamStats
from .packets import Packet
from .payloads import NOTHING, Reader, Reading, make_reader

if TYPE_CHECKING:
    from .legs import LegState
    from .sessions import Session

MAX_AHEAD: Final = 3000
"""RFC 3550 App. A.1, MAX_DROPOUT."""
MAX_BEHIND: Final = 4000
"""More than MAX_MISORDER of RFC 3550: retransmissions on slow paths come late."""
MAX_EARLIER: Final = 64
"""How far before the first packet reordering may reach."""
_ARRIVED_SLOTS: Final = 8192
_KEPT_S: Final = 1.0
"""Packets are kept for at least so long, and for less than twice as long, if the ring holds them: legs start from packets of
the last moments only, and what they have sent they remember themselves."""
_MAX_LEVEL_MS: Final = 1000.0
"""A longer silence between two packets says nothing of the level during it."""


class Stream:
    """One received SSRC."""

    __slots__ = (
        "_arrived", "_duplicates", "_expected_restart", "_first_arrival", "_first_position", "_frames", "_header_bytes",
        "_jitter", "_kept_from", "_key_frames", "_key_timestamp", "_last_arrival", "_last_transit", "_layer_bytes", "_levels",
        "_long_silence", "_mask", "_out_of_order", "_packets", "_padding_packets", "_passed_extensions", "_payload_bytes",
        "_readers", "_received", "_recovered", "_ring", "_sweep_at", "_swept", "_timestamp", "highest", "legs", "pending",
        "rtx_ssrc", "session", "slot", "spec", "watched",
    )  # fmt: skip

    def __init__(self, slot: int, session: Session, spec: StreamSpec) -> None:
        self.slot = slot
        self.session = session
        self.spec = spec
        self.rtx_ssrc = spec.rtx_ssrc
        self.watched = False
        self.legs: dict[int, LegState] = {}
        self.pending: list[Packet] = []  # of the burst that is being taken in
        self.highest = -1
        size = 1 << max(4, (spec.history - 1).bit_length())
        self._mask = size - 1
        self._ring: list[Packet | None] = [None] * size
        self._kept_from = self._swept = 0  # at the next sweep what lies between is forgotten
        self._sweep_at = 0.0
        self._arrived = bytearray(_ARRIVED_SLOTS)
        self._readers: dict[int, Reader | None] = {}
        for payload_type, codec in spec.codecs.items():
            self._readers[payload_type] = make_reader(codec, spec.extensions)
        ids = spec.extensions
        self._passed_extensions = tuple(one for one in (ids.abs_capture_time, ids.dependency_descriptor) if one)
        self._long_silence = (1 << 31) / spec.clock_rate
        self._timestamp = 0
        self._first_position = -1
        self._expected_restart = -1
        self._packets = self._payload_bytes = self._header_bytes = self._padding_packets = 0
        self._duplicates = self._out_of_order = self._recovered = self._received = 0
        self._frames = self._key_frames = 0
        self._key_timestamp: int | None = None
        self._jitter = self._last_transit = 0.0
        self._first_arrival = self._last_arrival = 0.0
        self._layer_bytes = [0] * 16
        self._levels: dict[int, float] = {}

    def handle_packet(
        self, now: float, sequence_number: int, rtp_timestamp: int, marker: int, payload_type: int, payload: bytes,
        header_bytes: int, extensions: dict[int, bytes], recovered: bool, notices: list[Notice],
    ) -> DropReason | None:  # fmt: skip
        """Number, count and keep one packet, and queue it in `pending`. Returns why if it was dropped."""
        known = payload_type in self._readers
        if self.highest < 0:
            if recovered or not payload or not known:
                return DropReason.RTP_PADDING_ONLY if known else DropReason.RTP_UNKNOWN_PAYLOAD_TYPE
            self._start(now, sequence_number, rtp_timestamp, notices)
        position = self._place(sequence_number, recovered, notices)
        if position < 0:
            return DropReason.RTP_TOO_OLD
        if self.has_arrived(position):
            self._duplicates += 1
            return DropReason.RTP_DUPLICATE
        self._arrived[position & 8191] = (position >> 13) % 255 + 1
        timestamp = self._widen_timestamp(now, rtp_timestamp)
        in_order = position >= self.highest
        reading = self._read(payload_type, payload, extensions) if known and payload else NOTHING
        self._count(payload if known else b"", header_bytes, marker, reading, in_order, recovered)
        if in_order:
            self.highest = position
            self._observe(now, timestamp, extensions, recovered)
            if now >= self._sweep_at:
                self._sweep(now)
        passed = None
        for identifier in self._passed_extensions:
            if identifier in extensions:
                passed = extensions
        if not known:
            payload = b""
        packet = (position, timestamp, marker, payload_type, payload, passed, reading.info)
        self._ring[position & self._mask] = packet
        self.pending.append(packet)
        if reading.starts_key_frame and timestamp != self._key_timestamp:
            self._key_timestamp = timestamp
            self._key_frames += 1
            if self.watched:
                notices.append(self._key_frame_notice(position, timestamp, reading))
        return None if known else DropReason.RTP_UNKNOWN_PAYLOAD_TYPE

    def has_arrived(self, position: int) -> bool:
        """Whether that number was heard; False once it is further back than the table reaches."""
        if position > self.highest or position < 0 or self.highest - position >= _ARRIVED_SLOTS:
            return False
        return self._arrived[position & 8191] == (position >> 13) % 255 + 1

    def packet(self, position: int) -> Packet | None:
        """The packet if it is still kept."""
        found = self._ring[position & self._mask]
        return found if found is not None and found[0] == position else None

    def packets_from(self, position: int) -> Iterator[Packet]:
        """The kept packets from `position` on, in order of position."""
        for one in range(max(position, self.highest - self._mask), self.highest + 1):
            found = self.packet(one)
            if found is not None:
                yield found

    def stats(self) -> StreamStats:
        started = self.highest >= 0
        return StreamStats(
            packets=self._packets,
            bytes=self._payload_bytes,
            header_bytes=self._header_bytes,
            padding_packets=self._padding_packets,
            duplicates=self._duplicates,
            out_of_order=self._out_of_order,
            recovered=self._recovered,
            frames=self._frames,
            key_frames=self._key_frames,
            first_position=self._first_position,
            highest_position=self.highest,
            expected=self.highest - self._first_position + 1 if started else 0,
            received=self._received,
            jitter=self._jitter,
            last_timestamp=self._timestamp,
            last_arrival=self._last_arrival,
            first_arrival=self._first_arrival,
            layer_bytes=tuple(self._layer_bytes),
        )

    def take_audio_level(self, active_level: int) -> AudioLevel:
        levels, self._levels = self._levels, {}
        active = [level for level in levels if level <= active_level]
        return AudioLevel(sum(levels.values()), sum(levels[level] for level in active), min(active, default=127))

    def _start(self, now: float, sequence_number: int, rtp_timestamp: int, notices: list[Notice]) -> None:
        self.highest = self._first_position = sequence_number
        self._timestamp = rtp_timestamp
        self._first_arrival = self._last_arrival = now
        self._last_transit = now * self.spec.clock_rate - rtp_timestamp
        ssrc = self.spec.ssrc
        first = NoticeKind.FIRST_PACKET
        notices.append(Notice(first, self.slot, ssrc=ssrc, position=sequence_number, timestamp=rtp_timestamp))

    def _key_frame_notice(self, position: int, timestamp: int, reading: Reading) -> Notice:
        return Notice(
            NoticeKind.KEY_FRAME,
            self.slot,
            ssrc=self.spec.ssrc,
            position=position,
            width=reading.width,
            height=reading.height,
            spatial=reading.spatial,
            timestamp=timestamp,
        )

    def _place(self, sequence_number: int, recovered: bool, notices: list[Notice]) -> int:
        """The position of a sequence number, -1 if it is not believed."""
        highest = self.highest
        step = serial_difference(sequence_number, highest & 0xFFFF)
        position = highest + step
        if 0 <= step <= 1:
            return position
        if step > MAX_AHEAD or step < -MAX_BEHIND:
            return -1 if recovered else self._restart(sequence_number, step)
        if step > 1:
            if recovered:
                return -1  # nothing can be sent again that was never sent
            gap = NoticeKind.GAP
            notices.append(Notice(gap, self.slot, ssrc=self.spec.ssrc, position=highest + 1, missing=step - 1))
        elif position < self._first_position:
            missing = self._first_position - position - 1
            if position < 0 or missing >= MAX_EARLIER:
                return -1
            if missing:
                gap = NoticeKind.GAP
                notices.append(Notice(gap, self.slot, ssrc=self.spec.ssrc, position=position + 1, missing=missing))
            self._first_position = position
        return position

    def _sweep(self, now: float) -> None:
        """Forget what came before the last sweep: memory follows what comes now, and not what once did."""
        highest, ring, mask = self.highest, self._ring, self._mask
        for position in range(max(self._kept_from, highest - mask), self._swept):
            ring[position & mask] = None
        self._kept_from, self._swept = self._swept, highest
        self._sweep_at = now + _KEPT_S

    def _restart(self, sequence_number: int, step: int) -> int:
        """A step too wide is believed when the next number follows it."""
        if sequence_number != self._expected_restart:
            self._expected_restart = (sequence_number + 1) & 0xFFFF
            return -1
        self._expected_restart = -1
        position = self.highest + (step if step > 0 else step + 0x10000)
        # Nothing is known to be lost across a restart: expected and received go on as they stood.
        self._first_position += position - self.highest - 1
        return position

    def _widen_timestamp(self, now: float, rtp_timestamp: int) -> int:
        last = self._timestamp
        timestamp = last + serial_difference(rtp_timestamp, last & 0xFFFFFFFF, 32)
        silence = now - self._last_arrival
        if silence > self._long_silence:
            expected = last + round(silence * self.spec.clock_rate)
            timestamp += (expected - timestamp + (1 << 31)) >> 32 << 32
        return timestamp

    def _read(self, payload_type: int, payload: bytes, extensions: dict[int, bytes]) -> Reading:
        reader = self._readers[payload_type]
        return reader(payload, extensions) if reader is not None else NOTHING

    def _count(
        self, payload: bytes, header_bytes: int, marker: int, reading: Reading, in_order: bool, recovered: bool
    ) -> None:
        self._received += 1
        self._packets += 1
        self._header_bytes += header_bytes
        self._payload_bytes += len(payload)
        self._layer_bytes[(reading.spatial & 3) << 2 | reading.temporal & 3] += len(payload)
        if not payload:
            self._padding_packets += 1
        if marker:
            self._frames += 1
        if recovered:
            self._recovered += 1
        elif not in_order:
            self._out_of_order += 1

    def _observe(self, now: float, timestamp: int, extensions: dict[int, bytes], recovered: bool) -> None:
        """Jitter, once per timestamp (RFC 3550 §6.4.1), and the audio level (RFC 6464)."""
        step = timestamp - self._timestamp
        if step and not recovered:
            transit = now * self.spec.clock_rate - timestamp
            self._jitter += (abs(transit - self._last_transit) - self._jitter) / 16
            self._last_transit = transit
        level = extensions.get(self.spec.extensions.audio_level)
        if level and step > 0:
            value = level[0] & 0x7F
            heard_ms = min(step * 1000 / self.spec.clock_rate, _MAX_LEVEL_MS)
            self._levels[value] = self._levels.get(value, 0.0) + heard_ms
        if step > 0:
            self._timestamp = timestamp
        self._last_arrival = now


def require_ssrc(value: int) -> int:
    """An SSRC of 32 bits, not 0: probes use 0."""
    if not 0 < value <= 0xFFFFFFFF:
        raise LocalProtocolError(f"{value} is no SSRC")
    return value
