"""RTCP extended reports, as far as receivers use them to measure round-trip time. RFC 3611 §4.4, §4.5.

A receiver sends its clock (RRTR); the sender echoes the middle 32 bits and how long it held them (DLRR). Left out: the
loss, duplicate, receipt time and VoIP report blocks, which are skipped.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import ClassVar

import attrs

from .packets import PacketType, encode_common, parse_words

_BLOCK_HEADER = Struct("!BBH")
_DLRR = Struct("!III")
_M32 = 0xFFFF_FFFF
_M64 = 0xFFFF_FFFF_FFFF_FFFF


class BlockType(IntEnum):
    RECEIVER_REFERENCE_TIME = 4
    DLRR = 5


@attrs.frozen
class ReceiverReferenceTime:
    """RRTR: the receiver's clock."""

    ntp_timestamp: int

    @property
    def last_receiver_report(self) -> int:
        """What the answer puts into LRR: the middle 32 bits."""
        return self.ntp_timestamp >> 16 & _M32

    def encode(self) -> bytes:
        clock = (self.ntp_timestamp & _M64).to_bytes(8, "big")
        return _BLOCK_HEADER.pack(BlockType.RECEIVER_REFERENCE_TIME, 0, 2) + clock


@attrs.frozen
class DlrrReport:
    """The echo of one receiver's clock."""

    ssrc: int
    last_receiver_report: int = 0
    """LRR."""
    delay: int = 0
    """DLRR: since that report came, in 1/65536 s."""


@attrs.frozen
class Dlrr:
    """Delay since the last receiver reference times."""

    reports: tuple[DlrrReport, ...]

    def encode(self) -> bytes:
        out = [_BLOCK_HEADER.pack(BlockType.DLRR, 0, 3 * len(self.reports))]
        for report in self.reports:
            out.append(_DLRR.pack(report.ssrc, report.last_receiver_report & _M32, report.delay & _M32))
        return b"".join(out)


@attrs.frozen
class ExtendedReport:
    """XR: blocks of the two kinds above; others are skipped when read."""

    PACKET_TYPE: ClassVar = PacketType.EXTENDED_REPORT

    ssrc: int
    """Of who reports."""
    blocks: tuple[ReceiverReferenceTime | Dlrr, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> ExtendedReport:
        """A block that is cut short ends the list without an error."""
        (ssrc,) = parse_words(body, 1)
        blocks: list[ReceiverReferenceTime | Dlrr] = []
        position = 4
        while position + 4 <= len(body):
            kind, _, words = _BLOCK_HEADER.unpack_from(body, position)
            content = body[position + 4 : position + 4 + 4 * words]
            if len(content) < 4 * words:
                break
            if kind == BlockType.RECEIVER_REFERENCE_TIME and words == 2:
                blocks.append(ReceiverReferenceTime(int.from_bytes(content, "big")))
            elif kind == BlockType.DLRR:
                blocks.append(_parse_dlrr(content))
            position += 4 + 4 * words
        return cls(ssrc, tuple(blocks))

    def encode(self) -> bytes:
        body = (self.ssrc & _M32).to_bytes(4, "big") + b"".join([block.encode() for block in self.blocks])
        return encode_common(0, self.PACKET_TYPE, body)


def _parse_dlrr(content: bytes) -> Dlrr:
    whole = len(content) - len(content) % _DLRR.size
    return Dlrr(tuple([DlrrReport(*report) for report in _DLRR.iter_unpack(content[:whole])]))
