"""DTLS 1.2 over OpenSSL's memory buffers, with flights, timers and checks of our own (RFC 6347, RFC 5764).

Theory of operation. OpenSSL does the cryptography and the message order; this module owns everything around it.

- In: a datagram is cut into records, nonsense is thrown away (`records.is_plausible`), and what is left goes to OpenSSL as
  one write, so that its byte stream keeps the datagram's boundary. Before our first flight an error costs nothing: the
  connection is replaced by a fresh one and the peer's retransmission starts over.
- Out: what OpenSSL wrote is cut into records and packed into datagrams of up to 1200 bytes. Cleartext records get sequence
  numbers from our own counter. The records of the last flight are kept.
- Loss: OpenSSL's timer starts at one second and reads a clock of its own. Ours repeats the last flight after 100 ms,
  doubling to 3.2 s, until the peer's next flight makes progress. Repeated cleartext records get fresh numbers, as
  RFC 6347 §4.2.4 wants, so that the peer does not take them for replays; encrypted ones (Finished) must go out unchanged. A
  peer that has our Finished and whose answer was lost drops that copy as a replay, so about when OpenSSL's own timer
  comes due it is asked too: it can encrypt again. The server, which speaks last, repeats its last flight when it hears
  handshake records after completion.
- Verification: OpenSSL is told to demand a certificate and accept any; the announced fingerprints decide (RFC 8122). They
  may come later than the handshake: `Completed`, and data that arrived meanwhile, wait for them.

The states and moves are in states.py. Verifying is left at once where the fingerprints are known. Any state may go to over, by
`Failed`, by `Closed` or silently by `close`.

Left out: cookies (ICE has proved the address), renegotiation, resumption, compression, DTLS 1.3 (OpenSSL has none).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from functools import lru_cache

from OpenSSL import SSL
from OpenSSL._util import lib as openssl

from ..errors import DropReason, LocalProtocolError
from ..timers import TimerTable
from .certificate import Certificate, fingerprint_of
from .interface import Closed, Completed, Data, DtlsEvent, DtlsRole, Failed
from .keys import EXPORTER_LABEL, PROFILES, material_bytes, split_keys
from .records import DtlsError, Record, is_plausible, pack, parse_records, with_sequence_number
from .states import DtlsState, moved

MTU_BYTES = 1200
"""Datagrams of a flight; what libwebrtc and pion use, safe under any tunnel."""

_FIRST_RETRANSMISSION = 0.1
_LAST_RETRANSMISSION = 3.2
_ENGINE_TIMER = 1.05
"""Just after OpenSSL's own first timeout."""
_REPEAT_GAP = 0.05
"""Least time between two answers to the peer's repeated flight; its flight has several datagrams."""
_MAX_WAITING_RECORDS = 64
"""Application records kept while the fingerprint is unknown."""
_MAX_RECORD_BYTES = 16384

_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)
"""RSA ones serve peers with RSA certificates when we are the client; the CBC ones are for old stacks."""
_GROUPS = b"X25519:P-256:P-384"
"""No hybrid group: it makes our ClientHello outgrow a datagram and the DTLS 1.2 client fail."""

_PROFILE_NAMES = {
    SSL_name: profile
    for profile, SSL_name in zip(
        PROFILES, (b"SRTP_AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM", b"SRTP_AES128_CM_SHA1_80"), strict=True
    )
}


class _Timer(Enum):
    FLIGHT = "repeat the flight"
    ENGINE = "ask OpenSSL's timer"
    DEADLINE = "give up"


