"""Binding requests under way: their making, retransmission and the matching of answers (RFC 8445 §7.2).

Two kinds. A check moves the state of its pair and is retransmitted; a pair has at most one. A keepalive goes out on the
selected pair at intervals and is sent once (RFC 7675 §5.1): its loss is made good by the next.
"""

from __future__ import annotations

from collections.abc import Callable

from ..stun import Class, Message, Transaction, encode
from .interface import AgentConfig, Role
from .pair import Pair

KEEPALIVE_PATIENCE = 10.0
"""Seconds until a late answer to a keepalive counts no more; keeps the table small."""


class Check(Transaction):
    """One Binding request, and what it was sent as."""

    __slots__ = ("pair", "role")

    def __init__(self, now: float, message: Message, pair: Pair, role: Role, config: AgentConfig) -> None:
        super().__init__(
            now,
            message.transaction_id,
            encode(message, pair.checklist.remote_key),
            rto=config.initial_rto,
            max_rto=config.max_rto,
            max_transmissions=config.max_transmissions,
        )
        self.pair = pair
        self.role = role


class ChecksInFlight:
    """Requests without an answer yet, by transaction id."""

    __slots__ = ("_checks", "_config", "_keepalives", "_tie_breaker")

    def __init__(self, tie_breaker: int, config: AgentConfig) -> None:
        self._tie_breaker = tie_breaker
        self._config = config
        self._checks: dict[bytes, Check] = {}
        self._keepalives: dict[bytes, Check] = {}

    def start(self, now: float, pair: Pair, role: Role, transaction_id: bytes, *, use_candidate: bool) -> Check:
        """A check of the pair, in place of one that is under way."""
        self.cancel(pair)
        check = pair.check = self._make(now, pair, role, transaction_id, use_candidate)
        self._checks[check.id] = check
        return check

    def start_keepalive(self, now: float, pair: Pair, role: Role, transaction_id: bytes) -> Check:
        """On the selected pair. The controlling side nominates it again each time, for a peer that missed it."""
        self._keepalives = {id_: old for id_, old in self._keepalives.items() if now - old.sent_at < KEEPALIVE_PATIENCE}
        check = self._make(now, pair, role, transaction_id, role is Role.CONTROLLING)
        self._keepalives[check.id] = check
        return check

    def get(self, transaction_id: bytes) -> Check | None:
        return self._checks.get(transaction_id) or self._keepalives.get(transaction_id)

    def finish(self, check: Check) -> None:
        """It was answered or given up."""
        self._checks.pop(check.id, None)
        self._keepalives.pop(check.id, None)
        if check.pair.check is check:
            check.pair.check = None

    def cancel(self, pair: Pair) -> None:
        if pair.check is not None:
            self.finish(pair.check)

    def cancel_where(self, condition: Callable[[Pair], bool]) -> list[Pair]:
        """Stop the checks and keepalives of some pairs; returns those that had a check under way."""
        for check in [c for c in self._keepalives.values() if condition(c.pair)]:
            self.finish(check)
        stopped = [c for c in self._checks.values() if condition(c.pair)]
        for check in stopped:
            self.finish(check)
        return [check.pair for check in stopped]

    def due(self, now: float) -> list[Check]:
        """Checks whose answer is late."""
        return [check for check in self._checks.values() if check.deadline <= now]

    def next_deadline(self) -> float | None:
        return min((check.deadline for check in self._checks.values()), default=None)

    def _make(self, now: float, pair: Pair, role: Role, transaction_id: bytes, use_candidate: bool) -> Check:
        """The request of RFC 8445 §7.1."""
        is_controlling = role is Role.CONTROLLING
        message = Message(
            kind=Class.REQUEST,
            transaction_id=transaction_id,
            username=pair.checklist.username,
            priority=pair.local.check_priority,
            use_candidate=use_candidate,
            controlling=self._tie_breaker if is_controlling else None,
            controlled=None if is_controlling else self._tie_breaker,
        )
        return Check(now, message, pair, role, self._config)
