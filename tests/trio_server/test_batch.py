"""The kinds of socket against each other: they send the same datagrams, receive the same, and count the same losses."""

from __future__ import annotations

import gc
import socket
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sansio.errors import DropReason
from sansio.outputs import RUN_RECORD, Address, Packed, Run
from trio_server.batch import DatagramSocket, NativeSocket, PlainSocket, SegmentingSocket, choose

pytestmark = pytest.mark.net
SINKS = 3


def native(sock: socket.socket) -> DatagramSocket:
    try:
        return choose("native").wrap(sock)
    except OSError as error:
        sock.close()
        pytest.skip(str(error))


Maker = Callable[[socket.socket], DatagramSocket]
KINDS: dict[str, Maker] = {"plain": PlainSocket, "segmenting": SegmentingSocket, "native": native}
NOWHERE = ("127.0.0.1", 0)


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Maker:
    """Each kind of socket that is here."""
    made: Maker = KINDS[request.param]
    with bound() as sock:
        made(sock).close()
    return made


@pytest.fixture
def sinks() -> Iterator[list[socket.socket]]:
    made = [bound() for _ in range(SINKS)]
    for each in made:
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    yield made
    for each in made:
        each.close()


def drain(sink: socket.socket) -> list[bytes]:
    out = []
    try:
        while True:
            out.append(sink.recv(70_000))
    except BlockingIOError:
        return out


Plan = Sequence[tuple[int, int, int]]
"""Destination, number of bytes, segment size."""


def send(kind: Maker, arena: bytes, plan: Plan, sinks: Sequence[socket.socket]) -> tuple[object, ...]:
    """What arrives at each sink, and what was dropped, if these runs lie one behind the other."""
    addresses: list[Address] = [each.getsockname() for each in sinks]
    addresses.append(NOWHERE)
    outlet = kind(bound())
    runs, at = [], 0
    for number, length, segment in plan:
        runs.append(Run(outlet.local, addresses[number], at, at + length, segment))
        at += length
    drops = outlet.send(memoryview(arena)[:at], runs)
    outlet.close()
    return drops, *map(drain, sinks)


plans = st.lists(
    st.tuples(st.integers(0, SINKS), st.integers(1, 4000), st.sampled_from([60, 100, 100, 700, 1200, 5000])),
    max_size=80,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans, seed=st.binary(min_size=1, max_size=97))
