"""A handshake for simulations: DTLS as far as the network can see, repeatable from a seed.

OpenSSL draws its own chance and reads its own clock, so no run with it is the same twice. This stand-in keeps what matters to
everything around it: four flights that get lost and are repeated (100 ms, doubling to 3.2 s), fingerprints that are verified,
real SRTP keys, records with numbers and tags for the data, a goodbye. There is no cryptography in it: whoever knows the seed
knows all keys. Hence no configuration selects it; it is passed to `Node` in code, with a certificate of its own kind:

    dtls = SeededDtls(seed)
    node = Node(config, entropy=..., wallclock_offset=..., certificate=dtls.certificate("n1"), handshake=dtls.handshake)

Flights:    client HELLO ->   <- HELLO server   client FINISHED ->   <- FINISHED server

The states are those of every implementation (dtls/states.py). The server repeats its FINISHED when it hears the client's again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from enum import Enum, IntEnum
from hashlib import blake2s
from struct import Struct

from ..dtls import Certificate, Closed, Completed, Data, DtlsEvent, DtlsRole, DtlsState, Failed, moved, split_keys
from ..dtls.keys import material_bytes
from ..entropy import Entropy, SeededEntropy
from ..errors import DropReason, LocalProtocolError
from ..kernel import SrtpProfile
from ..timers import TimerTable

PROFILE = SrtpProfile.AEAD_AES_128_GCM
FIRST_RETRANSMISSION = 0.1
LAST_RETRANSMISSION = 3.2
TIMEOUT = 60.0

_HEADER = Struct("!BHHHLH")  # type, version, epoch, sequence number in two parts, length (RFC 6347 §4.1)
_VERSION = 0xFEFD
_RANDOM_BYTES = 16
_TAG_BYTES = 8
_MAX_RECORD_BYTES = 16384
_MAX_WAITING_RECORDS = 64
_WINDOW = 1024
"""Numbers behind the highest within which a record is told from its repetition."""


class Content(IntEnum):
    """Record types (RFC 5246 §6.2.1)."""

    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Message(IntEnum):
    """Handshake messages; the first has the number of DTLS's ClientHello, by which transports know a client."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    CLIENT_FINISHED = 16
    SERVER_FINISHED = 20


class _Timer(Enum):
    FLIGHT = "repeat the flight"
    DEADLINE = "give up"


class StandInCertificate(Certificate):
    """A fingerprint, and no key behind it."""

    __slots__ = ()

    def __init__(self, entropy: Entropy) -> None:
        self.fingerprint = entropy(32).hex(":").upper()


class SeededDtls:
    """The certificates and handshakes of one simulation: both ends must come from equal seeds."""

    def __init__(self, seed: int | str | bytes) -> None:
        self._entropy = SeededEntropy(seed).child("dtls")
        self._secret = self._entropy.child("secret")(32)
        self._handshakes = self._entropy.child("handshakes")

    def certificate(self, name: str) -> StandInCertificate:
        """The certificate of that machine."""
        return StandInCertificate(self._entropy.child(f"certificate {name}"))

    def handshake(self, certificate: Certificate) -> SeededHandshake:
        """A `HandshakeFactory`."""
        return SeededHandshake(certificate, secret=self._secret, entropy=self._handshakes)


