"""Two associations over a virtual link, and one against OpenSSL as other stacks use it. OpenSSL's own clock hardly moves."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL._util import lib as openssl

from sansio.dtls import (
    Certificate,
    Closed,
    Completed,
    Data,
    DtlsEvent,
    DtlsRole,
    Failed,
    OpenSslHandshake,
    fingerprint_of,
)
from sansio.dtls.records import Record, parse_records, with_sequence_number
from sansio.entropy import SeededEntropy, random_unit
from sansio.errors import DropReason, LocalProtocolError

CERTIFICATES = (Certificate.generate(1_700_000_000.0), Certificate.generate(1_700_000_000.0))
LATENCY = 0.02
Link = Callable[[int, bytes], Iterable[bytes]]
"""From the sender's index and a datagram to what arrives."""


def deliver(sender: int, data: bytes) -> Iterable[bytes]:
    return [data]


class Pair:
    """Index 0 is the client, 1 the server."""

    def __init__(self, link: Link = deliver, *, verify: bool = True, reorder: bool = False) -> None:
        self.now = 0.0
        self.sides = (OpenSslHandshake(CERTIFICATES[0]), OpenSslHandshake(CERTIFICATES[1]))
        self.events: tuple[list[DtlsEvent], list[DtlsEvent]] = ([], [])
        self.sizes: list[int] = []
        self.flying: list[tuple[float, int, bytes]] = []
        self.link = link
        self.reorder = reorder
        if verify:
            self.announce()
        self.sides[1].start(0.0, DtlsRole.SERVER)
        self.sides[0].start(0.0, DtlsRole.CLIENT)
        self.flush()

    def announce(self) -> None:
        for index, side in enumerate(self.sides):
            side.set_remote_fingerprints(self.now, [("sha-256", CERTIFICATES[1 - index].fingerprint)])

    def flush(self) -> None:
        for index, side in enumerate(self.sides):
            datagrams = side.poll_transmits()
            for data in reversed(datagrams) if self.reorder else datagrams:
                self.sizes.append(len(data))
                for arrived in self.link(index, data):
                    self.flying.append((self.now + LATENCY, 1 - index, arrived))
            self.events[index].extend(side.poll_events())

    def run(self, until: float) -> None:
        while True:
            deadlines = [at for at, _, _ in self.flying] + [
                at for side in self.sides if (at := side.poll_timeout()) is not None
            ]
            if not deadlines or min(deadlines) > until:
                break
            self.now = max(self.now, min(deadlines))
            due = [entry for entry in self.flying if entry[0] <= self.now]
            self.flying = [entry for entry in self.flying if entry[0] > self.now]
            for _, index, data in due:
                self.sides[index].handle_datagram(self.now, data)
            for side in self.sides:
                side.handle_timeout(self.now)
            self.flush()
        self.now = until

    @property
    def keys(self) -> list[Completed]:
        return [event for events in self.events for event in events if isinstance(event, Completed)]


def test_a_pair_agrees_on_keys_in_two_round_trips() -> None:
    pair = Pair()
    pair.run(0.09)
    client, server = pair.keys
    assert client.profile is server.profile
    assert (client.local_key, client.remote_key) == (server.remote_key, server.local_key)
    assert all(side.complete and side.poll_timeout() is None for side in pair.sides)
    assert max(pair.sizes) <= 1200
    assert [side.role for side in pair.sides] == [DtlsRole.CLIENT, DtlsRole.SERVER]


def test_keys_stay_out_of_the_representation() -> None:
    pair = Pair()
    pair.run(1.0)
    assert "key" not in repr(pair.keys[0])


@pytest.mark.parametrize("seed", range(25))
def test_a_handshake_survives_loss_duplication_and_reordering(seed: int) -> None:
    entropy = SeededEntropy(f"dtls-{seed}")

    def link(sender: int, data: bytes) -> Iterable[bytes]:
        roll = random_unit(entropy)
        return [] if roll < 0.3 else [data, data] if roll > 0.85 else [data]

    pair = Pair(link, reorder=seed % 2 == 0)
    pair.run(30.0)
    assert len(pair.keys) == 2, f"seed {seed}: {pair.events}"


@pytest.mark.parametrize("lost", [0, 1, 2, 3], ids=["ClientHello", "server flight", "client flight", "server Finished"])
def test_a_lost_flight_is_repeated_after_100_ms(lost: int) -> None:
    count = 0

    def link(sender: int, data: bytes) -> Iterable[bytes]:
        nonlocal count
        count += 1
        return [] if count == lost + 1 else [data]

    pair = Pair(link)
    pair.run(0.099)
    assert len(pair.keys) < 2
    pair.run(0.3)
    assert len(pair.keys) == 2


