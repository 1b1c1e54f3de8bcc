"""RTCP feedback: generic NACK, PLI, FIR and REMB. RFC 4585 §6.2, §6.3; RFC 5104 §4.3.1; draft-alvestrand-rmcat-remb-03.

Left out: SLI, RPSI, TMMBR and the rest of RFC 5104, which no client of ours sends; they are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import ClassVar

import attrs

from ..errors import LocalProtocolError
from .packets import PacketType, RtcpError, encode_common, parse_words

MAX_NACKED = 1000
"""Numbers taken from one NACK. Whoever asks for more is attacking, or so far behind that only a key frame helps."""

_PAIR = Struct("!II")
_NACK_ENTRY = Struct("!HH")
_FIR_ENTRY = Struct("!IB3x")
_REMB_NAME = b"REMB"
_MAX_MANTISSA = (1 << 18) - 1


class TransportFormat(IntEnum):
    """FMT of transport layer feedback (PT 205)."""

    NACK = 1
    TRANSPORT_CC = 15


class PayloadFormat(IntEnum):
    """FMT of payload-specific feedback (PT 206)."""

    PLI = 1
    FIR = 4
    APPLICATION = 15


@attrs.frozen(kw_only=True)
class Nack:
    """Generic NACK: packets that have not arrived (RFC 4585 §6.2.1)."""

    PACKET_TYPE: ClassVar = PacketType.TRANSPORT_FEEDBACK
    FORMAT: ClassVar = TransportFormat.NACK

    sender_ssrc: int
    media_ssrc: int
    sequence_numbers: tuple[int, ...]
    """16 bits each; extended ones are cut when written."""

    @classmethod
    def parse(cls, body: bytes) -> Nack:
        sender_ssrc, media_ssrc = parse_words(body, 2)
        numbers: list[int] = []
        for position in range(8, len(body) - 3, 4):
            numbers += _unpack_entry(*_NACK_ENTRY.unpack_from(body, position))
            if len(numbers) >= MAX_NACKED:
                break
        return cls(sender_ssrc=sender_ssrc, media_ssrc=media_ssrc, sequence_numbers=tuple(numbers[:MAX_NACKED]))

    def encode(self) -> bytes:
        entries = b"".join([_NACK_ENTRY.pack(*entry) for entry in _pack_entries(self.sequence_numbers)])
        return encode_common(self.FORMAT, self.PACKET_TYPE, _PAIR.pack(self.sender_ssrc, self.media_ssrc) + entries)


def _unpack_entry(first: int, following: int) -> Iterator[int]:
    """PID, and those of the 16 numbers after it whose bit in BLP is set."""
    yield first
    distance = 1
    while following:
        if following & 1:
            yield (first + distance) & 0xFFFF
        following >>= 1
        distance += 1


def _pack_entries(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(PID, BLP) pairs; numbers that come in order share them."""
    first, following = -1, 0
    for number in numbers:
        distance = (number - first) & 0xFFFF
        if first >= 0 and distance <= 16:
            following |= 1 << distance >> 1
            continue
        if first >= 0:
            yield first, following
        first, following = number & 0xFFFF, 0
    if first >= 0:
        yield first, following


@attrs.frozen
class Pli:
    """Picture loss indication: a key frame is wanted (RFC 4585 §6.3.1)."""

    PACKET_TYPE: ClassVar = PacketType.PAYLOAD_FEEDBACK
    FORMAT: ClassVar = PayloadFormat.PLI

    sender_ssrc: int
    media_ssrc: int

    @classmethod
    def parse(cls, body: bytes) -> Pli:
        return cls(*parse_words(body, 2))

    def encode(self) -> bytes:
        return encode_common(self.FORMAT, self.PACKET_TYPE, _PAIR.pack(self.sender_ssrc, self.media_ssrc))


@attrs.frozen(kw_only=True)
class Fir:
    """Full intra request (RFC 5104 §4.3.1)."""

    PACKET_TYPE: ClassVar = PacketType.PAYLOAD_FEEDBACK
    FORMAT: ClassVar = PayloadFormat.FIR

    sender_ssrc: int
    media_ssrc: int = 0
    """Unused on the wire: the entries name the sources."""
    entries: tuple[tuple[int, int], ...]
    """(ssrc, sequence number of 8 bits): a repeated number repeats the request, a new one is a new request."""

    @classmethod
    def parse(cls, body: bytes) -> Fir:
        sender_ssrc, media_ssrc = parse_words(body, 2)
        entries = tuple([_FIR_ENTRY.unpack_from(body, position) for position in range(8, len(body) - 7, 8)])
        return cls(sender_ssrc=sender_ssrc, media_ssrc=media_ssrc, entries=entries)

    def encode(self) -> bytes:
        entries = b"".join([_FIR_ENTRY.pack(ssrc, number & 0xFF) for ssrc, number in self.entries])
        return encode_common(self.FORMAT, self.PACKET_TYPE, _PAIR.pack(self.sender_ssrc, self.media_ssrc) + entries)


@attrs.frozen(kw_only=True)
class Remb:
    """Receiver estimated maximum bitrate, of all named sources together."""

    PACKET_TYPE: ClassVar = PacketType.PAYLOAD_FEEDBACK
    FORMAT: ClassVar = PayloadFormat.APPLICATION

    sender_ssrc: int
    bitrate_bps: int
    """Rounded down to 18 significant bits when written."""
    ssrcs: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Remb:
        sender_ssrc, _, name, estimate = parse_words(body, 4)
        if name != int.from_bytes(_REMB_NAME, "big"):
            raise RtcpError("application layer feedback other than REMB")
        bitrate = (estimate & _MAX_MANTISSA) << (estimate >> 18 & 0x3F)
        ssrcs = parse_words(body[16:], estimate >> 24)
        return cls(sender_ssrc=sender_ssrc, bitrate_bps=bitrate, ssrcs=ssrcs)

    def encode(self) -> bytes:
        exponent = max(0, self.bitrate_bps.bit_length() - 18)
        if self.bitrate_bps < 0 or exponent > 63 or len(self.ssrcs) > 255:
            raise LocalProtocolError("estimate does not fit a REMB")
        estimate = len(self.ssrcs) << 24 | exponent << 18 | self.bitrate_bps >> exponent
        body = (
            _PAIR.pack(self.sender_ssrc, 0)
            + _REMB_NAME
            + Struct(f"!{len(self.ssrcs) + 1}I").pack(estimate, *self.ssrcs)
        )
        return encode_common(self.FORMAT, self.PACKET_TYPE, body)
