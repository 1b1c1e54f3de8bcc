"""An ICE agent for one component over UDP: full or lite, in either role.

RFC 8445 (ICE), RFC 8838 (trickle), RFC 7675 (consent). Left out on purpose: more than one component or checklist and with
them foundations and the Frozen state, gathering (the owner says what to advertise), TCP candidates and mDNS names (both
are passed over; their owners still arrive as peer-reflexive), and two lite agents with each other.

Theory of operation. The owner feeds datagrams and the peer's credentials and candidates, in any order. Requests are
answered from the start, since the peer's checks may overtake its signalling: an authenticated request validates its path
(`PathValidated`), makes a pair if there is none, and triggers a check of our own unless that pair has succeeded; two
agents that answered every check with a check would never stop. Anything that is not authenticated is dropped without
reply or trace, save a count.

A full agent also checks pairs on its own, one per Ta, best first, until a pair is selected. Controlling, it nominates
the best pair that works as soon as no better one is unresolved, or a short wait has passed; a better one that succeeds
later, or any that is alive when the selected one has gone silent, is nominated in its place. Controlled, it follows the
peer's nominations, including later ones: see `nomination.should_follow`. A lite agent sends no request at all, and selects
whatever was nominated last.

States. NEW until the peer's credentials come; CHECKING until a pair is selected; CONNECTED while anything authenticated
arrives; DISCONNECTED after silence, and back; FAILED after more silence, when consent has expired or when no pair could
be selected in time. A failed agent is mute, so that the peer sees the failure too; only a restart revives it.

A restart makes a new generation (`Checklist`). The old one keeps answering and carrying packets until the new one has
selected a pair; an agent that was connected stays CONNECTED meanwhile, any other goes to CHECKING.
"""

from __future__ import annotations

from ..entropy import Entropy, random_unit
from ..errors import DropReason, LocalProtocolError
from ..outputs import Address, Transmit
from ..stun import Class, FingerprintError, StunError, canonical_host, parse
from ..timers import TimerTable
from .candidate import Candidate
from .connectivity import Connectivity
from .interface import AgentConfig, AgentEvent, AgentState, Role, Selected, StateChanged, Timer

TRANSITIONS: dict[AgentState, frozenset[AgentState]] = {
    AgentState.NEW: frozenset({AgentState.CHECKING, AgentState.CONNECTED, AgentState.CLOSED}),
    AgentState.CHECKING: frozenset({AgentState.CONNECTED, AgentState.FAILED, AgentState.CLOSED}),
    AgentState.CONNECTED: frozenset({AgentState.DISCONNECTED, AgentState.CLOSED}),
    AgentState.DISCONNECTED: frozenset(
        {AgentState.CONNECTED, AgentState.CHECKING, AgentState.FAILED, AgentState.CLOSED}
    ),
    AgentState.FAILED: frozenset({AgentState.CHECKING, AgentState.CLOSED}),
    AgentState.CLOSED: frozenset(),
}
"""NEW to CONNECTED at once: a lite agent can be nominated before it knows the peer's credentials, which it never needs."""


DEFAULT_CONFIG = AgentConfig()


