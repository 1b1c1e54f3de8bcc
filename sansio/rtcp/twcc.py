"""Transport-wide congestion control feedback: the message, and the recorder that produces it.
draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.

A message reports every transport-wide sequence number from its base on: lost, or arrived so many ticks of 250 us after
the one before (the first: after the reference time, a multiple of 64 ms). Ticks are counted from the arrival clock's
zero, so that rounding never adds up.

The recorder takes arrivals in any order and reports each number once, losses included, up to the highest that arrived. A
number that arrives after it was reported lost is reported again, by itself, so that the sender can take the loss back.

Left out: feedback on request and the second version of the extension.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import ClassVar

import attrs

from ..errors import LocalProtocolError
from .feedback import TransportFormat
from .packets import PacketType, RtcpError, encode_common

TICKS_PER_SECOND = 4000
TICKS_PER_REFERENCE = 256
REFERENCE_SECONDS = 0.064
MAX_STATUSES = 2048
"""Numbers in one message, read or written. Far above what 250 ms of any session hold; bounds the work of reading, since two
bytes can stand for thousands of losses."""
MAX_HOLE = 1 << 15
"""A jump of the counter beyond this is a new beginning, not a loss."""
MAX_BEFORE_FIRST = 256
"""How far before the first number ever reported an overtaken one may lie to be reported still."""
MAX_BODY_BYTES = 1100
"""A message ends at the number that fills it; so it travels in one datagram with room for others."""
LATE_SECONDS = 2.0
"""How long a number that was reported lost may still turn up and be reported again."""

_HEAD = Struct("!IIHHI")
_MAX_RUN = (1 << 13) - 1
_LOST, _SMALL, _LARGE = 0, 1, 2
_MIN_DELTA, _MAX_DELTA = -(1 << 15), (1 << 15) - 1


@attrs.frozen(kw_only=True)
class TransportFeedback:
    """One feedback message."""

    PACKET_TYPE: ClassVar = PacketType.TRANSPORT_FEEDBACK
    FORMAT: ClassVar = TransportFormat.TRANSPORT_CC

    sender_ssrc: int
    media_ssrc: int
    base_sequence_number: int
    reference_time: int
    """In units of 64 ms, 24 bits; widen it along a session to remove its wrap every 12.4 days."""
    feedback_count: int
    """8 bits, one more for each message: tells the sender of messages lost."""
    deltas: tuple[int | None, ...]
    """By number from the base on: ticks of 250 us since the arrival before, None if lost."""

    def arrivals(self) -> list[tuple[int, float | None]]:
        """(sequence number, seconds since the reference time or None) in order."""
        out: list[tuple[int, float | None]] = []
        ticks = 0
        for offset, delta in enumerate(self.deltas):
            number = (self.base_sequence_number + offset) & 0xFFFF
            if delta is None:
                out.append((number, None))
            else:
                ticks += delta
                out.append((number, ticks / TICKS_PER_SECOND))
        return out

    @classmethod
    def parse(cls, body: bytes) -> TransportFeedback:
        if len(body) < _HEAD.size:
            raise RtcpError("transport feedback cut short")
        sender_ssrc, media_ssrc, base, count, last = _HEAD.unpack_from(body)
        if not 0 < count <= MAX_STATUSES:
            raise RtcpError("impossible number of packet statuses")
        symbols, position = _parse_chunks(body, _HEAD.size, count)
        return cls(
            sender_ssrc=sender_ssrc,
            media_ssrc=media_ssrc,
            base_sequence_number=base,
            reference_time=last >> 8,
            feedback_count=last & 0xFF,
            deltas=_parse_deltas(body, position, symbols),
        )

    def encode(self) -> bytes:
        if not 0 < len(self.deltas) <= MAX_STATUSES:
            raise LocalProtocolError("number of packet statuses does not fit transport feedback")
        symbols = [_symbol(delta) for delta in self.deltas]
        head = _HEAD.pack(
            self.sender_ssrc,
            self.media_ssrc,
            self.base_sequence_number & 0xFFFF,
            len(symbols),
            (self.reference_time & 0xFFFFFF) << 8 | self.feedback_count & 0xFF,
        )
        chunks = b"".join([chunk.to_bytes(2, "big") for chunk in _encode_chunks(symbols)])
        body = head + chunks + _encode_deltas(self.deltas)
        padding = -len(body) % 4
        if padding:
            body += bytes(padding - 1) + bytes((padding,))
        return encode_common(self.FORMAT, self.PACKET_TYPE, body, padding=padding > 0)


# Status chunks and deltas


def _symbol(delta: int | None) -> int:
    if delta is None:
        return _LOST
    return _SMALL if 0 <= delta <= 255 else _LARGE


def _parse_chunks(body: bytes, position: int, count: int) -> tuple[list[int], int]:
    """`count` symbols, and the offset behind their chunks."""
    symbols: list[int] = []
    while len(symbols) < count:
        if position + 2 > len(body):
            raise RtcpError("packet status chunks cut short")
        chunk = body[position] << 8 | body[position + 1]
        position += 2
        if chunk < 0x8000:
            symbols += [chunk >> 13] * min(chunk & 0x1FFF, count - len(symbols))
        elif chunk < 0xC000:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
        else:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
    del symbols[count:]
    return symbols, position


def _parse_deltas(body: bytes, position: int, symbols: Sequence[int]) -> tuple[int | None, ...]:
    deltas: list[int | None] = []
    for symbol in symbols:
        if symbol == _LOST:
            deltas.append(None)
            continue
        if symbol > _LARGE:
            raise RtcpError("reserved packet status")
        if position + symbol > len(body):
            raise RtcpError("receive deltas cut short")
        deltas.append(int.from_bytes(body[position : position + symbol], "big", signed=symbol == _LARGE))
        position += symbol
    return tuple(deltas)


def _encode_chunks(symbols: Sequence[int]) -> Iterator[int]:
    """Chunks that each reach as far as possible."""
    position = 0
    while position < len(symbols):
        run = _run_length(symbols, position)
        window = symbols[position : position + 14]
        if run >= min(len(window), 14 if _LARGE not in window else 7):
            yield symbols[position] << 13 | run
            position += run
        elif _LARGE not in window:
            yield 0x8000 | _pack(window, 1) << 14 - len(window)
            position += 14
        else:
            yield 0xC000 | _pack(window[:7], 2) << 2 * (7 - len(window[:7]))
            position += 7


def _run_length(symbols: Sequence[int], position: int) -> int:
    end = min(len(symbols), position + _MAX_RUN)
    after = position + 1
    while after < end and symbols[after] == symbols[position]:
        after += 1
    return after - position


def _pack(symbols: Sequence[int], bits: int) -> int:
    value = 0
    for symbol in symbols:
        value = value << bits | symbol
    return value


def _encode_deltas(deltas: Sequence[int | None]) -> bytes:
    out = bytearray()
    for delta in deltas:
        if delta is None:
            continue
        if 0 <= delta <= 255:
            out.append(delta)
        elif _MIN_DELTA <= delta <= _MAX_DELTA:
            out += delta.to_bytes(2, "big", signed=True)
        else:
            raise LocalProtocolError("receive delta does not fit")
    return bytes(out)


class ArrivalRecorder:
    """Turns arrivals of one session into feedback. See the module docstring for what is reported when."""

    __slots__ = ("_feedback_count", "_first", "_late", "_missing", "_next", "_pending", "_sender_ssrc")

    def __init__(self, sender_ssrc: int) -> None:
        self._sender_ssrc = sender_ssrc
        self._pending: dict[int, int] = {}  # number: arrival in ticks, from `_next` on
        self._late: dict[int, int] = {}  # the same, below `_next`
        self._missing: dict[int, float] = {}  # number that was reported lost: when
        self._first = 0  # reported are the numbers from here
        self._next: int | None = None  # to below here; None before the first report
        self._feedback_count = 0

    def add(self, arrivals: Iterable[tuple[int, float]]) -> None:
        """Note (extended sequence number, arrival) pairs, in any order; of duplicates the first counts."""
        for number, at in arrivals:
            if self._next is None or number >= self._next:
                self._pending.setdefault(number, round(at * TICKS_PER_SECOND))
            elif number in self._missing or self._first - MAX_BEFORE_FIRST <= number < self._first:
                self._late.setdefault(number, round(at * TICKS_PER_SECOND))

    def build(self, now: float, *, media_ssrc: int = 0) -> list[TransportFeedback]:
        """The messages that report what came since the last call; none if nothing did. `media_ssrc`: any recent one."""
        runs = [*self._take_late(now), *self._take_pending(now)]
        messages = []
        for run in runs:
            for base, reference, deltas in _split(run):
                message = TransportFeedback(
                    sender_ssrc=self._sender_ssrc,
                    media_ssrc=media_ssrc,
                    base_sequence_number=base & 0xFFFF,
                    reference_time=reference & 0xFFFFFF,
                    feedback_count=self._feedback_count,
                    deltas=deltas,
                )
                self._feedback_count = (self._feedback_count + 1) & 0xFF
                messages.append(message)
        return messages

    @property
    def pending(self) -> int:
        """How many arrivals wait to be reported."""
        return len(self._pending) + len(self._late)

    def _take_late(self, now: float) -> Iterator[list[tuple[int, int | None]]]:
        """Runs of consecutive numbers that were reported lost, or precede the first that was reported."""
        run: list[tuple[int, int | None]] = []
        for number in sorted(self._late):
            if run and number != run[-1][0] + 1:
                yield run
                run = []
            run.append((number, self._late[number]))
            self._missing.pop(number, None)
        if run:
            yield run
            self._extend_back(now, min(self._late))
            self._late.clear()

    def _extend_back(self, now: float, number: int) -> None:
        """Numbers before the first report turned up: what lies between is missing like any other."""
        for between in range(number + 1, self._first):
            if between not in self._late:
                self._missing[between] = now
        self._first = min(self._first, number)

    def _take_pending(self, now: float) -> Iterator[list[tuple[int, int | None]]]:
        self._forget_missing(now)
        if not self._pending:
            return
        highest = max(self._pending)
        following = self._next
        if following is None or highest - following >= MAX_HOLE:
            # At the beginning, or the counter cannot have run on that far: the sender began anew somewhere else.
            following = self._first = min(number for number in self._pending if number > highest - MAX_HOLE)
        run = [(number, self._pending.get(number)) for number in range(following, highest + 1)]
        for number, ticks in run[-MAX_STATUSES:]:
            if ticks is None:
                self._missing[number] = now
        self._next = highest + 1
        self._pending.clear()
        yield run

    def _forget_missing(self, now: float) -> None:
        """Entries are in order of time."""
        missing = self._missing
        while missing and missing[oldest := next(iter(missing))] < now - LATE_SECONDS:
            del missing[oldest]


def _split(run: Iterable[tuple[int, int | None]]) -> Iterator[tuple[int, int, tuple[int | None, ...]]]:
    """(base, reference time, deltas) of the messages that consecutive (number, ticks) pairs take."""
    base = reference = size = 0
    previous: int | None = None
    deltas: list[int | None] = []
    for number, ticks in run:
        delta = ticks
        if ticks is not None:
            delta = ticks % TICKS_PER_REFERENCE if previous is None else ticks - previous
        is_far = delta is not None and not _MIN_DELTA <= delta <= _MAX_DELTA
        if deltas and (is_far or size >= MAX_BODY_BYTES or len(deltas) == MAX_STATUSES):
            yield base, reference, tuple(deltas)
            deltas, previous, size = [], None, 0
            delta = None if ticks is None else ticks % TICKS_PER_REFERENCE
        if not deltas:
            base = number
        if ticks is not None:
            if previous is None:
                reference = ticks // TICKS_PER_REFERENCE
            previous = ticks
        if delta is not None or not deltas or deltas[-1] is not None:
            size += 1 + _symbol(delta)  # no status takes more than a byte of chunks on average
        deltas.append(delta)
    if deltas:
        yield base, reference, tuple(deltas)
