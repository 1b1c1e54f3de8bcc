"""The UDP sockets of a load test: who is read at once, and who in turns."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from sansio import Batch
from sansio.outputs import Address, Transmit
from trio_server.batch import SocketChoice, choose
from trio_server.load.sockets import MOST_READ, ROUND, Datagrams, SocketPool
from trio_server.load.target import LoadError

pytestmark = pytest.mark.net
PATIENCE = 5.0


@pytest.fixture(params=["python", "native"])
def choice(request: pytest.FixtureRequest) -> SocketChoice:
    try:
        return choose(str(request.param))
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def pool(choice: SocketChoice) -> Iterator[SocketPool]:
    made = SocketPool("127.0.0.1", choice)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


class Taken:
    """What a pool has handed on."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[int, Address, bytes]] = []
        self.ages: list[float] = []
        self._news = trio.Event()

    def take(self, seat: int, batch: Datagrams, ages: Sequence[float]) -> None:
        self.datagrams += [(seat, local, data) for local, _, data in batch]
        self.ages += ages
        self._news.set()

    async def until(self, is_met: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not is_met():
                self._news = trio.Event()
                await self._news.wait()


@asynccontextmanager
async def reading(pool: SocketPool) -> AsyncIterator[Taken]:
    taken = Taken()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run, taken.take)
        yield taken
        nursery.cancel_scope.cancel()


async def test_a_datagram_is_handed_on_with_its_seat_and_its_age(pool: SocketPool, server: socket.socket) -> None:
    addresses = [pool.open(seat, 1, quick=False) for seat in range(3)]
    async with reading(pool) as taken:
        for address in addresses:
            server.sendto(b"hello", address)
        await taken.until(lambda: len(taken.datagrams) == 3)
    assert sorted(taken.datagrams) == [(seat, address, b"hello") for seat, address in enumerate(addresses)]
    assert all(0 <= age < PATIENCE for age in taken.ages)


@pytest.mark.parametrize("count", [1, MOST_READ, 3 * MOST_READ + 5])
async def test_who_is_deferred_is_read_in_turns(pool: SocketPool, server: socket.socket, count: int) -> None:
    first, second = (pool.open(seat, 2, quick=True) for seat in range(2))
    pool.defer(0)
    pool.defer(0)  # once is enough
    async with reading(pool) as taken:
        for number in range(count):
            server.sendto(b"%d" % number, first)
        server.sendto(b"now", second)
        await taken.until(lambda: len(taken.datagrams) == count + 1)
    assert [data for seat, _, data in taken.datagrams if seat == 0] == [b"%d" % number for number in range(count)]
    assert (1, second, b"now") in taken.datagrams


async def test_the_turns_go_round_in_their_time(
    pool: SocketPool, server: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    addresses = [pool.open(seat, 1, quick=True) for seat in range(50)]
    for seat in range(50):
        pool.defer(seat)
    for address in addresses:
        server.sendto(b"hello", address)
    async with reading(pool) as taken:
        await trio.sleep(1.5 * ROUND)
    assert sorted(seat for seat, *_ in taken.datagrams) == list(range(50))


async def test_batches_leave_from_the_sockets_that_they_name(pool: SocketPool, server: socket.socket) -> None:
    first, second = (pool.open(seat, 1, quick=seat == 0) for seat in range(2))
    there = server.getsockname()
    sent = [(first, b"a" * 100), (first, b"b" * 100), (second, b"c"), (first, b"d")]
    pool.send(Batch.of([Transmit(local, there, data) for local, data in sent]))
    got = [server.recvfrom(2048) for _ in sent]
    assert [(address, data) for data, address in got] == sent


def test_seats_have_neighbouring_ports(pool: SocketPool) -> None:
    host, port = pool.open(0, 2, quick=False)
    assert host == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind(("", port + 1))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_finds_no_room_is_counted(pool: SocketPool, server: socket.socket) -> None:
    address = pool.open(0, 1, quick=True)
    for _ in range(4000):
        server.sendto(b"x" * 1200, address)
    lost = pool.poll_lost()
    assert 0 < lost < 4000
    assert pool.poll_lost() == 0


def test_too_many_open_files_is_said(pool: SocketPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    pool.open(0, 1, quick=False)
    monkeypatch.setattr("trio_server.load.sockets.NamedSocket", refuse)
    with pytest.raises(LoadError, match="beyond the 1 that are open: Too many open files"):
        pool.open(1, 1, quick=False)
