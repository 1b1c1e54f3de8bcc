"""RTP packets and their header extensions in both forms."""

from __future__ import annotations

from contextlib import suppress

from harness import main

from sansio.rtp import RtpError, encode_extensions, is_rtcp, parse_extensions, parse_header, parse_rtx


def check(data: bytes) -> None:
    is_rtcp(data)
    try:
        header = parse_header(data)
        elements = parse_extensions(data, header)
    except RtpError:
        return
    assert header.payload_start <= header.payload_end <= len(data)
    encode_extensions(elements.items(), mixed=True)
    with suppress(RtpError):
        parse_rtx(data, header.payload_start, header.payload_end)


if __name__ == "__main__":
    main(check)
