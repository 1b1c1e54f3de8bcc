"""Access tokens: verify and mint JSON Web Tokens (RFC 7519) signed with HS256 (RFC 7518 §3.2).

The issuer claim names the API key whose secret signs the token. Only HS256 is accepted, whatever the header says, so that
`none` or an asymmetric algorithm cannot pass. `exp` is required; `exp` and `nbf` have a leeway of 60 s, `iat` is not read.
PyJWT does encoding and signature, and its key check is left to the driver's configuration; times are compared here, since
wall-clock time is an argument. Refusals never repeat the token.

Left out: keys by `kid`, audience, token revocation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from jwt import PyJWS, PyJWTError
from jwt.algorithms import HMACAlgorithm

from ..errors import Refusal
from .grants import Claims, seconds

LEEWAY = 60.0
"""Seconds that clocks may differ; what LiveKit's verifier allows."""

_ALGORITHM = "HS256"
_BEARER = "Bearer "
_ISSUER_CHARS = 128  # how much of an unknown key is repeated in the refusal


class TokenError(Refusal):
    """A token that is not accepted. `message` is the body of the 401 answer."""

    def __init__(self, message: str) -> None:
        super().__init__("unauthenticated", message)


def verify(token: str, keys: Mapping[str, str], wallclock: float) -> Claims:
    """The claims of a good token; raises TokenError for any other."""
    issuer = _values(token).get("iss")
    secret = keys.get(issuer) if isinstance(issuer, str) else None
    if not secret:
        named = issuer if isinstance(issuer, str) else ""
        raise TokenError(f"invalid API key: {_printable(named[:_ISSUER_CHARS])}")
    try:
        payload = _JWS.decode(token, secret, algorithms=[_ALGORITHM])
    except PyJWTError as error:
        raise TokenError("invalid token: signature or algorithm not accepted") from error
    try:
        values = json.loads(payload)
        claims, not_before = Claims.parse(values), seconds(values, "nbf")
    except ValueError as error:
        raise TokenError(f"invalid token: {error}") from error
    _check_times(claims.expires_at, not_before, wallclock)
    return claims


def mint(claims: Claims, secret: str, *, wallclock: float, not_before: float | None = None) -> str:
    """A token that says `claims` until `claims.expires_at`, good from `not_before`, else from now."""
    values = claims.encode()
    values["iat"] = int(wallclock)
    values["nbf"] = int(wallclock if not_before is None else not_before)
    values["exp"] = int(claims.expires_at)
    payload = json.dumps(values, separators=(",", ":")).encode()
    return _JWS.encode(payload, secret, algorithm=_ALGORITHM)


def bearer(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The token of a request, None without one. The `authorization` header (RFC 6750 §2.1; names in lower case) wins
    over the `access_token` parameter; raises TokenError if the header has another scheme."""
    header = headers.get("authorization", "")
    if not header:
        return query.get("access_token") or None
    if not header.startswith(_BEARER):
        raise TokenError(f"invalid authorization header. Must start with {_BEARER}")
    return header[len(_BEARER) :].strip() or None


def _values(token: str) -> dict[str, object]:
    """The claims before anything is verified: only good for finding the key."""
    try:
        values = json.loads(_JWS.decode(token, options={"verify_signature": False}))
    except (PyJWTError, ValueError, RecursionError) as error:
        raise TokenError("invalid authorization token") from error
    if not isinstance(values, dict):
        raise TokenError("invalid authorization token")
    return values


def _check_times(expires_at: float, not_before: float | None, wallclock: float) -> None:
    if not expires_at:
        raise TokenError("invalid token: no expiry")
    if wallclock > expires_at + LEEWAY:
        raise TokenError("invalid token: expired")
    if not_before is not None and wallclock < not_before - LEEWAY:
        raise TokenError("invalid token: not valid yet")


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())


class _Hs256(HMACAlgorithm):
    """PyJWT's, without its warning about short keys: development mode has one, all else is refused at the start."""

    def check_key_length(self, key: object) -> None:  # noqa: ARG002
        return None


def _jws() -> PyJWS:
    jws = PyJWS(algorithms=[])
    jws.register_algorithm(_ALGORITHM, _Hs256(HMACAlgorithm.SHA256))
    return jws


_JWS = _jws()
