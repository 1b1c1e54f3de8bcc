"""ICE restarts (RFC 8445 §9) in virtual time."""

from __future__ import annotations

import pytest
from ice_world import Host, World

from sansio.errors import DropReason
from sansio.ice import AgentState, Candidate, Role
from sansio.stun import Class, Message, encode

A = ("10.0.0.1", 7882)
B = ("10.0.0.2", 50000)
B2 = ("192.168.7.7", 50001)
CHECKING, CONNECTED = AgentState.CHECKING, AgentState.CONNECTED
DISCONNECTED, FAILED = AgentState.DISCONNECTED, AgentState.FAILED

layouts = pytest.mark.parametrize(
    ("server_role", "lite"),
    [(Role.CONTROLLED, False), (Role.CONTROLLING, False), (Role.CONTROLLED, True)],
    ids=["publisher", "subscriber", "lite server"],
)


def connected(server_role: Role = Role.CONTROLLED, lite: bool = False, loss: float = 0.0) -> tuple[World, Host, Host]:
    world = World(loss=loss)
    client_role = Role.CONTROLLED if server_role is Role.CONTROLLING else Role.CONTROLLING
    server, client = world.add("server", [A], server_role, lite=lite), world.add("client", [B], client_role)
    world.connect(server, client)
    world.settle(server, client)
    world.run(0.5)
    return world, server, client


def restart(world: World, *hosts: Host) -> None:
    for host in hosts:
        host.agent.restart(world.now, *world.fresh())
    world.flush()


@layouts
def test_a_restart_of_a_healthy_pair_is_seamless(server_role: Role, lite: bool) -> None:
    world, server, client = connected(server_role, lite)
    old = server.agent.ufrag
    restart(world, server, client)
    assert list(server.agent.ufrags) == [server.agent.ufrag, old]
    assert server.agent.send_path == (A, B)
    world.connect(server, client)
    assert server.agent.send_path == (A, B)
    world.run(1)
    assert list(server.agent.ufrags) == [server.agent.ufrag]
    assert server.agent.ufrag != old
    assert server.agent.selected == (A, B)
    assert server.states == [CHECKING, CONNECTED]
    assert len(server.selections) == len(client.selections) == 2
    world.run(60)
    assert server.states == client.states == [CHECKING, CONNECTED]
    assert server.agent.role is server_role


@layouts
def test_the_old_path_lives_until_the_new_one_is_there(server_role: Role, lite: bool) -> None:
    """The server has restarted, the answer is slow: the client goes on with the old credentials for a minute."""
    world, server, client = connected(server_role, lite)
    restart(world, server)
    world.run(60)
    assert server.states == client.states == [CHECKING, CONNECTED]
    assert server.agent.selected == (A, B)
    restart(world, client)
    world.connect(server, client)
    world.run(1)
    assert len(server.selections) == 2
    assert len(server.agent.ufrags) == 1


@layouts
def test_old_credentials_are_refused_after_the_new_pair(server_role: Role, lite: bool) -> None:
    world, server, client = connected(server_role, lite)
    old_ufrag, old_pwd = server.agent.ufrag, server.agent.pwd
    restart(world, server, client)
    request = Message(kind=Class.REQUEST, transaction_id=bytes(12), username=f"{old_ufrag}:x", priority=1)
    server.agent.handle_stun(world.now, A, B, encode(request, old_pwd.encode()))
    assert len(server.agent.poll_transmits()) == 1
    world.connect(server, client)
    world.run(1)
    server.agent.handle_stun(world.now, A, B, encode(request, old_pwd.encode()))
    assert server.agent.poll_transmits() == []
    assert server.agent.poll_drops()[DropReason.UNKNOWN_UFRAG] == 1


@layouts
def test_a_restart_moves_to_a_new_address(server_role: Role, lite: bool) -> None:
    """The client changes its network and restarts, as the SDKs do on a resume."""
    world, server, client = connected(server_role, lite)
    world.dead.add(B)
    world.run(3)
    client.bases[:] = [B2]
    client.agent.add_local_candidate(Candidate.host(B2), B2)
    client.bases.append(B)
    restart(world, client, server)
    world.signal(client, server)
    world.signal(server, client)
    assert world.run_until(lambda: server.agent.selected == (A, B2), 2)
    world.run(30)
    assert server.agent.state is client.agent.state is CONNECTED
    assert FAILED not in server.states
    assert client.agent.selected == (B2, A)


@layouts
def test_a_restart_revives_a_disconnected_pair(server_role: Role, lite: bool) -> None:
    world, server, client = connected(server_role, lite)
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is client.agent.state is DISCONNECTED, 20)
    world.dead.clear()
    restart(world, server, client)
    assert server.states[-1] is CHECKING
    world.connect(server, client)
    world.settle(server, client, seconds=1)
    assert server.states == [CHECKING, CONNECTED, DISCONNECTED, CHECKING, CONNECTED]


