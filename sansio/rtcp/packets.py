"""RTCP reports, descriptions and goodbyes: SR, RR, SDES, BYE. RFC 3550 §6.4 to §6.6.

Each class reads its own body (`parse`, given the count field and what follows the common header) and writes a whole
packet (`encode`). Numbers may be extended ones: they are cut to wire width when written.

Left out: APP packets and profile-specific extensions of reports, which are skipped.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import ClassVar

import attrs

from ..errors import LocalProtocolError, RemoteProtocolError

HEADER_BYTES = 4
MAX_COUNT = 31

_COMMON = Struct("!BBH")
_WORD = Struct("!I")
_SENDER_INFO = Struct("!IQIII")
_REPORT_BLOCK = Struct("!IIIIII")
_M32 = 0xFFFF_FFFF
_M64 = 0xFFFF_FFFF_FFFF_FFFF
_LOST_MIN, _LOST_MAX = -(1 << 23), (1 << 23) - 1


class RtcpError(RemoteProtocolError):
    """An RTCP packet that its format does not allow."""


class PacketType(IntEnum):
    """RTCP packet types (RFC 3550 §12.1, RFC 4585 §9, RFC 3611 §6.1)."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206
    EXTENDED_REPORT = 207


class SdesType(IntEnum):
    """SDES items that matter here (RFC 3550 §12.2)."""

    CNAME = 1


