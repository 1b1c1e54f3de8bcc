"""Simulated calls with real DTLS under loss. Their bytes differ from run to run, so only outcomes are asserted."""

from __future__ import annotations

import pytest

from sansio.sim import Link, World

BOTH = pytest.mark.parametrize("single", [True, False], ids=["one connection", "two connections"])


def world_of(seed: int, link: Link) -> World:
    world = World(seed=seed, link=link, openssl=True)
    world.add_node("n1")
    return world


@BOTH
@pytest.mark.parametrize("seed", range(4))
def test_a_call_on_a_bad_network(seed: int, single: bool) -> None:
    world = world_of(seed, Link(latency=0.050, jitter=0.010, loss=0.02, reorder=0.02))
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    alice.publish_video(frames=45)
    bob.publish_audio(frames=100)
    for number in range(20):
        alice.send(f"{number}".encode())
    world.run_until(lambda: bob.frames_from(alice) == 45 and alice.audio_from(bob) == 100, deadline=12.0)
    world.run_until(lambda: bob.payloads() == [f"{number}".encode() for number in range(20)], deadline=5.0)
    assert all(sink.is_whole for sink in (*alice.sinks(), *bob.sinks()))


@BOTH
@pytest.mark.parametrize("seed", range(4))
def test_a_join_at_thirty_percent_loss(seed: int, single: bool) -> None:
    world = world_of(seed, Link(latency=0.050, loss=0.30))
    alice = world.join("room", "alice", single=single)
    world.run_until(lambda: alice.is_connected, deadline=15.0)


@BOTH
def test_a_handshake_whose_datagrams_are_reordered_and_repeated(single: bool) -> None:
    world = world_of(9, Link(latency=0.020, jitter=0.01, reorder=0.5, reorder_delay=0.08, duplicate=0.3))
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    alice.publish_video(frames=30)
    world.run_until(lambda: bob.frames_from(alice) == 30, deadline=8.0)


@BOTH
def test_a_lost_socket_and_an_ice_restart(single: bool) -> None:
    world = world_of(3, Link(latency=0.020, loss=0.01))
    alice, bob = world.join("room", "alice", single=single), world.join("room", "bob", single=single)
    alice.publish_video()
    world.run_until(lambda: bob.frames_from(alice) > 10, deadline=5.0)
    alice.lose_socket()
    world.run(2.0)
    bob.restart_ice()
    world.run(2.0)
    before = bob.frames_from(alice)
    world.run(1.0)
    assert bob.frames_from(alice) > before + 25
    assert not alice.is_gone
    assert not bob.is_gone
