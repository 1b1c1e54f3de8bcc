"""Redundant audio: several generations of a payload in one packet. RFC 2198 §3.

A payload is a list of blocks, oldest first as senders write it, the primary last. Left out: redundancy of different
encodings is read and written like any other, and the choice of what to repeat is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import LocalProtocolError
from .packet import Buffer, RtpError

MAX_TIMESTAMP_OFFSET = (1 << 14) - 1
MAX_BLOCK_BYTES = (1 << 10) - 1
"""Of a redundant block; the primary has no length field."""

_new_tuple = tuple.__new__


class Block(NamedTuple):
    """One block of a RED payload: where its bytes lie, and how much older than the packet it is."""

    payload_type: int
    timestamp_offset: int
    """0 for the primary."""
    start: int
    end: int


def parse(data: Buffer, start: int = 0, end: int | None = None) -> list[Block]:
    """The blocks of the payload between two offsets, the primary last; raises RtpError if they do not fit."""
    if end is None:
        end = len(data)
    headers = []
    position = start
    while position < end and data[position] & 0x80:
        if position + 4 > end:
            raise RtpError("RED block header cut short")
        word = int.from_bytes(data[position : position + 4], "big")
        headers.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        position += 4
    if position >= end:
        raise RtpError("RED payload without a primary block")
    primary_type = data[position]
    position += 1
    blocks = []
    for payload_type, offset, size in headers:
        blocks.append(_new_tuple(Block, (payload_type, offset, position, position + size)))
        position += size
    if position > end:
        raise RtpError("RED blocks longer than the payload")
    blocks.append(_new_tuple(Block, (primary_type, 0, position, end)))
    return blocks


def encode(payload_type: int, primary: bytes, redundant: Sequence[tuple[int, int, bytes]] = ()) -> bytes:
    """A payload of `primary` and, oldest first, older (payload type, timestamp offset, block) triples."""
    headers = bytearray()
    for block_type, offset, block in redundant:
        if not 0 <= offset <= MAX_TIMESTAMP_OFFSET or len(block) > MAX_BLOCK_BYTES:
            raise LocalProtocolError("block does not fit a RED header")
        headers += (1 << 31 | block_type << 24 | offset << 10 | len(block)).to_bytes(4, "big")
    headers.append(payload_type)
    return bytes(headers) + b"".join([block for _, _, block in redundant]) + primary


def rewrite_payload_types(data: bytes, payload_types: dict[int, int]) -> bytes:
    """`data` with the types of its blocks translated; raises RtpError as `parse` does, or for a type without entry."""
    out = bytearray(data)
    position = 0
    for block in parse(data):
        target = payload_types.get(block.payload_type)
        if target is None:
            raise RtpError("RED block of an unknown payload type")
        out[position] = out[position] & 0x80 | target
        position += 4
    return bytes(out)