@layouts
def test_a_restart_revives_a_failed_pair_without_its_past(server_role: Role, lite: bool) -> None:
    world, server, client = connected(server_role, lite)
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is client.agent.state is FAILED, 40)
    world.dead.clear()
    restart(world, server, client)
    assert list(server.agent.ufrags) == [server.agent.ufrag]
    assert server.agent.send_path is None
    world.connect(server, client)
    world.settle(server, client, seconds=1)
    assert server.states[-3:] == [FAILED, CHECKING, CONNECTED]
    world.run(60)
    assert server.agent.state is client.agent.state is CONNECTED


def test_a_restart_that_nobody_answers_fails_in_time() -> None:
    world, server, _ = connected()
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is FAILED, 40)
    restart(world, server)
    world.run(14.9)
    assert server.states[-2:] == [FAILED, CHECKING]
    world.run(0.2)
    assert server.states[-2:] == [CHECKING, FAILED]
    assert server.agent.poll_timeout() is None


def test_a_restart_that_was_not_needed_keeps_the_path_that_came_back() -> None:
    world, server, client = connected()
    world.dead.add(B)
    world.run_until(lambda: server.agent.state is DISCONNECTED, 20)
    restart(world, server)
    world.dead.clear()
    world.run(14)
    assert server.agent.state is CHECKING
    assert server.agent.send_path == (A, B)
    world.run(2)
    assert server.agent.state is CONNECTED
    world.run(20)
    assert server.agent.state is CONNECTED
    assert FAILED not in client.states


def test_a_restart_on_top_of_a_restart_drops_the_one_between() -> None:
    world, server, client = connected()
    first = server.agent.ufrag
    restart(world, server)
    second = server.agent.ufrag
    restart(world, server)
    assert list(server.agent.ufrags) == [server.agent.ufrag, first]
    assert second not in server.agent.ufrags
    restart(world, client)
    world.connect(server, client)
    world.run(1)
    assert list(server.agent.ufrags) == [server.agent.ufrag]
    assert len(server.selections) == 2


def test_a_restart_while_checking_starts_over() -> None:
    world = World()
    server, client = world.add("server", [A], Role.CONTROLLING), world.add("client", [B], Role.CONTROLLED)
    world.dead.add(B)
    world.connect(server, client)
    world.run(10)
    world.dead.clear()
    restart(world, server, client)
    world.run(6)
    assert server.states == [CHECKING]
    world.connect(server, client)
    world.settle(server, client, seconds=2)


def test_the_same_credentials_again_are_no_restart() -> None:
    world, server, client = connected()
    sent = len(server.sent)
    for _ in range(3):
        server.agent.set_remote_credentials(world.now, client.agent.ufrag, client.agent.pwd)
        world.flush()
    assert len(server.sent) == sent
    assert server.states == [CHECKING, CONNECTED]
    assert len(server.agent.ufrags) == 1


def test_only_the_peer_changed_its_credentials() -> None:
    """Against RFC 8445 §9, which has both sides change; works all the same."""
    world, server, client = connected()
    client.agent.restart(world.now, *world.fresh())
    world.connect(server, client)
    world.run(1)
    assert len(server.selections) == len(client.selections) == 2
    assert len(server.agent.ufrags) == 1
    world.run(30)
    assert server.states == [CHECKING, CONNECTED]


def test_checks_of_the_new_generation_may_overtake_its_answer() -> None:
    """The server offered a restart; the client's checks come before its answer."""
    world, server, client = connected(Role.CONTROLLING)
    restart(world, server, client)
    world.signal(server, client)
    world.run(1)
    assert len(server.selections) == 1
    assert server.agent.send_path == (A, B)
    world.signal(client, server, candidates=False)
    world.run(1)
    assert len(server.selections) == 2
    assert client.agent.state is CONNECTED


def test_candidates_of_the_old_generation_are_passed_over() -> None:
    world, server, client = connected(Role.CONTROLLING)
    old = client.agent.ufrag
    restart(world, server, client)
    world.signal(server, client)
    text = Candidate.host(("10.9.9.9", 9)).encode()
    server.agent.add_remote_candidate(world.now, Candidate.parse(f"{text} ufrag {old}"))
    server.agent.set_remote_credentials(world.now, client.agent.ufrag, client.agent.pwd)
    server.agent.add_remote_candidate(world.now, Candidate.parse(f"{text} ufrag {old}"))
    start = world.now
    world.run(2)
    assert not [t for at, t in server.sent if at >= start and t.remote == ("10.9.9.9", 9)]
    server.agent.add_remote_candidate(world.now, Candidate.parse(f"{text} ufrag {client.agent.ufrag}"))


@pytest.mark.parametrize("seed", range(6))
def test_restarts_under_loss(seed: int) -> None:
    world = World(seed, loss=0.25)
    server, client = world.add("server", [A], Role.CONTROLLING), world.add("client", [B], Role.CONTROLLED)
    world.connect(server, client)
    world.settle(server, client)
    for generation in range(2, 5):
        restart(world, server, client)
        world.connect(server, client)
        done = world.run_until(lambda: server.agent.ufrags == (server.agent.ufrag,), 10)
        assert done, f"seed {seed}, generation {generation}"
        assert server.agent.state is CONNECTED
    world.run(30)
    assert FAILED not in server.states + client.states, f"seed {seed}"
