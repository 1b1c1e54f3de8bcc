"""What a transport needs of a DTLS implementation, and what it tells.

Two implementations exist: `OpenSslHandshake` for real peers, and a deterministic one in the simulator. Both are fed one
datagram at a time and hand out whole datagrams; the caller decides where they go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol, TypeAlias

import attrs

from ..errors import DropReason
from ..kernel import SrtpProfile
from .certificate import Certificate


class DtlsRole(Enum):
    """Who sends the ClientHello; `a=setup:active` is the client (RFC 5763 §5)."""

    CLIENT = "client"
    SERVER = "server"


@attrs.frozen(kw_only=True)
class Completed:
    """The handshake is done and the peer's certificate has an announced fingerprint. Comes once, before any `Data`."""

    profile: SrtpProfile
    local_key: bytes = attrs.field(repr=False)
    """Master key then master salt of what we send."""
    remote_key: bytes = attrs.field(repr=False)
    """The same of what we receive."""


@attrs.frozen
class Failed:
    """No association, for good; nothing more comes."""

    reason: str


@attrs.frozen
class Data:
    """The content of one application record, after `Completed`."""

    data: bytes


@attrs.frozen
class Closed:
    """The peer ended the association; nothing more comes."""


DtlsEvent: TypeAlias = Completed | Failed | Data | Closed


class Handshake(Protocol):
    """One DTLS association. Drain transmits, events and the deadline after every call."""

    @property
    def role(self) -> DtlsRole | None:
        """As given to `start`; None before."""

    @property
    def complete(self) -> bool:
        """Whether `Completed` was announced and the association still lives, so that `send` is allowed."""

    def handle_datagram(self, now: float, data: bytes) -> None:
        """Take a datagram of an address that ICE has validated. Dropped before `start`."""

    def handle_timeout(self, now: float) -> None: ...

    def start(self, now: float, role: DtlsRole) -> None:
        """Begin: the client sends its first flight, the server now takes a ClientHello."""

    def set_remote_fingerprints(self, now: float, fingerprints: Sequence[tuple[str, str]]) -> None:
        """What the peer's description says, as (algorithm, value); `Completed` waits for it. Any one may match."""

    def send(self, now: float, data: bytes) -> None:
        """Send one application record (one SCTP packet, RFC 8261)."""

    def close(self, now: float) -> None:
        """Say goodbye (close_notify) and stop."""

    def poll_transmits(self) -> list[bytes]: ...

    def poll_events(self) -> list[DtlsEvent]: ...

    def poll_drops(self) -> dict[DropReason, int]: ...

    def poll_timeout(self) -> float | None: ...


HandshakeFactory: TypeAlias = Callable[[Certificate], Handshake]
