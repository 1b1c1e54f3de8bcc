"""SCTP packets and chunks on the wire: RFC 9260 §3, RFC 3758 §3.2, RFC 6525 §3, RFC 9653 §4.

A chunk travels as a tuple (type, flags, body) and leaves as bytes with its header and padding: nothing richer is built
for DATA and SACK. INIT and INIT ACK, which come once, have a class. The parsers raise `SctpError` and nothing else; its
`hint` is the error cause that an ABORT should carry, or None where the packet is just to be dropped.

Left out: AUTH, ASCONF, ECN and I-DATA, none of which is announced, and addresses, of which DTLS has none to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

import attrs

from ..errors import RemoteProtocolError
from .checksum import seal

Chunk: TypeAlias = tuple[int, int, bytes]
"""Type, flags, body."""

MASK32 = 0xFFFFFFFF
COMMON_HEADER = Struct(">HHII")
CHUNK_HEADER = Struct(">BBH")
DATA_HEADER = Struct(">BBHIHHI")
DATA_FIELDS = Struct(">IHHI")
_INIT_FIELDS = Struct(">IIHHI")
_SACK_FIELDS = Struct(">IIHH")
_PAIR = Struct(">HH")
_U32 = Struct(">I")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class SctpError(RemoteProtocolError):
    """Bytes that are not SCTP, or not in this place."""


class ChunkType(IntEnum):
    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    RE_CONFIG = 130
    PAD = 132
    FORWARD_TSN = 192


class ParameterType(IntEnum):
    HEARTBEAT_INFO = 1
    IPV4_ADDRESS = 5
    IPV6_ADDRESS = 6
    STATE_COOKIE = 7
    UNRECOGNIZED_PARAMETER = 8
    COOKIE_PRESERVATIVE = 9
    HOST_NAME_ADDRESS = 11
    SUPPORTED_ADDRESS_TYPES = 12
    ECN_CAPABLE = 0x8000
    ZERO_CHECKSUM_ACCEPTABLE = 0x8001
    RANDOM = 0x8002
    CHUNK_LIST = 0x8003
    HMAC_ALGORITHM = 0x8004
    PADDING = 0x8005
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000
    ADAPTATION_LAYER = 0xC006


class Cause(IntEnum):
    """Error causes (RFC 9260 §3.3.10)."""

    INVALID_STREAM_IDENTIFIER = 1
    STALE_COOKIE = 3
    OUT_OF_RESOURCE = 4
    UNRECOGNIZED_CHUNK_TYPE = 6
    UNRECOGNIZED_PARAMETERS = 8
    NO_USER_DATA = 9
    USER_INITIATED_ABORT = 12
    PROTOCOL_VIOLATION = 13


DATA_END = 0x01
DATA_BEGIN = 0x02
DATA_UNORDERED = 0x04
DATA_IMMEDIATE = 0x08
"""The I bit: please acknowledge without delay (RFC 9260 §3.3.1, RFC 7053)."""
TAG_REFLECTED = 0x01
"""The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the sender's own (RFC 9260 §8.4)."""

EDMID_DTLS = 1
"""Error detection method "SCTP over DTLS" (RFC 9653 §4)."""

MIN_PACKET_BYTES = 16
_MAX_REPORTED_BYTES = 256
"""Of unknown parameters or chunks that are sent back."""
_KNOWN_PARAMETERS = frozenset(ParameterType)


def parse_packet(data: bytes) -> tuple[int, list[Chunk]]:
    """The verification tag and the chunks of a packet. The checksum is another matter (`checksum.is_intact`)."""
    end = len(data)
    if end < MIN_PACKET_BYTES:
        raise SctpError("packet too short")
    tag: int = COMMON_HEADER.unpack_from(data)[2]
    chunks: list[Chunk] = []
    at = COMMON_HEADER.size
    while end - at >= 4:
        kind, flags, length = CHUNK_HEADER.unpack_from(data, at)
        if length < 4 or at + length > end:
            raise SctpError("chunk length outside the packet")
        chunks.append((kind, flags, data[at + 4 : at + length]))
        at += (length + 3) & ~3
    if at < end:
        raise SctpError("bytes after the last chunk")
    return tag, chunks


def encode_packet(ports: tuple[int, int], tag: int, chunks: Iterable[bytes], *, checksum: bool) -> bytes:
    """A packet of encoded chunks; without `checksum` its field stays zero (RFC 9653)."""
    packet = COMMON_HEADER.pack(ports[0], ports[1], tag, 0) + b"".join(chunks)
    return seal(packet) if checksum else packet


