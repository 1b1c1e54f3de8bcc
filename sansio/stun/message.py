"""STUN messages as ICE uses them: parse, encode, integrity and fingerprint.

RFC 8489 §5 (header), §14 (attributes), §9.1 (short-term credentials); RFC 8445 §16.1 (attributes of ICE). Left out on
purpose: methods other than Binding, long-term credentials (their attributes are known, so that they are no error, and
not kept), and MESSAGE-INTEGRITY-SHA256, which no WebRTC client sends: it is skipped, and does not count as integrity.

`parse` reads everything but checks no password, since the password to check with follows from USERNAME. Nothing in a
message may be believed before `Message.verify`; a receiver that finds no party for `peek_ufrag` needs not parse at all.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from zlib import crc32

import attrs

from ..errors import RemoteProtocolError
from ..outputs import Address
from .address import pack_host, unpack_host

MAGIC_COOKIE = 0x2112A442
HEADER_BYTES = 20
INTEGRITY_BYTES = 24
"""A MESSAGE-INTEGRITY attribute with its own header."""
FINGERPRINT_BYTES = 8
FINGERPRINT_XOR = 0x5354554E
MAX_USERNAME_BYTES = 513
"""RFC 8489 §14.3."""

_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_HEADER = Struct(">HHI12s")
_ATTRIBUTE = Struct(">HH")
_U16 = Struct(">H")
_U32 = Struct(">I")
_ATTRIBUTE_U32 = Struct(">HHI")
_ATTRIBUTE_U64 = Struct(">HHQ")


class StunError(RemoteProtocolError):
    """Bytes that are no STUN message of a kind known here."""


class FingerprintError(StunError):
    """A FINGERPRINT that does not match: most likely no STUN at all (RFC 8489 §7)."""


class Method(IntEnum):
    BINDING = 0x001


class Class(IntEnum):
    """The class bits where they stand in the message type (RFC 8489 §5)."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Attribute(IntEnum):
    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


class ErrorCode(IntEnum):
    BAD_REQUEST = 400
    UNAUTHENTICATED = 401
    UNKNOWN_ATTRIBUTE = 420
    ROLE_CONFLICT = 487
    SERVER_ERROR = 500


REASONS = {
    ErrorCode.BAD_REQUEST: "Bad Request",
    ErrorCode.UNAUTHENTICATED: "Unauthenticated",
    ErrorCode.UNKNOWN_ATTRIBUTE: "Unknown Attribute",
    ErrorCode.ROLE_CONFLICT: "Role Conflict",
    ErrorCode.SERVER_ERROR: "Server Error",
}

# Plain numbers for the loops below; an enumeration's member costs a look-up and a slower comparison.
_USERNAME = int(Attribute.USERNAME)
_MESSAGE_INTEGRITY = int(Attribute.MESSAGE_INTEGRITY)
_FINGERPRINT = int(Attribute.FINGERPRINT)

_TYPES: dict[int, tuple[Method, Class]] = {method | kind: (method, kind) for method in Method for kind in Class}


