"""One agent against single messages, hostile ones above all."""

from __future__ import annotations

import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from ice_world import World

from sansio.entropy import SeededEntropy
from sansio.errors import DropReason
from sansio.ice import Agent, AgentConfig, AgentState, Candidate, PathValidated, Role
from sansio.ice.agent import TRANSITIONS
from sansio.outputs import Address, Transmit
from sansio.stun import Class, ErrorCode, Message, encode, parse

A = ("10.0.0.1", 7882)
B = ("10.0.0.2", 50000)
C = ("203.0.113.3", 6000)
OUR_KEY, THEIR_KEY = b"our-password-of-32-letters------", b"their-password-of-24----"
OUR_TIE = 1 << 63


def make(
    role: Role = Role.CONTROLLED, *, lite: bool = False, known: bool = True, config: AgentConfig | None = None
) -> Agent:
    agent = Agent(
        role=role,
        lite=lite,
        ufrag="ours",
        pwd=OUR_KEY.decode(),
        tie_breaker=OUR_TIE,
        entropy=SeededEntropy(1),
        config=config or AgentConfig(),
    )
    agent.add_local_candidate(Candidate.host(A), A)
    if known:
        agent.set_remote_credentials(0.0, "theirs", THEIR_KEY.decode())
        agent.poll_events()
    return agent


def request(
    number: int = 1,
    *,
    key: bytes = OUR_KEY,
    username: str | None = "ours:theirs",
    priority: int | None = 1 << 24,
    use_candidate: bool = False,
    controlling: int | None = 7,
    controlled: int | None = None,
) -> bytes:
    message = Message(
        kind=Class.REQUEST,
        transaction_id=number.to_bytes(12, "big"),
        username=username,
        priority=priority,
        use_candidate=use_candidate,
        controlling=controlling,
        controlled=controlled,
    )
    return encode(message, key)


def answer(transmit: Transmit, key: bytes = THEIR_KEY, code: int | None = None) -> bytes:
    return encode(
        Message(
            kind=Class.SUCCESS if code is None else Class.ERROR,
            transaction_id=parse(transmit.data).transaction_id,
            mapped_address=transmit.local if code is None else None,
            error_code=code,
        ),
        key,
    )


def with_unknown_attribute(data: bytes, key: bytes) -> bytes:
    """The same message with an attribute that must be understood, signed again."""
    message = parse(data)
    bare = encode(message, fingerprint=False)
    body = bare[20:] + bytes.fromhex("7f010000")
    mac_at = bare[:2] + (len(body) + 24).to_bytes(2, "big") + bare[4:20] + body
    return mac_at + bytes.fromhex("00080014") + hmac.digest(key, mac_at, "sha1")


# Requests


def test_a_success_response_is_signed_and_tells_the_source() -> None:
    agent = make(known=False)
    agent.handle_stun(1.0, A, C, request(5))
    (reply,) = agent.poll_transmits()
    message = parse(reply.data)
    assert (reply.local, reply.remote) == (A, C)
    assert message.kind is Class.SUCCESS
    assert message.transaction_id == (5).to_bytes(12, "big")
    assert message.mapped_address == C
    assert message.verify(OUR_KEY)
    assert reply.data[-8:-6] == b"\x80\x28"
    assert len(reply.data) <= len(request(5))


def test_ipv6_sources_are_answered() -> None:
    base, remote = ("2001:db8::1", 1), ("2001:db8::2", 2)
    agent = make(known=False)
    agent.add_local_candidate(Candidate.host(base), base)
    agent.handle_stun(1.0, base, remote, request())
    (reply,) = agent.poll_transmits()
    assert parse(reply.data).mapped_address == remote


