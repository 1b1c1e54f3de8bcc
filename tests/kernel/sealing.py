"""SRTP and SRTCP protection at an index of the test's choice (RFC 3711, RFC 7714), by none of the libraries under test.

A sender of libsrtp counts on by itself and refuses what is no RTP. Here anything is sealed: authentic packets may lie about
their lengths, jump, and come from another cycle of sequence numbers.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.hmac import HMAC

from sansio.kernel import SrtpProfile

CM_SALT_BYTES, GCM_SALT_BYTES = 14, 12
TAG_BYTES = 10
RTP_LABELS, RTCP_LABELS = (0, 1, 2), (3, 4, 5)
ENCRYPTED = 1 << 31


class Sealer:
    """One direction of a session."""

    def __init__(self, profile: SrtpProfile, master: bytes) -> None:
        self._is_gcm = profile is not SrtpProfile.AES128_CM_SHA1_80
        self._rtp = _session_keys(self._is_gcm, master, RTP_LABELS)
        self._rtcp = _session_keys(self._is_gcm, master, RTCP_LABELS)

    def rtp(self, packet: bytes, cycle: int = 0) -> bytes:
        """Anything of 12 bytes and more; `cycle` counts how often sequence numbers have wrapped."""
        key, authentication_key, salt = self._rtp
        ssrc, number = packet[8:12], packet[2:4]
        roll_over = (cycle & 0xFFFFFFFF).to_bytes(4, "big")
        header = header_bytes(packet)
        if self._is_gcm:
            nonce = _xor(salt, b"\0\0" + ssrc + roll_over + number)
            return packet[:header] + _gcm(key).encrypt(nonce, packet[header:], packet[:header])
        sealed = packet[:header] + _counter(key, salt, ssrc + roll_over + number, packet[header:])
        return sealed + _sign(authentication_key, sealed + roll_over)

    def rtcp(self, packet: bytes, index: int, *, is_encrypted: bool = True) -> bytes:
        """Anything of 8 bytes and more."""
        key, authentication_key, salt = self._rtcp
        ssrc = packet[4:8]
        trailer = (ENCRYPTED * is_encrypted | index & 0x7FFFFFFF).to_bytes(4, "big")
        head, body = packet[:8], packet[8:]
        if self._is_gcm:
            nonce = _xor(salt, b"\0\0" + ssrc + b"\0\0" + (index & 0x7FFFFFFF).to_bytes(4, "big"))
            if is_encrypted:
                return head + _gcm(key).encrypt(nonce, body, head + trailer) + trailer
            return packet + _gcm(key).encrypt(nonce, b"", packet + trailer) + trailer
        if is_encrypted:
            body = _counter(key, salt, ssrc + b"\0\0" + (index & 0x7FFFFFFF).to_bytes(4, "big"), body)
        return head + body + trailer + _sign(authentication_key, head + body + trailer)


def header_bytes(packet: bytes) -> int:
    """Where the payload starts, as far as that can be told: a header that lies ends with the packet."""
    at = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10 and len(packet) >= at + 4:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return min(at, len(packet))


@lru_cache(maxsize=64)
def _session_keys(is_gcm: bool, master: bytes, labels: tuple[int, int, int]) -> tuple[bytes, bytes, bytes]:
    """Encryption key, authentication key and salt (RFC 3711 §4.3.1, RFC 7714 §11)."""
    salt_bytes = GCM_SALT_BYTES if is_gcm else CM_SALT_BYTES
    key, salt = master[:-salt_bytes], master[-salt_bytes:]

    def derive(label: int, size: int) -> bytes:
        start = _xor(salt.ljust(16, b"\0"), bytes(7) + bytes((label,)) + bytes(8))
        return _encrypt(key, start, bytes(size))

    return derive(labels[0], len(key)), derive(labels[1], 20), derive(labels[2], salt_bytes)


@lru_cache(maxsize=64)
def _gcm(key: bytes) -> AESGCM:
    return AESGCM(key)


def _counter(key: bytes, salt: bytes, where: bytes, text: bytes) -> bytes:
    """AES in counter mode; `where` are SSRC and index."""
    return _encrypt(key, _xor(salt + b"\0\0", bytes(4) + where + b"\0\0"), text)


def _encrypt(key: bytes, start: bytes, text: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(text)


def _sign(key: bytes, data: bytes) -> bytes:
    signer = HMAC(key, SHA1())
    signer.update(data)
    return signer.finalize()[:TAG_BYTES]


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))
