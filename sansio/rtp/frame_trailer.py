"""Trailers that LiveKit clients put behind encoded video frames, to carry a capture time, a frame number or bytes of the user's.

    fields | length of the whole trailer, inverted | "LKTS"

A trailer is the end of a frame, after encryption if there is any, and so the end of a frame's last packet. Its fields do not
matter to a server that only cuts it off for clients that do not know it.

Left out: a trailer that a sender has split over two packets stays. Senders make the packets of a frame equally long, so that
only frames of a few dozen bytes could need that.
"""

from __future__ import annotations

MAGIC = b"LKTS"
_ENVELOPE_BYTES = len(MAGIC) + 1


def trailer_bytes(payload: bytes) -> int:
    """The length of the trailer at the end of a payload, 0 if there is none."""
    if len(payload) <= _ENVELOPE_BYTES or payload[-4:] != MAGIC:
        return 0
    size = payload[-5] ^ 0xFF
    return size if _ENVELOPE_BYTES <= size < len(payload) else 0


def cut(payload: bytes, units_at: int = 0) -> bytes:
    """The payload without its trailer. In an aggregation packet, whose units begin at `units_at` with two bytes of length each
    (RFC 6184 §5.7.1, RFC 7798 §4.4.2), the last unit becomes so much shorter; what is malformed is left as it is."""
    size = trailer_bytes(payload)
    if not size:
        return payload
    end = len(payload) - size
    if not units_at:
        return payload[:end]
    at = last = units_at
    while at + 2 <= len(payload):
        last, at = at, at + 2 + int.from_bytes(payload[at : at + 2], "big")
    if at != len(payload) or end <= last + 2:
        return payload
    return payload[:last] + (end - last - 2).to_bytes(2, "big") + payload[last + 2 : end]