def test_a_request_triggers_one_check_and_repeats_do_not() -> None:
    agent = make()
    agent.handle_stun(1.0, A, C, request(1))
    _, check = agent.poll_transmits()
    assert parse(check.data).kind is Class.REQUEST
    assert (check.local, check.remote) == (A, C)
    message = parse(check.data)
    assert message.username == "theirs:ours"
    assert message.controlled == OUR_TIE
    assert message.controlling is None
    assert message.priority == 110 << 24 | 65535 << 8 | 255
    assert message.verify(THEIR_KEY)
    agent.handle_stun(1.01, A, C, request(2))
    assert len(agent.poll_transmits()) == 1
    agent.handle_stun(1.2, A, C, answer(check))
    for number in range(3, 20):
        agent.handle_stun(1.2, A, C, request(number))
        assert [parse(t.data).kind for t in agent.poll_transmits()] == [Class.SUCCESS]


def test_a_request_repeats_a_check_that_is_still_open() -> None:
    """The earlier copy may have met a NAT that was not open yet."""
    agent = make()
    agent.handle_stun(1.0, A, C, request(1))
    _, check = agent.poll_transmits()
    agent.handle_stun(1.1, A, C, request(2))
    _, again = agent.poll_transmits()
    assert again == check


def test_a_nomination_selects_once_our_check_is_answered() -> None:
    agent = make()
    agent.handle_stun(1.0, A, C, request(1, use_candidate=True))
    _, check = agent.poll_transmits()
    assert agent.poll_events() == [PathValidated(A, C)]
    assert agent.send_path == (A, C)
    agent.handle_stun(1.1, A, C, answer(check))
    assert agent.selected == (A, C)
    assert agent.state is AgentState.CONNECTED


def test_unauthenticated_datagrams_leave_no_trace() -> None:
    cases = [
        (b"", DropReason.STUN_MALFORMED),
        (b"\0\1" + bytes(30), DropReason.STUN_MALFORMED),
        (request()[:-1] + b"\0", DropReason.STUN_FINGERPRINT),
        (request(username=None), DropReason.UNKNOWN_UFRAG),
        (request(username="other:theirs"), DropReason.UNKNOWN_UFRAG),
        (request(username="theirs:ours"), DropReason.UNKNOWN_UFRAG),
        (request(key=b""), DropReason.STUN_INTEGRITY),
        (request(key=b"guess"), DropReason.STUN_INTEGRITY),
        (request(key=THEIR_KEY), DropReason.STUN_INTEGRITY),
        (with_unknown_attribute(request(), b"guess"), DropReason.STUN_INTEGRITY),
        (encode(Message(kind=Class.SUCCESS, transaction_id=bytes(12)), THEIR_KEY), DropReason.STUN_UNEXPECTED),
        (encode(Message(kind=Class.ERROR, transaction_id=bytes(12), error_code=487)), DropReason.STUN_UNEXPECTED),
    ]
    for lite in (False, True):
        agent = make(lite=lite)
        agent.poll_transmits()
        timeout = agent.poll_timeout()
        for data, reason in cases:
            agent.handle_stun(5.0, A, C, data)
            assert agent.poll_drops() == {reason: 1}
            assert agent.poll_transmits() == []
            assert agent.poll_events() == []
        assert agent.poll_timeout() == timeout
        assert not agent.is_validated(A, C)
        assert agent.send_path is None


def test_unauthenticated_datagrams_are_no_sign_of_life() -> None:
    world = World()
    server, client = world.add("server", [A], Role.CONTROLLED), world.add("client", [B], Role.CONTROLLING)
    world.connect(server, client)
    world.settle(server, client)
    world.dead.add(B)
    for _ in range(200):
        server.agent.handle_stun(world.now, A, B, request(username=f"{server.agent.ufrag}:x", key=b"guess"))
        world.run(0.1)
    assert server.agent.state is AgentState.FAILED


def test_unknown_attributes_are_refused_to_those_who_know_the_password() -> None:
    agent = make()
    agent.handle_stun(1.0, A, C, with_unknown_attribute(request(), OUR_KEY))
    (reply,) = agent.poll_transmits()
    message = parse(reply.data)
    assert (message.kind, message.error_code) == (Class.ERROR, ErrorCode.UNKNOWN_ATTRIBUTE)
    assert message.unknown_attributes == (0x7F01,)
    assert message.verify(OUR_KEY)
    assert agent.poll_events() == []
    assert not agent.is_validated(A, C)


