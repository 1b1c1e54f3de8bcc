"""Payloads that the server makes itself: silence, so that a decoder's comfort noise settles when a track is muted, and
padding, so that a client learns of an SSRC that has nothing to send yet.
"""

from __future__ import annotations

FRAME_S = 0.020
SILENCE_FRAMES = 50
"""One second."""

_OPUS_SILENCE = b"\xf8\xff\xfe" + bytes(77)  # CELT, 20 ms, stereo (RFC 6716 §3.1)
_RED_HEADER_OPUS = 111


def silence(mime_type: str, opus_payload_type: int = _RED_HEADER_OPUS) -> bytes | None:
    """20 ms of silence in the codec that a subscriber gets; None where there is none."""
    match mime_type.lower():
        case "audio/opus":
            return _OPUS_SILENCE
        case "audio/red":  # RFC 2198 §3: one last block header, then the primary
            return bytes((opus_payload_type & 0x7F,)) + _OPUS_SILENCE
        case "audio/pcmu":
            return b"\xff" * 160
        case "audio/pcma":
            return b"\xd5" * 160
        case _:
            return None
