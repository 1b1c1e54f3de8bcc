"""Candidate pairs and their states (RFC 8445 §6.1.2).

The Frozen state is left out: there is one component and one checklist, so foundations have nothing to unfreeze. A pair
is a local base (the socket to send from) and a remote address; local candidates that share a base make one pair, as
RFC 8445 §6.1.2.4 asks.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ..errors import LocalProtocolError
from ..outputs import Address
from .candidate import TYPE_PREFERENCE, Candidate, CandidateType
from .interface import Role

if TYPE_CHECKING:
    from .checklist import Checklist
    from .checks import Check


class PairState(Enum):
    WAITING = "waiting"
    IN_PROGRESS = "in progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: dict[PairState, frozenset[PairState]] = {
    PairState.WAITING: frozenset({PairState.IN_PROGRESS}),
    PairState.IN_PROGRESS: frozenset({PairState.SUCCEEDED, PairState.FAILED, PairState.WAITING}),
    PairState.SUCCEEDED: frozenset({PairState.WAITING, PairState.FAILED}),
    PairState.FAILED: frozenset({PairState.WAITING}),
}
"""Back to WAITING: from IN_PROGRESS by a role conflict or when another pair was selected, from SUCCEEDED when the
success is too old to nominate upon, from FAILED when the peer's own check came through."""


def pair_priority(role: Role, local: int, remote: int) -> int:
    """RFC 8445 §6.1.2.3, where G is the controlling side's candidate priority and D the controlled side's."""
    controlling, controlled = (local, remote) if role is Role.CONTROLLING else (remote, local)
    return (min(local, remote) << 32) + 2 * max(local, remote) + (controlling > controlled)


class Local:
    """A socket that checks go out from, with the best candidate that is advertised for it."""

    __slots__ = ("base", "candidate", "is_ipv6")

    def __init__(self, candidate: Candidate, base: Address) -> None:
        self.candidate = candidate
        self.base = base
        self.is_ipv6 = ":" in candidate.address

    @property
    def check_priority(self) -> int:
        """PRIORITY of checks: what a candidate learned from them would have (RFC 8445 §7.1.1)."""
        return TYPE_PREFERENCE[CandidateType.PRFLX] << 24 | self.candidate.priority & 0xFFFFFF

    def reaches(self, remote: Candidate) -> bool:
        """Same address family, and link-local addresses only among themselves (RFC 8445 §6.1.2.2)."""
        if self.is_ipv6 != (":" in remote.address):
            return False
        return not self.is_ipv6 or _is_link_local(self.candidate.address) == _is_link_local(remote.address)


def _is_link_local(host: str) -> bool:
    return host[:3] in ("fe8", "fe9", "fea", "feb")


class Pair:
    """One path that may work, and what is known of it."""

    __slots__ = (
        "check", "checklist", "heard_at", "is_nominated", "is_validated", "local", "nominate_on_success", "path",
        "priority", "remote", "responded_at", "state",
    )  # fmt: skip

    def __init__(self, checklist: Checklist, local: Local, remote: Candidate, role: Role) -> None:
        self.checklist = checklist
        self.local = local
        self.remote = remote
        self.path: tuple[Address, Address] = (local.base, (remote.address, remote.port))
        self.state = PairState.WAITING
        self.priority = 0
        self.check: Check | None = None
        """The check under way that moves the state; keepalives do not count."""
        self.is_validated = False
        """Whether anything authenticated came by this path."""
        self.is_nominated = False
        """Whether the latest request of the controlling peer on this path carried USE-CANDIDATE."""
        self.nominate_on_success = False
        self.heard_at = float("-inf")
        """When something authenticated last came by this path."""
        self.responded_at = float("-inf")
        """When a check of ours was last answered: the consent of RFC 7675."""
        self.prioritise(role)

    def prioritise(self, role: Role) -> None:
        self.priority = pair_priority(role, self.local.candidate.priority, self.remote.priority)

    def move(self, state: PairState) -> None:
        if state not in TRANSITIONS[self.state]:
            raise LocalProtocolError(f"a pair cannot go from {self.state} to {state}")
        self.state = state
