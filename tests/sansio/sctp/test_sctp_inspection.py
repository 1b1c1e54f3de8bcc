"""What is thrown away before a chunk is looked at: RFC 9260 §8.5, RFC 9653 §5.3."""

from __future__ import annotations

import pytest

from sansio.errors import DropReason
from sansio.sctp.chunks import TAG_REFLECTED, ChunkType, encode_chunk, encode_packet
from sansio.sctp.inspection import inspect

OURS, PEERS, OTHER = 0x11111111, 0x22222222, 0x33333333
TAG = DropReason.SCTP_TAG


@pytest.mark.parametrize(
    ("kind", "flags", "tag", "peer_tag", "reason"),
    [
        pytest.param(ChunkType.DATA, 3, OURS, PEERS, None, id="ours"),
        pytest.param(ChunkType.DATA, 3, PEERS, PEERS, TAG, id="the peer's"),
        pytest.param(ChunkType.DATA, 3, 0, PEERS, TAG, id="none"),
        pytest.param(ChunkType.INIT, 0, 0, None, None, id="INIT without a tag"),
        pytest.param(ChunkType.INIT, 0, OURS, None, TAG, id="INIT with one"),
        pytest.param(ChunkType.COOKIE_ECHO, 0, OTHER, PEERS, None, id="COOKIE ECHO with any"),
        pytest.param(ChunkType.ABORT, 0, OURS, PEERS, None, id="ABORT"),
        pytest.param(ChunkType.ABORT, TAG_REFLECTED, PEERS, PEERS, None, id="ABORT reflected"),
        pytest.param(ChunkType.ABORT, TAG_REFLECTED, OURS, PEERS, TAG, id="ABORT said to be reflected"),
        pytest.param(ChunkType.ABORT, TAG_REFLECTED, PEERS, None, TAG, id="ABORT reflected by nobody that is known"),
        pytest.param(ChunkType.SHUTDOWN_COMPLETE, TAG_REFLECTED, PEERS, PEERS, None, id="SHUTDOWN COMPLETE reflected"),
        pytest.param(ChunkType.DATA, TAG_REFLECTED, PEERS, PEERS, TAG, id="DATA is never reflected"),
    ],
)
def test_tags(kind: int, flags: int, tag: int, peer_tag: int | None, reason: DropReason | None) -> None:
    packet = encode_packet((5000, 5000), tag, [encode_chunk(kind, flags, bytes(16))], checksum=True)
    found = inspect(packet, tag=OURS, peer_tag=peer_tag, zero_checksum=True)
    assert found == (reason or (tag, [(kind, flags, bytes(16))]))


@pytest.mark.parametrize(
    ("checksum", "zero_checksum", "is_taken"),
    [
        pytest.param("right", True, True, id="right"),
        pytest.param("right", False, True, id="right and needed"),
        pytest.param("zero", True, True, id="zero"),
        pytest.param("zero", False, False, id="zero though needed"),
        pytest.param("wrong", True, False, id="wrong though not needed"),
        pytest.param("wrong", False, False, id="wrong"),
    ],
)
def test_checksums(checksum: str, zero_checksum: bool, is_taken: bool) -> None:
    packet = bytearray(encode_packet((5000, 5000), OURS, [encode_chunk(ChunkType.COOKIE_ACK)], checksum=True))
    if checksum != "right":
        packet[8:12] = bytes(4) if checksum == "zero" else b"\1\2\3\4"
    found = inspect(bytes(packet), tag=OURS, peer_tag=PEERS, zero_checksum=zero_checksum)
    assert (found == DropReason.SCTP_CHECKSUM) is not is_taken


@pytest.mark.parametrize("data", [b"", bytes(12), bytes(15), bytes(12) + b"\0\0\0\x03", bytes(12) + b"\0\0\0\x20"])
def test_what_is_no_packet(data: bytes) -> None:
    assert inspect(data, tag=OURS, peer_tag=PEERS, zero_checksum=True) == DropReason.SCTP_MALFORMED
