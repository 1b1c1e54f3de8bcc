"""The receiving half: which TSNs came, messages put together and in order, and the SACKs that tell the peer.

RFC 9260 §6.2 (acknowledgement), §6.5-6.6 (ordering), §6.9 (reassembly); RFC 3758 §3.6 (FORWARD TSN).

Theory of operation. `Inbound` keeps the cumulative TSN and, above it, a sorted list of received ranges; that is all a SACK
needs. A chunk that is new goes on to `Reassembly`, a message of one chunk at once to the `Sequencer`. Reassembly joins
fragments with their neighbours by TSN into runs, so that each costs the same whatever the order of arrival. The sequencer
lets unordered messages pass and holds ordered ones until their turn. Both count what they hold, overhead included, on one
`Store`: its free room is the window announced to the peer. Above the window only the chunk that fills the first hole is
taken, and beyond a hard limit, which no honest peer can reach, the association ends.

TSNs inside are extended (never wrap); SSNs stay 16 bit, as streams restart them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum

from ..seqnum import serial_newer
from .chunks import (
    DATA_BEGIN,
    DATA_END,
    DATA_FIELDS,
    DATA_IMMEDIATE,
    DATA_UNORDERED,
    MASK32,
    Cause,
    SctpError,
    encode_sack,
)
from .config import SctpConfig
from .events import Message

CHUNK_OVERHEAD_BYTES = 96
"""Counted for each held chunk besides its payload, so that a flood of tiny ones is bounded too."""
_MAX_DUPLICATES = 16
_NEW_HALF = 0x80000000


class SackState(Enum):
    NONE = "none"
    DELAYED = "delayed"
    """Owed; may wait for the delay or for data to ride with."""
    NOW = "now"


class Store:
    """Bytes held for the peer, all streams together."""

    __slots__ = ("held_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def add(self, payload_bytes: int) -> None:
        self.held_bytes += payload_bytes + CHUNK_OVERHEAD_BYTES

    def remove(self, payload_bytes: int, chunks: int = 1) -> None:
        self.held_bytes -= payload_bytes + chunks * CHUNK_OVERHEAD_BYTES

    @property
    def free_bytes(self) -> int:
        return max(self.limit_bytes - self.held_bytes, 0)


class Inbound:
    """What came from the peer. `handle_data` and `handle_forward_tsn` raise `SctpError` for what they cannot take."""

    __slots__ = (
        "_config",
        "_duplicates",
        "_hard_limit_bytes",
        "_has_new_data",
        "_packets_since_sack",
        "_ranges",
        "_reassembly",
        "_sequencer",
        "_store",
        "cumulative_tsn",
        "sack",
    )

    def __init__(self, config: SctpConfig, initial_tsn: int) -> None:
        self._config = config
        self._store = Store(config.receive_window_bytes)
        self._hard_limit_bytes = 2 * config.receive_window_bytes + config.max_message_bytes
        self._sequencer = Sequencer(self._store)
        self._reassembly = Reassembly(self._store, config.max_message_bytes)
        self.cumulative_tsn = initial_tsn - 1
        """Highest TSN up to which nothing is missing; extended."""
        self._ranges: list[list[int]] = []  # received above the cumulative TSN: [first, last], sorted, never touching
        self._duplicates: list[int] = []
        self._packets_since_sack = 1  # so that the very first packet is acknowledged at once
        self._has_new_data = False
        self.sack = SackState.NONE

    def handle_data(self, flags: int, body: bytes) -> None:
        """One DATA chunk."""
        if len(body) <= DATA_FIELDS.size:
            if len(body) == DATA_FIELDS.size:
                raise SctpError("DATA without user data", hint=Cause.NO_USER_DATA)  # RFC 9260 §6.2: MUST abort
            raise SctpError("DATA too short")
        wire_tsn, stream, ssn, ppid = DATA_FIELDS.unpack_from(body)
        self._has_new_data = True
        if flags & DATA_IMMEDIATE:
            self.sack = SackState.NOW
        offset = (wire_tsn - self.cumulative_tsn) & MASK32
        tsn = self.cumulative_tsn + offset
        if offset == 0 or offset > _NEW_HALF or self._has(tsn):
            self._note_duplicate(wire_tsn)
            return
        if not self._may_take(offset, len(body)):
            self.sack = SackState.NOW
            return
        self._note_received(tsn)
        if stream >= self._config.streams:
            raise SctpError("DATA on a stream that was never offered", hint=Cause.INVALID_STREAM_IDENTIFIER)
        payload = body[DATA_FIELDS.size :]
        whole = DATA_BEGIN | DATA_END
        if flags & whole == whole:
            self._sequencer.put(stream, ssn, Message(stream, ppid, payload), ordered=not flags & DATA_UNORDERED)
            return
        run = self._reassembly.add(tsn, flags, stream, ssn, ppid, payload)
        if run is not None:
            message = Message(stream, run.ppid, b"".join(run.parts))
            self._sequencer.put(stream, run.ssn, message, ordered=not run.unordered)

    def handle_forward_tsn(self, wire_tsn: int, skipped: Sequence[tuple[int, int]]) -> None:
        """The peer gave up on everything up to this TSN."""
        self.sack = SackState.NOW
        offset = (wire_tsn - self.cumulative_tsn) & MASK32
        if offset == 0 or offset >= _NEW_HALF:
            return
        tsn = self.cumulative_tsn + offset
        self.cumulative_tsn = tsn
        while self._ranges and self._ranges[0][0] <= tsn + 1:
            self.cumulative_tsn = max(self.cumulative_tsn, self._ranges.pop(0)[1])
        self._reassembly.discard_until(tsn)
        for stream, ssn in skipped:
            self._sequencer.skip(stream, ssn)

    def finish_packet(self) -> None:
        """All chunks of a packet were handled: decide on acknowledgement (RFC 9260 §6.2)."""
        if not self._has_new_data:
            return
        self._has_new_data = False
        self._packets_since_sack += 1
        if self._ranges or self._packets_since_sack >= 2:
            self.sack = SackState.NOW
        elif self.sack is SackState.NONE:
            self.sack = SackState.DELAYED

    def take_sack(self, room_bytes: int) -> bytes:
        """The SACK chunk as things are now; nothing is owed after that."""
        cumulative = self.cumulative_tsn
        room = (room_bytes - 16) // 4
        gaps = [(first - cumulative, min(last - cumulative, 0xFFFF)) for first, last in self._ranges[: max(room, 0)]]
        duplicates = self._duplicates[: max(room - len(gaps), 0)]
        self._duplicates.clear()
        self._packets_since_sack = 0
        self.sack = SackState.NONE
        return encode_sack(cumulative, self._store.free_bytes, gaps, duplicates)

    def poll_messages(self) -> list[Message]:
        """Whole messages, in the order of delivery."""
        return self._sequencer.poll_messages()

    def reset_streams(self, streams: Sequence[int]) -> None:
        """Numbering begins anew on these streams, on all if none is named (RFC 6525 §5.2.2)."""
        self._sequencer.reset(streams)

    @property
    def held_bytes(self) -> int:
        """Bytes between arrival and delivery, overhead included."""
        return self._store.held_bytes

    @property
    def sack_bytes(self) -> int:
        """Size of the SACK to come, at most."""
        return 16 + 4 * (len(self._ranges) + len(self._duplicates))

    def _has(self, tsn: int) -> bool:
        ranges = self._ranges
        if not ranges or tsn > ranges[-1][1]:
            return False
        at = bisect_right(ranges, [tsn, tsn + _NEW_HALF])
        return at > 0 and tsn <= ranges[at - 1][1]

    def _note_duplicate(self, wire_tsn: int) -> None:
        self.sack = SackState.NOW
        if len(self._duplicates) < _MAX_DUPLICATES:
            self._duplicates.append(wire_tsn)

    def _may_take(self, offset: int, size_bytes: int) -> bool:
        held = self._store.held_bytes + size_bytes
        if offset == 1:
            if held > self._hard_limit_bytes:
                raise SctpError("more is held than any window allowed", hint=Cause.OUT_OF_RESOURCE)
            return True
        return offset <= self._config.receive_window_chunks and held <= self._store.limit_bytes

    def _note_received(self, tsn: int) -> None:
        ranges = self._ranges
        if tsn == self.cumulative_tsn + 1:
            self.cumulative_tsn = tsn
            if ranges:
                self.sack = SackState.NOW  # a hole is filled, RFC 9260 §6.7
                if ranges[0][0] == tsn + 1:
                    self.cumulative_tsn = ranges.pop(0)[1]
            return
        at = bisect_right(ranges, [tsn, tsn])
        joins_left = at > 0 and ranges[at - 1][1] == tsn - 1
        joins_right = at < len(ranges) and ranges[at][0] == tsn + 1
        if joins_left and joins_right:
            ranges[at - 1][1] = ranges.pop(at)[1]
        elif joins_left:
            ranges[at - 1][1] = tsn
        elif joins_right:
            ranges[at][0] = tsn
        else:
            ranges.insert(at, [tsn, tsn])


class _Run:
    """Neighbouring fragments of one message."""

    __slots__ = ("first", "has_begin", "has_end", "last", "parts", "ppid", "size_bytes", "ssn", "stream", "unordered")

    def __init__(self, tsn: int, flags: int, stream: int, ssn: int, ppid: int, payload: bytes) -> None:
        self.first = self.last = tsn
        self.parts = [payload]
        self.size_bytes = len(payload)
        self.has_begin = bool(flags & DATA_BEGIN)
        self.has_end = bool(flags & DATA_END)
        self.unordered = bool(flags & DATA_UNORDERED)
        self.stream = stream
        self.ssn = ssn
        self.ppid = ppid

    def goes_on_in(self, right: _Run) -> bool:
        """Whether the run that begins where this one ends is of the same message. Raises if it has to be and cannot."""
        if self.has_end and right.has_begin:
            return False
        is_same = self.stream == right.stream and self.unordered == right.unordered
        if not is_same or self.has_end or right.has_begin or (not self.unordered and self.ssn != right.ssn):
            raise SctpError("fragments that do not fit together", hint=Cause.PROTOCOL_VIOLATION)
        return True

    def absorb(self, right: _Run) -> None:
        """Take over the run that begins where this one ends."""
        self.parts += right.parts
        self.size_bytes += right.size_bytes
        self.last = right.last
        self.has_end = right.has_end


class Reassembly:
    """Fragments waiting for the rest of their message."""

    __slots__ = ("_by_first", "_by_last", "_max_message_bytes", "_store")

    def __init__(self, store: Store, max_message_bytes: int) -> None:
        self._store = store
        self._max_message_bytes = max_message_bytes
        self._by_first: dict[int, _Run] = {}
        self._by_last: dict[int, _Run] = {}

    def add(self, tsn: int, flags: int, stream: int, ssn: int, ppid: int, payload: bytes) -> _Run | None:
        """Take a fragment; the run it belongs to if that is a whole message now."""
        run = _Run(tsn, flags, stream, ssn, ppid, payload)
        left = self._by_last.get(tsn - 1)
        if left is not None and left.goes_on_in(run):
            left.absorb(run)
            del self._by_last[tsn - 1]
            run = left
        right = self._by_first.get(tsn + 1)
        if right is not None and run.goes_on_in(right):
            run.absorb(right)
            del self._by_first[tsn + 1]
        if run.size_bytes > self._max_message_bytes:
            raise SctpError("message too large", hint=Cause.OUT_OF_RESOURCE)
        if run.has_begin and run.has_end:
            self._by_first.pop(run.first, None)
            self._by_last.pop(run.last, None)
            self._store.remove(run.size_bytes - len(payload), len(run.parts) - 1)
            return run
        self._store.add(len(payload))
        self._by_first[run.first] = run
        self._by_last[run.last] = run
        return None

    def discard_until(self, tsn: int) -> None:
        """Drop the unfinished messages that reach down to `tsn` or below; their sender abandoned them."""
        for run in [run for run in self._by_first.values() if run.first <= tsn]:
            del self._by_first[run.first]
            del self._by_last[run.last]
            self._store.remove(run.size_bytes, len(run.parts))


class Sequencer:
    """Delivery by stream sequence number."""

    __slots__ = ("_messages", "_next_ssn", "_store", "_waiting")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_ssn: dict[int, int] = {}
        self._waiting: dict[int, dict[int, Message]] = {}
        self._messages: list[Message] = []

    def put(self, stream: int, ssn: int, message: Message, *, ordered: bool) -> None:
        """A whole message; delivered now or held for its turn."""
        if not ordered:
            self._messages.append(message)
            return
        expected = self._next_ssn.get(stream, 0)
        if ssn == expected:
            self._messages.append(message)
            self._next_ssn[stream] = (ssn + 1) & 0xFFFF
            if stream in self._waiting:
                self._deliver_in_turn(stream)
        elif serial_newer(ssn, expected):
            waiting = self._waiting.setdefault(stream, {})
            if ssn not in waiting:
                waiting[ssn] = message
                self._store.add(len(message.data))

    def skip(self, stream: int, ssn: int) -> None:
        """Messages up to `ssn` that are not here will not come; those that are here go out (RFC 3758 §3.6)."""
        expected = self._next_ssn.get(stream, 0)
        if not (ssn == expected or serial_newer(ssn, expected)):
            return
        waiting = self._waiting.get(stream, {})
        passed = sorted(waiting, key=lambda held: (held - expected) & 0xFFFF)
        for held in passed:
            if not serial_newer(held, ssn):
                self._deliver(waiting.pop(held))
        self._next_ssn[stream] = (ssn + 1) & 0xFFFF
        self._deliver_in_turn(stream)

    def reset(self, streams: Sequence[int]) -> None:
        for stream in streams or tuple(self._next_ssn.keys() | self._waiting.keys()):
            self._next_ssn.pop(stream, None)
            for message in self._waiting.pop(stream, {}).values():
                self._store.remove(len(message.data))

    def poll_messages(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages

    def _deliver_in_turn(self, stream: int) -> None:
        waiting = self._waiting.get(stream, {})
        ssn = self._next_ssn.get(stream, 0)
        while ssn in waiting:
            self._deliver(waiting.pop(ssn))
            ssn = (ssn + 1) & 0xFFFF
        self._next_ssn[stream] = ssn
        if not waiting:
            self._waiting.pop(stream, None)

    def _deliver(self, message: Message) -> None:
        self._store.remove(len(message.data))
        self._messages.append(message)
