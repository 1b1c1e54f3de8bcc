"""The kernel of a listener: measures how long each packet was under way, as it comes out of decryption.

Publishers write into each packet when it was sent; publishers and listeners share one monotonic clock, so that nothing needs to
be synchronised. A packet that was sent again is on its way from its first sending until it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from ..entropy import Entropy
from ..kernel import Notice
from ..kernel.receive import Stream
from ..sim.kernel import ClientKernel
from ..sim.media import find_stamp
from .histogram import Histogram

_NUMBER_AND_SSRC: Final = Struct("!xxHxxxxI")


class ListenerKernel(ClientKernel):
    """See the module's text."""

    __slots__ = ("_came", "audio", "video")

    def __init__(self, entropy: Entropy) -> None:
        super().__init__(entropy)
        self.audio, self.video = Histogram(), Histogram()
        """How long packets were under way."""
        self._came: dict[tuple[int, int], float] = {}
        """When the packets that are being taken in came, by number and SSRC."""

    def ingest(
        self, now: float, session: int, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()
    ) -> list[Notice]:
        for data, at in zip(datagrams, arrivals, strict=False):
            if len(data) >= 12:
                self._came[_NUMBER_AND_SSRC.unpack_from(data)] = at
        notices = super().ingest(now, session, datagrams, arrivals)
        self._came.clear()
        return notices

    def _forward(self, now: float, touched: list[Stream], notices: list[Notice]) -> None:
        for stream in touched:
            histogram = self.audio if stream.spec.is_audio else self.video
            for packet in stream.pending:
                stamp = find_stamp(packet[4])
                if stamp is not None:
                    came = self._came.get((packet[0] & 0xFFFF, stream.spec.ssrc), now)
                    histogram.add(came - stamp.sent_us * 1e-6)
        super()._forward(now, touched, notices)
