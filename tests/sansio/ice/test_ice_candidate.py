from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.ice import Candidate, CandidateType, IceError, candidate_priority
from sansio.stun import canonical_host


def test_a_browsers_server_reflexive_candidate() -> None:
    candidate = Candidate.parse(
        "a=candidate:842163049 1 udp 1677729535 203.0.113.5 53204 typ srflx raddr 192.168.1.5 rport 53205 "
        "generation 0 ufrag EsAw network-id 1 network-cost 10\r\n"
    )
    assert candidate == Candidate(
        foundation="842163049",
        component=1,
        transport="udp",
        priority=1677729535,
        address="203.0.113.5",
        port=53204,
        type=CandidateType.SRFLX,
        related_address="192.168.1.5",
        related_port=53205,
        ufrag="EsAw",
    )


def test_a_host_candidate_of_this_server() -> None:
    candidate = Candidate.host(("192.0.2.1", 7882))
    assert candidate.priority == 2130706431  # as every browser writes it
    assert candidate.encode() == f"candidate:{candidate.foundation} 1 udp 2130706431 192.0.2.1 7882 typ host"
    assert candidate.foundation == Candidate.host(("192.0.2.1", 1)).foundation
    assert candidate.foundation != Candidate.host(("192.0.2.2", 7882)).foundation
    assert Candidate.host(("192.0.2.1", 1), local_preference=0).priority == 126 << 24 | 255


def test_priorities_order_the_types() -> None:
    kinds = [CandidateType.HOST, CandidateType.PRFLX, CandidateType.SRFLX, CandidateType.RELAY]
    priorities = [candidate_priority(kind, local_preference=0) for kind in kinds]
    assert priorities == sorted(priorities, reverse=True)


@pytest.mark.parametrize(
    ("text", "address", "transport", "tcp_type"),
    [
        ("candidate:1 1 UDP 2 0a7e9f2b-0c6f-4d6d-8f5e-1234567890ab.local 9 typ host",
         "0a7e9f2b-0c6f-4d6d-8f5e-1234567890ab.local", "udp", None),
        ("candidate:1 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active generation 0", "10.0.0.1", "tcp", "active"),
        ("candidate:1 1 udp 2 2001:DB8:0::1 9 typ host", "2001:db8::1", "udp", None),
        ("candidate:1 1 udp 2 ::ffff:10.0.0.1 9 typ host", "10.0.0.1", "udp", None),
        ("CANDIDATE:1 1 udp 2 10.0.0.1 9 TYP HOST lonely", "10.0.0.1", "udp", None),
    ],
    ids=["mDNS", "TCP", "IPv6", "mapped IPv4", "odd case"],
)  # fmt: skip
def test_forms_seen(text: str, address: str, transport: str, tcp_type: str | None) -> None:
    candidate = Candidate.parse(text)
    assert (candidate.address, candidate.transport, candidate.tcp_type) == (address, transport, tcp_type)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("candidate:", id="nothing"),
        pytest.param("1 1 udp 2 10.0.0.1 9 typ host", id="no prefix"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 typ", id="no type"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 type host", id="not typ"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 typ hosts", id="unknown type"),
        pytest.param("candidate:1 1 ssltcp 2 10.0.0.1 9 typ host", id="unknown transport"),
        pytest.param("candidate:1 0 udp 2 10.0.0.1 9 typ host", id="component 0"),
        pytest.param("candidate:1 257 udp 2 10.0.0.1 9 typ host", id="component 257"),
        pytest.param("candidate:1 1 udp 4294967296 10.0.0.1 9 typ host", id="priority of 33 bits"),
        pytest.param("candidate:1 1 udp -1 10.0.0.1 9 typ host", id="negative priority"),
        pytest.param("candidate:1 1 udp \u0662 10.0.0.1 9 typ host", id="other digits"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 65536 typ host", id="port"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1;x 9 typ host", id="address"),
        pytest.param("candidate:" + "1" * 33 + " 1 udp 2 10.0.0.1 9 typ host", id="long foundation"),
        pytest.param("candidate:! 1 udp 2 10.0.0.1 9 typ host", id="foundation"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 typ host rport x", id="related port"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 typ host ufrag \u00e4", id="ufrag"),
        pytest.param("candidate:1 1 udp 2 10.0.0.1 9 typ host" + " x" * 1024, id="too long"),
    ],
)
def test_what_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(IceError):
        Candidate.parse(text)


words = st.text(st.sampled_from("abcXYZ019+/"), min_size=1, max_size=32)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: canonical_host(str(a)) or ""),
    st.just("0a7e.local"),
)
ports = st.integers(0, 65535)
candidates = st.builds(
    Candidate,
    foundation=words,
    component=st.integers(1, 256),
    transport=st.sampled_from(["udp", "tcp"]),
    priority=st.integers(0, (1 << 32) - 1),
    address=hosts,
    port=ports,
    type=st.sampled_from(CandidateType),
    related_address=st.none() | hosts,
    related_port=st.none() | ports,
    tcp_type=st.none() | st.sampled_from(["active", "passive", "so"]),
    ufrag=st.none() | words,
)


@given(candidates, st.sampled_from(["", "a="]))
def test_parse_inverts_encode(candidate: Candidate, prefix: str) -> None:
    assert Candidate.parse(prefix + candidate.encode()) == candidate


@given(candidates, st.data())
def test_any_text_gives_a_candidate_or_the_one_error(candidate: Candidate, data: st.DataObject) -> None:
    pieces = candidate.encode().split()
    at = data.draw(st.integers(0, len(pieces) - 1))
    pieces[at] = data.draw(st.text(max_size=20))
    with suppress(IceError):
        Candidate.parse(" ".join(pieces))
