"""Frames that the server makes itself: silence, so that a decoder's comfort noise settles when a track is muted; black, so
that a section that is used again does not begin with the last picture of the track before; and padding, so that a client
learns of a video SSRC that has nothing to send yet.

A leg knows payload types, not codecs. Opus is looked for under 111, which all but a few clients use; where it is not found
the leg's first type is taken to be the track's codec.

Subscribers to an encrypted track cannot decrypt what the server makes. They pass on undecrypted what ends with a trailer
that the room gave them; it comes as `trailer` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..kernel import LegMode

FRAME_S = 0.020
SILENCE_FRAMES = 50
"""One second."""

BLANK_FRAMES = 6
BLANK_FRAME_S = 1 / 30
"""Together a fifth of a second."""

_OPUS = 111
_PCMU, _PCMA = 0, 8
_OPUS_SILENCE = b"\xf8\xff\xfe" + bytes(77)  # CELT, 20 ms, stereo (RFC 6716 §3.1)

_VP8_DESCRIPTOR = b"\x10"  # first packet of a frame (RFC 7741 §4.2)
_VP8_BLACK = bytes.fromhex("1002009d012a080008000047088585889984880202000c0d6000feffab5080")  # a key frame of 8x8
_H264_STAP_A = b"\x18"  # RFC 6184 §5.7.1
_H264_BLACK = (  # SPS, PPS and IDR of 2x2, constrained baseline
    bytes.fromhex("6742c00ad91f888884000003000400000300f23c489920"),
    bytes.fromhex("68cb83cb20"),
    bytes.fromhex("65888404bc98a00038a380"),
)


class Filler(NamedTuple):
    """One frame."""

    payload: bytes
    payload_type: int | None
    """Of the target; None for the leg's first."""
    padding_bytes: int = 0


PADDING = Filler(b"", None, 255)


def silence(mime_type: str, mode: LegMode, payload_types: Mapping[int, int], trailer: bytes = b"") -> Filler | None:
    """20 ms of silence in the codec that a subscriber gets; None where the server cannot make any."""
    match mime_type.lower():
        case "audio/pcmu":
            return Filler(b"\xff" * 160 + trailer, payload_types.get(_PCMU))
        case "audio/pcma":
            return Filler(b"\xd5" * 160 + trailer, payload_types.get(_PCMA))
        case "audio/red" if mode is LegMode.PLAIN and _OPUS not in payload_types:
            return Filler(_red(_OPUS) + trailer, None)
        case "audio/opus" | "audio/red":  # a RED stream may carry plain Opus, and a leg that makes RED does
            return Filler(_OPUS_SILENCE + trailer, payload_types.get(_OPUS))
        case _:
            return None


def black(mime_type: str, trailer: bytes = b"") -> Filler | None:
    """A small black key frame; None where the server cannot make any."""
    match mime_type.lower():
        case "video/vp8":
            return Filler(_VP8_DESCRIPTOR + _VP8_BLACK + trailer, None)
        case "video/h264":
            *parameters, picture = _H264_BLACK
            units = (*parameters, picture + trailer)
            return Filler(_H264_STAP_A + b"".join(len(u).to_bytes(2, "big") + u for u in units), None)
        case _:
            return None


def _red(opus_payload_type: int) -> bytes:
    """A last block header, then the primary (RFC 2198 §3)."""
    return bytes((opus_payload_type,)) + _OPUS_SILENCE
