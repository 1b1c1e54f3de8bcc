"""Addresses of the host, and which are used for media."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from trio_server import net
from trio_server.net import AddressFilter, Interface, MediaAddress, choose, local_interfaces

HOST = [
    Interface("lo", "127.0.0.1"), Interface("eth0", "10.0.0.5"), Interface("docker0", "172.17.0.1"),
    Interface("eth0", "2001:db8::5"), Interface("lo", "::1"),
]  # fmt: skip
ALL = AddressFilter()


def chosen(
    node_ips: tuple[str, ...] = (), *, loopback: bool = False, allowed: AddressFilter = ALL
) -> list[tuple[str, str]]:
    return [tuple(each) for each in choose(HOST, node_ips=node_ips, loopback=loopback, allowed=allowed)]  # type: ignore[misc]


def same(*addresses: str) -> list[tuple[str, str]]:
    return [(each, each) for each in addresses]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        pytest.param(ALL, ("10.0.0.5", "172.17.0.1", "2001:db8::5"), id="all"),
        pytest.param(AddressFilter(include_interfaces=("eth0",)), ("10.0.0.5", "2001:db8::5"), id="interface in"),
        pytest.param(AddressFilter(exclude_interfaces=("docker0",)), ("10.0.0.5", "2001:db8::5"), id="interface out"),
        pytest.param(AddressFilter(include_interfaces=("eth0",), exclude_interfaces=("eth0",)), ("10.0.0.5", "2001:db8::5"),
                     id="in wins"),
        pytest.param(AddressFilter(include_ips=("10.0.0.0/8",)), ("10.0.0.5",), id="network in"),
        pytest.param(AddressFilter(exclude_ips=("172.16.0.0/12", "2001:db8::5/128")), ("10.0.0.5",), id="networks out"),
        pytest.param(AddressFilter(include_ips=("10.0.0.0/8",), exclude_ips=("10.0.0.0/8",)), ("10.0.0.5",), id="network wins"),
        pytest.param(AddressFilter(include_ips=("192.0.2.0/24",)), (), id="none"),
    ],
)  # fmt: skip
def test_filters(allowed: AddressFilter, expected: tuple[str, ...]) -> None:
    assert chosen(allowed=allowed) == same(*expected)


def test_loopback_comes_last_and_passes_every_filter() -> None:
    assert chosen(loopback=True, allowed=AddressFilter(include_ips=("10.0.0.0/8",))) == same(
        "10.0.0.5", "127.0.0.1", "::1"
    )


def test_an_own_node_ip_is_the_only_one() -> None:
    assert chosen(("172.17.0.1",)) == same("172.17.0.1")
    assert chosen(("172.17.0.1",), loopback=True) == same("172.17.0.1", "127.0.0.1", "::1")
    assert chosen(("127.0.0.1",)) == same("127.0.0.1")
    assert chosen(("127.0.0.1",), loopback=True) == same("127.0.0.1", "::1")


def test_an_outside_node_ip_stands_for_the_address_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "_facing", lambda remote: "172.17.0.1")
    assert chosen(("203.0.113.1",)) == [("172.17.0.1", "203.0.113.1")]
    monkeypatch.setattr(net, "_facing", lambda remote: None)
    assert chosen(("203.0.113.1", "2001:db8::99")) == [("10.0.0.5", "203.0.113.1"), ("2001:db8::5", "2001:db8::99")]


def test_a_node_ip_of_a_family_that_the_host_has_not() -> None:
    assert choose(HOST[:3], node_ips=["2001:db8::9"], loopback=False, allowed=ALL) == []


@pytest.mark.net
def test_the_addresses_of_this_host_can_be_bound() -> None:
    found = local_interfaces()
    assert any(ipaddress.ip_address(each.address).is_loopback for each in found)
    for each in found:
        with socket.socket(socket.AF_INET6 if ":" in each.address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((each.address, 0))


@pytest.mark.net
def test_without_lists_of_interfaces_there_is_still_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "_ipv4", list)
    monkeypatch.setattr(net, "_ipv6", list)
    assert local_interfaces()[-1] == Interface("", "127.0.0.1")


def test_ipv6_addresses_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    class Text:
        @staticmethod
        def read_text(_: str) -> str:
            return (
                "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
                "20010db8000000000000000000000005 02 40 00 80     eth0\n"
                "20010db8000000000000000000000006 02 40 00 c0     eth0\n"
                "00000000000000000000000000000001 01 80 10 80       lo\n"
            )

    monkeypatch.setattr(net, "_IF_INET6", Text)
    assert net._ipv6() == [Interface("eth0", "2001:db8::5"), Interface("lo", "::1")]


def test_media_addresses_are_pairs() -> None:
    assert MediaAddress("10.0.0.5", "203.0.113.1").advertise == "203.0.113.1"
