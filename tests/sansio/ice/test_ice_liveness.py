"""Keepalives, consent, silence and closing, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ice_world import Host, World

from sansio.errors import DropReason
from sansio.ice import AgentConfig, AgentState, Candidate, Role
from sansio.stun import Class, parse

A = ("10.0.0.1", 7882)
B = ("10.0.0.2", 50000)
CHECKING, CONNECTED = AgentState.CHECKING, AgentState.CONNECTED
DISCONNECTED, FAILED, CLOSED = AgentState.DISCONNECTED, AgentState.FAILED, AgentState.CLOSED

both_roles = pytest.mark.parametrize("role", [Role.CONTROLLED, Role.CONTROLLING], ids=["publisher", "subscriber"])


def connected(
    role: Role = Role.CONTROLLED, *, seed: int = 1, config: AgentConfig | None = None
) -> tuple[World, Host, Host]:
    world = World(seed)
    other = Role.CONTROLLED if role is Role.CONTROLLING else Role.CONTROLLING
    server, client = world.add("server", [A], role, config=config), world.add("client", [B], other)
    world.connect(server, client)
    world.settle(server, client)
    world.run(0.5)
    return world, server, client


def requests_since(host: Host, start: float) -> list[float]:
    return [at for at, transmit in host.sent if at >= start and parse(transmit.data).kind is Class.REQUEST]


@both_roles
def test_keepalives_go_out_every_two_seconds_more_or_less(role: Role) -> None:
    world, server, _ = connected(role)
    start = world.now
    world.run(200)
    times = requests_since(server, start)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 1.6
    assert max(gaps) <= 2.4
    assert 1.9 < sum(gaps) / len(gaps) < 2.1
    assert len({round(gap, 6) for gap in gaps}) > 50


@both_roles
def test_keepalives_nominate_again_only_when_controlling(role: Role) -> None:
    world, server, _ = connected(role)
    start = world.now
    world.run(10)
    keepalives = [parse(t.data) for at, t in server.sent if at > start]
    assert {m.use_candidate for m in keepalives if m.kind is Class.REQUEST} == {role is Role.CONTROLLING}


@both_roles
def test_a_stall_after_which_consent_and_silence_are_due_together_fails_it_once(role: Role) -> None:
    world, server, _ = connected(role)
    for second in range(1, 26):  # heard all along, and never answered
        server.agent.handle_activity(world.now + second)
        server.agent.handle_timeout(world.now + second)
        assert server.agent.state is CONNECTED
    server.agent.handle_timeout(world.now + 120)
    assert server.agent.state is FAILED
    assert server.agent.poll_timeout() is None


@both_roles
def test_silence_disconnects_and_then_fails(role: Role) -> None:
    world, server, _ = connected(role)
    world.dead.add(B)
    start = world.now
    world.run(60)
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, FAILED]
    assert 8 < server.state_at(DISCONNECTED) - start <= 10.1
    assert server.state_at(FAILED) - server.state_at(DISCONNECTED) == pytest.approx(5)
    assert server.agent.selected is None
    assert server.agent.send_path is None
    assert max(at for at, _ in server.sent) <= server.state_at(FAILED)
    assert server.agent.poll_timeout() is None


@both_roles
def test_a_peer_that_comes_back_in_time_is_connected_again(role: Role) -> None:
    world, server, client = connected(role)
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is DISCONNECTED, 20)
    world.dead.clear()
    world.run(60)
    for host in (server, client):
        assert host.agent.state is CONNECTED
        assert FAILED not in host.states
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, CONNECTED]
    assert server.agent.selected == (A, B)


def test_packets_alone_keep_the_state_but_not_the_consent() -> None:
    """The peer's packets arrive, its answers do not: after 30 s nothing may be sent (RFC 7675 §5.1)."""
    world, server, _ = connected()
    world.filter = lambda _: False
    start = world.now
    while world.now < start + 40 and server.agent.state is not FAILED:
        server.agent.handle_activity(world.now)
        world.run(0.1)
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, FAILED]
    assert 27 < server.state_at(FAILED) - start <= 30.2
    assert server.state_at(FAILED) == server.state_at(DISCONNECTED)


def test_packets_reconnect_a_disconnected_agent() -> None:
    world, server, _ = connected()
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is DISCONNECTED, 20)
    server.agent.handle_activity(world.now)
    world.run(9)
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, CONNECTED]
    world.run(2)
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, CONNECTED, DISCONNECTED]


def test_requests_of_the_peer_alone_keep_the_state_but_not_the_consent() -> None:
    world, server, _ = connected()
    world.filter = lambda transmit: transmit.local == B and parse(transmit.data).kind is Class.REQUEST
    start = world.now
    world.run_until(lambda: server.agent.state is FAILED, 40)
    assert 27 < server.state_at(FAILED) - start <= 30.2


def test_a_failed_agent_is_mute() -> None:
    world, server, client = connected()
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is FAILED, 30)
    world.dead.clear()
    server.agent.poll_drops()
    sent = len(server.sent)
    world.run(30)
    assert len(server.sent) == sent
    assert server.agent.state is FAILED
    assert client.agent.state is FAILED
    server.agent.add_remote_candidate(world.now, Candidate.host(B))
    server.agent.handle_activity(world.now)
    world.run(5)
    assert len(server.sent) == sent


def test_the_timeouts_are_tunable() -> None:
    config = AgentConfig(disconnected_timeout=3, failed_timeout=2, keepalive_interval=0.5, keepalive_jitter=0)
    world, server, _ = connected(config=config)
    start = world.now
    world.run(5)
    assert len(requests_since(server, start)) == 10
    world.dead.add(B)
    start = world.now
    world.run(6)
    assert 2 < server.state_at(DISCONNECTED) - start <= 3.1
    assert server.state_at(FAILED) - server.state_at(DISCONNECTED) == pytest.approx(2)


@pytest.mark.parametrize("when", ["new", "checking", "connected", "failed"])
def test_closing_ends_everything(when: str) -> None:
    world = World()
    server, client = world.add("server", [A], Role.CONTROLLED), world.add("client", [B], Role.CONTROLLING)
    if when != "new":
        world.signal(client, server)
    if when == "connected":
        world.signal(server, client)
        world.settle(server, client)
    if when == "failed":
        world.run(20)
        assert server.agent.state is FAILED
    sent = len(server.sent)
    server.agent.close(world.now)
    server.agent.close(world.now)
    world.signal(server, client)
    world.signal(client, server)
    server.agent.restart(world.now, "again", "p" * 24)
    server.agent.add_local_candidate(Candidate.host(A), A)
    world.run(30)
    assert server.states[-1] is CLOSED
    assert server.states.count(CLOSED) == 1
    assert len(server.sent) == sent
    assert server.agent.poll_timeout() is None
    assert server.agent.selected is None
    assert set(server.agent.poll_drops()) == {DropReason.TRANSPORT_CLOSED}


def test_the_round_trip_follows_the_network_slowly() -> None:
    world, server, _ = connected()
    assert server.agent.rtt == pytest.approx(0.04)
    world.latency = 0.1
    world.run(2.5)
    assert server.agent.rtt is not None
    assert 0.04 < server.agent.rtt < 0.1
    world.run(120)
    assert server.agent.rtt == pytest.approx(0.2, rel=0.01)


def test_the_next_timer_has_a_name() -> None:
    _, server, _ = connected()
    timer = server.agent.next_timer()
    assert timer is not None
    assert (timer[0], timer[1].value) == (server.agent.poll_timeout(), "keepalive")
