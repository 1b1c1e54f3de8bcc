"""Data channel establishment messages."""

from __future__ import annotations

from harness import main

from sansio.sctp import DcepError
from sansio.sctp.dcep import parse


def check(data: bytes) -> None:
    try:
        message = parse(data)
    except DcepError:
        return
    if message is not None:
        assert parse(message.encode()) == message


if __name__ == "__main__":
    main(check)