def test_repetition_backs_off_to_a_ceiling_and_the_deadline_fails_it() -> None:
    sent: list[float] = []
    pair = Pair.__new__(Pair)

    def link(sender: int, data: bytes) -> Iterable[bytes]:
        sent.append(pair.now)
        return []

    Pair.__init__(pair, link)
    pair.run(70.0)
    gaps = [round(b - a, 3) for a, b in itertools.pairwise(sent)]
    assert gaps[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert set(gaps[6:]) == {3.2}
    assert pair.events[0] == [Failed("handshake timed out")]
    assert pair.events[1] == []  # it never heard of anyone
    assert pair.sides[0].poll_timeout() is None


def test_repeated_cleartext_records_take_fresh_sequence_numbers() -> None:
    numbers: list[bytes] = []

    def link(sender: int, data: bytes) -> Iterable[bytes]:
        numbers.extend(record.data[5:11] for record in parse_records(data) if record.epoch == 0)
        return []

    pair = Pair(link)
    pair.run(1.0)
    assert len(numbers) > 2
    assert len(set(numbers)) == len(numbers)


def test_data_flows_and_close_is_told() -> None:
    pair = Pair()
    pair.run(0.5)
    pair.sides[0].send(pair.now, b"to the server")
    pair.sides[1].send(pair.now, b"x" * 1191)
    pair.flush()
    pair.run(0.6)
    assert [events[-1] for events in pair.events] == [Data(b"x" * 1191), Data(b"to the server")]
    assert max(pair.sizes[-2:]) == 1191 + 37
    pair.sides[1].close(pair.now)
    pair.flush()
    pair.run(0.7)
    assert isinstance(pair.events[0][-1], Closed)
    assert not any(side.complete for side in pair.sides)
    with pytest.raises(LocalProtocolError):
        pair.sides[0].send(pair.now, b"late")


def test_data_in_the_flight_of_the_finished_is_not_lost() -> None:
    held: list[bytes] = []
    pair = Pair(lambda sender, data: [data])
    pair.run(0.05)  # the client's last flight is under way
    pair.run(0.07)
    pair.run(0.081)
    assert pair.sides[0].complete
    pair.sides[1].send(pair.now, b"first")
    held += pair.sides[1].poll_transmits()
    pair.sides[0].handle_datagram(pair.now, held[0])
    pair.flush()
    assert pair.events[0][-1] == Data(b"first")


def test_nothing_is_given_away_before_the_fingerprint_is_known() -> None:
    pair = Pair(verify=False)
    pair.sides[1].set_remote_fingerprints(0.0, [("sha-256", CERTIFICATES[0].fingerprint)])
    pair.run(1.0)
    assert pair.events[0] == []
    assert isinstance(pair.events[1][0], Completed)
    pair.sides[1].send(pair.now, b"early")
    pair.flush()
    pair.run(2.0)
    assert not pair.sides[0].complete
    pair.announce()
    pair.flush()
    assert [type(event) for event in pair.events[0]] == [Completed, Data]


def test_early_data_is_bounded_while_the_fingerprint_is_unknown() -> None:
    pair = Pair(verify=False)
    pair.sides[1].set_remote_fingerprints(0.0, [("sha-256", CERTIFICATES[0].fingerprint)])
    pair.run(1.0)
    for _ in range(100):
        pair.sides[1].send(pair.now, b"early")
    pair.flush()
    pair.run(2.0)
    pair.announce()
    pair.flush()
    assert len(pair.events[0]) == 1 + 64
    assert pair.sides[0].poll_drops() == {DropReason.DTLS_UNEXPECTED: 36}


def test_a_handshake_without_fingerprints_ends_at_the_deadline() -> None:
    pair = Pair(verify=False)
    pair.run(61.0)
    assert pair.events == ([Failed("handshake timed out")], [Failed("handshake timed out")])


@pytest.mark.parametrize(
    ("fingerprints", "good"),
    [
        pytest.param([("sha-256", CERTIFICATES[1].fingerprint.lower())], True, id="lower case"),
        pytest.param([("SHA-256", CERTIFICATES[1].fingerprint)], True, id="upper-case algorithm"),
        pytest.param([("sha-384", fingerprint_of(CERTIFICATES[1].x509, "sha-384"))], True, id="sha-384"),
        pytest.param([("md5", "00:11"), ("sha-256", CERTIFICATES[1].fingerprint)], True, id="one of several"),
        pytest.param([("sha-256", CERTIFICATES[0].fingerprint)], False, id="of another certificate"),
        pytest.param([("sha-1", "")], False, id="unknown algorithm, empty value"),
        pytest.param([("sha-256", "")], False, id="empty value"),
    ],
)
def test_the_fingerprint_decides(fingerprints: list[tuple[str, str]], good: bool) -> None:
    pair = Pair(verify=False)
    pair.sides[0].set_remote_fingerprints(0.0, fingerprints)
    pair.run(1.0)
    assert isinstance(pair.events[0][0], Completed if good else Failed)
    assert pair.sides[0].complete is good


def test_datagrams_before_start_and_after_the_end_are_counted() -> None:
    handshake = OpenSslHandshake(CERTIFICATES[0])
    handshake.handle_datagram(0.0, b"\x16")
    handshake.close(0.0)
    handshake.handle_datagram(0.0, b"\x16")
    assert handshake.poll_drops() == {DropReason.DTLS_UNEXPECTED: 2}
    assert handshake.poll_drops() == {}


def test_misuse_is_told() -> None:
    handshake = OpenSslHandshake(CERTIFICATES[0])
    handshake.start(0.0, DtlsRole.SERVER)
    with pytest.raises(LocalProtocolError):
        handshake.start(0.0, DtlsRole.SERVER)
    pair = Pair()
    pair.run(1.0)
    for data in (b"", bytes(16385)):
        with pytest.raises(LocalProtocolError):
            pair.sides[0].send(1.0, data)


# Garbage


def hello(body: bytes) -> bytes:
    """A well-formed ClientHello record whose body is nonsense."""
    message = b"\x01" + len(body).to_bytes(3, "big") + bytes(5) + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x16" + bytes(40), id="no record"),
        pytest.param(b"\x16\xfe\xff" + bytes(8) + b"\x00\x20" + b"\xa5" * 32, id="record of nonsense"),
        pytest.param(b"\x15\xfe\xff" + bytes(8) + b"\x00\x02\x02\x28", id="fatal alert"),
        pytest.param(b"\x14\xfe\xff" + bytes(8) + b"\x00\x01\x01", id="ChangeCipherSpec"),
        pytest.param(b"\x17\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + bytes(32), id="data"),
        pytest.param(hello(b"\xa5" * 60), id="nonsensical hello"),
        pytest.param(hello(b"\xfe\xfd" + bytes(80)), id="hello without ciphers"),
    ],
)
def test_garbage_before_the_handshake_harms_nothing(garbage: bytes) -> None:
    pair = Pair()
    for _ in range(3):
        pair.sides[1].handle_datagram(0.0, garbage)
    assert pair.sides[1].poll_transmits() == []
    pair.run(1.0)
    assert len(pair.keys) == 2
    assert sum(pair.sides[1].poll_drops().values()) == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=5), st.integers(0, 100))
