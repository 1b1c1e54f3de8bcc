"""Compound RTCP: never raises; what was read writes to something that reads and writes alike."""

from __future__ import annotations

from harness import main

from sansio.rtcp import encode_compound, parse_compound


def check(data: bytes) -> None:
    packets = parse_compound(data)
    encoded = encode_compound(packets)
    assert encode_compound(parse_compound(encoded)) == encoded


if __name__ == "__main__":
    main(check)
