"""A DTLS stand-in for tests: one flight each way, no cryptography, keys made from both certificates' fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import shake_256

from sansio.dtls import Certificate, Closed, Completed, Data, DtlsEvent, DtlsRole, Failed, split_keys
from sansio.dtls.keys import material_bytes
from sansio.errors import DropReason
from sansio.kernel import SrtpProfile

PROFILE = SrtpProfile.AEAD_AES_128_GCM
REPEAT_AFTER = 0.05
_HELLO, _DATA, _ALERT = b"\x16", b"\x17", b"\x15"
_FINGERPRINT_AT = 14


class InstantHandshake:
    """Implements `sansio.dtls.Handshake`. The client repeats its hello until it hears the server's."""

    def __init__(self, certificate: Certificate) -> None:
        self._own = certificate.fingerprint
        self._role: DtlsRole | None = None
        self._peer = ""
        self._announced: tuple[str, ...] = ()
        self._is_over = False
        self._repeat_at: float | None = None
        self._transmits: list[bytes] = []
        self._events: list[DtlsEvent] = []
        self.keys: Completed | None = None

    @property
    def role(self) -> DtlsRole | None:
        return self._role

    @property
    def complete(self) -> bool:
        return self.keys is not None and not self._is_over

    def start(self, now: float, role: DtlsRole) -> None:
        self._role = role
        if role is DtlsRole.CLIENT:
            self._hello(now)

    def handle_timeout(self, now: float) -> None:
        if self._repeat_at is not None and self._repeat_at <= now:
            self._hello(now)

    def handle_datagram(self, now: float, data: bytes) -> None:
        kind, rest = data[:1], data[_FINGERPRINT_AT:].decode("latin-1")
        if self._is_over or self._role is None:
            return
        if kind == _HELLO and rest:
            self._peer, self._repeat_at = rest, None
            if self._role is DtlsRole.SERVER:
                self._transmits.append(self._flight())
            self._settle()
        elif kind == _DATA and self.complete:
            self._events.append(Data(data[1:]))
        elif kind == _ALERT:
            self._is_over = True
            self._events.append(Closed())

    def set_remote_fingerprints(self, now: float, fingerprints: Sequence[tuple[str, str]]) -> None:
        self._announced = tuple(value for _, value in fingerprints)
        self._settle()

    def send(self, now: float, data: bytes) -> None:
        self._transmits.append(_DATA + data)

    def close(self, now: float) -> None:
        if self.complete:
            self._transmits.append(_ALERT)
        self._is_over = True
        self._repeat_at = None

    def poll_transmits(self) -> list[bytes]:
        transmits, self._transmits = self._transmits, []
        return transmits

    def poll_events(self) -> list[DtlsEvent]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        return {}

    def poll_timeout(self) -> float | None:
        return self._repeat_at

    def _hello(self, now: float) -> None:
        self._transmits.append(self._flight())
        self._repeat_at = now + REPEAT_AFTER

    def _flight(self) -> bytes:
        # A record header's length, then the message type that tells a ClientHello (1) from a ServerHello (2).
        kind = b"\x01" if self._role is DtlsRole.CLIENT else b"\x02"
        return _HELLO + bytes(12) + kind + self._own.encode()

    def _settle(self) -> None:
        if self.keys is not None or not self._peer or not self._announced or self._role is None:
            return
        if self._peer not in self._announced:
            self._is_over = True
            self._events.append(Failed("fingerprint"))
            return
        material = shake_256("".join(sorted((self._own, self._peer))).encode()).digest(material_bytes(PROFILE))
        local, remote = split_keys(PROFILE, material, self._role)
        self.keys = Completed(profile=PROFILE, local_key=local, remote_key=remote)
        self._events.append(self.keys)