def test_a_role_conflict_is_answered_before_anything_is_learned() -> None:
    agent = make(Role.CONTROLLING)
    agent.handle_stun(1.0, A, C, request(controlling=OUR_TIE))
    (reply,) = agent.poll_transmits()
    assert parse(reply.data).error_code == 487
    assert parse(reply.data).verify(OUR_KEY)
    assert not agent.is_validated(A, C)
    agent.handle_stun(1.0, A, C, request(controlling=OUR_TIE + 1))
    assert agent.role is Role.CONTROLLED
    assert agent.is_validated(A, C)


def test_a_controlled_agent_with_the_larger_tie_breaker_takes_control() -> None:
    agent = make(Role.CONTROLLED)
    agent.handle_stun(1.0, A, C, request(controlling=None, controlled=OUR_TIE + 1))
    assert parse(agent.poll_transmits()[0].data).error_code == 487
    agent.handle_stun(1.0, A, C, request(controlling=None, controlled=OUR_TIE))
    assert agent.role is Role.CONTROLLING


def test_requests_without_role_or_priority_are_taken() -> None:
    agent = make()
    agent.handle_stun(1.0, A, C, request(controlling=None, priority=None))
    assert agent.poll_events() == [PathValidated(A, C)]


def test_a_request_on_a_socket_of_someone_else_is_dropped() -> None:
    agent = make()
    agent.handle_stun(1.0, B, C, request())
    assert agent.poll_drops() == {DropReason.STUN_UNEXPECTED: 1}
    assert agent.poll_transmits() == []


def test_a_request_of_an_unexpected_generation_is_answered_and_not_checked_back() -> None:
    """The peer has restarted and its offer is on the way: our check would carry credentials it no longer has."""
    agent = make()
    agent.handle_stun(1.0, A, C, request(username="ours:newer", use_candidate=True))
    assert [parse(t.data).kind for t in agent.poll_transmits()] == [Class.SUCCESS]
    assert agent.is_validated(A, C)


def test_indications_are_quiet() -> None:
    agent = make()
    agent.handle_stun(1.0, A, C, encode(Message(kind=Class.INDICATION, transaction_id=bytes(12)), OUR_KEY))
    assert (agent.poll_drops(), agent.poll_transmits(), agent.poll_events()) == ({}, [], [])


# Responses


def checking() -> tuple[Agent, Transmit]:
    agent = make(Role.CONTROLLING)
    agent.add_remote_candidate(0.0, Candidate.host(B))
    (check,) = agent.poll_transmits()
    return agent, check


def test_an_answer_that_cannot_be_trusted_changes_nothing() -> None:
    agent, check = checking()
    agent.handle_stun(0.1, A, B, answer(check, OUR_KEY))
    agent.handle_stun(0.1, A, B, answer(check, b""))
    agent.handle_stun(0.1, A, B, answer(check, b"", code=401))
    assert agent.poll_drops() == {DropReason.STUN_INTEGRITY: 3}
    agent.handle_stun(0.1, A, C, answer(check))
    agent.handle_stun(0.1, B, B, answer(check))
    agent.handle_stun(0.1, A, B, with_unknown_attribute(answer(check), THEIR_KEY))
    assert agent.poll_drops() == {DropReason.STUN_UNEXPECTED: 3}
    assert agent.poll_events() == []
    agent.handle_timeout(0.25)
    assert agent.poll_transmits() == [check]
    agent.handle_stun(0.3, A, B, answer(check))
    assert agent.poll_events() == [PathValidated(A, B)]
    assert agent.rtt is None  # which copy was answered is not known


def test_an_answer_counts_once() -> None:
    agent, check = checking()
    agent.handle_stun(0.1, A, B, answer(check))
    agent.handle_stun(0.1, A, B, answer(check))
    assert agent.poll_drops() == {DropReason.STUN_UNEXPECTED: 1}


