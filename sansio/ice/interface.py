"""What an agent is told and what it says: role, state, tunables and events."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import attrs

from ..outputs import Address
from .candidate import CandidateType


class Role(Enum):
    CONTROLLING = "controlling"
    CONTROLLED = "controlled"


class AgentState(Enum):
    NEW = "new"
    CHECKING = "checking"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class Timer(Enum):
    CHECK = "check"
    """The next ordinary check or retransmission."""
    NOMINATE = "nominate"
    """The wait for better pairs is over."""
    CONNECT = "connect"
    """No pair was selected in time."""
    KEEPALIVE = "keepalive"
    LIVENESS = "liveness"
    """The silence may have become too long."""
    CONSENT = "consent"
    """The last answer may have become too old."""


@attrs.frozen(kw_only=True)
class AgentConfig:
    """Seconds, unless a field says otherwise."""

    keepalive_interval: float = 2.0
    """Between Binding requests on the selected pair; they are the consent checks too, for which RFC 7675 §5.1 has 5."""
    keepalive_jitter: float = 0.2
    """Share of the interval by which it varies either way (RFC 7675 §5.1), so that many agents do not fall in step."""
    disconnected_timeout: float = 10.0
    """Without anything authenticated from the peer."""
    failed_timeout: float = 5.0
    """After that."""
    connect_timeout: float = 15.0
    """From the remote credentials, or a restart without a working path, until a pair is selected."""
    consent_timeout: float = 30.0
    """Without an answer on the selected pair (RFC 7675 §5.1)."""
    check_interval: float = 0.05
    """Ta: between ordinary checks (RFC 8445 §14.2)."""
    initial_rto: float = 0.25
    """As libwebrtc begins; RFC 8445 §14.3 has 0.5."""
    max_rto: float = 2.0
    max_transmissions: int = 9
    """Copies of a check; with the timeouts above they fill `connect_timeout`, as str0m's do."""
    acceptance_wait: dict[CandidateType, float] = attrs.field(
        factory=lambda: {
            CandidateType.HOST: 0.0,
            CandidateType.SRFLX: 0.2,
            CandidateType.PRFLX: 0.2,
            CandidateType.RELAY: 0.5,
        }
    )
    """How long a controlling agent lets better pairs finish before it nominates one with such a remote candidate. pion
    waits 0.5, 1 and 2; here a better pair that succeeds later is nominated then, so less is at stake."""
    switch_after: float = 5.0
    """Silence on the selected pair after which another that is alive takes its place."""
    max_remote_candidates: int = 64
    max_learned_candidates: int = 8
    """Peer-reflexive ones; beyond, the oldest unselected is forgotten. mediasoup keeps 8 addresses."""
    max_pairs: int = 100
    """RFC 8445 §6.1.2.5."""


@attrs.frozen
class StateChanged:
    state: AgentState


@attrs.frozen
class Selected:
    """Packets go this way from now on."""

    local: Address
    remote: Address


@attrs.frozen
class PathValidated:
    """The peer proved that it sends from this address; what comes from there is this agent's."""

    local: Address
    remote: Address


@attrs.frozen
class RoleChanged:
    """The other side turned out to have our role (RFC 8445 §7.3.1.1), or to be lite."""

    role: Role


AgentEvent: TypeAlias = StateChanged | Selected | PathValidated | RoleChanged
