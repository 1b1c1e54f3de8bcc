"""The stand-in for DTLS: it completes over loss, verifies, carries data, and repeats for a seed."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.dtls import Closed, Completed, Data, DtlsEvent, DtlsRole, Failed
from sansio.entropy import SeededEntropy, random_unit
from sansio.errors import DropReason, LocalProtocolError
from sansio.sim import SeededDtls
from sansio.sim.handshake import FIRST_RETRANSMISSION, LAST_RETRANSMISSION, SeededHandshake


class Ends:
    """Index 0 is the client."""

    def __init__(self, seed: int | str = 1, *, loss: float = 0.0, latency: float = 0.02) -> None:
        self.dtls = SeededDtls(seed)
        self.certificates = [self.dtls.certificate(name) for name in ("client", "server")]
        self.ends: list[SeededHandshake] = [self.dtls.handshake(certificate) for certificate in self.certificates]
        self.now = 0.0
        self.loss = loss
        self.latency = latency
        self.events: tuple[list[DtlsEvent], list[DtlsEvent]] = ([], [])
        self.sent: list[tuple[float, int, bytes]] = []
        self._chance = SeededEntropy(f"loss {seed}")
        self._flying: list[tuple[float, int, int, bytes]] = []

    def know(self, *, client: bool = True, server: bool = True) -> None:
        """Who is told of the other's fingerprint."""
        if client:
            self.ends[0].set_remote_fingerprints(self.now, [("sha-256", self.certificates[1].fingerprint)])
        if server:
            self.ends[1].set_remote_fingerprints(self.now, [("sha-256", self.certificates[0].fingerprint.lower())])

    def start(self) -> None:
        self.ends[1].start(self.now, DtlsRole.SERVER)
        self.ends[0].start(self.now, DtlsRole.CLIENT)
        self.flush()

    def connect(self, until: float = 30.0) -> None:
        self.know()
        self.start()
        self.run(until)

    def flush(self) -> None:
        for index, end in enumerate(self.ends):
            for data in end.poll_transmits():
                self.sent.append((self.now, index, data))
                if random_unit(self._chance) >= self.loss:
                    heappush(self._flying, (self.now + self.latency, len(self.sent), 1 - index, data))
            self.events[index].extend(end.poll_events())

    def run(self, until: float) -> None:
        while True:
            deadlines = [at for end in self.ends if (at := end.poll_timeout()) is not None]
            at = min(deadlines + [one[0] for one in self._flying[:1]], default=until + 1)
            if at > until:
                self.now = until
                return
            self.now = at
            while self._flying and self._flying[0][0] <= at:
                _, _, index, data = heappop(self._flying)
                self.ends[index].handle_datagram(at, data)
            for end in self.ends:
                end.handle_timeout(at)
            self.flush()

    def completed(self, index: int) -> Completed:
        event = self.events[index][0]
        assert isinstance(event, Completed)
        return event


def test_both_ends_get_each_others_keys() -> None:
    ends = Ends()
    ends.connect()
    client, server = ends.completed(0), ends.completed(1)
    assert (client.local_key, client.remote_key) == (server.remote_key, server.local_key)
    assert client.local_key != client.remote_key
    assert len(client.local_key) == 28
    assert all(end.complete for end in ends.ends)
    assert [end.role for end in ends.ends] == [DtlsRole.CLIENT, DtlsRole.SERVER]


@pytest.mark.parametrize("seed", range(20))
def test_it_completes_at_thirty_percent_loss(seed: int) -> None:
    ends = Ends(seed, loss=0.3)
    ends.connect()
    assert all(end.complete for end in ends.ends), f"seed {seed}"
    ends.ends[0].send(ends.now, b"x")
    assert len(ends.sent) < 60


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    def trace(seed: int) -> list[tuple[float, int, bytes]]:
        ends = Ends(seed, loss=0.2)
        ends.connect()
        return ends.sent

    assert trace(5) == trace(5) != trace(6)


def test_a_flight_is_repeated_at_doubling_intervals_until_the_deadline() -> None:
    ends = Ends(loss=1.1)
    ends.connect(until=100.0)
    times = [at for at, _, _ in ends.sent]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[:6] == pytest.approx([FIRST_RETRANSMISSION * 2**n for n in range(6)])
    assert max(gaps) == pytest.approx(LAST_RETRANSMISSION)
    assert ends.events == ([Failed("handshake timed out")], [])
    assert times[-1] <= 60


