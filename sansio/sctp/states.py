"""The states of an association and how they follow each other (RFC 9260 §4), as data."""

from __future__ import annotations

from enum import Enum


class AssociationState(Enum):
    """NEW is RFC 9260's CLOSED before the start, CLOSED the same after the end: an association lives once."""

    NEW = "new"
    COOKIE_WAIT = "cookie wait"
    COOKIE_ECHOED = "cookie echoed"
    ESTABLISHED = "established"
    SHUTDOWN_PENDING = "shutdown pending"
    SHUTDOWN_SENT = "shutdown sent"
    SHUTDOWN_RECEIVED = "shutdown received"
    SHUTDOWN_ACK_SENT = "shutdown ack sent"
    CLOSED = "closed"


class Trigger(Enum):
    """What moves an association from state to state."""

    START = "start"
    INIT_ACK = "INIT ACK came"
    COOKIE_ECHO = "a valid COOKIE ECHO came"
    COOKIE_ACK = "COOKIE ACK came"
    STALE_COOKIE = "the peer found our cookie too old"
    SHUT_DOWN = "shutdown asked for"
    PEER_SHUTDOWN = "SHUTDOWN came"
    DRAINED = "all data is acknowledged"
    SHUTDOWN_ACK = "SHUTDOWN ACK came"
    END = "aborted, shut down or given up"


_S = AssociationState
_T = Trigger

TRANSITIONS: dict[AssociationState, dict[Trigger, AssociationState]] = {
    _S.NEW: {_T.START: _S.COOKIE_WAIT, _T.COOKIE_ECHO: _S.ESTABLISHED, _T.END: _S.CLOSED},
    _S.COOKIE_WAIT: {_T.INIT_ACK: _S.COOKIE_ECHOED, _T.COOKIE_ECHO: _S.ESTABLISHED, _T.END: _S.CLOSED},
    _S.COOKIE_ECHOED: {
        _T.COOKIE_ACK: _S.ESTABLISHED,
        _T.COOKIE_ECHO: _S.ESTABLISHED,
        _T.STALE_COOKIE: _S.COOKIE_WAIT,
        _T.END: _S.CLOSED,
    },
    _S.ESTABLISHED: {
        _T.SHUT_DOWN: _S.SHUTDOWN_PENDING,
        _T.PEER_SHUTDOWN: _S.SHUTDOWN_RECEIVED,
        _T.COOKIE_ECHO: _S.ESTABLISHED,
        _T.END: _S.CLOSED,
    },
    _S.SHUTDOWN_PENDING: {
        _T.DRAINED: _S.SHUTDOWN_SENT,
        _T.PEER_SHUTDOWN: _S.SHUTDOWN_RECEIVED,
        _T.COOKIE_ECHO: _S.ESTABLISHED,
        _T.END: _S.CLOSED,
    },
    _S.SHUTDOWN_SENT: {
        _T.PEER_SHUTDOWN: _S.SHUTDOWN_ACK_SENT,
        _T.SHUTDOWN_ACK: _S.CLOSED,
        _T.COOKIE_ECHO: _S.ESTABLISHED,
        _T.END: _S.CLOSED,
    },
    _S.SHUTDOWN_RECEIVED: {
        _T.DRAINED: _S.SHUTDOWN_ACK_SENT,
        _T.COOKIE_ECHO: _S.ESTABLISHED,
        _T.END: _S.CLOSED,
    },
    _S.SHUTDOWN_ACK_SENT: {_T.SHUTDOWN_ACK: _S.CLOSED, _T.END: _S.CLOSED},
    _S.CLOSED: {},
}
"""State and trigger to the next state; what is not here cannot happen, and a lookup that fails is a bug on this side.
COOKIE ECHO from ESTABLISHED on is a restart of the peer or a repetition (RFC 9260 §5.2.4 A and D)."""

HANDSHAKING = frozenset({_S.NEW, _S.COOKIE_WAIT, _S.COOKIE_ECHOED})
TRANSFERRING = frozenset(
    {_S.COOKIE_ECHOED, _S.ESTABLISHED, _S.SHUTDOWN_PENDING, _S.SHUTDOWN_SENT, _S.SHUTDOWN_RECEIVED}
)
"""Data of the peer is taken."""
SENDING = frozenset({_S.ESTABLISHED, _S.SHUTDOWN_PENDING, _S.SHUTDOWN_RECEIVED})
ALIVE = frozenset(AssociationState) - {_S.CLOSED}
KNOWN_PEER = ALIVE - {_S.NEW, _S.COOKIE_WAIT}
"""The peer's tag is known."""