def test_a_controlling_agent_nominates_with_a_second_check() -> None:
    agent, check = checking()
    assert not parse(check.data).use_candidate
    agent.handle_stun(0.1, A, B, answer(check))
    (nomination,) = agent.poll_transmits()
    assert parse(nomination.data).use_candidate
    assert agent.selected is None
    agent.handle_stun(0.2, A, B, answer(nomination))
    assert agent.selected == (A, B)


def test_a_refused_check_fails_its_pair_until_the_peer_checks_it() -> None:
    agent, check = checking()
    agent.handle_stun(0.1, A, B, answer(check, code=400))
    agent.handle_timeout(5.0)
    assert agent.poll_transmits() == []
    agent.handle_stun(6.0, A, B, request(controlling=None, controlled=3))
    assert [parse(t.data).kind for t in agent.poll_transmits()] == [Class.SUCCESS, Class.REQUEST]


def test_a_refused_nomination_gives_way_to_the_next_pair() -> None:
    agent, check = checking()
    agent.add_remote_candidate(0.0, Candidate.host(C, local_preference=1))
    agent.handle_timeout(0.05)
    (other,) = agent.poll_transmits()
    agent.handle_stun(0.1, A, B, answer(check))
    agent.handle_stun(0.1, A, C, answer(other))
    (nomination,) = agent.poll_transmits()
    assert nomination.remote == B
    agent.handle_stun(0.2, A, B, answer(nomination, code=500))
    (second,) = agent.poll_transmits()
    assert second.remote == C
    assert parse(second.data).use_candidate


def test_a_conflict_switches_once_for_checks_that_crossed() -> None:
    agent, check = checking()
    agent.add_remote_candidate(0.0, Candidate.host(C))
    agent.handle_timeout(0.05)
    (other,) = agent.poll_transmits()
    agent.handle_stun(0.1, A, B, answer(check, code=487))
    agent.handle_stun(0.1, A, C, answer(other, code=487))
    assert agent.role is Role.CONTROLLED
    agent.handle_timeout(0.15)
    agent.handle_timeout(0.25)
    retries = [parse(t.data) for t in agent.poll_transmits()]
    assert len(retries) == 2
    assert all(m.controlled == OUR_TIE and m.controlling is None for m in retries)


def test_a_peer_that_always_sees_conflicts_is_asked_at_the_pace_of_checks() -> None:
    agent, check = checking()
    now, count = 0.0, 0
    while now < 5.0:
        agent.handle_stun(now, A, B, answer(check, code=487))
        while not (sent := agent.poll_transmits()):
            now = agent.poll_timeout() or 99.0
            agent.handle_timeout(now)
        (check,) = sent
        count += 1
    assert count <= 101


def test_a_nomination_that_meets_a_conflict_leaves_the_pair_working() -> None:
    agent, check = checking()
    agent.handle_stun(0.1, A, B, answer(check))
    (nomination,) = agent.poll_transmits()
    agent.handle_stun(0.2, A, B, answer(nomination, code=487))
    assert agent.role is Role.CONTROLLED
    agent.handle_stun(0.3, A, B, request(use_candidate=True))
    assert agent.selected == (A, B)


# Nominations of the peer


def nominate(agent: Agent, now: float, remote: Address, number: int, *, use_candidate: bool = True) -> None:
    """The peer checks from `remote`, and answers whatever we ask back."""
    agent.handle_stun(now, A, remote, request(number, use_candidate=use_candidate, priority=number_priority(remote)))
    for transmit in agent.poll_transmits():
        if parse(transmit.data).kind is Class.REQUEST:
            agent.handle_stun(now, *transmit[:2], answer(transmit))


def number_priority(remote: Address) -> int:
    return {B: 200 << 16, C: 100 << 16}[remote]