def test_completion_waits_for_the_fingerprint_and_so_does_data() -> None:
    ends = Ends()
    ends.know(server=False)
    ends.start()
    ends.run(1.0)
    assert isinstance(ends.events[0][0], Completed)
    ends.ends[0].send(ends.now, b"early")
    ends.flush()
    ends.run(2.0)
    assert ends.events[1] == []
    assert not ends.ends[1].complete
    ends.know(client=False)
    ends.flush()
    assert [type(event) for event in ends.events[1]] == [Completed, Data]


def test_another_certificate_fails() -> None:
    ends = Ends()
    ends.ends[0].set_remote_fingerprints(0.0, [("sha-256", ends.dtls.certificate("stranger").fingerprint)])
    ends.know(client=False)
    ends.start()
    ends.run(5.0)
    assert ends.events[0] == [Failed("the peer's certificate has no announced fingerprint")]
    assert ends.ends[0].poll_timeout() is None


def test_data_passes_both_ways_and_repetitions_do_not() -> None:
    ends = Ends()
    ends.connect()
    ends.ends[0].send(ends.now, b"to server")
    record = ends.ends[0].poll_transmits()[0]
    ends.ends[1].handle_datagram(ends.now, record)
    ends.ends[1].handle_datagram(ends.now, record)
    ends.ends[1].send(ends.now, b"to client")
    ends.flush()
    ends.run(ends.now + 1)
    assert ends.events[1][1:] == [Data(b"to server")]
    assert ends.events[0][1:] == [Data(b"to client")]
    assert ends.ends[1].poll_drops() == {DropReason.DTLS_UNEXPECTED: 1}


def test_a_changed_record_is_dropped() -> None:
    ends = Ends()
    ends.connect()
    ends.ends[0].send(ends.now, b"data")
    record = ends.ends[0].poll_transmits()[0]
    ends.ends[1].handle_datagram(ends.now, record[:-1] + bytes([record[-1] ^ 1]))
    assert ends.ends[1].poll_events() == []
    assert ends.ends[1].poll_drops() == {DropReason.DTLS_MALFORMED: 1}


def test_old_records_outside_the_window_are_dropped() -> None:
    ends = Ends()
    ends.connect()
    for _ in range(3000):
        ends.ends[0].send(ends.now, b"x")
    records = ends.ends[0].poll_transmits()
    for record in records[1:]:
        ends.ends[1].handle_datagram(ends.now, record)
    ends.ends[1].handle_datagram(ends.now, records[0])
    assert len(ends.ends[1].poll_events()) == 2999


def test_a_goodbye_closes_the_other_end() -> None:
    ends = Ends()
    ends.connect()
    ends.ends[1].close(ends.now)
    ends.flush()
    ends.run(ends.now + 1)
    assert ends.events[0][1:] == [Closed()]
    assert not ends.ends[0].complete
    ends.ends[0].handle_datagram(ends.now, b"\x17" + bytes(30))
    assert ends.ends[0].poll_drops() == {DropReason.DTLS_UNEXPECTED: 1}


def test_misuse_is_refused() -> None:
    ends = Ends()
    with pytest.raises(LocalProtocolError, match="no DTLS association"):
        ends.ends[0].send(0.0, b"x")
    ends.connect()
    with pytest.raises(LocalProtocolError, match="started before"):
        ends.ends[0].start(0.0, DtlsRole.CLIENT)
    with pytest.raises(LocalProtocolError, match="1 to 16384 bytes"):
        ends.ends[0].send(0.0, b"")


def test_a_certificate_stands_for_its_name_and_seed() -> None:
    assert SeededDtls(1).certificate("a").fingerprint == SeededDtls(1).certificate("a").fingerprint
    prints = {SeededDtls(seed).certificate(name).fingerprint for seed in (1, 2) for name in ("a", "b")}
    assert len(prints) == 4
    assert all(len(one) == 95 for one in prints)


def is_hello(data: bytes) -> bool:
    """A well-formed one is believed, whoever sent it, as in DTLS."""
    return (data[:1] == b"\x01" and len(data) == 17) or (data[:1] == b"\x02" and len(data) > 17)


JUNK = st.binary(max_size=60).filter(lambda data: not is_hello(data))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 1), JUNK), max_size=20), st.booleans())
def test_no_bytes_disturb_it(junk: list[tuple[int, bytes]], late: bool) -> None:
    ends = Ends()
    if late:
        ends.connect()
    else:
        ends.know()
        ends.start()
    for index, data in junk:
        ends.ends[index].handle_datagram(ends.now, data)
        ends.ends[index].handle_datagram(ends.now, b"\x16\xfe\xfd" + bytes(8) + len(data).to_bytes(2, "big") + data)
    ends.flush()
    ends.run(ends.now + 30.0)
    assert all(end.complete for end in ends.ends)