class OpenSslHandshake:
    """One association; see `interface.Handshake`. Reads OpenSSL's clock and chance, hence not for repeatable simulations."""

    __slots__ = (
        "_certificate", "_connection", "_drops", "_engine_delay", "_events", "_fingerprints", "_flight", "_flight_at",
        "_flight_delay", "_role", "_sequence_number", "_state", "_timeout", "_timers", "_transmits", "_waiting",
    )  # fmt: skip

    def __init__(self, certificate: Certificate, *, timeout: float = 60.0) -> None:
        self._certificate = certificate
        self._timeout = timeout
        self._role: DtlsRole | None = None
        self._state = DtlsState.IDLE
        self._connection: SSL.Connection | None = None
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        self._flight: list[Record] = []
        self._flight_at = 0.0
        self._flight_delay = _FIRST_RETRANSMISSION
        self._engine_delay = _ENGINE_TIMER
        self._sequence_number = 0
        self._waiting: deque[bytes] = deque()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._transmits: list[bytes] = []
        self._events: list[DtlsEvent] = []
        self._drops: Counter[DropReason] = Counter()

    def handle_datagram(self, now: float, data: bytes) -> None:
        if self._state in (DtlsState.IDLE, DtlsState.OVER):
            self._drops[DropReason.DTLS_UNEXPECTED] += 1
            return
        records = self._checked(data)
        if not records:
            return
        self._timers.set_if_unset(_Timer.DEADLINE, now + self._timeout)
        self._connected.bio_write(b"".join(record.data for record in records))
        if self._state is DtlsState.SHAKING:
            self._shake(now)
        if self._state in (DtlsState.VERIFYING, DtlsState.OPEN):
            self._receive()
            wrote = self._drain(now)
            if not wrote and any(record.is_handshake for record in records):
                self._repeat_last_flight(now)

    def handle_timeout(self, now: float) -> None:
        for timer in self._timers.expire(now):
            match timer:
                case _Timer.FLIGHT:
                    self._flight_delay = min(2 * self._flight_delay, _LAST_RETRANSMISSION)
                    self._timers.set(_Timer.FLIGHT, now + self._flight_delay)
                    self._send_flight(now)
                case _Timer.ENGINE:
                    self._engine_delay *= 2
                    self._timers.set(_Timer.ENGINE, now + self._engine_delay)
                    self._run_engine_timer(now)
                case _Timer.DEADLINE:
                    if self._state is not DtlsState.OPEN:
                        self._fail("handshake timed out")

    def start(self, now: float, role: DtlsRole) -> None:
        if self._state is not DtlsState.IDLE:
            raise LocalProtocolError("the handshake was started before")
        self._role = role
        self._state = moved(self._state, DtlsState.SHAKING)
        self._connection = _new_connection(self._certificate, role)
        if role is DtlsRole.CLIENT:
            self._timers.set(_Timer.DEADLINE, now + self._timeout)
            self._shake(now)

    def set_remote_fingerprints(self, now: float, fingerprints: Sequence[tuple[str, str]]) -> None:  # noqa: ARG002
        self._fingerprints = tuple(fingerprints)
        if self._state is DtlsState.VERIFYING:
            self._verify()

    def send(self, now: float, data: bytes) -> None:
        if self._state is not DtlsState.OPEN:
            raise LocalProtocolError("no DTLS association")
        if not 0 < len(data) <= _MAX_RECORD_BYTES:
            raise LocalProtocolError("an application record holds 1 to 16384 bytes")
        self._connected.send(data)
        self._drain(now)

    def close(self, now: float) -> None:
        if self._connection is not None and self._state in (DtlsState.OPEN, DtlsState.VERIFYING):
            with suppress(SSL.Error):  # the goodbye is a courtesy
                self._connection.shutdown()
            self._drain(now)
        self._end()

    def poll_transmits(self) -> list[bytes]:
        transmits, self._transmits = self._transmits, []
        return transmits

    def poll_events(self) -> list[DtlsEvent]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        drops = dict(self._drops)
        self._drops.clear()
        return drops

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    @property
    def role(self) -> DtlsRole | None:
        return self._role

    @property
    def complete(self) -> bool:
        return self._state is DtlsState.OPEN

    @property
    def _connected(self) -> SSL.Connection:
        assert self._connection is not None
        return self._connection

    # Input

    def _checked(self, data: bytes) -> list[Record]:
        """The records that OpenSSL may see; none if the datagram is not DTLS."""
        try:
            records = parse_records(data)
        except DtlsError:
            self._drops[DropReason.DTLS_MALFORMED] += 1
            return []
        sender = DtlsRole.SERVER if self._role is DtlsRole.CLIENT else DtlsRole.CLIENT
        answered = bool(self._flight) or self._state is not DtlsState.SHAKING
        kept = [record for record in records if is_plausible(record, sender, answered=answered)]
        if len(kept) < len(records):
            self._drops[DropReason.DTLS_UNEXPECTED] += len(records) - len(kept)
        return kept

    def _shake(self, now: float) -> None:
        """Let OpenSSL work on what it has."""
        try:
            self._connected.do_handshake()
        except SSL.WantReadError:
            self._drain(now)
        except SSL.Error as error:
            self._drain(now)
            if self._flight:
                self._fail(f"handshake failed: {_reason(error)}")
            else:
                # Nothing is lost but a bad ClientHello: the peer repeats the good one.
                self._drops[DropReason.DTLS_MALFORMED] += 1
                self._transmits.clear()
                self._connection = _new_connection(self._certificate, DtlsRole.SERVER)
        else:
            self._drain(now)
            self._state = moved(self._state, DtlsState.VERIFYING)
            self._timers.cancel(_Timer.FLIGHT)
            self._timers.cancel(_Timer.ENGINE)
            self._verify()

    def _receive(self) -> None:
        """Take application records until OpenSSL has no more."""
        while self._state in (DtlsState.VERIFYING, DtlsState.OPEN):
            try:
                data = self._connected.recv(_MAX_RECORD_BYTES)
            except SSL.WantReadError:
                return
            except SSL.Error:
                # close_notify (ZeroReturnError), a fatal alert, or a stream beyond repair: over in any case.
                was_open = self._state is DtlsState.OPEN
                self._events.append(Closed() if was_open else Failed("closed before it was verified"))
                self._end()
                return
            if self._state is DtlsState.OPEN:
                self._events.append(Data(data))
                self._flight = []  # only a peer that has our last flight sends data
            elif len(self._waiting) < _MAX_WAITING_RECORDS:
                self._waiting.append(data)
            else:
                self._drops[DropReason.DTLS_UNEXPECTED] += 1

    def _verify(self) -> None:
        """Compare the peer's certificate with the announced fingerprints; then, and only then, give the keys away."""
        if not self._fingerprints:
            return
        if not self._matches():
            self._fail("no announced fingerprint matches the certificate")
            return
        profile = _PROFILE_NAMES.get(self._connected.get_selected_srtp_profile())
        if profile is None:
            # OpenSSL completes without one; such an association could only carry data channels.
            self._fail("no common SRTP profile")
            return
        assert self._role is not None
        material = self._connected.export_keying_material(EXPORTER_LABEL, material_bytes(profile))
        local_key, remote_key = split_keys(profile, material, self._role)
        self._state = moved(self._state, DtlsState.OPEN)
        self._timers.cancel_all()
        self._events.append(Completed(profile=profile, local_key=local_key, remote_key=remote_key))
        self._events.extend(Data(data) for data in self._waiting)
        self._waiting.clear()

    def _matches(self) -> bool:
        certificate = self._connected.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return False
        announced = [(fingerprint_of(certificate, algorithm), value) for algorithm, value in self._fingerprints]
        return any(digest and digest == value.strip().upper() for digest, value in announced)

    # Output

    def _drain(self, now: float) -> bool:
        """Turn what OpenSSL wrote into datagrams; keep its handshake records as the flight. Whether it wrote any such."""
        written = self._written() if self._connection is not None else []
        if not written:
            return False
        flight = [record for record in written if record.is_handshake]
        if flight:
            self._flight = flight
            self._flight_at = now
            if self._state is DtlsState.SHAKING:
                self._flight_delay, self._engine_delay = _FIRST_RETRANSMISSION, _ENGINE_TIMER
                self._timers.set(_Timer.FLIGHT, now + self._flight_delay)
                self._timers.set(_Timer.ENGINE, now + self._engine_delay)
        self._pack(written)
        return bool(flight)

    def _written(self) -> list[Record]:
        chunks = []
        try:
            while True:
                chunks.append(self._connected.bio_read(65535))
        except SSL.WantReadError:
            return parse_records(b"".join(chunks))

    def _pack(self, records: Sequence[Record]) -> None:
        numbered = []
        for record in records:
            if record.epoch == 0:
                numbered.append(with_sequence_number(record, self._sequence_number))
                self._sequence_number += 1
            else:
                numbered.append(record.data)
        self._transmits += pack(numbered, MTU_BYTES)

    def _send_flight(self, now: float) -> None:
        self._flight_at = now
        self._pack(self._flight)

    def _repeat_last_flight(self, now: float) -> None:
        """The peer sends handshake records after we are done: our last flight was lost (RFC 6347 §4.2.4, FINISHED)."""
        if self._role is DtlsRole.SERVER and self._flight and now - self._flight_at >= _REPEAT_GAP:
            self._send_flight(now)

    def _run_engine_timer(self, now: float) -> None:
        delay = self._flight_delay
        try:
            self._connected.DTLSv1_handle_timeout()
        except SSL.Error:
            self._fail("OpenSSL gave up waiting")
            return
        if self._drain(now):
            # The same flight again: what was waited so far still counts.
            self._flight_delay = delay
            self._timers.set(_Timer.FLIGHT, now + delay)
            self._timers.set(_Timer.ENGINE, now + 2 * self._engine_delay)

    # Endings

    def _fail(self, reason: str) -> None:
        if self._state is not DtlsState.OVER:
            self._events.append(Failed(reason))
        self._end()

    def _end(self) -> None:
        self._state = moved(self._state, DtlsState.OVER)
        self._connection = None
        self._flight = []
        self._waiting.clear()
        self._timers.cancel_all()


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for its error, without its codes."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in queue) or type(error).__name__


def _new_connection(certificate: Certificate, role: DtlsRole) -> SSL.Connection:
    connection = SSL.Connection(_context(certificate), None)
    if role is DtlsRole.CLIENT:
        connection.set_connect_state()
    else:
        connection.set_accept_state()
    connection.set_ciphertext_mtu(MTU_BYTES)
    return connection


@lru_cache(maxsize=8)
def _context(certificate: Certificate) -> SSL.Context:
    """OpenSSL's settings for one certificate; making them costs more than a connection."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(certificate.x509)
    context.use_privatekey(certificate.key)
    context.set_cipher_list(_CIPHERS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_options(
        SSL.OP_NO_QUERY_MTU
        | SSL.OP_NO_TICKET
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_tlsext_use_srtp(b":".join(_PROFILE_NAMES))
    if not openssl.SSL_CTX_set1_curves_list(context._context, _GROUPS):
        raise LocalProtocolError("OpenSSL refuses the groups")
    return context
