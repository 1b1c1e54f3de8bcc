"""The addresses of this host, and which of them to use for media.

The standard library lists interfaces but not their addresses, so these come from Linux (ioctl and /proc); elsewhere the
address that faces the default route has to do.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import attrs

_SIOCGIFCONF = 0x8912
_IFREQ_BYTES = 40 if struct.calcsize("P") == 8 else 32
_IF_INET6 = Path("/proc/net/if_inet6")
_LINK_LOCAL = 0x20  # scope column of if_inet6
_IFA_F_UNUSABLE = 0x20 | 0x40 | 0x08  # deprecated, tentative, duplicate


class Interface(NamedTuple):
    name: str
    address: str


@attrs.frozen(kw_only=True)
class AddressFilter:
    """LiveKit's `rtc.interfaces` and `rtc.ips`. What is included wins over what is excluded."""

    include_interfaces: tuple[str, ...] = ()
    exclude_interfaces: tuple[str, ...] = ()
    include_ips: tuple[str, ...] = ()
    """Networks such as 10.0.0.0/8."""
    exclude_ips: tuple[str, ...] = ()

    def allows(self, interface: Interface) -> bool:
        if self.include_interfaces:
            if interface.name not in self.include_interfaces:
                return False
        elif interface.name in self.exclude_interfaces:
            return False
        if self.include_ips:
            return _is_in(interface.address, self.include_ips)
        return not _is_in(interface.address, self.exclude_ips)


class MediaAddress(NamedTuple):
    """An address to bind, and the one to tell to clients for it."""

    bind: str
    advertise: str


def local_interfaces() -> list[Interface]:
    """All addresses that can be bound, IPv4 first; link-local IPv6 is left out."""
    found = _ipv4() + _ipv6()
    if not found:
        found = [Interface("", address) for address in (_facing("192.0.2.1"), _facing("2001:db8::1")) if address]
        found.append(Interface("", "127.0.0.1"))
    return found


def choose(
    interfaces: Sequence[Interface], *, node_ips: Sequence[str], loopback: bool, allowed: AddressFilter
) -> list[MediaAddress]:
    """Which addresses to bind for media. An explicit node ip is the only one to be told, besides loopback; where the
    host does not have it (address translation), it stands for the address that faces the default route."""
    usable = [each for each in interfaces if _is_loopback(each.address) or allowed.allows(each)]
    own = [each.address for each in usable]
    chosen = [MediaAddress(ip, ip) for ip in own if _is_loopback(ip) and loopback]
    if not node_ips:
        return [MediaAddress(ip, ip) for ip in own if not _is_loopback(ip)] + chosen
    for ip in reversed(node_ips):
        bind = ip if ip in own else _behind(ip, own)
        if bind is not None and MediaAddress(bind, ip) not in chosen:
            chosen.insert(0, MediaAddress(bind, ip))
    return chosen


def _behind(node_ip: str, own: Iterable[str]) -> str | None:
    """The local address that an outside one leads to."""
    candidates = [ip for ip in own if (":" in ip) == (":" in node_ip) and not _is_loopback(ip)]
    facing = _facing(node_ip)
    return facing if facing in candidates else next(iter(candidates), None)


def _facing(remote: str) -> str | None:
    """Which local address packets to `remote` leave from. Connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in remote else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((remote, 9))
        except OSError:
            return None
        return str(sock.getsockname()[0])


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _is_in(address: str, networks: Iterable[str]) -> bool:
    ip = ipaddress.ip_address(address)
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


def _ipv4() -> list[Interface]:
    """SIOCGIFCONF (netdevice(7)): an array of ifreq, each a name and a sockaddr_in."""
    buffer = array.array("B", bytes(_IFREQ_BYTES * 128))
    address, _ = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock.fileno(), _SIOCGIFCONF, struct.pack("iP", len(buffer), address))
        except OSError:
            return []
    length = struct.unpack_from("i", answer)[0]
    raw = buffer.tobytes()
    found = []
    for at in range(0, length, _IFREQ_BYTES):
        name = raw[at : at + 16].split(b"\0", 1)[0].decode("ascii", "replace")
        found.append(Interface(name, socket.inet_ntoa(raw[at + 20 : at + 24])))
    return found


def _ipv6() -> list[Interface]:
    """/proc/net/if_inet6: address, index, prefix length, scope, flags, name."""
    try:
        lines = _IF_INET6.read_text("ascii").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        address, _, _, scope, flags, name = line.split()
        if int(scope, 16) != _LINK_LOCAL and not int(flags, 16) & _IFA_F_UNUSABLE:
            found.append(Interface(name, str(ipaddress.IPv6Address(bytes.fromhex(address)))))
    return found
