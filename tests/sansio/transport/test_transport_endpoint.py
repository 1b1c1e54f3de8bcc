"""The endpoint's tables: which datagram belongs to whom, and what is forgotten when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_link import ADDRESSES, CERTIFICATES, Link

from sansio.config import LimitConfig, RtcConfig
from sansio.dtls import DtlsRole, OpenSslHandshake
from sansio.entropy import SeededEntropy
from sansio.errors import DropReason
from sansio.ice import Candidate, Role
from sansio.kernel.pure import PureKernel
from sansio.outputs import Address
from sansio.transport import Endpoint, PeerState, PeerTransport

STRANGER: Address = ("198.51.100.9", 9999)


def endpoint(seed: str = "endpoint") -> Endpoint:
    entropy = SeededEntropy(seed)
    made = Endpoint(
        kernel=PureKernel(entropy.child("kernel")),
        certificate=CERTIFICATES[0],
        handshake=OpenSslHandshake,
        entropy=entropy,
        config=RtcConfig(),
        limit=LimitConfig(),
    )
    made.add_local(Candidate.host(ADDRESSES[0]), ADDRESSES[0])
    return made


def binding_request(ufrag: str) -> bytes:
    """With a USERNAME and nothing else; enough to be routed, not to be believed."""
    username = f"{ufrag}:them".encode()
    attribute = b"\x00\x06" + len(username).to_bytes(2, "big") + username + bytes(-len(username) % 4)
    return b"\x00\x01" + len(attribute).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + attribute


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", DropReason.UNKNOWN_FIRST_BYTE, id="empty"),
        pytest.param(b"\x04" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="4"),
        pytest.param(b"\x10" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="ZRTP"),
        pytest.param(b"\x40" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="TURN channel"),
        pytest.param(b"\x50" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="QUIC"),
        pytest.param(b"\xc0" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="192"),
        pytest.param(b"\xff" * 30, DropReason.UNKNOWN_FIRST_BYTE, id="255"),
        pytest.param(b"\x80" * 30, DropReason.UNKNOWN_ADDRESS, id="SRTP"),
        pytest.param(b"\xbf" * 30, DropReason.UNKNOWN_ADDRESS, id="last of SRTP"),
        pytest.param(b"\x16\xfe\xff" + bytes(40), DropReason.UNKNOWN_ADDRESS, id="DTLS"),
        pytest.param(b"\x3f" * 30, DropReason.UNKNOWN_ADDRESS, id="last of DTLS"),
        pytest.param(b"\x01\x01" + bytes(18), DropReason.UNKNOWN_ADDRESS, id="answer to nothing"),
        pytest.param(b"\x00", DropReason.UNKNOWN_ADDRESS, id="one byte of STUN"),
        pytest.param(binding_request("nobody"), DropReason.UNKNOWN_UFRAG, id="request for nobody"),
    ],
)
def test_datagrams_of_strangers_are_dropped_by_kind(data: bytes, reason: DropReason) -> None:
    made = endpoint()
    made.open_peer(0.0, role=Role.CONTROLLED)
    made.handle_datagram(0.0, ADDRESSES[0], STRANGER, data)
    assert made.poll_drops() == {reason: 1}
    assert made.poll_transmits() == []
    assert made.poll_drops() == {}


def test_a_request_that_names_a_peer_but_does_not_authenticate_is_not_answered() -> None:
    made = endpoint()
    peer = made.open_peer(0.0, role=Role.CONTROLLED)
    made.handle_datagram(0.0, ADDRESSES[0], STRANGER, binding_request(peer.local_ufrag))
    made.handle_datagram(0.0, ADDRESSES[0], STRANGER, b"\x16\xfe\xff" + bytes(40))
    assert made.poll_transmits() == []
    assert made.poll_drops()[DropReason.UNKNOWN_ADDRESS] == 1


def test_peers_have_ids_credentials_and_candidates_of_their_own() -> None:
    made = endpoint()
    peers = [made.open_peer(0.0, role=Role.CONTROLLED) for _ in range(3)]
    assert len(made) == 3
    assert len({peer.id for peer in peers}) == len({peer.local_ufrag for peer in peers}) == 3
    assert all(len(peer.local_ufrag) == 16 and len(peer.local_pwd) == 32 for peer in peers)
    assert all(peer.candidates == made.candidates for peer in peers)
    assert made.peer(peers[1].id) is peers[1]
    made.add_local(Candidate.host(ADDRESSES[1]), ADDRESSES[1])
    assert len(made.open_peer(0.0, role=Role.CONTROLLED).candidates) == 2
    assert len(peers[0].candidates) == 1


def test_several_clients_share_one_socket() -> None:
    links = [Link(f"shared-{index}") for index in range(3)]
    server = links[0].sides[1].endpoint
    sources: list[Address] = [("192.0.2.1", 5000 + index) for index in range(3)]
    peers = [server.open_peer(0.0, role=Role.CONTROLLED) for _ in links]
    now = 0.0
    for link, peer in zip(links, peers, strict=True):
        client = link.peers[0]
        peer.set_remote(
            0.0,
            ufrag=client.local_ufrag,
            pwd=client.local_pwd,
            fingerprints=[("sha-256", client.fingerprint)],
            role=DtlsRole.SERVER,
        )
        client.set_remote(
            0.0,
            ufrag=peer.local_ufrag,
            pwd=peer.local_pwd,
            fingerprints=[("sha-256", peer.fingerprint)],
            role=DtlsRole.CLIENT,
            candidates=peer.candidates,
        )
    for _ in range(60):
        now += 0.02
        batch = []
        for index, link in enumerate(links):
            link.sides[0].endpoint.handle_timeout(now)
            link.sides[0].endpoint.poll_events()
            for out in link.sides[0].endpoint.poll_transmits():
                batch += [(remote, sources[index], data) for _, remote, data in out]
        server.handle_datagrams(now, batch)
        server.handle_timeout(now)
        server.poll_events()
        for out in server.poll_transmits():
            for local, remote, data in out:
                link = links[sources.index(remote)]
                link.sides[0].endpoint.handle_datagram(now, ADDRESSES[0], local, data)
    assert [peer.state for peer in peers] == [PeerState.CONNECTED] * 3
    assert [peer.path for peer in peers] == [(ADDRESSES[1], source) for source in sources]


def test_a_reloaded_page_takes_its_port_to_a_new_transport() -> None:
    link = Link()
    link.connect()
    first = link.peers[1]
    for side, role in zip(link.sides, (Role.CONTROLLING, Role.CONTROLLED), strict=True):
        side.peer = side.endpoint.open_peer(link.now, role=role)
    link.connect(link.now + 5.0)
    second = link.peers[1]
    assert (first.state, second.state) == (PeerState.CONNECTED, PeerState.CONNECTED)
    assert first.path == second.path
    link.sides[1].endpoint.close_peer(link.now, first)
    link.flush()
    channel = link.peers[0].open_channel(link.now, "still here")
    link.run(link.now + 1.0)
    assert link.peers[0].buffered_bytes(channel) == 0
    assert link.sides[1].endpoint.peer(second.id) is second


def test_only_touched_peers_are_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    made = endpoint()
    peers = [made.open_peer(0.0, role=Role.CONTROLLED) for _ in range(50)]
    made.poll_events()
    polled: list[PeerTransport] = []
    original = PeerTransport.poll_events

    def poll_events(peer: PeerTransport) -> object:
        polled.append(peer)
        return original(peer)

    monkeypatch.setattr(PeerTransport, "poll_events", poll_events)
    made.handle_datagram(1.0, ADDRESSES[0], STRANGER, binding_request(peers[7].local_ufrag))
    made.poll_events()
    assert polled == [peers[7]]
    made.touch(peers[9])
    made.poll_timeout()
    assert polled == [peers[7], peers[9]]


def test_srtp_of_a_batch_enters_the_kernel_once_per_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link()
    link.connect()
    link.run(link.now + 1.0)
    server = link.sides[1]
    seen: list[tuple[int, list[float]]] = []
    original = PureKernel.ingest

    def ingest(kernel: PureKernel, now: float, session: int, datagrams: list[bytes], arrivals: list[float]) -> object:
        seen.append((len(datagrams), arrivals))
        return original(kernel, now, session, datagrams, arrivals)

    monkeypatch.setattr(PureKernel, "ingest", ingest)
    srtp = (ADDRESSES[1], ADDRESSES[0], b"\x80\x6f" + bytes(40))
    batch = [srtp, srtp, (ADDRESSES[1], STRANGER, srtp[2]), srtp]
    server.endpoint.handle_datagrams(link.now, batch)
    server.endpoint.handle_datagrams(link.now, batch, [0.1, 0.2, 0.3, 0.4])
    assert seen == [(3, [link.now] * 3), (3, [0.1, 0.2, 0.4])]
    drops = server.endpoint.poll_drops()
    assert drops[DropReason.SRTP_AUTHENTICATION] == 6
    assert drops[DropReason.UNKNOWN_ADDRESS] == 2


def test_paths_of_one_peer_are_bounded() -> None:
    link = Link()
    link.connect()
    server = link.sides[1]
    requests: list[bytes] = []

    def hold_requests(receiver: int, data: bytes) -> bool:
        if receiver == 1 and data[:2] == b"\x00\x01":
            requests.append(data)
            return False
        return True

    link.filter = hold_requests
    link.run(link.now + 5.0)
    link.filter = lambda receiver, data: True
    for port in range(20):
        server.endpoint.handle_datagram(link.now, ADDRESSES[1], ("192.0.2.1", 6000 + port), requests[0])
    server.endpoint.poll_drops()
    believed = 0
    for port in range(20):
        server.endpoint.handle_datagram(link.now, ADDRESSES[1], ("192.0.2.1", 6000 + port), b"\x80" * 40)
        believed += DropReason.UNKNOWN_ADDRESS not in server.endpoint.poll_drops()
    assert 0 < believed <= 8
    server.endpoint.handle_datagram(link.now, ADDRESSES[1], ADDRESSES[0], b"\x80" * 40)
    assert DropReason.UNKNOWN_ADDRESS not in server.endpoint.poll_drops(), "the path in use stays"


def test_a_closed_peers_addresses_are_strangers_again() -> None:
    link = Link()
    link.connect()
    server = link.sides[1]
    ufrag = server.peer.local_ufrag
    server.endpoint.close_peer(link.now, server.peer)
    server.endpoint.poll_events()
    server.endpoint.poll_drops()
    server.endpoint.handle_datagram(link.now, ADDRESSES[1], ADDRESSES[0], b"\x80" * 40)
    server.endpoint.handle_datagram(link.now, ADDRESSES[1], ADDRESSES[0], binding_request(ufrag))
    assert server.endpoint.poll_drops() == {DropReason.UNKNOWN_ADDRESS: 1, DropReason.UNKNOWN_UFRAG: 1}


def test_drops_of_a_closed_peer_are_still_counted() -> None:
    made = endpoint()
    peer = made.open_peer(0.0, role=Role.CONTROLLED)
    made.handle_datagram(0.0, ADDRESSES[0], STRANGER, binding_request(peer.local_ufrag))
    made.close_peer(0.0, peer)
    made.poll_events()
    assert sum(made.poll_drops().values()) == 1
    assert made.poll_drops() == {}


def test_early_srtp_is_bounded_and_counted() -> None:
    link = Link()
    link.filter = lambda receiver, data: not 20 <= data[0] < 64
    link.describe(1)
    link.describe(0)
    link.run(1.0)
    server = link.sides[1].endpoint
    for _ in range(100):
        server.handle_datagram(link.now, ADDRESSES[1], ADDRESSES[0], b"\x80" * 40)
    assert server.poll_drops() == {DropReason.SRTP_NO_KEYS: 36}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=30), st.floats(0.0, 0.5))
def test_no_datagram_raises_at_any_moment(datagrams: list[tuple[bool, bytes]], after: float) -> None:
    link = Link("hostile")
    link.describe(1)
    link.describe(0)
    link.run(after)
    for known, data in datagrams:
        source = ADDRESSES[0] if known else STRANGER
        link.sides[1].endpoint.handle_datagram(link.now, ADDRESSES[1], source, data)
        ufrag = link.peers[1].local_ufrag
        link.sides[1].endpoint.handle_datagram(link.now, ADDRESSES[1], source, binding_request(ufrag) + data)
    link.run(link.now + 2.0)
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2
