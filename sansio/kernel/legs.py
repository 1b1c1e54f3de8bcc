"""The sending half of a leg: numbering, header, extensions, protection, and answers to NACKs.

Theory of operation. A leg is *waiting* (no source, just switched, or paused) or *following* its source. While it waits,
`highest` is below every position, and the first wanted packet at or after the base takes the number after the last one and
sets the offsets (`_rebase`). While it follows:

    in order                 out = position - offset
    in order, unwanted       the number is closed up: offset grows by one
    after a gap              the gap goes out as a gap, so that the receiver asks and a late packet can fill it; an unwanted
                             packet there becomes an empty one, since its number is promised already
    late                     the offsets that were valid at its position; older than the base is dropped

Offsets are kept as ranges, each valid from a position on. What was sent is remembered as a flat tuple in a ring, enough to
build the same bytes again: without RTX a retransmission must be the same packet under the same index (RFC 7714 §8.4), so
stamped extensions are remembered too. With RTX (RFC 4588 §4) it gets a number and stamps of its own.

How a payload changes is the affair of a `Mode`, one object per leg, chosen by `Leg.mode`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from ..entropy import Entropy, random_bits
from ..errors import LocalProtocolError
from ..rtp import encode_playout_delay
from ..seqnum import widen
from .arena import CHUNK_BYTES
from .interface import Leg, LegStats, Notice
from .packets import Packet, encode_extensions
from .srtp import lib

if TYPE_CHECKING:
    from .receive import Stream
    from .sessions import Session

WAITING: Final = -(1 << 62)
"""`highest` of a leg that waits: every step from it is a long one."""
MAX_GAP: Final = 2048
"""A longer gap is closed up: nobody repairs it, and the receiver's roll-over counter must not lose track."""
MAX_RANGES: Final = 100
MAX_RETRANSMISSIONS: Final = 3
MAX_REPEAT_DELAY: Final = 0.1
_RING_SIZE: Final = 512
_AUDIO_RING_SIZE: Final = 128
_KEPT_S: Final = 2.0
"""What was sent is remembered for at least so long, as in mediasoup, and for less than twice as long, if the ring holds it."""
_VIDEO_CLOCK_RATE: Final = 90000
_HEAD_BYTES: Final = 2048
"""Room for header, extensions, codec header and trailer of any packet."""
_FULL: Final = CHUNK_BYTES - _HEAD_BYTES
_MAX_FORWARD_JUMP: Final = 10.0  # s; a source that moves further ahead of the clock has restarted its timestamps

Elements: TypeAlias = tuple[tuple[int, bytes], ...]
Sent: TypeAlias = tuple[int, float, int, int, int, int, Elements, bytes, bytes]
"""number, when, timestamp, first 16 bits, abs-send-time word, transport-cc word, other extensions, payload in two parts."""

_pack_12: Final = Struct("!HHII").pack_into
_pack_20: Final = Struct("!HHIIII").pack_into
_pack_24: Final = Struct("!HHIIIII").pack_into
_pack_number: Final = Struct("!H").pack
_protect: Final = lib.srtp_protect


class Mode(Protocol):
    """What happens to payloads on a leg."""

    spatial: int
    temporal: int
    """Layers last forwarded, -1 before."""

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        """Send what is wanted of these packets, which came in this order."""

    def handle_switch(self, stream: Stream) -> None:
        """The next packet is of another source: codec numbering must go on without a step."""

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        """Fit a frame of our own into the codec numbering; returns it in two parts."""


