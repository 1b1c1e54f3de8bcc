"""UDP sockets: binding, batches, drops. Datagrams travel over loopback."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
import structlog
import trio

from sansio.errors import DropReason
from sansio.outputs import RUN_RECORD, Address, Batch, Packed, Run, Transmit
from trio_server.batch import PlainSocket, SegmentingSocket, SocketChoice, choose, wrap
from trio_server.udp import BATCH, PortInUse, UdpSockets, open_sockets

pytestmark = pytest.mark.net
LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture(params=["python", "native"])
def choice(request: pytest.FixtureRequest) -> SocketChoice:
    """Each kind of socket that is here."""
    try:
        return choose(request.param)
    except OSError as error:
        pytest.skip(str(error))


class Collector:
    def __init__(self) -> None:
        self.batches: list[Sequence[tuple[Address, Address, bytes]]] = []
        self.ages: list[float] = []

    def datagrams(self, batch: Sequence[tuple[Address, Address, bytes]], ages: Sequence[float]) -> None:
        self.batches.append(batch)
        self.ages += ages

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))


def peer() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(LOOPBACK)
    sock.settimeout(2)
    return sock


async def until(collector: Collector, count: int) -> None:
    with trio.fail_after(5):
        while collector.count < count:
            await trio.sleep(0.01)


async def test_datagrams_arrive_in_order_and_in_batches(choice: SocketChoice) -> None:
    udp, collector = open_sockets(["127.0.0.1"], [0], choice=choice), Collector()
    local = udp.addresses[0]
    with peer() as other:
        for number in range(BATCH + 10):
            other.sendto(b"%d" % number, local)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(udp.run, collector)
            await until(collector, BATCH + 10)
            nursery.cancel_scope.cancel()
        assert [len(batch) for batch in collector.batches] == [BATCH, 10]
        assert [each for batch in collector.batches for each in batch] == [
            (local, other.getsockname(), b"%d" % number) for number in range(BATCH + 10)
        ]
    udp.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the stamps are Linux's")
def test_datagrams_that_waited_have_an_age(choice: SocketChoice) -> None:
    udp = open_sockets(["127.0.0.1"], [0], choice=choice)
    (each,) = udp._sockets.values()
    with peer() as other:
        other.sendto(b"warm-up", each.local)
        assert each.receive(1)[1]
        other.sendto(b"old", each.local)
        time.sleep(0.03)
        other.sendto(b"young", each.local)
        batch, (old, young) = each.receive(10)
    assert [data for _, _, data in batch] == [b"old", b"young"]
    assert 0.03 <= old - young < 0.5
    assert 0.0 <= young < 0.5
    udp.close()


def test_an_age_is_not_known_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    udp = open_sockets(["127.0.0.1"], [0], choice=choose("python"))  # the other reads a clock that cannot be set here
    (each,) = udp._sockets.values()
    for wall in (time.time() - 3600, time.time() + 3600):
        each.send(memoryview(b"me"), [Run(each.local, each.local, 0, 2, 2)])
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        assert not any(each.receive(10)[1])
        monkeypatch.undo()
    udp.close()


def test_without_stamps_there_are_no_ages(monkeypatch: pytest.MonkeyPatch, choice: SocketChoice) -> None:
    monkeypatch.setattr(sys, "platform", "sunos5")
    udp = open_sockets(["127.0.0.1"], [0], choice=choice)
    (each,) = udp._sockets.values()
    each.send(memoryview(b"me"), [Run(each.local, each.local, 0, 2, 2)])
    assert each.receive(10) == ([(each.local, each.local, b"me")], [])
    udp.close()


async def test_a_batch_leaves_by_the_socket_it_names(choice: SocketChoice) -> None:
    udp = open_sockets(["127.0.0.1", "127.0.0.2"], [0], choice=choice)
    first, second = udp.addresses
    assert first[1] == second[1]
    with peer() as other:
        to = other.getsockname()
        udp.send(Batch.of([Transmit(first, to, b"a"), Transmit(second, to, b"b"), Transmit(second, to, b"c")]))
        assert [other.recvfrom(100) for _ in range(3)] == [(b"a", first), (b"b", second), (b"c", second)]
    udp.close()


async def test_packed_runs_leave_by_the_sockets_they_name(choice: SocketChoice) -> None:
    udp = open_sockets(["127.0.0.1", "127.0.0.2"], [0], choice=choice)
    locals_ = tuple(udp.addresses)
    with peer() as other:
        to = other.getsockname()
        runs = [Run(local, to, at, at + 1, 1) for at, local in enumerate((*locals_, locals_[0]))]
        address = ip_address(to[0]).packed
        records = [RUN_RECORD.pack(run.start, run.end, 1, to[1], 4, locals_.index(run.local), address) for run in runs]
        udp.send(Batch(b"abc", runs, Packed(b"".join(records), locals_)))
        assert sorted(other.recvfrom(100) for _ in range(3)) == [
            (b"a", locals_[0]), (b"b", locals_[1]), (b"c", locals_[0])
        ]  # fmt: skip
        lost = Packed(b"".join(records), (("127.0.0.3", 9), *locals_[1:]))
        udp.send(Batch(b"abc", [Run(("127.0.0.3", 9), to, 0, 1, 1)], lost))
        assert udp.poll_drops() == {DropReason.UNREACHABLE: 1}
    udp.close()


@pytest.mark.parametrize("kind", [PlainSocket, SegmentingSocket])
async def test_runs_are_cut_into_datagrams(kind: type[PlainSocket]) -> None:
    udp = UdpSockets([kind(peer())])
    local = udp.addresses[0]
    with peer() as other:
        udp.send(
            Batch(b"aabbcdd", [Run(local, other.getsockname(), 0, 5, 2), Run(local, other.getsockname(), 5, 7, 2)])
        )
        assert [other.recv(100) for _ in range(4)] == [b"aa", b"bb", b"c", b"dd"]
    assert udp.poll_drops() == {}
    udp.close()


async def test_a_run_that_the_kernel_will_not_cut_goes_one_by_one() -> None:
    udp = UdpSockets([SegmentingSocket(NoSegments(socket.AF_INET, socket.SOCK_DGRAM))])
    udp._sockets = {LOOPBACK: next(iter(udp._sockets.values()))}
    with peer() as other:
        udp.send(Batch(b"aabbc", [Run(LOOPBACK, other.getsockname(), 0, 5, 2)]))
        assert [other.recv(100) for _ in range(3)] == [b"aa", b"bb", b"c"]
    udp.send(Batch(b"aabbc", [Run(LOOPBACK, ("127.0.0.1", 0), 0, 5, 2)]))
    assert udp.poll_drops() == {DropReason.UNREACHABLE: 3}
    udp.close()


class NoSegments(socket.socket):
    def sendmsg(self, *_: object) -> int:
        raise OSError(errno.EIO, "no offload")


async def test_what_cannot_leave_is_counted(choice: SocketChoice) -> None:
    udp = open_sockets(["127.0.0.1"], [0], choice=choice)
    local = udp.addresses[0]
    nowhere = ("127.0.0.9", 1)
    udp.send(Batch.of([Transmit(local, ("127.0.0.1", 9), bytes(70_000))]))
    udp.send(Batch.of([Transmit(nowhere, ("127.0.0.1", 9), b"x"), Transmit(nowhere, ("127.0.0.1", 9), b"y")]))
    udp.send(Batch(b"", []))
    assert udp.poll_drops() == {DropReason.UNREACHABLE: 3}
    assert udp.poll_drops() == {}
    udp.close()


class FullSocket(socket.socket):
    def sendto(self, *_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "full")

    sendmsg = sendto


@pytest.mark.parametrize("kind", [PlainSocket, SegmentingSocket])
def test_a_full_socket_drops(kind: type[PlainSocket]) -> None:
    with FullSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(LOOPBACK)
        udp = UdpSockets([kind(sock)])
        local = udp.addresses[0]
        udp.send(Batch(b"abcd", [Run(local, ("127.0.0.1", 9), 0, 1, 1), Run(local, ("127.0.0.1", 9), 1, 4, 1)]))
        assert udp.poll_drops() == {DropReason.SOCKET_FULL: 4}


def test_sockets_that_cannot_segment_are_plain() -> None:
    class Old(socket.socket):
        def getsockopt(self, *_: object) -> int:  # type: ignore[override]
            raise OSError(errno.ENOPROTOOPT, "unknown")

    with Old(socket.AF_INET, socket.SOCK_DGRAM) as old, peer() as new:
        assert type(wrap(old)) is PlainSocket
        assert isinstance(wrap(new), PlainSocket)


def test_ipv6_addresses_are_pairs(choice: SocketChoice) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        udp = open_sockets(["::1"], [0], choice=choice)
    except OSError:
        pytest.skip("no IPv6 loopback")
    assert udp.addresses[0][0] == "::1"
    udp.send(Batch.of([Transmit(udp.addresses[0], udp.addresses[0], b"me")]))
    assert udp._sockets[udp.addresses[0]].receive(10)[0] == [(udp.addresses[0], udp.addresses[0], b"me")]
    udp.close()


def test_the_first_free_port_of_a_range_is_taken(choice: SocketChoice) -> None:
    with peer() as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            open_sockets(["127.0.0.1"], [taken], choice=choice)
        assert caught.value.port == taken
        udp = open_sockets(["127.0.0.1"], [taken, 0], choice=choice)
        udp.close()


def test_a_missing_address_is_left_out() -> None:
    with structlog.testing.capture_logs() as lines:
        udp = open_sockets(["192.0.2.77", "127.0.0.1"], [0])
    assert [host for host, _ in udp.addresses] == ["127.0.0.1"]
    assert lines[0]["address"] == "192.0.2.77"
    udp.close()
    with structlog.testing.capture_logs(), pytest.raises(OSError, match="assign"):
        open_sockets(["192.0.2.77"], [0])
