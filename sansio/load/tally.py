"""What arrives, counted by the RTP headers, which SRTP leaves in the clear (RFC 3711 §3.1).

A number that is missing between the first and the highest of an SSRC (RFC 3550 A.3) is a loss. What is sent again comes on
an SSRC of its own, so losses count before repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from ..outputs import Address

_HEADER: Final = Struct("!xBHxxxxI")  # marker and payload type, sequence number, SSRC


class Stream:
    """Numbered packets of one source."""

    __slots__ = ("first", "highest", "octets", "payload_type", "received")

    def __init__(self, number: int, payload_type: int = 0) -> None:
        self.payload_type = payload_type
        self.first = number
        self.highest = number - 1
        """Extended."""
        self.received = 0
        self.octets = 0

    def count(self, number: int, octets: int) -> None:
        """Take a packet with a number of 16 bits."""
        step = (number - self.highest) & 0xFFFF
        if step < 0x8000:
            self.highest += step
        self.received += 1
        self.octets += octets

    def restart(self) -> None:
        """Count from the next packet on."""
        self.first = self.highest + 1
        self.received = self.octets = 0

    @property
    def lost(self) -> int:
        return max(0, self.highest - self.first + 1 - self.received)


class Tally:
    """The streams that reach one participant."""

    __slots__ = ("streams",)

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        """By SSRC."""

    def handle_datagrams(
        self, batch: Sequence[tuple[Address, Address, bytes]], *, heeds_rtcp: bool = True
    ) -> list[int]:
        """Count the RTP packets among (local, remote, data); returns the places of all else (RFC 7983 §7, RFC 5761 §4), RTCP
        included if it is heeded."""
        streams = self.streams
        rest: list[int] = []
        for index, one in enumerate(batch):
            data = one[2]
            if len(data) < 12 or not 128 <= data[0] < 192:
                rest.append(index)
                continue
            if 192 <= data[1] < 224:
                if heeds_rtcp:
                    rest.append(index)
                continue
            kind, number, ssrc = _HEADER.unpack_from(data)
            stream = streams.get(ssrc)
            if stream is None:
                stream = streams[ssrc] = Stream(number, kind & 0x7F)
            step = (number - stream.highest) & 0xFFFF
            if step < 0x8000:
                stream.highest += step
            stream.received += 1
            stream.octets += len(data)
        return rest

    def restart(self) -> None:
        """Count from now on."""
        for stream in self.streams.values():
            stream.restart()
