"""Who takes part in a load test, and what is published in it."""

from __future__ import annotations

from enum import Enum

import attrs

from ..outputs import Address
from ..sim import VideoLayer

MOST_PACKET_BYTES = 1135
"""Of stamped payload, which makes datagrams of 1200 bytes."""
LEAST_PACKET_BYTES = 64
_LAYERS = (("q", 320, 180, 0.1), ("h", 640, 360, 0.3), ("f", 1280, 720, 1.0))
"""Rid, size, and share of the top layer's bitrate; the shares of LiveKit's presets for 720p."""


class Role(Enum):
    """What a participant does."""

    PUBLISHER = "publisher"
    LISTENER = "listener"
    """A subscriber as it should be: decrypts, reports, asks for what was lost, and reads the times in what it gets."""
    COUNTER = "counter"
    """A subscriber that reads the clear headers of its media and does not decrypt them, which costs a tenth. It reports
    nothing and asks for nothing again."""


@attrs.frozen(kw_only=True)
class Seat:
    """One participant to be."""

    identity: str
    role: Role
    address: Address
    """Of its first UDP socket, as the server can reach it; two connections take the next port as well."""
    token: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class LoadOptions:
    """What happens in a load test."""

    audio: bool = True
    video: bool = True
    """VP8."""
    simulcast: bool = True
    """Three layers rather than one."""
    data: bool = False
    """Lossy packets to everybody."""
    fps: float = 25.0
    bitrate_bps: float = 1_500_000.0
    """Of the top layer."""
    data_rate: float = 10.0
    """Packets a second from each publisher."""
    data_bytes: int = 200
    duration: float = 30.0
    """Seconds of measuring, from when everybody is in."""
    warm_up: float = 1.0
    """Seconds from then until measuring begins."""
    joins_per_second: float = 20.0
    most_joining: int = 10
    """At a time; whoever comes next waits, so that a slow server is not asked for more than it does."""
    two_connections: bool = False
    """As clients of the older signalling have them."""


def layers(options: LoadOptions) -> tuple[VideoLayer, ...]:
    """The layers that make that bitrate at that frame rate."""
    if not options.simulcast:
        return (_layer(options, "", *_LAYERS[-1][1:]),)
    return tuple(_layer(options, *one) for one in _LAYERS)


def _layer(options: LoadOptions, rid: str, width: int, height: int, share: float) -> VideoLayer:
    frame_bytes = options.bitrate_bps * share / 8 / options.fps
    packets = max(1, round(frame_bytes / MOST_PACKET_BYTES + 0.499))
    size = min(MOST_PACKET_BYTES, max(LEAST_PACKET_BYTES, round(frame_bytes / packets)))
    return VideoLayer(rid=rid, width=width, height=height, packets=packets, packet_bytes=size)
