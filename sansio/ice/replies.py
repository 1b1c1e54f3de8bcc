"""Answers to Binding requests that passed their integrity check (RFC 8445 §7.3, RFC 8489 §6.3.1).

All are signed with the password that the request was checked with. A success is never longer than the request, so that
the server is of no use to amplify.
"""

from __future__ import annotations

from ..outputs import Address
from ..stun import REASONS, Class, ErrorCode, Message, encode


def success(request: Message, source: Address, key: bytes) -> bytes:
    return encode(
        Message(kind=Class.SUCCESS, transaction_id=request.transaction_id, mapped_address=source),
        key,
    )


def refusal(request: Message, code: ErrorCode, key: bytes) -> bytes:
    """An error response; a 420 lists what was not understood."""
    return encode(
        Message(
            kind=Class.ERROR,
            transaction_id=request.transaction_id,
            error_code=code,
            error_reason=REASONS[code],
            unknown_attributes=request.unrecognized if code is ErrorCode.UNKNOWN_ATTRIBUTE else (),
        ),
        key,
    )