def encode_chunk(kind: int, flags: int = 0, body: bytes = b"") -> bytes:
    return CHUNK_HEADER.pack(kind, flags, 4 + len(body)) + body + _PADDING[len(body) & 3]


def encode_data(flags: int, tsn: int, stream: int, ssn: int, ppid: int, payload: bytes) -> bytes:
    """A DATA chunk; `tsn` may be extended."""
    size = len(payload)
    return DATA_HEADER.pack(0, flags, 16 + size, tsn & MASK32, stream, ssn, ppid) + payload + _PADDING[size & 3]


# Parameters and causes: both are type, length, value


def encode_parameter(kind: int, value: bytes = b"") -> bytes:
    """One parameter, unpadded: a chunk's length does not count the padding of its last one (RFC 9260 §3.2)."""
    return _PAIR.pack(kind, 4 + len(value)) + value


def join_parameters(parameters: Iterable[bytes]) -> bytes:
    """Encoded parameters in a row, all but the last padded."""
    body = b""
    for parameter in parameters:
        body += _PADDING[len(body) & 3] + parameter
    return body


def parse_parameters(body: bytes) -> list[tuple[int, bytes]]:
    """Parameters or causes in order; the padding of the last may be missing."""
    parameters: list[tuple[int, bytes]] = []
    at, end = 0, len(body)
    while end - at >= 4:
        kind, length = _PAIR.unpack_from(body, at)
        if length < 4 or at + length > end:
            raise SctpError("parameter length outside the chunk")
        parameters.append((kind, body[at + 4 : at + length]))
        at += (length + 3) & ~3
    if at < end:
        raise SctpError("bytes after the last parameter")
    return parameters


def encode_error(cause: int, info: bytes = b"", *, kind: ChunkType = ChunkType.ERROR, flags: int = 0) -> bytes:
    """An ERROR or ABORT chunk with one cause."""
    return encode_chunk(kind, flags, encode_parameter(cause, info))


def describe_causes(body: bytes) -> str:
    """The causes of an ERROR or ABORT in words, for events."""
    try:
        causes = parse_parameters(body)
    except SctpError:
        return "malformed cause"
    return ", ".join(_describe_cause(cause, info) for cause, info in causes[:4]) or "no cause given"


def _describe_cause(cause: int, info: bytes) -> str:
    name = Cause(cause).name.lower().replace("_", " ") if cause in frozenset(Cause) else f"cause {cause}"
    if cause in (Cause.USER_INITIATED_ABORT, Cause.PROTOCOL_VIOLATION) and info:
        return f"{name}: {info[:80].decode(errors='replace')}"
    return name


# INIT and INIT ACK


@attrs.frozen(kw_only=True)
class Init:
    """The contents of INIT and INIT ACK: what one side is, and what it can do."""

    tag: int
    receive_window_bytes: int
    outbound_streams: int
    inbound_streams: int
    initial_tsn: int
    forward_tsn: bool = False
    """It understands FORWARD TSN."""
    re_config: bool = False
    """It understands RE-CONFIG."""
    zero_checksum: bool = False
    """It accepts packets whose checksum is zero; this says nothing of what it sends."""
    cookie: bytes = b""
    unrecognized: tuple[bytes, ...] = ()
    """Unknown parameters, encoded, that ask to be reported."""

    @classmethod
    def parse(cls, body: bytes) -> Init:
        if len(body) < _INIT_FIELDS.size:
            raise SctpError("INIT too short")
        tag, window, outbound, inbound, initial_tsn = _INIT_FIELDS.unpack_from(body)
        if not tag or not outbound or not inbound:
            raise SctpError("INIT with a zero tag or no streams")
        found = _InitParameters(body[_INIT_FIELDS.size :])
        return cls(
            tag=tag,
            receive_window_bytes=window,
            outbound_streams=outbound,
            inbound_streams=inbound,
            initial_tsn=initial_tsn,
            forward_tsn=found.forward_tsn,
            re_config=ChunkType.RE_CONFIG in found.extensions,
            zero_checksum=found.zero_checksum,
            cookie=found.cookie,
            unrecognized=tuple(found.unrecognized),
        )

    def encode(self, kind: ChunkType) -> bytes:
        """An INIT or INIT ACK chunk. Parameters found unknown in the peer's INIT go into its INIT ACK."""
        body = _INIT_FIELDS.pack(
            self.tag, self.receive_window_bytes, self.outbound_streams, self.inbound_streams, self.initial_tsn
        )
        return encode_chunk(kind, 0, body + join_parameters(self._parameters()))

    def _parameters(self) -> Iterator[bytes]:
        if self.cookie:
            yield encode_parameter(ParameterType.STATE_COOKIE, self.cookie)
        if self.forward_tsn:
            yield encode_parameter(ParameterType.FORWARD_TSN_SUPPORTED)
        extensions = [ChunkType.RE_CONFIG] * self.re_config + [ChunkType.FORWARD_TSN] * self.forward_tsn
        if extensions:
            yield encode_parameter(ParameterType.SUPPORTED_EXTENSIONS, bytes(extensions))
        if self.zero_checksum:
            yield encode_parameter(ParameterType.ZERO_CHECKSUM_ACCEPTABLE, _U32.pack(EDMID_DTLS))
        for parameter in self.unrecognized:
            yield encode_parameter(ParameterType.UNRECOGNIZED_PARAMETER, parameter)


