"""Data Channel Establishment Protocol (RFC 8832), and the payload protocol identifiers of data channels (RFC 8831 §8)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

import attrs

from ..errors import RemoteProtocolError

_OPEN_FIELDS = Struct(">BBHIHH")
_UNORDERED = 0x80


class DcepError(RemoteProtocolError):
    """Bytes that are not a DCEP message."""


class Ppid(IntEnum):
    DCEP = 50
    STRING = 51
    BINARY_PARTIAL = 52
    """Deprecated, as is STRING_PARTIAL: not taken."""
    BINARY = 53
    STRING_PARTIAL = 54
    STRING_EMPTY = 56
    """One byte that counts for none, as SCTP has no empty messages."""
    BINARY_EMPTY = 57


class MessageType(IntEnum):
    ACK = 0x02
    OPEN = 0x03


class ChannelType(IntEnum):
    """Without the bit for unordered delivery."""

    RELIABLE = 0x00
    PARTIAL_RELIABLE_REXMIT = 0x01
    PARTIAL_RELIABLE_TIMED = 0x02


ACK = bytes([MessageType.ACK])


@attrs.frozen(kw_only=True)
class Open:
    """DATA_CHANNEL_OPEN."""

    label: str
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_lifetime_ms: int | None = None
    """At most one of the two limits is set."""
    priority: int = 256
    """256 is "normal" (RFC 8831 §6.4)."""

    def encode(self) -> bytes:
        kind, reliability = ChannelType.RELIABLE, 0
        if self.max_retransmits is not None:
            kind, reliability = ChannelType.PARTIAL_RELIABLE_REXMIT, self.max_retransmits
        elif self.max_lifetime_ms is not None:
            kind, reliability = ChannelType.PARTIAL_RELIABLE_TIMED, self.max_lifetime_ms
        label, protocol = self.label.encode(), self.protocol.encode()
        wire_kind = kind | (0 if self.ordered else _UNORDERED)
        fields = (MessageType.OPEN, wire_kind, self.priority, reliability, len(label), len(protocol))
        return _OPEN_FIELDS.pack(*fields) + label + protocol


def parse(data: bytes) -> Open | None:
    """An OPEN, or None for an ACK. Raises `DcepError` for anything else."""
    if data[:1] == ACK:
        return None
    if len(data) < _OPEN_FIELDS.size or data[0] != MessageType.OPEN:
        raise DcepError("neither OPEN nor ACK")
    _, wire_kind, priority, reliability, label_size, protocol_size = _OPEN_FIELDS.unpack_from(data)
    kind = wire_kind & ~_UNORDERED
    label_end = _OPEN_FIELDS.size + label_size
    if kind not in frozenset(ChannelType) or len(data) < label_end + protocol_size:
        raise DcepError("OPEN of unknown type or short of its names")
    try:
        label = data[_OPEN_FIELDS.size : label_end].decode()
        protocol = data[label_end : label_end + protocol_size].decode()
    except UnicodeDecodeError as error:
        raise DcepError("names that are not UTF-8") from error
    return Open(
        label=label,
        protocol=protocol,
        ordered=not wire_kind & _UNORDERED,
        max_retransmits=reliability if kind == ChannelType.PARTIAL_RELIABLE_REXMIT else None,
        max_lifetime_ms=reliability if kind == ChannelType.PARTIAL_RELIABLE_TIMED else None,
        priority=priority,
    )