def encode_common(count: int, packet_type: int, body: bytes, *, padding: bool = False) -> bytes:
    """A packet: the common header, then `body`, whose length must be whole words. `count` is FMT in feedback."""
    if not 0 <= count <= MAX_COUNT or len(body) % 4 or len(body) > 4 * 0xFFFF:
        raise LocalProtocolError("RTCP packet does not fit its header")
    return _COMMON.pack(0xA0 | count if padding else 0x80 | count, packet_type, len(body) // 4) + body


def parse_words(body: bytes, count: int) -> tuple[int, ...]:
    """The first `count` 32-bit words."""
    if len(body) < 4 * count:
        raise RtcpError("RTCP packet cut short")
    return Struct(f"!{count}I").unpack_from(body)


@attrs.frozen(kw_only=True)
class ReportBlock:
    """What a receiver reports of one source (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction_lost: int = 0
    """Since the last report, in 1/256."""
    cumulative_lost: int = 0
    """Signed; clamped to 24 bits when written."""
    highest_sequence_number: int = 0
    """Extended, of which 32 bits travel."""
    jitter: int = 0
    """In timestamp units."""
    last_sender_report: int = 0
    """LSR: the middle 32 bits of the NTP timestamp of the last SR, 0 if there was none."""
    delay_since_last_sender_report: int = 0
    """DLSR: in 1/65536 s."""

    @classmethod
    def parse(cls, data: bytes, offset: int) -> ReportBlock:
        ssrc, loss, highest, jitter, last, delay = _REPORT_BLOCK.unpack_from(data, offset)
        lost = loss & 0xFFFFFF
        return cls(
            ssrc=ssrc,
            fraction_lost=loss >> 24,
            cumulative_lost=lost - (1 << 24) if lost & 0x800000 else lost,
            highest_sequence_number=highest,
            jitter=jitter,
            last_sender_report=last,
            delay_since_last_sender_report=delay,
        )

    def encode(self) -> bytes:
        lost = min(max(self.cumulative_lost, _LOST_MIN), _LOST_MAX) & 0xFFFFFF
        return _REPORT_BLOCK.pack(
            self.ssrc,
            min(max(self.fraction_lost, 0), 255) << 24 | lost,
            self.highest_sequence_number & _M32,
            min(max(self.jitter, 0), _M32),
            self.last_sender_report & _M32,
            min(max(self.delay_since_last_sender_report, 0), _M32),
        )


def _parse_reports(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    if len(body) < start + count * _REPORT_BLOCK.size:
        raise RtcpError("report blocks cut short")
    return tuple([ReportBlock.parse(body, start + index * _REPORT_BLOCK.size) for index in range(count)])


@attrs.frozen(kw_only=True)
class SenderReport:
    """SR (RFC 3550 §6.4.1)."""

    PACKET_TYPE: ClassVar = PacketType.SENDER_REPORT

    ssrc: int
    ntp_timestamp: int
    """64 bits, 32.32 fixed point."""
    rtp_timestamp: int
    packet_count: int = 0
    octet_count: int = 0
    reports: tuple[ReportBlock, ...] = ()

    @property
    def last_sender_report(self) -> int:
        """What a receiver puts into LSR: the middle 32 bits of the NTP timestamp."""
        return self.ntp_timestamp >> 16 & _M32

    @classmethod
    def parse(cls, count: int, body: bytes) -> SenderReport:
        if len(body) < _SENDER_INFO.size:
            raise RtcpError("sender report cut short")
        ssrc, ntp_timestamp, rtp_timestamp, packets, octets = _SENDER_INFO.unpack_from(body)
        return cls(
            ssrc=ssrc,
            ntp_timestamp=ntp_timestamp,
            rtp_timestamp=rtp_timestamp,
            packet_count=packets,
            octet_count=octets,
            reports=_parse_reports(body, _SENDER_INFO.size, count),
        )

    def encode(self) -> bytes:
        info = _SENDER_INFO.pack(
            self.ssrc,
            self.ntp_timestamp & _M64,
            self.rtp_timestamp & _M32,
            self.packet_count & _M32,
            self.octet_count & _M32,
        )
        blocks = b"".join([report.encode() for report in self.reports])
        return encode_common(len(self.reports), PacketType.SENDER_REPORT, info + blocks)


@attrs.frozen
class ReceiverReport:
    """RR (RFC 3550 §6.4.2)."""

    PACKET_TYPE: ClassVar = PacketType.RECEIVER_REPORT

    ssrc: int
    """Of who reports."""
    reports: tuple[ReportBlock, ...] = ()

    @classmethod
    def parse(cls, count: int, body: bytes) -> ReceiverReport:
        (ssrc,) = parse_words(body, 1)
        return cls(ssrc, _parse_reports(body, 4, count))

    def encode(self) -> bytes:
        blocks = b"".join([report.encode() for report in self.reports])
        return encode_common(len(self.reports), PacketType.RECEIVER_REPORT, _WORD.pack(self.ssrc) + blocks)


@attrs.frozen
class SdesChunk:
    """The items of one source: (type, text) pairs."""

    ssrc: int
    items: tuple[tuple[int, str], ...] = ()

    @property
    def cname(self) -> str | None:
        return next((text for kind, text in self.items if kind == SdesType.CNAME), None)

    def encode(self) -> bytes:
        out = bytearray(_WORD.pack(self.ssrc))
        for kind, text in self.items:
            value = text.encode()
            if not 0 < kind < 256 or len(value) > 255:
                raise LocalProtocolError("SDES item does not fit")
            out += bytes((kind, len(value))) + value
        return bytes(out).ljust(len(out) + 4 - len(out) % 4, b"\0")  # at least one null ends the list


@attrs.frozen
class SourceDescription:
    """SDES (RFC 3550 §6.5)."""

    PACKET_TYPE: ClassVar = PacketType.SOURCE_DESCRIPTION

    chunks: tuple[SdesChunk, ...] = ()

    @classmethod
    def of_cname(cls, ssrc: int, cname: str) -> SourceDescription:
        """The one that must go with each report: one source and its CNAME."""
        return cls((SdesChunk(ssrc, ((SdesType.CNAME, cname),)),))

    @classmethod
    def parse(cls, count: int, body: bytes) -> SourceDescription:
        chunks = []
        position = 0
        for _ in range(count):
            if len(body) < position + 4:
                raise RtcpError("SDES chunk cut short")
            (ssrc,) = _WORD.unpack_from(body, position)
            items, position = _parse_items(body, position + 4)
            chunks.append(SdesChunk(ssrc, items))
        return cls(tuple(chunks))

    def encode(self) -> bytes:
        body = b"".join([chunk.encode() for chunk in self.chunks])
        return encode_common(len(self.chunks), PacketType.SOURCE_DESCRIPTION, body)


def _parse_items(body: bytes, position: int) -> tuple[tuple[tuple[int, str], ...], int]:
    """Items up to the null that ends them, and where the next chunk begins."""
    items = []
    while position < len(body) and body[position]:
        if position + 2 > len(body) or position + 2 + body[position + 1] > len(body):
            raise RtcpError("SDES item cut short")
        after = position + 2 + body[position + 1]
        items.append((body[position], body[position + 2 : after].decode(errors="replace")))
        position = after
    return tuple(items), position + 4 - position % 4


@attrs.frozen
class Goodbye:
    """BYE (RFC 3550 §6.6)."""

    PACKET_TYPE: ClassVar = PacketType.GOODBYE

    ssrcs: tuple[int, ...] = ()
    reason: str = ""

    @classmethod
    def parse(cls, count: int, body: bytes) -> Goodbye:
        ssrcs = parse_words(body, count)
        rest = body[4 * count :]
        if not rest:
            return cls(ssrcs)
        if len(rest) < 1 + rest[0]:
            raise RtcpError("reason for leaving cut short")
        return cls(ssrcs, rest[1 : 1 + rest[0]].decode(errors="replace"))

    def encode(self) -> bytes:
        body = Struct(f"!{len(self.ssrcs)}I").pack(*self.ssrcs)
        if self.reason:
            reason = self.reason.encode()
            if len(reason) > 255:
                raise LocalProtocolError("reason for leaving too long")
            body += bytes((len(reason),)) + reason
        return encode_common(len(self.ssrcs), PacketType.GOODBYE, body.ljust((len(body) + 3) // 4 * 4, b"\0"))
