"""The sending half: messages queued by stream, cut into chunks, sent, acknowledged, sent again or abandoned.

RFC 9260 §6.1 (transmission), §6.3 (T3-rtx), §6.9 (fragmentation), §7.2.4 (fast retransmit); RFC 3758 §3.5 (partial
reliability). From RFC 8985 the ideas of loss detection by time (recovery.py) and of the tail loss probe. Not done: I-DATA,
so a message once begun goes out whole before the next.

Theory of operation. `SendQueue` (queue.py) hands out the messages. A chunk gets its TSN when it is first sent and then lives
in `_sent` until the cumulative TSN passes it, in one of four states:

    IN_FLIGHT --ack--> ACKED            (by gap block; by cumulative TSN it leaves)
    IN_FLIGHT --judged lost--> LOST --sent again--> IN_FLIGHT
    IN_FLIGHT, LOST, ACKED --message given up--> ABANDONED

Only IN_FLIGHT counts against the windows. A message is given up as a whole, when one of its chunks is lost once too often or
its lifetime is over; if its last part never had a TSN, one is used up for it, so that FORWARD TSN passes the end of the
message and no receiver waits for it (dcsctp does the same; else usrsctp peers choke, pion/sctp issue 104). `forward_tsn`
then tells the peer to skip, again with every timeout and stale SACK until it has.

Timers: T3-rtx while anything is unacknowledged. The reordering timer judges a chunk that was overtaken and may still come.
The probe fires two round trips after the last chunk left, once for each acknowledgement or timeout, and sends the newest
chunk again, so that a lost tail costs that and not a whole RTO; its SACK shows any earlier hole.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..seqnum import widen
from .chunks import DATA_BEGIN, DATA_END, DATA_IMMEDIATE, DATA_UNORDERED, encode_data, encode_forward_tsn
from .config import SctpConfig
from .congestion import CongestionWindow, RoundTrip
from .queue import Outgoing, SendQueue
from .recovery import Overtaking

IN_FLIGHT, LOST, ACKED, ABANDONED = range(4)
_DATA_HEADER_BYTES = 16
_COMMON_HEADER_BYTES = 12
_MISSES_UNTIL_LOST = 3
_MIN_PROBE_DELAY = 0.02
_MAX_SKIPPED_STREAMS = 256


class _Sent:
    """A chunk with a TSN."""

    __slots__ = ("flags", "message", "misses", "payload", "sent_at", "size_bytes", "state", "transmissions")

    def __init__(self, message: Outgoing, flags: int, payload: bytes, now: float) -> None:
        self.message = message
        self.flags = flags
        self.payload = payload
        self.size_bytes = _DATA_HEADER_BYTES + ((len(payload) + 3) & ~3)
        self.state = IN_FLIGHT
        self.sent_at = now
        self.transmissions = 1
        self.misses = 0


class Outbound:
    """What goes to the peer."""

    __slots__ = (
        "_advanced_tsn",
        "_burst_bytes",
        "_config",
        "_forward_at",
        "_forward_due",
        "_fragment_bytes",
        "_full_bytes",
        "_has_credit",
        "_in_flight_bytes",
        "_lost",
        "_needs_judgement",
        "_next_tsn",
        "_overtaking",
        "_peer_window_bytes",
        "_probe_at",
        "_probed",
        "_reorder_at",
        "_rtx_at",
        "_sample",
        "_sample_sent_at",
        "_sent",
        "acked_tsn",
        "partial_reliability",
        "queue",
        "round_trip",
        "window",
    )

    def __init__(self, config: SctpConfig, initial_tsn: int, round_trip: RoundTrip) -> None:
        self._config = config
        self.round_trip = round_trip
        self._fragment_bytes = (config.mtu_bytes - _COMMON_HEADER_BYTES - _DATA_HEADER_BYTES) & ~3
        self._full_bytes = self._fragment_bytes + _DATA_HEADER_BYTES
        self.window = CongestionWindow(config, self._full_bytes)
        self.queue = SendQueue()
        self.acked_tsn = initial_tsn - 1
        """Cumulative TSN acknowledged by the peer; extended."""
        self.partial_reliability = False
        """Whether the peer understands FORWARD TSN; otherwise all is reliable (RFC 3758 §3.3)."""
        self._next_tsn = initial_tsn
        self._advanced_tsn = initial_tsn - 1  # Advanced.Peer.Ack.Point
        self._sent: dict[int, _Sent] = {}
        self._lost: set[int] = set()
        self._in_flight_bytes = 0
        self._peer_window_bytes = 0
        self._burst_bytes = 0
        self._has_credit = False  # one packet may pass the congestion window: fast retransmit, probe
        self._overtaking = Overtaking(round_trip)
        self._sample_sent_at = self._sample = -1.0  # of the SACK at hand
        self._needs_judgement = False
        self._forward_due = False
        self._forward_at = 0.0
        self._rtx_at: float | None = None
        self._reorder_at: float | None = None
        self._probe_at: float | None = None
        self._probed = False

    # Input

    def start(self, peer_window_bytes: int, *, partial_reliability: bool) -> None:
        """What the peer announced of itself."""
        self._peer_window_bytes = peer_window_bytes
        self.partial_reliability = partial_reliability

    def handle_sack(self, now: float, wire_tsn: int, window_bytes: int, gaps: Sequence[tuple[int, int]]) -> bool:
        """A SACK. False if it acknowledges what was never sent."""
        cumulative = widen(wire_tsn, self.acked_tsn, 32)
        if cumulative < self.acked_tsn:
            return True  # overtaken by a later one
        if cumulative >= self._next_tsn:
            return False
        was_full = self._in_flight_bytes + self._full_bytes > self.window.size_bytes
        advanced = cumulative > self.acked_tsn
        self._sample_sent_at = self._sample = -1.0
        self._needs_judgement = bool(gaps)
        acked_bytes = self._ack_until(now, cumulative)
        highest_new, gap_bytes = self._ack_gaps(now, gaps) if gaps else (-1, 0)
        acked_bytes += gap_bytes
        if gaps and advanced and self.window.is_recovering:
            highest_new = self.acked_tsn + max(last for _, last in gaps)  # RFC 9260 §7.2.4: then every miss counts
        if self._sample >= 0:
            self.round_trip.add_sample(self._sample)
        self._peer_window_bytes = window_bytes
        self._advance()
        self.window.handle_ack(acked_bytes, cumulative, advanced=advanced, was_full=was_full)
        if self._needs_judgement:
            self._find_lost(now, highest_new)
        self._note_progress(now, advanced=advanced, acked=acked_bytes > 0)
        self._repeat_forward(now)
        return True

    def handle_cumulative_tsn(self, now: float, wire_tsn: int) -> bool:
        """The acknowledgement in a SHUTDOWN."""
        return self.handle_sack(now, wire_tsn, self._peer_window_bytes, ())

    def handle_timeout(self, now: float) -> None:
        if self._rtx_at is not None and self._rtx_at <= now:
            self._handle_rtx_timeout(now)
        elif self._reorder_at is not None and self._reorder_at <= now:
            self._find_lost(now, -1)
        elif self._probe_at is not None and self._probe_at <= now:
            self._handle_probe_timeout(now)

    # Output

    def begin_burst(self) -> None:
        """Packets for the network are about to be made: limit how many (RFC 9260 §6.1 D)."""
        burst = self._in_flight_bytes + self._config.max_burst * self._full_bytes
        self._burst_bytes = min(self.window.size_bytes, burst)

    def take(self, now: float, room_bytes: int) -> list[bytes]:
        """DATA chunks for one packet, as many as fit and may be sent; lost ones first."""
        chunks: list[bytes] = []
        if self._lost:
            room_bytes = self._take_lost(now, room_bytes, chunks)
        if not self._lost and self.queue.has_messages:
            self._take_new(now, room_bytes, chunks)
        if chunks:
            self._has_credit = False
            if self._rtx_at is None:
                self._rtx_at = now + self.round_trip.rto
            self._arm_probe(now)
        return chunks

    def take_forward_tsn(self, now: float) -> bytes | None:
        """The FORWARD TSN chunk that is due, if any (RFC 3758 §3.5 C3)."""
        if not self._forward_due:
            return None
        self._forward_due = False
        if self._advanced_tsn <= self.acked_tsn:
            return None
        self._forward_at = now
        if self._rtx_at is None:
            self._rtx_at = now + self.round_trip.rto
        skipped: dict[int, int] = {}
        until = self.acked_tsn
        while until < self._advanced_tsn:
            message = self._sent[until + 1].message
            if message.ordered:
                if message.stream not in skipped and len(skipped) == _MAX_SKIPPED_STREAMS:
                    break
                skipped[message.stream] = message.ssn
            until += 1
        return encode_forward_tsn(until, skipped.items())

    def poll_timeout(self) -> float | None:
        if self._rtx_at is None:
            return None  # the others run only beside it
        at = self._rtx_at
        if self._probe_at is not None and self._probe_at < at:
            at = self._probe_at
        return at if self._reorder_at is None else min(at, self._reorder_at)

    # Getters

    @property
    def last_tsn(self) -> int:
        """The TSN assigned last."""
        return self._next_tsn - 1

    @property
    def is_empty(self) -> bool:
        """Whether everything was sent and acknowledged."""
        return not self._sent and not self.queue.has_messages

    @property
    def in_flight_bytes(self) -> int:
        return self._in_flight_bytes

    # Acknowledgement

    def _ack_until(self, now: float, cumulative: int) -> int:
        """Let go of everything up to the cumulative TSN."""
        acked_bytes = 0
        for tsn in range(self.acked_tsn + 1, cumulative + 1):
            chunk = self._sent.pop(tsn)
            if chunk.state in (IN_FLIGHT, LOST):
                acked_bytes += self._ack(now, tsn, chunk)
        self.acked_tsn = cumulative
        head = self._sent.get(cumulative + 1)
        if head is not None and head.state == ACKED:
            self._handle_reneging()
        return acked_bytes

    def _ack_gaps(self, now: float, gaps: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Mark what gap blocks cover: the highest TSN acknowledged for the first time, and bytes."""
        highest, acked_bytes = -1, 0
        at = 2  # the chunk above the cumulative TSN is missing by definition; and no TSN is looked at twice
        limit = self._next_tsn - 1 - self.acked_tsn
        for first, last in gaps:
            for offset in range(max(first, at), min(last, limit) + 1):
                tsn = self.acked_tsn + offset
                chunk = self._sent[tsn]
                if chunk.state in (IN_FLIGHT, LOST):
                    acked_bytes += self._ack(now, tsn, chunk)
                    chunk.state = ACKED
                    highest = tsn
            at = max(at, last + 1)
        return highest, acked_bytes

    def _ack(self, now: float, tsn: int, chunk: _Sent) -> int:
        if chunk.state == IN_FLIGHT:
            self._in_flight_bytes -= chunk.size_bytes
        else:
            self._lost.discard(tsn)
        self.queue.release(chunk.message.stream, len(chunk.payload))
        is_repeated = chunk.transmissions > 1
        self._overtaking.note_arrival(now, chunk.sent_at, tsn, is_repeated=is_repeated)
        if is_repeated:
            self._needs_judgement = True  # it may have overtaken chunks above it
        elif chunk.sent_at > self._sample_sent_at:  # Karn: only what was sent once tells the round trip
            self._sample_sent_at = chunk.sent_at
            self._sample = now - chunk.sent_at
        return chunk.size_bytes

    def _handle_reneging(self) -> None:
        """The peer took back what gap blocks had acknowledged: send all of that again (RFC 9260 §6.2.1 D)."""
        for tsn, chunk in self._sent.items():
            if chunk.state == ACKED:
                chunk.state = LOST
                self._lost.add(tsn)
                self.queue.reclaim(chunk.message.stream, len(chunk.payload))

    def _note_progress(self, now: float, *, advanced: bool, acked: bool) -> None:
        if acked:
            self._probed = False
            self.round_trip.calm_down()
        if not self._sent:
            self._rtx_at = self._probe_at = self._reorder_at = None
            self.window.handle_idle()
        elif advanced:
            self._rtx_at = now + self.round_trip.rto  # RFC 9260 §6.3.2 R3
        if acked and self._sent:
            self._arm_probe(now)

    # Loss

    def _find_lost(self, now: float, highest_new: int) -> None:
        """Judge what has been overtaken: by count (RFC 9260 §7.2.4) and by time (recovery.py)."""
        found = False
        self._reorder_at = None
        for tsn in range(self.acked_tsn + 1, self._next_tsn):
            chunk = self._sent[tsn]
            if chunk.state != IN_FLIGHT:
                continue
            if tsn < highest_new:
                chunk.misses += 1
            deadline = self._overtaking.deadline(chunk.sent_at, tsn)
            is_late = deadline is not None and deadline <= now
            if is_late or (chunk.misses == _MISSES_UNTIL_LOST and chunk.transmissions == 1):
                self._lose(now, tsn, chunk)
                found = True
            elif deadline is not None and (self._reorder_at is None or deadline < self._reorder_at):
                self._reorder_at = deadline
        if found and self.window.handle_loss(self._next_tsn - 1):
            self._has_credit = True
        self._advance()

    def _lose(self, now: float, tsn: int, chunk: _Sent) -> None:
        """The chunk did not arrive: once more, or give up its message."""
        if self._is_spent(now, chunk):
            self._abandon(chunk.message)
            return
        chunk.state = LOST
        chunk.misses = 0
        self._lost.add(tsn)
        self._in_flight_bytes -= chunk.size_bytes

    def _handle_rtx_timeout(self, now: float) -> None:
        """T3-rtx expired (RFC 9260 §6.3.3)."""
        self._rtx_at = self._probe_at = self._reorder_at = None
        self._probed = False
        self.round_trip.back_off()
        if self._in_flight_bytes:
            self.window.handle_timeout()
        for tsn in range(self.acked_tsn + 1, self._next_tsn):
            chunk = self._sent[tsn]
            if chunk.state == IN_FLIGHT:
                self._lose(now, tsn, chunk)
        self._advance()
        self._forward_due = self._advanced_tsn > self.acked_tsn
        if self._sent:
            self._rtx_at = now + self.round_trip.rto

    def _arm_probe(self, now: float) -> None:
        if self._probed or not self._in_flight_bytes or not self.round_trip.smoothed:
            self._probe_at = None
            return
        delay = max(2 * self.round_trip.smoothed, _MIN_PROBE_DELAY)
        newest = self._sent.get(self._next_tsn - 1)
        if newest is None or not newest.flags & DATA_IMMEDIATE:
            delay += self._config.sack_delay
        self._probe_at = now + delay

    def _handle_probe_timeout(self, now: float) -> None:
        """Send the newest chunk in flight once more, if its message allows."""
        self._probe_at = None
        self._probed = True
        for tsn in range(self._next_tsn - 1, self.acked_tsn, -1):
            chunk = self._sent[tsn]
            if chunk.state == IN_FLIGHT and not self._is_spent(now, chunk):
                chunk.flags |= DATA_IMMEDIATE
                self._lose(now, tsn, chunk)
                self._has_credit = True
                self._rtx_at = now + self.round_trip.rto
                return

    # Partial reliability

    def _is_spent(self, now: float, chunk: _Sent) -> bool:
        message = chunk.message
        if not self.partial_reliability:
            return False
        if message.max_retransmits is not None and chunk.transmissions > message.max_retransmits:
            return True
        return message.expires_at is not None and now >= message.expires_at

    def _abandon(self, message: Outgoing) -> None:
        """Give up all fragments of a message, those never sent included (RFC 3758 §3.5 A3)."""
        if message.offset < len(message.data):
            self.queue.drop_rest(message)
            end = _Sent(message, DATA_END, b"", 0.0)
            self._sent[self._next_tsn] = end
            end.state = ABANDONED
            message.last_tsn = self._next_tsn
            self._next_tsn += 1
        for tsn in range(max(message.first_tsn, self.acked_tsn + 1), message.last_tsn + 1):
            chunk = self._sent[tsn]
            if chunk.state == IN_FLIGHT:
                self._in_flight_bytes -= chunk.size_bytes
            if chunk.state in (IN_FLIGHT, LOST):
                self.queue.release(message.stream, len(chunk.payload))
            self._lost.discard(tsn)
            chunk.state = ABANDONED
            chunk.payload = b""

    def _advance(self) -> None:
        """Move Advanced.Peer.Ack.Point over abandoned chunks (RFC 3758 §3.5 C1, C2)."""
        tsn = max(self._advanced_tsn, self.acked_tsn)
        while (chunk := self._sent.get(tsn + 1)) is not None and chunk.state == ABANDONED:
            tsn += 1
        if tsn > self._advanced_tsn and tsn > self.acked_tsn:
            self._forward_due = True
        self._advanced_tsn = tsn

    def _repeat_forward(self, now: float) -> None:
        """The SACK has not followed FORWARD TSN: say it again, though not more than once in a round trip."""
        if self._advanced_tsn > self.acked_tsn and now >= self._forward_at + self.round_trip.smoothed:
            self._forward_due = True

    # Making chunks

    def _take_lost(self, now: float, room_bytes: int, chunks: list[bytes]) -> int:
        for tsn in sorted(self._lost):
            if tsn not in self._lost:
                continue  # abandoned with an earlier chunk of its message
            chunk = self._sent[tsn]
            if self._is_spent(now, chunk):
                self._abandon(chunk.message)
                self._advance()
                continue
            if chunk.size_bytes > room_bytes or not (self._in_flight_bytes < self._burst_bytes or self._has_credit):
                break
            self._lost.discard(tsn)
            chunk.state = IN_FLIGHT
            chunk.sent_at = now
            chunk.transmissions += 1
            self._in_flight_bytes += chunk.size_bytes
            room_bytes -= chunk.size_bytes
            chunks.append(self._encode(tsn, chunk))
            if tsn == self.acked_tsn + 1:
                self._rtx_at = now + self.round_trip.rto  # RFC 9260 §6.3.2 R4
        return room_bytes

    def _take_new(self, now: float, room_bytes: int, chunks: list[bytes]) -> None:
        while (message := self.queue.current()) is not None:
            if message.expires_at is not None and now >= message.expires_at and self.partial_reliability:
                self._expire(message)
                continue
            size = min(len(message.data) - message.offset, self._fragment_bytes)
            if _DATA_HEADER_BYTES + ((size + 3) & ~3) > room_bytes or not self._may_send(size):
                return
            chunk = self._cut(now, message, size)
            room_bytes -= chunk.size_bytes
            chunks.append(self._encode(self._next_tsn - 1, chunk))

    def _may_send(self, size: int) -> bool:
        """Both windows; with nothing in flight one chunk may always go, which probes a closed one (RFC 9260 §6.1 A, B)."""
        if not self._in_flight_bytes:
            return True
        if (
            self._in_flight_bytes >= self._burst_bytes
            or self._next_tsn - self.acked_tsn > self._config.send_window_chunks
        ):
            return False
        return self._in_flight_bytes + size <= self._peer_window_bytes

    def _cut(self, now: float, message: Outgoing, size: int) -> _Sent:
        """The next fragment of a message, with a TSN."""
        tsn = self._next_tsn
        flags = 0 if message.ordered else DATA_UNORDERED
        if not message.offset:
            flags |= DATA_BEGIN
            message.first_tsn = tsn
            self.queue.begin(message)
        payload = message.data[message.offset : message.offset + size]
        message.last_tsn = tsn
        self.queue.cut(message, size)
        if message.offset == len(message.data):
            flags |= DATA_END
            if message.max_retransmits != 0 and not self.queue.has_messages:
                flags |= DATA_IMMEDIATE  # the last for now: a prompt SACK lets a loss be noticed sooner
        chunk = _Sent(message, flags, payload, now)
        self._sent[tsn] = chunk
        self._next_tsn = tsn + 1
        self._in_flight_bytes += chunk.size_bytes
        return chunk

    def _expire(self, message: Outgoing) -> None:
        """The lifetime of the message at the head is over before it was sent whole."""
        if message.offset:
            self._abandon(message)
            self._advance()
            return
        self.queue.drop_rest(message)

    def _encode(self, tsn: int, chunk: _Sent) -> bytes:
        message = chunk.message
        return encode_data(chunk.flags, tsn, message.stream, message.ssn, message.ppid, chunk.payload)
