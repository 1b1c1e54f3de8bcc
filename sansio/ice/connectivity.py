"""Connectivity checks of an agent: requests answered, checks sent, pairs nominated (RFC 8445 §7, §8).

The half of an agent that finds paths; `agent.py`, which owns it, decides what their being there or not means. It has no
states of its own beyond those of its pairs: a request may come, and be answered, at any time. What it finds is told as
events, which the owner drains after each call. Its two timers, CHECK and NOMINATE, stand in the owner's table.
"""

from __future__ import annotations

from typing import TypeAlias

from ..entropy import Entropy
from ..errors import DropReason
from ..outputs import Address, Transmit
from ..stun import Class, ErrorCode, Message
from ..timers import TimerTable
from . import replies
from .candidate import Candidate
from .checks import Check, ChecksInFlight
from .generations import Generations
from .interface import AgentConfig, PathValidated, Role, RoleChanged, Selected, Timer
from .nomination import is_silent, nominate_at, pair_to_nominate, should_follow
from .pair import Pair, PairState

ConnectivityEvent: TypeAlias = PathValidated | RoleChanged | Selected


class Connectivity:
    """Generations, their checks, and the role they are made in."""

    __slots__ = (
        "_checks", "_config", "_entropy", "_events", "_is_stopped", "_next_check_at", "_nominating", "_tie_breaker",
        "_timers", "_transmits", "generations", "lite", "role", "rtt",
    )  # fmt: skip

    def __init__(
        self,
        *,
        role: Role,
        lite: bool,
        ufrag: str,
        pwd: str,
        tie_breaker: int,
        entropy: Entropy,
        timers: TimerTable[Timer],
        config: AgentConfig,
    ) -> None:
        self.role = role
        self.lite = lite
        self.rtt: float | None = None
        self._tie_breaker = tie_breaker
        self._entropy = entropy
        self._timers = timers
        self._config = config
        self._checks = ChecksInFlight(tie_breaker, config)
        self.generations = Generations(ufrag, pwd, self._checks, config)
        self._nominating: Pair | None = None
        self._next_check_at = 0.0
        self._is_stopped = False
        self._transmits: list[Transmit] = []
        self._events: list[ConnectivityEvent] = []

    # Input

    def handle_message(self, now: float, local: Address, remote: Address, message: Message) -> DropReason | None:
        """A request or an answer; None if it is the peer's, else why it counts for nothing."""
        if message.kind is Class.REQUEST:
            return self._handle_request(now, local, remote, message)
        return self._handle_response(now, local, remote, message)

    def handle_check_timeout(self, now: float) -> None:
        """Send again what was not answered, and start the next check if its turn has come."""
        for check in self._checks.due(now):
            if check.handle_timeout(now):
                self._send_request(check)
            else:
                self._checks.finish(check)
                self._fail_pair(now, check.pair)
        if self._may_check and now >= self._next_check_at:
            pair = self.generations.current.next_pair()
            if pair is not None:
                self._send_check(now, pair)
                self._next_check_at = now + self._config.check_interval
        self._arm_checks()

    def handle_nominate_timeout(self, now: float) -> None:
        self._consider_nomination(now)

    # Commands

    def add_local(self, candidate: Candidate, base: Address) -> None:
        self.generations.add_local(candidate, base, self.role)
        self._arm_checks()

    def add_remote(self, now: float, candidate: Candidate) -> None:
        self.generations.current.add_remote(candidate, self.role)
        self.generations.crowd_out(self.generations.current)
        self.handle_check_timeout(now)

    def begin(self, now: float, ufrag: str, pwd: str) -> None:
        """The peer's credentials for the current generation: checks may be sent."""
        self.generations.forget(self.generations.current.begin(now, ufrag, pwd))
        self.handle_check_timeout(now)

    def restart(self, ufrag: str, pwd: str) -> None:
        self.generations.restart(ufrag, pwd, keep_old=not self._is_stopped)
        self._is_stopped = False
        self._nominating = None
        self._timers.cancel(Timer.NOMINATE)
        self._arm_checks()

    def keep_alive(self, now: float) -> None:
        """A consent check on the selected pair, and a look whether another would do better."""
        pair = self.generations.selected
        if pair is None or self.lite:
            return
        self._send_request(self._checks.start_keepalive(now, pair, self.role, self._entropy(12)))
        if is_silent(now, pair, self._config):
            self._look_elsewhere(now, pair)
        self._consider_nomination(now)

    def take_role(self, role: Role) -> None:
        if role is self.role:
            return
        self.role = role
        self._nominating = None
        self.generations.current.prioritise(role)
        self._events.append(RoleChanged(role))

    def stop(self) -> None:
        """Nothing is sent any more; what waits to be sent is not."""
        self._is_stopped = True
        self.generations.clear()
        self._nominating = None
        self._timers.cancel(Timer.CHECK)
        self._timers.cancel(Timer.NOMINATE)
        self._transmits.clear()

    # Output

    def poll_transmits(self) -> list[Transmit]:
        transmits, self._transmits = self._transmits, []
        return transmits

    def poll_events(self) -> list[ConnectivityEvent]:
        events, self._events = self._events, []
        return events

    # Requests of the peer

    def _handle_request(self, now: float, local: Address, remote: Address, message: Message) -> DropReason | None:
        """RFC 8445 §7.3."""
        checklist, is_expected = self.generations.of_username(message.username)
        if checklist is None:
            return DropReason.UNKNOWN_UFRAG
        if not message.verify(checklist.local_key):
            return DropReason.STUN_INTEGRITY
        code = ErrorCode.UNKNOWN_ATTRIBUTE if message.unrecognized else self._settle_roles(message)
        if code is not None:
            self._send(local, remote, replies.refusal(message, code, checklist.local_key))
            return None
        pair = checklist.learn(local, remote, message.priority, self.role)
        if pair is None:
            return DropReason.STUN_UNEXPECTED
        self._send(local, remote, replies.success(message, remote, checklist.local_key))
        if self._validate(now, pair):
            self.generations.crowd_out(checklist, keep=pair)
        if is_expected:  # a check of ours would carry the wrong credentials otherwise
            self._act_on_request(now, pair, message.use_candidate)
        return None

    def _settle_roles(self, message: Message) -> ErrorCode | None:
        """RFC 8445 §7.3.1.1: the larger tie-breaker controls. Either we switch or the peer is told to."""
        is_controlling = self.role is Role.CONTROLLING
        theirs = message.controlling if is_controlling else message.controlled
        if theirs is None:
            return None
        wins = self._tie_breaker >= theirs
        if self.lite or wins is is_controlling:
            return ErrorCode.ROLE_CONFLICT
        self.take_role(Role.CONTROLLED if is_controlling else Role.CONTROLLING)
        return None

    def _act_on_request(self, now: float, pair: Pair, use_candidate: bool) -> None:
        selected = self.generations.selected
        if self.lite:  # the latest nomination counts
            if use_candidate or (selected is not None and is_silent(now, selected, self._config)):
                self._select(pair)
            return
        is_nomination = use_candidate and self.role is Role.CONTROLLED and pair is not selected
        if is_nomination and should_follow(now, pair, selected, self._config):
            self._follow(now, pair)
        pair.is_nominated = use_candidate
        self._trigger(now, pair)

    def _follow(self, now: float, pair: Pair) -> None:
        """The peer nominated this pair: select it if it works, else once it does (RFC 8445 §7.3.1.5)."""
        if pair.state is PairState.SUCCEEDED:
            if now < pair.responded_at + self._config.switch_after:
                self._select(pair)
                return
            pair.move(PairState.WAITING)
        pair.nominate_on_success = True

    def _trigger(self, now: float, pair: Pair) -> None:
        """Check the path that the peer just checked, at once, unless it is known to work (RFC 8445 §7.3.1.4)."""
        if not pair.checklist.remote_key:
            pair.checklist.trigger(pair)
            return
        if pair.state is PairState.FAILED:
            pair.move(PairState.WAITING)
        if pair.state is PairState.WAITING:
            self._send_check(now, pair)
        elif pair.check is not None and now >= pair.check.sent_at + self._config.check_interval:
            pair.check.resent(now)  # a NAT or firewall that held back the earlier copy is likely open now
            self._send_request(pair.check)
        self._arm_checks()

    # Answers of the peer

    def _handle_response(self, now: float, local: Address, remote: Address, message: Message) -> DropReason | None:
        """RFC 8445 §7.2.5. An answer that cannot be trusted changes nothing; the check goes on."""
        check = self._checks.get(message.transaction_id)
        if check is None:
            return DropReason.STUN_UNEXPECTED
        if not message.verify(check.pair.checklist.remote_key):
            return DropReason.STUN_INTEGRITY
        if (local, remote) != check.pair.path or message.unrecognized:
            return DropReason.STUN_UNEXPECTED
        is_check = check.pair.check is check
        self._checks.finish(check)
        if message.kind is Class.ERROR:
            self._refused(now, check, message, is_check)
        else:
            self._answered(now, check, is_check)
        self._arm_checks()
        return None

    def _answered(self, now: float, check: Check, is_check: bool) -> None:
        pair = check.pair
        if check.transmissions == 1:  # else it is not known which copy was answered
            sample = now - check.sent_at
            self.rtt = sample if self.rtt is None else self.rtt + (sample - self.rtt) / 8
        pair.responded_at = now
        self._validate(now, pair)
        self.generations.latest = pair
        if not is_check:
            return
        if pair.state is PairState.IN_PROGRESS:
            pair.move(PairState.SUCCEEDED)
        if pair is self._nominating:
            self._nominating = None
            self._select(pair)
        elif pair.nominate_on_success and self.role is Role.CONTROLLED:
            self._select(pair)
        self._consider_nomination(now)

    def _refused(self, now: float, check: Check, message: Message, is_check: bool) -> None:
        is_conflict = message.error_code == ErrorCode.ROLE_CONFLICT
        if is_conflict and check.role is self.role and not self.lite:
            self.take_role(Role.CONTROLLED if self.role is Role.CONTROLLING else Role.CONTROLLING)
        if not is_check:
            return
        if not is_conflict:
            self._fail_pair(now, check.pair)
        elif check.pair.state is PairState.IN_PROGRESS:
            check.pair.move(PairState.WAITING)
            check.pair.checklist.trigger(check.pair)

    def _fail_pair(self, now: float, pair: Pair) -> None:
        pair.move(PairState.FAILED)
        if pair is self._nominating:
            self._nominating = None
        self._consider_nomination(now)

    # Checks of ours

    @property
    def _may_check(self) -> bool:
        return not self.lite and not self._is_stopped and self.generations.current.remote_key != b""

    def _look_elsewhere(self, now: float, selected: Pair) -> None:
        """The selected pair may be dead. Controlling, check the others again, whether they worked or not; controlled,
        use the one that the peer is heard on: its NAT may have moved it without its knowing."""
        checklist = selected.checklist
        if self.role is Role.CONTROLLED:
            alive = checklist.best_succeeded(heard_since=now - self._config.switch_after)
            if alive is not None:
                self._follow(now, alive)
                self._trigger(now, alive)
        elif checklist is self.generations.current:
            for pair in checklist:
                if pair is not selected and pair.check is None and is_silent(now, pair, self._config):
                    if pair.state is not PairState.WAITING:
                        pair.move(PairState.WAITING)
                    checklist.trigger(pair)
            self.handle_check_timeout(now)

    def _arm_checks(self) -> None:
        deadline = self._checks.next_deadline()
        if self._may_check and self.generations.current.has_waiting():
            deadline = self._next_check_at if deadline is None else min(deadline, self._next_check_at)
        if deadline is None:
            self._timers.cancel(Timer.CHECK)
        else:
            self._timers.set(Timer.CHECK, deadline)

    def _send_check(self, now: float, pair: Pair, *, use_candidate: bool = False) -> None:
        if pair.state is PairState.WAITING:
            pair.move(PairState.IN_PROGRESS)
        check = self._checks.start(now, pair, self.role, self._entropy(12), use_candidate=use_candidate)
        self._send_request(check)

    def _consider_nomination(self, now: float) -> None:
        if self.role is Role.CONTROLLED or self._nominating is not None:
            return
        checklist = self.generations.current
        selected = self.generations.selected
        pair = pair_to_nominate(now, checklist, selected, self._config)
        if pair is None:
            return
        at = nominate_at(checklist, pair, self._config)
        if at > now:
            self._timers.set(Timer.NOMINATE, at)
            return
        self._nominating = pair
        self._send_check(now, pair, use_candidate=True)
        self._arm_checks()

    def _select(self, pair: Pair) -> None:
        if pair is self.generations.selected:
            return
        self.generations.select(pair, self.role)
        self._timers.cancel(Timer.NOMINATE)
        self._events.append(Selected(*pair.path))
        self._arm_checks()

    def _validate(self, now: float, pair: Pair) -> bool:
        """Something authenticated came by this path; whether it is the first."""
        pair.heard_at = now
        if pair.is_validated:
            return False
        pair.is_validated = True
        self._events.append(PathValidated(*pair.path))
        latest = self.generations.latest
        if latest is None or latest.state is not PairState.SUCCEEDED:
            self.generations.latest = pair
        return True

    def _send_request(self, check: Check) -> None:
        self._send(*check.pair.path, check.data)

    def _send(self, local: Address, remote: Address, data: bytes) -> None:
        self._transmits.append(Transmit(local, remote, data))
