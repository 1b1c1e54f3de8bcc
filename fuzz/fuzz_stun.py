"""STUN messages: parsed or refused; what is parsed encodes to something that parses alike."""

from __future__ import annotations

from harness import main

from sansio.stun import StunError, encode, parse, peek_ufrag


def check(data: bytes) -> None:
    peek_ufrag(data)
    try:
        message = parse(data)
    except StunError:
        return
    again = parse(encode(message, b"key"))
    assert (again.method, again.transaction_id) == (message.method, message.transaction_id)


if __name__ == "__main__":
    main(check)
