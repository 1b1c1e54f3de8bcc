"""Payload descriptors of all codecs, at any offset in a packet."""

from __future__ import annotations

from contextlib import suppress

from choices import Choices
from harness import main

from sansio.rtp import RtpError, av1, h264, h265, opus, red, vp8, vp9

READERS = (
    vp8.parse, vp8.is_key_frame, vp8.key_frame_size, vp9.parse, vp9.is_key_frame, vp9.key_frame_size, h264.nal_units,
    h264.is_key_frame, h264.has_idr, h264.key_frame_size, h265.nal_units, h265.is_key_frame, h265.key_frame_size,
    av1.parse_aggregation, av1.obu_elements, av1.is_key_frame, av1.key_frame_size, opus.duration, opus.is_dtx, red.parse,
)  # fmt: skip


def check(data: bytes) -> None:
    choices = Choices(data)
    start = choices.number(16)
    payload = choices.rest()
    for reader in READERS:
        with suppress(RtpError):
            reader(payload, min(start, len(payload)), len(payload))


if __name__ == "__main__":
    main(check)
