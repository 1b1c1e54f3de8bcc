"""Packets out of chunks: what shares a packet, in which order, under which tag and with or without a checksum.

RFC 9260 §6.10 (bundling): COOKIE ECHO first of all, then other control chunks, then the SACK that is owed, then DATA.
RFC 9653 §5.2: a zero checksum to a peer that accepts it, never with INIT or COOKIE ECHO.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .chunks import MIN_PACKET_BYTES, encode_packet
from .config import SctpConfig
from .inbound import Inbound, SackState
from .outbound import Outbound

_COMMON_HEADER_BYTES = 12
_MAX_CONTROL_CHUNKS = 16


class Assembly:
    """The chunks that wait for a packet, and the packets that wait to be taken."""

    __slots__ = (
        "_control",
        "_cookie",
        "_is_cookie_due",
        "_packets",
        "_peer_tag",
        "_ports",
        "_room_bytes",
        "_zero_checksum",
    )

    def __init__(self, config: SctpConfig, ports: tuple[int, int]) -> None:
        self._ports = ports
        self._room_bytes = (config.mtu_bytes & ~3) - _COMMON_HEADER_BYTES
        self._peer_tag = 0
        self._zero_checksum = False
        self._control: deque[bytes] = deque()
        self._cookie = b""
        self._is_cookie_due = False
        self._packets: list[bytes] = []

    def set_peer(self, tag: int, *, zero_checksum: bool) -> None:
        self._peer_tag = tag
        self._zero_checksum = zero_checksum

    def fits(self, chunk: bytes) -> bool:
        """Whether a packet has room for it."""
        return len(chunk) <= self._room_bytes

    def add(self, chunk: bytes) -> None:
        """Queue a control chunk; a peer that asks for too many answers at once does not get them all."""
        if len(self._control) < _MAX_CONTROL_CHUNKS and self.fits(chunk):
            self._control.append(chunk)

    def set_cookie(self, chunk: bytes) -> None:
        """The COOKIE ECHO, to go out in the next packet; none if empty."""
        self._cookie = chunk
        self._is_cookie_due = bool(chunk)

    def repeat_cookie(self) -> None:
        self._is_cookie_due = bool(self._cookie)

    def clear(self) -> None:
        """Forget the chunks that wait; packets that are made stay."""
        self._control.clear()
        self.set_cookie(b"")

    def emit(self, chunks: Sequence[bytes], *, tag: int | None = None, checksum: bool = False) -> None:
        """A packet by itself, at once; `tag` where it is not the peer's as known here."""
        tag = self._peer_tag if tag is None else tag
        is_checked = checksum or not self._zero_checksum
        self._packets.append(encode_packet(self._ports, tag, chunks, checksum=is_checked))

    def assemble(self, now: float, inbound: Inbound | None, outbound: Outbound, *, may_send: bool) -> None:
        """Make packets until nothing is left that may leave now. Before the association is up, DATA rides with the
        COOKIE ECHO only (RFC 9260 §5.1 C)."""
        while True:
            has_cookie = self._is_cookie_due
            chunks, room = self._take_control()
            sack_bytes = _room_for_sack(inbound, room)
            data = outbound.take(now, room - sack_bytes) if may_send or has_cookie else []
            if inbound is not None and sack_bytes and (data or inbound.sack is SackState.NOW):
                chunks.append(inbound.take_sack(sack_bytes))
            chunks += data
            if not chunks:
                return
            self.emit(chunks, checksum=has_cookie)

    def poll_packets(self) -> list[bytes]:
        packets, self._packets = self._packets, []
        return packets

    def _take_control(self) -> tuple[list[bytes], int]:
        """Control chunks for one packet and the room that is left."""
        chunks: list[bytes] = []
        room = self._room_bytes
        if self._is_cookie_due:
            self._is_cookie_due = False
            chunks.append(self._cookie)
            room -= len(self._cookie)
        while self._control and len(self._control[0]) <= room:
            chunks.append(self._control.popleft())
            room -= len(chunks[-1])
        return chunks, room


def _room_for_sack(inbound: Inbound | None, room_bytes: int) -> int:
    """What to keep free for a SACK that is owed; 0 if none is, or if it has to wait for the next packet."""
    if inbound is None or inbound.sack is SackState.NONE or room_bytes < MIN_PACKET_BYTES:
        return 0
    return min(inbound.sack_bytes, room_bytes)
