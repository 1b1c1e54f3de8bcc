"""One generation of an agent: its credentials, what it knows of the peer, and the pairs that follow.

An ICE restart (RFC 8445 §9) begins a new generation; the one before lives on beside it until the new one has selected a
pair. Everything here is bounded, since candidates and sources come from the peer: see AgentConfig.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ..outputs import Address
from ..stun import canonical_host
from .candidate import Candidate, CandidateType, candidate_priority
from .interface import AgentConfig, Role
from .pair import Local, Pair, PairState


class Checklist:
    """The pairs of one generation, and which of them to check next."""

    __slots__ = (
        "_by_path", "_config", "_learned", "_locals", "_remotes", "_triggered", "is_settled", "local_key", "local_ufrag",
        "remote_key", "remote_ufrag", "started_at", "username",
    )  # fmt: skip

    def __init__(self, ufrag: str, pwd: str, locals_: Iterable[Local], config: AgentConfig) -> None:
        self.local_ufrag = ufrag
        self.local_key = pwd.encode()
        self.remote_ufrag: str | None = None
        self.remote_key = b""
        self.username = ""
        self.started_at = 0.0
        """When checks could begin."""
        self.is_settled = False
        """A pair was selected: only the peer's requests cause checks from then on (RFC 8445 §8.1.2)."""
        self._config = config
        self._locals = list(locals_)
        self._remotes: dict[Address, Candidate] = {}
        self._learned: dict[Address, None] = {}
        self._by_path: dict[tuple[Address, Address], Pair] = {}
        self._triggered: deque[Pair] = deque()

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._by_path.values())

    def begin(self, now: float, ufrag: str, pwd: str) -> list[Pair]:
        """The peer's credentials are known. Returns pairs that candidates of another generation had formed."""
        self.remote_ufrag = ufrag
        self.remote_key = pwd.encode()
        self.username = f"{ufrag}:{self.local_ufrag}"
        self.started_at = now
        stale = [at for at, remote in self._remotes.items() if remote.ufrag not in (None, ufrag)]
        return [pair for at in stale for pair in self._forget(at)]

    def add_local(self, local: Local, role: Role) -> None:
        self._locals.append(local)
        for remote in self._remotes.values():
            self._form(local, remote, role)

    def add_remote(self, candidate: Candidate, role: Role) -> None:
        """A candidate that the peer signalled. Over one that was learned it keeps the pair (RFC 8838 §11.4)."""
        if self.remote_ufrag is not None and candidate.ufrag not in (None, self.remote_ufrag):
            return
        at = (candidate.address, candidate.port)
        known = self._remotes.get(at)
        if known is not None:
            if known.type is CandidateType.PRFLX or candidate.priority > known.priority:
                self._replace(at, candidate, role)
            return
        if len(self._remotes) - len(self._learned) >= self._config.max_remote_candidates:
            return
        self._remotes[at] = candidate
        for local in self._locals:
            self._form(local, candidate, role)

    def learn(self, base: Address, remote: Address, priority: int | None, role: Role) -> Pair | None:
        """The pair that an authenticated request came by, made if need be; None if there is no such socket."""
        pair = self._by_path.get((base, remote))
        if pair is not None:
            return pair
        local = self._local_of(base, ":" in remote[0])
        if local is None:
            return None
        candidate = self._remotes.get(remote) or self._learn_remote(remote, priority)
        pair = self._by_path[base, remote] = Pair(self, local, candidate, role)
        return pair

    def get(self, base: Address, remote: Address) -> Pair | None:
        return self._by_path.get((base, remote))

    def crowd_out(self, keep: Sequence[Pair | None]) -> list[Pair]:
        """Forget what is above the limits, the oldest learned first, and return its pairs; some are to stay."""
        gone: list[Pair] = []
        kept = {pair.path[1] for pair in keep if pair is not None}
        for oldest in [at for at in self._learned if at not in kept]:
            if len(self._learned) <= self._config.max_learned_candidates:
                break
            gone += self._forget(oldest)
        while len(self._by_path) > self._config.max_pairs:
            worst = min((p for p in self if p not in keep), key=lambda p: (p.is_validated, p.priority))
            del self._by_path[worst.path]
            gone.append(worst)
        return gone

    def close(self) -> None:
        """Let go of the pairs, which know their checklist: nothing is left for the garbage collector."""
        self._by_path.clear()
        self._triggered.clear()

    def trigger(self, pair: Pair) -> None:
        """Check this pair before others (RFC 8445 §6.1.4.1)."""
        if pair not in self._triggered:
            self._triggered.append(pair)

    def next_pair(self) -> Pair | None:
        """Which pair to check now: a triggered one, else the best that waits (RFC 8445 §6.1.4.2)."""
        while self._triggered:
            pair = self._triggered.popleft()
            if pair.state is PairState.WAITING and pair.path in self._by_path:
                return pair
        if self.is_settled:
            return None
        return max((p for p in self if p.state is PairState.WAITING), key=lambda p: p.priority, default=None)

    def best_succeeded(self, heard_since: float = float("-inf")) -> Pair | None:
        """The best pair that works and was heard of since then."""
        works = (p for p in self if p.state is PairState.SUCCEEDED and p.heard_at >= heard_since)
        return max(works, key=lambda p: p.priority, default=None)

    def has_waiting(self) -> bool:
        """Whether `next_pair` would find one."""
        if self._triggered:
            return True
        return not self.is_settled and any(p.state is PairState.WAITING for p in self)

    def has_better_unresolved(self, than: Pair) -> bool:
        return any(p.priority > than.priority and p.state in (PairState.WAITING, PairState.IN_PROGRESS) for p in self)

    def prioritise(self, role: Role) -> None:
        for pair in self:
            pair.prioritise(role)

    def _local_of(self, base: Address, is_ipv6: bool) -> Local | None:
        """A socket bound to :: may carry both families; its candidates are told apart, if there are both."""
        same_base = [local for local in self._locals if local.base == base]
        return next((local for local in same_base if local.is_ipv6 == is_ipv6), same_base[0] if same_base else None)

    def _form(self, local: Local, remote: Candidate, role: Role) -> None:
        path = (local.base, (remote.address, remote.port))
        if path in self._by_path or not local.reaches(remote):
            return
        self._by_path[path] = Pair(self, local, remote, role)

    def _learn_remote(self, remote: Address, priority: int | None) -> Candidate:
        """A peer-reflexive candidate (RFC 8445 §7.3.1.3)."""
        kind = CandidateType.PRFLX
        candidate = Candidate(
            foundation=f"prflx{len(self._remotes)}",
            component=1,
            transport="udp",
            priority=candidate_priority(kind) if priority is None else priority,
            address=canonical_host(remote[0]) or remote[0],
            port=remote[1],
            type=kind,
        )
        self._remotes[remote] = candidate
        self._learned[remote] = None
        return candidate

    def _replace(self, at: Address, candidate: Candidate, role: Role) -> None:
        self._learned.pop(at, None)
        self._remotes[at] = candidate
        for pair in self:
            if pair.path[1] == at:
                pair.remote = candidate
                pair.prioritise(role)
        for local in self._locals:
            self._form(local, candidate, role)

    def _forget(self, at: Address) -> list[Pair]:
        self._learned.pop(at, None)
        self._remotes.pop(at, None)
        gone = [pair for pair in self if pair.path[1] == at]
        for pair in gone:
            del self._by_path[pair.path]
        return gone
