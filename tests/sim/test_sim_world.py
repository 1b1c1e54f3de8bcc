"""The world itself: virtual time, digests that repeat in every process, and the guard around nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sansio import Config, Node, SeededEntropy
from sansio.errors import LocalProtocolError
from sansio.ids import SessionId
from sansio.outputs import HttpRequest
from sansio.sim import GuardedNode, Link, SeededDtls, Stuck, World

PROGRAM = """
from scenario import Call
print(Call(3).run().digest)
"""


def small_call(seed: int | str, loss: float = 0.05) -> World:
    world = World(seed=seed, link=Link(latency=0.040, jitter=0.01, loss=loss))
    world.add_node("n1")
    alice, bob = world.join("room", "alice"), world.join("room", "bob", single=False)
    alice.publish_video(frames=20)
    bob.publish_audio(frames=20)
    alice.send(b"to all")
    world.run_until(lambda: bob.frames_from(alice) == 20 and alice.audio_from(bob) == 20, deadline=6.0)
    return world


def test_a_run_repeats_for_its_seed_and_for_no_other() -> None:
    first, second, other = small_call(1), small_call(1), small_call(2)
    assert first.digest() == second.digest() != other.digest()
    assert first.now == second.now


def test_the_digest_sees_everything() -> None:
    world = small_call(1)
    before = world.digest()
    assert world.digest() == before
    world.participants[0].send(b"one more")
    world.run(1.0)
    assert world.digest() != before


def test_a_recorded_run_can_be_compared_with_another() -> None:
    worlds = []
    for _ in range(2):
        world = World(seed=1, record=True)
        world.add_node("n1")
        world.join("room", "alice")
        world.run(1.0)
        worlds.append(world)
    assert worlds[0].history == worlds[1].history
    kinds = {kind for _, kind, _ in worlds[0].history}
    assert kinds == {"datagram", "request", "response", "event", "client event"}
    assert not small_call(1).history


def test_a_run_repeats_in_processes_with_other_hashes() -> None:
    here = str(Path(__file__).parent)
    root = str(Path(__file__).parents[2])
    digests = set()
    for hash_seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join((here, root))}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_what_does_not_happen_says_the_seed() -> None:
    world = World(seed="lucky")
    world.add_node("n1")
    alice = world.join("room", "alice")
    with pytest.raises(Stuck, match=r"not within 2.0 s; the seed is 'lucky'"):
        world.run_until(lambda: alice.others, deadline=2.0)
    assert world.now == 2.0


def test_time_passes_only_as_far_as_asked() -> None:
    world = World()
    world.run(5.0)
    assert world.now == 5.0
    world.add_node("n1")
    world.run(0.0004)
    assert world.now == pytest.approx(5.0004)
    world.run_until(lambda: True, deadline=1.0)
    assert world.now == pytest.approx(5.0004)


def test_clients_have_a_node_each_and_nodes_a_name() -> None:
    world = World(seed=4, link=Link(latency=0.01))
    world.add_node("n1")
    world.add_node("n2")
    alice, bob = world.join("room", "alice"), world.join("room", "bob", node="n2")
    world.run_until(lambda: alice.is_connected and bob.is_connected, deadline=3.0)
    assert not alice.others
    assert [world.nodes[name].node.stats()["participants"] for name in ("n1", "n2")] == [1, 1]


def test_the_two_ways_of_a_link_may_differ() -> None:
    world = World(seed=5)
    world.add_node("n1")
    alice = world.join("room", "alice")
    bob = world.join("room", "bob", link=Link(latency=0.01), down=Link(latency=0.2))
    world.run_until(lambda: alice.client.is_data_ready and bob.client.is_data_ready, deadline=3.0)
    world.run(1.0)
    sent_at = world.now
    bob.send(b"up")
    world.run_until(lambda: alice.messages, deadline=1.0)
    up = world.now - sent_at
    sent_at = world.now
    alice.send(b"down")
    world.run_until(lambda: bob.messages, deadline=1.0)
    assert up < 0.05 < 0.2 <= world.now - sent_at


def test_claims_reach_the_server() -> None:
    world = World()
    world.add_node("n1")
    alice = world.join("room", "alice")
    bob = world.join("room", "bob", claims={"name": "Bob", "metadata": "m", "attributes": {"k": "v"}})
    world.run_until(lambda: alice.sees(bob) is not None, deadline=2.0)
    seen = alice.sees(bob)
    assert seen is not None
    assert (seen.name, seen.metadata, dict(seen.attributes)) == ("Bob", "m", {"k": "v"})


def test_a_refused_call_fails_with_its_answer() -> None:
    world = World()
    world.add_node("n1")
    with pytest.raises(Stuck, match="GetParticipant: 404"):
        world.call("GetParticipant", {"room": "room", "identity": "nobody"})


def test_datagrams_to_nobody_are_counted() -> None:
    world = small_call(1)
    alice = world.participants[0]
    alice.rebind()
    alice.cut()
    world.run(1.0)
    assert world.lost > 0


def test_real_handshakes_work_in_the_same_world() -> None:
    world = World(seed=1, link=Link(latency=0.02), openssl=True)
    world.add_node("n1")
    alice, bob = world.join("room", "alice"), world.join("room", "bob", single=False)
    alice.publish_video(frames=15)
    world.run_until(lambda: bob.frames_from(alice) == 15, deadline=4.0)


# The guard


def guarded() -> GuardedNode:
    dtls = SeededDtls(1)
    node = Node(
        Config(),
        entropy=SeededEntropy(1),
        wallclock_offset=1.75e9,
        certificate=dtls.certificate("n"),
        handshake=dtls.handshake,
    )
    guard = GuardedNode(node)
    guard.add_socket(("192.0.2.1", 7882), [("192.0.2.1", 7882)])
    return guard


def drain(node: GuardedNode) -> float | None:
    node.poll_transmits()
    node.poll_commands()
    node.poll_events()
    return node.poll_timeout()


REQUEST = HttpRequest(method="GET", path="/")
INPUTS: dict[str, Callable[[GuardedNode, float], None]] = {
    "datagrams": lambda node, now: node.handle_datagrams(now, []),
    "datagram": lambda node, now: node.handle_datagram(now, ("192.0.2.1", 7882), ("10.0.0.1", 1), b"\xff"),
    "connect": lambda node, now: node.handle_connect(now, SessionId(1), REQUEST),
    "message": lambda node, now: node.handle_message(now, SessionId(1), b""),
    "disconnect": lambda node, now: node.handle_disconnect(now, SessionId(1)),
    "request": lambda node, now: node.handle_request(now, 1, REQUEST),
    "timeout": lambda node, now: node.handle_timeout(now),
    "drain": lambda node, now: node.drain(now),
    "close": lambda node, now: node.close(now),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_driver_that_sleeps_before_it_has_drained_is_caught(name: str) -> None:
    node = guarded()
    assert drain(node) is None
    INPUTS[name](node, 1.0)
    with pytest.raises(LocalProtocolError, match="not drained before sleeping: commands, events, transmits"):
        node.poll_timeout()
    node.poll_transmits()
    node.poll_events()
    with pytest.raises(LocalProtocolError, match=r"not drained before sleeping: commands$"):
        node.poll_timeout()
    node.poll_commands()
    assert node.poll_timeout() is None


@pytest.mark.parametrize("name", INPUTS)
def test_time_that_goes_back_is_caught(name: str) -> None:
    node = guarded()
    INPUTS[name](node, 1.0)
    with pytest.raises(LocalProtocolError, match=r"time went back from 1.0 to 0.9"):
        INPUTS[name](node, 0.9)


def test_the_guard_passes_everything_else_on() -> None:
    node = guarded()
    node.set_wallclock(1.8e9)
    assert (node.rooms, node.is_empty, node.next_timer()) == ((), True, None)
    assert node.stats() == node.node.stats()


def test_worlds_guard_their_nodes_unless_told_otherwise() -> None:
    assert isinstance(World().add_node("n1").node, GuardedNode)
    assert isinstance(World(guarded=False).add_node("n1").node, Node)
