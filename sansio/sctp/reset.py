"""Stream reset, the way data channels close: RE-CONFIG of RFC 6525 as RFC 8831 §6.7 uses it.

Ours: `ask` for some streams; once all they had queued has a TSN, one Outgoing SSN Reset Request goes out, one at a time,
again at each timeout until a response ends it. After "in progress" the repetition has a new number, as dcsctp answers an
old number with its old result; a late "performed" (pion, usrsctp) counts for any number the request has had.
Theirs: performed when everything up to the peer's last TSN has arrived, "in progress" until then, and told again when done.
Other requests (incoming reset, TSN reset, added streams) are answered without being done.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from ..seqnum import widen
from .chunks import MASK32, ChunkType, SctpError, encode_chunk, encode_parameter, parse_parameters
from .congestion import RoundTrip
from .events import ResetDone, StreamsReset
from .inbound import Inbound
from .outbound import Outbound

_OUTGOING_FIELDS = Struct(">III")
_RESPONSE_FIELDS = Struct(">II")
_U32 = Struct(">I")
_U16 = Struct(">H")
_MAX_STREAMS_PER_REQUEST = 512
"""So that the request fits a packet."""


class ReConfigType(IntEnum):
    OUTGOING_RESET = 13
    INCOMING_RESET = 14
    TSN_RESET = 15
    RESPONSE = 16
    ADD_OUTGOING_STREAMS = 17
    ADD_INCOMING_STREAMS = 18


class ResetResult(IntEnum):
    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_SSN = 3
    ALREADY_IN_PROGRESS = 4
    BAD_SEQUENCE_NUMBER = 5
    IN_PROGRESS = 6


_TRY_AGAIN = frozenset({ResetResult.ALREADY_IN_PROGRESS, ResetResult.IN_PROGRESS})


class StreamResets:
    """Both directions of stream reset of one association."""

    __slots__ = (
        "_asked",
        "_awaited",
        "_done",
        "_due",
        "_first_number",
        "_inbound",
        "_last_performed",
        "_last_result",
        "_needs_new_number",
        "_next_peer_request",
        "_next_request",
        "_outbound",
        "_peer_reset",
        "_replies",
        "_request",
        "_request_streams",
        "_request_tsn",
        "_retry_at",
        "_round_trip",
        "_tries",
    )

    def __init__(
        self, *, inbound: Inbound, outbound: Outbound, round_trip: RoundTrip, initial_tsn: int, peer_initial_tsn: int
    ) -> None:
        self._inbound = inbound
        self._outbound = outbound
        self._round_trip = round_trip
        self._next_request = initial_tsn  # RFC 6525 §4.1: request numbers begin at the initial TSN
        self._next_peer_request = peer_initial_tsn
        self._asked: dict[int, None] = {}
        self._request = b""  # the parameter in flight, empty if there is none
        self._request_streams: tuple[int, ...] = ()
        self._request_tsn = initial_tsn - 1
        self._first_number = initial_tsn  # of the request in flight; the last is `_next_request`
        self._needs_new_number = False
        self._due = False
        self._tries = 0
        self._retry_at: float | None = None
        self._awaited: tuple[int, int, tuple[int, ...]] | None = None  # a reset of the peer: number, last TSN, streams
        self._last_performed: tuple[int, tuple[int, ...]] | None = None  # last TSN, streams
        self._last_result = ResetResult.NOTHING_TO_DO
        self._replies: list[bytes] = []
        self._done: list[tuple[int, ...]] = []  # streams whose reset the peer has answered
        self._peer_reset: list[tuple[int, ...]] = []  # streams that the peer has reset

    def handle_chunk(self, body: bytes) -> None:
        """A RE-CONFIG chunk. Raises `SctpError`."""
        for kind, value in parse_parameters(body)[:2]:  # RFC 6525 §3.1: one or two parameters
            match kind:
                case ReConfigType.RESPONSE:
                    self._handle_response(value)
                case ReConfigType.OUTGOING_RESET:
                    self._handle_outgoing_reset(value)
                case ReConfigType.INCOMING_RESET:
                    self._handle_other(value, ResetResult.NOTHING_TO_DO)
                case ReConfigType.TSN_RESET | ReConfigType.ADD_OUTGOING_STREAMS | ReConfigType.ADD_INCOMING_STREAMS:
                    self._handle_other(value, ResetResult.DENIED)
                case _:
                    raise SctpError("unknown RE-CONFIG parameter")

    def handle_progress(self) -> None:
        """The cumulative TSN of the peer may have reached a reset that waits for it."""
        if self._awaited is None or self._inbound.cumulative_tsn < self._awaited[1]:
            return
        number, last_tsn, streams = self._awaited
        self._awaited = None
        self._perform(last_tsn, streams)
        self._reply(ResetResult.PERFORMED, number)
        if number == self._next_peer_request - 1:
            self._last_result = ResetResult.PERFORMED

    def handle_timeout(self, now: float) -> None:
        if self._retry_at is not None and self._retry_at <= now:
            self._retry_at = None
            self._due = True
            self._tries += 1
            if self._needs_new_number:
                self._next_request += 1
                self._make_request()

    def ask(self, stream: int) -> None:
        """Reset what we send on `stream`, after what is queued on it."""
        if stream not in self._asked and stream not in self._request_streams:
            self._asked[stream] = None
            self._outbound.queue.hold(stream)

    def poll_events(self) -> list[StreamsReset | ResetDone]:
        """What the peer has reset, then what it has answered of ours."""
        if not (self._done or self._peer_reset):
            return []
        done, self._done = self._done, []
        peer_reset, self._peer_reset = self._peer_reset, []
        return [*map(StreamsReset, peer_reset), *map(ResetDone, done)]

    def poll_chunks(self, now: float) -> list[bytes]:
        """RE-CONFIG chunks to send now."""
        if not (self._replies or self._asked or self._due):
            return []
        chunks = [encode_chunk(ChunkType.RE_CONFIG, 0, reply) for reply in self._replies]
        self._replies.clear()
        if not self._request and self._asked:
            self._choose_streams()
        if self._request and self._due:
            self._due = False
            self._retry_at = now + min(self._round_trip.rto * (1 << min(self._tries, 6)), 3.0)
            chunks.append(encode_chunk(ChunkType.RE_CONFIG, 0, self._request))
        return chunks

    def poll_timeout(self) -> float | None:
        return self._retry_at

    def _choose_streams(self) -> None:
        queue = self._outbound.queue
        ready = tuple(stream for stream in self._asked if queue.is_drained(stream))[:_MAX_STREAMS_PER_REQUEST]
        if ready:
            for stream in ready:
                del self._asked[stream]
            self._request_streams = ready
            self._request_tsn = self._outbound.last_tsn
            self._first_number = self._next_request
            self._make_request()

    def _make_request(self) -> None:
        fields = _OUTGOING_FIELDS.pack(
            self._next_request & MASK32, (self._next_peer_request - 1) & MASK32, self._request_tsn & MASK32
        )
        names = b"".join([_U16.pack(stream) for stream in self._request_streams])
        self._request = encode_parameter(ReConfigType.OUTGOING_RESET, fields + names)
        self._due = True
        self._tries = 0
        self._needs_new_number = False

    def _handle_response(self, value: bytes) -> None:
        if len(value) < _RESPONSE_FIELDS.size:
            raise SctpError("RE-CONFIG response too short")
        wire_number, result = _RESPONSE_FIELDS.unpack_from(value)
        number = widen(wire_number, self._next_request, 32)
        if not self._request or not self._first_number <= number <= self._next_request:
            return
        if result in _TRY_AGAIN:
            self._needs_new_number = number == self._next_request
            return  # the retry timer is running
        self._next_request += 1
        self._request = b""
        self._due = False
        self._retry_at = None
        streams, self._request_streams = self._request_streams, ()
        for stream in streams:
            self._outbound.queue.restart(stream)
        self._done.append(streams)

    def _handle_outgoing_reset(self, value: bytes) -> None:
        if len(value) < _OUTGOING_FIELDS.size or len(value) & 1:
            raise SctpError("reset request of odd length")
        number, _, last_tsn = _OUTGOING_FIELDS.unpack_from(value)
        if not self._is_expected(number):
            return
        streams = tuple(stream for (stream,) in _U16.iter_unpack(value[_OUTGOING_FIELDS.size :]))
        cumulative = self._inbound.cumulative_tsn
        last = widen(last_tsn, cumulative, 32)
        if cumulative >= last:
            self._awaited = None
            self._perform(last, streams)
            self._answer(ResetResult.PERFORMED)
            return
        self._awaited = (self._next_peer_request, last, streams)
        self._answer(ResetResult.IN_PROGRESS)

    def _handle_other(self, value: bytes, result: ResetResult) -> None:
        if len(value) < 4:
            raise SctpError("RE-CONFIG request too short")
        if self._is_expected(_U32.unpack_from(value)[0]):
            self._answer(result)

    def _is_expected(self, number: int) -> bool:
        """Whether this is the next request; the one before gets its answer again (RFC 6525 §5.2.1)."""
        if number == self._next_peer_request & MASK32:
            return True
        is_repeated = number == (self._next_peer_request - 1) & MASK32
        self._reply(self._last_result if is_repeated else ResetResult.BAD_SEQUENCE_NUMBER, number)
        return False

    def _answer(self, result: ResetResult) -> None:
        number = self._next_peer_request
        self._next_peer_request += 1
        self._last_result = result
        self._reply(result, number)

    def _reply(self, result: ResetResult, number: int) -> None:
        if len(self._replies) < 2:
            self._replies.append(
                encode_parameter(ReConfigType.RESPONSE, _RESPONSE_FIELDS.pack(number & MASK32, result))
            )

    def _perform(self, last_tsn: int, streams: tuple[int, ...]) -> None:
        """Once only: after "in progress" a request may come again under a new number, even behind newer data."""
        if self._last_performed == (last_tsn, streams):
            return
        self._last_performed = (last_tsn, streams)
        self._inbound.reset_streams(streams)
        self._peer_reset.append(streams)