def test_no_bytes_raise_at_any_moment(garbage: list[bytes], after_ms: int) -> None:
    pair = Pair()
    pair.run(after_ms / 1000)
    for side in pair.sides:
        for data in garbage:
            side.handle_datagram(pair.now, b"\x16\xfe\xfd" + data)
            side.handle_datagram(pair.now, data)
    pair.run(1.0)
    assert len(pair.keys) == 2


# Other stacks


def raw_context(*, groups: bytes = b"X25519:P-256", profiles: bytes | None = b"SRTP_AES128_CM_SHA1_80") -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(CERTIFICATES[0].x509)
    context.use_privatekey(CERTIFICATES[0].key)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    if profiles is not None:
        context.set_tlsext_use_srtp(profiles)
    assert openssl.SSL_CTX_set1_curves_list(context._context, groups) == 1
    return context


class RawClient:
    """OpenSSL as a DTLS client, one datagram per record."""

    def __init__(self, context: SSL.Context, *, first_number: int = 0) -> None:
        self.first_number = first_number
        self.connection = SSL.Connection(context, None)
        self.connection.set_connect_state()
        self.connection.set_ciphertext_mtu(1200)

    def step(self) -> list[bytes]:
        with contextlib.suppress(SSL.WantReadError):
            self.connection.do_handshake()
        try:
            records = parse_records(self.connection.bio_read(65535))
            return [self.numbered(record) for record in records]
        except SSL.WantReadError:
            return []

    def numbered(self, record: Record) -> bytes:
        """Leaves room for the numbers that the fragments of the first record took."""
        number = int.from_bytes(record.data[5:11], "big")
        return record.data if record.epoch else with_sequence_number(record, number + self.first_number)


def refragment(record: bytes, cuts: Iterable[int]) -> list[bytes]:
    """One cleartext handshake record as several, its message cut at the given places."""
    head, body = record[13:25], record[25:]
    edges = [0, *cuts, len(body)]
    out = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        fragment = head[:6] + start.to_bytes(3, "big") + (end - start).to_bytes(3, "big") + body[start:end]
        out.append(record[:5] + number.to_bytes(6, "big") + len(fragment).to_bytes(2, "big") + fragment)
    return out


