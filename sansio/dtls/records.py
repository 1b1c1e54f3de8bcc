"""DTLS records as bytes: splitting, packing, and the checks before OpenSSL sees them (RFC 6347 §4.1, §4.2.2).

Why look into records at all: OpenSSL's memory buffers are byte streams, so its output must be cut by record headers to
become datagrams again; and one nonsensical handshake record fed to a fresh OpenSSL connection makes it fail for good, so
what comes in is checked first. Encrypted records cannot be checked and need not be: OpenSSL drops what does not
authenticate.

Left out: the unified header of DTLS 1.3 (RFC 9147 §4) and connection ids (RFC 9146); neither is ever negotiated here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from ..errors import RemoteProtocolError
from .interface import DtlsRole

RECORD_HEADER_BYTES = 13
_HANDSHAKE_HEADER_BYTES = 12
_MAX_BODY_BYTES = (1 << 14) + 2048
"""RFC 6347 §4.1.2.2 and RFC 5246 §6.2.3: plaintext limit plus what a cipher may add."""
_MAX_MESSAGE_BYTES = 1 << 15
"""No handshake message of WebRTC comes near; OpenSSL gives up for good on absurd ones."""
_MAX_MESSAGE_SEQUENCE = 32
"""A handshake has some ten messages per side."""

_HEADER = Struct("!BHHHIH")  # type, version, epoch, sequence number (16 + 32 bits), length


class DtlsError(RemoteProtocolError):
    """A datagram that is not a sequence of DTLS records."""


class ContentType(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class HandshakeType(IntEnum):
    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    CERTIFICATE_STATUS = 22


_SENT_BY = {
    DtlsRole.CLIENT: frozenset(
        {
            HandshakeType.CLIENT_HELLO,
            HandshakeType.CERTIFICATE,
            HandshakeType.CERTIFICATE_VERIFY,
            HandshakeType.CLIENT_KEY_EXCHANGE,
        }
    ),
    DtlsRole.SERVER: frozenset(
        {
            HandshakeType.SERVER_HELLO,
            HandshakeType.HELLO_VERIFY_REQUEST,
            HandshakeType.NEW_SESSION_TICKET,
            HandshakeType.CERTIFICATE,
            HandshakeType.SERVER_KEY_EXCHANGE,
            HandshakeType.CERTIFICATE_REQUEST,
            HandshakeType.SERVER_HELLO_DONE,
            HandshakeType.CERTIFICATE_STATUS,
        }
    ),
}
"""Cleartext handshake messages of each side. Finished is encrypted, HelloRequest would be renegotiation."""


class Record(NamedTuple):
    """One record; `data` is all of it, header included."""

    content_type: int
    epoch: int
    data: bytes

    @property
    def is_handshake(self) -> bool:
        """Belongs to a flight: a handshake message or the ChangeCipherSpec between two of them."""
        return self.content_type in (ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC)


def parse_records(data: bytes) -> list[Record]:
    """The records of one datagram; DtlsError if it is anything but whole records of DTLS 1.0 to 1.3."""
    records = []
    at = 0
    while at < len(data):
        if len(data) - at < RECORD_HEADER_BYTES:
            raise DtlsError("truncated record header")
        content_type, version, epoch, _, _, length = _HEADER.unpack_from(data, at)
        end = at + RECORD_HEADER_BYTES + length
        if version >> 8 != 0xFE or not ContentType.CHANGE_CIPHER_SPEC <= content_type <= ContentType.APPLICATION_DATA:
            raise DtlsError("not a DTLS record")
        if not 0 < length <= _MAX_BODY_BYTES or end > len(data):
            raise DtlsError("record length")
        records.append(Record(content_type, epoch, data[at:end]))
        at = end
    return records


def is_plausible(record: Record, sender: DtlsRole, *, answered: bool) -> bool:
    """Whether OpenSSL may see a record of `sender`. `answered`: we have sent a flight, so more than hellos may come."""
    if record.epoch:
        # Encrypted: OpenSSL authenticates it, and keeps a Finished that overtook its flight. No rekeying, so epoch 1 is all.
        return record.epoch == 1 and answered
    body = record.data[RECORD_HEADER_BYTES:]
    match record.content_type:
        case ContentType.HANDSHAKE:
            return _is_plausible_handshake(body, sender, answered)
        case ContentType.ALERT:
            # Only fatal ones matter in the clear; a few warnings in a row would make OpenSSL give up.
            return answered and len(body) == 2 and body[0] == 2
        case ContentType.CHANGE_CIPHER_SPEC:
            return answered and body == b"\x01"
        case _:
            return False  # application data is never in the clear


def _is_plausible_handshake(body: bytes, sender: DtlsRole, answered: bool) -> bool:
    """Walk the fragments of messages in a cleartext record (RFC 6347 §4.2.2)."""
    at = 0
    while at < len(body):
        if len(body) - at < _HANDSHAKE_HEADER_BYTES:
            return False
        message_type = body[at]
        length = int.from_bytes(body[at + 1 : at + 4], "big")
        sequence = int.from_bytes(body[at + 4 : at + 6], "big")
        offset = int.from_bytes(body[at + 6 : at + 9], "big")
        fragment_bytes = int.from_bytes(body[at + 9 : at + 12], "big")
        at += _HANDSHAKE_HEADER_BYTES + fragment_bytes
        if (
            message_type not in _SENT_BY[sender]
            or length > _MAX_MESSAGE_BYTES
            or sequence > _MAX_MESSAGE_SEQUENCE
            or offset + fragment_bytes > length
            or (fragment_bytes == 0 and length)
            or at > len(body)
        ):
            return False
        if not answered and sender is DtlsRole.CLIENT and message_type != HandshakeType.CLIENT_HELLO:
            return False
    return True


def with_sequence_number(record: Record, sequence_number: int) -> bytes:
    """The record with another sequence number; allowed for cleartext ones only, others are authenticated with theirs."""
    return record.data[:5] + sequence_number.to_bytes(6, "big") + record.data[11:]


def pack(records: Iterable[bytes], limit_bytes: int) -> list[bytes]:
    """Join whole records, in order, into datagrams of up to `limit_bytes`; a longer record goes alone."""
    datagrams: list[bytes] = []
    pending: list[bytes] = []
    size = 0
    for record in records:
        if pending and size + len(record) > limit_bytes:
            datagrams.append(b"".join(pending))
            pending, size = [], 0
        pending.append(record)
        size += len(record)
    if pending:
        datagrams.append(b"".join(pending))
    return datagrams
