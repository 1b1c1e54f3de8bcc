"""A leg whose receiver does not know the trailers that its source puts behind frames: they are cut off.

It is a class of its own, so that no other leg pays for the question.
"""

from __future__ import annotations

from ..rtp.frame_trailer import MAGIC, cut
from .interface import Codec
from .legs import LegState

_H264_STAP_A = 24
_H265_AGGREGATION = 48


class TrimmingLeg(LegState):
    """See the module's text."""

    __slots__ = ()

    def send(
        self, now: float, number: int, timestamp: int, first: int, prefix: bytes, body: bytes,
        passed: dict[int, bytes] | None,
    ) -> None:  # fmt: skip
        if body[-4:] == MAGIC:
            body = self._trim(first & 0x7F, body)
        super().send(now, number, timestamp, first, prefix, body, passed)

    def _trim(self, payload_type: int, body: bytes) -> bytes:
        match self._codec(payload_type):
            case Codec.H264 if body[0] & 31 == _H264_STAP_A:
                return cut(body, units_at=1)
            case Codec.H265 if body[0] >> 1 & 63 == _H265_AGGREGATION:
                return cut(body, units_at=2)
            case Codec.AV1 if (
                not body[0] & 0x30
            ):  # more elements than libwebrtc ever puts together, each with its length
                return body
            case _:
                return cut(body)

    def _codec(self, payload_type: int) -> Codec | None:
        """What the source sends where this leg sends that type."""
        codecs = {} if self.stream is None else self.stream.spec.codecs
        found = (codecs.get(source) for source, target in self.spec.payload_types.items() if target == payload_type)
        return next((codec for codec in found if codec is not None), None)
