"""The lexical half of SDP: text to lines, lines to attributes, attributes to numbers and parameter lists.

RFC 8866 §5 and §9, as far as WebRTC needs it. Lines end with CRLF or a bare LF; blank lines are passed over, since
applications that edit descriptions leave some behind. Everything here takes time linear in its input, and lengths are
checked before numbers are read, because the text comes from a peer.

Left out: byte strings in other character sets (`a=charset`), and every line type but `v o s m a`, which nothing here uses.
"""

from __future__ import annotations

from ..errors import RemoteProtocolError

DEFAULT_LIMIT_CHARACTERS = 262_144
"""Descriptions seen reach 22,000 characters for 14 sections; this leaves room for some 150."""

MAX_SECTIONS = 2048
MAX_NUMBER_DIGITS = 20
"""Digits of 2^64 - 1, the largest number in any field read here."""


class SdpError(RemoteProtocolError):
    """A description that is malformed, too large, or does not fit what was negotiated before."""


def split_lines(text: str, limit_characters: int) -> list[tuple[str, str]]:
    """The lines of a description as (type letter, value)."""
    if len(text) > limit_characters:
        raise SdpError(f"description of {len(text)} characters, limit {limit_characters}")
    lines = []
    for raw in text.split("\n"):
        line = raw.rstrip("\r")
        if not line.strip():
            continue
        if line[1:2] != "=" or "\r" in line or "\0" in line:
            raise SdpError(f"malformed line {line[:40]!r}")
        lines.append((line[0], line[2:]))
    return lines


def split_attribute(value: str) -> tuple[str, str]:
    """`name:value` or `name` to (name, value)."""
    name, _, rest = value.partition(":")
    return name.strip(), rest.strip()


def parse_number(text: str, *, maximum: int) -> int:
    """A decimal number without sign, at most `maximum`."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_NUMBER_DIGITS:
        raise SdpError(f"not a number: {text[:40]!r}")
    number = int(text)
    if number > maximum:
        raise SdpError(f"number {number} above {maximum}")
    return number


def parse_parameters(fmtp: str) -> dict[str, str]:
    """The `name=value` pairs of an fmtp line by lower-case name; the first of several wins (RFC 8866 §6.15)."""
    parameters: dict[str, str] = {}
    for part in fmtp.split(";"):
        name, _, value = part.partition("=")
        if name.strip():
            parameters.setdefault(name.strip().lower(), value.strip())
    return parameters


def encode_parameters(parameters: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" if value else name for name, value in parameters.items())
