"""The generations of an agent, what all of them share, and the path that packets take.

An ICE restart (RFC 8445 §9) makes a new current generation. The one that carries packets, or else the one before, stays
as the previous one until a pair of the current one is selected; more than two there are never.
"""

from __future__ import annotations

from collections.abc import Callable

from ..outputs import Address
from .candidate import Candidate
from .checklist import Checklist
from .checks import ChecksInFlight
from .interface import AgentConfig, Role
from .pair import Local, Pair, PairState


class Generations:
    """Checklists, sockets and the selected pair. Whatever pair it lets go, its checks end too."""

    __slots__ = ("_checks", "_config", "_locals", "current", "latest", "previous", "pwd", "selected")

    def __init__(self, ufrag: str, pwd: str, checks: ChecksInFlight, config: AgentConfig) -> None:
        self._checks = checks
        self._config = config
        self._locals: list[Local] = []
        self.pwd = pwd
        """Of the current generation."""
        self.current = Checklist(ufrag, pwd, (), config)
        self.previous: Checklist | None = None
        self.selected: Pair | None = None
        self.latest: Pair | None = None
        """Where to send before a pair is selected: the latest whose check succeeded, else the latest heard from."""

    def of_username(self, username: str | None) -> tuple[Checklist | None, bool]:
        """Whose check a request is, by its USERNAME `ours:theirs`, and whether its second half is as expected.

        Only the first half decides (RFC 8445 §7.3); the second tells generations apart that share a local ufrag.
        """
        ours, _, theirs = (username or "").partition(":")
        named = [c for c in (self.current, self.previous) if c is not None and c.local_ufrag == ours]
        for checklist in named:
            if checklist.remote_ufrag in (None, theirs):
                return checklist, True
        return (named[0], False) if named else (None, False)

    def is_validated(self, local: Address, remote: Address) -> bool:
        """In either generation."""
        for checklist in (self.current, self.previous):
            pair = None if checklist is None else checklist.get(local, remote)
            if pair is not None and pair.is_validated:
                return True
        return False

    @property
    def ufrags(self) -> tuple[str, ...]:
        ufrag = self.current.local_ufrag
        if self.previous is None or self.previous.local_ufrag == ufrag:
            return (ufrag,)
        return (ufrag, self.previous.local_ufrag)

    def add_local(self, candidate: Candidate, base: Address, role: Role) -> None:
        """Candidates of one base and address family make one `Local`, the best of them speaking for it."""
        is_ipv6 = ":" in candidate.address
        for local in self._locals:
            if local.base == base and local.is_ipv6 == is_ipv6:
                if candidate.priority > local.candidate.priority:
                    local.candidate = candidate
                    self.current.prioritise(role)
                return
        local = Local(candidate, base)
        self._locals.append(local)
        self.current.add_local(local, role)

    def restart(self, ufrag: str, pwd: str, *, keep_old: bool) -> None:
        """A new current generation. Of the old ones the one that carries packets is kept, else the newer."""
        self._stop_checks(lambda pair: pair is not self.selected)
        old = self.current if self.selected is None else self.selected.checklist
        self._checks.cancel_where(lambda pair: pair.checklist is not old)
        if not keep_old or (self.latest is not None and self.latest.checklist is not old):
            self.latest = None
        self.previous = old if keep_old else None
        self.current = Checklist(ufrag, pwd, self._locals, self._config)
        self.pwd = pwd

    def select(self, pair: Pair, role: Role) -> None:
        """Send on this pair. Ends the generation before it, and checks that could not improve on it (§8.1.2)."""
        self.selected = self.latest = pair
        pair.nominate_on_success = False
        pair.checklist.is_settled = True
        if pair.checklist is self.current and self.previous is not None:
            ended, self.previous = self.previous, None
            self._checks.cancel_where(lambda other: other.checklist is ended)
            ended.close()

        def is_needless(other: Pair) -> bool:
            is_better = role is Role.CONTROLLING and other.priority > pair.priority
            return other.checklist is pair.checklist and other is not pair and not is_better

        self._stop_checks(is_needless)

    def crowd_out(self, checklist: Checklist, keep: Pair | None = None) -> None:
        """Forget what is above the limits, but not `keep` nor the selected pair."""
        self.forget(checklist.crowd_out((keep, self.selected)))

    def forget(self, pairs: list[Pair]) -> None:
        """These pairs are gone from their checklist."""
        if not pairs:
            return
        gone = set(pairs)
        self._checks.cancel_where(gone.__contains__)
        if self.latest in gone:
            self.latest = self.selected

    def clear(self) -> None:
        """Nothing is to be sent any more."""
        self._checks.cancel_where(lambda _: True)
        self.previous = self.selected = self.latest = None

    def close(self) -> None:
        """The end: no pair is needed any more."""
        for checklist in (self.current, self.previous):
            if checklist is not None:
                checklist.close()

    def _stop_checks(self, is_needless: Callable[[Pair], bool]) -> None:
        """A pair that the peer nominated keeps its check: what to do with its success is decided then."""
        for pair in self._checks.cancel_where(lambda pair: is_needless(pair) and not pair.nominate_on_success):
            if pair.state is PairState.IN_PROGRESS:
                pair.move(PairState.WAITING)