def test_the_peer_moves_to_a_worse_pair() -> None:
    """As libwebrtc does when it changes networks: USE-CANDIDATE moves, checks of the old pair go on without it."""
    agent = make()
    nominate(agent, 1.0, B, 1)
    assert agent.selected == (A, B)
    nominate(agent, 2.0, C, 2)
    assert agent.selected == (A, C)
    nominate(agent, 2.1, B, 3, use_candidate=False)
    assert agent.selected == (A, C)
    nominate(agent, 2.2, B, 4)
    assert agent.selected == (A, B)
    nominate(agent, 2.3, B, 5, use_candidate=False)
    nominate(agent, 2.4, C, 6)
    assert agent.selected == (A, C)


def test_a_peer_that_nominates_everything_means_the_best() -> None:
    agent = make()
    for step in range(20):
        nominate(agent, 1.0 + step / 10, B, 2 * step)
        nominate(agent, 1.05 + step / 10, C, 2 * step + 1)
        if step > 1:
            assert agent.selected == (A, B)


def test_a_worse_nomination_is_followed_when_the_better_pair_is_silent() -> None:
    agent = make()
    for step in range(3):
        nominate(agent, 1.0 + step / 10, B, 2 * step)
        nominate(agent, 1.05 + step / 10, C, 2 * step + 1)
    nominate(agent, 1.5, B, 7)
    assert agent.selected == (A, B)
    nominate(agent, 7.0, C, 8)
    assert agent.selected == (A, C)


def test_a_success_of_long_ago_is_renewed_before_the_pair_is_selected() -> None:
    agent = make()
    nominate(agent, 1.0, C, 1, use_candidate=False)
    nominate(agent, 1.0, B, 2)
    agent.handle_stun(20.0, A, C, request(3, use_candidate=True))
    check = agent.poll_transmits()[-1]
    assert agent.selected == (A, B)
    assert (parse(check.data).kind, check.remote) == (Class.REQUEST, C)
    agent.handle_stun(20.0, A, C, answer(check))
    assert agent.selected == (A, C)


def test_a_pair_that_moved_without_a_nomination_is_followed_when_the_old_one_is_silent() -> None:
    """A NAT gave the peer another port; pion nominates once, and does not know of it."""
    for lite in (False, True):
        agent = make(lite=lite)
        nominate(agent, 1.0, B, 1)
        number, now = 1, 1.0
        while now < 12.0:
            number, now = number + 1, now + 0.5
            nominate(agent, now, C, number, use_candidate=False)
            agent.handle_timeout(now)
            for transmit in agent.poll_transmits():
                if transmit.remote == C:
                    agent.handle_stun(now, *transmit[:2], answer(transmit))
        assert agent.selected == (A, C)
        assert agent.state is AgentState.CONNECTED


# Limits


def test_learned_candidates_are_bounded_and_the_selected_one_stays() -> None:
    agent = make()
    nominate(agent, 1.0, B, 1)
    for port in range(1, 1000):
        agent.handle_stun(1.0, A, ("203.0.113.77", port), request(port + 10))
    agent.poll_transmits()
    assert agent.selected == (A, B)
    assert agent.is_validated(A, B)
    validated = [port for port in range(1, 1000) if agent.is_validated(A, ("203.0.113.77", port))]
    assert validated == list(range(993, 1000))
    assert agent.send_path == (A, B)


def test_before_a_selection_the_send_path_is_one_that_exists() -> None:
    agent = make()
    for port in range(1, 100):
        agent.handle_stun(1.0, A, ("203.0.113.77", port), request(port))
        path = agent.send_path
        assert path is None or agent.is_validated(*path)
    assert agent.send_path is not None


def test_signalled_candidates_are_bounded() -> None:
    agent = make(Role.CONTROLLING, config=AgentConfig(max_remote_candidates=5))
    for port in range(1, 50):
        agent.add_remote_candidate(0.0, Candidate.host(("10.1.0.1", port)))
    now = 0.0
    remotes = set()
    while now < 1.0:
        now = agent.poll_timeout() or 99.0
        agent.handle_timeout(now)
        remotes |= {t.remote for t in agent.poll_transmits()}
    assert len(remotes) == 5


