"""An SCTP association over DTLS: RFC 9260 with RFC 8261, 3758, 6525 and 9653, as far as WebRTC uses them.

Left out on purpose: multihoming and path supervision (ICE does that), so no HEARTBEAT of our own; I-DATA; AUTH; ECN; an
abort after too many retransmissions (pion has none; a dead path is ICE's to notice).

Theory of operation. Both peers send INIT at once, so two handshakes run crosswise and whichever completes first makes
the association; the rules of RFC 9260 §5.2 keep one tag for each side throughout. The states and moves are in
states.py, the chunks and the states in which they are taken in `_HANDLERS` below. Once the peer is known, `Inbound` and
`Outbound` carry the data and `StreamResets` the closing of streams; this class hands them chunks and turns what they have
to say into packets.

Packets are made as late as `poll_transmits` or `poll_timeout`, so that all that is ready at one moment shares packets:
control chunks first, then a SACK if one is owed, then DATA. INIT and its answer are made at once. A peer that said it
accepts a zero checksum gets one, except with INIT, INIT ACK, COOKIE ECHO and ABORT (RFC 9653 §5.2 asks it of two).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ..entropy import Entropy
from ..errors import DropReason, LocalProtocolError
from ..timers import TimerTable
from .assembly import Assembly
from .chunks import (
    MASK32,
    Cause,
    ChunkType,
    Init,
    SctpError,
    describe_causes,
    encode_chunk,
    encode_error,
    join_parameters,
    parse_forward_tsn,
    parse_parameters,
    parse_sack,
)
from .config import SctpConfig
from .congestion import Path, RoundTrip
from .events import AssociationClosed, Established, ResetDone, Restarted, SctpEvent
from .handshake import Cookie, End, Verdict, answer_init, judge, report_stale
from .inbound import Inbound, SackState
from .inspection import inspect
from .outbound import Outbound
from .queue import Outgoing
from .reset import StreamResets
from .states import ALIVE, HANDSHAKING, KNOWN_PEER, SENDING, TRANSFERRING, TRANSITIONS, AssociationState, Trigger

_MAX_STREAM = 65_534  # 65535 is not a stream (RFC 8831 §6.5)
_MAX_REPORTED_BYTES = 256

_S = AssociationState


class Timer(Enum):
    """The timers of the association itself; those of data and resets are with `Outbound` and `StreamResets`."""

    T1 = "T1-init or T1-cookie"
    T2 = "T2-shutdown"
    SACK = "delayed SACK"


class Association:
    """One association. Feed it packets and time; drain packets and events."""

    __slots__ = (
        "_asked_resets", "_assembly", "_attempts", "_config", "_drops", "_end", "_entropy", "_events", "_inbound",
        "_init_sent_at", "_is_dirty", "_now", "_outbound", "_packet_tag", "_peer", "_resets", "_round_trip", "_state", "_timers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        entropy: Entropy,
        local_port: int = 5000,
        remote_port: int = 5000,
        config: SctpConfig = SctpConfig(),  # noqa: B008 - frozen
    ) -> None:
        self._entropy = entropy
        self._config = config
        self._state = _S.NEW
        self._now = 0.0
        self._end = End.draw(entropy)
        self._peer: Init | None = None
        self._round_trip = RoundTrip(config)
        self._outbound = Outbound(config, self._end.initial_tsn, self._round_trip)
        self._inbound: Inbound | None = None  # these two are there once the peer is known
        self._resets: StreamResets | None = None
        self._asked_resets: list[int] = []  # before that
        self._attempts = 0
        self._init_sent_at = 0.0
        self._packet_tag = 0
        self._timers: TimerTable[Timer] = TimerTable()
        self._assembly = Assembly(config, (local_port, remote_port))
        self._events: list[SctpEvent] = []
        self._drops: dict[DropReason, int] = {}
        self._is_dirty = False

    # Input

    def handle_packet(self, now: float, data: bytes) -> None:
        """One SCTP packet, from one DTLS record."""
        self._now = now
        if self._state is _S.CLOSED:
            return
        peer_tag = None if self._peer is None else self._peer.tag
        found = inspect(data, tag=self._end.tag, peer_tag=peer_tag, zero_checksum=self._config.zero_checksum)
        if isinstance(found, DropReason):
            self._drop(found)
            return
        self._packet_tag, chunks = found
        self._is_dirty = True
        for kind, flags, body in chunks:
            if not self._handle_chunk(kind, flags, body):
                break
        self._finish_packet()

    def handle_timeout(self, now: float) -> None:
        self._now = now
        self._is_dirty = True
        for timer in self._timers.expire(now):
            match timer:
                case Timer.T1:
                    self._retry_handshake()
                case Timer.T2:
                    self._retry_shutdown()
                case Timer.SACK:
                    if self._inbound is not None:
                        self._inbound.sack = SackState.NOW
        if self._state is not _S.CLOSED:
            self._outbound.handle_timeout(now)
            if self._resets is not None:
                self._resets.handle_timeout(now)

    # Commands

    def start(self, now: float) -> None:
        """Send INIT. Both sides do."""
        self._now = now
        if self._state is _S.NEW:
            self._move(Trigger.START)
            self._attempts = 0
            self._send_init()

    def send(
        self,
        now: float,
        stream: int,
        data: bytes,
        *,
        ppid: int,
        ordered: bool = True,
        max_retransmits: int | None = None,
        lifetime: float | None = None,
    ) -> bool:
        """Queue a message; it leaves once the association is up. False if it is closing, or the buffer is full.

        It is given up after `max_retransmits` repetitions or `lifetime` seconds, if the peer knows of such (RFC 3758).
        """
        if not data or not 0 <= stream <= _MAX_STREAM:
            raise LocalProtocolError("a message needs a byte at least, and a stream below 65535")
        self._now = now
        if self._state is not _S.ESTABLISHED and self._state not in HANDSHAKING:
            return False
        queue = self._outbound.queue
        if queue.buffered_bytes + len(data) > self._config.send_buffer_bytes:
            return False
        expires_at = None if lifetime is None else now + lifetime
        queue.put(Outgoing(stream, data, ppid, ordered, max_retransmits, expires_at))
        self._is_dirty = True
        return True

    def reset_stream(self, now: float, stream: int) -> None:
        """Close our half of a stream once what is queued on it is sent; `ResetDone` tells when it may be used anew."""
        self._now = now
        self._is_dirty = True
        if self._state in HANDSHAKING:
            if stream not in self._asked_resets:
                self._asked_resets.append(stream)
        elif self._state is not _S.CLOSED:
            self._ask_reset(stream)

    def shutdown(self, now: float) -> None:
        """Close after everything queued is delivered (RFC 9260 §9.2)."""
        self._now = now
        self._is_dirty = True
        if self._state is _S.ESTABLISHED:
            self._move(Trigger.SHUT_DOWN)
        elif self._state in HANDSHAKING:
            self.abort(now, "shut down before it was up")

    def abort(self, now: float, reason: str) -> None:
        """Close at once and tell the peer."""
        self._now = now
        if self._state is not _S.CLOSED:
            self._abort(Cause.USER_INITIATED_ABORT, reason)

    # Output

    def poll_transmits(self) -> list[bytes]:
        """SCTP packets, each for one DTLS record."""
        if self._is_dirty:
            self._flush()
        return self._assembly.poll_packets()

    def poll_events(self) -> list[SctpEvent]:
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        if self._state is _S.CLOSED:
            return None
        if self._is_dirty:
            self._flush()  # which arms timers
        resets = None if self._resets is None else self._resets.poll_timeout()
        deadlines = (self._timers.next(), self._outbound.poll_timeout(), resets)
        return min((at for at in deadlines if at is not None), default=None)

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self._drops = self._drops, {}
        return drops

    # Getters

    @property
    def state(self) -> AssociationState:
        return self._state

    @property
    def can_reset(self) -> bool:
        """Whether the peer understands stream reset. True as long as it is unknown."""
        return self._peer is None or self._peer.re_config

    @property
    def rtt(self) -> float | None:
        """Smoothed round trip in seconds, once measured."""
        return self._round_trip.smoothed or None

    @property
    def path(self) -> Path | None:
        """The way to the peer, once its round trip is measured."""
        rtt, window = self._round_trip.smoothed, self._outbound.window
        return Path(rtt, window.size_bytes, window.is_unsounded) if rtt else None

    def waiting_bytes(self, stream: int) -> int:
        """Bytes of a stream that were not sent even once."""
        return self._outbound.queue.waiting_on(stream)

    def buffered_bytes(self, stream: int | None = None) -> int:
        """Bytes queued or not yet acknowledged, of one stream or of all."""
        queue = self._outbound.queue
        return queue.buffered_bytes if stream is None else queue.buffered_on(stream)

    # Dispatch

    def _handle_chunk(self, kind: int, flags: int, body: bytes) -> bool:
        """Whether to go on with the packet."""
        known = _HANDLERS.get(kind)
        if known is None:
            return self._handle_unknown(kind, flags, body)
        handler, states = known
        if self._state not in states:
            self._drop(DropReason.SCTP_UNEXPECTED)
            return self._state is not _S.CLOSED
        try:
            handler(self, flags, body)
        except SctpError as error:
            self._drop(DropReason.SCTP_MALFORMED)
            if error.hint == Cause.INVALID_STREAM_IDENTIFIER:
                self._assembly.add(encode_error(Cause.INVALID_STREAM_IDENTIFIER, body[4:6] + b"\0\0"))
            elif error.hint is not None:
                self._abort(Cause(error.hint), str(error))
            return False
        return True

    def _handle_unknown(self, kind: int, flags: int, body: bytes) -> bool:
        """The top two bits say whether to go on and whether to report (RFC 9260 §3.2)."""
        self._drop(DropReason.SCTP_UNEXPECTED)
        if kind & 0x40 and self._peer is not None:
            report = encode_chunk(kind, flags, body[:_MAX_REPORTED_BYTES])
            self._assembly.add(encode_error(Cause.UNRECOGNIZED_CHUNK_TYPE, report))
        return bool(kind & 0x80)

    def _finish_packet(self) -> None:
        if self._inbound is None:
            return
        self._inbound.finish_packet()
        self._events += self._inbound.poll_messages()
        if self._resets is None:
            return
        self._resets.handle_progress()
        self._events += self._resets.poll_events()

    # Handshake

    def _handle_init(self, _flags: int, body: bytes) -> None:
        """RFC 9260 §5.1 B, §5.2.1 (collision: our INIT's tag and TSN again), §5.2.2 (fresh ones once we are up)."""
        if self._packet_tag:
            raise SctpError("INIT after other chunks")
        peer = Init.parse(body)
        end = self._end if self._state in HANDSHAKING else End.draw(self._entropy)
        tied = (0, 0) if self._peer is None else (self._end.tag, self._peer.tag)
        answer = answer_init(self._now, self._config, end, peer, tied=tied)
        self._assembly.emit([answer], tag=peer.tag, checksum=True)

    def _handle_init_ack(self, _flags: int, body: bytes) -> None:
        peer = Init.parse(body)
        chunk = encode_chunk(ChunkType.COOKIE_ECHO, 0, peer.cookie)
        if not peer.cookie or not self._assembly.fits(chunk):
            raise SctpError("INIT ACK without a cookie, or with one too large")
        self._adopt(peer)
        if not self._attempts:
            self._round_trip.add_sample(self._now - self._init_sent_at)
        self._move(Trigger.INIT_ACK)
        self._assembly.set_cookie(chunk)
        self._attempts = 0
        if peer.unrecognized:
            reported = join_parameters(peer.unrecognized)
            self._assembly.add(encode_error(Cause.UNRECOGNIZED_PARAMETERS, reported))
        self._timers.set(Timer.T1, self._now + min(self._round_trip.rto, 2 * self._config.handshake_timeout))

    def _handle_cookie_echo(self, _flags: int, body: bytes) -> None:
        """RFC 9260 §5.1 D, §5.2.4."""
        cookie = Cookie.parse(body)
        if self._packet_tag != cookie.local_tag:
            raise SctpError("COOKIE ECHO under another tag")
        stale = report_stale(cookie, self._now, self._config.cookie_lifetime)
        if stale is not None:
            self._assembly.emit([stale], tag=cookie.peer.tag, checksum=True)
            return
        peer_tag = 0 if self._peer is None else self._peer.tag
        match judge(cookie, tag=self._end.tag, peer_tag=peer_tag, is_handshaking=self._state in HANDSHAKING):
            case Verdict.UP:
                if cookie.peer.tag != peer_tag:
                    self._adopt(cookie.peer)
                self._establish(Trigger.COOKIE_ECHO)
            case Verdict.RESTART:
                self._restart(cookie)
            case Verdict.FOREIGN:
                raise SctpError("COOKIE ECHO of another association")
            case Verdict.REPEATED:
                pass
        self._assembly.add(encode_chunk(ChunkType.COOKIE_ACK))

    def _handle_cookie_ack(self, _flags: int, _body: bytes) -> None:
        if self._state is _S.COOKIE_ECHOED:  # else a repetition, or both handshakes came through
            self._establish(Trigger.COOKIE_ACK)

    def _take_as_cookie_ack(self) -> None:
        """Data or its acknowledgement under our tag: the peer has had our COOKIE ECHO, its COOKIE ACK was lost."""
        if self._state is _S.COOKIE_ECHOED:
            self._establish(Trigger.COOKIE_ACK)

    def _adopt(self, peer: Init) -> None:
        """The peer is known: make what depends on its numbers."""
        self._peer = peer
        self._assembly.set_peer(peer.tag, zero_checksum=peer.zero_checksum)
        self._inbound = Inbound(self._config, peer.initial_tsn)
        self._outbound.start(peer.receive_window_bytes, partial_reliability=peer.forward_tsn)
        self._resets = StreamResets(
            inbound=self._inbound,
            outbound=self._outbound,
            round_trip=self._round_trip,
            initial_tsn=self._end.initial_tsn,
            peer_initial_tsn=peer.initial_tsn,
        )

    def _establish(self, trigger: Trigger) -> None:
        self._move(trigger)
        self._timers.cancel(Timer.T1)
        self._assembly.set_cookie(b"")
        self._events.append(Established())
        asked, self._asked_resets = self._asked_resets, []
        for stream in asked:
            self._ask_reset(stream)

    def _restart(self, cookie: Cookie) -> None:
        """The peer came back without memory (RFC 9260 §5.2.4 A): nothing of the old association counts any more."""
        if self._inbound is not None:
            self._events += self._inbound.poll_messages()
        self._move(Trigger.COOKIE_ECHO)
        self._timers.cancel_all()
        self._assembly.clear()
        self._end = End(cookie.local_tag, cookie.local_initial_tsn)
        self._round_trip = RoundTrip(self._config)
        self._outbound = Outbound(self._config, self._end.initial_tsn, self._round_trip)
        self._adopt(cookie.peer)
        self._events.append(Restarted())

    def _send_init(self) -> None:
        self._init_sent_at = self._now
        init = self._end.describe(self._config)
        self._assembly.emit([init.encode(ChunkType.INIT)], tag=0, checksum=True)
        self._arm_handshake()

    def _arm_handshake(self) -> None:
        config = self._config
        delay = min(config.handshake_timeout * (1 << self._attempts), config.max_backoff)
        self._timers.set(Timer.T1, self._now + delay)

    def _retry_handshake(self) -> None:
        self._attempts += 1
        if self._attempts > self._config.max_handshake_retransmits:
            self._close("no answer to INIT" if self._state is _S.COOKIE_WAIT else "no answer to COOKIE ECHO")
        elif self._state is _S.COOKIE_WAIT:
            self._send_init()
        else:
            self._assembly.repeat_cookie()
            self._arm_handshake()

    # Data and its acknowledgement

    def _handle_data(self, flags: int, body: bytes) -> None:
        assert self._inbound is not None
        self._take_as_cookie_ack()
        self._inbound.handle_data(flags, body)

    def _handle_sack(self, _flags: int, body: bytes) -> None:
        cumulative, window_bytes, gaps = parse_sack(body)
        self._take_as_cookie_ack()
        if not self._outbound.handle_sack(self._now, cumulative, window_bytes, gaps):
            self._drop(DropReason.SCTP_UNEXPECTED)

    def _handle_forward_tsn(self, _flags: int, body: bytes) -> None:
        assert self._inbound is not None
        cumulative, skipped = parse_forward_tsn(body)
        self._inbound.handle_forward_tsn(cumulative, skipped)

    def _handle_re_config(self, _flags: int, body: bytes) -> None:
        assert self._resets is not None
        self._resets.handle_chunk(body)

    def _ask_reset(self, stream: int) -> None:
        assert self._resets is not None
        if self.can_reset:
            self._resets.ask(stream)
        else:
            self._events.append(ResetDone((stream,)))

    # The rest of the chunks

    def _handle_heartbeat(self, _flags: int, body: bytes) -> None:
        self._assembly.add(encode_chunk(ChunkType.HEARTBEAT_ACK, 0, body))

    def _handle_error(self, _flags: int, body: bytes) -> None:
        causes = parse_parameters(body)
        if self._state is _S.COOKIE_ECHOED and any(cause == Cause.STALE_COOKIE for cause, _ in causes):
            self._move(Trigger.STALE_COOKIE)  # RFC 9260 §5.2.6: begin again
            self._assembly.set_cookie(b"")
            self._send_init()

    def _handle_abort(self, _flags: int, body: bytes) -> None:
        self._close(f"aborted by the peer: {describe_causes(body)}")

    def _handle_pad(self, _flags: int, _body: bytes) -> None:
        """Padding for path MTU probes (RFC 4820): nothing in it."""

    # Shutdown (RFC 9260 §9.2)

    def _handle_shutdown(self, _flags: int, body: bytes) -> None:
        if len(body) != 4:
            raise SctpError("SHUTDOWN of wrong length")
        self._outbound.handle_cumulative_tsn(self._now, int.from_bytes(body, "big"))
        if self._state is _S.SHUTDOWN_ACK_SENT:
            self._assembly.add(encode_chunk(ChunkType.SHUTDOWN_ACK))
        elif self._state is not _S.SHUTDOWN_RECEIVED:
            is_crossing = self._state is _S.SHUTDOWN_SENT
            self._move(Trigger.PEER_SHUTDOWN)
            if is_crossing:
                self._send_shutdown()

    def _handle_shutdown_ack(self, _flags: int, _body: bytes) -> None:
        self._move(Trigger.SHUTDOWN_ACK)
        self._assembly.emit([encode_chunk(ChunkType.SHUTDOWN_COMPLETE)])
        self._bury("shut down")

    def _handle_shutdown_complete(self, _flags: int, _body: bytes) -> None:
        self._close("shut down by the peer")

    def _advance_shutdown(self) -> None:
        """All data is through: say so."""
        if self._state in (_S.SHUTDOWN_PENDING, _S.SHUTDOWN_RECEIVED) and self._outbound.is_empty:
            self._move(Trigger.DRAINED)
            self._attempts = 0
            self._send_shutdown()

    def _send_shutdown(self) -> None:
        assert self._inbound is not None
        if self._state is _S.SHUTDOWN_SENT:
            cumulative = (self._inbound.cumulative_tsn & MASK32).to_bytes(4, "big")
            self._assembly.add(encode_chunk(ChunkType.SHUTDOWN, 0, cumulative))
        else:
            self._assembly.add(encode_chunk(ChunkType.SHUTDOWN_ACK))
        delay = min(self._round_trip.rto * (1 << min(self._attempts, 6)), self._config.max_backoff)
        self._timers.set(Timer.T2, self._now + delay)

    def _retry_shutdown(self) -> None:
        self._attempts += 1
        if self._attempts > self._config.max_handshake_retransmits:
            self._abort(Cause.USER_INITIATED_ABORT, "no answer to shutdown")
        else:
            self._send_shutdown()

    # The end

    def _abort(self, cause: Cause, reason: str) -> None:
        if self._peer is not None:
            chunk = encode_error(cause, reason.encode()[:200], kind=ChunkType.ABORT)
            self._assembly.emit([chunk], checksum=True)
        self._close(reason)

    def _close(self, reason: str) -> None:
        self._move(Trigger.END)
        self._bury(reason)

    def _bury(self, reason: str) -> None:
        if self._inbound is not None:
            self._events += self._inbound.poll_messages()
        self._inbound = self._resets = None
        self._timers.cancel_all()
        self._assembly.clear()
        self._is_dirty = False
        self._outbound = Outbound(self._config, 0, self._round_trip)
        self._events.append(AssociationClosed(reason))

    # Making packets

    def _flush(self) -> None:
        """Turn everything that may leave now into packets, and arm the timers that go with it."""
        if self._state is _S.CLOSED:
            return
        self._is_dirty = False
        may_send = self._state in SENDING
        inbound, outbound = self._inbound, self._outbound
        outbound.begin_burst()
        if may_send:
            self._advance_shutdown()
            self._collect_control()
        self._assembly.assemble(self._now, inbound, outbound, may_send=may_send)
        if may_send and self._collect_control():  # what the data just sent made ready
            self._assembly.assemble(self._now, inbound, outbound, may_send=True)
        if inbound is not None and inbound.sack is SackState.DELAYED:
            self._timers.set_if_unset(Timer.SACK, self._now + self._config.sack_delay)
        else:
            self._timers.cancel(Timer.SACK)

    def _collect_control(self) -> bool:
        """Queue the control chunks of resets and of abandoned data; whether there were any."""
        chunks = [] if self._resets is None else self._resets.poll_chunks(self._now)
        forward = self._outbound.take_forward_tsn(self._now)
        if forward is not None:
            chunks.append(forward)
        for chunk in chunks:
            self._assembly.add(chunk)
        return bool(chunks)

    def _move(self, trigger: Trigger) -> None:
        self._state = TRANSITIONS[self._state][trigger]

    def _drop(self, reason: DropReason) -> None:
        self._drops[reason] = self._drops.get(reason, 0) + 1


_HANDLERS: dict[int, tuple[Callable[[Association, int, bytes], None], frozenset[AssociationState]]] = {
    ChunkType.DATA: (Association._handle_data, TRANSFERRING),
    ChunkType.INIT: (Association._handle_init, ALIVE - {_S.SHUTDOWN_ACK_SENT}),
    ChunkType.INIT_ACK: (Association._handle_init_ack, frozenset({_S.COOKIE_WAIT})),
    ChunkType.SACK: (Association._handle_sack, TRANSFERRING),
    ChunkType.HEARTBEAT: (Association._handle_heartbeat, KNOWN_PEER),
    ChunkType.HEARTBEAT_ACK: (Association._handle_pad, KNOWN_PEER),
    ChunkType.ABORT: (Association._handle_abort, ALIVE),
    ChunkType.SHUTDOWN: (
        Association._handle_shutdown,
        frozenset({_S.ESTABLISHED, _S.SHUTDOWN_PENDING, _S.SHUTDOWN_SENT, _S.SHUTDOWN_RECEIVED, _S.SHUTDOWN_ACK_SENT}),
    ),
    ChunkType.SHUTDOWN_ACK: (Association._handle_shutdown_ack, frozenset({_S.SHUTDOWN_SENT, _S.SHUTDOWN_ACK_SENT})),
    ChunkType.ERROR: (Association._handle_error, KNOWN_PEER),
    ChunkType.COOKIE_ECHO: (Association._handle_cookie_echo, ALIVE - {_S.SHUTDOWN_ACK_SENT}),
    ChunkType.COOKIE_ACK: (Association._handle_cookie_ack, KNOWN_PEER),
    ChunkType.SHUTDOWN_COMPLETE: (Association._handle_shutdown_complete, frozenset({_S.SHUTDOWN_ACK_SENT})),
    ChunkType.RE_CONFIG: (Association._handle_re_config, TRANSFERRING - {_S.COOKIE_ECHOED}),
    ChunkType.PAD: (Association._handle_pad, KNOWN_PEER),
    ChunkType.FORWARD_TSN: (Association._handle_forward_tsn, TRANSFERRING),
}
"""Chunk type to its handler and the states in which it is taken; elsewhere it is counted and passed over."""
