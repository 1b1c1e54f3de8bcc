"""Agents with each other in virtual time."""

from __future__ import annotations

import pytest
from ice_world import World

from sansio.ice import AgentState, Role

A = ("10.0.0.1", 7882)
B = ("10.0.0.2", 50000)
A6 = ("2001:db8::1", 7882)
B6 = ("2001:db8::2", 50000)

CONTROLLING, CONTROLLED = Role.CONTROLLING, Role.CONTROLLED


@pytest.mark.parametrize("server_role", [CONTROLLED, CONTROLLING], ids=["publisher", "subscriber"])
@pytest.mark.parametrize("addresses", [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_two_full_agents_connect(server_role, addresses):
    world = World()
    client_role = CONTROLLING if server_role is CONTROLLED else CONTROLLED
    server = world.add("server", [addresses[0]], server_role)
    client = world.add("client", [addresses[1]], client_role)
    world.connect(server, client)
    world.settle(server, client, seconds=1)
    assert server.agent.selected == addresses
    assert client.agent.selected == addresses[::-1]
    assert server.states == [AgentState.CHECKING, AgentState.CONNECTED]
    assert (server.agent.role, client.agent.role) == (server_role, client_role)
    world.run(60)
    assert server.states == [AgentState.CHECKING, AgentState.CONNECTED]
    print(len(server.sent), len(client.sent))
