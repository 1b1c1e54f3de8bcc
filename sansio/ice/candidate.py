"""ICE candidates: their text form, priority and foundation.

RFC 8839 §5.1 (candidate-attribute), RFC 8445 §5.1.1.3 and §5.1.2 (foundation, priority), RFC 6544 §4.5 (tcptype),
RFC 8838 §11 (ufrag). A name instead of an address is kept as it is: it may be an mDNS name (`<uuid>.local`), which is
no error and which the agent passes over. Extension attributes that are not known are dropped.
"""

from __future__ import annotations

import re
from enum import Enum
from zlib import crc32

import attrs

from ..errors import RemoteProtocolError
from ..outputs import Address
from ..stun import canonical_host

MAX_CANDIDATE_CHARS = 1024
_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_TOKEN = re.compile(r"[!-~]{1,256}")
_NUMBER = re.compile(r"[0-9]{1,10}")


class IceError(RemoteProtocolError):
    """Text that is no candidate."""


class CandidateType(Enum):
    HOST = "host"
    SRFLX = "srflx"
    PRFLX = "prflx"
    RELAY = "relay"


TYPE_PREFERENCE = {
    CandidateType.HOST: 126,
    CandidateType.PRFLX: 110,
    CandidateType.SRFLX: 100,
    CandidateType.RELAY: 0,
}
"""RFC 8445 §5.1.2.2."""


def candidate_priority(kind: CandidateType, *, local_preference: int = 65535, component: int = 1) -> int:
    """RFC 8445 §5.1.2.1."""
    return TYPE_PREFERENCE[kind] << 24 | local_preference << 8 | 256 - component


def foundation_of(kind: CandidateType, base: str, transport: str) -> str:
    """A token that is the same for candidates of one type, base address and transport (RFC 8445 §5.1.1.3)."""
    return str(crc32(f"{kind.value} {base} {transport}".encode()))


@attrs.frozen(kw_only=True)
class Candidate:
    """One address that a peer may be reached at."""

    foundation: str
    component: int
    transport: str
    """`udp` or `tcp`."""
    priority: int
    address: str
    """An IP address in its one spelling (`stun.canonical_host`), or a name."""
    port: int
    type: CandidateType
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None
    """`active`, `passive` or `so` (RFC 6544)."""
    ufrag: str | None = None
    """The generation that a trickled candidate belongs to."""

    @classmethod
    def host(cls, address: Address, *, local_preference: int = 65535) -> Candidate:
        """A UDP host candidate of component 1."""
        kind = CandidateType.HOST
        return cls(
            foundation=foundation_of(kind, address[0], "udp"),
            component=1,
            transport="udp",
            priority=candidate_priority(kind, local_preference=local_preference),
            address=canonical_host(address[0]) or address[0],
            port=address[1],
            type=kind,
        )

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """Read `candidate:...`, with or without `a=` before it. Raises IceError."""
        if len(text) > MAX_CANDIDATE_CHARS:
            raise IceError("candidate too long")
        prefix, colon, rest = text.strip().removeprefix("a=").partition(":")
        words = rest.split()
        if prefix.lower() != "candidate" or not colon or len(words) < 8 or words[6].lower() != "typ":
            raise IceError("not of the form of a candidate")
        foundation, component, transport, priority, address, port, _, kind, *extensions = words
        pairs = dict(zip(extensions[::2], extensions[1::2], strict=False))  # a name without value is passed over
        return cls(
            foundation=_match(_FOUNDATION, foundation),
            component=_number(component, 1, 256),
            transport=_transport(transport),
            priority=_number(priority, 0, (1 << 32) - 1),
            address=_address(address),
            port=_number(port, 0, 65535),
            type=_kind(kind),
            related_address=_address(pairs["raddr"]) if "raddr" in pairs else None,
            related_port=_number(pairs["rport"], 0, 65535) if "rport" in pairs else None,
            tcp_type=_match(_TOKEN, pairs["tcptype"].lower()) if "tcptype" in pairs else None,
            ufrag=_match(_TOKEN, pairs["ufrag"]) if "ufrag" in pairs else None,
        )

    def encode(self) -> str:
        """`candidate:...`, as RTCIceCandidate.candidate has it and as `a=` takes it in SDP."""
        words = [
            f"candidate:{self.foundation} {self.component} {self.transport} {self.priority}",
            f"{self.address} {self.port} typ {self.type.value}",
        ]
        if self.related_address is not None:
            words.append(f"raddr {self.related_address}")
        if self.related_port is not None:
            words.append(f"rport {self.related_port}")
        if self.tcp_type is not None:
            words.append(f"tcptype {self.tcp_type}")
        if self.ufrag is not None:
            words.append(f"ufrag {self.ufrag}")
        return " ".join(words)


def _match(pattern: re.Pattern[str], word: str) -> str:
    if pattern.fullmatch(word) is None:
        raise IceError(f"unexpected word {word[:40]!r} in a candidate")
    return word


def _number(word: str, low: int, high: int) -> int:
    value = int(_match(_NUMBER, word))
    if not low <= value <= high:
        raise IceError(f"number {value} out of range in a candidate")
    return value


def _address(word: str) -> str:
    return canonical_host(word) or _match(_NAME, word)


def _transport(word: str) -> str:
    transport = word.lower()
    if transport not in ("udp", "tcp"):
        raise IceError(f"transport {word[:40]!r} in a candidate")
    return transport


def _kind(word: str) -> CandidateType:
    try:
        return CandidateType(word.lower())
    except ValueError as error:
        raise IceError(f"type {word[:40]!r} of a candidate") from error
