"""The server's own certificate, and fingerprints of certificates (RFC 8122 §5).

Self-signed ECDSA P-256: nobody checks the chain, the fingerprint in the session description is what authenticates, and an
RSA key would push the server's flight past one datagram. One certificate serves all transports of a process; making one per
transport gains nothing that rotation would not.
"""

from __future__ import annotations

import hashlib

# Conversion of a given wall clock only; the certificate builder takes no other type.
from datetime import UTC, datetime, timedelta  # noqa: TID251

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=30)
_BACKDATED = timedelta(days=1)
"""Peers whose clock is behind; WebRTC stacks do not look, others might."""


class Certificate:
    """A key and its self-signed certificate."""

    __slots__ = ("fingerprint", "key", "x509")

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.x509 = certificate
        self.fingerprint = fingerprint_of(certificate, "sha-256")
        """SHA-256, as `a=fingerprint:sha-256` takes it."""

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint})"

    @classmethod
    def generate(cls, wallclock: float) -> Certificate:
        """A fresh one, valid for 30 days from `wallclock` (seconds since 1970). Draws chance from OpenSSL."""
        now = datetime.fromtimestamp(wallclock, UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + _LIFETIME)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @property
    def expires_at(self) -> float:
        """Wall-clock second after which it should no longer be used for new transports."""
        return self.x509.not_valid_after_utc.timestamp()


_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-384": hashlib.sha384, "sha-512": hashlib.sha512}
"""What a peer may name. RFC 8122 §5 forbids MD5, and no WebRTC client is left that uses SHA-1."""


def fingerprint_of(certificate: x509.Certificate, algorithm: str) -> str:
    """Digest as upper-case bytes with colons; empty if the algorithm is not one of ours."""
    digest = _ALGORITHMS.get(algorithm.lower())
    if digest is None:
        return ""
    return digest(certificate.public_bytes(serialization.Encoding.DER)).digest().hex(":").upper()
