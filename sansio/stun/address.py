"""IP addresses between text and network bytes, in one spelling.

Two addresses are the same only if their text is the same, here and wherever an address is a key. So IPv6 is written in
the shortest form (RFC 5952), and an IPv4 address mapped into IPv6 (::ffff:a.b.c.d) is written as IPv4.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..errors import LocalProtocolError


@lru_cache(maxsize=4096)
def pack_host(host: str) -> bytes:
    """The 4 or 16 bytes of an address that this side holds; a name is a mistake of the caller."""
    try:
        return _unmapped(ip_address(host)).packed
    except ValueError as error:
        raise LocalProtocolError(f"{host!r} is not an IP address") from error


def unpack_host(packed: bytes) -> str:
    """The text of 4 or 16 bytes."""
    if len(packed) == 4:
        return "{}.{}.{}.{}".format(*packed)
    return str(_unmapped(IPv6Address(packed)))


@lru_cache(maxsize=4096)
def canonical_host(host: str) -> str | None:
    """The one spelling of an address that a peer wrote; None if it is a name or nonsense."""
    try:
        return str(_unmapped(ip_address(host)))
    except ValueError:
        return None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