class SeededHandshake:
    """One association; see `dtls.interface.Handshake`."""

    __slots__ = (
        "_delay", "_drops", "_entropy", "_events", "_fingerprint", "_fingerprints", "_flight", "_highest", "_key",
        "_next_number", "_peer_fingerprint", "_random", "_role", "_secret", "_seen", "_state", "_timers", "_transmits",
        "_waiting",
    )  # fmt: skip

    def __init__(self, certificate: Certificate, *, secret: bytes, entropy: Entropy) -> None:
        self._fingerprint = certificate.fingerprint
        self._secret = secret
        self._entropy = entropy
        self._role: DtlsRole | None = None
        self._state = DtlsState.IDLE
        self._random = {"client": b"", "server": b""}
        self._key = b""
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        self._peer_fingerprint = ""
        self._flight = b""
        self._delay = FIRST_RETRANSMISSION
        self._next_number = 0
        self._highest = -1
        self._seen: set[int] = set()
        self._waiting: deque[bytes] = deque()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._transmits: list[bytes] = []
        self._events: list[DtlsEvent] = []
        self._drops: Counter[DropReason] = Counter()

    def handle_datagram(self, now: float, data: bytes) -> None:
        if self._state in (DtlsState.IDLE, DtlsState.OVER):
            self._drops[DropReason.DTLS_UNEXPECTED] += 1
            return
        if len(data) <= _HEADER.size or int.from_bytes(data[11:13], "big") != len(data) - _HEADER.size:
            self._drops[DropReason.DTLS_MALFORMED] += 1
            return
        body = data[_HEADER.size :]
        match data[0]:
            case Content.HANDSHAKE:
                self._handle_message(now, body[0], body[1:])
            case Content.APPLICATION_DATA | Content.ALERT:
                self._handle_record(data, body)
            case _:
                self._drops[DropReason.DTLS_MALFORMED] += 1

    def handle_timeout(self, now: float) -> None:
        for timer in self._timers.expire(now):
            if timer is _Timer.FLIGHT:
                self._delay = min(2 * self._delay, LAST_RETRANSMISSION)
                self._timers.set(_Timer.FLIGHT, now + self._delay)
                self._send_flight()
            elif self._state is not DtlsState.OPEN:
                self._fail("handshake timed out")

    def start(self, now: float, role: DtlsRole) -> None:
        if self._state is not DtlsState.IDLE:
            raise LocalProtocolError("the handshake was started before")
        self._role = role
        self._state = moved(self._state, DtlsState.SHAKING)
        self._random[role.value] = self._entropy(_RANDOM_BYTES)
        if role is DtlsRole.CLIENT:
            self._begin_flight(now, Message.CLIENT_HELLO, self._random["client"])

    def set_remote_fingerprints(self, now: float, fingerprints: Sequence[tuple[str, str]]) -> None:  # noqa: ARG002
        self._fingerprints = tuple(fingerprints)
        if self._state is DtlsState.VERIFYING:
            self._verify()

    def send(self, now: float, data: bytes) -> None:  # noqa: ARG002
        if self._state is not DtlsState.OPEN:
            raise LocalProtocolError("no DTLS association")
        if not 0 < len(data) <= _MAX_RECORD_BYTES:
            raise LocalProtocolError("an application record holds 1 to 16384 bytes")
        self._send_sealed(Content.APPLICATION_DATA, data)

    def close(self, now: float) -> None:  # noqa: ARG002
        if self._state in (DtlsState.OPEN, DtlsState.VERIFYING):
            self._send_sealed(Content.ALERT, b"\x01\x00")  # close_notify
        self._end()

    def poll_transmits(self) -> list[bytes]:
        transmits, self._transmits = self._transmits, []
        return transmits

    def poll_events(self) -> list[DtlsEvent]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self._drops = dict(self._drops), Counter()
        return drops

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    @property
    def role(self) -> DtlsRole | None:
        return self._role

    @property
    def complete(self) -> bool:
        return self._state is DtlsState.OPEN

    # Flights

    def _handle_message(self, now: float, kind: int, body: bytes) -> None:
        is_client = self._role is DtlsRole.CLIENT
        is_shaking = self._state is DtlsState.SHAKING
        if not is_client and kind == Message.CLIENT_HELLO and is_shaking:
            self._handle_client_hello(now, body)
        elif is_client and kind == Message.SERVER_HELLO and is_shaking:
            self._handle_server_hello(now, body)
        elif not is_client and kind == Message.CLIENT_FINISHED:
            self._handle_client_finished(body, is_shaking=is_shaking)
        elif is_client and kind == Message.SERVER_FINISHED and is_shaking and self._key:
            if body == self._proof("server"):
                self._complete()
            else:
                self._drops[DropReason.DTLS_MALFORMED] += 1
        else:
            self._drops[DropReason.DTLS_UNEXPECTED] += 1

    def _handle_client_hello(self, now: float, body: bytes) -> None:
        if len(body) != _RANDOM_BYTES or self._random["client"] not in (b"", body):
            self._drops[DropReason.DTLS_UNEXPECTED] += 1
        elif self._random["client"]:
            self._send_flight()
        else:
            self._random["client"] = body
            self._derive()
            self._begin_flight(now, Message.SERVER_HELLO, self._random["server"] + self._fingerprint.encode())

    def _handle_server_hello(self, now: float, body: bytes) -> None:
        if self._key:
            return  # repeated; our next flight has its own timer
        if len(body) <= _RANDOM_BYTES:
            self._drops[DropReason.DTLS_MALFORMED] += 1
            return
        self._random["server"] = body[:_RANDOM_BYTES]
        self._peer_fingerprint = body[_RANDOM_BYTES:].decode("ascii", "replace")
        self._derive()
        self._begin_flight(now, Message.CLIENT_FINISHED, self._proof("client") + self._fingerprint.encode())

    def _handle_client_finished(self, body: bytes, *, is_shaking: bool) -> None:
        proof, fingerprint = body[:_TAG_BYTES], body[_TAG_BYTES:]
        if not self._key or proof != self._proof("client"):
            self._drops[DropReason.DTLS_MALFORMED] += 1
            return
        if is_shaking:
            self._peer_fingerprint = fingerprint.decode("ascii", "replace")
            self._flight = _record(Content.HANDSHAKE, 0, 0, bytes((Message.SERVER_FINISHED,)) + self._proof("server"))
            self._complete()
        if self._state is not DtlsState.OVER:
            self._send_flight()

    def _derive(self) -> None:
        self._key = blake2s(self._random["client"] + self._random["server"], key=self._secret).digest()

    def _proof(self, who: str) -> bytes:
        return blake2s(who.encode(), key=self._key, digest_size=_TAG_BYTES).digest()

    def _begin_flight(self, now: float, kind: Message, body: bytes) -> None:
        self._flight = _record(Content.HANDSHAKE, 0, 0, bytes((kind,)) + body)
        self._delay = FIRST_RETRANSMISSION
        self._timers.set(_Timer.FLIGHT, now + self._delay)
        self._timers.set_if_unset(_Timer.DEADLINE, now + TIMEOUT)
        self._send_flight()

    def _send_flight(self) -> None:
        self._transmits.append(self._flight)

    def _complete(self) -> None:
        self._state = moved(self._state, DtlsState.VERIFYING)
        self._timers.cancel(_Timer.FLIGHT)
        self._verify()

    def _verify(self) -> None:
        if not self._fingerprints:
            return
        if not any(value.upper() == self._peer_fingerprint for _, value in self._fingerprints):
            self._fail("the peer's certificate has no announced fingerprint")
            return
        self._state = moved(self._state, DtlsState.OPEN)
        self._timers.cancel(_Timer.DEADLINE)
        local, remote = split_keys(PROFILE, self._material(), self._role or DtlsRole.CLIENT)
        self._events.append(Completed(profile=PROFILE, local_key=local, remote_key=remote))
        self._events += [Data(data) for data in self._waiting]
        self._waiting.clear()

    def _material(self) -> bytes:
        """What a DTLS exporter would give."""
        return SeededEntropy(self._key).child("exporter")(material_bytes(PROFILE))

    # Records

    def _send_sealed(self, content: Content, body: bytes) -> None:
        number = self._next_number
        self._next_number += 1
        sender = (self._role or DtlsRole.CLIENT).value
        self._transmits.append(_record(content, 1, number, body + self._tag(sender, number, body)))

    def _handle_record(self, data: bytes, sealed: bytes) -> None:
        if self._state not in (DtlsState.VERIFYING, DtlsState.OPEN):
            self._drops[DropReason.DTLS_UNEXPECTED] += 1
            return
        body, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        number = int.from_bytes(data[5:11], "big")
        sender = "server" if self._role is DtlsRole.CLIENT else "client"
        if not body or tag != self._tag(sender, number, body):
            self._drops[DropReason.DTLS_MALFORMED] += 1
        elif not self._is_new(number):
            self._drops[DropReason.DTLS_UNEXPECTED] += 1
        elif data[0] == Content.ALERT:
            self._events.append(Closed() if self._state is DtlsState.OPEN else Failed("closed before it was verified"))
            self._end()
        elif self._state is DtlsState.OPEN:
            self._events.append(Data(body))
        elif len(self._waiting) < _MAX_WAITING_RECORDS:
            self._waiting.append(body)

    def _is_new(self, number: int) -> bool:
        """Anti-replay (RFC 6347 §4.1.2.6)."""
        if number in self._seen or number <= self._highest - _WINDOW:
            return False
        self._seen.add(number)
        if number > self._highest:
            self._highest = number
            if len(self._seen) > 2 * _WINDOW:
                self._seen = {one for one in self._seen if one > number - _WINDOW}
        return True

    def _tag(self, sender: str, number: int, body: bytes) -> bytes:
        return blake2s(b"%b%d:%b" % (sender.encode(), number, body), key=self._key, digest_size=_TAG_BYTES).digest()

    def _fail(self, reason: str) -> None:
        self._events.append(Failed(reason))
        self._end()

    def _end(self) -> None:
        self._state = moved(self._state, DtlsState.OVER)
        self._timers.cancel_all()
        self._waiting.clear()


def _record(content: Content, epoch: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(content, _VERSION, epoch, number >> 32, number & 0xFFFFFFFF, len(body)) + body