class _InitParameters:
    """The variable part of an INIT, read leniently: known and useless ones are passed over."""

    def __init__(self, body: bytes) -> None:
        self.cookie = b""
        self.forward_tsn = False
        self.zero_checksum = False
        self.extensions = b""
        self.unrecognized: list[bytes] = []
        for kind, value in parse_parameters(body):
            if kind in _KNOWN_PARAMETERS:
                self._read(kind, value)
            elif not self._may_pass(kind, value):
                break

    def _read(self, kind: int, value: bytes) -> None:
        match kind:
            case ParameterType.STATE_COOKIE:
                self.cookie = value
            case ParameterType.FORWARD_TSN_SUPPORTED:
                self.forward_tsn = True
            case ParameterType.SUPPORTED_EXTENSIONS:
                self.extensions = value
                self.forward_tsn = self.forward_tsn or ChunkType.FORWARD_TSN in value
            case ParameterType.ZERO_CHECKSUM_ACCEPTABLE:
                self.zero_checksum = value == _U32.pack(EDMID_DTLS)
            case ParameterType.HOST_NAME_ADDRESS:
                raise SctpError("INIT with a host name")  # RFC 9260 §3.3.2.1: MUST NOT be used
            case _:
                pass

    def _may_pass(self, kind: int, value: bytes) -> bool:
        """Unknown: the top bits of the type say whether to go on and whether to report (RFC 9260 §3.2.1)."""
        if kind & 0x4000 and sum(map(len, self.unrecognized)) + len(value) <= _MAX_REPORTED_BYTES:
            self.unrecognized.append(encode_parameter(kind, value))
        return bool(kind & 0x8000)


# SACK and FORWARD TSN


def encode_sack(
    cumulative_tsn: int, window_bytes: int, gaps: Sequence[tuple[int, int]], duplicates: Sequence[int]
) -> bytes:
    """A SACK; `gaps` are offsets from the cumulative TSN."""
    body = _SACK_FIELDS.pack(cumulative_tsn & MASK32, window_bytes, len(gaps), len(duplicates))
    if gaps:
        body += b"".join([_PAIR.pack(first, last) for first, last in gaps])
    if duplicates:
        body += b"".join([_U32.pack(tsn & MASK32) for tsn in duplicates])
    return CHUNK_HEADER.pack(ChunkType.SACK, 0, 4 + len(body)) + body


def parse_sack(body: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    """Cumulative TSN, advertised window, and gap blocks as they stand; duplicates are of no use here."""
    if len(body) < _SACK_FIELDS.size:
        raise SctpError("SACK too short")
    cumulative_tsn, window_bytes, gap_count, duplicate_count = _SACK_FIELDS.unpack_from(body)
    if len(body) < _SACK_FIELDS.size + 4 * (gap_count + duplicate_count):
        raise SctpError("SACK counts more than it holds")
    if not gap_count:
        return cumulative_tsn, window_bytes, []
    return cumulative_tsn, window_bytes, list(_PAIR.iter_unpack(body[12 : 12 + 4 * gap_count]))


def encode_forward_tsn(cumulative_tsn: int, skipped: Iterable[tuple[int, int]]) -> bytes:
    """A FORWARD TSN; `skipped` names, for each ordered stream passed over, its last skipped SSN."""
    body = _U32.pack(cumulative_tsn & MASK32) + b"".join([_PAIR.pack(stream, ssn) for stream, ssn in skipped])
    return encode_chunk(ChunkType.FORWARD_TSN, 0, body)


def parse_forward_tsn(body: bytes) -> tuple[int, list[tuple[int, int]]]:
    if len(body) < 4 or len(body) & 3:
        raise SctpError("FORWARD TSN of odd length")
    return _U32.unpack_from(body)[0], list(_PAIR.iter_unpack(body[4:]))
