"""What a packet must be before any of its chunks is looked at: well formed, intact, and of this association.

RFC 9260 §8.5 (verification tags) and its exceptions; RFC 9653 §5.3 (no checksum where we said that we need none).
"""

from __future__ import annotations

from ..errors import DropReason
from .checksum import is_intact
from .chunks import TAG_REFLECTED, Chunk, ChunkType, SctpError, parse_packet

_REFLECTING = (ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE)


def inspect(
    data: bytes, *, tag: int, peer_tag: int | None, zero_checksum: bool
) -> tuple[int, list[Chunk]] | DropReason:
    """The packet's tag and chunks, or why it is thrown away. `tag` is ours, `peer_tag` the peer's if that is known."""
    try:
        found, chunks = parse_packet(data)
    except SctpError:
        return DropReason.SCTP_MALFORMED
    if not (zero_checksum and data[8:12] == b"\0\0\0\0") and not is_intact(data):
        return DropReason.SCTP_CHECKSUM
    kind, flags, _ = chunks[0]
    return (found, chunks) if _is_tag_right(kind, flags, found, tag, peer_tag) else DropReason.SCTP_TAG


def _is_tag_right(kind: int, flags: int, found: int, tag: int, peer_tag: int | None) -> bool:
    if kind == ChunkType.COOKIE_ECHO:
        return True  # is checked against its cookie
    if kind == ChunkType.INIT:
        return found == 0
    if kind in _REFLECTING and flags & TAG_REFLECTED:
        return found == peer_tag
    return found == tag