@pytest.mark.parametrize("kind", ["segmenting", "native"], indirect=True)
def test_all_send_the_datagrams_that_the_plain_one_sends(
    kind: Maker, sinks: list[socket.socket], plan: Plan, seed: bytes
) -> None:
    arena = (seed * (4000 * 80 // len(seed) + 1))[: 4000 * 80]
    assert send(kind, arena, plan, sinks) == send(PlainSocket, arena, plan, sinks)


def pack(runs: Sequence[Run], locals_: Sequence[Address]) -> Packed:
    """As the compiled kernel does."""
    records = b"".join(
        RUN_RECORD.pack(start, end, segment, remote[1], 4, locals_.index(local), ip_address(remote[0]).packed)
        for local, remote, start, end, segment in runs
    )
    return Packed(records, tuple(locals_))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans, foreign=st.lists(st.booleans(), min_size=80, max_size=80))
def test_packed_runs_leave_as_the_others_do(sinks: list[socket.socket], plan: Plan, foreign: list[bool]) -> None:
    outlet = native(bound())
    assert isinstance(outlet, NativeSocket)
    arena = bytes(range(256)) * (4000 * 80 // 256)
    elsewhere = ("127.0.0.2", 7)
    runs, at = [], 0
    for (number, length, segment), is_foreign in zip(plan, foreign, strict=False):
        to = sinks[number].getsockname() if number < SINKS else NOWHERE
        runs.append(Run(elsewhere if is_foreign else outlet.local, to, at, at + length, segment))
        at += length
    drops = outlet.send(memoryview(arena), [run for run in runs if run.local == outlet.local])
    expected = (drops, *map(drain, sinks))
    drops = outlet.send_packed(memoryview(arena), pack(runs, [elsewhere, outlet.local]))
    outlet.close()
    assert (drops, *map(drain, sinks)) == expected


def test_packed_runs_that_make_no_sense_are_refused() -> None:
    outlet = native(bound())
    assert isinstance(outlet, NativeSocket)
    run = (0, 4, 2, 9, 4, 0, bytes(16))
    for records in (
        RUN_RECORD.pack(*run)[:-1],
        RUN_RECORD.pack(2, 5, *run[2:]),
        RUN_RECORD.pack(3, 2, *run[2:]),
        RUN_RECORD.pack(0, 4, 0, *run[3:]),
    ):
        with pytest.raises(ValueError, match=r"record|run"):
            outlet.send_packed(memoryview(b"data"), Packed(records, (outlet.local,)))
    nowhere = Packed(RUN_RECORD.pack(0, 4, 2, 9, 0, 0, bytes(16)), (outlet.local,))
    assert outlet.send_packed(memoryview(b"data"), nowhere) == {DropReason.UNREACHABLE: 2}
    outlet.close()


def test_long_runs_arrive_whole(kind: Maker, sinks: list[socket.socket]) -> None:
    arena = bytes(range(256)) * 600
    drops, first, second, _ = send(kind, arena, [(0, 300 * 100, 100), (1, 120_000, 1200)], sinks)
    assert drops == {}
    assert first == [arena[at : at + 100] for at in range(0, 30_000, 100)]
    assert second == [arena[at : at + 1200] for at in range(30_000, 150_000, 1200)]


def test_neighbours_to_one_address_stay_apart(kind: Maker, sinks: list[socket.socket]) -> None:
    drops, first, second, third = send(kind, b"aabbcddeeff", [(0, 2, 2), (0, 3, 2), (0, 2, 2), (1, 4, 2)], sinks)
    assert (drops, first, second, third) == ({}, [b"aa", b"bb", b"c", b"dd"], [b"ee", b"ff"], [])


def test_a_lost_datagram_takes_no_other_with_it(kind: Maker, sinks: list[socket.socket]) -> None:
    drops, first, *_ = send(kind, bytes(70_020), [(0, 10, 10), (0, 70_000, 70_000), (3, 5, 2), (0, 5, 5)], sinks)
    assert drops == {DropReason.UNREACHABLE: 4}
    assert first == [bytes(10), bytes(5)]


def test_received_in_order_with_origin_and_limit(kind: Maker, sinks: list[socket.socket]) -> None:
    inlet = kind(bound())
    for number in range(12):
        sinks[number % 3].sendto(b"%d" % number * (300 if number == 5 else 1), inlet.local)
    expected = [(inlet.local, sinks[number % 3].getsockname(), b"%d" % number) for number in range(12)]
    expected[5] = (*expected[5][:2], b"5" * 300)
    assert inlet.receive(5)[0] == expected[:5]
    assert inlet.receive(64)[0] == expected[5:]
    assert inlet.receive(64)[0] == []
    inlet.close()


def test_long_datagrams_are_cut(kind: Maker, sinks: list[socket.socket]) -> None:
    inlet = kind(bound())
    sinks[0].sendto(b"x" * 3000, inlet.local)
    sinks[0].sendto(b"y", inlet.local)
    assert [data for *_, data in inlet.receive(64)[0]] == [b"x" * 2048, b"y"]
    inlet.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the counter is Linux's")
def test_what_was_not_read_in_time_is_counted(kind: Maker, sinks: list[socket.socket]) -> None:
    sock = bound()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    inlet = kind(sock)
    assert inlet.poll_lost() == 0
    for _ in range(20):
        sinks[0].sendto(bytes(1000), inlet.local)
    arrived = len(inlet.receive(64)[0])
    assert arrived < 20
    assert inlet.poll_lost() == 20 - arrived
    assert inlet.poll_lost() == 0
    inlet.close()


def test_the_choice_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATRIUM_UDP", "python")
    assert choose()[:2] == ("python", "asked for")
    monkeypatch.delenv("ATRIUM_UDP")
    monkeypatch.setitem(sys.modules, "trio_server._udp", None)
    name, reason, *_ = choose()
    assert name == "python"
    assert reason.startswith("native sockets are not here")
    with pytest.raises(OSError, match="native sockets are not here"):
        choose("native")


class FullBatches:
    """Takes the place of the compiled half: a socket that takes nothing."""

    def __init__(self, *_: object) -> None: ...

    def send(self, arena: memoryview, runs: Sequence[Run]) -> tuple[int, int]:
        return len(runs), 0

    def close(self) -> None: ...


def test_a_full_socket_drops() -> None:
    each = NativeSocket(bound(), FullBatches)  # type: ignore[arg-type]
    assert each.send(memoryview(b"ab"), [Run(each.local, NOWHERE, 0, 1, 1)]) == {DropReason.SOCKET_FULL: 1}
    assert each.send(memoryview(b""), []) == {}
    each.close()


class TestNative:
    """What only the compiled half can get wrong."""

    @pytest.fixture(autouse=True)
    def outlet(self) -> Iterator[DatagramSocket]:
        each = native(bound())
        yield each
        each.close()

    @pytest.mark.parametrize(
        "run",
        [
            pytest.param((0, 5, 1), id="end"),
            pytest.param((3, 2, 1), id="order"),
            pytest.param((0, 4, 0), id="no size"),
        ],
    )
    def test_runs_that_make_no_sense(self, outlet: DatagramSocket, run: tuple[int, int, int]) -> None:
        with pytest.raises(ValueError, match="run outside"):
            outlet.send(memoryview(b"abcd"), [Run(outlet.local, NOWHERE, *run)])

    def test_arguments_of_other_types(self, outlet: DatagramSocket) -> None:
        with pytest.raises((TypeError, OverflowError)):
            outlet.send(memoryview(b"abcd"), [Run(outlet.local, NOWHERE, -1, 4, 4)])
        with pytest.raises((TypeError, BufferError, ValueError)):
            outlet.send(memoryview(b"abcd")[::2], [Run(outlet.local, NOWHERE, 0, 2, 2)])
        with pytest.raises(TypeError):
            outlet.send(memoryview(b"abcd"), [["a list"]])  # type: ignore[list-item]

    def test_what_is_no_address_is_unreachable(self, outlet: DatagramSocket) -> None:
        runs = [Run(outlet.local, (host, 9), 0, 4, 2) for host in ("localhost", "2001:db8::1", "")]
        assert outlet.send(memoryview(b"abcd"), runs) == {DropReason.UNREACHABLE: 6}

    def test_addresses_are_one_object_and_let_go(self, outlet: DatagramSocket) -> None:
        with bound() as other:
            for _ in range(3):
                other.sendto(b"x", outlet.local)
        batch, _ = outlet.receive(10)
        assert batch[0][1] is batch[1][1] is batch[2][1]
        arena = Arena(b"ab")
        outlet.send(memoryview(arena), [Run(outlet.local, ("127.0.0.1", 9), 0, 2, 2)])
        gone = weakref.ref(arena)
        del arena
        gc.collect()
        assert gone() is None

    def test_many_destinations(self, outlet: DatagramSocket) -> None:
        with bound() as other:
            runs = [Run(outlet.local, ("127.0.0.1", 1 + number), 0, 2, 2) for number in range(20_000)]
            runs.append(Run(outlet.local, other.getsockname(), 0, 2, 2))
            assert outlet.send(memoryview(b"ab"), runs) == {}
            assert other.recv(10) == b"ab"

    def test_after_close(self, outlet: DatagramSocket) -> None:
        outlet.close()
        assert outlet.receive(10)[0] == []
        assert outlet.send(memoryview(b"abcd"), [Run(NOWHERE, NOWHERE, 0, 4, 2)]) == {DropReason.UNREACHABLE: 2}


class Arena(bytearray):
    """One that can be watched."""