class LegState:
    """One leg."""

    __slots__ = (
        "_abs_send_time_bits",
        "_constant_elements",
        "_descriptor_id",
        "_entropy",
        "_first_sent",
        "_first_timestamp",
        "_frame_epoch",
        "_frame_offset",
        "_kept_from",
        "_last_frame",
        "_last_sent",
        "_mask",
        "_next_timestamp",
        "_octets",
        "_packets",
        "_ranges",
        "_repeats",
        "_retransmitted_octets",
        "_retransmitted_packets",
        "_ring",
        "_rtx_number",
        "_source_ids",
        "_started",
        "_sweep_at",
        "_swept",
        "_transport_cc_bits",
        "_two_byte",
        "base",
        "default_type",
        "dropped",
        "epoch",
        "highest",
        "last_number",
        "last_timestamp",
        "mode",
        "notices",
        "offset",
        "session",
        "slot",
        "spec",
        "stream",
        "time_offset",
        "types",
    )  # fmt: skip

    mode: Mode

    def __init__(self, slot: int, session: Session, spec: Leg, entropy: Entropy) -> None:
        self.slot = slot
        self.session = session
        self._entropy = entropy
        self.stream: Stream | None = None
        self.highest = WAITING
        self.offset = 0
        self.time_offset = 0
        self.last_number = session.claim_ssrc(spec.ssrc)
        self._rtx_number = session.claim_ssrc(spec.rtx_ssrc) if spec.rtx_ssrc else 0
        self.last_timestamp = random_bits(entropy, 31)
        self.notices: list[Notice] = []  # for policy, collected with those of the next burst
        self.epoch = 0  # grows when numbering is tied to the source anew
        self.base = 0
        self._frame_offset = 0
        self._last_frame = -1
        self._frame_epoch = 0
        self._next_timestamp: int | None = None
        self._ranges: list[tuple[int, int, int]] = []  # from position, offset, time offset
        size = _AUDIO_RING_SIZE if spec.clock_rate < _VIDEO_CLOCK_RATE else _RING_SIZE
        self._ring: list[Sent | None] = [None] * size
        self._mask = size - 1
        self._kept_from = self._swept = self.last_number + 1  # at the next sweep what lies between is forgotten
        self._sweep_at = 0.0
        self._repeats: dict[int, tuple[int, float]] = {}  # number to how often and when it was sent again
        self._started = False
        self.dropped = 0
        self._packets = self._octets = self._retransmitted_packets = self._retransmitted_octets = 0
        self._last_sent = self._first_sent = 0.0
        self._first_timestamp = 0
        self._take_spec(spec)

    # Commands

    def set_spec(self, spec: Leg) -> None:
        """Replace the plain data. A new SSRC starts numbering of its own; what was sent before cannot be sent again."""
        old = self.spec
        if spec.session != old.session:
            raise LocalProtocolError("the session of a leg may not change")
        if spec.ssrc != old.ssrc:
            number = self.session.claim_ssrc(spec.ssrc)
            self.session.release_ssrc(old.ssrc, self.last_number)
            self.last_number = number
            self._wait()
        if spec.rtx_ssrc != old.rtx_ssrc:
            number = self.session.claim_ssrc(spec.rtx_ssrc) if spec.rtx_ssrc else 0
            if old.rtx_ssrc:
                self.session.release_ssrc(old.rtx_ssrc, self._rtx_number)
            self._rtx_number = number
        if spec.ssrc != old.ssrc or spec.extensions != old.extensions:
            self._ring = [None] * len(self._ring)
            self._kept_from = self._swept = self.last_number + 1
            self._repeats.clear()
        self._take_spec(spec)

    def switch(self, now: float, stream: Stream, position: int, timestamp: int) -> None:
        """Follow `stream` from `position` on, starting with what of it is here."""
        self.detach()
        self.stream = stream
        stream.legs[self.slot] = self
        self._pair_extensions()
        self.base = position
        self._next_timestamp = timestamp
        self.mode.handle_switch(stream)
        self.mode.forward(now, stream.packets_from(position))

    def detach(self) -> None:
        """Follow nothing."""
        if self.stream is not None:
            self.stream.legs.pop(self.slot, None)
            self.stream = None
        self._wait()

    def close(self) -> None:
        """The end. Leg and mode let go of each other, so that neither waits for the garbage collector."""
        self.detach()
        self.session.release_ssrc(self.spec.ssrc, self.last_number)
        if self.spec.rtx_ssrc:
            self.session.release_ssrc(self.spec.rtx_ssrc, self._rtx_number)
        del self.mode

    def inject(
        self, now: float, payload: bytes, timestamp_step: int, marker: bool, payload_type: int | None, padding: int
    ) -> None:
        """Send a frame of our own behind the last packet; later ones of the source move up by one number."""
        if self.session.path is None:
            return
        if not 0 <= padding <= 255:
            raise LocalProtocolError("padding takes at most 255 bytes")
        number = self.last_number + 1
        timestamp = self.last_timestamp + timestamp_step
        first = (0x8000 | payload_type if payload_type is not None else self.default_type) | (0x80 if marker else 0)
        prefix, body = self.mode.adopt(payload) if payload else (b"", b"")
        if self.highest != WAITING:
            self.offset -= 1
            self._add_range(self.highest + 1)
        if padding:
            body += bytes(padding - 1) + bytes((padding,))
            first |= 0x2000
        self.send(now, number, timestamp, first, prefix, body, None)
        if not payload:
            self._ring[number & self._mask] = None  # padding is never sent again
            self._octets -= len(body)

    def retransmit(self, now: float, sequence_numbers: Sequence[int], rtt: float) -> int:
        """Answer a NACK; returns how many packets were sent again."""
        if self.session.path is None:
            return 0
        quiet = min(MAX_REPEAT_DELAY, 2 * rtt)
        sent_count = 0
        for sequence_number in sequence_numbers:
            number = widen(sequence_number & 0xFFFF, self.last_number)
            sent = self._ring[number & self._mask]
            if sent is None or sent[0] != number:
                continue
            count, last = self._repeats.get(number, (0, sent[1]))
            if count >= MAX_RETRANSMISSIONS or now - last < quiet:
                continue
            self._remember_repeat(number, count + 1, now)
            self._send_again(now, sent)
            sent_count += 1
        return sent_count

    # What modes use

    def hold(self, packets: Iterable[Packet]) -> bool:
        """Whether nothing may be sent now. These packets then are passed over, and numbering closes up behind them."""
        if self.session.path is not None and not self.spec.paused:
            return False
        self.highest = WAITING
        for packet in packets:
            self.base = max(self.base, packet[0] + 1)
        return True

    def place(self, now: float, position: int, timestamp: int, wanted: bool) -> tuple[int, int] | None:
        """The number and timestamp of a packet; None if it gets none. One that is unwanted and yet gets a number must be
        replaced by an empty packet (`fill`)."""
        step = position - self.highest
        if step == 1:
            if not wanted:
                self.skip(position)
                return None
            self.highest = position
        elif step > MAX_GAP:
            if not wanted or position < self.base:
                return None
            self._rebase(now, position, timestamp)
        elif step > 0:
            self.highest = position
        else:
            return self._place_late(position, timestamp)
        return position - self.offset, timestamp - self.time_offset

    def skip(self, position: int) -> None:
        """The next packet in order is not sent: close up its number."""
        self.highest = position
        self.offset += 1
        self._add_range(position + 1)

    def fill(self, now: float, number: int, timestamp: int) -> None:
        """An empty packet for a number that was promised to the receiver."""
        self.send(now, number, timestamp, self.default_type, b"", b"", None)

    def send(
        self, now: float, number: int, timestamp: int, first: int, prefix: bytes, body: bytes,
        passed: dict[int, bytes] | None,
    ) -> None:  # fmt: skip
        """Send a packet and remember it. `first` holds the first 16 bits but the extension flag."""
        session = self.session
        stamp = self._abs_send_time_bits
        if stamp:
            stamp |= int(now * 262144.0) & 0xFFFFFF  # 6.18 fixed point
        transport = self._transport_cc_bits
        if transport:
            session.transport_number += 1
            transport |= (session.transport_number & 0xFFFF) << 8
        elements = self._constant_elements
        if passed is not None:
            elements += self._pass_extensions(passed, number)
        size = self._emit(self.spec.ssrc, first, number, timestamp, stamp, transport, elements, prefix, body)
        if transport and size:
            session.note_sent(now, size, False)
        self._packets += 1
        self._octets += len(prefix) + len(body)
        sent = (number, now, timestamp, first, stamp, transport, elements, prefix, body)
        if number <= self.last_number:
            if self.last_number - number <= self._mask:
                self._ring[number & self._mask] = sent
        else:
            self._ring[number & self._mask] = sent
            self.last_number = number
            self.last_timestamp = timestamp
            self._last_sent = now
            if now >= self._sweep_at:
                self._sweep(now)
            if not self._started:
                self._started = True
                self._first_timestamp = timestamp
                self._first_sent = now

    # Getters

    def stats(self) -> LegStats:
        return LegStats(
            packets=self._packets,
            octets=self._octets,
            retransmitted_packets=self._retransmitted_packets,
            retransmitted_octets=self._retransmitted_octets,
            dropped_packets=self.dropped,
            stream=-1 if self.stream is None else self.stream.slot,
            started=self._started,
            last_sequence_number=self.last_number,
            last_timestamp=self.last_timestamp,
            timestamp_offset=self.time_offset,
            last_sent=self._last_sent,
            first_timestamp=self._first_timestamp,
            first_sent=self._first_sent,
            spatial=self.mode.spatial,
            temporal=self.mode.temporal,
        )

    # Numbering

    def _rebase(self, now: float, position: int, timestamp: int) -> None:
        """Follow on from the last packet sent, with this one."""
        goal = self._next_timestamp
        if goal is None:
            goal = self._resume_timestamp(now, timestamp)
        self._next_timestamp = None
        self.epoch += 1
        self.highest = self.base = position
        self.offset = position - self.last_number - 1
        self.time_offset = timestamp - goal
        self._ranges = [(position, self.offset, self.time_offset)]

    def _resume_timestamp(self, now: float, timestamp: int) -> int:
        """After a pause or a long gap the source's timing goes on, if it kept it."""
        clock_rate = self.spec.clock_rate
        expected = self.last_timestamp + round((now - self._last_sent) * clock_rate)
        kept = timestamp - self.time_offset
        if self.last_timestamp < kept <= expected + _MAX_FORWARD_JUMP * clock_rate:
            return kept
        return max(expected, self.last_timestamp + 1)

    def _place_late(self, position: int, timestamp: int) -> tuple[int, int] | None:
        if position < self.base:
            return None
        for start, offset, time_offset in reversed(self._ranges):
            if position >= start:
                number = position - offset
                return (number, timestamp - time_offset) if number < self.last_number else None
        return None

    def _add_range(self, start: int) -> None:
        ranges = self._ranges
        if ranges and ranges[-1][0] == start:
            ranges.pop()
        ranges.append((start, self.offset, self.time_offset))
        if len(ranges) > MAX_RANGES:
            del ranges[0]

    def _wait(self) -> None:
        self.highest = WAITING
        self._ranges.clear()

    # Sending

    def _take_spec(self, spec: Leg) -> None:
        self.spec = spec
        self.types = {source: 0x8000 | target for source, target in spec.payload_types.items()}
        self.default_type = next(iter(self.types.values()), 0x8000)
        ids = spec.extensions
        self._pair_extensions()
        self._constant_elements: Elements = ()
        if ids.playout_delay and spec.playout_delay_ms is not None:
            self._constant_elements = ((ids.playout_delay, encode_playout_delay(*spec.playout_delay_ms)),)
        self._abs_send_time_bits = ids.abs_send_time << 28 | 2 << 24 if ids.abs_send_time else 0
        self._transport_cc_bits = ids.transport_cc << 28 | 1 << 24 if ids.transport_cc else 0
        # Without extmap-allow-mixed a stream keeps to one form, and descriptors may need the two-byte one (RFC 8285 §4.1.2).
        self._two_byte = max(ids.abs_send_time, ids.transport_cc, ids.playout_delay) > 14 or (
            ids.dependency_descriptor > 0 and not ids.mixed
        )

    def _pair_extensions(self) -> None:
        """Source id and target id of the extensions that are passed on."""
        self._source_ids: tuple[tuple[int, int], ...] = ()
        self._descriptor_id = self.spec.extensions.dependency_descriptor
        if self.stream is not None:
            source, target = self.stream.spec.extensions, self.spec.extensions
            pairs = (
                (source.abs_capture_time, target.abs_capture_time),
                (source.dependency_descriptor, target.dependency_descriptor),
            )
            self._source_ids = tuple((a, b) for a, b in pairs if a and b)

    def _pass_extensions(self, passed: dict[int, bytes], number: int) -> Elements:
        elements = []
        for source, target in self._source_ids:
            value = passed.get(source)
            if value is not None:
                if target == self._descriptor_id and len(value) >= 3:
                    value = self._renumber_frame(value, number)
                elements.append((target, value))
        return tuple(elements)

    def _renumber_frame(self, descriptor: bytes, number: int) -> bytes:
        """A dependency descriptor whose frame number goes on across sources: receivers drop what looks old."""
        frame = descriptor[1] << 8 | descriptor[2]
        if self._frame_epoch != self.epoch:
            self._frame_epoch = self.epoch
            self._frame_offset = frame - self._last_frame - 1 if self._last_frame >= 0 else 0
        frame = frame - self._frame_offset & 0xFFFF
        if number > self.last_number:
            self._last_frame = frame
        return descriptor[:1] + frame.to_bytes(2, "big") + descriptor[3:]

    def _emit(
        self, ssrc: int, first: int, number: int, timestamp: int, stamp: int, transport: int, elements: Elements,
        prefix: bytes, body: bytes,
    ) -> int:  # fmt: skip
        """Build a packet in the arena and protect it there; returns its size on the wire, 0 if libsrtp refused it."""
        session = self.session
        path = session.path
        if path is None:
            return 0
        arena = session.arena
        view = arena.view
        top = arena.top
        if top + len(body) > _FULL:
            top = arena.make_room(len(body) + _HEAD_BYTES)
            view = arena.view
        number &= 0xFFFF
        timestamp &= 0xFFFFFFFF
        if elements or self._two_byte:
            block = self._encode_block(stamp, transport, elements)
            _pack_12(view, top, first | 0x1000 if block else first, number, timestamp, ssrc)
            at = top + 12 + len(block)
            view[top + 12 : at] = block
        elif stamp:
            if transport:
                _pack_24(view, top, first | 0x1000, number, timestamp, ssrc, 0xBEDE0002, stamp, transport)
                at = top + 24
            else:
                _pack_20(view, top, first | 0x1000, number, timestamp, ssrc, 0xBEDE0001, stamp)
                at = top + 20
        elif transport:
            _pack_20(view, top, first | 0x1000, number, timestamp, ssrc, 0xBEDE0001, transport)
            at = top + 20
        else:
            _pack_12(view, top, first, number, timestamp, ssrc)
            at = top + 12
        if prefix:
            end = at + len(prefix)
            view[at:end] = prefix
            at = end
        end = at + len(body)
        view[at:end] = body
        length = arena.length
        length[0] = end - top
        if _protect(session.outbound, arena.base + top, length):
            return 0
        end += session.tag_bytes
        arena.commit(path, end)
        return end - top

    def _encode_block(self, stamp: int, transport: int, elements: Elements) -> bytes:
        ids = self.spec.extensions
        if stamp:
            elements += ((ids.abs_send_time, (stamp & 0xFFFFFF).to_bytes(3, "big")),)
        if transport:
            elements += ((ids.transport_cc, (transport >> 8 & 0xFFFF).to_bytes(2, "big")),)
        return encode_extensions(elements, self._two_byte) if elements else b""

    def _send_again(self, now: float, sent: Sent) -> None:
        number, _, timestamp, first, stamp, transport, elements, prefix, body = sent
        self._retransmitted_packets += 1
        self._retransmitted_octets += len(prefix) + len(body)
        rtx_type = self.spec.rtx_payload_types.get(first & 0x7F)
        if rtx_type is None or not self.spec.rtx_ssrc:
            self._emit(self.spec.ssrc, first, number, timestamp, stamp, transport, elements, prefix, body)
            return
        session = self.session
        if stamp:
            stamp = self._abs_send_time_bits | int(now * 262144.0) & 0xFFFFFF
        if transport:
            session.transport_number += 1
            transport = self._transport_cc_bits | (session.transport_number & 0xFFFF) << 8
        self._rtx_number += 1
        prefix = _pack_number(number & 0xFFFF) + prefix
        first = first & 0xFF80 | rtx_type
        size = self._emit(
            self.spec.rtx_ssrc, first, self._rtx_number, timestamp, stamp, transport, elements, prefix, body
        )
        if transport and size:
            session.note_sent(now, size, True)

    def _sweep(self, now: float) -> None:
        """Forget what was sent before the last sweep: memory follows what is sent now, and not what once was."""
        last, ring, mask = self.last_number, self._ring, self._mask
        for number in range(max(self._kept_from, last - mask), self._swept):
            ring[number & mask] = None
        self._kept_from, self._swept = self._swept, last + 1
        self._sweep_at = now + _KEPT_S
        if self._repeats:
            self._repeats = {number: one for number, one in self._repeats.items() if number >= self._kept_from}

    def _remember_repeat(self, number: int, count: int, now: float) -> None:
        repeats = self._repeats
        repeats[number] = (count, now)
        if len(repeats) > 2 * len(self._ring):
            oldest = self.last_number - len(self._ring)
            self._repeats = {one: repeat for one, repeat in repeats.items() if one > oldest}