def test_pairs_are_bounded_and_the_best_stay() -> None:
    agent = make(Role.CONTROLLING, config=AgentConfig(max_pairs=3))
    for preference in range(1, 30):
        agent.add_remote_candidate(0.0, Candidate.host(("10.1.0.1", preference), local_preference=preference))
    agent.poll_transmits()
    now, ports = 0.0, set()
    while now < 0.24:
        now = agent.poll_timeout() or 99.0
        agent.handle_timeout(now)
        ports |= {t.remote[1] for t in agent.poll_transmits()}
    assert ports == {27, 28, 29}


def test_unusable_candidates_are_passed_over() -> None:
    agent = make(Role.CONTROLLING)
    for text in (
        "candidate:1 1 tcp 1518280447 10.0.0.9 9 typ host tcptype active",
        "candidate:1 1 udp 2130706431 0a7e9f2b-0c6f-4d6d-8f5e-1234567890ab.local 5000 typ host",
        "candidate:1 1 udp 2130706431 10.0.0.9 0 typ host",
    ):
        agent.add_remote_candidate(0.0, Candidate.parse(text))
        agent.add_local_candidate(Candidate.parse(text.replace(" 0 typ", " 1 typ")), ("10.0.0.8", 1))
    assert agent.poll_transmits() == []


# Everything at once


def test_every_state_can_be_closed() -> None:
    for state, then in TRANSITIONS.items():
        assert (AgentState.CLOSED in then) is (state is not AgentState.CLOSED)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 8.0)),
        st.tuples(st.just("signal"), st.integers(0, 1)),
        st.tuples(st.just("restart"), st.integers(0, 1)),
        st.tuples(st.just("cut"), st.integers(0, 2)),
        st.tuples(st.just("mend"), st.just(0)),
        st.tuples(st.just("noise"), st.binary(max_size=60)),
        st.tuples(st.just("replay"), st.integers(0, 1000)),
        st.tuples(st.just("activity"), st.integers(0, 1)),
        st.tuples(st.just("lite"), st.integers(0, 1)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    operations=operations,
    roles=st.tuples(st.sampled_from(Role), st.sampled_from(Role)),
    lite=st.booleans(),
    loss=st.sampled_from([0.0, 0.4]),
    seed=st.integers(0, 1000),
)
def test_no_order_of_events_breaks_an_agent(
    operations: list[tuple[str, object]], roles: tuple[Role, Role], lite: bool, loss: float, seed: int
) -> None:
    world = World(seed, loss=loss, jitter=0.05)
    hosts = [world.add("server", [A], roles[0], lite=lite), world.add("client", [B, C], roles[1])]
    for name, value in operations:
        match name, value:
            case "wait", float(seconds):
                world.run(seconds)
            case "signal", int(index):
                world.signal(hosts[index], hosts[1 - index])
            case "restart", int(index):
                hosts[index].agent.restart(world.now, *world.fresh())
            case "cut", int(index):
                world.dead.add([A, B, C][index])
            case "mend", _:
                world.dead.clear()
            case "noise", bytes(data):
                hosts[0].agent.handle_stun(world.now, A, B, data)
            case "replay", int(index) if hosts[1].sent:
                transmit = hosts[1].sent[index % len(hosts[1].sent)][1]
                hosts[0].agent.handle_stun(world.now, A, ("198.51.100.4", index), transmit.data)
            case "activity", int(index):
                hosts[index].agent.handle_activity(world.now)
            case "lite", int(index):
                hosts[index].agent.set_remote_lite(True)
    world.run(1)
    for host in hosts:
        check_invariants(host.agent)


def check_invariants(agent: Agent) -> None:
    if agent.state in (AgentState.CONNECTED, AgentState.DISCONNECTED):
        assert agent.selected is not None
    if agent.state in (AgentState.FAILED, AgentState.CLOSED):
        assert agent.selected is None
        assert agent.poll_timeout() is None
    if agent.selected is not None:
        assert agent.send_path == agent.selected
        assert agent.is_validated(*agent.selected)
    assert agent.ufrag in agent.ufrags
    assert len(agent.ufrags) <= 2
