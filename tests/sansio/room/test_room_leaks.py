"""Nothing of a participant is left when it has gone: not in the node's tables, and not for the garbage collector to find."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import pytest
from node_rig import Client, Rig

from sansio.wire import models, rtc

ROOM_ENDS_S = 25.0
"""After its last participant has left."""
_STATIC = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def reachable(root: object) -> Counter[str]:
    """How many containers hang on `root`, by type."""
    seen = {id(root)}
    waiting: list[object] = [root]
    found: Counter[str] = Counter()
    while waiting:
        one = waiting.pop()
        found[type(one).__qualname__] += 1
        for other in gc.get_referents(one):
            if id(other) not in seen and gc.is_tracked(other) and not isinstance(other, _STATIC):
                seen.add(id(other))
                waiting.append(other)
    return found


@contextmanager
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leave_all(rig: Rig, *clients: Client) -> None:
    for client in clients:
        client.send(leave=rtc.LeaveRequest())
        rig.run(1)


def call(rig: Rig, number: int, *, v1: bool = False) -> list[Client]:
    """Two meet, talk, show themselves, write, and go."""
    alice, bob = (rig.join(f"{name}{number}", media=True, v1=v1) for name in ("alice", "bob"))
    rig.run(1)
    microphone, camera = alice.publish(), bob.publish("cam", "video", rids=("q", "h", "f"))
    rig.run(1)
    for _ in range(10):
        microphone.send()
        camera.send()
        rig.run(0.02)
    alice.media.send_data(models.DataPacket(user=models.UserPacket(payload=b"hello")))
    rig.run(6)
    leave_all(rig, alice, bob)
    return [alice, bob]


def vanish(rig: Rig, number: int) -> list[Client]:
    """One is heard no more, socket and all."""
    clients = [rig.join(f"{name}{number}", media=True) for name in ("alice", "bob")]
    rig.run(1)
    clients[0].publish()
    rig.run(1)
    host = clients[0].media.host
    rig.lost = lambda source, destination: host in (source[0], destination[0])
    clients[0].drop_socket()
    rig.run(60)
    rig.lost = lambda source, destination: False
    leave_all(rig, clients[1])
    return clients


def replace(rig: Rig, number: int) -> list[Client]:
    """An identity comes a second time."""
    clients = [rig.join(f"alice{number}", media=True) for _ in range(2)]
    rig.run(2)
    leave_all(rig, clients[1])
    return clients


def resume(rig: Rig, number: int) -> list[Client]:
    alice = rig.join(f"alice{number}", media=True)
    rig.run(1)
    alice.drop_socket()
    rig.run(1)
    alice.resume()
    rig.run(2)
    leave_all(rig, alice)
    return [alice]


def only_signal(rig: Rig, number: int) -> list[Client]:
    """No media ever: one leaves, one is cut off, one is refused."""
    alice, bob = rig.join(f"alice{number}"), rig.join(f"bob{number}")
    rig.join("mallory", ttl=-1000)
    bob.drop_socket()
    leave_all(rig, alice)
    return []


LIVES: list[Callable[[Rig, int], list[Client]]] = [
    call, lambda rig, number: call(rig, number, v1=True), vanish, replace, resume, only_signal
]  # fmt: skip


@pytest.mark.parametrize("life", LIVES, ids=["call", "call-v1", "vanish", "replace", "resume", "only-signal"])
def test_nothing_is_left_of_those_who_have_gone(life: Callable[[Rig, int], list[Client]]) -> None:
    rig = Rig()
    life(rig, 0)
    rig.run(ROOM_ENDS_S)
    before = reachable(rig.node)
    for number in range(1, 3):
        life(rig, number)
        rig.run(ROOM_ENDS_S)
        assert set(rig.node.stats().values()) == {0}
    assert reachable(rig.node) - before == Counter()


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
def test_nothing_waits_for_the_garbage_collector(v1: bool) -> None:
    """A call's packets and keys hang on its legs and sessions; a full collection may be minutes away."""
    rig = Rig()
    call(rig, 0, v1=v1)
    rig.run(ROOM_ENDS_S)
    with collector_off():
        kept = call(rig, 1, v1=v1)
        rig.run(ROOM_ENDS_S)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        garbage = [type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("sansio")]
        gc.garbage.clear()
    assert garbage == []
    assert kept  # what the clients have is theirs