@attrs.define(kw_only=True)
class Message:
    """One message; attributes that it lacks are None, empty or False. Treat it as a value.

    Not declared frozen: a join parses a few dozen of these and frozen ones take three times as long to build.
    """

    kind: Class
    transaction_id: bytes
    method: Method = Method.BINDING
    username: str | None = None
    priority: int | None = None
    use_candidate: bool = False
    controlling: int | None = None
    """Tie-breaker of ICE-CONTROLLING."""
    controlled: int | None = None
    """Tie-breaker of ICE-CONTROLLED."""
    mapped_address: Address | None = None
    """XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS."""
    error_code: int | None = None
    error_reason: str = ""
    unknown_attributes: tuple[int, ...] = ()
    """What a 420 response says that its sender did not understand."""
    unrecognized: tuple[int, ...] = ()
    """Comprehension-required attributes met by `parse` that this module does not know."""
    _data: bytes = attrs.field(default=b"", eq=False, repr=False)
    _integrity_at: int = attrs.field(default=0, eq=False, repr=False)

    @property
    def has_integrity(self) -> bool:
        return self._integrity_at > 0

    def verify(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and made with `key` (RFC 8489 §14.5)."""
        at = self._integrity_at
        if not at:
            return False
        digest = self._data[at + 4 : at + INTEGRITY_BYTES]
        return hmac.compare_digest(digest, _integrity(self._data[:at], key))


def parse(data: bytes) -> Message:
    """The message in one datagram. Raises StunError, for a wrong fingerprint its subclass FingerprintError."""
    method, kind = _parse_type(data)
    message = Message(kind=kind, transaction_id=data[8:20], method=method, data=data)
    at, end = HEADER_BYTES, len(data)
    while at < end:
        attribute, length = _ATTRIBUTE.unpack_from(data, at)
        value = at + 4
        at = value + (length + 3 & ~3)  # the value's padding may be anything (RFC 8489 §14)
        if at > end:
            raise StunError("attribute runs over the end")
        if attribute == _FINGERPRINT:
            _check_fingerprint(data, value, length)
        elif attribute == _MESSAGE_INTEGRITY:
            _parse_integrity(message, value, length)
        elif not message._integrity_at:  # what follows the integrity is not protected by it (RFC 8489 §14.5)
            reader = _READERS.get(attribute)
            if reader is not None:
                reader(message, data, value, length)
            elif attribute < 0x8000:
                message.unrecognized += (attribute,)
    return message


def _parse_type(data: bytes) -> tuple[Method, Class]:
    if len(data) < HEADER_BYTES or data[4:8] != _COOKIE:
        raise StunError("no STUN header")
    message_type, length = _ATTRIBUTE.unpack_from(data)
    if length & 3 or length != len(data) - HEADER_BYTES:
        raise StunError("length field does not match")
    known = _TYPES.get(message_type)
    if known is None:
        raise StunError(f"message type {message_type:#06x}")
    return known


def _parse_integrity(message: Message, at: int, length: int) -> None:
    if length != 20 or message._integrity_at:
        raise StunError("MESSAGE-INTEGRITY of wrong size or twice")
    message._integrity_at = at - 4


def _check_fingerprint(data: bytes, at: int, length: int) -> None:
    if length != 4 or at + 4 != len(data):
        raise StunError("FINGERPRINT of wrong size or not last")
    if _U32.unpack_from(data, at)[0] != crc32(data[: at - 4]) ^ FINGERPRINT_XOR:
        raise FingerprintError("FINGERPRINT does not match")


def _read_username(message: Message, data: bytes, at: int, length: int) -> None:
    if message.username is not None or length > MAX_USERNAME_BYTES:
        raise StunError("USERNAME too long or twice")
    message.username = _text(data, at, length)


def _read_priority(message: Message, data: bytes, at: int, length: int) -> None:
    _expect(length, 4)
    message.priority = _U32.unpack_from(data, at)[0]


def _read_use_candidate(message: Message, _data: bytes, _at: int, length: int) -> None:
    _expect(length, 0)
    message.use_candidate = True


def _read_controlling(message: Message, data: bytes, at: int, length: int) -> None:
    _expect(length, 8)
    message.controlling = int.from_bytes(data[at : at + 8], "big")


def _read_controlled(message: Message, data: bytes, at: int, length: int) -> None:
    _expect(length, 8)
    message.controlled = int.from_bytes(data[at : at + 8], "big")


def _read_xor_mapped_address(message: Message, data: bytes, at: int, length: int) -> None:
    port, packed = _split_address(data, at, length)
    message.mapped_address = (unpack_host(_xor(packed, data[8:20])), port ^ MAGIC_COOKIE >> 16)


def _read_mapped_address(message: Message, data: bytes, at: int, length: int) -> None:
    port, packed = _split_address(data, at, length)
    if message.mapped_address is None:
        message.mapped_address = (unpack_host(packed), port)


def _read_error_code(message: Message, data: bytes, at: int, length: int) -> None:
    if length < 4 or data[at + 3] > 99:
        raise StunError("malformed ERROR-CODE")
    message.error_code = (data[at + 2] & 7) * 100 + data[at + 3]
    message.error_reason = _text(data, at + 4, length - 4)


def _read_unknown_attributes(message: Message, data: bytes, at: int, length: int) -> None:
    if length & 1:
        raise StunError("malformed UNKNOWN-ATTRIBUTES")
    message.unknown_attributes = tuple(_U16.unpack_from(data, at + i)[0] for i in range(0, length, 2))


def _skip(message: Message, data: bytes, at: int, length: int) -> None:
    """Understood, and of no use here."""


_READERS: dict[int, Callable[[Message, bytes, int, int], None]] = {
    Attribute.MAPPED_ADDRESS: _read_mapped_address,
    Attribute.USERNAME: _read_username,
    Attribute.ERROR_CODE: _read_error_code,
    Attribute.UNKNOWN_ATTRIBUTES: _read_unknown_attributes,
    Attribute.REALM: _skip,
    Attribute.NONCE: _skip,
    Attribute.MESSAGE_INTEGRITY_SHA256: _skip,
    Attribute.XOR_MAPPED_ADDRESS: _read_xor_mapped_address,
    Attribute.PRIORITY: _read_priority,
    Attribute.USE_CANDIDATE: _read_use_candidate,
    Attribute.ICE_CONTROLLED: _read_controlled,
    Attribute.ICE_CONTROLLING: _read_controlling,
}


def _expect(length: int, wanted: int) -> None:
    if length != wanted:
        raise StunError("attribute of wrong size")


def _text(data: bytes, at: int, length: int) -> str:
    try:
        return data[at : at + length].decode()
    except UnicodeDecodeError as error:
        raise StunError("text is not UTF-8") from error


def _split_address(data: bytes, at: int, length: int) -> tuple[int, bytes]:
    if length not in (8, 20) or data[at + 1] != (1 if length == 8 else 2):
        raise StunError("malformed address")
    return _U16.unpack_from(data, at + 2)[0], data[at + 4 : at + length]


def _xor(packed: bytes, transaction_id: bytes) -> bytes:
    mask = (_COOKIE + transaction_id)[: len(packed)]
    return (int.from_bytes(packed, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(packed), "big")


def encode(message: Message, key: bytes = b"", *, fingerprint: bool = True) -> bytes:
    """The bytes of a message, with MESSAGE-INTEGRITY if there is a key."""
    body = _encode_attributes(message)
    message_type = message.method | message.kind
    if key:
        head = _HEADER.pack(message_type, len(body), MAGIC_COOKIE, message.transaction_id) + body
        body += _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, 20) + _integrity(head, key)
    if not fingerprint:
        return _HEADER.pack(message_type, len(body), MAGIC_COOKIE, message.transaction_id) + body
    length = len(body) + FINGERPRINT_BYTES
    whole = _HEADER.pack(message_type, length, MAGIC_COOKIE, message.transaction_id) + body
    return whole + _ATTRIBUTE_U32.pack(_FINGERPRINT, 4, crc32(whole) ^ FINGERPRINT_XOR)


def _encode_attributes(message: Message) -> bytes:
    body = b""
    if message.username is not None:
        body += _padded(Attribute.USERNAME, message.username.encode())
    if message.controlling is not None:
        body += _ATTRIBUTE_U64.pack(Attribute.ICE_CONTROLLING, 8, message.controlling)
    if message.controlled is not None:
        body += _ATTRIBUTE_U64.pack(Attribute.ICE_CONTROLLED, 8, message.controlled)
    if message.use_candidate:
        body += _ATTRIBUTE.pack(Attribute.USE_CANDIDATE, 0)
    if message.priority is not None:
        body += _ATTRIBUTE_U32.pack(Attribute.PRIORITY, 4, message.priority)
    if message.mapped_address is not None:
        body += _encode_address(message.mapped_address, message.transaction_id)
    if message.error_code is not None:
        hundreds, rest = divmod(message.error_code, 100)
        body += _padded(Attribute.ERROR_CODE, bytes((0, 0, hundreds, rest)) + message.error_reason.encode())
    if message.unknown_attributes:
        body += _padded(Attribute.UNKNOWN_ATTRIBUTES, b"".join(map(_U16.pack, message.unknown_attributes)))
    return body


def _padded(attribute: Attribute, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) & 3)


def _encode_address(address: Address, transaction_id: bytes) -> bytes:
    packed = pack_host(address[0])
    family = 1 if len(packed) == 4 else 2
    port = _U16.pack(address[1] ^ MAGIC_COOKIE >> 16)
    return _padded(Attribute.XOR_MAPPED_ADDRESS, bytes((0, family)) + port + _xor(packed, transaction_id))


def _integrity(head: bytes, key: bytes) -> bytes:
    """HMAC-SHA1 over all that precedes the attribute, the length field already counting it (RFC 8489 §14.5)."""
    length = _U16.pack(len(head) - HEADER_BYTES + INTEGRITY_BYTES)
    return hmac.digest(key, head[:2] + length + head[4:], "sha1")


def peek_ufrag(data: bytes) -> str | None:
    """Whom a Binding request is for: USERNAME up to the colon. None if it is no such request or makes no sense."""
    end = len(data)
    if end < HEADER_BYTES or data[:2] != b"\0\1" or data[4:8] != _COOKIE or (data[2] << 8 | data[3]) + 20 != end:
        return None
    at = HEADER_BYTES
    while at + 4 <= end:
        attribute, length = _ATTRIBUTE.unpack_from(data, at)
        at += 4
        if attribute == _USERNAME:
            return _receiver(data[at : at + length]) if at + length <= end else None
        at += length + 3 & ~3
    return None


def _receiver(username: bytes) -> str | None:
    ufrag, colon, _ = username.partition(b":")
    return ufrag.decode() if colon and ufrag.isascii() else None
