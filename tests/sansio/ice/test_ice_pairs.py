"""Agents with each other in virtual time: connecting, roles, loss and NATs."""

from __future__ import annotations

import pytest
from ice_world import Host, World

from sansio.ice import AgentConfig, AgentState, Candidate, CandidateType, PathValidated, Role, RoleChanged, Selected
from sansio.outputs import Address, Transmit
from sansio.stun import Class, parse

A = ("10.0.0.1", 7882)
B = ("10.0.0.2", 50000)
B2 = ("192.168.7.7", 50001)
A6 = ("2001:db8::1", 7882)
B6 = ("2001:db8::2", 50000)

CONTROLLING, CONTROLLED = Role.CONTROLLING, Role.CONTROLLED
CONNECTED_ONCE = [AgentState.CHECKING, AgentState.CONNECTED]
both_layouts = pytest.mark.parametrize(
    ("server_role", "client_role"),
    [(CONTROLLED, CONTROLLING), (CONTROLLING, CONTROLLED)],
    ids=["publisher", "subscriber"],
)


def requests(host: Host) -> list[Transmit]:
    return [transmit for _, transmit in host.sent if parse(transmit.data).kind is Class.REQUEST]


@both_layouts
@pytest.mark.parametrize("addresses", [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_two_full_agents_connect_and_stay(
    server_role: Role, client_role: Role, addresses: tuple[Address, Address]
) -> None:
    world = World()
    server = world.add("server", [addresses[0]], server_role)
    client = world.add("client", [addresses[1]], client_role)
    world.connect(server, client)
    world.settle(server, client, seconds=0.2)
    world.run(120)
    assert server.agent.selected == server.agent.send_path == addresses
    assert client.agent.selected == addresses[::-1]
    assert server.states == client.states == CONNECTED_ONCE
    assert (server.agent.role, client.agent.role) == (server_role, client_role)
    assert len(server.selections) == len(client.selections) == 1
    assert server.agent.rtt == pytest.approx(0.04)


@both_layouts
def test_dual_stack_agents_pair_only_within_a_family(server_role: Role, client_role: Role) -> None:
    world = World()
    server = world.add("server", [A, A6], server_role)
    client = world.add("client", [B, B6], client_role)
    world.connect(server, client)
    world.settle(server, client)
    world.run(5)
    for _, transmit in server.sent + client.sent:
        assert (":" in transmit.local[0]) == (":" in transmit.remote[0])


def test_events_come_in_order() -> None:
    world = World()
    server, client = world.add("server", [A], CONTROLLED), world.add("client", [B], CONTROLLING)
    world.connect(server, client)
    world.settle(server, client)
    kinds = [type(event).__name__ for _, event in server.events]
    assert kinds == ["StateChanged", "PathValidated", "Selected", "StateChanged"]
    assert server.events[1][1] == PathValidated(A, B)
    assert server.events[2][1] == Selected(A, B)
    assert server.agent.is_validated(A, B)
    assert not server.agent.is_validated(A, B2)


@both_layouts
def test_the_connected_pair_is_quiet(server_role: Role, client_role: Role) -> None:
    """Two agents that answered checks with checks would fill the line (one keepalive and one answer each in 2 s)."""
    world = World()
    server, client = world.add("server", [A], server_role), world.add("client", [B], client_role)
    world.connect(server, client)
    world.settle(server, client)
    already = len(server.sent)
    assert already <= 6
    world.run(100)
    assert 90 <= len(server.sent) - already <= 115


# Lite


@pytest.mark.parametrize("client_role", [CONTROLLING, CONTROLLED], ids=["client offers", "lite offers"])
def test_a_full_client_controls_a_lite_server(client_role: Role) -> None:
    world = World()
    server = world.add("server", [A], CONTROLLING, lite=True)
    client = world.add("client", [B], client_role)
    assert server.agent.role is CONTROLLED
    world.connect(server, client)
    world.settle(server, client, seconds=0.2)
    world.run(60)
    assert (server.agent.role, client.agent.role) == (CONTROLLED, CONTROLLING)
    assert server.states == client.states == CONNECTED_ONCE
    assert server.agent.selected == (A, B)
    assert requests(server) == []
    assert server.agent.rtt is None


def test_a_lite_server_needs_nothing_but_its_own_password() -> None:
    world = World()
    server, client = world.add("server", [A], CONTROLLED, lite=True), world.add("client", [B], CONTROLLING)
    world.signal(server, client)
    world.settle(server, client)
    assert server.states == [AgentState.CONNECTED]


def test_a_lite_server_that_hears_nothing_fails() -> None:
    world = World()
    server, client = world.add("server", [A], CONTROLLED, lite=True), world.add("client", [B], CONTROLLING)
    world.connect(server, client)
    world.settle(server, client)
    world.dead.add(B)
    world.run(20)
    assert server.states == [*CONNECTED_ONCE, AgentState.DISCONNECTED, AgentState.FAILED]


def test_a_lite_server_follows_the_latest_nomination() -> None:
    world = World()
    server = world.add("server", [A], CONTROLLED, lite=True)
    client = world.add("client", [B, B2], CONTROLLING)
    world.connect(server, client)
    world.settle(server, client)
    first = client.agent.selected
    assert first is not None
    world.dead.add(first[0])
    world.run(12)
    assert client.agent.selected != first
    assert server.agent.selected is not None
    assert server.agent.selected[::-1] == client.agent.selected


def test_a_lite_server_refuses_a_client_that_will_not_control() -> None:
    """The client was not told that the server is lite; the conflict tells it."""
    world = World()
    server, client = world.add("server", [A], CONTROLLED, lite=True), world.add("client", [B], CONTROLLED)
    client.agent.set_remote_credentials(world.now, server.agent.ufrag, server.agent.pwd)
    client.agent.add_remote_candidate(world.now, Candidate.host(A))
    world.signal(client, server)
    world.settle(server, client, seconds=1)
    assert client.agent.role is CONTROLLING
    assert server.agent.role is CONTROLLED


# Role conflicts


@pytest.mark.parametrize("role", [CONTROLLING, CONTROLLED], ids=["both controlling", "both controlled"])
@pytest.mark.parametrize("server_tie", [1, 2], ids=["client wins", "server wins"])
@pytest.mark.parametrize("loss", [0.0, 0.3], ids=["no loss", "loss"])
def test_a_role_conflict_ends_with_the_larger_tie_breaker_in_control(role: Role, server_tie: int, loss: float) -> None:
    for seed in range(5):
        world = World(seed, loss=loss)
        server = world.add("server", [A], role, tie_breaker=server_tie)
        client = world.add("client", [B], role, tie_breaker=3 - server_tie)
        world.connect(server, client)
        world.settle(server, client)
        world.run(5)
        wins, loses = (server, client) if server_tie == 2 else (client, server)
        assert (wins.agent.role, loses.agent.role) == (CONTROLLING, CONTROLLED), f"seed {seed}"
        switched = [event for host in (server, client) for _, event in host.events if isinstance(event, RoleChanged)]
        assert len(switched) == 1, f"seed {seed}"


@pytest.mark.parametrize("role", [CONTROLLING, CONTROLLED])
def test_a_conflict_where_only_one_side_checks(role: Role) -> None:
    """The server knows no candidate and hears the first check; either answer to the conflict must do."""
    for server_tie in (1, 2):
        world = World()
        server = world.add("server", [A], role, tie_breaker=server_tie)
        client = world.add("client", [B], role, tie_breaker=3 - server_tie)
        world.signal(client, server, candidates=False)
        world.signal(server, client)
        world.settle(server, client, seconds=1)
        assert {server.agent.role, client.agent.role} == {CONTROLLING, CONTROLLED}


# Loss


@both_layouts
@pytest.mark.parametrize("seed", range(12))
def test_thirty_percent_loss_is_survived(server_role: Role, client_role: Role, seed: int) -> None:
    world = World(seed, loss=0.3, jitter=0.02)
    server = world.add("server", [A], server_role)
    client = world.add("client", [B, B2], client_role)
    world.connect(server, client)
    world.settle(server, client, seconds=10)
    world.run(60)
    for host in (server, client):
        assert host.agent.state is AgentState.CONNECTED, f"seed {seed}: {host.states}"
        assert AgentState.FAILED not in host.states, f"seed {seed}"
    assert server.agent.selected is not None
    assert server.agent.selected[::-1] == client.agent.selected, f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_a_lossy_lite_server(seed: int) -> None:
    world = World(seed, loss=0.3)
    server, client = world.add("server", [A], CONTROLLED, lite=True), world.add("client", [B], CONTROLLING)
    world.connect(server, client)
    world.settle(server, client, seconds=10)


def test_the_same_seed_gives_the_same_bytes() -> None:
    def run() -> list[tuple[float, Transmit]]:
        world = World(5, loss=0.2, jitter=0.01)
        server, client = world.add("server", [A, A6], CONTROLLED), world.add("client", [B, B6], CONTROLLING)
        world.connect(server, client)
        world.run(20)
        return server.sent + client.sent

    assert run() == run()


# Paths that are only found by being used


@both_layouts
@pytest.mark.parametrize("trickled", [True, False], ids=["host candidate known", "no candidate known"])
def test_a_client_behind_a_nat_is_peer_reflexive(server_role: Role, client_role: Role, trickled: bool) -> None:
    public = ("203.0.113.9", 61000)
    world = World()
    server = world.add("server", [A], server_role)
    client = world.add("client", [B2], client_role, public=public)
    world.signal(server, client)
    world.signal(client, server, candidates=trickled)
    world.settle(server, client, seconds=1)
    world.run(30)
    assert server.agent.selected == (A, public)
    assert client.agent.selected == (B2, A)
    assert server.states == client.states == CONNECTED_ONCE


@both_layouts
def test_checks_that_overtake_the_signalling_are_answered(server_role: Role, client_role: Role) -> None:
    world = World()
    server, client = world.add("server", [A], server_role), world.add("client", [B], client_role)
    world.signal(server, client)
    world.run(1)
    assert server.agent.state is AgentState.NEW
    assert server.agent.send_path == (A, B)
    assert server.agent.is_validated(A, B)
    assert [event for _, event in server.events] == [PathValidated(A, B)]
    assert requests(server) == []
    world.signal(client, server, candidates=False)
    world.settle(server, client, seconds=0.5)


@both_layouts
def test_a_signalled_candidate_replaces_the_learned_one(server_role: Role, client_role: Role) -> None:
    world = World()
    server, client = world.add("server", [A], server_role), world.add("client", [B], client_role)
    world.signal(server, client)
    world.signal(client, server, candidates=False)
    world.settle(server, client)
    before = len(requests(server))
    server.agent.add_remote_candidate(world.now, Candidate.host(B))
    world.run(0.2)
    assert len(requests(server)) <= before + 1
    assert server.agent.selected == (A, B)
    assert len(server.selections) == 1


def test_candidates_may_come_before_the_credentials() -> None:
    world = World()
    server, client = world.add("server", [A], CONTROLLING), world.add("client", [B], CONTROLLED)
    server.agent.add_remote_candidate(world.now, Candidate.host(B))
    world.run(1)
    assert server.sent == []
    server.agent.set_remote_credentials(world.now, client.agent.ufrag, client.agent.pwd)
    world.flush()
    assert len(requests(server)) == 1


def test_a_local_candidate_added_late_is_checked_too() -> None:
    world = World()
    server, client = world.add("server", [], CONTROLLING), world.add("client", [B], CONTROLLED)
    world.signal(client, server)
    world.run(1)
    server.bases.append(A)
    server.agent.add_local_candidate(Candidate.host(A), A)
    world.connect(server, client)
    world.settle(server, client, seconds=1)


def test_several_advertised_addresses_of_one_socket_make_one_pair() -> None:
    world = World()
    server, client = world.add("server", [A], CONTROLLING), world.add("client", [B], CONTROLLED)
    server.agent.add_local_candidate(Candidate.host(("198.51.100.1", 7882), local_preference=100), A)
    server.agent.add_local_candidate(Candidate.host(("198.51.100.2", 7882)), A)
    world.dead.add(B)
    world.connect(server, client)
    world.run(0.2)
    assert len(requests(server)) == 1


def test_a_dual_stack_socket_reaches_both_families() -> None:
    base = ("::", 7882)
    world = World()
    server = world.add("server", [], CONTROLLING)
    server.bases.append(base)
    server.agent.add_local_candidate(Candidate.host(A), base)
    server.agent.add_local_candidate(Candidate.host(A6), base)
    server.agent.set_remote_credentials(world.now, "peer", "p" * 24)
    for remote in (B, B6):
        server.agent.add_remote_candidate(world.now, Candidate.host(remote))
    world.run(0.2)
    assert {transmit.remote for transmit in requests(server)} == {B, B6}
    assert {transmit.local for transmit in requests(server)} == {base}


def test_link_local_addresses_pair_only_among_themselves() -> None:
    world = World()
    server = world.add("server", [A6], CONTROLLING)
    server.agent.set_remote_credentials(world.now, "peer", "p" * 24)
    server.agent.add_remote_candidate(world.now, Candidate.host(("fe80::1", 5)))
    world.run(1)
    assert server.sent == []


# Which pair


def test_the_controlling_side_waits_a_little_for_a_better_pair() -> None:
    """The relay answers first, the direct path a little later: the direct path is nominated, and only it."""
    world = World()
    server, client = world.add("server", [A], CONTROLLING), world.add("client", [B, B2], CONTROLLED)
    world.signal(server, client)
    world.signal(client, server, candidates=False)
    direct, relay = Candidate.host(B), Candidate.host(B2)
    opened_at = world.now + 0.1
    world.filter = lambda t: world.now >= opened_at or B not in (t.local, t.remote)
    server.agent.add_remote_candidate(world.now, direct)
    text = relay.encode().replace("typ host", "typ relay").replace(str(relay.priority), "16777215")
    server.agent.add_remote_candidate(world.now, Candidate.parse(text))
    world.settle(server, client, seconds=2)
    assert server.agent.selected == (A, B)
    assert len(server.selections) == 1


def test_a_better_pair_that_comes_late_is_nominated_then() -> None:
    world = World()
    config = AgentConfig(acceptance_wait=dict.fromkeys(CandidateType, 0.0))
    server = world.add("server", [A], CONTROLLING, config=config)
    client = world.add("client", [B, B2], CONTROLLED)
    world.signal(server, client)
    world.signal(client, server, candidates=False)
    opened_at = world.now + 0.5
    world.filter = lambda t: world.now >= opened_at or B not in (t.local, t.remote)
    server.agent.add_remote_candidate(world.now, Candidate.host(B))
    server.agent.add_remote_candidate(world.now, Candidate.host(B2, local_preference=100))
    world.run(3)
    assert [selected.remote for selected in server.selections] == [B2, B]
    assert client.agent.selected == (B, A)


@both_layouts
def test_another_pair_takes_over_from_a_silent_one(server_role: Role, client_role: Role) -> None:
    world = World()
    server, client = world.add("server", [A], server_role), world.add("client", [B, B2], client_role)
    world.connect(server, client)
    world.settle(server, client)
    assert server.agent.selected is not None
    first = server.agent.selected[1]
    other = B2 if first == B else B
    world.dead.add(first)
    world.run(12)
    assert server.agent.selected == (A, other)
    assert client.agent.selected == (other, A)
    world.run(60)
    assert AgentState.FAILED not in server.states + client.states
    assert len(server.selections) == len(client.selections) == 2


# Failing to connect


@both_layouts
def test_no_path_in_time_is_a_failure_and_then_silence(server_role: Role, client_role: Role) -> None:
    world = World()
    server, client = world.add("server", [A], server_role), world.add("client", [B], client_role)
    world.dead.add(B)
    world.connect(server, client)
    start = world.now
    world.run(30)
    assert server.states == [AgentState.CHECKING, AgentState.FAILED]
    assert server.state_at(AgentState.FAILED) - start == pytest.approx(15)
    assert 7 <= len(requests(server)) <= 10
    assert max(at for at, _ in server.sent) <= start + 15
    assert server.agent.poll_timeout() is None
    assert server.agent.send_path is None


def test_an_agent_without_candidates_waits_and_fails() -> None:
    world = World()
    server = world.add("server", [A], CONTROLLING)
    server.agent.set_remote_credentials(world.now, "peer", "p" * 24)
    server.agent.set_remote_credentials(world.now + 5, "peer", "p" * 24)
    world.run(14.9)
    assert server.states == [AgentState.CHECKING]
    world.run(0.2)
    assert server.states == [AgentState.CHECKING, AgentState.FAILED]


def test_ordinary_checks_are_paced_and_best_first() -> None:
    world = World()
    server = world.add("server", [A], CONTROLLING)
    remotes = [("10.9.0.1", port) for port in range(1, 9)]
    server.agent.set_remote_credentials(world.now, "peer", "p" * 24)
    start = world.now
    for preference, remote in enumerate(remotes):
        server.agent.add_remote_candidate(world.now, Candidate.host(remote, local_preference=preference))
    world.run(0.2)
    assert [t.remote for t in requests(server)] == [remotes[0], *remotes[:3:-1]]
    assert [at - start for at, _ in server.sent] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
