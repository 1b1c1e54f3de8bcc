"""Two or more agents on a network in virtual time, with seeded loss, NATs and cables to cut."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from sansio.entropy import SeededEntropy, random_below, random_unit
from sansio.ice import Agent, AgentConfig, AgentEvent, AgentState, Candidate, Role, Selected, StateChanged
from sansio.outputs import Address, Transmit


class Host:
    """An agent, its sockets, and what it said."""

    def __init__(self, name: str, agent: Agent, bases: list[Address]) -> None:
        self.name = name
        self.agent = agent
        self.bases = bases
        self.events: list[tuple[float, AgentEvent]] = []
        self.sent: list[tuple[float, Transmit]] = []
        self.public: Address | None = None
        """The NAT's outside, if there is one; endpoint-independent mapping, address-dependent filter."""
        self.allowed: set[str] = set()

    @property
    def states(self) -> list[AgentState]:
        return [event.state for _, event in self.events if isinstance(event, StateChanged)]

    @property
    def selections(self) -> list[Selected]:
        return [event for _, event in self.events if isinstance(event, Selected)]

    def state_at(self, state: AgentState) -> float:
        return next(at for at, event in self.events if event == StateChanged(state))


class World:
    def __init__(self, seed: int | str = 1, *, latency: float = 0.02, jitter: float = 0.0, loss: float = 0.0) -> None:
        self.seed = seed
        self.entropy = SeededEntropy(seed)
        self.latency, self.jitter, self.loss = latency, jitter, loss
        self.now = 1000.0
        self.hosts: dict[str, Host] = {}
        self.dead: set[Address] = set()
        """Addresses that neither send nor receive."""
        self.filter: Callable[[Transmit], bool] = lambda _: True
        """What passes on the way."""
        self._queue: list[tuple[float, int, Host, Address, Address, bytes]] = []
        self._order = 0
        self._credentials = 0

    def fresh(self) -> tuple[str, str]:
        self._credentials += 1
        return f"ufrag{self._credentials:03}", f"password-of-many-letters-{self._credentials:03}"

    def add(
        self,
        name: str,
        bases: list[Address],
        role: Role,
        *,
        lite: bool = False,
        tie_breaker: int | None = None,
        config: AgentConfig | None = None,
        public: Address | None = None,
    ) -> Host:
        ufrag, pwd = self.fresh()
        agent = Agent(
            role=role,
            lite=lite,
            ufrag=ufrag,
            pwd=pwd,
            tie_breaker=random_below(self.entropy, 1 << 64) if tie_breaker is None else tie_breaker,
            entropy=self.entropy.child(name),
            config=config or AgentConfig(),
        )
        for base in bases:
            agent.add_local_candidate(Candidate.host(base), base)
        host = self.hosts[name] = Host(name, agent, bases)
        host.public = public
        return host

    def signal(self, sender: Host, receiver: Host, *, candidates: bool = True) -> None:
        """What an offer or answer tells: credentials, and the sender's host candidates."""
        receiver.agent.set_remote_lite(sender.agent.lite)
        receiver.agent.set_remote_credentials(self.now, sender.agent.ufrag, sender.agent.pwd)
        if candidates:
            for base in sender.bases:
                receiver.agent.add_remote_candidate(self.now, Candidate.host(base))
        self.flush()

    def connect(self, a: Host, b: Host, *, candidates: bool = True) -> None:
        self.signal(a, b, candidates=candidates)
        self.signal(b, a, candidates=candidates)

    def run(self, seconds: float) -> None:
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Advance until the condition holds or so many seconds have passed."""
        end = self.now + seconds
        self.flush()
        while not condition():
            at = self._next_at()
            if at is None or at > end:
                self.now = max(self.now, end)
                return condition()
            self.now = max(self.now, at)
            self._step()
            self.flush()
        return True

    def settle(self, *hosts: Host, seconds: float = 15.0) -> None:
        """Until all are connected."""
        done = self.run_until(lambda: all(h.agent.state is AgentState.CONNECTED for h in hosts), seconds)
        assert done, f"not connected after {seconds} s, seed {self.seed}: " + ", ".join(
            f"{h.name} {h.agent.state}" for h in hosts
        )

    def flush(self) -> None:
        for host in self.hosts.values():
            host.events += [(self.now, event) for event in host.agent.poll_events()]
            for transmit in host.agent.poll_transmits():
                host.sent.append((self.now, transmit))
                self._carry(host, transmit)

    def _next_at(self) -> float | None:
        times = [t for h in self.hosts.values() if (t := h.agent.poll_timeout()) is not None]
        times += [self._queue[0][0]] if self._queue else []
        return min(times, default=None)

    def _step(self) -> None:
        while self._queue and self._queue[0][0] <= self.now:
            _, _, host, local, remote, data = heappop(self._queue)
            host.agent.handle_stun(self.now, local, remote, data)
        for host in self.hosts.values():
            at = host.agent.poll_timeout()
            if at is not None and at <= self.now:
                host.agent.handle_timeout(self.now)
                again = host.agent.poll_timeout()
                assert again is None or again > self.now, f"{host.name}: {host.agent.next_timer()} does not move"

    def _carry(self, host: Host, transmit: Transmit) -> None:
        assert transmit.local in host.bases
        if host.public is not None:
            host.allowed.add(transmit.remote[0])
        lost = random_unit(self.entropy) < self.loss or not self.filter(transmit)
        if lost or transmit.local in self.dead or transmit.remote in self.dead:
            return
        source = host.public or transmit.local
        for other in self.hosts.values():
            local = self._arrives(other, source, transmit.remote)
            if local is not None:
                at = self.now + self.latency + random_unit(self.entropy) * self.jitter
                self._order += 1
                heappush(self._queue, (at, self._order, other, local, source, transmit.data))

    @staticmethod
    def _arrives(host: Host, source: Address, target: Address) -> Address | None:
        """On which socket of the host, if any."""
        if host.public is None:
            return target if target in host.bases else None
        return host.bases[0] if target == host.public and source[0] in host.allowed else None