class Agent:
    """One agent; see the module's text. Drain `poll_transmits` and `poll_events` after each input."""

    __slots__ = (
        "_config", "_connectivity", "_drops", "_entropy", "_events", "_last_heard", "_state", "_timers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        role: Role,
        lite: bool = False,
        ufrag: str,
        pwd: str,
        tie_breaker: int,
        entropy: Entropy,
        config: AgentConfig = DEFAULT_CONFIG,
    ) -> None:
        self._entropy = entropy
        self._config = config
        self._timers: TimerTable[Timer] = TimerTable()
        self._connectivity = Connectivity(
            role=Role.CONTROLLED if lite else role,
            lite=lite,
            ufrag=ufrag,
            pwd=pwd,
            tie_breaker=tie_breaker,
            entropy=entropy,
            timers=self._timers,
            config=config,
        )
        self._state = AgentState.NEW
        self._last_heard = 0.0
        self._events: list[AgentEvent] = []
        self._drops: dict[DropReason, int] = {}

    # Input

    def handle_stun(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        """A datagram that may be STUN, received on the socket `local`."""
        drop = self._receive(now, local, remote, data)
        if drop is not None:
            self._drops[drop] = self._drops.get(drop, 0) + 1

    def handle_activity(self, now: float) -> None:
        """Something authenticated that is not STUN came from the peer. Cheap: called for each burst of packets."""
        self._last_heard = now
        if self._state is AgentState.DISCONNECTED:
            self._change(AgentState.CONNECTED)
            self._timers.set(Timer.LIVENESS, now + self._config.disconnected_timeout)

    def handle_timeout(self, now: float) -> None:
        for timer in self._timers.expire(now):
            match timer:
                case Timer.CHECK:
                    self._connectivity.handle_check_timeout(now)
                case Timer.NOMINATE:
                    self._connectivity.handle_nominate_timeout(now)
                case Timer.CONNECT:
                    self._give_up_connecting(now)
                case Timer.KEEPALIVE:
                    self._connectivity.keep_alive(now)
                    self._arm_keepalive(now)
                case Timer.LIVENESS:
                    self._check_liveness(now)
                case Timer.CONSENT:
                    self._check_consent(now)
            if self._state is AgentState.FAILED:
                break  # the others that were due with it are cancelled too
        self._drain_connectivity(now)

    # Commands

    def add_local_candidate(self, candidate: Candidate, base: Address) -> None:
        """Advertised elsewhere; `base` is the socket to send from, several candidates may share one."""
        if candidate.transport == "udp" and canonical_host(candidate.address) is not None:
            self._connectivity.add_local(candidate, base)

    def set_remote_credentials(self, now: float, ufrag: str, pwd: str) -> None:
        """What the peer's description says; the same again changes nothing. Others than before are a restart by the
        peer, which the owner should have followed with `restart` first."""
        generations = self._connectivity.generations
        known = (generations.current.remote_ufrag, generations.current.remote_key)
        if self._state is AgentState.CLOSED or known == (ufrag, pwd.encode()):
            return
        if known[0] is not None:
            self.restart(now, generations.current.local_ufrag, generations.pwd)
        if self._state is AgentState.NEW:
            self._change(AgentState.CHECKING)
        if self._state is AgentState.CHECKING:
            self._timers.set(Timer.CONNECT, now + self._config.connect_timeout)
        self._connectivity.begin(now, ufrag, pwd)
        self._drain_connectivity(now)

    def set_remote_lite(self, lite: bool) -> None:
        """A full agent controls a lite one, whoever offered (RFC 8445 §6.1.1)."""
        if lite and not self._connectivity.lite:
            self._connectivity.take_role(Role.CONTROLLING)

    def add_remote_candidate(self, now: float, candidate: Candidate) -> None:
        """What cannot be used here (TCP, names, another generation's, too many) is passed over."""
        is_usable = candidate.transport == "udp" and candidate.port and canonical_host(candidate.address) is not None
        if is_usable and self._state is not AgentState.CLOSED:
            self._connectivity.add_remote(now, candidate)
            self._drain_connectivity(now)

    def restart(self, now: float, ufrag: str, pwd: str) -> None:
        """Begin a new generation with these local credentials; the peer's and its candidates are to follow."""
        if self._state is AgentState.CLOSED:
            return
        self._connectivity.restart(ufrag, pwd)
        if self._state in (AgentState.DISCONNECTED, AgentState.FAILED):
            self._change(AgentState.CHECKING)
            self._timers.cancel(Timer.LIVENESS)
        if self._state is AgentState.CHECKING:
            self._timers.set(Timer.CONNECT, now + self._config.connect_timeout)

    def close(self, now: float) -> None:  # noqa: ARG002 - commands of all machines take the time
        """Nothing more is sent; the peer notices by silence."""
        if self._state is not AgentState.CLOSED:
            self._connectivity.generations.close()
            self._stop(AgentState.CLOSED)

    # Output

    def poll_transmits(self) -> list[Transmit]:
        return self._connectivity.poll_transmits()

    def poll_events(self) -> list[AgentEvent]:
        self._events += self._connectivity.poll_events()
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self._drops = self._drops, {}
        return drops

    # Getters

    @property
    def state(self) -> AgentState:
        return self._state

    @property
    def role(self) -> Role:
        return self._connectivity.role

    @property
    def lite(self) -> bool:
        return self._connectivity.lite

    @property
    def ufrag(self) -> str:
        """Of the newest generation."""
        return self._connectivity.generations.current.local_ufrag

    @property
    def pwd(self) -> str:
        return self._connectivity.generations.pwd

    @property
    def ufrags(self) -> tuple[str, ...]:
        """All local ufrags that requests may name now; the old one goes when the new generation selects a pair."""
        return self._connectivity.generations.ufrags

    @property
    def selected(self) -> tuple[Address, Address] | None:
        pair = self._connectivity.generations.selected
        return None if pair is None else pair.path

    @property
    def send_path(self) -> tuple[Address, Address] | None:
        """Where to send now: the selected pair, before there is one the latest that works."""
        pair = self._connectivity.generations.selected or self._connectivity.generations.latest
        return None if pair is None else pair.path

    @property
    def rtt(self) -> float | None:
        """Smoothed round trip in seconds; None before the first is known."""
        return self._connectivity.rtt

    def is_validated(self, local: Address, remote: Address) -> bool:
        return self._connectivity.generations.is_validated(local, remote)

    def next_timer(self) -> tuple[float, Timer] | None:
        """The next deadline and its reason, for logs."""
        return self._timers.next_timer()

    # Private

    def _receive(self, now: float, local: Address, remote: Address, data: bytes) -> DropReason | None:
        if self._state is AgentState.CLOSED:
            return DropReason.TRANSPORT_CLOSED
        try:
            message = parse(data)
        except FingerprintError:
            return DropReason.STUN_FINGERPRINT
        except StunError:
            return DropReason.STUN_MALFORMED
        if message.kind is Class.INDICATION:  # keeps NATs open, and says nothing
            return None
        if self._state is AgentState.FAILED:
            return DropReason.STUN_UNEXPECTED
        drop = self._connectivity.handle_message(now, local, remote, message)
        if drop is None:
            self.handle_activity(now)
        self._drain_connectivity(now)
        return drop

    def _drain_connectivity(self, now: float) -> None:
        for event in self._connectivity.poll_events():
            self._events.append(event)
            if isinstance(event, Selected):
                self._enter_path(now)

    def _enter_path(self, now: float) -> None:
        """A pair was selected."""
        if self._state is not AgentState.CONNECTED:
            self._change(AgentState.CONNECTED)
        self._timers.cancel(Timer.CONNECT)
        self._timers.set_if_unset(Timer.LIVENESS, now + self._config.disconnected_timeout)
        if not self._connectivity.lite:
            self._check_consent(now)
            if self._timers.get(Timer.KEEPALIVE) is None:
                self._arm_keepalive(now)

    def _arm_keepalive(self, now: float) -> None:
        """RFC 7675 §5.1: at random around the interval."""
        spread = (2 * random_unit(self._entropy) - 1) * self._config.keepalive_jitter
        self._timers.set(Timer.KEEPALIVE, now + self._config.keepalive_interval * (1 + spread))

    def _check_liveness(self, now: float) -> None:
        """What came since the timer was set is looked at only now, so that arrivals cost nothing."""
        at = self._last_heard + self._config.disconnected_timeout
        if self._state is AgentState.CONNECTED and now >= at:
            self._change(AgentState.DISCONNECTED)
        if self._state is AgentState.DISCONNECTED:
            at += self._config.failed_timeout
        if now >= at:
            self._stop(AgentState.FAILED)
        else:
            self._timers.set(Timer.LIVENESS, at)

    def _check_consent(self, now: float) -> None:
        """Without consent nothing may be sent, whatever else arrives (RFC 7675 §5.1)."""
        pair = self._connectivity.generations.selected
        if pair is None:
            return
        at = pair.responded_at + self._config.consent_timeout
        if now < at:
            self._timers.set(Timer.CONSENT, at)
            return
        if self._state is AgentState.CONNECTED:
            self._change(AgentState.DISCONNECTED)
        self._stop(AgentState.FAILED)

    def _give_up_connecting(self, now: float) -> None:
        """No pair in time. Where a restart was to repair a path that has come back meanwhile, that path is kept."""
        until = self._last_heard + self._config.disconnected_timeout
        if self._connectivity.generations.selected is None or now >= until:
            self._stop(AgentState.FAILED)
            return
        self._change(AgentState.CONNECTED)
        self._timers.set(Timer.LIVENESS, until)

    def _stop(self, state: AgentState) -> None:
        self._change(state)
        self._connectivity.stop()
        self._timers.cancel_all()

    def _change(self, state: AgentState) -> None:
        if state not in TRANSITIONS[self._state]:
            raise LocalProtocolError(f"an agent cannot go from {self._state} to {state}")
        self._state = state
        self._events.append(StateChanged(state))