def with_extensions(hello_record: bytes, extensions: bytes) -> bytes:
    """A ClientHello record with more extensions at its end."""
    body = hello_record[25:]
    ciphers_at = 2 + 32 + 1 + body[34] + 1 + body[34 + 1 + body[34]]
    extensions_at = ciphers_at + 2 + int.from_bytes(body[ciphers_at : ciphers_at + 2], "big")
    extensions_at += 1 + body[extensions_at]
    more = body[extensions_at + 2 :] + extensions
    body = body[:extensions_at] + len(more).to_bytes(2, "big") + more
    length = len(body).to_bytes(3, "big")
    message = b"\x01" + length + bytes(5) + length + body
    return hello_record[:11] + len(message).to_bytes(2, "big") + message


def server() -> OpenSslHandshake:
    handshake = OpenSslHandshake(CERTIFICATES[1])
    handshake.set_remote_fingerprints(0.0, [("sha-256", CERTIFICATES[0].fingerprint)])
    handshake.start(0.0, DtlsRole.SERVER)
    return handshake


@pytest.mark.parametrize("order", ["forward", "reversed", "doubled", "one datagram"])
def test_a_fragmented_client_hello_is_put_together(order: str) -> None:
    client, handshake = RawClient(raw_context(), first_number=10), server()
    (first,) = client.step()
    fragments = refragment(first, [40, 90])
    arrivals = {
        "forward": fragments,
        "reversed": fragments[::-1],
        "doubled": [fragment for fragment in fragments for _ in range(2)],
        "one datagram": [b"".join(fragments)],
    }[order]
    for fragment in arrivals:
        handshake.handle_datagram(0.0, fragment)
    for _ in range(4):
        for data in handshake.poll_transmits():
            client.connection.bio_write(data)
            for reply in client.step():
                handshake.handle_datagram(0.0, reply)
    (event,) = handshake.poll_events()
    assert isinstance(event, Completed)
    assert event.profile.name == "AES128_CM_SHA1_80"


def test_a_large_hybrid_client_hello_in_two_datagrams_gets_a_server_flight() -> None:
    (small,) = RawClient(raw_context()).step()
    key_share = b"\x00\x33" + (1222).to_bytes(2, "big") + (1220).to_bytes(2, "big") + b"\x11\xec\x04\xc0" + bytes(1216)
    large = with_extensions(small, key_share + b"\x00\x2b\x00\x05\x04\xfe\xfc\xfe\xfd")
    handshake = server()
    for data in refragment(large, [1175 - 25]):
        assert handshake.poll_transmits() == []
        handshake.handle_datagram(0.0, data)
    flight = handshake.poll_transmits()
    assert flight
    assert max(map(len, flight)) <= 1200


@pytest.mark.parametrize("profiles", [None, b"SRTP_AES128_CM_SHA1_32"], ids=["none offered", "none in common"])
def test_no_common_profile_is_a_failure(profiles: bytes | None) -> None:
    client, handshake = RawClient(raw_context(profiles=profiles)), server()
    replies = client.step()
    for _ in range(4):
        for reply in replies:
            handshake.handle_datagram(0.0, reply)
        replies = []
        for data in handshake.poll_transmits():
            client.connection.bio_write(data)
            replies += client.step()
    assert handshake.poll_events() == [Failed("no common SRTP profile")]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM"),
        (b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"),
    ],
    ids=["as Chrome lists them", "without GCM-128"],
)
def test_the_server_prefers_its_own_order(offered: bytes, chosen: str) -> None:
    client, handshake = RawClient(raw_context(profiles=offered)), server()
    replies = client.step()
    for _ in range(4):
        for reply in replies:
            handshake.handle_datagram(0.0, reply)
        replies = []
        for data in handshake.poll_transmits():
            client.connection.bio_write(data)
            replies += client.step()
    (event,) = handshake.poll_events()
    assert isinstance(event, Completed)
    assert event.profile.name == chosen


def test_a_peer_that_refuses_is_a_failure_and_not_an_exception() -> None:
    handshake = OpenSslHandshake(CERTIFICATES[0])
    handshake.start(0.0, DtlsRole.CLIENT)
    handshake.handle_datagram(0.0, b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28")
    (event,) = handshake.poll_events()
    assert isinstance(event, Failed)
    assert "alert" in event.reason.lower()
    handshake.handle_timeout(100.0)
    assert handshake.poll_events() == []


def test_a_client_without_certificate_is_refused() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    client, handshake = RawClient(context), server()
    replies = client.step()
    events: list[DtlsEvent] = []
    for _ in range(4):
        for reply in replies:
            handshake.handle_datagram(0.0, reply)
        replies = []
        events += handshake.poll_events()
        for data in handshake.poll_transmits():
            client.connection.bio_write(data)
            try:
                replies += client.step()
            except SSL.Error:
                break
    assert [type(event) for event in events] == [Failed]
