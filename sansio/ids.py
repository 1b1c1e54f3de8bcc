"""Identifiers: their types, and the minting of server ids.

A server id is a prefix and 12 characters of a 57-letter alphabet without look-alikes (0 O 1 I l); clients test for the
prefixes and some of them fail on others. Track ids carry a letter of the kind and one of the source.
"""

from __future__ import annotations

from typing import NewType

from .entropy import Entropy, random_below

RoomName = NewType("RoomName", str)
RoomSid = NewType("RoomSid", str)
Identity = NewType("Identity", str)
ParticipantSid = NewType("ParticipantSid", str)
TrackSid = NewType("TrackSid", str)
NodeId = NewType("NodeId", str)
SessionId = NewType("SessionId", int)
"""One WebSocket; minted by the driver."""
PeerId = NewType("PeerId", int)
"""One PeerTransport within its Endpoint."""

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

KIND_LETTERS = {"audio": "A", "video": "V"}
SOURCE_LETTERS = {"camera": "C", "microphone": "M", "screen_share": "S", "screen_share_audio": "s"}


def mint(prefix: str, entropy: Entropy) -> str:
    """A fresh id such as `RM_` and 12 characters."""
    value = int.from_bytes(entropy(16), "big")  # 128 bits for 70: no letter is likelier by more than 2^-58
    letters = []
    for _ in range(12):
        value, letter = divmod(value, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return prefix + "".join(letters)


def mint_room(entropy: Entropy) -> RoomSid:
    return RoomSid(mint("RM_", entropy))


def mint_participant(entropy: Entropy) -> ParticipantSid:
    return ParticipantSid(mint("PA_", entropy))


def mint_node(entropy: Entropy) -> NodeId:
    return NodeId(mint("ND_", entropy))


def mint_track(entropy: Entropy, kind: str, source: str) -> TrackSid:
    """A track id; `kind` is audio or video, `source` a lower-case TrackSource name (unknown ones add no letter)."""
    return TrackSid(mint(f"TR_{KIND_LETTERS[kind]}{SOURCE_LETTERS.get(source, '')}", entropy))


def base62(entropy: Entropy, bytes_of_entropy: int = 32) -> str:
    """A random base-62 word that carries at least so many bytes of entropy (passwords, trailers, keys)."""
    digits = (bytes_of_entropy * 8 * 1000 + 5953) // 5954  # log2(62) = 5.954
    return "".join(_BASE62[random_below(entropy, 62)] for _ in range(digits))


def token_word(entropy: Entropy, length: int) -> str:
    """A random word of letters and digits, as ICE ufrags and passwords take (RFC 8839 §5.4, ice-char)."""
    return "".join(_BASE62[random_below(entropy, 62)] for _ in range(length))
