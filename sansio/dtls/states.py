"""The states of a DTLS association and how they follow each other, as data. Every implementation goes by them."""

from __future__ import annotations

from enum import Enum

from ..errors import LocalProtocolError


class DtlsState(Enum):
    IDLE = "idle"
    """Not started: the role is not known."""
    SHAKING = "shaking"
    VERIFYING = "verifying"
    """Complete but for the peer's certificate, as its fingerprint was not announced yet."""
    OPEN = "open"
    OVER = "over"
    """Failed, or closed by either side. An association lives once."""


_S = DtlsState

TRANSITIONS: dict[DtlsState, frozenset[DtlsState]] = {
    _S.IDLE: frozenset({_S.SHAKING, _S.OVER}),
    _S.SHAKING: frozenset({_S.VERIFYING, _S.OVER}),
    _S.VERIFYING: frozenset({_S.OPEN, _S.OVER}),
    _S.OPEN: frozenset({_S.OVER}),
    _S.OVER: frozenset({_S.OVER}),
}
"""What is over may be ended again, by whoever has not heard."""


def moved(state: DtlsState, then: DtlsState) -> DtlsState:
    """The next state. Raises LocalProtocolError for a move that there is not, which is a bug on this side."""
    if then not in TRANSITIONS[state]:
        raise LocalProtocolError(f"a DTLS association cannot go from {state.value} to {then.value}")
    return then
