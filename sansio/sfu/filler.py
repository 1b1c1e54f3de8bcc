"""Frames that the server makes itself: silence, so that a decoder's comfort noise settles when a track is muted, and
padding, so that a client learns of a video SSRC that has nothing to send yet.

A leg knows payload types, not codecs. Opus is looked for under 111, which all but a few clients use; where it is not found
the leg's first type is taken to be the track's codec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..kernel import LegMode

FRAME_S = 0.020
SILENCE_FRAMES = 50
"""One second."""

_OPUS = 111
_PCMU, _PCMA = 0, 8
_OPUS_SILENCE = b"\xf8\xff\xfe" + bytes(77)  # CELT, 20 ms, stereo (RFC 6716 §3.1)


class Filler(NamedTuple):
    """One frame."""

    payload: bytes
    payload_type: int | None
    """Of the target; None for the leg's first."""
    padding_bytes: int = 0


PADDING = Filler(b"", None, 255)


def silence(mime_type: str, mode: LegMode, payload_types: Mapping[int, int]) -> Filler | None:
    """20 ms of silence in the codec that a subscriber gets; None where the server cannot make any."""
    codec = mime_type.lower()
    if mode is LegMode.OPUS_TO_RED:
        return Filler(_red(_OPUS), None)
    match codec:
        case "audio/pcmu":
            return Filler(b"\xff" * 160, payload_types.get(_PCMU))
        case "audio/pcma":
            return Filler(b"\xd5" * 160, payload_types.get(_PCMA))
        case "audio/red" if mode is LegMode.PLAIN and _OPUS not in payload_types:
            return Filler(_red(_OPUS), None)
        case "audio/opus" | "audio/red":  # a RED stream may carry plain Opus
            return Filler(_OPUS_SILENCE, payload_types.get(_OPUS))
        case _:
            return None


def _red(opus_payload_type: int) -> bytes:
    """A last block header, then the primary (RFC 2198 §3)."""
    return bytes((opus_payload_type,)) + _OPUS_SILENCE
