"""DTLS-SRTP keying material: profiles, lengths, and the split of what the exporter gives (RFC 5764 §4.2, RFC 7714 §12)."""

from __future__ import annotations

from typing import NamedTuple

from ..kernel import SrtpProfile
from .interface import DtlsRole

EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"


class KeyLengths(NamedTuple):
    """Bytes of a master key and of a master salt."""

    key: int
    salt: int


PROFILES = (SrtpProfile.AEAD_AES_128_GCM, SrtpProfile.AEAD_AES_256_GCM, SrtpProfile.AES128_CM_SHA1_80)
"""In order of preference: AES-128-GCM is the cheapest per packet. The profile with a 4-byte tag is never offered."""

_LENGTHS = {
    SrtpProfile.AES128_CM_SHA1_80: KeyLengths(16, 14),
    SrtpProfile.AEAD_AES_128_GCM: KeyLengths(16, 12),
    SrtpProfile.AEAD_AES_256_GCM: KeyLengths(32, 12),
}


def key_lengths(profile: SrtpProfile) -> KeyLengths:
    return _LENGTHS[profile]


def material_bytes(profile: SrtpProfile) -> int:
    """How much the exporter must give: two keys and two salts."""
    return 2 * sum(_LENGTHS[profile])


def split_keys(profile: SrtpProfile, material: bytes, role: DtlsRole) -> tuple[bytes, bytes]:
    """(local, remote), each master key then salt.

    The exporter's order is client key, server key, client salt, server salt; who is the DTLS client writes with the first.
    """
    key, salt = _LENGTHS[profile]
    keys, salts = material[: 2 * key], material[2 * key :]
    client = keys[:key] + salts[:salt]
    server = keys[key:] + salts[salt : 2 * salt]
    return (client, server) if role is DtlsRole.CLIENT else (server, client)
